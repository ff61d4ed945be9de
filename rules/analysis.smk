"""The dataset's analysis (paper section 3.3, Tables 1 and 2, Figure 3).

Inputs: results/dataset/{mixture}.parquet by its manifest.
Outputs: results/analysis/{mixture}/*.csv and *.parquet.
"""


rule measure_dataset:
    """Count samples and tokens, and measure lexical diversity, per source and in all."""
    input:
        manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
        tokenizer=flow.tokenizer_input(flow.config.analysis.tokenizer),
    output:
        statistics="results/analysis/{mixture}/statistics.csv",
        diversity="results/analysis/{mixture}/diversity.csv",
        quality="results/analysis/{mixture}/quality.csv",
    log:
        "results/logs/measure_dataset/{mixture}.log",
    benchmark:
        "results/benchmarks/measure_dataset/{mixture}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        runtime=120,
        mem_mb=16000,
    params:
        settings=lambda w: flow.analysis_params(w.mixture),
    script:
        "../scripts/measure_dataset.py"


rule embed_instructions:
    """Embed a sample of each compared set's instructions."""
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
        runtime=60,
        mem_mb=16000,
    params:
        settings=flow.embedding_params(),
    script:
        "../scripts/embed_instructions.py"


rule project_embeddings:
    """Lay the embeddings out in the plane by t-SNE, and measure semantic diversity."""
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
        runtime=240,
        mem_mb=16000,
    params:
        settings=flow.projection_params(),
    script:
        "../scripts/project_embeddings.py"


rule find_contamination:
    """Find the words that pairs share with the evaluated examples of the downstream tasks."""
    input:
        manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
        data=root_inputs(flow.evaluated_files),
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
        runtime=60,
        mem_mb=8000,
    params:
        settings=flow.contamination_params(),
    script:
        "../scripts/find_contamination.py"
