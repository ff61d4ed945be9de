"""Settings of an endpoint: URL, key, headers and weight of one server."""

import re
import urllib.parse
from typing import Annotated

from pydantic import Field, field_validator

from lamini.settings.base import Settings

_VARIABLE = r"[A-Z_][A-Z0-9_]{0,63}"


def is_http_url(text: str) -> bool:
    """Whether a text is a URL with scheme http or https and a host."""
    try:
        parts = urllib.parse.urlsplit(text)
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        return complete and not re.search(r"\s", text)
    except ValueError:  # an invalid port or IPv6 address
        return False


class Endpoint(Settings):
    """One OpenAI-compatible server."""

    base_url: str | None = None
    """Base URL, such as `http://host:8000/v1`; null: default of the `openai` package
    (`OPENAI_BASE_URL`)."""
    api_key_variable: Annotated[str, Field(json_schema_extra={"pattern": f"^{_VARIABLE}$"})] = (
        "OPENAI_API_KEY"
    )
    """Environment variable that holds the API key, in capital letters, digits and `_`. Never put
    the key itself into a config."""
    headers: dict[str, str] = {}
    """Additional HTTP headers. `${NAME}` in a value is replaced by an environment variable, which
    is the only place for secrets."""
    query: dict[str, str] = {}
    """Query parameters of the URL, such as `api-version`."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Weight in the distribution of requests over the endpoints."""

    @field_validator("headers")
    @classmethod
    def _no_pasted_keys(cls, headers: dict[str, str]) -> dict[str, str]:
        secret = [name for name in headers if re.search(r"key|auth|token|secret", name, re.I)]
        pasted = [name for name in secret if not re.search(rf"\$\{{{_VARIABLE}\}}", headers[name])]
        if pasted:
            raise ValueError(
                f"the value of {', '.join(pasted)} must come from the environment; write it like"
                " ${GATEWAY_KEY}"
            )
        return headers

    @field_validator("base_url")
    @classmethod
    def _complete_url(cls, base_url: str | None) -> str | None:
        if base_url is not None and not is_http_url(base_url):
            raise ValueError(
                "not a URL with scheme and host; write it like https://api.openai.com/v1 or"
                " http://host:8000/v1"
            )
        return base_url

    # A pasted key must not get into logs and results: the message has no value, and capital letters
    # are required, because keys have small ones.
    @field_validator("api_key_variable")
    @classmethod
    def _names_a_variable(cls, variable: str) -> str:
        if not re.fullmatch(_VARIABLE, variable):
            raise ValueError(
                "not the name of an environment variable in capital letters, such as"
                " OPENAI_API_KEY; if it is a key, remove it from the config, replace it at the"
                " vendor, and set the new key in the environment"
            )
        return variable
