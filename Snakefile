"""LaMini-LM: the pipeline from Wikipedia's categories to every table and figure of the paper.

    snakemake --profile slurm          the paper, on a cluster
    snakemake --profile demo           the embedded demo, on a laptop
    snakemake --profile slurm models   one stage: dataset, models, evals, figures, report

lamini.paths has the paths of all files, config/ the settings of the run, config/profiles/ the
resources of the machine.
"""

import lamini.workflow
from snakemake.utils import min_version

from lamini import paths
from lamini.catalogue import Catalogue
from lamini.jobs.kept_outputs import forget_accepted
from lamini.jobs.planned import write_plan
from lamini.jobs.previous import forget_previous, keep_previous
from lamini.status.graph import write_jobs
from lamini.terminal.run_ends import send_plan, send_result, send_targets
from lamini.user_files import rule_inputs
from lamini.workflow import growing, one_of, setup
from lamini.workflow.broken_nodes import avoid_broken_nodes
from lamini.workflow.content_checks import check_ratings
from lamini.workflow.recorded import RecordWatch
from lamini.workflow.rule_code import CodeWatch
from lamini.workflow.rule_logs import name_logs
from lamini.workflow.teacher_check import check_teacher

min_version("9.27")
setup.check_folder(workflow)
setup.show_package_to_conda(workflow)
setup.submit_patiently(workflow)


report: "rules/captions/workflow.rst"


configfile: "config/config.yaml"
configfile: "config/sources.yaml"
configfile: "config/models.yaml"
configfile: "config/tasks.yaml"


setup.complete_config(workflow, config)

# With the module's name, because Snakemake's own `Workflow` is in scope here.
flow = lamini.workflow.Workflow.from_snakemake(config, check=workflow.is_main_process)
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
include: "rules/sweeps.smk"
include: "rules/human_evaluation.smk"
include: "rules/exports.smk"
include: "rules/report.smk"


name_logs(workflow)

# Edits of code make results stale; before recomputing expensive ones, the run stops and asks.
watch = CodeWatch(workflow, recompute=flow.config.code_changes == "recompute")

# So do results that were made with other settings, if Snakemake does not know of them.
records = RecordWatch(workflow)


onstart:
    avoid_broken_nodes(workflow)
    watch.begin()
    records.begin()
    check_ratings(workflow, flow)
    check_teacher(workflow, flow)
    write_jobs(workflow)  # for `make status`
    write_plan(workflow, watch.families)  # for the jobs
    keep_previous(workflow, watch.families)
    send_plan(workflow)


# All outputs of this run are accepted, so jobs do not need the copies of their outputs any more.
onsuccess:
    forget_accepted(paths.RESULTS)
    forget_previous()
    send_result(workflow, flow.config)


localrules:
    all,
    rating_sheets,
    dataset,
    models,
    evals,
    exports,
    figures,
    report,
    acceptance,
    task_data,


rule all:
    """The report, and every artifact of the paper."""
    input:
        catalogue.table_files(),
        catalogue.figure_files(),
        [sheet for study in flow.studies for sheet in flow.rating_sheets(study)],
        expand(paths.CROISSANT, mixture=flow.analysed_mixture),
        paths.REPORT,
        paths.CRATE,
        paths.RUN_CONFIG,


rule dataset:
    """The merged dataset and its analysis."""
    input:
        expand(paths.DATASET_MANIFEST, mixture=flow.used_mixtures),
        expand(paths.STATISTICS, mixture=flow.analysed_mixture),


rule models:
    """Checkpoints of all students."""
    input:
        expand(
            paths.CHECKPOINT_MANIFEST,
            model=[*flow.trained_students, *flow.sweep_students],
        ),


rule evals:
    """Scores of all models on all tasks."""
    input:
        expand(
            paths.EVALUATION,
            model=flow.evaluated_models,
            task=flow.config.evaluated_tasks,
        ),
        [path for sweep in flow.config.sweeps for path in flow.sweep_evals(sweep)],


rule exports:
    """Exported files of the students of `exports.models`, and their checks."""
    input:
        flow.export_checks.values(),


rule figures:
    """All tables and figures."""
    input:
        catalogue.table_files(),
        catalogue.figure_files(),


rule acceptance:
    """Comparison of our scores of public models with the authors' scores."""
    input:
        catalogue.acceptance_files(),


rule task_data:
    """Local copies of the tasks' data from the hub."""
    input:
        expand(paths.TASK_DATA, path=flow.task_data),


rule rating_sheets:
    """Annotation pages of all studies, to be sent to the annotators."""
    input:
        [sheet for study in flow.studies for sheet in flow.rating_sheets(study)],


rule report:
    """The report."""
    input:
        paths.REPORT,


# User-defined rules, included last so that they can refer to all rules above.
for path in flow.config.custom_rules:

    include: path


# For messages about misspelt targets.
send_targets(workflow, [*catalogue.table_files(), *catalogue.figure_files()])
