"""Planned requests and tokens of each source and stage that sends requests to the teacher.

Reports of finished shards hold measured numbers, which are extrapolated to the other shards of the
stage. Without reports, the plan has one request per answer to an instruction, and one per verdict.
For the generation of instructions, it assumes that every generated instruction is accepted.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lamini.conversations import conversation_of
from lamini.generation.choice import choice_name
from lamini.generation.prompt_template import PromptTemplate
from lamini.generation.turns import NextTurnTemplate
from lamini.human_evaluation.items import make_item
from lamini.human_evaluation.judge import judge_messages
from lamini.human_evaluation.rating_protocols import RATING_PROTOCOLS
from lamini.paths import GENERATION, INSTRUCTION_REPORT, PAIR_REPORT, within
from lamini.plan.tokens import (
    TOKENS_PER_MESSAGE,
    Lengths,
    chat_tokens,
    estimated_tokens,
    published_lengths,
)
from lamini.settings.human_evaluation import Judge
from lamini.settings.teacher import InstructionTemplate, Sampling
from lamini.teacher.report import ShardReport
from lamini.workflow import Workflow

_REPORTS = {"instructions": INSTRUCTION_REPORT, "pairs": PAIR_REPORT}
_TOPIC = "Some topic"
_VERDICT_TOKENS = 2
_EMPTY = conversation_of(["", ""])


@dataclass(frozen=True, slots=True)
class StagePlan:
    """Requests and tokens of one source in one stage."""

    source: str
    """Source; for verdicts, the study."""
    stage: str
    """`instructions`, `pairs` or `verdicts`."""
    model: str
    """Model in the requests."""
    requests: int
    prompt_tokens: float
    completion_tokens: float
    basis: str
    """`estimated`, `measured`, or the number of measured shards."""
    jobs: int = 1
    """Jobs with these requests; with a local server, each starts one."""


def planned_requests(flow: Workflow, results: Path) -> list[StagePlan]:
    """Plan of all stages that send requests to the teacher, in the order of the pipeline.

    Args:
        flow: the configuration.
        results: folder of results; its reports replace estimates.
    """
    lengths = published_lengths()
    plans: list[StagePlan] = []
    if flow.config.dataset == "generated":
        for source in flow.generated_sources:
            estimate = _instructions(flow, source, lengths)
            plans.append(_measured(flow, results, estimate) or estimate)
        for source in flow.active_sources:
            estimate = _pairs(flow, source, lengths)
            plans.append(_measured(flow, results, estimate) or estimate)
    return [*plans, *_verdicts(flow, lengths)]


def _instructions(flow: Workflow, source: str, lengths: dict[str, Lengths]) -> StagePlan:
    definition, requested = flow.source(source), flow.instruction_requests(source)
    generation = definition.generation
    assert generation is not None
    count = generation.instructions_per_request
    requests = sum(-(-size // count) for size in definition.shard_sizes())
    text = PromptTemplate(requested.prompt).render(
        [""] * generation.examples_per_request, [_TOPIC] * generation.topics_per_request, count
    )
    messages = [*(message.as_params() for message in requested.demonstrations), {"content": text}]
    shown = generation.examples_per_request * _example_tokens(flow, source, lengths)
    answer = count * (_lengths_of(lengths, source).instruction + _label_tokens(requested.prompt))
    return StagePlan(
        source=source,
        stage="instructions",
        model=flow.teacher_of("instructions", source).model,
        requests=requests,
        prompt_tokens=requests * (chat_tokens(messages) + shown),
        completion_tokens=requests * _capped(answer, requested.sampling),
        basis="estimated",
        jobs=definition.shards,
    )


def _label_tokens(prompt: InstructionTemplate) -> int:
    """Tokens of the labels and the line end around an instruction."""
    if prompt.parser == "json":
        name = f'{{"{prompt.field}": }}' if prompt.field else ""
        return estimated_tokens(f'{name}"word",\n') - estimated_tokens("word")
    labelled = f"{prompt.opening}word{prompt.closing or ''}\n"
    return estimated_tokens(labelled) - estimated_tokens("word")


def _example_tokens(flow: Workflow, source: str, lengths: dict[str, Lengths]) -> float:
    """Mean tokens of a source's example prompts: those of a source that answers such seeds."""
    form = flow.source(source).seeds.format
    answered = [
        name
        for name, other in flow.config.sources.items()
        if other.generation is None and other.seeds.format == form and name in lengths
    ]
    return _lengths_of(lengths, answered[0] if answered else source).instruction


def _pairs(flow: Workflow, source: str, lengths: dict[str, Lengths]) -> StagePlan:
    responses, requests = flow.config.teacher.responses, flow.source(source).samples
    messages = [{"content": responses.system_message}, {"content": ""}]
    mean = _lengths_of(lengths, source)
    answers = requests * flow.source(source).answers_per_query
    best, verdicts, verdict_tokens = flow.source(source).best_answer, 0, 0.0
    if answers > requests and best.by == "judge":  # a verdict on each answer
        verdicts, verdict_tokens = answers, _verdict_tokens(flow, best.judge, mean)
    further = _further_turns(flow, source, mean)
    return StagePlan(
        source=source,
        stage="pairs",
        model=flow.teacher_of("pairs", source).model,
        requests=answers + verdicts + requests * further.requests,
        prompt_tokens=answers * (chat_tokens(messages) + mean.instruction)
        + verdicts * verdict_tokens
        + requests * further.prompt_tokens,
        completion_tokens=answers * _capped(mean.response, responses.sampling)
        + verdicts * min(_VERDICT_TOKENS, best.judge.max_tokens)
        + requests * further.completion_tokens,
        basis="estimated",
        jobs=flow.source(source).shards,
    )


def _further_turns(flow: Workflow, source: str, mean: Lengths) -> "_RequestCounts":
    """Requests and tokens of one conversation after its first answer.

    The user turns of seeds are not known before they are read, so the teacher writes all of them
    here; each is as long as an instruction.
    """
    turns = flow.pair_params(source).turns
    counts = _RequestCounts()
    if turns is None:
        return counts
    system = chat_tokens([{"content": flow.config.teacher.responses.system_message}])
    question = chat_tokens([{"content": NextTurnTemplate(turns.template, "").render(_EMPTY)}])
    user_turn, answer = _capped(mean.instruction, turns.sampling), mean.response
    for turn in range(1, turns.count):
        # The conversation so far.
        before = mean.instruction + (turn - 1) * user_turn + turn * answer
        marks = TOKENS_PER_MESSAGE * 2 * turn
        counts = _RequestCounts(
            requests=counts.requests + 2,
            prompt_tokens=counts.prompt_tokens
            + question
            + system
            + 2 * (before + marks)
            + user_turn
            + TOKENS_PER_MESSAGE,
            completion_tokens=counts.completion_tokens
            + user_turn
            + _capped(answer, flow.config.teacher.responses.sampling),
        )
    return counts


def _verdicts(flow: Workflow, lengths: dict[str, Lengths]) -> Iterator[StagePlan]:
    for study in flow.judged_studies:
        definition = flow.study(study)
        judge = definition.judge
        assert judge is not None
        if definition.kind == "models":
            instructions = definition.instructions or 0
            requests = instructions * len(definition.models)
        else:  # two items per sampled pair: instruction and response
            sources = flow.config.mixtures[flow.study_mixture(study)].sources
            requests = 2 * definition.samples_per_source * len(sources)
        yield StagePlan(
            source=study,
            stage="verdicts",
            model=flow.teacher_of("human_eval", study).model,
            requests=requests,
            prompt_tokens=requests * _verdict_tokens(flow, judge, _lengths_of(lengths, "")),
            completion_tokens=float(requests * min(_VERDICT_TOKENS, judge.max_tokens)),
            basis="estimated" if requests else "not known before the instructions are read",
        )


def _verdict_tokens(flow: Workflow, judge: Judge, mean: Lengths) -> float:
    """Prompt tokens of a request for a verdict on a response."""
    item = make_item(
        study="", seed=0, group="", subject="", part="response", instruction="", text=""
    )
    rating_protocol = RATING_PROTOCOLS[flow.config.rating_protocol]
    return (
        chat_tokens(judge_messages(item, judge, rating_protocol)) + mean.instruction + mean.response
    )


def _measured(flow: Workflow, results: Path, estimate: StagePlan) -> StagePlan | None:
    """Plan from the reports of all shards, or extrapolated from some; None without reports."""
    source, stage = estimate.source, estimate.stage
    paths = [within(results, path) for path in flow.shard_files(_REPORTS[stage], source)]
    reports = [ShardReport.read(path) for path in paths if path.exists()]
    # Reports of another teacher (the demo's, in the same folder) have other answer lengths, and
    # those of another choice have other requests.
    definition = flow.source(source)
    several = definition.answers_per_query if stage == "pairs" else 1
    turns = definition.turns if stage == "pairs" else 1
    wanted = (estimate.model, choice_name(several, definition.best_answer.by, turns))
    matching = [report for report in reports if (report.asked_model, report.choice) == wanted]
    counts = _RequestCounts(
        requests=sum(report.requests for report in matching),
        prompt_tokens=sum(report.prompt_tokens for report in matching),
        completion_tokens=sum(report.completion_tokens for report in matching),
    )
    factor, basis = 1.0, "measured"
    if not reports:
        counts, basis = _summary(results, source, stage), "measured (generation.csv)"
    elif len(matching) < len(paths):
        factor = flow.source(source).samples / max(sum(report.wanted for report in matching), 1)
        basis = f"measured in {len(matching)} of {len(paths)} shards"
    if not counts.requests:
        return None
    return replace(
        estimate,
        requests=round(counts.requests * factor),
        prompt_tokens=counts.prompt_tokens * factor,
        completion_tokens=counts.completion_tokens * factor,
        basis=basis,
    )


@dataclass(frozen=True)
class _RequestCounts:
    """Numbers of requests and of their tokens, measured or estimated."""

    requests: int = 0
    prompt_tokens: float = 0
    completion_tokens: float = 0


def _summary(results: Path, source: str, stage: str) -> _RequestCounts:
    """Row of `analysis/generation.csv`; zeros if there is none."""
    path = within(results, GENERATION)
    if path.exists():
        with open(path, newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                if (row["source"], row["stage"]) == (source, stage):
                    return _RequestCounts(
                        requests=int(row["requests"]),
                        prompt_tokens=int(row["prompt_tokens"]),
                        completion_tokens=int(row["completion_tokens"]),
                    )
    return _RequestCounts()


def _lengths_of(lengths: dict[str, Lengths], source: str) -> Lengths:
    """Lengths of a source; lengths of the whole dataset for a source that the paper lacks."""
    return lengths.get(source, lengths[""])


def _capped(tokens: float, sampling: Sampling) -> float:
    return tokens if sampling.max_tokens is None else min(tokens, sampling.max_tokens)
