"""Setup of a run: its folder, use as a module of another workflow, conda environments, SLURM."""

import os
import shlex
from pathlib import Path
from typing import Any

from lamini import slurm
from lamini.command import CONFIG_FILES
from lamini.paths import JOBS_FILE, PROJECT, RESULTS, of_project

_CONFIG = Path("config/config.yaml")


def check_folder(workflow: Any) -> None:
    """Check that the run's folder has a configuration, and that a module has no prefix.

    Args:
        workflow: Snakemake's workflow.

    Raises:
        WorkflowError: names the remedy; Snakemake then ends with the message.
    """
    from snakemake.exceptions import WorkflowError

    file = str(JOBS_FILE)
    if str(workflow.modifier.path_modifier.modify(file)) != file:
        raise WorkflowError(
            "a module of this workflow cannot have a `prefix`, because its jobs write records below"
            f" {RESULTS}; remove the prefix, and give each run a folder of its own"
        )
    if not (_CONFIG.is_file() or workflow.modifier.skip_configfile):
        raise WorkflowError(
            f"{Path.cwd()} has no {_CONFIG}; run this in {PROJECT}, or copy the configuration into"
            f" this folder, which then has its own results: cp -r {PROJECT}/config ."
        )


def complete_config(workflow: Any, config: dict[str, object]) -> None:
    """Fill in what the `config` of a module lacks, from the run's or the project's config/.

    Snakemake then ignores the Snakefile's own `configfile:` lines.
    """
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    if not workflow.modifier.skip_configfile:
        return
    whole: dict[str, Any] = {}
    for name in CONFIG_FILES:
        update_config(whole, load_configfile(of_project(f"config/{name}.yaml")))
    update_config(whole, config)
    config.update(whole)


def show_package_to_conda(workflow: Any) -> None:
    """With `--sdm conda`, let the jobs import this package, which is in no environment."""
    from snakemake.settings.types import DeploymentMethod
    from snakemake.shell import shell

    if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
        paths = [str(PROJECT / "scripts"), os.environ.get("PYTHONPATH")]
        shell.prefix(f"export PYTHONPATH={shlex.quote(':'.join(filter(None, paths)))}; ")


def submit_patiently(workflow: Any) -> None:
    """Put scripts/slurm/sbatch before SLURM's own on PATH: it waits, and avoids broken nodes."""
    if workflow.is_main_process and slurm.is_here():
        own = str(PROJECT / "scripts/slurm")
        os.environ["PATH"] = os.pathsep.join([own, os.environ["PATH"]])
