"""The dataset's analysis (paper section 3.3, Tables 1 and 2, Figure 3).

Inputs: results/dataset/{mixture}.parquet and its manifest.
Outputs: results/analysis/{mixture}/*.csv and *.parquet.
"""


rule measure_dataset:
    """Count samples and tokens, and measure lexical diversity, per source and in total."""
    input:
        manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
        tokenizer=flow.tokenizer_input(flow.config.analysis.tokenizer),
    output:
        statistics="results/analysis/{mixture}/statistics.csv",
        diversity="results/analysis/{mixture}/diversity.csv",
        quality="results/analysis/{mixture}/quality.csv",
        lengths="results/analysis/{mixture}/lengths.csv",
    log:
        "results/logs/measure_dataset/{mixture}.log",
    benchmark:
        "results/benchmarks/measure_dataset/{mixture}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        runtime=growing(120),
        mem_mb=growing(16000),
    params:
        settings=lambda w: flow.analysis_params(w.mixture).as_params(),
    script:
        "../scripts/measure_dataset.py"


rule count_tokens:
    """Count tokens with one of the tokenizers that are compared for Table 1."""
    input:
        manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
        tokenizer=lambda w: flow.tokenizer_input(w.tokenizer),
    output:
        counts="results/analysis/{mixture}/token_counts/{tokenizer}.csv",
    log:
        "results/logs/count_tokens/{mixture}/{tokenizer}.log",
    benchmark:
        "results/benchmarks/count_tokens/{mixture}/{tokenizer}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        runtime=growing(60),
        mem_mb=growing(8000),
    params:
        settings=lambda w: flow.token_count_params(w.mixture, w.tokenizer).as_params(),
    script:
        "../scripts/count_tokens.py"


rule embed_instructions:
    """Compute sentence embeddings of a sample of instructions per set."""
    input:
        manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
    output:
        embeddings="results/analysis/{mixture}/embeddings.parquet",
    log:
        "results/logs/embed_instructions/{mixture}.log",
    benchmark:
        "results/benchmarks/embed_instructions/{mixture}.jsonl"
    conda:
        "../envs/eval.yaml"
    threads: 2
    resources:
        gpu=1,
        runtime=growing(60),
        mem_mb=growing(16000),
    params:
        settings=flow.embedding_params().as_params(),
    script:
        "../scripts/embed_instructions.py"


rule project_embeddings:
    """Project the embeddings to two dimensions with t-SNE, and measure semantic diversity."""
    input:
        embeddings="results/analysis/{mixture}/embeddings.parquet",
    output:
        projection="results/analysis/{mixture}/projection.parquet",
        diversity="results/analysis/{mixture}/semantic_diversity.csv",
    log:
        "results/logs/project_embeddings/{mixture}.log",
    benchmark:
        "results/benchmarks/project_embeddings/{mixture}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        settings=flow.projection_params().as_params(),
    script:
        "../scripts/project_embeddings.py"


rule find_contamination:
    """Find word n-grams that pairs share with the evaluated examples of the downstream tasks."""
    input:
        manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
        data=rule_inputs(flow.evaluated_files),
    output:
        contamination="results/analysis/{mixture}/contamination.csv",
        hits="results/analysis/{mixture}/contamination.parquet",
        examples="results/analysis/{mixture}/contaminated_examples.parquet",
    log:
        "results/logs/find_contamination/{mixture}.log",
    benchmark:
        "results/benchmarks/find_contamination/{mixture}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        runtime=growing(60),
        mem_mb=growing(8000),
    params:
        settings=flow.contamination_params().as_params(),
    script:
        "../scripts/find_contamination.py"


rule find_near_duplicates:
    """Find near-duplicate instructions with MinHash."""
    input:
        manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
    output:
        near_duplicates="results/analysis/{mixture}/near_duplicates.parquet",
        counts="results/analysis/{mixture}/near_duplicates.csv",
    log:
        "results/logs/find_near_duplicates/{mixture}.log",
    benchmark:
        "results/benchmarks/find_near_duplicates/{mixture}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        runtime=growing(60),
        mem_mb=growing(12000),
    params:
        settings=flow.duplicate_params().as_params(),
    script:
        "../scripts/find_near_duplicates.py"


rule count_funnel:
    """Count the remaining pairs of each source after each filter of doubtful pairs."""
    input:
        manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
        near_duplicates="results/analysis/{mixture}/near_duplicates.parquet",
        hits="results/analysis/{mixture}/contamination.parquet",
    output:
        funnel="results/analysis/{mixture}/funnel.csv",
    log:
        "results/logs/count_funnel/{mixture}.log",
    benchmark:
        "results/benchmarks/count_funnel/{mixture}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(4000),
    params:
        settings=flow.funnel_params().as_params(),
    script:
        "../scripts/count_funnel.py"


rule count_verbs:
    """Count verbs and their objects in a sample of instructions."""
    input:
        manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
    output:
        verbs="results/analysis/{mixture}/verbs.csv",
    log:
        "results/logs/count_verbs/{mixture}.log",
    benchmark:
        "results/benchmarks/count_verbs/{mixture}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(4000),
    params:
        settings=flow.verb_params().as_params(),
    script:
        "../scripts/count_verbs.py"


rule measure_topic_coverage:
    """Count the topics shown in topic-guided prompts, and those named in their instructions."""
    input:
        topics="results/topics/topics.jsonl",
        instructions=flow.guided_instructions,
    output:
        coverage="results/analysis/topic_coverage.csv",
    log:
        "results/logs/measure_topic_coverage.log",
    benchmark:
        "results/benchmarks/measure_topic_coverage.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        settings=flow.coverage_params().as_params(),
    script:
        "../scripts/measure_topic_coverage.py"
