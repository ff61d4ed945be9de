"""Automatic evaluation and free-text answers (paper section 4.2, Tables 4 and 8 to 13).

Inputs: checkpoints of students, or reference models (from the hub, a folder, or `build_model`); the
tasks' data.
Outputs: a score of each model on each task, the answers of each model; on request a local mirror of
the tasks' data (`evaluation.mirror`).
"""


rule mirror_task_data:
    """Copy the examples of one task from the hub, for clusters without network access."""
    output:
        examples=paths.TASK_DATA,
    wildcard_constraints:
        path=one_of(flow.task_data),
    retries: 3
    conda:
        "../envs/eval.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(4000),
    params:
        settings=lambda w: flow.mirror_params(w.path).as_params(),
    script:
        "../scripts/mirror_task_data.py"


# One rule per batch of tasks (`evaluation.batches`): a job loads its model once for several tasks.
# A task that is added later gets its own batch, so finished batches are not evaluated again.
for batch, tasks in flow.batches.items():

    rule:
        name:
            f"evaluate_{batch}"
        # Evaluate one model on a batch of tasks.
        input:
            model=lambda w: flow.model_input(w.model),
            data=rule_inputs(flow.task_files(batch)),
            definitions=rule_inputs(flow.definition_files(batch)),
        output:
            evals=expand(paths.EVALUATION, task=tasks, allow_missing=True),
            samples=flow.sample_files(batch),
        conda:
            "../envs/eval.yaml"
        threads: lambda w: flow.model_threads(w.model)
        resources:
            gpu=lambda w: flow.config.models[w.model].evaluation_gpus,
            runtime=lambda w, attempt: flow.evaluation_minutes(w.model, attempt),
            mem_mb=lambda w, attempt: flow.model_memory(w.model, 4, attempt),
        params:
            settings=lambda w, batch=batch: flow.evaluation_params(
                w.model, batch
            ).as_params(),
            tokens_per_batch=lambda w, threads: flow.config.evaluation.tokens_per_batch,
        script:
            "../scripts/evaluate_model.py"


rule generate_answers:
    """Generate one model's answers to the user-oriented instructions."""
    input:
        model=lambda w: flow.model_input(w.model),
        instructions=rule_inputs([flow.config.answers.instructions])[0],
    output:
        answers=paths.ANSWERS,
    conda:
        "../envs/eval.yaml"
    threads: lambda w: flow.model_threads(w.model)
    resources:
        gpu=lambda w: flow.config.models[w.model].evaluation_gpus,
        runtime=growing(120),
        mem_mb=lambda w, attempt: flow.model_memory(w.model, 4, attempt),
    params:
        settings=lambda w: flow.answer_params(w.model).as_params(),
        tokens_per_batch=lambda w, threads: flow.config.answers.tokens_per_batch,
    script:
        "../scripts/generate_answers.py"


rule answer_questions:
    """Generate one model's answers to the questions of a study that has its own."""
    input:
        model=lambda w: flow.model_input(w.model),
        instructions=lambda w: rule_inputs([flow.study(w.study).questions])[0],
    output:
        answers=paths.STUDY_ANSWERS,
    wildcard_constraints:
        study=one_of(flow.studies_with_questions),
    conda:
        "../envs/eval.yaml"
    threads: lambda w: flow.model_threads(w.model)
    resources:
        gpu=lambda w: flow.config.models[w.model].evaluation_gpus,
        runtime=growing(120),
        mem_mb=lambda w, attempt: flow.model_memory(w.model, 4, attempt),
    params:
        settings=lambda w: flow.study_answer_params(w.study, w.model).as_params(),
        tokens_per_batch=lambda w, threads: flow.config.answers.tokens_per_batch,
    script:
        "../scripts/generate_answers.py"
