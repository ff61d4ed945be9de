"""Exports of students: GGUF files for llama.cpp, folders for CTranslate2, and their checks.

Only for the students of `exports.models`. Inputs: checkpoints; the user-oriented instructions; the
data and the checkpoint's score of one task.
Outputs: a file or folder per student and type, and its check: the share of equal greedy tokens, and
the loss of score.
"""


rule export_gguf:
    """Write a decoder-only student as a GGUF file."""
    input:
        model=lambda w: flow.model_input(w.model),
    output:
        gguf_file=paths.GGUF,
    wildcard_constraints:
        model=one_of(flow.exported_types),
        type=one_of(flow.config.exports.gguf),
    conda:
        "../envs/export.yaml"
    resources:
        runtime=growing(60),
        mem_mb=lambda w, attempt: flow.model_memory(w.model, 10, attempt),
    params:
        settings=lambda w: flow.gguf_params(w.model, w.type).as_params(),
    script:
        "../scripts/export_gguf.py"


rule export_ctranslate2:
    """Write an encoder-decoder student as a folder of CTranslate2."""
    input:
        model=lambda w: flow.model_input(w.model),
    output:
        manifest=paths.CONVERTED_MANIFEST,
    wildcard_constraints:
        model=one_of(flow.exported_types),
        type=one_of(flow.config.exports.ctranslate2),
    conda:
        "../envs/export.yaml"
    resources:
        runtime=growing(60),
        mem_mb=lambda w, attempt: flow.model_memory(w.model, 16, attempt),
    params:
        settings=lambda w: flow.ctranslate2_params(w.model, w.type).as_params(),
    script:
        "../scripts/export_ctranslate2.py"


rule check_export:
    """Compare an exported file with its checkpoint: greedy tokens, and the score on one task."""
    input:
        exported=lambda w: flow.exported_file(w.model, w.type),
        model=lambda w: flow.model_input(w.model),
        instructions=rule_inputs([flow.config.answers.instructions])[0],
        score=lambda w: paths.EVALUATION.format(
            model=w.model, task=flow.config.exported_task
        ),
        data=lambda w: rule_inputs(flow.task_files(flow.exported_batch)),
        definitions=lambda w: rule_inputs(flow.definition_files(flow.exported_batch)),
    output:
        check=paths.EXPORT_CHECK,
    wildcard_constraints:
        model=one_of(flow.exported_types),
        type=one_of({kind for _, kind in flow.export_checks}),
    conda:
        "../envs/export.yaml"
    threads: lambda w: flow.model_threads(w.model)
    resources:
        runtime=lambda w, attempt: flow.evaluation_minutes(w.model, attempt),
        mem_mb=lambda w, attempt: flow.model_memory(w.model, 10, attempt),
    params:
        settings=lambda w: flow.export_check_params(w.model, w.type).as_params(),
        threads=lambda w, threads: threads,
    script:
        "../scripts/check_export.py"
