"""A new rule needs its entry in `rules/`, its script, its module, and the paths of its files."""

import pytest

from checkouts import Checkout
from lamini.files import read_json, read_jsonl

LENGTHS = "results/topics/lengths.json"
RULE = '''

from lamini.generation.topic_lengths import CountTopicLengths


rule count_topic_lengths:
    """Count topics by their number of letters."""
    input:
        topics=paths.TOPICS,
    output:
        lengths=paths.TOPIC_LENGTHS,
    params:
        settings=CountTopicLengths(shortest=4).as_params(),
    script:
        "../scripts/count_topic_lengths.py"
'''
SCRIPT = '''"""Count topics by their number of letters."""

from lamini.generation.topic_lengths import count_topic_lengths
from lamini.jobs import run_job

run_job(snakemake, count_topic_lengths)
'''
MODULE = '''"""Number of letters of the topics."""

from collections import Counter
from pathlib import Path

from lamini.files import read_jsonl, write_json
from lamini.settings.base import Settings


class CountTopicLengths(Settings):
    """Params of rule `count_topic_lengths`."""

    shortest: int


def count_topic_lengths(*, topics: Path, lengths: Path, settings: CountTopicLengths) -> None:
    """Count topics by their number of letters, from the shortest counted length up."""
    counts = Counter(len(row["topic"]) for row in read_jsonl(topics))
    write_json(lengths, {n: counts[n] for n in sorted(counts) if n >= settings.shortest})
'''


@pytest.mark.slow
def test_three_files_and_a_path_are_a_rule(checkout: Checkout) -> None:
    names = checkout.folder / "scripts/lamini/paths.py"
    names.write_text(f'{names.read_text()}TOPIC_LENGTHS = "{LENGTHS}"\n')
    rules = checkout.folder / "rules/topics.smk"
    rules.write_text(rules.read_text() + RULE)
    (checkout.folder / "scripts/count_topic_lengths.py").write_text(SCRIPT)
    module = checkout.folder / "scripts/lamini/generation/topic_lengths.py"
    module.write_text(MODULE)
    checkout.snakemake("--profile", "demo", LENGTHS)

    rows = read_jsonl(checkout.folder / "results/topics/topics.jsonl")
    lengths = [len(row["topic"]) for row in rows]
    counts = read_json(checkout.folder / LENGTHS)
    assert counts == {str(n): lengths.count(n) for n in sorted(set(lengths)) if n >= 4}
    record = read_json(checkout.folder / "results/provenance/topics/lengths.json.json")
    job = read_json(checkout.folder / record["job"])
    assert job["rule"] == "count_topic_lengths"
    assert set(job["inputs"]) == {"results/topics/topics.jsonl"}
    assert checkout.plan("--profile", "demo", LENGTHS) == {}

    rules.write_text(rules.read_text().replace("shortest=4", "shortest=5"))
    assert checkout.plan("--profile", "demo", LENGTHS) == {"count_topic_lengths": 1}
    rules.write_text(rules.read_text().replace("shortest=5", "shortest=4"))
    module.write_text(MODULE.replace("len(row", "1 + len(row"))
    assert checkout.plan("--profile", "demo", LENGTHS) == {"count_topic_lengths": 1}
