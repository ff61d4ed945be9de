"""Small data repositories with the layout of those that the paper's configuration names.

File names, splits, columns and types are those of the real repositories (sources: their pages, and
logs of programs that read them); the rows are the demo's, written for this project. So the examples
of a task are equal to those of the demo's mirror.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from hub_tokenizers import ROOT, Files

TEXT, INT32, INT64 = Value("string"), Value("int32"), Value("int64")
MIRROR = ROOT / "config/demo/tasks"
Rows = list[dict[str, Any]]

_CHOICES = {"text": Sequence(TEXT), "label": Sequence(TEXT)}
_ENTAILMENT = ClassLabel(names=["entailment", "neutral", "contradiction"])
_COLUMNS: dict[str, dict[str, Any]] = {
    "allenai/openbookqa": {
        "id": TEXT,
        "question_stem": TEXT,
        "choices": _CHOICES,
        "answerKey": TEXT,
    },
    "allenai/ai2_arc": {"id": TEXT, "question": TEXT, "choices": _CHOICES, "answerKey": TEXT},
    "allenai/sciq": dict.fromkeys(
        ("question", "distractor3", "distractor1", "distractor2", "correct_answer", "support"), TEXT
    ),
    "EleutherAI/race": {"article": TEXT, "problems": TEXT},
    "baber/piqa": {"goal": TEXT, "sol1": TEXT, "sol2": TEXT, "label": INT64},
    "aps/super_glue/record": {
        "passage": TEXT,
        "query": TEXT,
        "entities": Sequence(TEXT),
        "entity_spans": {"text": Sequence(TEXT), "start": Sequence(INT32), "end": Sequence(INT32)},
        "answers": Sequence(TEXT),
        "idx": {"passage": INT32, "query": INT32},
    },
    "aps/super_glue/wic": {
        "word": TEXT,
        "sentence1": TEXT,
        "sentence2": TEXT,
        **dict.fromkeys(("start1", "start2", "end1", "end2", "idx"), INT32),
        "label": ClassLabel(names=["False", "True"]),
    },
    "nyu-mll/glue/sst2": {
        "sentence": TEXT,
        "label": ClassLabel(names=["negative", "positive"]),
        "idx": INT32,
    },
    "nyu-mll/glue/mrpc": {
        "sentence1": TEXT,
        "sentence2": TEXT,
        "label": ClassLabel(names=["not_equivalent", "equivalent"]),
        "idx": INT32,
    },
    "nyu-mll/glue/rte": {
        "sentence1": TEXT,
        "sentence2": TEXT,
        "label": ClassLabel(names=["entailment", "not_entailment"]),
        "idx": INT32,
    },
    "nyu-mll/glue/mnli": {"premise": TEXT, "hypothesis": TEXT, "label": _ENTAILMENT, "idx": INT32},
    "lighteval/winograd_wsc": {
        "text": TEXT,
        "pronoun": TEXT,
        "pronoun_loc": INT32,
        "quote": TEXT,
        "quote_loc": INT32,
        "options": Sequence(TEXT),
        "label": ClassLabel(names=["0", "1"]),
        "source": TEXT,
    },
    "allenai/winogrande": dict.fromkeys(("sentence", "option1", "option2", "answer"), TEXT),
    "Rowan/hellaswag": {
        "ind": INT32,
        **dict.fromkeys(("activity_label", "ctx_a", "ctx_b", "ctx"), TEXT),
        "endings": Sequence(TEXT),
        **dict.fromkeys(("source_id", "split", "split_type", "label"), TEXT),
    },
}
"""Columns of the tasks' repositories, or of their configurations."""

_SPLITS = {
    "allenai/openbookqa": {"additional": "train validation test", "main": "train validation test"},
    "allenai/ai2_arc": {"ARC-Challenge": "train test validation", "ARC-Easy": "train test"},
    "allenai/sciq": {"default": "train validation test"},
    "EleutherAI/race": {"high": "test"},
    "aps/super_glue": {"record": "train validation test", "wic": "train validation test"},
    "nyu-mll/glue": {
        "mnli": "train validation_matched validation_mismatched test_matched test_mismatched",
        "mrpc": "train validation test",
        "rte": "train validation test",
        "sst2": "train validation test",
    },
    "lighteval/winograd_wsc": {"wsc273": "test", "wsc285": "test"},
    "allenai/winogrande": {"winogrande_xl": "train test validation", "winogrande_xs": "train"},
    "Rowan/hellaswag": {"default": "train test validation"},
}
"""Configurations and splits of repositories whose card names them."""

_P3_COLUMNS = {
    "inputs": Sequence(INT32),
    "inputs_pretokenized": TEXT,
    "targets": Sequence(INT32),
    "targets_pretokenized": TEXT,
}
_P3_SCORED = {"idx": Sequence(INT32), "is_correct": Value("bool"), "weight": Value("float32")}


def read_rows(path: Path) -> Rows:
    """Rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def data_files(repo: str) -> Files:
    """Files of a data repository.

    Raises:
        KeyError: nobody wrote down what the repository looks like.
    """
    if repo in _SPLITS:
        return _carded(repo)
    makers = {
        "baber/piqa": _piqa,
        "bigscience/P3": _p3,
        "Muennighoff/flan": _flan,
        "tatsu-lab/alpaca": _alpaca,
        "MBZUAI/LaMini-instruction": _released,
    }
    if repo in makers:
        return makers[repo]()
    raise KeyError(f"the stand-in hub has no data {repo}; describe it in {__file__}")


def _carded(repo: str) -> Files:
    """One Parquet file per configuration and split, which the card names."""
    files, configs = {}, []
    for config, splits in _SPLITS[repo].items():
        folder = "data" if config == "default" else config
        places = []
        columns = _COLUMNS.get(repo) or _COLUMNS[f"{repo}/{config}"]
        for split in splits.split():
            rows = _examples(repo, config, split)
            files[f"{folder}/{split}-00000-of-00001.parquet"] = parquet(rows, columns)
            places.append({"split": split, "path": f"{folder}/{split}-*"})
        configs.append({"config_name": config, "data_files": places})
    return {"README.md": _card({"license": "unknown", "configs": configs}), **files}


def _examples(repo: str, config: str, split: str) -> Rows:
    """Examples of the demo; for splits that no task evaluates, one of another split."""
    place = MIRROR / repo / config / f"{split}.jsonl"
    if place.exists():
        return read_rows(place)
    others = sorted((MIRROR / repo).rglob("*.jsonl"))
    same = [path for path in others if path.parent.name == config]
    return read_rows((same or others)[0])[:1]


def _piqa() -> Files:
    """PIQA: no card, and files in the top folder."""
    rows = read_rows(MIRROR / "baber/piqa/default/validation.jsonl")
    columns = _COLUMNS["baber/piqa"]
    parts = {"train": rows[:1], "validation": rows, "test": rows[:1]}
    return {f"piqa_{split}.parquet": parquet(part, columns) for split, part in parts.items()}


def p3_subsets() -> dict[str, Rows]:
    """Rows of the stand-in's P3, by configuration; two are variants for scoring."""
    plain = {path.stem: read_rows(path) for path in sorted((ROOT / "config/demo/p3").glob("*"))}
    scored = {f"{name}_score_eval": plain[name] for name in list(plain)[:2]}
    return {**plain, **scored}


def _p3() -> Files:
    """P3's branch that the hub makes of its script: no card, folders `CONFIGURATION/SPLIT`."""
    files = {".gitattributes": b""}
    for name, rows in p3_subsets().items():
        scored = name.endswith("_score_eval")
        columns = _P3_COLUMNS | (_P3_SCORED if scored else {})
        full = [
            {
                "inputs": [3, 9, 1],
                "inputs_pretokenized": row["inputs_pretokenized"],
                "targets": [4, 1],
                "targets_pretokenized": row["targets_pretokenized"],
                **({"idx": [0, n], "is_correct": True, "weight": 1.0} if scored else {}),
            }
            for n, row in enumerate(rows)
        ]
        files[f"{name}/train/0000.parquet"] = parquet(full, columns)
        files[f"{name}/validation/0000.parquet"] = parquet(full[:1], columns)
    # A configuration above 5 GB, of which the hub converted a part; and one without `train`.
    first = next(iter(p3_subsets()))
    files[f"{first}/partial-train/0000.parquet"] = files.pop(f"{first}/train/0000.parquet")
    files["axg_can_you_infer/test/0000.parquet"] = files[f"{first}/validation/0000.parquet"]
    return files


def flan_tasks() -> dict[str, Rows]:
    """Rows of the stand-in's FLAN, by task."""
    folder = ROOT / "config/demo/flan"
    return {path.stem: read_rows(path) for path in sorted(folder.glob("*.jsonl"))}


def _flan() -> Files:
    """FLAN: a JSONL file per task and split; the card names no files."""
    files = {"README.md": _card({"language": ["en"], "task_categories": ["other"]})}
    for task, rows in flan_tasks().items():
        named = [
            {"inputs": r["inputs"], "targets": r.get("targets", ""), "task": task} for r in rows
        ]
        for split, part in {"train": named, "validation": named[:1], "test": named[:1]}.items():
            lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in part)
            files[f"{split}/{task}_10templates_{split}.jsonl"] = lines.encode()
    return files


def alpaca_rows() -> Rows:
    """Rows of the stand-in's Alpaca."""
    rows = json.loads((ROOT / "config/demo/alpaca.json").read_text("utf-8"))
    return [{**row, "text": f"{row['instruction']}\n{row['output']}"} for row in rows]


def _alpaca() -> Files:
    columns = dict.fromkeys(("instruction", "input", "output", "text"), TEXT)
    content = parquet(alpaca_rows(), columns)
    return {
        "README.md": _card({"license": "cc-by-nc-4.0", "pretty_name": "Alpaca"}),
        "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet": content,
    }


def _released() -> Files:
    """The released dataset: three shards, and the features in the old metadata file."""
    columns = dict.fromkeys(("instruction", "response", "instruction_source"), TEXT)
    names = "alpaca original_flan original_p3 generated_flan generated_p3 self_instruct_with_topic"
    sources = [*names.split(), "self_instruct_without_topic"]
    rows = [
        {
            "instruction": f"{row['instruction']} ({source})",
            "response": row["output"],
            "instruction_source": source,
        }
        for row in alpaca_rows()
        for source in sources
    ]
    files = {"README.md": _card({"license": "cc-by-nc-4.0"})}
    for shard, digest in enumerate(("0b6f2c8a4d1e7f35", "5d0c9b7a3e2f4168", "a1f4e7c2b5d80936")):
        name = f"data/train-0000{shard}-of-00003-{digest}.parquet"
        files[name] = parquet(rows[shard::3], columns)
    features = {name: {"dtype": "string", "_type": "Value"} for name in columns}
    splits = {"train": {"name": "train", "num_examples": len(rows), "num_bytes": 1}}
    facts = {"features": features, "splits": splits}
    files["dataset_infos.json"] = json.dumps({"MBZUAI--LaMini-instruction": facts}).encode()
    return files


def parquet(rows: Rows, columns: Mapping[str, Any]) -> bytes:
    """A Parquet file with the schema metadata that the hub's files have."""
    table = Dataset.from_list(rows, features=Features(dict(columns))).data.table
    written = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(table.schema.metadata), written)
    return written.getvalue()


def _card(fields: Mapping[str, Any]) -> bytes:
    return f"---\n{yaml.safe_dump(dict(fields), sort_keys=False)}---\n\nA stand-in.\n".encode()
