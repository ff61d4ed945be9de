"""Metrics of a task, read from the text of its definition, without loading lm-eval.

The Snakefile is read in every job, so this has to be fast: a definition is searched only where
lm-eval usually keeps it. The job itself checks the metric again, on the loaded task.
"""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

_TASK_FILES = 60
"""Maximum number of definitions in a folder of lm-eval that are searched for a task."""


def metric_names(task: str, include_path: str | None) -> set[str]:
    """Names in a task's `metric_list`; empty if its definition is not found or has none.

    Args:
        task: name of the task.
        include_path: folder of user-defined tasks; null: lm-eval's own definition.
    """
    for folder in [Path(include_path)] if include_path else _folders(task):
        files = sorted(folder.rglob("*.yaml"))
        if not include_path and len(files) > _TASK_FILES:
            continue
        named = re.compile(rf"^task:\s*[\"']?{re.escape(task)}[\"']?\s*$", re.MULTILINE)
        defining = [file for file in files if named.search(_text(file))]
        if len(defining) == 1:
            return _metrics(defining[0])
    return set()


def _folders(task: str) -> Iterator[Path]:
    """Folders of lm-eval named like the task: `arc` of `arc_easy`, `super_glue/wic` of `wic`."""
    package = importlib.util.find_spec("lm_eval")
    if package is None or package.origin is None:
        return
    root = Path(package.origin).parent / "tasks"
    words = task.split("_")
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    for name in names:
        for folder in (root / name, root / "glue" / name, root / "super_glue" / name):
            if folder.is_dir():
                yield folder


def _metrics(file: Path, depth: int = 0) -> set[str]:
    """Metrics of a definition; without a list of its own, those of the file that it includes."""
    text = _text(file)
    if re.search(r"^class:", text, re.MULTILINE):
        return set()
    names = re.findall(
        r"^\s*-?\s*\{?\s*metric:\s*(?:!function\s+)?[\"']?([\w.]+)", text, re.MULTILINE
    )
    names += re.findall(r"[\[,]\s*\{\s*metric:\s*[\"']?([\w.]+)", text)
    included = re.search(r"^include:\s*[\"']?([^\s\"']+)", text, re.MULTILINE)
    if not names and included and depth < 5:
        return _metrics(file.parent / included[1], depth + 1)
    return {name.rpartition(".")[2] for name in names}


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
