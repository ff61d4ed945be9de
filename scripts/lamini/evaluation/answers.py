"""Free-text answers to the user-oriented instructions, for the human evaluation (section 4.2).

An answer depends only on its instruction, the model and the settings, not on its batch. A resumed
run therefore gives the same answers as an uninterrupted run.
"""

import logging
from pathlib import Path
from typing import Any, TypedDict

import orjson

from lamini.errors import LaminiError
from lamini.evaluation.decoding import Decoding
from lamini.evaluation.generation import Generated, Generator
from lamini.evaluation.models import (
    choose_device,
    load_evaluated_model,
    model_identity,
    prompt_format_of,
)
from lamini.evaluation.user_instructions import Instruction, read_instructions
from lamini.evaluation.wrapper import Prompt, fit_prompts
from lamini.files import derive_seed, sha256_file, write_jsonl
from lamini.jobs.unfinished import work_key
from lamini.log import Progress
from lamini.prompt_formats import text_format
from lamini.settings.evaluation import Answers
from lamini.settings.params.evaluation import EvaluatedModel, GenerateAnswers
from lamini.students.numerics import choose_precision

logger = logging.getLogger("lamini")


class ModelAnswer(TypedDict):
    """A model's answer to an instruction."""

    prompt: str
    """The text sent to the model."""
    prompt_truncated: int
    """Number of instruction tokens cut from `prompt` because it was too long."""
    response: str
    truncated: bool
    """Whether it has no end token within the limit."""
    response_tokens: int


class AnswerRow(Instruction, ModelAnswer):
    """A row of the answers."""

    model: str


def generate_answers(
    *,
    instructions: str | Path,
    answers: str | Path,
    settings: GenerateAnswers,
    tokens_per_batch: int | None = None,
) -> None:
    """Generate one model's answer to every user-oriented instruction.

    Args:
        instructions: JSONL in self-instruct's layout: `id`, `motivation_app`, `instruction`,
            `instances`.
        answers: JSONL to write, in the order of the instructions: `id`, `motivation_app`,
            `instruction` (with its input, `instruction:input`), `prompt` (the text sent to the
            model), `prompt_truncated` (number of instruction tokens cut from `prompt` because it
            was too long), `response`, `truncated` (no end token within the limit),
            `response_tokens`, `model`.
        settings: the rule's params.
        tokens_per_batch: padded tokens of a batch; null: measured on a GPU.

    Raises:
        LaminiError: names the invalid row or model.
    """
    evaluated = settings.model
    speed = {"tokens_per_batch": tokens_per_batch} if tokens_per_batch else {}
    chosen = settings.answers.model_copy(update=speed)
    rows = read_instructions(Path(instructions))
    inputs = model_identity(evaluated), sha256_file(instructions)
    made_from = work_key("generate_answers", settings.as_params(), *inputs)
    work = Path(answers).parent / "work" / Path(answers).name
    done = _read_finished(work, made_from)
    if len(done) < len(rows):
        _answer_missing(
            rows,
            done,
            work=work,
            made_from=made_from,
            evaluated=evaluated,
            chosen=chosen,
            seed=settings.seed,
        )
    write_jsonl(answers, (_answer(row, done[row["id"]], evaluated) for row in rows))


def _answer(row: Instruction, answer: ModelAnswer, evaluated: EvaluatedModel) -> AnswerRow:
    return {**row, **answer, "model": evaluated.model}


def _answer_missing(
    rows: list[Instruction],
    done: dict[str, ModelAnswer],
    *,
    work: Path,
    made_from: str,
    evaluated: EvaluatedModel,
    chosen: Answers,
    seed: int,
) -> None:
    """Answer the instructions that are not in `done`; append each answer to the work file."""
    device = choose_device()
    precision = choose_precision(chosen.precision, device, before_ampere="fp32")
    model, tokenizer = load_evaluated_model(evaluated, precision, device)
    generator = Generator(evaluated.model, model, tokenizer, chosen.tokens_per_batch)
    missing = [row for row in rows if row["id"] not in done]
    new = chosen.max_new_tokens
    prompts = answer_prompts(missing, generator, evaluated, new, "answers.max_new_tokens")
    seeds = [derive_seed("generate_answers", seed, evaluated.model, row["id"]) for row in missing]
    decoding = Decoding(chosen.max_new_tokens, chosen.temperature)
    work.parent.mkdir(parents=True, exist_ok=True)
    with (
        open(work, "ab") as kept,
        Progress(len(rows), "answers", done=len(done)) as progress,
    ):
        for batch in generator.generate(prompts, seeds, decoding):
            for number, generated in batch.items():
                identifier = missing[number]["id"]
                done[identifier] = _read_answer(prompts[number], generated, tokenizer)
                line = {"made_from": made_from, "id": identifier, "answer": done[identifier]}
                kept.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            kept.flush()
            progress.advance(len(batch))


def answer_prompts(
    rows: list[Instruction], generator: Generator, evaluated: EvaluatedModel, new: int, setting: str
) -> list[Prompt]:
    """Prompts of instructions, in the model's prompt format.

    Args:
        rows: the instructions (`read_instructions`).
        generator: the loaded model.
        evaluated: the model's prompt format.
        new: number of new tokens that must have room after each prompt.
        setting: name of this number in messages.

    Raises:
        LaminiError: if the model has too few positions.
    """
    tokenizer = generator.tokenizer
    form = prompt_format_of(tokenizer, evaluated) or text_format("bare")
    texts = [form.render(row["instruction"]) for row in rows]
    try:
        return fit_prompts(tokenizer, texts, form, generator.room(new))
    except LaminiError as error:
        raise LaminiError(f"{setting}, model {evaluated.model}: {error}") from None


def _read_answer(prompt: Prompt, generated: Generated, tokenizer: Any) -> ModelAnswer:
    return {
        "prompt": prompt.text,
        "prompt_truncated": prompt.dropped,
        "response": tokenizer.decode(generated.tokens, skip_special_tokens=True).strip(),
        "truncated": not generated.ended,
        "response_tokens": len(generated.tokens),
    }


def _read_finished(work: Path, made_from: str) -> dict[str, ModelAnswer]:
    """Read the answers of an earlier run with equal settings; drop an incomplete last line."""
    if not work.is_file():
        return {}
    lines = work.read_bytes().split(b"\n")[:-1]
    rows = [orjson.loads(line) for line in lines]
    if any(row["made_from"] != made_from for row in rows):
        work.unlink()
        return {}
    if rows:
        logger.info("resuming: %d answers of an earlier run are reused", len(rows))
    with open(work, "r+b") as handle:
        handle.truncate(sum(len(line) + 1 for line in lines))
    return {row["id"]: row["answer"] for row in rows}
