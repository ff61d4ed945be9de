"""Human evaluation (paper sections 3.3.3 and 4.2, Appendix C, Figures 4 and 6).

Inputs: results/answers/{model}.jsonl or results/dataset/{mixture}.parquet; the teacher, if it is
the judge; finished rating files, config/ratings/{study}/*.json.
Outputs: results/human_eval/{study}/: blinded items.jsonl, key.json to unblind them, one annotation
page per annotator, verdicts.jsonl of the judge, ratings.csv and summary.json.
"""


rule select_items:
    """Sample the items of a study, blind their origin, and assign them to annotators."""
    input:
        unpack(lambda w: flow.study_inputs(w.study)),
    output:
        rated=ensure("results/human_eval/{study}/items.jsonl", non_empty=True),
        key="results/human_eval/{study}/key.json",
        funnel="results/human_eval/{study}/funnel.json",
    log:
        "results/logs/select_items/{study}.log",
    benchmark:
        "results/benchmarks/select_items/{study}.jsonl"
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
for study in flow.studies:

    rule:
        name:
            f"make_rating_sheets_{study}"
        # Write one annotation page per annotator; the key is not an input, to keep them blinded.
        input:
            rated=f"results/human_eval/{study}/items.jsonl",
        output:
            sheets=flow.rating_sheets(study),
        log:
            f"results/logs/make_rating_sheets/{study}.log",
        benchmark:
            f"results/benchmarks/make_rating_sheets/{study}.jsonl"
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
        rated="results/human_eval/{study}/items.jsonl",
    output:
        verdicts="results/human_eval/{study}/verdicts.jsonl",
    log:
        "results/logs/judge_items/{study}.log",
    benchmark:
        "results/benchmarks/judge_items/{study}.jsonl"
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
        rated="results/human_eval/{study}/items.jsonl",
        key="results/human_eval/{study}/key.json",
        verdicts=lambda w: flow.verdicts(w.study),
        rating_files=lambda w: root_inputs(flow.rating_files(w.study)),
    output:
        ratings="results/human_eval/{study}/ratings.csv",
        summary="results/human_eval/{study}/summary.json",
    log:
        "results/logs/collect_ratings/{study}.log",
    benchmark:
        "results/benchmarks/collect_ratings/{study}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        settings=lambda w: flow.rating_params(w.study).as_params(),
    script:
        "../scripts/collect_ratings.py"
