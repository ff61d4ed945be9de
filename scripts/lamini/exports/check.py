"""Check of an exported file: greedy tokens and the score on one task, beside the checkpoint's.

Greedy tokens are compared on the user-oriented instructions, with the prompts of
`generate_answers`. Each token of the file follows the checkpoint's tokens, so that one difference
is counted once and does not change the tokens after it. The score is computed by the evaluation's
own code, with log-likelihoods of the file.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from lamini.errors import LaminiError
from lamini.evaluation.answers import answer_prompts
from lamini.evaluation.data import DataIdentity
from lamini.evaluation.decoding import Decoding
from lamini.evaluation.evaluate import load_language_model, run_task
from lamini.evaluation.generation import Generator
from lamini.evaluation.models import prompt_format_of
from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.results import EvaluationResult
from lamini.evaluation.scoring import Score
from lamini.evaluation.task_checks import check_tasks
from lamini.evaluation.tasks import build_tasks
from lamini.evaluation.user_instructions import read_instructions
from lamini.evaluation.wrapper import Prompt
from lamini.exports.results import ExportCheck
from lamini.exports.runtimes import CTranslate2, LlamaCpp, Runtime
from lamini.files import damage_of, read_json, sha256_file
from lamini.forward.own import position_limits
from lamini.log import Progress
from lamini.settings.exports import GgufType
from lamini.settings.params.evaluation import CheckExport

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

logger = logging.getLogger("lamini")
Opener = Callable[[int], AbstractContextManager[Runtime]]
"""Opens the exported file, with room for a number of tokens."""


def check_export(
    *,
    exported: str | Path,
    instructions: str | Path,
    score: str | Path,
    check: str | Path,
    settings: CheckExport,
    threads: int = 1,
) -> None:
    """Compare an exported file with its checkpoint.

    Args:
        exported: the GGUF file, or the manifest of CTranslate2's folder.
        instructions: the user-oriented instructions.
        score: the checkpoint's result on the task (`EvaluationResult`).
        check: JSON file to write (`ExportCheck`).
        settings: the rule's params.
        threads: threads of llama.cpp or CTranslate2.

    Raises:
        LaminiError: if the file can't be run, or the checkpoint's result is of other requests.
    """
    exported = Path(exported)
    name, tasks, data = _task_with_choices(settings)
    gguf = settings.type in get_args(GgufType)

    def opened(room: int) -> AbstractContextManager[Runtime]:
        return LlamaCpp(exported, room, threads) if gguf else CTranslate2(exported.parent, threads)

    evaluation = settings.evaluation.model_copy(update={"precision": "fp32"})
    model = load_language_model(settings.model, evaluation)
    counts = _compare_answers(model, Path(instructions), settings, opened)
    scorer = FileScorer(opened, position_limits(model.model)[1] if gguf else None)
    model.scorer = scorer
    result, *_ = run_task(model, name, tasks, data, settings)
    before = EvaluationResult.read(score)
    if result.requests_hash != before.requests_hash:
        raise LaminiError(f"{score}: is of other requests; delete it and run the command again")
    made = ExportCheck(
        model=settings.model.model,
        type=settings.type,
        program=_program(gguf),
        file=exported.name if gguf else f"{exported.parent.name}/{exported.name}",
        sha256=sha256_file(exported),
        bytes=_size(exported),
        task=name,
        metric=result.metric,
        examples=result.examples,
        score=result.score,
        checkpoint_score=before.score,
        checkpoint_precision=before.precision,
        equal_examples=sum(a == b for a, b in zip(result.values, before.values, strict=True)),
        shortened=scorer.shortened,
        **counts,
    )
    made.write(check)
    logger.info(
        "%s: %.2f %% of the greedy tokens are equal, %s %+.2f on %s",
        exported,
        100 * made.token_share,
        made.metric,
        made.change,
        name,
    )


def _task_with_choices(
    settings: CheckExport,
) -> tuple[str, dict[str, "ConfigurableTask"], DataIdentity]:
    """Key of the task, its tasks in lm-eval, and the identity of their examples."""
    ((name, task),) = settings.tasks.items()
    evaluation = settings.evaluation
    built, data = build_tasks(name, task, evaluation.protocol, evaluation.mirror)
    check_tasks(built, task, evaluation.mirror, evaluation.limit)
    if any(task.OUTPUT_TYPE == "generate_until" for task in built.values()):
        raise LaminiError(f"exports.task: {name} generates texts; name a task with choices")
    return name, built, data


def _program(gguf: bool) -> str:
    """The program that runs a file, with its package and version."""
    name, package = ("llama.cpp", "xllamacpp") if gguf else ("CTranslate2", "ctranslate2")
    return f"{name} ({package} {version(package)})"


def _size(exported: Path) -> int:
    """Bytes of a GGUF file, or of the files in a manifest, which are checked."""
    if exported.suffix == ".gguf":
        return exported.stat().st_size
    files = read_json(exported)["files"]
    if damage := damage_of(exported.parent, files):
        raise LaminiError(f"{exported}: {damage}; delete it and run the same command again")
    return sum(file["bytes"] for file in files.values())


def _compare_answers(
    model: Any, instructions: Path, settings: CheckExport, opened: Opener
) -> dict[str, int | None]:
    """Counts of equal prompts, tokens and answers, by the fields of `ExportCheck`."""
    evaluated, most = settings.model, settings.max_new_tokens
    generator = Generator(evaluated.model, model.model, model.tokenizer)
    rows = read_instructions(instructions)
    # One token more than is generated: llama.cpp keeps one position free.
    prompts = answer_prompts(rows, generator, evaluated, most + 1, "exports.max_new_tokens")
    references = _references(generator, prompts, most)
    form = prompt_format_of(model.tokenizer, evaluated)
    special = form is None or not form.has_special_tokens
    equal, same_prompts = [], list[bool]()
    room = max(len(prompt.tokens) for prompt in prompts) + most + 1
    with opened(room) as runtime, Progress(len(prompts), "answers") as progress:
        for prompt, reference in zip(prompts, references, strict=True):
            equal.append(equal_tokens(runtime, prompt.tokens, reference, generator.ends))
            tokens = runtime.tokens(prompt.text, special)
            if tokens is not None:
                same_prompts.append(tokens == prompt.tokens)
            progress.advance(1)
    return {
        "instructions": len(prompts),
        "tokens": sum(map(len, references)),
        "equal_tokens": sum(equal),
        "equal_answers": sum(n == len(r) for n, r in zip(equal, references, strict=True)),
        "equal_prompts": sum(same_prompts) if same_prompts else None,
    }


def _references(generator: Generator, prompts: list[Prompt], most: int) -> list[list[int]]:
    """Greedy tokens of the checkpoint after each prompt, with one end token where it ended."""
    references: dict[int, list[int]] = {}
    with Progress(len(prompts), "answers of the checkpoint") as progress:
        for batch in generator.generate(prompts, [0] * len(prompts), Decoding(most)):
            for number, generated in batch.items():
                ending = generator.ends[:1] if generated.ended else []
                references[number] = [*generated.tokens, *ending]
            progress.advance(len(batch))
    return [references[number] for number in range(len(prompts))]


def equal_tokens(
    runtime: Runtime, prompt: list[int], reference: list[int], ends: Sequence[int]
) -> int:
    """Number of tokens of a reference that a program chooses, each after those before it.

    The program generates until its first difference, and again from the token after it.

    Args:
        runtime: the program with the exported file.
        prompt: tokens of the prompt.
        reference: greedy tokens of the checkpoint; an end token is the first of `ends`.
        ends: end tokens of the checkpoint, which count as equal.
    """
    equal, at = 0, 0
    while at < len(reference):
        given = runtime.greedy(prompt, reference[:at], len(reference) - at)
        given = [ends[0] if token in ends else token for token in given]
        same = _common(given, reference[at:])
        equal += same
        stopped = 0 < same == len(given)  # at an end token that the checkpoint does not have
        at += same + (not stopped)
    return equal


def _common(one: list[int], other: list[int]) -> int:
    """Length of the common beginning of two lists."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


@dataclass
class FileScorer:
    """Log-likelihoods of an exported file, in place of the evaluation's scorer.

    Args:
        opened: opens the file.
        positions: positions of the model; null: no limit.
    """

    opened: Opener
    positions: int | None
    choice: None = None
    """The evaluation's scorer has its proven layout here."""
    shortened: int = 0
    """Number of requests that were truncated at the start."""

    def score(
        self, requests: Sequence[TokenRequest], advance: Callable[[int], None]
    ) -> list[Score]:
        """Log-likelihood of each continuation, and whether it is the greedy one, in order."""
        fitting = list(self._fitting(requests))
        room = max(len(r.context) + len(r.continuation) for r in fitting) + 1
        with self.opened(room) as runtime:
            return list(runtime.score(fitting, advance))

    def _fitting(self, requests: Sequence[TokenRequest]) -> Iterator[TokenRequest]:
        """Requests with a free position: the last token is only predicted, one more is free."""
        for request in requests:
            excess = 0
            if self.positions is not None:
                fed = len(request.context) + len(request.continuation) - 1
                excess = max(0, fed + 1 - self.positions)
            self.shortened += excess > 0
            yield TokenRequest(request.context[excess:], request.continuation)
