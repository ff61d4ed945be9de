"""Assignment of instructions to annotators: one person rates all answers to one (section 4.2)."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from lamini.files import derive_seed


def annotator_names(count: int) -> list[str]:
    """Names of a study's annotators, also used as the names of their pages."""
    return [f"annotator_{number}" for number in range(1, count + 1)]


def assign_groups(
    strata: Mapping[str, str], annotators: Sequence[str], rated_twice: float, seed: int
) -> dict[str, tuple[str, ...]]:
    """Assign instructions to annotators, balanced over annotators and strata.

    The strata are shuffled, and their instructions are assigned in turn. First assignments differ
    by at most one instruction between annotators. An annotator gets two instructions of a stratum
    only if the stratum has more instructions than there are annotators.

    Args:
        strata: app or source of each group.
        annotators: names of the annotators; none if the judge alone rates.
        rated_twice: share of the groups with a second annotator: the one with the fewest groups.
        seed: of the shuffles.

    Returns:
        Annotators of each group, the first one first, in the order in which groups are shown.
    """
    draw = random.Random(derive_seed("assign_groups", seed))
    names = sorted(set(strata.values()))
    draw.shuffle(names)
    rank = {name: index for index, name in enumerate(names)}
    groups = sorted(strata)
    draw.shuffle(groups)
    groups.sort(key=lambda group: rank[strata[group]])
    if not annotators:
        draw.shuffle(groups)
        return dict.fromkeys(groups, ())
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
