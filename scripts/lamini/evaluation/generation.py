"""Batched text generation with the same result as for each prompt alone.

Only the caller's settings control decoding. A `generation_config.json` beside the weights (beams,
penalties, forced or suppressed tokens) is ignored, except for the end tokens that it lists. Each
prompt has its own random generator, so the batch size changes only speed and memory. Which prompts
may share a batch is proven on the loaded model (`generation_ways`). Texts that have ended leave
their batch (`generation_rows`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.logits_process import LogitsProcessorList
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList

from lamini.errors import LaminiError
from lamini.evaluation.batches import Batching
from lamini.evaluation.decoding import Decoding, GumbelSampling, RowLogitsProcessor
from lamini.evaluation.generation_rows import (
    AfterTexts,
    HalfEnded,
    Interruption,
    Rows,
)
from lamini.evaluation.generation_ways import ALIKE, ALONE, PADDED, choose_way
from lamini.evaluation.likelihoods import rows_of_logits
from lamini.evaluation.wrapper import Prompt
from lamini.forward.own import position_limits, start_token
from lamini.forward.proof import Choice
from lamini.training.micro_batches import MicroBatchCosts

CPU_TOKENS = 4_096
"""Padded tokens of a batch on a CPU, prompts and new tokens: enough to use its vector units."""


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
        tokens_per_batch: padded tokens of a batch, new tokens included; null: `CPU_TOKENS`, or
            measured on a GPU. Fewer if they do not fit into the memory.
    """

    name: str
    model: Any
    tokenizer: Any
    tokens_per_batch: int | None = None
    choice: Choice | None = None
    """Proven way of the last `generate` call; None if the prompts allow no proof."""
    shrinks: bool = False
    """Whether ended rows leave their batch; set by `choose_way`."""

    def __post_init__(self) -> None:
        self._batching = Batching(self.model.device, CPU_TOKENS, self.tokens_per_batch)
        self.ends = _end_tokens(self.model, self.tokenizer)
        self._causal = not self.model.config.is_encoder_decoder
        self._start = None if self._causal else start_token(self.model)
        padding = self.tokenizer.pad_token_id
        self._padding = self.tokenizer.eos_token_id if padding is None else padding
        # `generate` fills unset fields from the model's own settings; these replace them.
        self._settings = GenerationConfig(
            eos_token_id=self.ends,
            pad_token_id=self._padding,
            decoder_start_token_id=self._start,
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
        order = sorted(range(len(prompts)), key=lambda n: (-len(prompts[n].tokens), n))
        rows = [prompts[number].tokens for number in order]
        if not rows:
            return
        self.choice = choose_way(self, rows, decoding.max_new_tokens)

        def sample(tokens: int) -> int:
            # The cache of a whole text; an encoder may have no more positions than the prompt.
            length = len(rows[0]) + self._causal * decoding.max_new_tokens
            count = max(1, tokens // length)
            whole = (rows[0] * (length // len(rows[0]) + 1))[:length]
            self.run([whole] * count, 1)
            return count * length

        batches = self._batching.computed(
            order,
            [len(row) + decoding.max_new_tokens for row in rows],
            self._size,
            lambda numbers: self._batch(
                [prompts[n] for n in numbers], [seeds[n] for n in numbers], decoding
            ),
            sample,
        )
        for numbers, texts in batches:
            yield dict(zip(numbers, texts, strict=True))

    def _size(self, lengths: Sequence[int], costs: MicroBatchCosts) -> int:
        """Number of prompts in the next batch."""
        way = self.choice.way if self.choice else ALONE
        alike = next((n for n, length in enumerate(lengths) if length != lengths[0]), len(lengths))
        allowed = {PADDED: len(lengths), ALIKE: alike}.get(way, 1)
        fitting = min(costs.budget // lengths[0], rows_of_logits(self.model))
        return min(allowed, max(1, fitting))

    def _batch(
        self, prompts: list[Prompt], seeds: list[int], decoding: Decoding
    ) -> list[Generated]:
        processors: list[RowLogitsProcessor] = []
        if decoding.temperature > 0:
            processors.append(GumbelSampling(seeds, decoding))
        rows = [prompt.tokens for prompt in prompts]
        new = self.run(
            rows, decoding.max_new_tokens, processors, stop=decoding.stop, others=decoding.others
        )
        return [self._until_end(row) for row in new]

    @torch.inference_mode()
    def run(
        self,
        rows: list[list[int]],
        most: int,
        processors: Sequence[RowLogitsProcessor] = (),
        *,
        stop: Sequence[str] = (),
        others: Mapping[str, object] | None = None,
        interruption: Interruption | None = None,
    ) -> list[list[int]]:
        """New tokens after each prompt, including the end token; more may follow it.

        Args:
            rows: token ids of each prompt.
            most: maximum number of new tokens.
            processors: logits processors; the token with the largest processed score is chosen.
            stop: stop texts.
            others: other fields of transformers' `GenerationConfig`.
            interruption: interrupts the batch; None: when half of the rows have ended.
        """
        batch, numbers = self._first(rows), list(range(len(rows)))
        # A decoder-only model returns the prompt first, an encoder-decoder one start token.
        start = batch.tokens.shape[1] if self._causal else 1
        texts = [list[int]() for _ in rows]
        stopping = AfterTexts(stop, self.tokenizer, start) if stop else None
        while numbers:
            ending = None
            if self.shrinks and not others:  # beams or counted tokens allow no interruption
                ending = interruption or HalfEnded(self.ends, stopping)
            done = 0 if batch.cache is None else batch.tokens.shape[1] - start
            criteria = [each for each in (ending or stopping,) if each is not None]
            output = self._generated(batch, most - done, processors, criteria, others)
            for number, row in zip(numbers, output.sequences[:, start:].tolist(), strict=True):
                texts[number] = row
            if ending is None or output.sequences.shape[1] - start == most:
                break
            if not (kept := ending.left()):
                break
            batch = batch.after(output, kept)
            numbers = [numbers[row] for row in kept]
            for processor in processors:
                processor.keep(kept)
        return texts

    def _generated(
        self,
        batch: Rows,
        most: int,
        processors: Sequence[RowLogitsProcessor] = (),
        stopping: Sequence[StoppingCriteria] = (),
        others: Mapping[str, object] | None = None,
    ) -> Any:
        """Output of transformers' `generate` with our settings only."""
        of_the_model = self.model.generation_config
        self.model.generation_config = self._settings
        try:
            return self.model.generate(
                **batch.arguments(),
                generation_config=GenerationConfig(
                    max_new_tokens=most, return_dict_in_generate=True, **(others or {})
                ),
                logits_processor=LogitsProcessorList(processors),
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

    def _first(self, rows: list[list[int]]) -> Rows:
        """Prompts padded to one length.

        A decoder-only model continues at the right end, so its prompts are padded on the left.
        """
        longest = max(map(len, rows))
        tokens = torch.full((len(rows), longest), self._padding)
        mask = torch.zeros_like(tokens)
        for number, row in enumerate(rows):
            columns = slice(longest - len(row), None) if self._causal else slice(len(row))
            tokens[number, columns], mask[number, columns] = torch.tensor(row), 1
        tokens, mask = tokens.to(self.model.device), mask.to(self.model.device)
        if self._start is None or not self.shrinks:
            return Rows(tokens, mask)
        encoded = self.model.get_encoder()(input_ids=tokens, attention_mask=mask)
        begun = torch.full((len(rows), 1), self._start, device=self.model.device)
        return Rows(begun, mask, encoded.last_hidden_state)

    def _until_end(self, tokens: list[int]) -> Generated:
        for position, token in enumerate(tokens):
            if token in self.ends:
                return Generated(tokens[:position], True)
        return Generated(tokens, False)


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """End token of the tokenizer, and end tokens in the model's generation settings."""
    listed = model.generation_config.eos_token_id
    listed = listed if isinstance(listed, list) else [] if listed is None else [listed]
    return sorted({tokenizer.eos_token_id, *listed})
