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
from lamini.tables.footnotes import first_places
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

FactValues = frozenset[str]
"""Digests of code or of prompts; several if a row was made from several jobs of one rule."""


@dataclass(frozen=True)
class Fact:
    """What is compared between rows."""

    kind: str
    """`code` or `prompts`."""
    of: str
    """The rule, or what the prompts are for."""
    alike: tuple[str, ...] = ()
    """Settings that rows must share to be compared."""


ValuesByFact = dict[Fact, set[str]]


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
    rows = [made.facts(files) for files in table.row_files]
    if not any(rows):
        return table
    usual = _usual(row for row in rows if row)
    differing = [list(made.differing(row, usual)) if row is not None else [] for row in rows]
    if not any(differing):
        return table
    return replace(
        table,
        rows=[
            [replace(row[0], suffix=row[0].suffix + MARK), *row[1:]] if facts else row
            for row, facts in zip(table.rows, differing, strict=True)
        ],
        notes=[*table.notes, *_notes(table, differing)],
        row_marks=["; ".join(facts) for facts in differing],
    )


def _usual(rows: Iterable[ValuesByFact]) -> dict[Fact, FactValues]:
    """Most frequent values of each fact; of equally frequent ones the fewest, then the first."""
    found: dict[Fact, Counter[FactValues]] = defaultdict(Counter)
    for row in rows:
        for fact, values in row.items():
            found[fact][frozenset(values)] += 1
    return {
        fact: max(counts.items(), key=lambda item: (item[1], -len(item[0])))[0]
        for fact, counts in found.items()
    }


@dataclass
class _Makings:
    """How the files of rows were made, from the records of a table's inputs."""

    inputs: list[str]
    """The table's."""
    records: dict[str, ArtifactRecord]
    """Of the inputs and of all files that they were made from."""
    _of_file: dict[str, ValuesByFact] = field(default_factory=dict)
    _up_to: dict[str, ValuesByFact] = field(default_factory=dict)
    _commits: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def facts(self, files: Iterable[str]) -> ValuesByFact | None:
        """Code and prompts behind the files of a row.

        Returns:
            Empty if a file of the row has no record; None if the table has none of the files.
        """
        paths = [path for pattern in files for path in self._matching(pattern)]
        if not paths:
            return None
        found: ValuesByFact = defaultdict(set)
        for path in paths:
            if path not in self.records:
                return {}
            for fact, values in self._facts_of(path).items():
                found[fact] |= values
        return found

    def differing(self, row: ValuesByFact, usual: Mapping[Fact, FactValues]) -> Iterator[str]:
        """What differs from the usual, for a row that has files."""
        if not row:
            yield NO_RECORD
        for fact, values in sorted(row.items(), key=lambda item: (item[0].kind, item[0].of)):
            if values != usual[fact]:
                here, most = (self._named(fact, which) for which in (values, usual[fact]))
                yield f"other {fact.kind}: {fact.of} {here}, most rows {most}"

    @cached_property
    def _files(self) -> dict[str, None]:
        """All files before the table, with a record or without."""
        read = (file for record in self.records.values() for file in record["inputs"])
        return dict.fromkeys([*self.inputs, *self.records, *read])

    def _matching(self, pattern: str) -> list[str]:
        if "*" not in pattern:
            return [pattern] if pattern in self._files else []
        return [path for path in self._files if fnmatchcase(path, pattern)]

    def _facts_of(self, path: str) -> ValuesByFact:
        """Facts of a file's job and of all jobs before it, and of an evaluation's requests."""
        if path not in self._of_file:
            requests = dict(_requests(path, self.records[path]))
            self._of_file[path] = self._upstream(path) | requests
        return self._of_file[path]

    def _upstream(self, path: str) -> ValuesByFact:
        """Facts of a file's job and of all jobs before it."""
        if path not in self._up_to:
            record = self.records[path]
            facts = self._up_to[path] = defaultdict(set)
            digest = record.get("code_digest") or "unknown"
            facts[Fact("code", record["rule"])].add(digest)
            self._commits[record["rule"], digest].add(_commit(record))
            for what, wording in _prompts(record):
                facts[Fact("prompts", what)].add(stable_hash(wording)[:_DIGITS])
            for file in record["inputs"]:
                if file in self.records:
                    for fact, values in self._upstream(file).items():
                        facts[fact] |= values
        return self._up_to[path]

    def _named(self, fact: Fact, values: Iterable[str]) -> str:
        """Digests as a note shows them, code with its commits."""
        if fact.kind == "prompts":
            return " and ".join(sorted(values))
        return " and ".join(
            f"{value[:_DIGITS]} (commit {', '.join(sorted(self._commits[fact.of, value]))})"
            for value in sorted(values)
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


def _requests(path: str, record: ArtifactRecord) -> Iterator[tuple[Fact, set[str]]]:
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
    yield Fact("prompts", f"requests of {result['task']}", alike), {digest + version}


def _notes(table: Table, differing: Sequence[Sequence[str]]) -> Iterator[str]:
    """One note for each kind of marked row, with the rows' names."""
    kinds = dict.fromkeys(tuple(facts) for facts in differing if facts)
    for kind in kinds:
        marked = [tuple(facts) == kind for facts in differing]
        yield f"{MARK} {'; '.join(kind)} ({first_places(_names(table, marked))})."


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
