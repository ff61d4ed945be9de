"""Layout of token sequences as tries, so that common prefixes are computed once.

The requests of an example share their context; requests of neighbouring examples often share more
than the prompt format. Each row is a trie in depth-first order: sequences with a common prefix
share the prefix's tokens. A token attends only to its ancestors, which are the tokens before it in
its own sequence, and its position is its depth. So each hidden state equals that of the sequence
alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lamini.arrays import Integers
from lamini.evaluation.requests import TokenRequest

MAX_TOKENS = 1024
"""Maximum tokens of a row; the cost of attention grows with the square of a row's length."""
MIN_SHARED = 16
"""Minimum length of the common prefix of a sequence and the one before it in the same row."""


@dataclass
class TrieRow:
    """One trie of token sequences."""

    tokens: Integers
    """Token ids. Shape (N,)."""
    depths: Integers
    """Position of each token in its sequences. Shape (N,)."""
    ends: Integers
    """One past the last descendant: token k is an ancestor of q if k <= q < ends[k]. Shape (N,)."""
    requests: list[int]
    """Indices of the requests that are scored in this row."""
    nodes: list[Integers]
    """For each request, indices of the tokens that predict its continuation."""

    @property
    def branched(self) -> bool:
        """Whether the row holds more than a single chain of tokens, and so needs a mask."""
        return bool((self.ends != len(self.tokens)).any())


@dataclass
class _TrieBuilder:
    """Trie under construction; sequences are added in lexicographic order."""

    path: Integers
    """Nodes of the last added sequence, by depth."""
    last: Integers = field(init=False)
    """Tokens of the last added sequence."""
    tokens: list[Integers] = field(default_factory=list)
    depths: list[Integers] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    closed: list[tuple[Integers, int]] = field(default_factory=list)
    size: int = 0
    requests: list[int] = field(default_factory=list)
    nodes: list[Integers] = field(default_factory=list)

    def add(self, number: int, sequence: Integers, shared: int, first_scored: int) -> None:
        """Add a sequence that has its first `shared` tokens in common with the last one."""
        self.closed.append((self.path[shared:], self.size))
        new = len(sequence) - shared
        self.path = np.concatenate([self.path[:shared], np.arange(self.size, self.size + new)])
        self.tokens.append(sequence[shared:])
        self.depths.append(np.arange(shared, len(sequence)))
        self.size += new
        self.last = sequence
        self.requests.append(number)
        self.nodes.append(self.path[first_scored:])

    def finish(self) -> TrieRow:
        """Build the row of all added sequences."""
        ends = np.full(self.size, self.size)
        for nodes, end in self.closed:
            ends[nodes] = end
        tokens, depths = np.concatenate(self.tokens), np.concatenate(self.depths)
        return TrieRow(tokens, depths, ends, self.requests, self.nodes)


def build_rows(
    requests: Sequence[TokenRequest], *, shared: bool = True, most: int = MAX_TOKENS
) -> list[TrieRow]:
    """Lay out the requests of a decoder-only model in rows.

    Args:
        requests: any requests; a continuation's last token is predicted but never an input.
        shared: whether different requests may share a row; equal requests always share one.
        most: maximum tokens of a row; a single longer sequence gets its own row.

    Returns:
        Rows that hold every request exactly once, the longest first.
    """
    fed = [np.concatenate([r.context, r.continuation[:-1]]) for r in requests]
    # Big-endian bytes have the same order as the numbers, and compare much faster than lists.
    order = sorted(range(len(fed)), key=lambda i: fed[i].astype(">u4").tobytes())
    rows = _build_tries(order, fed, [len(r.context) - 1 for r in requests], most if shared else 0)
    return sorted(rows, key=lambda row: -len(row.tokens))


def _build_tries(
    order: list[int], fed: list[Integers], first_scored: list[int], most: int
) -> Iterator[TrieRow]:
    growing: _TrieBuilder | None = None
    for number in order:
        sequence = fed[number]
        shared = _common_prefix_length(growing.last, sequence) if growing else 0
        if growing is not None:
            full = growing.size + len(sequence) - shared > most
            equal = shared == len(sequence) == len(growing.last)
            if not equal and (shared < MIN_SHARED or full):
                yield growing.finish()
                growing, shared = None, 0
        if growing is None:
            growing = _TrieBuilder(path=np.array([], dtype=np.int64))
        growing.add(number, sequence, shared, first_scored[number])
    if growing is not None:
        yield growing.finish()


def _common_prefix_length(first: Integers, second: Integers) -> int:
    """Length of the longest common prefix of two sequences."""
    most = min(len(first), len(second))
    differing = np.flatnonzero(first[:most] != second[:most])
    return int(differing[0]) if len(differing) else most
