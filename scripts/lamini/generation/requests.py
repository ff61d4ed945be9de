"""The prompts that ask for instructions: Figures 2 and 7 of the paper, and how they are filled.

Request `i` of a shard draws its examples and topics with a seed made of (seed, source, shard, i)
alone: it is the same whatever else runs, and however many requests the shard needs.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lamini.errors import LaminiError
from lamini.files import derive_seed
from lamini.generation.prompts import PromptPool
from lamini.settings.sources import InstructionGeneration

Message = dict[str, str]

_LABELLED = "<example>{}</example>"
_TOPICS = ' with the topics "{}"'
_CONSTRAINTS = (
    "Generate {count} diverse examples that are similar to the provided examples{topics}.\n"
    "You do not need to provide a response to the generated examples.\n"
    "Each example must include an instruction.\n"
    "Each generated instruction can be either an imperative sentence or a question.\n"
    'Each example must start with the label "<example>" and end with the label "</example>".'
)


@dataclass(frozen=True, slots=True)
class InstructionPrompt:
    """One filled prompt, and what it was filled with."""

    text: str
    examples: tuple[str, ...]
    example_ids: tuple[str, ...]
    subset: str | None
    """The subset that all examples come from; null when they may come from several."""
    topics: tuple[str, ...]
    seed: int
    """For the request, where the teacher takes one: 31 bits, which every server accepts."""


def prompt_text(examples: Sequence[str], topics: Sequence[str], count: int) -> str:
    """The prompt of Figure 2; with topics, that of Figure 7.

    Figure 7 ends in `".`, a slip of typesetting that the example-guided prompt has not; it is
    left out.
    """
    shown = "\n".join(_LABELLED.format(example) for example in examples)
    guide = _TOPICS.format(", ".join(topics)) if topics else ""
    return f"{shown}\n\n{_CONSTRAINTS.format(count=count, topics=guide)}"


class PromptMaker:
    """Fills the prompts of one shard.

    Args:
        pool: the seed prompts.
        topics: the topic list; needed when `generation.topics_per_request` is not 0.
        generation: how instructions are asked for.
        place: (seed, source, shard), which the draws depend on.

    Raises:
        LaminiError: when there are fewer topics than one request takes.
    """

    def __init__(
        self,
        pool: PromptPool,
        topics: Sequence[str],
        generation: InstructionGeneration,
        place: tuple[int, str, str],
    ) -> None:
        if len(topics) < generation.topics_per_request:
            raise LaminiError(
                f"sources.{place[1]}.generation.topics_per_request is"
                f" {generation.topics_per_request}, but there are only {len(topics)} topics;"
                " relax the filters of `topics`"
            )
        self._pool, self._topics = pool, topics
        self._generation, self._place = generation, place
        self._pools = sorted(pool.offsets)

    def prompt(self, number: int) -> InstructionPrompt:
        """The prompt of request `number`.

        The subset is drawn first, each as likely as the other, then the examples from it: big
        subsets would else crowd out the small ones.
        """
        draw = random.Random(derive_seed("generate_instructions", *self._place, number))
        name = draw.choice(self._pools)
        size = len(self._pool.offsets[name])
        chosen = draw.sample(range(size), self._generation.examples_per_request)
        rows = [self._pool.read(name, index) for index in chosen]
        topics = draw.sample(self._topics, self._generation.topics_per_request)
        examples = tuple(row["instruction"] for row in rows)
        return InstructionPrompt(
            text=prompt_text(examples, topics, self._generation.instructions_per_request),
            examples=examples,
            example_ids=tuple(row["id"] for row in rows),
            subset=name or None,
            topics=tuple(topics),
            seed=draw.getrandbits(31),
        )
