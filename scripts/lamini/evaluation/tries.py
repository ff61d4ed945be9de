"""Token sequences laid out so that what several begin with is computed once.

The requests of an example share their context, those of neighbouring examples often more than the
wrapper. Each row is a trie in depth-first order: a token stands in it once for all sequences that
have the same tokens up to it. A token may see its ancestors, which are the tokens before it in its
own sequence; its position is its depth. So each state is what it would be in a sequence alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lamini.evaluation.requests import TokenRequest
from lamini.students.token_cache import Integers

MOST_TOKENS = 1024
"""Most tokens of a row; attention within it costs its square."""
LEAST_SHARED = 16
"""Tokens that a sequence must share with the one before it to stand in the same row."""


@dataclass
class Row:
    """One trie."""

    tokens: Integers
    """Shape (N,)."""
    depths: Integers
    """Position of each token in its sequences. Shape (N,)."""
    ends: Integers
    """One past the last descendant: token k is an ancestor of q if k <= q < ends[k]. Shape (N,)."""
    requests: list[int]
    """Which requests are scored in this row."""
    nodes: list[Integers]
    """For each of them, the tokens after which its continuation's tokens are predicted."""

    @property
    def branched(self) -> bool:
        """Whether the row holds more than one sequence's tokens in a line."""
        return bool((self.ends != len(self.tokens)).any())


@dataclass
class _Growing:
    """A trie to which sequences are added in lexicographic order."""

    path: Integers
    """Nodes of the last sequence, by depth."""
    last: Integers = field(init=False)
    """Tokens of the last sequence."""
    tokens: list[Integers] = field(default_factory=list)
    depths: list[Integers] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    closed: list[tuple[Integers, int]] = field(default_factory=list)
    size: int = 0
    requests: list[int] = field(default_factory=list)
    nodes: list[Integers] = field(default_factory=list)

    def add(self, number: int, sequence: Integers, shared: int, first_scored: int) -> None:
        """Add one sequence that shares its first tokens with the last one."""
        self.closed.append((self.path[shared:], self.size))
        new = len(sequence) - shared
        self.path = np.concatenate([self.path[:shared], np.arange(self.size, self.size + new)])
        self.tokens.append(sequence[shared:])
        self.depths.append(np.arange(shared, len(sequence)))
        self.size += new
        self.last = sequence
        self.requests.append(number)
        self.nodes.append(self.path[first_scored:])

    def finish(self) -> Row:
        """The finished row."""
        ends = np.full(self.size, self.size)
        for nodes, end in self.closed:
            ends[nodes] = end
        tokens, depths = np.concatenate(self.tokens), np.concatenate(self.depths)
        return Row(tokens, depths, ends, self.requests, self.nodes)


def build_rows(
    requests: Sequence[TokenRequest], *, shared: bool = True, most: int = MOST_TOKENS
) -> list[Row]:
    """Lay out the requests of a decoder-only model.

    Args:
        requests: any; the last token of a continuation is predicted but never fed.
        shared: whether requests may share a row; equal ones always do.
        most: tokens of a row, unless one sequence alone is longer.

    Returns:
        Rows that together hold every request once, the longest first.
    """
    fed = [np.concatenate([r.context, r.continuation[:-1]]) for r in requests]
    # Big-endian bytes compare as the numbers do, and much faster than lists of them.
    order = sorted(range(len(fed)), key=lambda i: fed[i].astype(">u4").tobytes())
    rows = _grow(order, fed, [len(r.context) - 1 for r in requests], most if shared else 0)
    return sorted(rows, key=lambda row: -len(row.tokens))


def _grow(
    order: list[int], fed: list[Integers], first_scored: list[int], most: int
) -> Iterator[Row]:
    growing: _Growing | None = None
    for number in order:
        sequence = fed[number]
        shared = _shared(growing.last, sequence) if growing else 0
        if growing is not None:
            full = growing.size + len(sequence) - shared > most
            equal = shared == len(sequence) == len(growing.last)
            if not equal and (shared < LEAST_SHARED or full):
                yield growing.finish()
                growing, shared = None, 0
        if growing is None:
            growing = _Growing(path=np.array([], dtype=np.int64))
        growing.add(number, sequence, shared, first_scored[number])
    if growing is not None:
        yield growing.finish()


def _shared(first: Integers, second: Integers) -> int:
    """How many tokens two sequences have in common from the left."""
    most = min(len(first), len(second))
    differing = np.flatnonzero(first[:most] != second[:most])
    return int(differing[0]) if len(differing) else most
