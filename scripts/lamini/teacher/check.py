"""Check of the teacher before anything is paid: address, key and model, or the local server.

Each endpoint gets one request for its list of models, which costs nothing. The module uses urllib
in daemon threads, so that a slow name server or endpoint cannot hold up the caller.
"""

import json
import os
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from http.client import HTTPException
from typing import Any, Literal

from lamini.errors import LaminiError
from lamini.settings.endpoints import Endpoint
from lamini.settings.shutdowns import shutdown_of
from lamini.settings.teacher import Sampling, Teacher
from lamini.teacher.backends import kind_of
from lamini.teacher.completions import parse_body
from lamini.teacher.endpoints import (
    SHORTEST_SECRET,
    UNKNOWN_HOST,
    Target,
    address,
    base_url_of,
    external_targets,
    is_unknown_host,
)
from lamini.teacher.replies import without_secrets
from lamini.teacher.request import Request, chat_request

SECONDS = 9.0
"""Time limit of the whole check, in seconds."""
_MAX_BYTES = 2**24
_PROBE = [{"role": "user", "content": "Answer with one word: yes."}]
_REFUSALS = (400, 403, 404, 422)  # of a chat request


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of the check of one endpoint."""

    name: str
    """Model and host."""
    state: Literal["serves", "unknown", "wrong"]
    """`serves`: the endpoint has the model; `unknown`: could not be checked; `wrong`: no request
    can succeed."""
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error, because urllib would send the key to the new address."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def check_endpoints(
    settings: Teacher, with_request: bool = False, sampling: Sampling | None = None
) -> list[Verdict]:
    """Check all endpoints within `SECONDS`; empty if ledgers have all answers.

    A backend that asks no endpoints has its requirements checked instead.

    Args:
        settings: model and endpoints.
        with_request: send one short chat request to an endpoint whose list lacks the model. Some
            servers accept names that they do not list.
        sampling: sampling of this request; None: that of the responses.
    """
    sampling = sampling or settings.responses.sampling
    if settings.mode == "replay":
        return []
    if not kind_of(settings).asks_endpoints:
        return [_without_endpoint(settings)]
    done: dict[int, Verdict] = {}

    def check(number: int, endpoint: Endpoint) -> None:
        done[number] = _checked(settings, endpoint, sampling if with_request else None)

    threads = [
        threading.Thread(target=check, args=each, daemon=True)
        for each in enumerate(settings.endpoints)
    ]
    end = time.monotonic() + SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = f"no reply within {SECONDS:.0f} s"
    return [
        done.get(number) or Verdict(_name(settings, endpoint), "unknown", late)
        for number, endpoint in enumerate(settings.endpoints)
    ]


def _without_endpoint(settings: Teacher) -> Verdict:
    kind = kind_of(settings)
    name = f"{settings.model}, {kind.title}"
    try:
        return Verdict(name, "serves", kind.load().check(settings))
    except LaminiError as error:
        return Verdict(name, "wrong", str(error))


def _name(settings: Teacher, endpoint: Endpoint) -> str:
    parts = urllib.parse.urlsplit(base_url_of(endpoint))
    return f"{settings.model} at {parts.netloc.rpartition('@')[2]}"


def _checked(settings: Teacher, endpoint: Endpoint, sampling: Sampling | None) -> Verdict:
    try:
        name, host = _name(settings, endpoint), urllib.parse.urlsplit(base_url_of(endpoint))
    except LaminiError as error:
        return Verdict(settings.model, "wrong", str(error))
    variable = endpoint.api_key_variable
    if os.environ.get(variable, "").strip():
        try:
            verdict = _asked(name, settings, endpoint, sampling)
        except LaminiError as error:
            verdict = Verdict(name, "wrong", str(error))
    else:
        verdict = Verdict(name, "unknown", f"not asked (no key in {variable})")
    return _dated(verdict, shutdown_of(settings.model, host.hostname or ""), date.today())


def _dated(verdict: Verdict, end: date | None, today: date) -> Verdict:
    """Add the model's announced shutdown date; a past one is wrong unless the list has the
    model."""
    if end is None or (verdict.state == "serves" and end <= today):
        return verdict
    day = f"{end.day} {end:%B %Y}"
    if end > today:
        return replace(verdict, text=f"{verdict.text}; the vendor shuts it down on {day}")
    text = f"{verdict.text}; the vendor shut it down on {day}: choose another teacher.model"
    return replace(verdict, state="wrong", text=text)


def _asked(name: str, settings: Teacher, endpoint: Endpoint, sampling: Sampling | None) -> Verdict:
    (target,) = external_targets(settings.model_copy(update={"endpoints": [endpoint]}))

    def verdict(state: Literal["serves", "unknown", "wrong"], text: str) -> Verdict:
        if len(target.secret) >= SHORTEST_SECRET:
            text = text.replace(target.secret, "[key]")
        return Verdict(name, state, without_secrets(text))

    try:
        status, body = _send(target, address(target.base_url, "/models", target.query))
        if status == 401 and "scope" not in str(body):  # a key may lack the right to read the list
            return verdict(
                "wrong",
                f"the key in {endpoint.api_key_variable} is refused (401: {_message(body)});"
                " set a valid key",
            )
        models = _models(body) if status == 200 else None
        if models is None:
            return verdict("unknown", f"its list of models could not be asked (status {status})")
        if any(_is_same(settings.model, model) for model in models):
            return verdict("serves", f"served, by its list of {_count(models)}")
        unlisted = f"not in its list of {_count(models)} ({', '.join(models[:5])})"
        if sampling is None:
            return verdict("wrong", f"{unlisted}; correct teacher.model")
        request = chat_request(settings.model, _PROBE, sampling)
        return _tried(request, target, unlisted, verdict)
    except (OSError, HTTPException, UnicodeError) as error:
        return verdict(*_unreachable(error))


def _tried(
    request: Request,
    target: Target,
    unlisted: str,
    verdict: Callable[[Literal["serves", "unknown", "wrong"], str], Verdict],
) -> Verdict:
    """Send one short chat request for a model that the endpoint's list lacks."""
    status, body = _send(target, target.url, json.dumps(request.body).encode())
    if status == 200:
        return verdict("serves", f"{unlisted}, but a request was answered")
    said = f"{unlisted}, and a request was refused ({status}: {_message(body)})"
    if status in _REFUSALS:
        return verdict("wrong", f"{said}; correct teacher.model and the sampling settings")
    return verdict("unknown", said)


def _send(target: Target, url: str, data: bytes | None = None) -> tuple[int, Any]:
    """Status and parsed JSON of a reply; GET without `data`, else POST."""
    proxies = {} if target.proxy is None else {"http": target.proxy, "https": target.proxy}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _NoRedirect)
    request = urllib.request.Request(url, data, target.headers)
    try:
        with opener.open(request, timeout=SECONDS) as reply:
            return reply.status, parse_body(reply.read(_MAX_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, parse_body(error.read(_MAX_BYTES))


def _models(body: Any) -> list[str] | None:
    """Names in a list of models; None if the body is none, or only the first page of one."""
    rows = body.get("data") if isinstance(body, dict) else body
    if not isinstance(rows, list) or (isinstance(body, dict) and body.get("has_more")):
        return None
    return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row] or None


def _is_same(model: str, listed: str) -> bool:
    """Whether a request for `model` gets the listed model; some vendors list a prefix
    (`models/NAME`) or a default tag (`NAME:latest`), and some take a suffix (`NAME:free`)."""
    return model == listed.removeprefix("models/").removesuffix(":latest") or (
        listed in (model, model.rpartition(":")[0])
    )


def _count(models: list[str]) -> str:
    return "1 model" if len(models) == 1 else f"{len(models)} models"


def _message(body: Any) -> str:
    error = body.get("error", body) if isinstance(body, dict) else body
    text = error.get("message") if isinstance(error, dict) else error
    return str(text or "no message")[:200]


def _unreachable(error: Exception) -> tuple[Literal["unknown", "wrong"], str]:
    """Verdict on an endpoint that sent no reply: only permanent faults are wrong."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "wrong", (
            f"its certificate is not trusted ({cause.verify_message}); set SSL_CERT_FILE to the"
            " certificates of its authority"
        )
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return "wrong", "it does not speak https; write http:// in base_url"
    if is_unknown_host(error):
        return "wrong", UNKNOWN_HOST
    return "unknown", f"cannot be reached now ({cause})"
