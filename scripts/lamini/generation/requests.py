"""The prompts that ask for instructions: which examples and topics each of them shows.

Request `i` of a shard draws its examples and topics with a seed made of (seed, source, shard, i)
alone: it is the same whatever else runs, and however many requests the shard needs.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lamini.errors import LaminiError
from lamini.files import derive_seed
from lamini.generation.prompt_template import PromptTemplate
from lamini.generation.prompts import PromptPool
from lamini.settings.sources import InstructionGeneration

Message = dict[str, str]


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


class PromptMaker:
    """Fills the prompts of one shard.

    Args:
        template: the prompt.
        pool: the seed prompts.
        topics: the topic list; needed when `generation.topics_per_request` is not 0.
        generation: how instructions are asked for.
        place: (seed, source, shard), which the draws depend on.

    Raises:
        LaminiError: when there are fewer topics than one request takes.
    """

    def __init__(
        self,
        template: PromptTemplate,
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
        self._template, self._pool, self._topics = template, pool, topics
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
            text=self._template.render(examples, topics, self._generation.instructions_per_request),
            examples=examples,
            example_ids=tuple(row["id"] for row in rows),
            subset=name or None,
            topics=tuple(topics),
            seed=draw.getrandbits(31),
        )
