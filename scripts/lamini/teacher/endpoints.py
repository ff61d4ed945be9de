"""Where requests go: URL and headers as the `openai` package would make them."""

import os
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

from lamini import __version__
from lamini.errors import LaminiError
from lamini.settings.teacher import Endpoint, Teacher
from lamini.teacher.limits import Limits
from lamini.teacher.server import ServerProcess

DEFAULT_BASE_URL = "https://api.openai.com/v1"


@dataclass(slots=True)
class Target:
    """One endpoint in use."""

    url: str
    headers: dict[str, str] = field(repr=False)
    secret: str = field(repr=False)
    weight: float
    limits: Limits
    proxy: str | None = None
    ended: Callable[[], LaminiError | None] = lambda: None
    """Says why the endpoint is gone for good, if it is."""
    in_flight: int = 0
    sent: int = 0


def external_targets(settings: Teacher) -> list[Target]:
    """The configured endpoints, each with its share of the limits.

    Raises:
        LaminiError: a key is not in the environment.
    """
    weights = sum(endpoint.weight for endpoint in settings.endpoints)
    return [
        _target(settings, endpoint, endpoint.weight / weights) for endpoint in settings.endpoints
    ]


def local_target(settings: Teacher, server: ServerProcess) -> Target:
    """The server that this job has started; nothing else asks it, so it has no limits to find."""
    limits = Limits(settings.max_concurrency, None, None, share=1.0)
    limits.concurrency = settings.max_concurrency
    return Target(
        url=f"{server.address}/v1/chat/completions",
        headers=_headers(server.secret),
        secret=server.secret,
        weight=1.0,
        limits=limits,
        ended=server.ended,
    )


def _target(settings: Teacher, endpoint: Endpoint, part: float) -> Target:
    variable = endpoint.api_key_variable
    secret = os.environ.get(variable, "").strip()
    if not secret:
        raise LaminiError(
            f"the environment variable {variable} (teacher.endpoints) holds no key; set it, to any"
            " word if the endpoint wants none"
        )
    if not (secret.isascii() and secret.isprintable()):
        raise LaminiError(f"the key in {variable} has characters that no HTTP header may hold")
    base_url = endpoint.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    headers = _headers(secret)
    for name, value in (
        ("OpenAI-Organization", os.environ.get("OPENAI_ORG_ID")),
        ("OpenAI-Project", os.environ.get("OPENAI_PROJECT_ID")),
    ):
        if value:
            headers[name] = value

    def share(limit: float | None) -> float | None:
        return None if limit is None else limit * part / settings.jobs

    url = base_url.rstrip("/") + "/chat/completions"
    return Target(
        url=url,
        proxy=_proxy(url),
        headers=headers,
        secret=secret,
        weight=endpoint.weight,
        limits=Limits(
            most=settings.max_concurrency,
            requests=share(settings.requests_per_minute),
            tokens=share(settings.tokens_per_minute),
            share=1 / settings.jobs,
        ),
    )


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for this URL."""
    parts = urllib.parse.urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _headers(secret: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {secret}",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"lamini/{__version__}",
    }
