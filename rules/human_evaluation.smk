"""Human evaluation (paper sections 3.3.3 and 4.2, Appendix C, Figures 4 and 6).

Inputs: the answers of all rated models, or the dataset; the teacher, if it is
the judge; finished rating files, config/ratings/{study}/*.json.
Outputs of each study: blinded items, a key to unblind them, one annotation page per annotator, the
judge's verdicts, the ratings and their summary.
"""


rule select_items:
    """Sample the items of a study, blind their origin, and assign them to annotators."""
    input:
        unpack(lambda w: flow.study_inputs(w.study)),
    output:
        rated=ensure(paths.ITEMS, non_empty=True),
        key=paths.ITEM_KEY,
        funnel=paths.ITEM_FUNNEL,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(4000),
    params:
        settings=lambda w: flow.study_params(w.study).as_params(),
    script:
        "../scripts/select_items.py"


# One rule per study, because the number of pages (one per annotator) depends on the study.
for study in flow.peoples_studies:

    rule:
        name:
            f"make_rating_sheets_{study}"
        # Write one annotation page per annotator; the key is not an input, to keep them blinded.
        input:
            rated=paths.ITEMS.format(study=study),
        output:
            sheets=flow.rating_sheets(study),
        conda:
            "../envs/data.yaml"
        resources:
            runtime=growing(10),
            mem_mb=growing(1000),
        params:
            settings=flow.sheet_params(study).as_params(),
        script:
            "../scripts/make_rating_sheets.py"


rule judge_items:
    """Rate a study's items with the teacher, by the protocol of the human annotators."""
    input:
        rated=paths.ITEMS,
    output:
        verdicts=paths.VERDICTS,
    wildcard_constraints:
        study=one_of(flow.judged_studies),
    conda:
        "../envs/data.yaml"
    threads: flow.teacher_threads()
    resources:
        gpu=flow.teacher_gpus(),
        teacher=1,
        runtime=lambda w, attempt: flow.teacher_minutes(60, attempt),
        mem_mb=lambda w, attempt: flow.teacher_memory(attempt),
    params:
        settings=lambda w: flow.judge_params(w.study).as_params(),
        teacher=lambda w, threads: flow.teacher_of("human_eval", w.study).as_params(),
    script:
        "../scripts/judge_items.py"


rule collect_ratings:
    """Validate human rating files, join the judge's verdicts, and measure agreement."""
    input:
        rated=paths.ITEMS,
        key=paths.ITEM_KEY,
        verdicts=lambda w: flow.verdicts(w.study),
        rating_files=lambda w: rule_inputs(flow.rating_files(w.study)),
    output:
        ratings=paths.RATINGS,
        summary=paths.RATING_SUMMARY,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        settings=lambda w: flow.rating_params(w.study).as_params(),
    script:
        "../scripts/collect_ratings.py"
