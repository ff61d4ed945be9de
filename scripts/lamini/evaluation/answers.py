"""Free-text answers to the user-oriented instructions, for the human evaluation (section 4.2).

Instructions are answered in fixed batches of like length, so that a run that was stopped and gone
on with gives the same answers as one that was not.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import torch

from lamini.errors import LaminiError
from lamini.evaluation.models import AskedModel, choose_device, load_model
from lamini.files import derive_seed, read_jsonl, sha256_file, stable_hash, write_jsonl
from lamini.generation.seeds import BadRow, prompt_of
from lamini.log import Progress
from lamini.prompt_formats import render_prompt
from lamini.provenance import record_provenance
from lamini.settings.evaluation import Answers
from lamini.students.numerics import choose_precision

logger = logging.getLogger("lamini")
Row = dict[str, Any]


def generate_answers(
    *,
    instructions: str | Path,
    answers: str | Path,
    settings: Mapping[str, Any],
    inputs: Sequence[str | Path] = (),
) -> None:
    """Have one model answer every user-oriented instruction.

    Args:
        instructions: JSONL in self-instruct's layout: `id`, `motivation_app`, `instruction`,
            `instances`.
        answers: JSONL to write, in the instructions' order: `id`, `motivation_app`,
            `instruction` (with its input, `instruction:input`), `prompt` (what was sent),
            `response`, `truncated` (no end within the limit), `response_tokens`, `model`.
        settings: the rule's params.
        inputs: the rule's input files, for the record.

    Raises:
        LaminiError: names the row or the model that is wrong.
    """
    asked = AskedModel.model_validate(settings["model"])
    chosen = Answers.model_validate(settings["answers"])
    rows = _read_instructions(Path(instructions))
    made_from = stable_hash(dict(settings), asked.manifest_sha256(), sha256_file(instructions))
    work = Path(answers).parent / "work" / Path(answers).name
    done = _take_finished(work, made_from)
    if len(done) < len(rows):
        _answer_missing(
            rows, done, work=work, made_from=made_from, asked=asked, chosen=chosen,
            seed=settings["seed"],
        )  # fmt: skip
    write_jsonl(answers, (_answer(row, done[row["id"]], asked) for row in rows))
    record_provenance(
        answers, rule="generate_answers", settings=settings, inputs=inputs, seed=settings["seed"]
    )


def _read_instructions(path: Path) -> list[Row]:
    """The instructions with their inputs.

    Raises:
        LaminiError: names the row that has no instruction, or an id that is missing or doubled.
    """
    rows: list[Row] = []
    known: set[str] = set()
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            instruction = prompt_of(row, "self_instruct")
        except BadRow as reason:
            raise LaminiError(f"{path}: row {number}: {reason}; correct it") from None
        identifier = row.get("id")
        if not isinstance(identifier, str) or identifier in known:
            raise LaminiError(f"{path}: row {number}: id {identifier!r} is missing or doubled")
        known.add(identifier)
        rows.append(
            {
                "id": identifier,
                "motivation_app": str(row.get("motivation_app", "")),
                "instruction": instruction,
            }
        )
    if not rows:
        raise LaminiError(f"{path}: has no instructions")
    return rows


def _prompt(instruction: str, asked: AskedModel) -> str:
    return render_prompt(asked.prompt_format or "bare", instruction)


def _answer(row: Row, answer: Row, asked: AskedModel) -> Row:
    answered = {key: answer[key] for key in ("response", "truncated", "response_tokens")}
    return {**row, "prompt": _prompt(row["instruction"], asked), **answered, "model": asked.model}


def _answer_missing(
    rows: list[Row],
    done: dict[str, Row],
    *,
    work: Path,
    made_from: str,
    asked: AskedModel,
    chosen: Answers,
    seed: int,
) -> None:
    """Answer what is not in `done`, and keep each answer on disk as it comes."""
    device = choose_device()
    precision = choose_precision(chosen.precision, device, before_ampere="fp32")
    model, tokenizer = load_model(asked, precision, device)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = tokenizer.eos_token_id  # masked out, so any token will do
    tokenizer.padding_side = "left" if asked.architecture == "decoder-only" else "right"
    work.parent.mkdir(parents=True, exist_ok=True)
    with (
        open(work, "ab") as kept,
        Progress(len(rows), "answers", done=len(done)) as progress,
    ):
        for batch in _batches(rows, tokenizer, asked, chosen.batch_size):
            if all(row["id"] in done for row in batch):
                continue
            torch.manual_seed(derive_seed("generate_answers", seed, asked.model, batch[0]["id"]))
            for row, answer in zip(
                batch, _generate(model, tokenizer, batch, asked, chosen), strict=True
            ):
                line = {"made_from": made_from, "id": row["id"], **answer}
                kept.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                progress.advance(row["id"] not in done)
                done[row["id"]] = answer
            kept.flush()


def _batches(rows: list[Row], tokenizer: Any, asked: AskedModel, size: int) -> Iterator[list[Row]]:
    """Fixed batches of instructions of like length, the longest first."""
    texts = [_prompt(row["instruction"], asked) for row in rows]
    lengths = [len(ids) for ids in tokenizer(texts, verbose=False)["input_ids"]]
    order = sorted(range(len(rows)), key=lambda i: (-lengths[i], i))
    for start in range(0, len(order), size):
        yield [rows[i] for i in order[start : start + size]]


@torch.inference_mode()
def _generate(
    model: Any, tokenizer: Any, batch: list[Row], asked: AskedModel, chosen: Answers
) -> list[Row]:
    texts = [_prompt(row["instruction"], asked) for row in batch]
    causal = asked.architecture == "decoder-only"
    most = getattr(model.config, "max_position_embeddings", None) if causal else None
    room = {"max_length": most - chosen.max_new_tokens, "truncation": True} if most else {}
    if most and room["max_length"] <= 0:
        raise LaminiError(
            f"answers.max_new_tokens: {chosen.max_new_tokens} leaves no room for an instruction in"
            f" the {most} positions of {asked.model}"
        )
    tokenizer.truncation_side = "left"
    encoded = tokenizer(
        texts, return_tensors="pt", padding=True, return_token_type_ids=False, **room
    ).to(model.device)
    sampling = {"do_sample": False}
    if chosen.temperature > 0:
        sampling = {"do_sample": True, "temperature": chosen.temperature, "top_k": 0}  # type: ignore[dict-item]
    generated = model.generate(
        **encoded,
        **sampling,
        max_new_tokens=chosen.max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    # A decoder-only model repeats its prompt; an encoder-decoder's answer starts with one token.
    answers = generated[:, encoded["input_ids"].shape[1] if causal else 1 :].cpu()
    return [_read_answer(tokenizer, tokens.tolist()) for tokens in answers]


def _read_answer(tokenizer: Any, tokens: list[int]) -> Row:
    ended = tokenizer.eos_token_id in tokens
    if ended:
        tokens = tokens[: tokens.index(tokenizer.eos_token_id)]
    text = tokenizer.decode(tokens, skip_special_tokens=True).strip()
    return {"response": text, "truncated": not ended, "response_tokens": len(tokens)}


def _take_finished(work: Path, made_from: str) -> dict[str, Row]:
    """Answers of an earlier run of the same settings; a torn last line is dropped."""
    if not work.is_file():
        return {}
    lines = work.read_bytes().split(b"\n")[:-1]
    rows = [orjson.loads(line) for line in lines]
    if any(row["made_from"] != made_from for row in rows):
        work.unlink()
        return {}
    if rows:
        logger.info("%d answers of an earlier run are taken over", len(rows))
    with open(work, "r+b") as handle:
        handle.truncate(sum(len(line) + 1 for line in lines))
    return {row["id"]: row for row in rows}
