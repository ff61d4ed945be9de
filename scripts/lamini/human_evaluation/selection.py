"""Selection of the items of a study: instructions, texts to rate, blinding and annotators.

`models` (section 4.2): the first instructions of each app, except those that the downstream tasks
cover. `dataset` (section 3.3.3): random pairs of each source; instruction and response are rated
separately.
"""

import csv
import io
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, TypeVar, cast

from lamini.conversations import Message
from lamini.errors import LaminiError
from lamini.evaluation.user_instructions import Instruction
from lamini.files import derive_seed, read_jsonl, stable_hash, write_json, write_jsonl
from lamini.human_evaluation.assignment import annotator_names, assign_groups
from lamini.human_evaluation.items import Item, RatedPart, make_item
from lamini.settings.params.human_evaluation import SelectItems
from lamini.user_text import decoded


class AnsweredInstruction(Instruction):
    """An instruction with a model's answer (`generate_answers`)."""

    response: str


AnyInstruction = TypeVar("AnyInstruction", bound=Instruction)


class Stage(TypedDict):
    """Number of instructions or pairs that are left after a step of the selection."""

    stage: str
    left: int


@dataclass(frozen=True, slots=True)
class Text:
    """Text to rate, before blinding."""

    source_id: str
    """Id of the instruction or pair."""
    stratum: str
    """App or source; the assignment to annotators is balanced over strata."""
    subject: str
    """Rated model or source."""
    part: RatedPart
    instruction: str
    text: str


def select_items(
    *,
    answers: list[Path],
    exclude: list[Path],
    dataset: list[Path],
    rated: str | Path,
    key: str | Path,
    funnel: str | Path,
    settings: SelectItems,
) -> None:
    """Write the blinded items of a study, in the order in which they are shown, and their key.

    Args:
        answers: of a study of models: one file per model, in the order of `settings.models`.
        exclude: CSV of the excluded ids, or none.
        dataset: of a study of pairs: the Parquet file.
        rated: JSONL to write, see `lamini.human_evaluation.items.Item`.
        key: JSON to write: subject, stratum and source id of each item.
        funnel: JSON to write: number of instructions left after each step of the selection.
        settings: the rule's params.

    Raises:
        LaminiError: if the answers have different instructions, an excluded id is unknown, or there
            are too few instructions or pairs.
    """
    if settings.kind == "models":
        texts, stages = answer_texts(answers, exclude, settings)
    else:
        texts, stages = dataset_texts(dataset[0], settings)
    blinded, unblinding = blind(texts, settings)
    write_jsonl(rated, (item.as_row() for item in blinded))
    write_json(key, unblinding)
    groups = len({item.group for item in blinded})
    write_json(
        funnel,
        {"study": settings.study, "stages": stages, "groups": groups, "items": len(blinded)},
    )


def blind(
    texts: Iterable[Text], settings: SelectItems
) -> tuple[list[Item], dict[str, dict[str, str]]]:
    """Blind the texts, shuffle them within each group, and assign the groups to annotators.

    The order within a group is the order of hashes, so that a new model does not change the order
    of the other texts. The parts of a pair are not shuffled: the instruction precedes its response.
    """
    study, seed = settings.study, settings.seed
    groups: dict[str, list[tuple[tuple[str, str], Item]]] = {}
    strata, key = {}, {}
    for text in texts:
        group = stable_hash("group", study, seed, text.source_id, size=6)
        item = make_item(
            study=study,
            seed=seed,
            group=group,
            subject=text.subject,
            part=text.part,
            instruction=text.instruction,
            text=text.text,
        )
        order = (text.part, stable_hash("order", study, seed, group, text.subject))
        groups.setdefault(group, []).append((order, item))
        strata[group] = text.stratum
        key[item.item] = {
            "subject": text.subject,
            "stratum": text.stratum,
            "source_id": text.source_id,
        }
    names = annotator_names(settings.annotators)
    assigned = assign_groups(strata, names, settings.rated_twice, derive_seed(study, seed))
    items = [
        replace(item, annotators=annotators)
        for group, annotators in assigned.items()
        for _, item in sorted(groups[group], key=lambda pair: pair[0])
    ]
    if len(key) != len(items):
        raise LaminiError(f"{study}: two of {len(items)} items have the same id; change `seed`")
    return items, key


def answer_texts(
    answers: list[Path], exclude: Sequence[str | Path], settings: SelectItems
) -> tuple[list[Text], list[Stage]]:
    """Answers of all models to the chosen instructions, and the funnel of the selection."""
    by_model = {model: _by_id(path) for model, path in zip(settings.models, answers, strict=True)}
    first_model, first = next(iter(by_model.items()))
    for rows, path in zip(by_model.values(), answers, strict=True):
        for identifier in {**first, **rows}:
            ours, theirs = rows.get(identifier), first.get(identifier)
            if ours is None or theirs is None or ours["instruction"] != theirs["instruction"]:
                raise LaminiError(
                    f"{path}: instruction {identifier} is not the same as in the answers of"
                    f" {first_model}; generate both from the same instructions"
                )
    chosen, stages = choose_instructions(list(first.values()), exclude, settings)
    texts = [
        Text(
            source_id=row["id"],
            stratum=row["motivation_app"],
            subject=model,
            part="response",
            instruction=row["instruction"],
            text=rows[row["id"]]["response"],
        )
        for row in chosen
        for model, rows in by_model.items()
    ]
    return texts, stages


def choose_instructions(
    rows: list[AnyInstruction], exclude: Sequence[str | Path], settings: SelectItems
) -> tuple[list[AnyInstruction], list[Stage]]:
    """Select instructions (section 4.2): at most `max_per_app` per app, except excluded ones.

    The first instructions of each app are kept, in file order. Of self-instruct's 252 instructions,
    two per app make 123; the reviewed exclusions remove nine of them, which leaves the paper's 114.

    Args:
        rows: `id` and `motivation_app` of all instructions.
        exclude: path of the exclusions, or none.
        settings: `max_per_app`, `instructions` (null: all that are left), `study`, `seed`.

    Returns:
        The chosen rows in their order, and the number of rows left after each step.
    """
    apps: Counter[str] = Counter()
    capped = []
    for row in rows:
        apps[row["motivation_app"]] += 1
        if apps[row["motivation_app"]] <= settings.max_per_app:
            capped.append(row)
    covered = _exclusions(exclude, {row["id"] for row in rows})
    left = [row for row in capped if row["id"] not in covered]
    wanted = settings.instructions or len(left)
    if not 0 < wanted <= len(left):
        raise LaminiError(
            f"human_evaluation.studies.{settings.study}.instructions: {wanted} are requested, but"
            f" only {len(left)} of {len(rows)} are left after max_per_app and exclude; lower it,"
            " or use null for all"
        )
    draw = random.Random(derive_seed("choose_instructions", settings.study, settings.seed))
    chosen = sorted(draw.sample(range(len(left)), wanted))
    counts = {
        "instructions": len(rows),
        "max_per_app": len(capped),
        "exclude": len(left),
        "sampled": wanted,
    }
    return [left[n] for n in chosen], [{"stage": s, "left": n} for s, n in counts.items()]


def _exclusions(paths: Sequence[str | Path], known: set[str]) -> set[str]:
    excluded: set[str] = set()
    for path in paths:
        reader = csv.DictReader(
            io.StringIO(decoded(Path(path).read_bytes(), str(path)), newline="")
        )
        if reader.fieldnames is None or "id" not in reader.fieldnames:
            raise LaminiError(f"{path}: needs the columns id, covered_by and reason")
        for row in reader:
            if row["id"] not in known:
                raise LaminiError(
                    f"{path}, line {reader.line_num}: there is no instruction {row['id']!r};"
                    " correct the id, or remove the line"
                )
            excluded.add(row["id"])
    return excluded


def _by_id(path: Path) -> dict[str, AnsweredInstruction]:
    rows: dict[str, AnsweredInstruction] = {}
    for number, row in enumerate(read_jsonl(path), start=1):
        missing = {"id", "instruction", "motivation_app", "response"} - set(row)
        if missing:
            raise LaminiError(f"{path}:{number}: lacks {', '.join(sorted(missing))}")
        if row["id"] in rows:
            raise LaminiError(f"{path}:{number}: a second answer to {row['id']}")
        rows[row["id"]] = cast("AnsweredInstruction", row)
    if not rows:
        raise LaminiError(f"{path}: has no answers")
    return rows


def dataset_texts(dataset: str | Path, settings: SelectItems) -> tuple[list[Text], list[Stage]]:
    """Sample random pairs of each source, as two texts each; count all pairs and the sample."""
    import polars as pl

    rows = pl.scan_parquet(dataset).with_row_index("row")
    sources = rows.select("row", "instruction_source").collect()
    chosen: list[int] = []
    wanted = settings.samples_per_source
    for (source,), pairs in sorted(sources.group_by("instruction_source", maintain_order=True)):
        if len(pairs) < wanted:
            raise LaminiError(
                f"{dataset}: {source} has {len(pairs)} pairs, fewer than samples_per_source"
                f" ({wanted}) of human_evaluation.studies.{settings.study}"
            )
        draw = random.Random(derive_seed("dataset_texts", settings.seed, source))
        chosen += [pairs["row"][n] for n in draw.sample(range(len(pairs)), wanted)]
    columns = ["row", "instruction", "response", "instruction_source"]
    if "messages" in rows.collect_schema():
        columns.append("messages")
    sampled = rows.filter(pl.col("row").is_in(chosen)).select(columns).collect()
    texts = [
        Text(
            source_id=f"{settings.mixture}/{pair['row']}",
            stratum=pair["instruction_source"],
            subject=pair["instruction_source"],
            part=part,
            instruction=pair["instruction"],
            text=pair["instruction"]
            if part == "instruction"
            else shown_response(pair["response"], pair.get("messages")),
        )
        for pair in sampled.sort("row").iter_rows(named=True)
        for part in ("instruction", "response")
    ]
    counts = {"pairs": len(sources), "sampled": len(chosen)}
    return texts, [{"stage": stage, "left": left} for stage, left in counts.items()]


def shown_response(response: str, messages: Sequence[Message] | None) -> str:
    """A response, and the later turns of its conversation, if it has any, with their roles."""
    later = (messages or [])[2:]
    named = (f"{each['role'].capitalize()}: {each['content']}" for each in later)
    return "\n\n".join([response, *named])
