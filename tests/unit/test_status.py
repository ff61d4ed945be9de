"""`make status` and `make cost`: states, running jobs, errors, spending and hours from files."""

import base64
import json
import os
import re
import shutil
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from snakemake_executor_plugin_slurm.utils import get_job_wildcards

from lamini.command import read_config
from lamini.errors import LaminiError
from lamini.paths import JOBS_FILE
from lamini.settings import load_settings
from lamini.status.__main__ import main
from lamini.status.graph import Job, ask_snakemake, read_jobs, with_plan
from lamini.status.queue import queue_name, remedy
from lamini.status.states import job_states, read_tail
from lamini.teacher.ledger import Ledger, row_line
from lamini.teacher.report import ShardReport
from lamini.training.metrics import StepMetrics

ROOT = Path(__file__).parents[2]


def project(folder: Path) -> Path:
    """A project's folder without results."""
    for name in ("Snakefile", "rules", "envs", "scripts", "config", "CITATION.cff"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> list[Job]:
    """The jobs of the paper's run, from Snakemake."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project(tmp_path_factory.mktemp("project")))
        return ask_snakemake([], {})


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, planned):
    """A project with a run of the paper that has just started."""
    monkeypatch.chdir(project(tmp_path))
    write(JOBS_FILE, [asdict(job) for job in planned])
    configure()


def configure(*assignments: str) -> None:
    config = load_settings(read_config([], assignments))
    write("results/run_config.yaml", yaml.safe_dump(config.as_params()))


@pytest.fixture
def jobs(planned) -> dict[str, Job]:
    return {job.name: job for job in planned}


def write(path: str | Path, content: object = "") -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def mark_running(*outputs: str) -> None:
    write(".snakemake/locks/0.input.lock")
    for output in outputs:
        name = base64.urlsafe_b64encode(output.encode()).decode()
        parts = [name[i : i + 254] for i in range(0, len(name), 254)]
        write(Path(".snakemake/incomplete", *(f"@{part}" for part in parts[:-1]), parts[-1]))


def finish(job: Job, seconds: float = 60.0, **row: object) -> None:
    for path in job.outputs:
        write(path)
    write(job.benchmark, {"s": seconds, "cpu_time": "NA", "threads": 2, **row})


def status(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def rows(text: str) -> dict[str, list[str]]:
    """Cells by the first word of their line, whose first line counts."""
    lines = [line.split() for line in reversed(text.splitlines()) if line.strip()]
    return {first: rest for first, *rest in lines}


def test_an_empty_folder_waits_for_everything(capsys, jobs):
    shutil.rmtree("results")
    text = status(capsys)
    assert rows(text)["in"] == ["all", "0", f"{len(jobs):,}", f"{len(jobs):,}"]
    assert rows(text)["train_model"] == ["0", "15", "15"]
    assert rows(text)["generate_pairs"] == ["0", "64", "64"]
    assert not Path("results").exists()


def test_states_come_from_outputs_marks_and_logs(capsys, jobs):
    finish(jobs["train_model lamini-t5-61m"], 7200, resources={"gpu": 4}, cpu_time=9000.0)
    partly = jobs["evaluate_others gpt2"]
    write(partly.outputs[0])
    trained = jobs["train_model lamini-gpt-1.5b"]
    mark_running(*trained.outputs, "results/checkpoints/lamini-gpt-1.5b/final/metrics.jsonl")
    line = "2026-11-24 17:09:07,208 INFO 8/15 steps, ETA 5 min 15 s, loss 1.0493\n"
    write(trained.log, f"2026-11-24 17:00:00,000 ERROR an earlier attempt\n{line}")
    queued = jobs["train_model lamini-gpt-774m"]
    mark_running(*queued.outputs)
    write(queued.log, line)
    os.utime(queued.log, (1, 1))
    failed = jobs["generate_pairs alpaca/0003"]
    write(
        failed.log,
        "2026-11-24 17:00:00,000 ERROR unexpected failure\nTraceback (most recent call last):\n"
        "  File \"x.py\", line 3\nKeyError: 'model'\n",
    )
    text = status(capsys)
    # 15 = 1 done + 2 running + 12 waiting; two hours each, two at a time: (2/2 + 12) * 2 / 2
    assert rows(text)["train_model"] == [
        *("1", "15", "2", "12"),
        *("13", "h", "0", "min"),
    ]
    assert rows(text)["evaluate_others"] == ["0", "32", "32"]
    assert rows(text)["generate_pairs"] == ["0", "64", "1", "63"]
    last = r"train_model lamini-gpt-1\.5b: 8/15 steps, ETA 5 min 15 s, loss 1\.0493 \(\d s ago\)"
    assert re.search(last, text)
    assert "train_model lamini-gpt-774m: in the queue or starting" in text
    assert "KeyError: 'model'\n    results/logs/generate_pairs/alpaca/0003.log" in text
    assert "8.00 GPU-hours and 4.00 CPU-hours reserved (2.50 busy)" in text


def test_marks_that_a_killed_run_left_are_no_running_jobs(jobs):
    job = jobs["train_model lamini-gpt-1.5b"]
    output = f"results/{'long' * 60}/{'name' * 30}"
    long = Job("some", "x", (output,), "results/logs/some/x.log", "results/benchmarks/x.jsonl")
    mark_running(*job.outputs, *long.outputs)
    assert [s.state for s in job_states([job, long], Path())] == ["running", "running"]
    Path(".snakemake/locks/0.input.lock").unlink()
    assert [s.state for s in job_states([job, long], Path())] == ["waiting", "waiting"]


def slurm_says(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """A `squeue` with these lines."""
    (folder / "bin").mkdir()
    write(folder / "bin/queue", "".join(f"{line}\n" for line in lines))
    program = write(folder / "bin/squeue", f"#!/bin/sh\ncat {folder}/bin/queue\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin", prepend=os.pathsep)


def test_queued_jobs_stand_with_slurms_reason(capsys, jobs, tmp_path, monkeypatch):
    names = ("gpt-774m", "gpt-1.5b", "t5-61m", "t5-223m", "t5-738m")
    trainings = [jobs[f"train_model lamini-{name}"] for name in names]
    mark_running(*(path for job in trainings for path in job.outputs))
    shard = jobs["count_tokens d_all/bert"]
    mark_running(*shard.outputs)
    comment = "rule_train_model_wildcards_lamini"
    slurm_says(
        tmp_path,
        monkeypatch,
        f"7|PENDING|(Priority)|{comment}-gpt-774m|{tmp_path}",
        f"8|PENDING|(PartitionTimeLimit)|{comment}-gpt-1.5b|{tmp_path}",
        f"9|PENDING|(ReqNodeNotAvail, UnavailableNodes:g1)|{comment}-t5-61m|{tmp_path}",
        f"10|RUNNING|g2|{comment}-t5-223m|{tmp_path}",
        f"11|PENDING|(JobHeldUser)|{comment}-t5-738m|/home/another/run",
        f"12|PENDING|(Priority)|rule_count_tokens_wildcards_d_all_bert|{tmp_path}",
        "13|PENDING|(Priority)|(null)|/",
    )
    text = status(capsys)
    # 15 = 2 running (one of them not known to SLURM) + 3 queued + 10 waiting
    assert rows(text)["train_model"] == ["0", "15", "2", "3", "10"]
    section = text[text.index("In SLURM's queue (4)") : text.index("Running (2)")]
    assert section.rstrip().splitlines()[1:] == [
        "  PartitionTimeLimit: train_model lamini-gpt-1.5b (SLURM job 8)",
        "    cannot start so: its time limit is above the site's: correct max_runtime in"
        " partitions.yaml, or lower `runtime` of the rule",
        "  ReqNodeNotAvail, UnavailableNodes:g1: train_model lamini-t5-61m (SLURM job 9)",
        "    cannot start so: the administrators must bring the nodes back; or choose another"
        " partition",
        "  Priority: count_tokens d_all/bert (SLURM job 12),"
        " train_model lamini-gpt-774m (SLURM job 7)",
    ]
    assert "  train_model lamini-t5-223m: starting on g2, for " in text
    assert "  train_model lamini-t5-738m: in the queue or starting, for " in text


def test_a_slurm_job_is_found_by_the_comment_that_the_executor_writes(planned):
    def comments(workflow) -> set[str]:
        """As in the executor's `run_job`."""
        jobs = [job for job in workflow.dag.jobs if job.output]
        return {
            f"{job.rule.name}_wildcards_{wildcards}" if wildcards else job.rule.name
            for job, wildcards in ((job, get_job_wildcards(job)) for job in jobs)
        }

    written = with_plan([], {}, comments)
    names = {name.replace("_wildcards_", "_", 1) for name in written}
    assert {queue_name(job) for job in planned} == names and len(names) == len(planned)


@pytest.mark.parametrize(
    ("reason", "start"),
    [
        ("QOSMaxWallDurationPerJobLimit", "its time limit"),
        ("AssocMaxWallDurationPerJobLimit", "its time limit"),
        ("QOSMaxCpuPerJobLimit", "it asks for more"),
        ("QOSMaxGRESPerJob", "it asks for more"),
        ("BadConstraints", "it asks for more"),
        ("InvalidQOS", "set `slurm_account`"),
        ("JobHeldUser", "release it"),
        ("QOSMaxJobsPerUserLimit", ""),
        ("AssocGrpGRES", ""),
        ("Resources", ""),
        ("Priority", ""),
        ("None", ""),
    ],
)
def test_reasons_that_do_not_end_by_themselves_have_a_remedy(reason, start):
    assert remedy(reason)[: len(start)] == start and bool(remedy(reason)) == bool(start)


def test_without_an_answer_of_slurm_the_files_count(capsys, jobs, tmp_path, monkeypatch):
    mark_running(*jobs["train_model lamini-t5-61m"].outputs)
    slurm_says(tmp_path, monkeypatch)
    write(tmp_path / "bin/squeue", "#!/bin/sh\nexit 1\n")
    assert rows(status(capsys))["train_model"] == ["0", "15", "1", "14"]


def test_spending_counts_reports_open_ledgers_and_running_jobs(capsys):
    ShardReport(
        stage="pairs",
        source="alpaca",
        shard="0000",
        wanted=3,
        accepted=3,
        requests=3,
        prompt_tokens=4_000_000,
        completion_tokens=0,
        finish_reasons={},
        asked_model="gpt-3.5-turbo",
        models={},
    ).write("results/pairs/alpaca/0000.report.json")
    row = {"prompt_tokens": 0, "completion_tokens": 1_000_000, "model": "gpt-3.5-turbo-0125"}
    for path, count in (("pairs/alpaca/0000", 3), ("instructions/generated_p3/0001", 2)):
        ledger = Ledger(Path(f"results/{path}.ledger.jsonl"))
        ledger.append([row_line({"key": f"{n:032x}", **row}) for n in range(count)])
        ledger.close()
    job = {
        "state": "running",
        "updated": time.time(),
        "seconds": 2.0,
        "answered": 30,
        "prompt_tokens": 100,
        "completion_tokens": 100,
        "in_flight": 7,
        "rate_limited": 1,
        "retries": 2,
    }
    write("results/progress/a.json", job)
    write("results/progress/b.json", job | {"updated": time.time() - 3600})
    write("results/progress/c.json", job | {"state": "done"})
    write("results/progress/d.json", "{")
    prices = "{gpt-3.5-turbo: {prompt: 0.5, completion: 1.5}}"
    configure(
        f"teacher={{model: gpt-3.5-turbo, backend: external, budget_dollars: 10, prices: {prices}}}"
    )
    text = status(capsys)
    assert "5 answers, 4,000,000 + 2,000,000 tokens, $5.00 of $10.00, $5.00 left" in text
    assert "15.0 requests/s, 100 tokens/s by 1 jobs, 7 in flight, 1 times 429, 2 ret" in text


def test_trainings_show_their_newest_checkpoint(capsys):
    first = StepMetrics.untrained(2.5)
    second = StepMetrics.untrained(None).model_copy(update={"step": 1, "loss": 1.25})
    for step, rows_so_far in ((8, [first]), (12, [first, second])):
        state = {"step": step, "metrics": [row.as_json() for row in rows_so_far]}
        folder = f"results/checkpoints/lamini-t5-61m/work/step-{step:07}"
        write(f"{folder}/manifest.json", {"state": state})
    write("results/checkpoints/lamini-t5-223m/work/step-0000003/manifest.json", "{")
    text = status(capsys)
    assert rows(text)["lamini-t5-61m"][:3] == ["12", "1.2500", "2.5000"]
    assert "lamini-t5-223m" not in text


def test_costs_are_summed_by_rule_in_the_pipelines_order(capsys, jobs):
    finish(jobs["generate_answers alpaca-7b"], 3600, resources={"gpu": 1}, max_rss=2048.0)
    for model in ("lamini-t5-61m", "lamini-t5-223m"):
        finish(jobs[f"train_model {model}"], 7200, resources={"gpu": 4}, max_rss="NA")
    write("results/benchmarks/train_model/torn.jsonl", '{"s":')
    text = status(capsys, "cost", "--gpu-dollars", "2", "--cpu-dollars", "0.5")
    assert text.index("train_model") < text.index("generate_answers") < text.index("in all")
    assert rows(text)["train_model"] == [
        "2",
        *("4", "h", "0", "min"),
        "8.00",
        "0.00",
        "16.00",
        "0.0",
        "GiB",
        "$36.00",
    ]
    assert rows(text)["in"][1:] == [
        "3",
        *("5", "h", "0", "min"),
        "10.00",
        "0.00",
        "17.00",
        "2.0",
        "GiB",
        "$39.00",
        "$0.00",
    ]
    assert "not readable: results/benchmarks/train_model/torn.jsonl" in text
    assert "machines" not in status(capsys, "cost")


def test_the_last_runs_jobs_are_shown_unless_another_configuration_is_given(capsys, planned):
    few = [job for job in planned if job.name != "train_model lamini-t5-61m"]
    write(JOBS_FILE, [asdict(job) for job in few])
    assert read_jobs() == few
    assert rows(status(capsys))["train_model"] == ["0", "14", "14"]
    one = "students=[lamini-t5-61m]"
    studies = "human_evaluation={studies: {models: {models: [gpt2]}}}"
    assert rows(status(capsys, "--config", one, studies))["train_model"] == ["0", "1", "1"]
    write("results/run_config.yaml", "students: [")
    assert main([]) == 1
    assert "run_config.yaml, line 1, column 12: not valid YAML: expected" in capsys.readouterr().err
    with pytest.raises(LaminiError, match="KEY=VALUE"):
        read_config([], ["seed"])


def test_jobs_stand_in_the_order_of_the_rule_files(planned):
    rules = list(dict.fromkeys(job.rule for job in planned))
    for earlier, later in pairwise(
        (
            "select_topics",
            "prepare_prompts",
            "generate_pairs",
            "merge_pairs",
            "measure_dataset",
            "train_model",
            "generate_answers",
            "select_items",
            "make_table",
            "write_report",
        )
    ):
        assert rules.index(earlier) < rules.index(later)
    topics = next(job for job in planned if job.rule == "select_topics")
    assert topics == Job(
        "select_topics",
        "",
        ("results/topics/topics.jsonl", "results/topics/funnel.json"),
        "results/logs/select_topics.log",
        "results/benchmarks/select_topics.jsonl",
    )


def test_the_end_of_a_long_log_is_enough(tmp_path):
    filler = "2026-11-24 17:09:07,208 INFO step\n" * 10_000
    log = write("log", f"{filler}2026-11-24 17:09:07,208 ERROR the\n  end\n{filler[:340]}")
    tail = read_tail(log)
    assert (tail.last, tail.error) == ("step", "the end")
    assert read_tail(write("raw", "no records\n")).last == "no records"
    assert read_tail(tmp_path / "none") is None
