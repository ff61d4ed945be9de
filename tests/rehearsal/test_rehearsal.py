"""A shorter rehearsal: of each kind one or two, from the downloads to the report.

The jobs run in one process, which takes minutes. `make rehearsal` rehearses all of the paper's
configuration, with Snakemake on a SLURM of its own.
"""

import csv
import shutil
from pathlib import Path

import pytest
import yaml
from job_table import Rule, read_log
from rehearse import rehearsal

from lamini.files import read_json, read_jsonl

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
STUDENTS = ("lamini-flan-t5-77m", "lamini-cerebras-111m")
REFERENCES = ("flan-t5-small", "cerebras-gpt-111m", "gpt-neo-125m", "alpaca-7b")
SHORT = {
    "students": list(STUDENTS),
    "references": list(REFERENCES),
    "evaluated_tasks": ["openbookqa", "record", "sst2", "wsc273"],
    "evaluation": {"batches": {"record": ["record"], "others": ["openbookqa", "sst2", "wsc273"]}},
    "human_evaluation": {"studies": {"models": {"models": [*STUDENTS, "alpaca-7b"]}}},
    "report": {
        "selected": [*REFERENCES, *STUDENTS],
        "reference_lines": ["alpaca-7b"],
        "acceptance": ["flan-t5-small"],
    },
}


def test_a_few_of_each_kind_run_from_the_downloads_to_the_report(tmp_path: Path) -> None:
    short = tmp_path / "short.yaml"
    short.write_text(yaml.safe_dump(SHORT))
    with rehearsal(tmp_path, [], [str(short)]) as made:
        first = made.run_in_one_process()
        assert first.returncode == 0, first.stderr[-4000:]
        ratings = made.rate()
        results = made.project.folder / "results"
        for file in results.glob("human_eval/*/ratings.csv"):
            file.unlink()  # new rating files are seen in the records of Snakemake's executor
        for folder in ("tables", "figures", "report"):
            shutil.rmtree(results / folder)
        second = made.run_in_one_process()
        assert second.returncode == 0, second.stderr[-4000:]
    assert "train_model" in first.stderr
    assert "train_model" not in second.stderr
    assert (results / "report/index.html").is_file()
    for student in STUDENTS:
        facts = read_json(results / f"checkpoints/{student}/final/manifest.json")
        assert facts["hub_commits"]
    for model in (*STUDENTS, *REFERENCES):
        assert read_json(results / f"evals/{model}/record.json")["data"]["source"] == "hub"
    subsets = {row["subset"] for row in read_jsonl(results / "prompts/original_p3.jsonl")}
    assert len(subsets) == 4
    rated = 0
    for study in ("dataset", "models"):
        with open(results / f"human_eval/{study}/ratings.csv", newline="") as file:
            rated += sum(bool(row["rating"]) for row in csv.DictReader(file))
    assert rated == ratings > 0


LOG = """\
[Thu Nov 26 22:46:40 2026]
localrule select_topics:
    input: a
    jobid: 7
    wildcards: source=a
[Thu Nov 26 22:46:42 2026]
Error in rule select_topics:
    jobid: 7
Trying to restart job 7.
[Thu Nov 26 22:47:00 2026]
localrule select_topics:
    jobid: 7
[Thu Nov 26 22:48:00 2026]
Finished jobid: 7 (Rule: select_topics)
"""


def test_the_table_counts_repeated_jobs() -> None:
    assert read_log(LOG) == {"select_topics": Rule(1, 2, 1, 1, 60.0)}
