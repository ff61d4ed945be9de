"""LaMini-LM: from Wikipedia's categories to every table and figure of the paper.

    snakemake --profile slurm          the paper, on a cluster
    snakemake --profile demo           the embedded default, on a laptop
    snakemake --profile slurm models   one stage: dataset, models, evals, figures, report

Paths: results/{artifact}/{source}/{shard}.jsonl up to the dataset, then results/{artifact}/{model}.
Settings are in config/, what a machine offers is in config/profiles/.
"""

from snakemake.utils import min_version

from lamini.finished import forget_accepted
from lamini.products import Products
from lamini.products.sections import section_of
from lamini.roots import root_inputs
from lamini.workflow import Workflow, growing, one_of

min_version("9.27")


report: "rules/captions/workflow.rst"


configfile: "config/config.yaml"
configfile: "config/sources.yaml"
configfile: "config/models.yaml"
configfile: "config/tasks.yaml"


flow = Workflow.from_snakemake(config)
products = Products(flow)


wildcard_constraints:
    **flow.wildcards,


include: "rules/topics.smk"
include: "rules/instructions.smk"
include: "rules/pairs.smk"
include: "rules/dataset.smk"
include: "rules/analysis.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/human_evaluation.smk"
include: "rules/report.smk"


# All outputs of this run are accepted: jobs need no more copies of them to go on from.
onsuccess:
    forget_accepted("results")


localrules:
    all,
    rating_sheets,
    dataset,
    models,
    evals,
    figures,
    report,
    acceptance,
    task_data,


rule all:
    """Everything: the report, and with it every artifact of the paper."""
    input:
        products.table_files(),
        products.figure_files(),
        [sheet for study in flow.studies for sheet in flow.rating_sheets(study)],
        "results/report/index.html",
        "results/ro-crate-metadata.json",
        "results/run_config.yaml",


rule dataset:
    """The merged dataset with its analysis."""
    input:
        expand("results/dataset/{mixture}.manifest.json", mixture=flow.used_mixtures),
        expand(
            "results/analysis/{mixture}/statistics.csv", mixture=flow.analysed_mixture
        ),


rule models:
    """A checkpoint of every student."""
    input:
        expand(
            "results/checkpoints/{model}/final/manifest.json",
            model=flow.config.students,
        ),


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
        products.table_files(),
        products.figure_files(),


rule acceptance:
    """Public models against the authors' own scores: tells whether the evaluation is theirs."""
    input:
        products.acceptance_files(),


rule task_data:
    """Local copies of the tasks' data, fetched from the hub."""
    input:
        [f"results/task_data/{path}.jsonl" for path in flow.task_data],


rule rating_sheets:
    """The annotation pages of every study, to be sent to those who rate."""
    input:
        [sheet for study in flow.studies for sheet in flow.rating_sheets(study)],


rule report:
    """The report."""
    input:
        "results/report/index.html",


# Rules of one's own; included last, so that they can refer to every rule above.
for path in flow.config.custom_rules:

    include: path
