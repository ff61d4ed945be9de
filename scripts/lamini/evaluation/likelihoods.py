"""Log-likelihoods of target tokens from the hidden states that predict them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lamini.arrays import Integers
from lamini.evaluation.batches import OnItsWay, to_device
from lamini.forward.states import head_logits

LOGITS_AT_ONCE = 2**26
"""Maximum number of logits in memory at a time: 256 MiB in fp32."""
TokenLikelihoods = tuple[torch.Tensor, torch.Tensor]
"""Log-likelihood of each token of a continuation, and whether it is the most likely. Shape (T,)."""


@dataclass(frozen=True)
class BatchLikelihoods:
    """Log-likelihoods of a batch's continuations, which a GPU may still be computing."""

    values: OnItsWay
    lengths: list[int]
    """Tokens of each continuation."""

    def read(self) -> list[TokenLikelihoods]:
        """Wait for the results. One per continuation, on the CPU."""
        likelihoods, greedy = (tensor.split(self.lengths) for tensor in self.values.read())
        return list(zip(likelihoods, greedy, strict=True))


def rows_of_logits(model: Any) -> int:
    """Number of positions whose logits may be in memory at the same time."""
    return max(1, LOGITS_AT_ONCE // model.get_input_embeddings().weight.shape[0])


def read_log_likelihoods(
    model: Any, states: torch.Tensor, nodes: list[Integers], targets: list[Integers]
) -> BatchLikelihoods:
    """Compute the log-likelihoods of target tokens, each distinct state's logits once.

    Args:
        model: the model, for its output head.
        states: hidden states. Shape (S, width).
        nodes: for each request, indices of the states that predict its tokens.
        targets: for each request, its target tokens.
    """
    device, wanted = states.device, np.concatenate(targets)
    distinct, inverse = np.unique(np.concatenate(nodes), return_inverse=True)
    chosen = states[to_device(distinct, device)]
    likelihoods = torch.empty(len(wanted), dtype=torch.float32, device=device)
    greedy = torch.empty(len(wanted), dtype=torch.bool, device=device)
    step = rows_of_logits(model)
    for start in range(0, len(chosen), step):
        logits = head_logits(model, chosen[start : start + step]).float()
        # Indices come from the CPU: to search for them on a GPU, the CPU would have to wait.
        indices = np.flatnonzero((inverse >= start) & (inverse < start + step))
        here, at = to_device(indices, device), to_device(inverse[indices] - start, device)
        token = to_device(wanted[indices], device)
        likelihoods[here] = logits[at, token] - logits.logsumexp(dim=1)[at]
        greedy[here] = logits.argmax(dim=1)[at] == token
    return BatchLikelihoods(OnItsWay(likelihoods, greedy), [len(target) for target in targets])
