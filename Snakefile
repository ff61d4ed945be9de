"""LaMini-LM: from Wikipedia's categories to every table and figure of the paper.

    snakemake --profile slurm          the paper, on a cluster
    snakemake --profile demo           the embedded default, on a laptop
    snakemake --profile slurm models   one stage: dataset, models, evals, figures, report

Paths: results/{artifact}/{source}/{shard}.jsonl up to the dataset, then results/{artifact}/{model}.
Settings are in config/, what a machine offers is in config/profiles/.
"""

import lamini.workflow
from snakemake.utils import min_version

from lamini.catalogue import Catalogue
from lamini.jobs.kept_outputs import forget_accepted
from lamini.roots import root_inputs
from lamini.status.graph import write_jobs
from lamini.workflow import growing, one_of
from lamini.workflow.rule_code import CodeWatch

min_version("9.27")


report: "rules/captions/workflow.rst"


configfile: "config/config.yaml"
configfile: "config/sources.yaml"
configfile: "config/models.yaml"
configfile: "config/tasks.yaml"


# Not by its bare name: Snakemake runs this file among its own names, and has a `Workflow`.
flow = lamini.workflow.Workflow.from_snakemake(config)
catalogue = Catalogue(flow)


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


# An edit of code makes results stale; where they are expensive, a run stops here and asks.
watch = CodeWatch(workflow, recompute=flow.config.code_changes == "recompute")


onstart:
    watch.begin()
    write_jobs(workflow)  # for `make status`


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
        catalogue.table_files(),
        catalogue.figure_files(),
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
        catalogue.table_files(),
        catalogue.figure_files(),


rule acceptance:
    """Public models against the authors' own scores: tells whether the evaluation is theirs."""
    input:
        catalogue.acceptance_files(),


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
