"""State of one shard of generated instructions: accepted rows, counts, next requests."""

import functools
import io
import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from lamini.conversations import turn
from lamini.errors import LaminiError
from lamini.generation.normalization import text_key
from lamini.generation.parsing.examples import Json, Parsed, Reject, parse_examples
from lamini.generation.parsing.labels import label_pattern
from lamini.generation.prompts import PromptPool
from lamini.generation.reports import InstructionReport
from lamini.generation.requests import InstructionPrompt
from lamini.generation.rows import InstructionRow
from lamini.settings.params.generation import GenerateInstructions
from lamini.settings.sources import InstructionGeneration
from lamini.settings.teacher import DemonstrationTurn, InstructionRequests, Sampling
from lamini.teacher.completions import finished
from lamini.teacher.request import Answer, Request, add_paid_tokens, chat_request, counted_tokens

_FIRST_ANSWERS = 30
"""Answers after which a shard checks whether the teacher follows the prompt."""
_USUAL_RATE = (0.3, 1.05)
"""Well-formed instructions per requested one, outside of which a shard warns."""


@dataclass(frozen=True)
class ShardSettings:
    """Settings of one shard; with its prompts and topics, they determine its requests."""

    source: str
    shard: str
    model: str
    generation: InstructionGeneration
    requests: InstructionRequests
    seed_requests: bool
    count: int
    """Number of instructions to accept."""
    seed: int

    @classmethod
    def from_params(cls, params: GenerateInstructions, shard: str) -> "ShardSettings":
        """Read the rule's params; `requests` of a source override those of the teacher."""
        return cls(
            source=params.source,
            shard=shard,
            model=params.model,
            generation=params.generation,
            requests=params.generation.requests or params.requests,
            seed_requests=params.seed_requests,
            count=params.count,
            seed=params.seed,
        )

    @property
    def requests_needed(self) -> int:
        """Number of requests if every instruction were accepted."""
        return -(-self.count // self.generation.instructions_per_request)

    @property
    def max_requests(self) -> int:
        """Maximum number of requests, after which the shard ends."""
        return int(self.requests_needed * self.generation.max_requests_factor)


@dataclass
class Shard:
    """The accepted instructions of a shard, and counts of answers and rejects."""

    wanted: ShardSettings
    log: io.BufferedIOBase
    rows: list[InstructionRow] = field(default_factory=list)
    requests: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    finish_reasons: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    first_reject: str = ""

    def __post_init__(self) -> None:
        self._known: set[bytes] = set()
        self._times_requested: Counter[str] = Counter()
        prompt = self.wanted.requests.prompt
        self._label = (
            Json(prompt.field)
            if prompt.parser == "json"
            else label_pattern(prompt.opening, prompt.closing)
        )
        self._demonstrated = _demonstrated(self.wanted.requests.demonstrations, self._label)

    def next_round(self) -> int:
        """Number of requests of the next round; 0 if the shard is complete."""
        missing = self.wanted.count - len(self.rows)
        left = self.wanted.max_requests - self.requests
        if missing <= 0 or left <= 0:
            return 0
        if not self.requests:
            return min(left, self.wanted.requests_needed)
        if not self.rows:
            return min(left, self.requests)
        return min(left, max(1, missing * self.requests // len(self.rows)))

    def request(self, prompt: InstructionPrompt) -> Request:
        """The request of a prompt; an equal request of the shard gets the next sample number."""
        demonstrations = [shown.as_params() for shown in self.wanted.requests.demonstrations]
        messages = [*demonstrations, turn("user", prompt.text)]
        seed = prompt.seed if self.wanted.seed_requests else None
        ask = functools.partial(
            chat_request,
            self.wanted.model,
            messages,
            _sampling(self.wanted.requests),
            seed,
            more_room=self.wanted.requests.more_room,
        )
        request = ask()
        repeats = self._times_requested[request.key]
        self._times_requested[request.key] += 1
        return ask(sample=repeats) if repeats else request

    def take(self, prompt: InstructionPrompt, answer: Answer) -> None:
        """Parse one answer; count and store its instructions and rejects."""
        self.requests += 1
        add_paid_tokens(self.counts, answer)
        self.finish_reasons[answer.finish_reason] += 1
        self.models[answer.model] += 1
        parsed = parse_examples(
            answer.text,
            label=self._label,
            truncated=not finished(answer.finish_reason),
            shown=prompt.examples,
            also_shown=self._demonstrated,
            prompt=prompt.text,
            max_characters=self.wanted.generation.max_instruction_characters,
        )
        self._accept(parsed, prompt, answer.key)
        for reject in parsed.rejects:
            self._reject(reject, answer.key)
        if self.requests == _FIRST_ANSWERS:
            self._check_first_answers()

    @property
    def _name(self) -> str:
        return f"{self.wanted.source}/{self.wanted.shard}"

    def _check_first_answers(self) -> None:
        """Raise a LaminiError if the first answers contain no instruction; warn if few or many do.

        More instructions than requested are a sign of other text that is read as instructions.
        """
        if not self.rows:
            raise self._nothing(f"in the first {self.requests} answers")
        rate = self.counts["well_formed"] / self._instructions_requested
        if not _USUAL_RATE[0] <= rate <= _USUAL_RATE[1]:
            logging.getLogger("lamini").warning(
                "%s: the first %d answers have %.2f well-formed instructions per requested one;"
                " read some answers in the ledger before more are paid for",
                *(self._name, self.requests, rate),
            )

    def _nothing(self, when: str) -> LaminiError:
        return LaminiError(
            f"{self._name}: no instruction was accepted {when};"
            f" rejected: {dict(self.rejected)}. The first answer was rejected as"
            f" {self.first_reject}. Check `teacher.model`, its sampling and demonstrations"
        )

    @property
    def _instructions_requested(self) -> int:
        """Number of instructions in the requests so far."""
        return self.requests * self.wanted.generation.instructions_per_request

    def _accept(self, parsed: Parsed, prompt: InstructionPrompt, key: str) -> None:
        self.counts["well_formed"] += len(parsed.instructions)
        for instruction in parsed.instructions:
            own_key = text_key(instruction)
            if own_key in self._known:
                self._reject(Reject("duplicate", instruction), key)
            elif len(self.rows) >= self.wanted.count:
                self._reject(Reject("surplus", instruction), key)
            else:
                self._known.add(own_key)
                self.rows.append(self._row(instruction, prompt, key))

    def _row(self, instruction: str, prompt: InstructionPrompt, key: str) -> InstructionRow:
        return {
            "id": f"{self.wanted.source}/{self.wanted.shard}/{len(self.rows)}",
            "instruction": instruction,
            "instruction_source": self.wanted.source,
            "subset": prompt.subset,
            "topics": prompt.topics,
            "examples": prompt.example_ids,
            "request": key,
        }

    def _reject(self, reject: Reject, key: str) -> None:
        self.rejected[reject.reason] += 1
        self.first_reject = self.first_reject or f"{reject.reason}: {reject.text!r:.300}"
        row = {"request": key, "reason": reject.reason, "text": reject.text}
        self.log.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def check(self, rejects: Path) -> None:
        """Warn if the shard has too few instructions.

        Raises:
            LaminiError: no instruction was accepted.
        """
        missing = self.wanted.count - len(self.rows)
        if missing <= 0:
            return
        after = f"after {self.requests} requests, the maximum; rejected: {dict(self.rejected)}"
        if not self.rows:
            raise self._nothing(f"after {self.requests} requests, the maximum")
        logging.getLogger("lamini").warning(
            "%s: only %d of %d instructions %s. See %s, and raise"
            " `generation.max_requests_factor` if the rejects are correct",
            *(self._name, len(self.rows), self.wanted.count, after, rejects),
        )

    def report(self, pool: PromptPool) -> InstructionReport:
        """Counts of this shard, and of the prompts and subsets that `pool` leaves out."""
        return InstructionReport(
            stage="instructions",
            source=self.wanted.source,
            shard=self.wanted.shard,
            wanted=self.wanted.count,
            accepted=len(self.rows),
            complete=len(self.rows) >= self.wanted.count,
            requests=self.requests,
            max_requests=self.wanted.max_requests,
            asked=self._instructions_requested,
            well_formed=self.counts["well_formed"],
            rejected=self.rejected,
            **counted_tokens(self.counts),
            finish_reasons=self.finish_reasons,
            asked_model=self.wanted.model,
            models=self.models,
            examples_too_long=pool.too_long,
            subsets_too_small=pool.too_small,
        )


def _demonstrated(messages: list[DemonstrationTurn], label: re.Pattern[str] | Json) -> list[str]:
    """The instructions in the demonstration messages, whose copies are rejected."""
    parsed = [
        parse_examples(message.content, label=label, truncated=False, shown=())
        for message in messages
    ]
    return [instruction for answer in parsed for instruction in answer.instructions]


def _sampling(requests: InstructionRequests) -> Sampling:
    """Sampling with `response_format` among the additional fields."""
    if requests.response_format is None:
        return requests.sampling
    body = {"response_format": requests.response_format, **requests.sampling.extra_body}
    return requests.sampling.model_copy(update={"extra_body": body})
