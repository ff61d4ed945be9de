"""Our scorer as a model of lm-eval, registered as `lamini`.

lm-eval makes the requests and computes the metrics; here they are wrapped, tokenised as the
protocol says, and scored.
"""

import logging
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM

from lamini.evaluation.models import PAPER_ENCODER_TOKENS
from lamini.evaluation.proven_scorer import ProvenScorer
from lamini.evaluation.requests import RequestEncoder, fill_unscorable
from lamini.evaluation.text_tasks import generate_until
from lamini.log import Progress

logger = logging.getLogger("lamini")
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
        name: of the model in messages.
        others: what lm-eval's `hf` model takes.
    """

    def __init__(
        self,
        pretrained: Any,
        *,
        prompt_format: str | None = None,
        protocol: str = "paper",
        max_encoder_tokens: int | None = None,
        tokens_per_batch: int | None = None,
        name: str = "model",
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
        self.name, self.tokens_per_batch = name, tokens_per_batch
        kind = "cpu" if self.model.device.type == "cpu" else "gpu"
        self.scorer = ProvenScorer(name, self.model, tokens_per_batch or TOKENS_PER_BATCH[kind])

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Score the continuation of each request after its context."""
        encoded = self.encoder.encode([request.args for request in requests])
        scorable = [request for request in encoded if request is not None]
        with Progress(len(scorable), "requests") as progress:
            scores = self.scorer.score(scorable, progress.advance) if scorable else []
        return fill_unscorable(encoded, scores)

    def ways(self) -> dict[str, Any]:
        """How the last task's requests were computed; nothing if none was."""
        choice, self.scorer.choice = self.scorer.choice, None
        return choice.facts() if choice else {}

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Generate after each request's context, in its wrapper."""
        return generate_until(self, requests)
