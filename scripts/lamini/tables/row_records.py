"""Marks of the rows whose results were made by other code or with other prompts than most rows.

A builder names the files of each row (`Table.row_files`). The provenance records of these files,
and of all files that they were made from, have the digest of each rule's code and the wording of
the prompts; an evaluation result has the digest of the texts that the model was asked. A row is
compared in what it has in common with other rows: a student's training with those of other
students. Usual is what most rows have. With equal numbers it is one version rather than several,
else that of the first row.

Models may have prompt formats of their own, as the paper's have, and sources prompts of their own
examples: these are settings of the run, and no reason for a mark. Nothing is computed again: what
no record has is not compared, and a row without a record is named if other rows have one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from lamini.catalogue.params.common import ModelPair, SeedRuns
from lamini.files import Files, read_json, stable_hash
from lamini.jobs.provenance import ArtifactRecord, read_record, read_records
from lamini.paths import (
    ANSWERS,
    CHECKPOINT_MANIFEST,
    EVALUATION,
    INSTRUCTIONS,
    PAIRS,
    STUDY_ANSWERS,
    VERDICTS,
)
from lamini.tables.footnotes import first_names
from lamini.tables.table import Table

MARK = "‡"
NO_RECORD = "code and prompts not recorded"
_DIGITS = 8
"""Shown characters of a digest; of a commit as well."""

ANSWER_FILES = (ANSWERS, STUDY_ANSWERS.replace("{study}", "*"))
"""Answers of a model, of any study."""
SHARDS = {
    "instructions": INSTRUCTIONS.replace("{shard}.jsonl", "*"),
    "pairs": PAIRS.replace("{shard}.jsonl", "*"),
}
"""Files of all shards of a source, by stage."""

Digests = frozenset[str]
"""Digests of code or of prompts; several if a row was made from several jobs of one rule."""


@dataclass(frozen=True)
class Component:
    """Code or prompts, whose versions are compared between rows."""

    kind: str
    """`code` or `prompts`."""
    of: str
    """The rule, or what the prompts are for."""
    alike: tuple[str, ...] = ()
    """Settings that rows must share to be compared."""


Versions = dict[Component, set[str]]


def eval_files(models: Iterable[str], tasks: Iterable[str]) -> list[str]:
    """Evaluation results of models (keys) on tasks (keys), as files of a row."""
    tasks = list(tasks)
    return [EVALUATION.format(model=model, task=task) for model in models for task in tasks]


def pair_models(pair: ModelPair) -> list[str]:
    """Keys of the models whose results are compared in a pair, with their other seeds."""
    return [pair.student.key, pair.baseline.key, *swept_models(pair.seeds)]


def swept_models(seeds: SeedRuns) -> list[str]:
    """Keys of the models of a sweep's trainings."""
    return [model for size in seeds for run in size for model in run]


def source_files(source: str, *stages: str) -> list[str]:
    """All shards of a source, as files of a row; none of the whole dataset.

    Args:
        source: key of the source.
        stages: `instructions` or `pairs`; both by default.
    """
    return [SHARDS[stage].format(source=source) for stage in stages or SHARDS]


def rated_files(study: str, subjects: Iterable[str], *, machine: bool) -> list[str]:
    """Answers or pairs that were rated, and the judge's verdicts, as files of a row.

    Args:
        study: name of the study.
        subjects: keys of the rated models or sources.
        machine: whether the judge rated.
    """
    patterns = (*ANSWER_FILES, *SHARDS.values())
    files = [each.format(model=key, source=key) for key in subjects for each in patterns]
    return [*files, *([VERDICTS.format(study=study)] if machine else [])]


def trained_files(
    fitted: Path, groups: Iterable[tuple[str, str]], share: float | None = None
) -> list[str]:
    """Checkpoints and evaluations of a sweep's trainings, as files of a row.

    Args:
        fitted: JSON of the sweep, whose record names the trainings.
        groups: student and mixture.
        share: share of the training pairs; None: all shares.
    """
    record, groups = read_record(fitted), set(groups)
    points = record["settings"]["points"] if record else []
    return [
        pattern.format(model=point["model"], task="*")
        for point in points
        if (point["student"], point["mixture"]) in groups and share in (None, point["samples"])
        for pattern in (CHECKPOINT_MANIFEST, EVALUATION)
    ]


def mark_rows(table: Table, inputs: Iterable[Files]) -> Table:
    """The table with a mark and a note for each row that was made differently.

    Args:
        table: a builder's table.
        inputs: input files of the table.

    Returns:
        The same table if all rows were made alike, or if nothing is recorded.
    """
    if not table.row_files:
        return table
    paths = [
        str(path) for files in inputs for path in ([files] if isinstance(files, Path) else files)
    ]
    made = _Makings(paths, read_records(paths))
    rows = [made.versions(files) for files in table.row_files]
    if not any(rows):
        return table
    usual = _usual(row for row in rows if row)
    differing = [list(made.differing(row, usual)) if row is not None else [] for row in rows]
    if not any(differing):
        return table
    return replace(
        table,
        rows=[
            [replace(row[0], suffix=row[0].suffix + MARK), *row[1:]] if differences else row
            for row, differences in zip(table.rows, differing, strict=True)
        ],
        notes=[*table.notes, *_notes(table, differing)],
        row_marks=["; ".join(differences) for differences in differing],
    )


def _usual(rows: Iterable[Versions]) -> dict[Component, Digests]:
    """Most frequent digests of each component; of equally frequent ones the fewest, else first."""
    counts: dict[Component, Counter[Digests]] = defaultdict(Counter)
    for row in rows:
        for component, digests in row.items():
            counts[component][frozenset(digests)] += 1
    return {
        component: max(of_component.items(), key=lambda item: (item[1], -len(item[0])))[0]
        for component, of_component in counts.items()
    }


@dataclass
class _Makings:
    """How the files of rows were made, from the records of a table's inputs."""

    inputs: list[str]
    """The table's."""
    records: dict[str, ArtifactRecord]
    """Of the inputs and of all files that they were made from."""
    _of_file: dict[str, Versions] = field(default_factory=dict)
    _up_to: dict[str, Versions] = field(default_factory=dict)
    _commits: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def versions(self, files: Iterable[str]) -> Versions | None:
        """Versions of the code and of the prompts behind the files of a row.

        Returns:
            Empty if a file of the row has no record; None if the table has none of the files.
        """
        paths = [path for pattern in files for path in self._matching(pattern)]
        if not paths:
            return None
        versions: Versions = defaultdict(set)
        for path in paths:
            if path not in self.records:
                return {}
            for component, digests in self._versions_of(path).items():
                versions[component] |= digests
        return versions

    def differing(self, row: Versions, usual: Mapping[Component, Digests]) -> Iterator[str]:
        """What differs from the usual, for a row that has files."""
        if not row:
            yield NO_RECORD
        for component, digests in sorted(row.items(), key=lambda item: (item[0].kind, item[0].of)):
            if digests != usual[component]:
                both = (digests, usual[component])
                here, most = (self._named(component, which) for which in both)
                yield f"other {component.kind}: {component.of} {here}, most rows {most}"

    @cached_property
    def _files(self) -> dict[str, None]:
        """All files before the table, with a record or without."""
        read = (file for record in self.records.values() for file in record["inputs"])
        return dict.fromkeys([*self.inputs, *self.records, *read])

    def _matching(self, pattern: str) -> list[str]:
        if "*" not in pattern:
            return [pattern] if pattern in self._files else []
        return [path for path in self._files if fnmatchcase(path, pattern)]

    def _versions_of(self, path: str) -> Versions:
        """Versions of a file's job and of all jobs before it, and of an evaluation's requests."""
        if path not in self._of_file:
            requests = dict(_requests(path, self.records[path]))
            self._of_file[path] = self._upstream(path) | requests
        return self._of_file[path]

    def _upstream(self, path: str) -> Versions:
        """Versions of a file's job and of all jobs before it."""
        if path not in self._up_to:
            record = self.records[path]
            versions = self._up_to[path] = defaultdict(set)
            digest = record.get("code_digest") or "unknown"
            versions[Component("code", record["rule"])].add(digest)
            self._commits[record["rule"], digest].add(_commit(record))
            for what, wording in _prompts(record):
                versions[Component("prompts", what)].add(stable_hash(wording)[:_DIGITS])
            for file in record["inputs"]:
                if file in self.records:
                    for component, digests in self._upstream(file).items():
                        versions[component] |= digests
        return self._up_to[path]

    def _named(self, component: Component, digests: Iterable[str]) -> str:
        """Digests as a note shows them, code with its commits."""
        if component.kind == "prompts":
            return " and ".join(sorted(digests))
        return " and ".join(
            f"{digest[:_DIGITS]} (commit {', '.join(sorted(self._commits[component.of, digest]))})"
            for digest in sorted(digests)
        )


def _commit(record: ArtifactRecord) -> str:
    code = record["code"]
    commit = (code["commit"] or "unknown")[:_DIGITS]
    return f"{commit} with uncommitted changes" if code["modified"] else commit


def _prompts(record: ArtifactRecord) -> Iterator[tuple[str, Any]]:
    """Wording of a job's prompts, as recorded: for what, and the wording."""
    settings: Mapping[str, Any] = record["settings"]
    match record["rule"]:
        case "generate_instructions":
            # The digest is that of a user-provided template; the packaged one is part of the code.
            prompt = settings.get("requests", {}).get("prompt")
            yield "instruction template", [prompt, settings.get("files")]
        case "generate_pairs":
            yield "system message of the responses", settings["responses"]["system_message"]
            if turns := settings.get("turns"):
                yield "template of the next turns", turns["template"]
        case "judge_items":
            yield "judge's protocol", settings.get("protocol", "own")
        case "tokenize_pairs" if settings.get("chat"):
            yield "chat template of the training", settings["chat"]
        case "evaluate_model" | "generate_answers" if chat := settings.get("model", {}).get("chat"):
            yield "chat template", chat


def _requests(path: str, record: ArtifactRecord) -> Iterator[tuple[Component, set[str]]]:
    """Digest of the texts of an evaluation, and the version of its task.

    Results of other examples, other solved examples or another prompt format have other texts by
    their settings, and each chat model has the texts of its own template.
    """
    if record["rule"] != "evaluate_model" or not path.endswith(".json"):
        return
    if record["settings"].get("model", {}).get("chat"):
        return
    result = read_json(path)
    alike = (
        str(result["prompt_format"]),
        result["protocol"],
        str(result["examples"]),
        result["data"]["sha256"],
        str(result.get("num_fewshot")),
    )
    version = f" (task version {result['task_version']})" if result["task_version"] else ""
    digest = result["requests_hash"][:_DIGITS]
    yield Component("prompts", f"requests of {result['task']}", alike), {digest + version}


def _notes(table: Table, differing: Sequence[Sequence[str]]) -> Iterator[str]:
    """One note for each kind of marked row, with the rows' names."""
    kinds = dict.fromkeys(tuple(differences) for differences in differing if differences)
    for kind in kinds:
        marked = [tuple(differences) == kind for differences in differing]
        yield f"{MARK} {'; '.join(kind)} ({first_names(_names(table, marked))})."


def _names(table: Table, marked: Sequence[bool]) -> list[str]:
    """Names of the marked rows: as many first texts as no other compared row has."""
    compared = [
        (here, [cell.value for cell in row if isinstance(cell.value, str)])
        for row, files, here in zip(table.rows, table.row_files, marked, strict=True)
        if files
    ]
    names: list[str] = []
    for count in range(1, len(table.columns) + 1):
        names = [", ".join(texts[:count]) for here, texts in compared if here]
        others = {", ".join(texts[:count]) for here, texts in compared if not here}
        if not others & set(names):
            break
    return names
