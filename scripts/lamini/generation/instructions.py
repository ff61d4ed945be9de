"""Generation of one shard of instructions (section 3.1).

Requests are sent in rounds. The size of a round is estimated from the yield of earlier requests,
until the shard has its instructions or the maximum number of requests is reached. So few paid
answers are not used. The size depends only on earlier answers: equal ledgers give equal bytes.
"""

import contextlib
import io
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import zstandard

from lamini.files import atomic_writer, write_jsonl
from lamini.generation.prompt_template import PromptTemplate
from lamini.generation.prompts import PromptPool
from lamini.generation.requests import InstructionPrompt, PromptMaker
from lamini.generation.shard import Shard, ShardSettings
from lamini.generation.topics import read_topics
from lamini.log import Progress
from lamini.settings.params.generation import GenerateInstructions
from lamini.settings.sources import InstructionGeneration
from lamini.settings.teacher import Teacher
from lamini.teacher.ledger import ledger_path
from lamini.teacher.request import Request
from lamini.teacher.session import TeacherSession, open_teacher


def generate_instructions(
    *,
    prompts: Path,
    topics: Sequence[Path],
    instructions: Path,
    rejects: Path,
    report: Path,
    shard: str,
    settings: GenerateInstructions,
    teacher: Teacher,
) -> dict[str, str]:
    """Generate the instructions of one shard with the teacher.

    Args:
        prompts: output of `prepare_prompts`.
        topics: the topic list, for sources with topics; empty for others.
        instructions: JSONL to write, with the ledger of the answers beside it: `id`,
            `instruction`, `instruction_source`, `subset`, `topics`, `examples` (ids of the prompts
            shown), `request` (request key in the ledger).
        rejects: zstd-compressed JSONL to write: `request`, `reason`, `text`.
        report: JSON of counts to write; equal for sent requests and for answers from the ledger.
        shard: name of the shard, four digits.
        settings: the rule's params.
        teacher: the teacher's settings.

    Returns:
        The `ledger`, for the provenance record.

    Raises:
        LaminiError: an error of the teacher, or no instruction was accepted. A shard that reaches
            the maximum number of requests with too few instructions is complete, with a warning.
    """
    wanted = ShardSettings.from_params(settings, shard)
    ledger = ledger_path(instructions)
    job = f"generate_instructions {wanted.source}/{shard}"
    with contextlib.closing(_prompt_pool(prompts, wanted.generation)) as pool:
        maker = PromptMaker(
            PromptTemplate(wanted.requests.prompt),
            pool,
            read_topics(topics[0]) if topics else [],
            wanted.generation,
            seed_parts=(wanted.seed, wanted.source, shard),
        )
        with (
            _compressed_jsonl(rejects) as log,
            open_teacher(teacher, ledger, other_ledgers(ledger), job=job) as session,
        ):
            result = Shard(wanted, log)
            with Progress(wanted.count, "instructions", details=session.status) as progress:
                while size := result.next_round():
                    _ask_round(session, maker, result, size, progress)
            result.check(rejects)
    write_jsonl(instructions, result.rows)
    result.report(pool).write(report)
    return {"ledger": str(ledger)}


def other_ledgers(ledger: Path) -> list[Path]:
    """Ledgers of the source's other shards, where requests are if the shard count has changed."""
    name = ledger.name.removesuffix(".zst")
    ledgers = [
        p for ending in ("", ".zst") for p in ledger.parent.glob(f"[!.]*.ledger.jsonl{ending}")
    ]
    return sorted(path for path in ledgers if path.name.removesuffix(".zst") != name)


def _prompt_pool(prompts: Path, generation: InstructionGeneration) -> PromptPool:
    """The prompts that may be shown as examples."""
    return PromptPool(
        prompts,
        max_characters=generation.max_example_characters,
        minimum=generation.examples_per_request,
        by_subset=generation.same_subset,
    )


@contextlib.contextmanager
def _compressed_jsonl(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a zstd-compressed file that gets its name when it is complete."""
    with (
        atomic_writer(path, "wb") as handle,
        zstandard.ZstdCompressor(level=6).stream_writer(handle, closefd=False) as stream,
    ):
        yield cast(io.BufferedIOBase, stream)


def _ask_round(
    session: TeacherSession, maker: PromptMaker, result: Shard, size: int, progress: Progress
) -> None:
    """Send the next `size` requests and process their answers in order."""
    pending: deque[InstructionPrompt] = deque()

    def requests() -> Iterator[Request]:
        for number in range(result.requests, result.requests + size):
            prompt = maker.prompt(number)
            pending.append(prompt)
            yield result.request(prompt)

    # The range, and so the round, is fixed before the first answer is processed.
    for _, answer in session.ask(requests()):
        before = len(result.rows)
        result.take(pending.popleft(), answer)
        progress.advance(len(result.rows) - before)
