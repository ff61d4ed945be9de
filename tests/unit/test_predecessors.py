"""Older SLURM jobs with the same output, which a new job cancels."""

import logging

import pytest

from lamini.jobs.predecessors import end_predecessors, predecessors
from lamini.slurm import read_queue

OWN = "17|RUNNING|c1|rule_train_model_wildcards_gpt2|/home/a/run"


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("12|RUNNING|c1|rule_train_model_wildcards_gpt2|/home/a/run", [12]),
        ("12|PENDING|(Priority)|rule_train_model_wildcards_gpt2|/home/a/run", [12]),
        # newer: it ends this one
        ("18|RUNNING|c1|rule_train_model_wildcards_gpt2|/home/a/run", []),
        ("12|RUNNING|c1|rule_train_model_wildcards_t5|/home/a/run", []),
        ("12|RUNNING|c1|rule_train_model_wildcards_gpt2|/home/a/other", []),
        ("12_3|RUNNING|c1|rule_train_model_wildcards_gpt2|/home/a/run", []),
    ],
)
def test_only_older_jobs_at_the_same_output_are_ended(other: str, expected: list[int]) -> None:
    assert predecessors(read_queue(f"{other}\n{OWN}\n"), 17) == expected


def test_jobs_that_snakemake_did_not_submit_are_left_alone() -> None:
    other = "12|RUNNING|c1|(null)|/home/a"
    assert predecessors(read_queue(f"{other}\n17|RUNNING|c1|(null)|/home/a"), 17) == []
    assert predecessors(read_queue(other), 17) == []


def test_outside_of_slurm_no_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("PATH", "")
    end_predecessors(logging.getLogger("lamini"))
