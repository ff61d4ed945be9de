"""Peak speeds of GPUs, from the vendors' data sheets."""

PEAKS = {"V100": 125e12, "A100": 312e12, "H100": 989e12, "H200": 989e12}
"""Dense 16-bit tensor-core peaks in FLOP/s."""


def card_peak(name: str) -> float | None:
    """Peak of a GPU in FLOP/s, by its driver's device name; None if the GPU is not listed."""
    return next((peak for card, peak in PEAKS.items() if card in name), None)
