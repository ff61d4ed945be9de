"""`make publish-dataset` and `make publish-models`: list the files to publish, or upload them.

`python -m lamini.publish dataset --repo LAB/NAME`, `... models --namespace LAB`; without
`--upload` nothing is sent.
"""

import argparse
import sys
from pathlib import Path

from lamini.command import add_config_arguments, read_config, run_command
from lamini.errors import LaminiError
from lamini.paths import RESULTS
from lamini.publish.contents import Repository, dataset_repository, model_repository
from lamini.publish.hub import upload
from lamini.workflow import Workflow


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser("python -m lamini.publish", description=__doc__)
    parser.add_argument("what", choices=("dataset", "models"))
    parser.add_argument("--repo", help="repository of the dataset, such as my-lab/my-instructions")
    parser.add_argument("--namespace", help="namespace of the models, such as my-lab")
    parser.add_argument("--mixture", help="mixture to publish; default: the analysed one")
    parser.add_argument("--models", nargs="+", help="students to publish; default: all students")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--upload", action="store_true", help="upload; default: list the files")
    parser.add_argument(
        "--public", action="store_true", help="make new repositories public; default: private"
    )
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    return run_command(lambda: _publish(parsed))


def _publish(parsed: argparse.Namespace) -> None:
    flow = Workflow(read_config(parsed.configfile, parsed.config))
    repositories = _dataset(parsed, flow) if parsed.what == "dataset" else _models(parsed, flow)
    for repository in repositories:
        print(repository.describe(private=not parsed.public))
    if not parsed.upload:
        print("Nothing was uploaded. To upload, set PUBLISH=1 (`--upload`) and HF_TOKEN.")
        return
    for repository in repositories:
        print(upload(repository, private=not parsed.public))


def _dataset(parsed: argparse.Namespace, flow: Workflow) -> list[Repository]:
    if not parsed.repo:
        raise LaminiError("set the dataset's repository: REPO=my-lab/my-instructions (`--repo`)")
    mixture = parsed.mixture or flow.analysed_mixture
    return [dataset_repository(parsed.results, mixture, parsed.repo)]


def _models(parsed: argparse.Namespace, flow: Workflow) -> list[Repository]:
    if not parsed.namespace:
        raise LaminiError("set the models' namespace: NAMESPACE=my-lab (`--namespace`)")
    wanted = parsed.models or flow.config.students
    if unknown := sorted(set(wanted) - set(flow.config.students)):
        raise LaminiError(
            f"{', '.join(unknown)}: not among `students`, which are"
            f" {', '.join(flow.config.students)}"
        )
    return [
        model_repository(parsed.results, flow.config, model, f"{parsed.namespace}/{model}")
        for model in wanted
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
