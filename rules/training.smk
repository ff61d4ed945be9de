"""Students (paper section 4.1, Table 3).

Inputs: the dataset and its manifest; initial weights from the hub, a folder,
or `build_model`.
Outputs: a token cache per mixture and tokenizer, the final checkpoint of each student. Training
keeps its own checkpoints in `work/` next to the final one, which no rule declares.

Training takes the longest, so training and the jobs before it start first (`priority`); the trainings
of a sweep start last, as there can be hundreds of them.
"""


rule train_tokenizer:
    """Train a tokenizer on the text of a mixture."""
    input:
        dataset_manifest=lambda w: flow.tokenizer_dataset(
            w.tokenizer, paths.DATASET_MANIFEST
        ),
        dataset=lambda w: ancient(flow.tokenizer_dataset(w.tokenizer, paths.DATASET)),
    output:
        manifest=paths.TOKENIZER_MANIFEST,
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
    """Build a reference model: random weights, or the weights of a GGUF file."""
    input:
        lambda w: flow.build_inputs(w.model),
    output:
        manifest=paths.PRETRAINED_MANIFEST,
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
    """Tokenise a mixture once for all models with the same tokenizer."""
    input:
        dataset_manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
        tokenizer=lambda w: flow.tokenizer_input(w.tokenizer),
    output:
        manifest=paths.TOKENIZED_MANIFEST,
    priority: 1
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        runtime=growing(120),
        mem_mb=growing(8000),
    params:
        settings=lambda w: flow.tokenized_params(w.tokenizer, w.mixture).as_params(),
    script:
        "../scripts/tokenize_pairs.py"


# `python -m` instead of `script:`, because training starts several processes. One method computes
# all resources of the executor, so that they are consistent.
rule train_model:
    """Fine-tune one student on its mixture; resumes from the last checkpoint if there is one."""
    input:
        tokenized=lambda w: flow.tokenized(w.model, paths.TOKENIZED_MANIFEST),
        initialization=lambda w: flow.model_input(
            flow.config.models[w.model].initialization
        ),
        dataset=lambda w: [ancient(path) for path in flow.sampled_dataset(w.model)],
    output:
        manifest=paths.CHECKPOINT_MANIFEST,
        metrics=paths.METRICS,
    wildcard_constraints:
        model=one_of([*flow.config.students, *flow.sweep_students]),
    priority: lambda w: flow.training_priority(w.model)
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
        sweep=lambda w: flow.sweep_trainings(w.model),
        slurm_extra=lambda w: flow.training_submission(w.model),
        runtime=lambda w, attempt: flow.training_minutes(w.model, attempt),
        mem_mb=lambda w, attempt: flow.training_memory(w.model, attempt),
    params:
        settings=lambda w: flow.training_json(w.model),
        # Snakemake treats a function of `threads` as derived: a change does not retrain a model.
        speed=lambda w, threads: flow.training_speed_json(w.model),
        name=lambda w, threads: flow.config.models[w.model].name,
        folder=lambda w: flow.tokenized(w.model, paths.TOKENIZED),
    shell:
        "python -m lamini.training --settings {params.settings:q} --speed {params.speed:q}"
        " --name {params.name:q} --tokenized {params.folder:q} --dataset {input.dataset:q} --output "
        + paths.STUDENT.format(model="{wildcards.model}")
        + " --read {input:q} --written {output:q}"
        " --nodes {resources.nodes} --gpus {resources.node_gpus} --threads {threads} --log {log:q}"
