"""Named targets: a person runs a stage by its name.

Inputs: the finished artifacts of each stage. Outputs: none.
"""


localrules:
    all,
    dataset,
    models,
    evals,
    figures,
    report,


rule all:
    """Everything: the report, and with it every artifact of the paper."""
    default_target: True
    input:
        "results/report/index.html",
        "results/run_config.yaml",


rule dataset:
    """The merged dataset with its analysis."""
    input:
        expand("results/dataset/{mixture}.manifest.json", mixture=flow.used_mixtures),
        expand("results/analysis/{mixture}/statistics.csv", mixture=flow.analysed_mixture),


rule models:
    """A checkpoint of every student."""
    input:
        expand("results/checkpoints/{model}/final/manifest.json", model=flow.config.students),


rule evals:
    """Every model on every task."""
    input:
        expand(
            "results/evals/{model}/{task}.json",
            model=flow.evaluated_models,
            task=flow.config.evaluated_tasks,
        ),


rule figures:
    """Every table and figure."""
    input:
        [],
        [],


rule report:
    """The report."""
    input:
        "results/report/index.html",
