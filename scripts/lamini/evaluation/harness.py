"""Our scorer as a model of lm-eval, registered as `lamini`.

lm-eval makes the requests and computes the metrics; here they are wrapped, tokenised as the
protocol says, and scored.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM

from lamini.evaluation.requests import RequestEncoder, TokenRequest
from lamini.evaluation.scoring import Score, Scorer
from lamini.log import Progress

logger = logging.getLogger("lamini")
PAPER_ENCODER_TOKENS = 2048
_SAME = {torch.float32: 1e-4}
"""Relative difference of two ways to compute a short probe; a wrong mask differs by far more."""
_SAME_IN_SHORT_FORMATS = 2e-2


TOKENS_PER_BATCH = {"gpu": 16_384, "cpu": 1_024}
"""What fills a GPU; what stays in a processor's caches, twice as fast there as the other."""


@register_model("lamini")
class LaminiLM(HFLM):
    """An encoder-decoder or decoder-only Hugging Face model, asked as the protocol says.

    Args:
        pretrained: folder, hub id, or a loaded model.
        prompt_format: wrapper of every context; null: none.
        protocol: `paper` or `modern`.
        max_encoder_tokens: longest input of an encoder-decoder; null: the protocol's.
        tokens_per_batch: padded tokens computed at once; null: `TOKENS_PER_BATCH` of the device.
        others: what lm-eval's `hf` model takes.
    """

    def __init__(
        self,
        pretrained: Any,
        prompt_format: str | None = None,
        protocol: str = "paper",
        max_encoder_tokens: int | None = None,
        tokens_per_batch: int | None = None,
        **others: Any,
    ) -> None:
        super().__init__(pretrained, **others)
        architecture = "decoder-only" if self.backend == "causal" else "encoder-decoder"
        if architecture == "encoder-decoder":
            paper = PAPER_ENCODER_TOKENS if protocol == "paper" else None
            self._max_length: int | None = max_encoder_tokens or paper or others.get("max_length")
        self.encoder = RequestEncoder(
            self.tokenizer,
            architecture,
            protocol,
            prompt_format,
            max_tokens=self.max_length,
            prefix_token=self.prefix_token_id,
        )
        kind = "cpu" if self.model.device.type == "cpu" else "gpu"
        self.scorer = Scorer(self.model, architecture, tokens_per_batch or TOKENS_PER_BATCH[kind])
        self.shares_work = self._probe()

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Score the continuation of each request after its context."""
        encoded = self.encoder.encode([request.args for request in requests])
        with Progress(len(encoded), "requests") as progress:
            if self.shares_work:
                return self.scorer.score(encoded, progress.advance)
            scores = self._stock(encoded)
            progress.advance(len(encoded))
            return scores

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Generate after each request's context, in its wrapper."""
        wrapped = [
            replace(r, arguments=(self.encoder.texts(r.args[0], "")[0], *r.args[1:]))
            for r in requests
        ]
        generated: list[str] = super().generate_until(wrapped, disable_tqdm=disable_tqdm)
        return generated

    def _stock(self, requests: Sequence[TokenRequest]) -> list[Score]:
        """lm-eval's own way: every request by itself, padded to the longest."""
        scores: list[Score] = self._loglikelihood_tokens(
            [(("", ""), r.context.tolist(), r.continuation.tolist()) for r in requests],
            disable_tqdm=True,
        )
        return scores

    def _probe(self) -> bool:
        """Whether sharing work gives this model's own answers, tried on a few short requests.

        Models that take positions from anything but `position_ids`, or whose layers see a window
        of the row, do not; they are then computed in lm-eval's way.
        """
        if getattr(self.model.config, "sliding_window", None):
            logger.info("attention has a sliding window: requests are computed one by one")
            return False
        generator = torch.Generator().manual_seed(0)
        size = min(self.model.get_input_embeddings().weight.shape[0], len(self.tokenizer))
        tokens = torch.randint(size, (40,), generator=generator).numpy()
        requests = [
            TokenRequest(tokens[:24], tokens[24:26]),
            TokenRequest(tokens[:24], tokens[26:30]),
            TokenRequest(tokens[:28], tokens[30:31]),
            TokenRequest(tokens[4:28], tokens[30:34]),
        ]
        try:
            shared = self.scorer.score(requests)
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            logger.info("requests are computed one by one: sharing work failed (%s)", error)
            return False
        alone = self._stock(requests)
        differences = [abs(a[0] / b[0] - 1) for a, b in zip(shared, alone, strict=True)]
        if max(differences) <= _SAME.get(self.model.dtype, _SAME_IN_SHORT_FORMATS):
            return True
        logger.info("requests are computed one by one: sharing differs by %.1g", max(differences))
        return False
