"""AdamW with an optional state sharded over ranks, stored by parameter name.

With `shard_optimizer` each rank keeps the moments of its share of the parameters, updates these
parameters and sends them to the other ranks. Memory per rank is 8 bytes per parameter divided by
the number of ranks. The state is stored by parameter name, so a run may resume with another number
of ranks.
"""

import torch

from lamini.settings.students import Recipe
from lamini.training.ranks import Ranks

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class Optimizer:
    """AdamW with a learning rate per step.

    Args:
        parameters: the model's trainable parameters by name.
        recipe: settings of AdamW.
        ranks: the processes of the run.
    """

    def __init__(
        self, parameters: dict[str, torch.nn.Parameter], recipe: Recipe, ranks: Ranks
    ) -> None:
        self._parameters, self._ranks = parameters, ranks
        shares = ranks.world if recipe.shard_optimizer else 1
        self._owners = _assign(parameters, shares)
        self.sharded = shares > 1
        mine = [n for n in parameters if not self.sharded or self._owners[n] == ranks.rank]
        decayed = [parameters[n] for n in mine if _is_decayed(n, parameters[n])]
        others = [parameters[n] for n in mine if not _is_decayed(n, parameters[n])]
        groups = [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=recipe.learning_rate,
            betas=recipe.adam_betas,
            eps=recipe.adam_epsilon,
            fused=ranks.device.type == "cuda",
        )
        self._mine = mine

    def step(self, learning_rate: float) -> None:
        """Update the parameters; every rank holds the gradients summed over all ranks."""
        for group in self._adam.param_groups:
            group["lr"] = learning_rate
        self._adam.step()
        if self.sharded:
            for name, parameter in self._parameters.items():
                self._ranks.send(parameter.data, self._owners[name])

    def state(self) -> dict[str, torch.Tensor]:
        """State of this rank on the CPU, with keys `{moment}/{parameter}`."""
        return {
            f"{moment}/{name}": self._adam.state[self._parameters[name]][moment].detach().cpu()
            for name in self._mine
            if self._parameters[name] in self._adam.state
            for moment in _MOMENTS
        }

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Load a state, saved by any number of ranks, that contains at least this rank's share."""
        for name in self._mine:
            parameter = self._parameters[name]
            self._adam.state[parameter] = {
                # AdamW keeps `step` on the CPU unless it is fused.
                moment: state[f"{moment}/{name}"].to(
                    parameter.device if moment != "step" or self._fused() else "cpu"
                )
                for moment in _MOMENTS
            }

    def _fused(self) -> bool:
        return bool(self._adam.param_groups[0]["fused"])


def _is_decayed(name: str, parameter: torch.nn.Parameter) -> bool:
    """Whether weight decay applies: not to biases, T5's relative position biases, norm weights.

    transformers' Trainer does the same.
    """
    return parameter.ndim > 1 and "bias" not in name


def _assign(parameters: dict[str, torch.nn.Parameter], shares: int) -> dict[str, int]:
    """Rank that owns each parameter: largest first, to the rank with the fewest elements so far."""
    loads = [0] * shares
    owners = {}
    for name in sorted(parameters, key=lambda name: (-parameters[name].numel(), name)):
        owners[name] = loads.index(min(loads))
        loads[owners[name]] += parameters[name].numel()
    return owners
