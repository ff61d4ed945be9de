"""Instructions (paper section 3.1, Figures 2 and 7).

Inputs: seed prompts of each source, from local files or the hub; the topic list; the teacher.
Outputs: the prompts of each source, and shards of instructions for sources with generated
instructions. The ledger next to each shard keeps every paid answer.
"""


rule prepare_prompts:
    """Read the seed prompts of one source into a common format."""
    input:
        lambda w: rule_inputs(flow.seed_files(w.source)),
    output:
        prompts=paths.PROMPTS,
        funnel=paths.PROMPT_FUNNEL,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(240),
        mem_mb=growing(4000),
    params:
        settings=lambda w: flow.prompt_params(w.source).as_params(),
    script:
        "../scripts/prepare_prompts.py"


rule generate_instructions:
    """Generate one shard of new instructions with the teacher."""
    input:
        prompts=paths.PROMPTS,
        topics=lambda w: flow.topics(w.source),
        template=lambda w: rule_inputs(flow.prompt_template(w.source)),
    output:
        instructions=ensure(paths.INSTRUCTIONS, non_empty=True),
        rejects=paths.INSTRUCTION_REJECTS,
        report=paths.INSTRUCTION_REPORT,
    wildcard_constraints:
        source=one_of(flow.generated_sources),
    conda:
        "../envs/data.yaml"
    threads: flow.teacher_threads()
    resources:
        gpu=flow.teacher_gpus(),
        teacher=1,
        runtime=lambda w, attempt: flow.teacher_minutes(240, attempt),
        mem_mb=lambda w, attempt: flow.teacher_memory(attempt),
    params:
        settings=lambda w: flow.instruction_params(w.source, w.shard).as_params(),
        # Settings of speed, safety and cost. Snakemake treats a function of `threads` as derived,
        # so a change does not make results stale.
        teacher=lambda w, threads: flow.teacher_of("instructions", w.source).as_params(),
    script:
        "../scripts/generate_instructions.py"
