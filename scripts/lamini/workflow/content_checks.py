"""Checks of the contents of the users' files: seeds, instructions of a study, and ratings.

Each fault has its file with line, row or number, and the remedy. All faults are found before the
first job, except those that need the texts of a study that does not exist yet.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lamini import paths
from lamini.errors import LaminiError
from lamini.evaluation.user_instructions import Instruction, read_instructions
from lamini.generation.seed_check import check_seeds
from lamini.human_evaluation.items import read_items
from lamini.human_evaluation.rating_files import rating_problems, read_ratings
from lamini.human_evaluation.selection import choose_instructions
from lamini.workflow.resources import Resources


def wrong_seed_files(flow: Resources) -> tuple[list[str], list[str]]:
    """Faults of the local seed files, and rows of them that the run leaves out or uses twice."""
    errors: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for source in flow.active_sources if flow.config.dataset != "published" else ():
        seeds = flow.source(source).seeds
        if seeds.local is None or not Path(seeds.local.path).exists():
            continue
        key = f"sources.{source}.seeds"
        faults = check_seeds(seeds)
        # Several sources may have the same seeds.
        for message in faults.errors:
            errors.setdefault(message, f"{key}: {message}")
        for message in faults.left_out:
            left_out.setdefault(message, f"{key}: {message}")
    return list(errors.values()), list(left_out.values())


def wrong_studies(flow: Resources) -> Iterator[str]:
    """Faults of the instructions and exclusions, and numbers that do not fit them."""
    names = [name for name in flow.studies if flow.study(name).kind == "models"]
    files: dict[str, list[Instruction] | None] = {}
    for name in names:
        study = flow.study(name)
        own = f"human_evaluation.studies.{name}.questions"
        path = study.questions or flow.config.answers.instructions
        if path not in files:
            try:
                files[path] = read_instructions(Path(path)) if Path(path).is_file() else None
            except LaminiError as error:
                files[path] = None
                yield f"{own if study.questions else 'answers.instructions'}: {error}"
        rows = files[path]
        if rows is None:
            continue
        if study.exclude and not Path(study.exclude).is_file():
            continue
        key = f"human_evaluation.studies.{name}"
        try:
            exclude = [study.exclude] if study.exclude else []
            chosen, _ = choose_instructions(rows, exclude, flow.study_params(name))
        except LaminiError as error:
            yield str(error) if str(error).startswith(key) else f"{key}.exclude: {error}"
            continue
        if study.annotators > len(chosen):
            yield (
                f"{key}.annotators: {study.annotators} are too many for {len(chosen)} instructions;"
                " each annotator needs at least one"
            )


def wrong_rating_files(flow: Resources) -> Iterator[str]:
    """Faults of the rating files that are known without the texts of their study."""
    for name in flow.studies:
        yield from rating_problems(flow.rating_files(name), flow.rating_params(name))


def check_ratings(workflow: Any, flow: Resources) -> None:
    """Check the rating files of each study whose ratings are collected and whose texts stay.

    Args:
        workflow: Snakemake's workflow, with its complete job graph.
        flow: the configuration.

    Raises:
        WorkflowError: names each rating that does not fit the texts, and the remedy.
    """
    from snakemake.exceptions import WorkflowError

    planned = {str(path) for job in workflow.dag.needrun_jobs() for path in job.output}
    for name in flow.studies:
        items = paths.ITEMS.format(study=name)
        if paths.RATINGS.format(study=name) not in planned or items in planned:
            continue
        try:
            read_ratings(flow.rating_files(name), read_items(items), flow.rating_params(name))
        except LaminiError as error:
            raise WorkflowError(str(error)) from None
