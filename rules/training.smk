"""Students (paper section 4.1, Table 3).

Inputs: results/dataset/{mixture}.parquet by its manifest; initial weights from the hub, a folder,
or built here.
Outputs: results/tokenized/{mixture}/{tokenizer}/, results/checkpoints/{model}/final/. Training keeps
its resumable state in results/checkpoints/{model}/work/, which no rule declares.

Training takes longest, so it and what it waits for start before other jobs that could (`priority`).
"""


rule train_tokenizer:
    """Train a tokenizer on a mixture's text."""
    input:
        dataset_manifest=lambda w: flow.tokenizer_dataset(w.tokenizer, "manifest.json"),
        dataset=lambda w: ancient(flow.tokenizer_dataset(w.tokenizer, "parquet")),
    output:
        manifest="results/tokenizers/{tokenizer}/manifest.json",
    log:
        "results/logs/train_tokenizer/{tokenizer}.log",
    benchmark:
        "results/benchmarks/train_tokenizer/{tokenizer}.jsonl"
    wildcard_constraints:
        tokenizer=one_of(flow.trained_tokenizers),
    priority: 1
    conda:
        "../envs/train.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(8000),
    params:
        settings=lambda w: flow.tokenizer_params(w.tokenizer).as_params(),
    script:
        "../scripts/train_tokenizer.py"


rule build_model:
    """Make the weights of a reference model: random ones, or those of a GGUF file."""
    input:
        lambda w: flow.build_inputs(w.model),
    output:
        manifest="results/pretrained/{model}/manifest.json",
    log:
        "results/logs/build_model/{model}.log",
    benchmark:
        "results/benchmarks/build_model/{model}.jsonl"
    wildcard_constraints:
        model=one_of(flow.built_models),
    priority: 1
    conda:
        "../envs/train.yaml"
    resources:
        runtime=growing(30),
        mem_mb=lambda w, attempt: flow.model_memory(w.model, 16, attempt),
    params:
        settings=lambda w: flow.build_params(w.model).as_params(),
    script:
        "../scripts/build_model.py"


rule tokenize_pairs:
    """Tokenise a mixture once for all models of a tokenizer."""
    input:
        dataset_manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
        tokenizer=lambda w: flow.tokenizer_input(w.tokenizer),
    output:
        manifest="results/tokenized/{mixture}/{tokenizer}/manifest.json",
    log:
        "results/logs/tokenize_pairs/{mixture}/{tokenizer}.log",
    benchmark:
        "results/benchmarks/tokenize_pairs/{mixture}/{tokenizer}.jsonl"
    priority: 1
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        runtime=growing(120),
        mem_mb=growing(8000),
    params:
        settings=lambda w: flow.tokenized_params(w.tokenizer).as_params(),
    script:
        "../scripts/tokenize_pairs.py"


# `python -m` rather than `script:`, because several processes must be able to start it. One line for
# each of the executor's resources, all from the one method that fits them together.
rule train_model:
    """Fine-tune one student on its mixture, going on from its last checkpoint if there is one."""
    input:
        tokenized=lambda w: f"{flow.tokenized(w.model)}/manifest.json",
        initialization=lambda w: flow.model_input(
            flow.config.models[w.model].initialization
        ),
    output:
        manifest="results/checkpoints/{model}/final/manifest.json",
        metrics="results/checkpoints/{model}/final/metrics.jsonl",
    log:
        "results/logs/train_model/{model}.log",
    benchmark:
        "results/benchmarks/train_model/{model}.jsonl"
    wildcard_constraints:
        model=one_of(flow.config.students),
    priority: 1
    conda:
        "../envs/train.yaml"
    threads: lambda w: flow.training_threads(w.model)
    resources:
        gpu=lambda w: flow.training_shape(w.model)["gpu"],
        gres=lambda w: flow.training_shape(w.model)["gres"],
        node_gpus=lambda w: flow.training_shape(w.model)["node_gpus"],
        nodes=lambda w: flow.training_shape(w.model)["nodes"],
        tasks=lambda w: flow.training_shape(w.model)["tasks"],
        tasks_per_gpu=lambda w: flow.training_shape(w.model)["tasks_per_gpu"],
        mpi=lambda w: flow.training_shape(w.model)["mpi"],
        runtime=lambda w, attempt: flow.training_minutes(w.model, attempt),
        mem_mb=lambda w, attempt: flow.training_memory(w.model, attempt),
    params:
        settings=lambda w: flow.training_json(w.model),
        # A function of `threads` counts as derived for Snakemake: a change runs nothing again.
        speed=lambda w, threads: flow.training_speed_json(w.model),
        folder=lambda w: flow.tokenized(w.model),
    shell:
        "python -m lamini.training --settings {params.settings:q} --speed {params.speed:q}"
        " --tokenized {params.folder:q} --output results/checkpoints/{wildcards.model}"
        " --read {input:q} --written {output:q}"
        " --nodes {resources.nodes} --gpus {resources.node_gpus} --threads {threads} --log {log:q}"
