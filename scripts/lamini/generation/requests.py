"""Prompts that request instructions: random choice of their examples and topics.

The examples and topics of request `i` depend only on (seed, source, shard, i), not on other jobs or
on the number of requests.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lamini.errors import LaminiError
from lamini.files import derive_seed
from lamini.generation.prompt_template import PromptTemplate
from lamini.generation.prompts import PromptPool
from lamini.settings.sources import InstructionGeneration


@dataclass(frozen=True, slots=True)
class InstructionPrompt:
    """A rendered prompt, with its examples and topics."""

    text: str
    examples: tuple[str, ...]
    example_ids: tuple[str, ...]
    subset: str | None
    """The subset of all examples; None if they come from one pool of all subsets."""
    topics: tuple[str, ...]
    seed: int
    """Sampling seed of the request, if the teacher uses seeds; 31 bits fit every server."""


class PromptMaker:
    """Renders the prompts of one shard.

    Args:
        template: the prompt template.
        pool: the seed prompts.
        topics: the topic list; required if `generation.topics_per_request` is not 0.
        generation: numbers of examples, topics and instructions per request.
        seed_parts: (seed, source, shard), from which the seed of each request is derived.

    Raises:
        LaminiError: there are fewer topics than `topics_per_request`.
    """

    def __init__(
        self,
        template: PromptTemplate,
        pool: PromptPool,
        topics: Sequence[str],
        generation: InstructionGeneration,
        seed_parts: tuple[int, str, str],
    ) -> None:
        if len(topics) < generation.topics_per_request:
            raise LaminiError(
                f"sources.{seed_parts[1]}.generation.topics_per_request is"
                f" {generation.topics_per_request}, but there are only {len(topics)} topics;"
                " relax the filters of `topics`"
            )
        self._template, self._pool, self._topics = template, pool, topics
        self._generation, self._seed_parts = generation, seed_parts
        self._pools = sorted(pool.offsets)

    def prompt(self, number: int) -> InstructionPrompt:
        """The prompt of request `number`.

        The pool is drawn first, all pools with equal probability, then the examples from it.
        Otherwise large subsets would displace small ones.
        """
        draw = random.Random(derive_seed("generate_instructions", *self._seed_parts, number))
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
