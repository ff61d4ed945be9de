"""Shutdown dates of models that their vendor has announced.

Source: https://developers.openai.com/api/docs/deprecations, read on 26 November 2026. The dates
hold for the vendor's own address only; other hosts have their own.
"""

from datetime import date

VENDOR_HOST = "api.openai.com"
SHUTDOWNS = {
    "gpt-3.5-turbo": date(2026, 10, 23),
    "gpt-3.5-turbo-0125": date(2026, 10, 23),
    "gpt-4o": date(2027, 1, 14),
    "gpt-4o-mini": date(2027, 1, 14),
    "gpt-4.1": date(2027, 1, 14),
    "gpt-4.1-mini": date(2027, 1, 14),
}
"""Last day of each model at `VENDOR_HOST`."""


def shutdown_of(model: str, host: str) -> date | None:
    """Announced shutdown date of a model at a host; None if none is known."""
    return SHUTDOWNS.get(model) if host == VENDOR_HOST else None
