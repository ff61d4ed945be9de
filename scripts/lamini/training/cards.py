"""The GPUs that speeds are compared with, from the makers' data sheets."""

PEAKS = {"V100": 125e12, "A100": 312e12, "H100": 989e12, "H200": 989e12}
"""Dense 16-bit tensor-core peaks in FLOP/s."""


def card_peak(name: str) -> float | None:
    """The peak of a GPU by the name that its driver gives it; none when it is not listed."""
    return next((peak for card, peak in PEAKS.items() if card in name), None)
