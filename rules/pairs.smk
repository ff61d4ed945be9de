"""Queries and pairs (paper section 3.2).

Inputs: instruction shards, or the prompts of sources without generated instructions; the teacher.
Outputs: shards of queries and of pairs. The ledger next to each pair shard keeps every paid answer.
"""

# One rule per source, because the number of output shards depends on the source.
for source in flow.active_sources:

    rule:
        name:
            f"select_queries_{source}"
        # Select the unique instructions of one source, and split them into shards.
        input:
            instructions=flow.query_inputs(source),
        output:
            queries=flow.shard_files(paths.QUERIES, source),
            funnel=paths.QUERY_FUNNEL.format(source=source),
        conda:
            "../envs/data.yaml"
        resources:
            runtime=growing(60),
            mem_mb=growing(8000),
        params:
            settings=flow.query_params(source).as_params(),
        script:
            "../scripts/select_queries.py"


rule generate_pairs:
    """Generate the teacher's responses to one shard of queries."""
    input:
        queries=paths.QUERIES,
    output:
        pairs=paths.PAIRS,
        report=paths.PAIR_REPORT,
    conda:
        "../envs/data.yaml"
    threads: flow.teacher_threads()
    resources:
        gpu=flow.teacher_gpus(),
        teacher=1,
        runtime=lambda w, attempt: flow.teacher_minutes(480, attempt),
        mem_mb=lambda w, attempt: flow.teacher_memory(attempt),
    params:
        settings=lambda w: flow.pair_params(w.source).as_params(),
        teacher=lambda w, threads: flow.teacher_of("pairs", w.source).as_params(),
    script:
        "../scripts/generate_pairs.py"


rule summarize_generation:
    """Count requests, rejected instructions, tokens and dollars of every source and stage."""
    input:
        prompts=expand(paths.PROMPT_FUNNEL, source=flow.active_sources),
        queries=expand(paths.QUERY_FUNNEL, source=flow.active_sources),
        instructions=[
            path
            for source in flow.generated_sources
            for path in flow.shard_files(paths.INSTRUCTION_REPORT, source)
        ],
        pairs=[
            path
            for source in flow.active_sources
            for path in flow.shard_files(paths.PAIR_REPORT, source)
        ],
    output:
        summary=paths.GENERATION,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(20),
        mem_mb=growing(1000),
    params:
        prices=flow.price_params(),
    script:
        "../scripts/summarize_generation.py"
