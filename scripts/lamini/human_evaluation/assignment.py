"""Who rates what: all answers to an instruction go to the same person (section 4.2)."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from lamini.files import derive_seed


def assign_groups(
    strata: Mapping[str, str], annotators: Sequence[str], rated_twice: float, seed: int
) -> dict[str, tuple[str, ...]]:
    """Deal instructions to annotators, as evenly as can be.

    Strata are shuffled and their instructions dealt one after the other: first shares differ by one
    instruction at most, and an annotator gets two of one stratum only when it has more instructions
    than there are annotators.

    Args:
        strata: app or source of each group.
        annotators: names of those who rate.
        rated_twice: share of the groups that get a second annotator, from those with least to do.
        seed: of the shuffles.

    Returns:
        The annotators of each group, first one first, in the order in which groups are shown.
    """
    draw = random.Random(derive_seed("assign_groups", seed))
    names = sorted(set(strata.values()))
    draw.shuffle(names)
    rank = {name: place for place, name in enumerate(names)}
    groups = sorted(strata)
    draw.shuffle(groups)
    groups.sort(key=lambda group: rank[strata[group]])
    first = {group: annotators[n % len(annotators)] for n, group in enumerate(groups)}
    load = Counter(first.values())
    assigned: dict[str, tuple[str, ...]] = {group: (name,) for group, name in first.items()}
    for group in draw.sample(groups, round(rated_twice * len(groups))):
        others = [name for name in annotators if name != first[group]]
        second = min(others, key=lambda name: (load[name], annotators.index(name)))
        load[second] += 1
        assigned[group] = (first[group], second)
    draw.shuffle(groups)
    return {group: assigned[group] for group in groups}
