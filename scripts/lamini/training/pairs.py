"""Split of the pairs into training pairs, held-out pairs and excluded pairs."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamini.errors import LaminiError
from lamini.files import derive_seed, read_jsonl
from lamini.settings.students import Recipe
from lamini.students.token_cache import UNUSABLE, Integers, TokenCache

logger = logging.getLogger("lamini")


@dataclass(frozen=True)
class Selection:
    """Training, held-out and excluded pairs, as rows of the token cache."""

    training: Integers
    held_out: Integers
    left_out: list[dict[str, Any]]
    """Pair, reason and lengths of each excluded pair."""

    def counts(self) -> dict[str, int]:
        """Number of excluded pairs by reason."""
        reasons = sorted({item["reason"] for item in self.left_out})
        return {r: sum(item["reason"] == r for item in self.left_out) for r in reasons}


def select_pairs(cache: TokenCache, recipe: Recipe) -> Selection:
    """Exclude unusable pairs and draw the held-out pairs with the recipe's seed.

    Raises:
        LaminiError: when no pair is left to train on.
    """
    prompts, responses = cache.prompt_lengths, cache.response_lengths
    reasons = np.full(len(cache), "", dtype="U17")
    reasons[responses > recipe.max_response_tokens] = "response_too_long"
    reasons[prompts > recipe.max_prompt_tokens] = "prompt_too_long"
    for row in read_jsonl(cache.folder / UNUSABLE):
        reasons[row["pair"]] = row["reason"]
    usable = np.flatnonzero(reasons == "")
    if len(usable) <= recipe.held_out_pairs:
        raise LaminiError(
            f"{cache.folder}: {len(usable)} of {len(cache)} pairs can be trained on, and"
            f" held_out_pairs is {recipe.held_out_pairs}: nothing is left; lower held_out_pairs or"
            " raise max_prompt_tokens and max_response_tokens"
        )
    generator = np.random.default_rng(derive_seed("held_out_pairs", recipe.seed))
    shuffled = generator.permutation(usable)
    left_out = [
        {
            "pair": int(pair),
            "reason": str(reasons[pair]),
            "prompt_tokens": int(prompts[pair]),
            "response_tokens": int(responses[pair]),
        }
        for pair in np.flatnonzero(reasons != "")
    ]
    selection = Selection(
        training=np.sort(shuffled[recipe.held_out_pairs :]),
        held_out=np.sort(shuffled[: recipe.held_out_pairs]),
        left_out=left_out,
    )
    logger.info(
        "%d training pairs, %d held-out pairs, excluded: %s",
        len(selection.training),
        len(selection.held_out),
        selection.counts() or "none",
    )
    return selection
