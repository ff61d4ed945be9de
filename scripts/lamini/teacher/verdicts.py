"""Decision whether a refusal concerns one prompt or all requests of a job.

Endpoints use the same status for both: 400 for a prompt that is too long and for a parameter that
the model does not take. After good answers, a refusal concerns its prompt: the job keeps a row with
the reason, and continues. Before the first good answer a few refusals wait for one. If all prompts
are refused, or a large share of them, the job ends.
"""

import logging
from dataclasses import dataclass

from lamini.errors import LaminiError
from lamini.teacher.replies import PromptRefused

logger = logging.getLogger("lamini")

_MAX_WAITING = 3
"""Refusals before the first good answer, after which the job ends."""
_JUDGED = 40
"""Answers and refusals before the share of refusals is judged."""


REMEDY = "correct the settings, or raise teacher.max_refused_share"


@dataclass
class Verdicts:
    """Refusals and good answers of a live session, or of one batch.

    Args:
        most_refused: maximum share of refused prompts.
        answered: number of good answers; those of earlier sessions count once.
    """

    most_refused: float
    answered: int = 0
    refused: int = 0
    waiting: int = 0
    """Refusals that wait for the first good answer."""
    last: PromptRefused | None = None
    """The last refusal of a prompt."""

    def good(self) -> None:
        """Count a good answer."""
        self.answered += 1

    @property
    def too_many(self) -> bool:
        """Whether the share of refusals shows that they concern all requests."""
        judged = self.refused + self.answered
        return judged >= _JUDGED and self.refused > self.most_refused * judged

    def concerns_prompt(self, refusal: PromptRefused) -> bool:
        """Whether a refusal concerns its prompt only; False: it is not known yet.

        Raises:
            LaminiError: when the refusals concern all requests.
        """
        if not refusal.certain and not self.answered:
            self.waiting += 1
            if self.waiting >= _MAX_WAITING:
                raise refusal.error
            return False
        self.refused += 1
        if self.refused == 1:
            logger.warning(
                "the endpoint refuses a prompt (%s); such rows are kept with finish_reason"
                " `context_length`, `content_filter` or `refused`, and counted",
                refusal,
            )
        self.last = refusal
        self.judge()
        return True

    def judge(self) -> None:
        """Judge the share of refusals; call it after an answer, too, which may be the 40th judged.

        Raises:
            LaminiError: when they are too many.
        """
        if self.last is not None and self.too_many:
            judged = self.refused + self.answered
            raise LaminiError(
                f"the endpoint refused {self.refused} of {judged} prompts, last: {self.last.error};"
                f" {REMEDY}"
            )
