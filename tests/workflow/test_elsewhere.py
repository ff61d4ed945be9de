"""A run in another folder than the checkout, and as a module of another workflow."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from checkouts import ENVIRONMENT, Checkout

TOPICS = "results/topics/topics.jsonl"


def elsewhere(
    checkout: Checkout, folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a folder, with the package of the checkout and the demo's configuration."""
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(checkout.folder / "scripts")}
    return subprocess.run(
        ["snakemake", *arguments, "--cores", "1", "--configfile", "config/demo.yaml"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration of its own."""
    made = tmp_path_factory.mktemp("run")
    shutil.copytree(checkout.folder / "config", made / "config")
    return made


def test_a_copy_of_the_configuration_makes_a_folder_of_a_run(
    checkout: Checkout, folder: Path
) -> None:
    done = elsewhere(checkout, folder, "--snakefile", f"{checkout.folder}/Snakefile", TOPICS)
    assert done.returncode == 0, done.stdout
    assert (folder / TOPICS).is_file()
    assert (folder / "results/plan.json").is_file()
    assert not (checkout.folder / "results").exists()


def test_a_folder_without_configuration_is_told_what_to_do(
    checkout: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = tmp_path_factory.mktemp("bare")
    done = elsewhere(checkout, checkout.folder, "--directory", str(bare))
    assert done.returncode == 1
    message = f"{bare} has no config/config.yaml; run this in {checkout.folder}, or copy"
    assert message in "".join(done.stdout.splitlines()[:3]), done.stdout


def test_a_module_takes_what_its_configuration_lacks_from_the_project(
    checkout: Checkout, folder: Path
) -> None:
    """The catalog's standard usage: one configuration file, and `config: config`."""
    (folder / "Snakefile").write_text(
        'configfile: "config/config.yaml"\n'
        f"module lamini_lm:\n    snakefile: {f'{checkout.folder}/workflow/Snakefile'!r}\n"
        "    config: config\n"
        "use rule * from lamini_lm\n"
    )
    (folder / "config/models.yaml").unlink()
    done = elsewhere(checkout, folder, TOPICS)
    assert done.returncode == 0, done.stdout
    assert (folder / TOPICS).is_file()


def test_a_module_with_a_prefix_is_refused(checkout: Checkout, folder: Path) -> None:
    (folder / "Snakefile").write_text(
        f"module lamini_lm:\n    snakefile: {f'{checkout.folder}/Snakefile'!r}\n"
        '    prefix: "herd"\nuse rule * from lamini_lm\n'
    )
    done = elsewhere(checkout, folder, "-n")
    assert done.returncode == 1
    message = "a module of this workflow cannot have a `prefix`"
    assert message in "".join(done.stdout.splitlines()[:3]), done.stdout
