"""LaMini-LM: from Wikipedia's categories to every table and figure of the paper.

    snakemake --profile slurm          the paper, on a cluster
    snakemake --profile demo           the embedded default, on a laptop
    snakemake --profile slurm models   one stage: dataset, models, evals, figures, report

Paths: results/{artifact}/{source}/{shard}.jsonl up to the dataset, then results/{artifact}/{model}.
Settings are in config/, what a machine offers is in config/profiles/.
"""

from snakemake.utils import min_version

from lamini.roots import root_inputs
from lamini.workflow import Workflow, one_of

min_version("9.27")


configfile: "config/config.yaml"
configfile: "config/sources.yaml"
configfile: "config/models.yaml"
configfile: "config/tasks.yaml"


flow = Workflow.from_snakemake(config)


wildcard_constraints:
    **flow.wildcards,


include: "rules/targets.smk"
include: "rules/topics.smk"
include: "rules/instructions.smk"
include: "rules/pairs.smk"
include: "rules/dataset.smk"
include: "rules/analysis.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/human_evaluation.smk"
include: "rules/report.smk"
