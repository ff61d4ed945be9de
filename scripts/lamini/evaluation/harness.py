"""Adapter of our scorer to lm-eval, registered as model `lamini`.

lm-eval builds the requests and computes the metrics. This module wraps the contexts in the prompt
format, tokenizes them by the protocol, and scores them. A chat template is applied by lm-eval
itself, through `apply_chat_template`, as description and solved examples are turns of their own.
"""

import logging
from typing import Any

from jinja2 import TemplateError
from lm_eval.api.instance import Instance
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM

from lamini.evaluation.models import PAPER_ENCODER_TOKENS
from lamini.evaluation.proven_scorer import ProvenScorer
from lamini.evaluation.requests import RequestEncoder, fill_unscorable
from lamini.evaluation.text_tasks import generate_until
from lamini.log import Progress
from lamini.prompt_formats import PromptFormat
from lamini.students.chat import ChatFormat

logger = logging.getLogger("lamini")


@register_model("lamini")
class LaminiLM(HFLM):
    """Hugging Face model, encoder-decoder or decoder-only, evaluated by a protocol.

    Args:
        pretrained: folder, hub id, or a loaded model.
        prompt_format: prompt format of every context; null: the bare context.
        protocol: `paper` or `modern`.
        max_encoder_tokens: maximum input length of an encoder-decoder; null: the protocol's.
        tokens_per_batch: padded tokens computed at once; null: measured on a GPU.
        name: name of the model in messages.
        others: arguments of lm-eval's `hf` model.
    """

    def __init__(
        self,
        pretrained: Any,
        *,
        prompt_format: PromptFormat | None = None,
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
        self.scorer = ProvenScorer(name, self.model, tokens_per_batch)
        self._without_system = False

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Prompt of a conversation, as lm-eval's `hf` model has it.

        A template that refuses system turns gets the conversation without them.
        """
        form = self.encoder.prompt_format
        assert isinstance(form, ChatFormat)

        def render(messages: list[dict[str, str]]) -> str:
            text: str = self.tokenizer.apply_chat_template(
                messages,
                chat_template=form.template,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
            return text

        try:
            return render(chat_history)
        except TemplateError:
            turns = [message for message in chat_history if message["role"] != "system"]
            if turns == chat_history:
                raise
            if not self._without_system:
                self._without_system = True
                logger.warning(
                    "%s: its chat template refuses system turns; tasks lose their descriptions",
                    self.name,
                )
            return render(turns)

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Score the continuation of each request after its context."""
        encoded = self.encoder.encode([request.args for request in requests])
        scorable = [request for request in encoded if request is not None]
        with Progress(len(scorable), "requests") as progress:
            scores = self.scorer.score(scorable, progress.advance) if scorable else []
        return fill_unscorable(encoded, scores)

    def way_fields(self) -> dict[str, Any]:
        """Way in which the last task's requests were computed; empty if there were none."""
        choice, self.scorer.choice = self.scorer.choice, None
        return choice.fields() if choice else {}

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Generate a text after the context of each request, in the prompt format."""
        return generate_until(self, requests)
