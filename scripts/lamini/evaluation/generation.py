"""Batched text generation with the same result as for each prompt alone.

Only the caller's settings control decoding. A `generation_config.json` beside the weights (beams,
penalties, forced or suppressed tokens) is ignored, except for the end tokens that it lists. Each
prompt has its own random generator, so the batch size changes only speed and memory. Which prompts
may share a batch is proven on the loaded model (`generation_ways`).
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
"""Padded tokens of a batch, prompts and new tokens: enough to use a GPU or a CPU's vector units."""


@dataclass(frozen=True)
class Decoding:
    """Decoding settings: how the next token is chosen, and when a text ends."""

    max_new_tokens: int
    temperature: float = 0.0
    """Sampling temperature; 0: greedy decoding."""
    top_k: int = 0
    """Number of most likely tokens to sample from; 0: all tokens."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """Stop texts: generation ends after one of them. The caller cuts it and the text after it."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of transformers' `GenerationConfig`."""


@dataclass(frozen=True)
class Generated:
    """Tokens of one generated text."""

    tokens: list[int]
    """New tokens without the end token."""
    ended: bool
    """Whether an end token was generated within the limit."""


@dataclass
class Generator:
    """Text generation with one model.

    Args:
        name: name of the model in messages.
        model: a Hugging Face model with a language-model head, in evaluation mode.
        tokenizer: its fast tokenizer.
        tokens_per_batch: padded tokens of a batch, new tokens included; null: `TOKENS_PER_BATCH`
            of the device. It is lowered if a batch does not fit into memory.
    """

    name: str
    model: Any
    tokenizer: Any
    tokens_per_batch: int | None = None
    choice: Choice | None = None
    """Proven batching of the last `generate` call; None if the prompts allow no proof."""

    def __post_init__(self) -> None:
        kind = "cpu" if self.model.device.type == "cpu" else "gpu"
        self._budget = self.tokens_per_batch or TOKENS_PER_BATCH[kind]
        self.ends = _end_tokens(self.model, self.tokenizer)
        self._causal = not self.model.config.is_encoder_decoder
        start = None if self._causal else start_token(self.model)
        padding = self.tokenizer.pad_token_id
        self._padding = self.tokenizer.eos_token_id if padding is None else padding
        # `generate` fills unset fields from the model's own settings; these replace them.
        self._settings = GenerationConfig(
            eos_token_id=self.ends,
            pad_token_id=self._padding,
            decoder_start_token_id=start,
        )

    def room(self, max_new_tokens: int) -> int | None:
        """Maximum number of tokens of a prompt; null: no limit.

        Raises:
            LaminiError: if the model has too few positions for the new tokens.
        """
        encoder, most = position_limits(self.model)
        if most is not None and max_new_tokens > most - self._causal:
            raise LaminiError(
                f"{max_new_tokens} new tokens leave no room for a prompt in the model's {most}"
                " positions; lower the number of new tokens"
            )
        if self._causal:
            return None if most is None else most - max_new_tokens
        return encoder

    def generate(
        self, prompts: Sequence[Prompt], seeds: Sequence[int], decoding: Decoding
    ) -> Iterator[dict[int, Generated]]:
        """Generate a text after each prompt.

        Args:
            prompts: prompts from `wrapper.fit_prompts`.
            seeds: seed of each prompt's random generator.
            decoding: decoding settings.

        Yields:
            Generated texts of one batch, by the index of their prompt; the longest prompts first.

        Raises:
            LaminiError: if a single prompt does not fit into the memory of the device.
        """
        left = sorted(range(len(prompts)), key=lambda n: (-len(prompts[n].tokens), n))
        rows = [prompts[number].tokens for number in left]
        self.choice = choose_way(self, rows, decoding.max_new_tokens) if rows else None
        while left:
            batch = left[: self._batch_size([len(prompts[n].tokens) for n in left], decoding)]
            try:
                texts = self._batch(
                    [prompts[n] for n in batch], [seeds[n] for n in batch], decoding
                )
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise LaminiError(
                        "the GPU's memory is too small for the model and its longest prompt; use a"
                        " larger GPU, or set `precision: bf16`"
                    ) from error
                longest = len(prompts[batch[0]].tokens) + decoding.max_new_tokens
                self._budget = longest * (len(batch) // 2)
            else:
                left = left[len(batch) :]
                yield dict(zip(batch, texts, strict=True))
                continue
            torch.cuda.empty_cache()
            logger.info("out of GPU memory with %d texts: batch size halved", len(batch))

    def _batch_size(self, lengths: list[int], decoding: Decoding) -> int:
        """Number of prompts, from the first, in the next batch."""
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
        """New tokens after each prompt, including the end token and padding.

        Args:
            rows: token ids of each prompt.
            settings: fields of transformers' `GenerationConfig`.
            choosing: logits processors; the token with the largest processed score is chosen.
            stopping: criteria that end a text after a stop text.
        """
        tokens, mask = self._padded(rows)
        # A decoder-only model returns the prompt first, an encoder-decoder one start token.
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
        except Exception as error:  # model families raise errors of any type
            raise LaminiError(
                f"{self.name}: transformers can't generate with this {self.model.config.model_type}"
                f" ({type(error).__name__}: {error!s:.200})"
            ) from error
        finally:
            self.model.generation_config = of_the_model
        new: list[list[int]] = generated[:, start:].tolist()
        return new

    def _padded(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompts padded to one array, and the attention mask. Shape (B, longest) each.

        A decoder-only model continues at the right end, so its prompts are padded on the left.
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
    """Sampling by greedy choice: adds Gumbel noise from each row's own random generator.

    The argmax of scores plus Gumbel noise is distributed as their softmax (Gumbel-max trick,
    Maddison et al. 2014, arXiv 1411.0030).
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.empty(scores.shape, dtype=torch.float64)  # fp32: 1 in 10 million draws is 0
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores - noise.log().to(scores)


class _AfterTexts(StoppingCriteria):  # type: ignore[misc]
    """Stopping criterion: ends a row once it contains one of the stop texts."""

    def __init__(self, texts: Sequence[str], tokenizer: Any) -> None:
        self._texts, self._tokenizer = texts, tokenizer
        self.start = 0
        """Number of tokens of a row before the new tokens."""
        # A text of n bytes has at most n tokens; decoding may drop the first token's space.
        self._slice = max(len(text.encode()) for text in texts) + 1

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        new = input_ids[:, self.start :][:, -self._slice :]
        texts = self._tokenizer.batch_decode(new)
        ended = [any(text in generated for text in self._texts) for generated in texts]
        return torch.tensor(ended, device=input_ids.device)


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """End token of the tokenizer, and end tokens in the model's generation settings."""
    listed = model.generation_config.eos_token_id
    listed = listed if isinstance(listed, list) else [] if listed is None else [listed]
    return sorted({tokenizer.eos_token_id, *listed})
