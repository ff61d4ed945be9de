"""Each setting that a rule's result depends on is in its params, and none is constant.

Two configurations differ in every setting that has a second value; so must each leaf of the params.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from lamini.evaluation.data import mirror_path
from lamini.settings import Config
from lamini.settings.base import Settings
from lamini.settings.endpoints import Endpoint
from lamini.workflow import Workflow
from lamini.workflow.weights import with_weights

CONFIG = Path(__file__).parents[2] / "config"
Params = dict[str, Any]
Place = tuple[str | int, ...]

KEPT = {"students", "references", "evaluated_tasks", "role", "batches", "report", "backend", "kind"}
KEPT |= {"mode", "batch", "gguf", "ctranslate2"}
"""What decides which jobs there are, not what one of them computes."""
NAMES = {"recipe", "mixture", "sources", "panels", "models", "tokenizer", "other_tokenizers"}
NAMES |= {"initialization", "same_subset", "config"}
"""Settings that must fit others: kept, but for `CHOSEN`."""
OTHER_WORDS = {
    "self_instruct": "jsonl",
    "alpaca": "bare",
    "bare": "alpaca",
    "p3": "flan",
    "flan": "p3",
    "judge": "agreement",
    "messages": "jsonl",
    "user": "assistant",
    "parts_in_order": "mean",
    "words_and_punctuation": "words",
    "refusal": "truncated",
    "linear": "constant",
    "cosine": "linear",
    "token_mean": "micro_batch_mean",
    "auto": "bf16",
    "best": "last",
    "paper": "modern",
    "decoder-only": "encoder-decoder",
    "encoder-decoder": "decoder-only",
    "acc": "f1",
    "acc_norm": "f1",
    "f1": "acc",
}
CHOSEN: dict[Place, Any] = {
    ("human_evaluation", "protocol"): "own",
    ("dataset",): "published",
    ("checkpoints",): "trained",  # released ones are compared in test_overlays.py
    ("published",): {"local": {"path": "config/demo/p3"}},
    ("sources", "alpaca", "seeds", "format"): "jsonl",
    ("sources", "generated_p3", "generation", "same_subset"): False,
    ("analysis", "tokenizer"): "llama",
    ("analysis", "embeddings", "panels"): [["alpaca", "original_flan"]],
    ("mixtures", "clean", "sources"): ["alpaca"],
    ("mixtures", "clean", "thinking"): "mask",
    ("mixtures", "clean", "decontamination", "mixture"): "all",
    ("teacher", "next_turns", "template"): "config/README.md",
    ("downloads", "seed_tasks.jsonl", "sha256"): "0" * 64,
    ("teacher", "endpoints"): [Endpoint().model_dump()],  # of other backends than the default one
    ("models", "my-gpt2", "weights", "build", "config"): {"model_type": "gpt_neo"},
    ("sweeps", "sizes", "students"): ["lamini-t5-223m"],
    ("sweeps", "sizes", "tasks"): ["record"],
    ("sweeps", "whole", "mixtures"): ["all"],
    ("tokenizers", "own", "train", "mixture"): "clean",
    ("tokenizers", "own", "train", "kind"): "t5",
    ("exports", "task"): "record",
    ("tasks", "rte", "data", "config"): "other",
    ("tasks", "record", "data", "config"): "other",
    ("evaluation", "protocol"): "modern",
    ("human_evaluation", "studies", "dataset", "mixture"): "clean",
    ("human_evaluation", "studies", "models", "models"): ["t5-small"],
    ("teacher", "prices", "gpt-3.5-turbo"): {"prompt": 9.0, "completion": 9.0, "batch_share": 0.9},
}
ADDED = """
deduplication: {rouge_l: 0.7, minhash: {}}
mixtures:
  all: {sources: [alpaca, original_flan]}
  talks: {sources: [talks]}
  clean:
    sources: [alpaca, original_flan]
    exclude_flags: [refusal]
    decontamination: {mixture: d_all}
    thinking: keep
teacher:
  prices: {gpt-3.5-turbo: {prompt: 0.5, completion: 1.5}}
  instructions: &requests
    sampling: {temperature: 1.0, max_tokens: 99, top_p: 0.5, extra_body: {grammar: x}}
    demonstrations: [{role: user, content: hello}]
    prompt: {template: config/demo/README.md, opening: "[", closing: "]"}
  responses: {sampling: {top_p: 0.5, extra_body: {grammar: x}}}
  next_turns: {template: config/demo/README.md, sampling: {top_p: 0.5, extra_body: {grammar: x}}}
sources:
  alpaca:
    seeds:
      {format: alpaca, hub: null, local: {path: config/demo/alpaca.json}, max_characters: 9,
       max_per_subset: 9, max_rows_per_subset: 9}
    answers_per_query: 2
    best_answer: {by: judge, judge: {max_characters: 999, extra_body: {a: x}}}
  generated_p3:
    seeds: {hub: {subsets: [a]}}
    generation: {requests: *requests}
  talks:
    {symbol: t, samples: 9, shards: 1, turns: 2,
     seeds: {format: messages, local: {path: config/demo/alpaca.json}}}
tokenizers:
  own: {train: {kind: gpt2, vocabulary: 999}, prompt_format: alpaca, pad_token: x}
models:
  lamini-gpt-124m: {published_revision: a}
  my-gpt2: &own
    {name: My-GPT-2, role: reference, architecture: decoder-only, family: GPT-2, parameters: 1000,
     tokenizer: own, weights: {build: {kind: random, config: {model_type: gpt2}}}}
  my-gguf:
    <<: *own
    weights: {build: {kind: gguf, path: "package:a/b.gguf"}}
recipes: {decoder_only: {keep: best, patience: 3, samples: 0.5, held_out_seed: 5}}
topics: {dump: config/demo/category.sql.gz}
answers: {instructions: config/demo/user_oriented_instructions.jsonl}
evaluated_tasks: [rte, record]
exports: {models: [lamini-gpt-124m, lamini-t5-61m], task: rte}
evaluation:
  {mirror: config/demo/tasks, limit: 9, max_encoder_tokens: 9, lm_eval_files: true,
   batches: {others: [rte], record: [record]}}
tasks:
  rte:
    {data: {sha256: "0"}, include_path: config/demo/flan, other_metrics: [f1], num_fewshot: 2,
     fewshot_split: validation, fewshot_as_multiturn: false, generation_kwargs: {max_gen_toks: 9}}
  record: {data: {sha256: "0"}}
sweeps:
  sizes: &sweep {students: [lamini-t5-61m], samples: [0.1, 0.5], seeds: [1, 2], tasks: [rte]}
  whole: {<<: *sweep, samples: [1.0], mixtures: [d_all, clean], tasks: null}
human_evaluation:
  protocol: paper
  studies:
    dataset:
      {mixture: d_all, ratings: config, judge: &judge {max_characters: 999, extra_body: {a: x}}}
    models: {judge: *judge}
    asked:
      {kind: models, models: [t5-small, lamini-gpt-124m],
       questions: config/demo/user_oriented_instructions.jsonl}
"""
METHODS: dict[str, list[tuple[str, ...]]] = {
    "download_params": [("seed_tasks.jsonl",)],
    "prompt_params": [("alpaca",), ("generated_p3",)],
    "topic_params": [()],
    "instruction_params": [("generated_p3", "0000"), ("self_instruct_with_topic", "0000")],
    "query_params": [("alpaca",), ("original_p3",)],
    "pair_params": [("alpaca",), ("original_p3",), ("talks",)],
    "price_params": [()],
    "mixture_params": [("clean",), ("all",), ("talks",)],
    "export_params": [("clean",), ("all",)],
    "analysis_params": [("clean",)],
    "mattr_reading_params": [()],
    "token_count_params": [("d_all", "own"), ("d_all", "gpt2")],
    "embedding_params": [()],
    "projection_params": [()],
    "coverage_params": [()],
    "duplicate_params": [()],
    "funnel_params": [()],
    "detector_params": [()],
    "verb_params": [()],
    "personal_data_params": [()],
    "description_params": [("clean",)],
    "contamination_params": [()],
    "paraphrase_params": [()],
    "tokenizer_params": [("own",)],
    "build_params": [("my-gpt2",), ("my-gguf",)],
    "tokenized_params": [("own", "clean"), ("gpt2", "clean")],
    "training_params": [("lamini-gpt-124m",), ("lamini-t5-61m",)],
    "evaluated_model_params": [("lamini-gpt-124m",), ("gpt2",)],
    "sweep_params": [("sizes",), ("whole",)],
    "mirror_params": [("rte",), ("record",)],
    "evaluation_params": [("lamini-gpt-124m", "others"), ("gpt2", "others")],
    "answer_params": [("lamini-gpt-124m",), ("gpt2",)],
    "study_answer_params": [("asked", "t5-small"), ("asked", "lamini-gpt-124m")],
    "gguf_params": [("lamini-gpt-124m", "f16"), ("gpt2", "q8_0")],
    "ctranslate2_params": [("lamini-t5-61m", "int8"), ("t5-small", "float32")],
    "export_check_params": [("lamini-gpt-124m", "f16"), ("t5-small", "int8")],
    "study_params": [("dataset",), ("models",)],
    "sheet_params": [("dataset",), ("models",)],
    "judge_params": [("dataset",), ("models",)],
    "rating_params": [("dataset",), ("models",)],
}
"""Every method, and the jobs whose params are compared; a mirrored file is named by its task."""


def _merge(base: Params, overlay: Params) -> Params:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value
    return base


def _changed(value: Any, at: Place = ()) -> Any:
    """Another value for each setting that may have one."""
    if at in CHOSEN:
        return CHOSEN[at]
    if isinstance(value, dict):
        return {key: _changed(part, (*at, key)) for key, part in value.items()}
    if at[-1] == "tokens_per_micro_batch":
        return 99
    if value is None or {*at} & KEPT or at[-1] in NAMES:
        return value
    if isinstance(value, list):
        return [_changed(part, (*at, number)) for number, part in enumerate(value)]
    return _other(value)


def _other(value: str | bool | float) -> Any:
    if isinstance(value, str):
        return OTHER_WORDS.get(value, f"{value}x")
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else 0.9 * value + 0.02


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{at}.{key}" if at else key)
    else:
        yield at, value


def _params(flow: Workflow, method: str, arguments: tuple[str, ...]) -> Params:
    """Params of all rules."""
    if method == "mirror_params":
        (task,) = arguments
        arguments = (mirror_path(flow.config.tasks[task].data).removesuffix(".jsonl"),)
    params = getattr(flow, method)(*arguments)
    return params.as_params() if isinstance(params, Settings) else params


@pytest.fixture(scope="module")
def flows() -> tuple[Workflow, Workflow]:
    """The paper's configuration plus all optional settings, and the same with other values."""
    config: Params = {}
    for name in ("config", "sources", "models", "tasks"):
        config |= yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    full = Workflow(_merge(config, yaml.safe_load(ADDED)))
    return full, Workflow(_changed(full.config.model_dump(mode="json")))


@pytest.mark.parametrize("method", METHODS)
def test_every_leaf_of_the_params_follows_its_setting(
    flows: tuple[Workflow, Workflow], method: str
) -> None:
    jobs = [
        dict(_leaves(_params(flow, method, arguments)))
        for flow in flows
        for arguments in METHODS[method]
    ]
    leaves = {leaf for job in jobs for leaf in job}
    constant = {leaf for leaf in leaves if len({repr(job.get(leaf, ...)) for job in jobs}) == 1}
    assert not constant


ONE_OF_EACH = {
    "sources": ("alpaca", "generated_p3", "talks"),
    "mixtures": ("clean",),
    "tasks": ("rte",),
    "tokenizers": ("own", "gpt2"),
    "recipes": ("decoder_only",),
    "studies": ("dataset",),
    "models": ("lamini-gpt-124m", "gpt2", "my-gpt2", "my-gguf"),
    "downloads": ("seed_tasks.jsonl",),
    "sweeps": ("sizes", "whole"),
}
WITHOUT_PARAMS = {
    "models.*.evaluation_gpus",
    "models.*.nodes",
    "models.*.parameters",  # resources of jobs
    "models.*.published_as",
    "models.*.published_revision",
    "models.*.recommended",
    "published.hub",
    "recipes.*.gradient_checkpointing",
    "recipes.*.save_minutes",
    "recipes.*.shard_optimizer",
    "recipes.*.tokens_per_micro_batch",
    "sweeps.*.error",
    "sweeps.*.seed_deviation",  # both of the plan alone
    "teacher.down_after",
    "teacher.jobs",
    "teacher.max_attempts",
    "teacher.max_concurrency",
    "teacher.server.command",
    "teacher.server.context_tokens",
    "teacher.server.environment.VLLM_NO_USAGE_STATS",
    "teacher.server.gpus",
    "teacher.server.health_path",
    "teacher.server.key_variable",
    "teacher.server.model_path",  # `revision` or a digest of the weights is in the model's name
    "teacher.server.parameters",
    "teacher.server.slots",
    "teacher.server.start_timeout",
    "teacher.server.threads",
    "teacher.timeout",
}
"""Settings of speed, safety and resources, and what no result has."""


def _differing(one: Any, other: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of the settings that differ."""
    if isinstance(one, BaseModel | dict) and type(one) is type(other):
        parts, others = dict(one), dict(other)
        for key in ONE_OF_EACH.get(at[-1] if at else "", parts):
            yield from _differing(parts[key], others.get(key), (*at, key))
    elif one != other:
        yield at


def _with(section: Any, other: Any, at: tuple[str, ...]) -> Any:
    """A section with one setting of another one."""
    if not at:
        return other
    key, *rest = at
    part = {key: _with(dict(section)[key], dict(other)[key], tuple(rest))}
    return section | part if isinstance(section, dict) else section.model_copy(update=part)


def _all_params(config: Config) -> Params:
    flow = Workflow.__new__(Workflow)
    flow.config = config.model_copy(update={"teacher": with_weights(config.teacher)})
    return {
        f"{method}{arguments}": _params(flow, method, arguments)
        for method, jobs in METHODS.items()
        for arguments in jobs
    }


def test_every_setting_with_an_effect_is_in_the_params_of_some_rule(
    flows: tuple[Workflow, Workflow],
) -> None:
    full, changed = (flow.config for flow in flows)
    before = _all_params(full)
    effects: dict[str, bool] = {}
    for at in _differing(full, changed):
        kinds = ("", *at)
        name = ".".join("*" if key in ONE_OF_EACH.get(k, ()) else key for k, key in pairwise(kinds))
        effects[name] = effects.get(name, False) or _all_params(_with(full, changed, at)) != before
    assert {name for name, effect in effects.items() if not effect} == WITHOUT_PARAMS


def test_every_method_is_compared() -> None:
    assert {name for name in dir(Workflow) if name.endswith("_params")} == set(METHODS)
