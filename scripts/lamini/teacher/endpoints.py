"""Endpoints of the teacher: URL and headers equal to those of the `openai` package."""

import os
import re
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lamini import __version__
from lamini.errors import LaminiError
from lamini.settings.endpoints import Endpoint, is_http_url
from lamini.settings.teacher import Teacher
from lamini.teacher.limits import Limits
from lamini.teacher.server import ServerProcess

SHORTEST_SECRET = 8
"""A shorter key may be an ordinary word, such as `none`, and is not removed from messages."""
DEFAULT_BASE_URL = "https://api.openai.com/v1"


@dataclass(slots=True)
class Target:
    """One endpoint, with its limits and counters."""

    url: str
    headers: dict[str, str] = field(repr=False)
    secret: str = field(repr=False)
    weight: float
    limits: Limits
    base_url: str = ""
    """Base URL without query."""
    query: dict[str, str] = field(default_factory=dict)
    more_headers: dict[str, str] = field(default_factory=dict, repr=False)
    """The headers of the settings, part of `headers`."""
    proxy: str | None = None
    ended: Callable[[], LaminiError | None] = lambda: None
    """Returns the error if the endpoint has ended for good, else None."""
    in_flight: int = 0
    sent: int = 0


def external_targets(settings: Teacher) -> list[Target]:
    """The configured endpoints, each with its share of the rate limits.

    Raises:
        LaminiError: an API key is not in the environment.
    """
    weights = sum(endpoint.weight for endpoint in settings.endpoints)
    return [
        _target(settings, endpoint, endpoint.weight / weights) for endpoint in settings.endpoints
    ]


def local_target(settings: Teacher, server: ServerProcess) -> Target:
    """The endpoint of this job's own server; no other job uses it, so it has no rate limits."""
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


def base_url_of(endpoint: Endpoint) -> str:
    """Base URL of an endpoint: the setting, else `OPENAI_BASE_URL`, else OpenAI's.

    Raises:
        LaminiError: `OPENAI_BASE_URL` is not a URL with scheme and host.
    """
    base_url = endpoint.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    if not is_http_url(base_url):
        raise LaminiError(
            "the environment variable OPENAI_BASE_URL is not a URL with scheme and host; write it"
            " like https://api.openai.com/v1 or http://host:8000/v1"
        )
    return base_url


def _target(settings: Teacher, endpoint: Endpoint, part: float) -> Target:
    variable = endpoint.api_key_variable
    secret = os.environ.get(variable, "").strip()
    if not secret:
        raise LaminiError(
            f"the environment variable {variable} (teacher.endpoints) is not set; set it to the API"
            " key, or to any word if the endpoint needs no key"
        )
    if not (secret.isascii() and secret.isprintable()):
        raise LaminiError(
            f"the API key in {variable} has characters that are not allowed in an HTTP header"
        )
    base_url = base_url_of(endpoint)
    headers = _headers(secret)
    for name, value in (
        ("OpenAI-Organization", os.environ.get("OPENAI_ORG_ID")),
        ("OpenAI-Project", os.environ.get("OPENAI_PROJECT_ID")),
    ):
        if value:
            headers[name] = value

    def share(limit: float | None) -> float | None:
        return None if limit is None else limit * part / settings.jobs

    parts = urllib.parse.urlsplit(base_url)
    base_url = parts._replace(query="").geturl().rstrip("/")
    query = dict(urllib.parse.parse_qsl(parts.query)) | endpoint.query
    url = address(base_url, "/chat/completions", query)
    more = {name: _from_environment(name, value) for name, value in endpoint.headers.items()}
    headers |= more
    return Target(
        url=url,
        base_url=base_url,
        query=query,
        more_headers=more,
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


UNKNOWN_HOST = (
    "its host name is unknown; correct base_url in teacher.endpoints, or connect this machine to"
    " the network"
)
"""Message and remedy for `is_unknown_host`."""
_UNKNOWN = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def is_unknown_host(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, says that a host name does not exist.

    A name server that fails at this moment (`EAI_AGAIN`) is another error, which may pass.
    """
    while error is not None and not isinstance(error, socket.gaierror):
        error = getattr(error, "os_error", None) or error.__cause__ or error.__context__
    return error is not None and error.errno in _UNKNOWN


def address(base_url: str, path: str, query: Mapping[str, str]) -> str:
    """URL of a path of an endpoint."""
    return base_url + path + (f"?{urllib.parse.urlencode(query)}" if query else "")


def _from_environment(name: str, value: str) -> str:
    """Value of a header, with environment variables replaced."""

    def replaced(match: re.Match[str]) -> str:
        replacement = os.environ.get(match[1], "").strip()
        if not replacement:
            raise LaminiError(
                f"the environment variable {match[1]} (teacher.endpoints, header {name}) is not set"
            )
        return replacement

    return re.sub(r"\$\{(\w+)\}", replaced, value)


def _proxy(url: str) -> str | None:
    """The proxy for a URL, from the environment variables; None if there is none."""
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
