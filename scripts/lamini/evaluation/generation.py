"""Texts generated in batches: each as if its prompt were alone, and by the given settings only.

A `generation_config.json` beside the weights (beams, penalties, forced or suppressed tokens) has no
effect, but the end tokens that it lists are end tokens. Random numbers belong to a prompt, not to
its batch, so that a batch's size decides about speed and memory and nothing else. What a batch may
hold is proven on the model in hand (`generation_ways`).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList

from lamini.errors import LaminiError
from lamini.evaluation.generation_ways import ALIKE, ALONE, PADDED, choose_way
from lamini.evaluation.wrapper import Prompt
from lamini.forward.own import position_limits, start_token
from lamini.forward.proof import Choice

logger = logging.getLogger("lamini")
TOKENS_PER_BATCH = {"gpu": 16_384, "cpu": 4_096}
"""Padded tokens of prompts and new ones in a batch: what fills a GPU, and a CPU's vector units."""


@dataclass(frozen=True)
class Decoding:
    """How the next token is chosen, and when a text ends."""

    max_new_tokens: int
    temperature: float = 0.0
    """0: greedy."""
    top_k: int = 0
    """0: all tokens."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """Texts after which nothing more is needed; they and what follows are for the caller to cut."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of transformers' `GenerationConfig`."""


@dataclass(frozen=True)
class Generated:
    """A generated text in tokens."""

    tokens: list[int]
    """Without the end token."""
    ended: bool
    """Whether an end token came within the limit."""


@dataclass
class Generator:
    """Generates with one model.

    Args:
        name: of the model, for messages.
        model: a Hugging Face model with a language-model head, in evaluation mode.
        tokenizer: its fast tokenizer.
        tokens_per_batch: padded tokens of a batch, new ones included; null: `TOKENS_PER_BATCH` of
            the device. Lowered when memory does not suffice.
    """

    name: str
    model: Any
    tokenizer: Any
    tokens_per_batch: int | None = None
    choice: Choice | None = None
    """What the batches of the last texts could hold; none if nothing could be proven."""

    def __post_init__(self) -> None:
        kind = "cpu" if self.model.device.type == "cpu" else "gpu"
        self._budget = self.tokens_per_batch or TOKENS_PER_BATCH[kind]
        self.ends = _end_tokens(self.model, self.tokenizer)
        self._causal = not self.model.config.is_encoder_decoder
        start = None if self._causal else start_token(self.model)
        padding = self.tokenizer.pad_token_id
        self._padding = self.tokenizer.eos_token_id if padding is None else padding
        # `generate` takes what a call leaves open from the model's settings: while it runs, these.
        self._settings = GenerationConfig(
            eos_token_id=self.ends,
            pad_token_id=self._padding,
            decoder_start_token_id=start,
        )

    def room(self, max_new_tokens: int) -> int | None:
        """Most tokens of a prompt; null: any number.

        Raises:
            LaminiError: when the model has no room for so many new tokens.
        """
        encoder, most = position_limits(self.model)
        if most is not None and max_new_tokens > most - self._causal:
            raise LaminiError(
                f"{max_new_tokens} new tokens leave no room for a prompt in the model's {most}"
                " positions; ask for fewer"
            )
        if self._causal:
            return None if most is None else most - max_new_tokens
        return encoder

    def generate(
        self, prompts: Sequence[Prompt], seeds: Sequence[int], decoding: Decoding
    ) -> Iterator[dict[int, Generated]]:
        """Generate a text after each prompt.

        Args:
            prompts: as `wrapper.fit_prompts` gives them.
            seeds: of each prompt's random numbers.
            decoding: how.

        Yields:
            For each batch, the prompts' numbers and what was generated; the longest prompts first.

        Raises:
            LaminiError: when a single prompt does not fit into the device's memory.
        """
        left = sorted(range(len(prompts)), key=lambda n: (-len(prompts[n].tokens), n))
        rows = [prompts[number].tokens for number in left]
        self.choice = choose_way(self, rows, decoding.max_new_tokens) if rows else None
        while left:
            batch = left[: self._fitting([len(prompts[n].tokens) for n in left], decoding)]
            try:
                texts = self._batch(
                    [prompts[n] for n in batch], [seeds[n] for n in batch], decoding
                )
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise LaminiError(
                        "the GPU's memory does not hold the model and its longest prompt; ask for a"
                        " larger GPU, or set `precision: bf16`"
                    ) from error
                longest = len(prompts[batch[0]].tokens) + decoding.max_new_tokens
                self._budget = longest * (len(batch) // 2)
            else:
                left = left[len(batch) :]
                yield dict(zip(batch, texts, strict=True))
                continue
            torch.cuda.empty_cache()
            logger.info("the GPU's memory does not hold %d texts at once: halved", len(batch))

    def _fitting(self, lengths: list[int], decoding: Decoding) -> int:
        """How many of the first prompts make a batch."""
        way = self.choice.way if self.choice else ALONE
        allowed = {PADDED: len(lengths), ALIKE: lengths.count(lengths[0])}.get(way, 1)
        return min(allowed, max(1, self._budget // (lengths[0] + decoding.max_new_tokens)))

    def _batch(
        self, prompts: list[Prompt], seeds: list[int], decoding: Decoding
    ) -> list[Generated]:
        choosing: list[LogitsProcessor] = []
        if decoding.temperature > 0:
            choosing.append(TemperatureLogitsWarper(decoding.temperature))
            if decoding.top_k:
                choosing.append(TopKLogitsWarper(decoding.top_k))
            if decoding.top_p < 1:
                choosing.append(TopPLogitsWarper(decoding.top_p))
            choosing.append(_Draws(seeds))
        stopping = [_AfterTexts(decoding.stop, self.tokenizer)] if decoding.stop else []
        settings = {"max_new_tokens": decoding.max_new_tokens, **decoding.others}
        rows = [prompt.tokens for prompt in prompts]
        return [self._until_end(row) for row in self.run(rows, settings, choosing, stopping)]

    @torch.inference_mode()
    def run(
        self,
        rows: list[list[int]],
        settings: dict[str, Any],
        choosing: Sequence[LogitsProcessor],
        stopping: "Sequence[_AfterTexts]" = (),
    ) -> list[list[int]]:
        """New tokens after each prompt, the end token and padding after it included.

        Args:
            rows: prompts in tokens.
            settings: fields of transformers' `GenerationConfig`.
            choosing: change the scores of which the largest is taken.
            stopping: end texts.
        """
        tokens, mask = self._padded(rows)
        # A decoder-only model repeats its prompt; an encoder-decoder's text starts with one token.
        start = tokens.shape[1] if self._causal else 1
        for criterion in stopping:
            criterion.start = start
        of_the_model = self.model.generation_config
        self.model.generation_config = self._settings
        try:
            generated = self.model.generate(
                input_ids=tokens,
                attention_mask=mask,
                generation_config=GenerationConfig(**settings),
                logits_processor=LogitsProcessorList(choosing),
                stopping_criteria=StoppingCriteriaList(stopping),
            )
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a family may fail in any way
            raise LaminiError(
                f"{self.name}: transformers can't generate with this {self.model.config.model_type}"
                f" ({type(error).__name__}: {error!s:.200})"
            ) from error
        finally:
            self.model.generation_config = of_the_model
        new: list[list[int]] = generated[:, start:].tolist()
        return new

    def _padded(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompts as one array, and where it holds something. Shape (B, longest) each.

        A decoder-only model goes on at the right end, so its prompts are filled up on the left.
        """
        longest = max(map(len, rows))
        tokens = torch.full((len(rows), longest), self._padding)
        mask = torch.zeros_like(tokens)
        for number, row in enumerate(rows):
            place = slice(longest - len(row), None) if self._causal else slice(len(row))
            tokens[number, place], mask[number, place] = torch.tensor(row), 1
        return tokens.to(self.model.device), mask.to(self.model.device)

    def _until_end(self, tokens: list[int]) -> Generated:
        for place, token in enumerate(tokens):
            if token in self.ends:
                return Generated(tokens[:place], True)
        return Generated(tokens, False)


class _Draws(LogitsProcessor):  # type: ignore[misc]
    """Makes the greedy choice a random draw, from each row's own generator.

    The largest of scores with Gumbel noise is distributed as their softmax (Gumbel-max trick,
    Maddison et al. 2014, arXiv 1411.0030).
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.empty(scores.shape, dtype=torch.float64)  # in fp32 one in 10 million is 0
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores - noise.log().to(scores)


class _AfterTexts(StoppingCriteria):  # type: ignore[misc]
    """Ends each row after any of the texts."""

    def __init__(self, texts: Sequence[str], tokenizer: Any) -> None:
        self._texts, self._tokenizer = texts, tokenizer
        self.start = 0
        """Tokens of a row before the new ones."""
        # A text of n bytes has at most n tokens; the first of a slice may lose its space.
        self._slice = max(len(text.encode()) for text in texts) + 1

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        new = input_ids[:, self.start :][:, -self._slice :]
        texts = self._tokenizer.batch_decode(new)
        ended = [any(text in generated for text in self._texts) for generated in texts]
        return torch.tensor(ended, device=input_ids.device)


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokenizer's end token, and those that the model's generation settings list."""
    listed = model.generation_config.eos_token_id
    listed = listed if isinstance(listed, list) else [] if listed is None else [listed]
    return sorted({tokenizer.eos_token_id, *listed})
