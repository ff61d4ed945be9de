"""The demonstrations and grammars of the demo's teacher agree with its settings."""

import functools
import re
from pathlib import Path

import pytest
import yaml

from lamini.generation.parsing.examples import parse_examples
from lamini.generation.parsing.labels import label_pattern
from lamini.generation.prompt_template import PromptTemplate
from lamini.generation.seeds import prompt_of, read_seeds
from lamini.settings import Config, load_settings

ROOT = Path(__file__).resolve().parents[2]
GENERATED = (
    "self_instruct_without_topic",
    "self_instruct_with_topic",
    "generated_p3",
    "generated_flan",
)
CHARACTERS_PER_TOKEN = 3.0  # English text has more in SmolLM2's vocabulary.


def merge(base: dict, overlay: dict) -> dict:
    both = {
        k: merge(base[k], v)
        for k, v in overlay.items()
        if isinstance(v, dict) and k in base and isinstance(base[k], dict)
    }
    return base | overlay | both


@functools.cache
def demo() -> Config:
    names = ("config", "sources", "models", "tasks", "demo")
    parts = [yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in names]
    return load_settings(functools.reduce(merge, parts))


@pytest.mark.parametrize("source", GENERATED)
def test_grammars_give_as_many_examples_as_are_asked_for(source):
    generation = demo().sources[source].generation
    requests = generation.requests or demo().teacher.instructions
    root = re.search(r"^root ::= (.*)$", requests.sampling.extra_body["grammar"], re.MULTILINE)[1]
    assert root.split() == ["example"] * generation.instructions_per_request


def test_demonstrations_show_what_is_asked_for():
    requests = demo().teacher.instructions
    label = label_pattern(requests.prompt.opening, requests.prompt.closing)
    user, assistant = requests.demonstrations
    examples = user.content.split("\n\n")[0]
    shown = parse_examples(examples, label=label, truncated=False, shown=()).instructions
    made = parse_examples(assistant.content, label=label, truncated=False, shown=shown)
    count = demo().sources["self_instruct_with_topic"].generation.instructions_per_request
    assert user.content == PromptTemplate(requests.prompt).render(shown, [], count)
    assert len(made.instructions) == count
    assert not made.rejects


@pytest.mark.parametrize("source", GENERATED)
def test_the_longest_request_fits_into_a_slot(source, monkeypatch):
    monkeypatch.chdir(ROOT)
    definition = demo().sources[source]
    requests = definition.generation.requests or demo().teacher.instructions
    prompts = [prompt_of(row.row, definition.seeds.format) for row in read_seeds(definition.seeds)]
    longest = sorted(prompts, key=len)[-definition.generation.examples_per_request :]
    topics = ["x" * 30] * definition.generation.topics_per_request
    text = PromptTemplate(requests.prompt).render(longest, topics, 10)
    characters = len(text) + sum(len(message.content) for message in requests.demonstrations)
    tokens = characters / CHARACTERS_PER_TOKEN + requests.sampling.max_tokens
    assert tokens < demo().teacher.server.context_tokens
