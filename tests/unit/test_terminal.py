"""The terminal during a run: Snakemake's records as lines, the time left, the last screen."""

import errno
import logging
import math
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.exceptions import CliException
from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

import snakemake_logger_plugin_lamini as plugin
from lamini import log
from lamini.command import read_config
from lamini.errors import LaminiError
from lamini.log import duration
from lamini.settings import load_settings
from lamini.terminal import run_ends
from lamini.terminal.lines import Lines
from lamini.terminal.progress import Plan, RunProgress, StartedJob
from lamini.terminal.run_ends import result_lines

START = time.mktime((2026, 11, 26, 14, 0, 0, 0, 0, -1))
TRAIN, TABLE = "results/logs/train_model/lamini-t5-61m.log", "results/logs/make_table/08.log"
PLAN = Plan(
    stages={"train_model": "training", "make_table": "report"},
    jobs={"train_model": 2, "make_table": 1},
    seconds={"make_table": 10.0},
)


def record(event=None, message="", level=logging.INFO, seconds=0.0, **facts) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", level, "", 0, message, (), None)
    made.created = START + seconds
    made.__dict__.update(facts, **({"event": event} if event else {}))
    return made


def job(number: int, rule: str, log_file: str, seconds: float = 0, **facts) -> logging.LogRecord:
    facts = {"output": [f"results/{rule}"], "wildcards": {}, "reason": "", **facts}
    return record(
        LogEvent.JOB_INFO, jobid=number, rule_name=rule, log=[log_file], seconds=seconds, **facts
    )


def finished(number: int, seconds: float) -> logging.LogRecord:
    return record(LogEvent.JOB_FINISHED, job_id=number, seconds=seconds)


def failed(number: int, log_file: str, **facts) -> logging.LogRecord:
    facts = {"rule_msg": None, "aux": {}, "shellcmd": None, **facts}
    return record(
        LogEvent.JOB_ERROR, jobid=number, rule_name="train_model", log=[log_file], level=40, **facts
    )


def write_log(path: str, text: str, seconds: float = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    os.utime(path, (START + seconds, START + seconds))


@pytest.fixture
def lines(tmp_path, monkeypatch) -> Lines:
    """A run of three jobs, two of which have started."""
    monkeypatch.chdir(tmp_path)
    lines = Lines()
    assert lines.text(record(lamini_plan=PLAN)) == (
        "3 jobs: training 2, report 1\n-- stage 1 of 2, training"
    )
    assert lines.text(job(1, "train_model", TRAIN)) == ""
    assert lines.text(job(2, "train_model", TRAIN.replace("61m", "223m"))) == ""
    return lines


def test_a_job_has_one_line_when_it_finishes(lines) -> None:
    write_log(
        TRAIN,
        "2026-11-26 14:00:01,000 INFO starts\n"
        "2026-11-26 14:01:40,000 INFO 42/42 steps, 1.8/s, done, loss 5.2448, 0 in flight\n",
        seconds=100,
    )
    assert lines.text(finished(1, 100)) == (
        "14:01:40  1/3  train_model lamini-t5-61m, 1 min 40 s: 42/42 steps, 1.8/s, loss 5.2448"
    )
    assert lines.text(finished(2, 120)) == (
        "14:02:00  2/3  train_model lamini-t5-223m, 2 min 0 s\n-- stage 2 of 2, report;"
        " about 5 s left"
    )


def test_the_run_and_its_longest_job_are_one_line(lines) -> None:
    write_log(TRAIN, "2026-11-26 14:00:30,000 INFO 19/42 steps, 1.8/s, ETA 1 min 18 s\n", 30)
    assert lines.status(START + 60) == (
        "0 of 3 jobs; stage 1 of 2, training; 1 min 0 s so far"
        " | train_model lamini-t5-61m: 19/42 steps, 1.8/s, ETA 1 min 18 s"
    )


def test_an_older_attempts_log_is_not_this_jobs(lines) -> None:
    write_log(TRAIN, "2026-11-26 13:00:00,000 INFO 42/42 steps\n", seconds=-3600)
    assert lines.text(finished(1, 100)).endswith("train_model lamini-t5-61m, 1 min 40 s")


def test_a_failed_job_has_rule_log_and_its_whole_error(lines) -> None:
    write_log(
        TRAIN,
        "2026-11-26 14:00:01,000 INFO starts\n"
        "2026-11-26 14:00:05,000 ERROR unexpected failure\nTraceback (most recent call last):\n"
        '  File "loop.py", line 3, in step\nValueError: shape\n',
        5,
    )
    assert lines.text(record(LogEvent.ERROR, "RuleException:\nCalledProcessError …", 40)) == ""
    shown = lines.text(failed(1, TRAIN, rule_msg="SLURM-job '7' failed", aux={"slurm_jobid": "7"}))
    assert shown == (
        "FAILED: train_model lamini-t5-61m (rule train_model)\n"
        "  message: SLURM-job '7' failed\n  slurm_jobid: 7\n"
        f"  log: {TRAIN}\n    unexpected failure\n    Traceback (most recent call last):\n"
        '      File "loop.py", line 3, in step\n    ValueError: shape'
    )
    assert "next attempt: train_model lamini-t5-61m" in lines.text(
        record(message="Trying to restart job 1.")
    )
    lines.text(job(1, "train_model", TRAIN, 10))
    lines.text(failed(1, TRAIN))
    end = lines.text(
        record(LogEvent.ERROR, "WorkflowError:\nAt least one job did not complete successfully.")
    )
    assert end.startswith("Stopped: 1 of 3 jobs failed, 0 finished in ")
    assert f"  train_model lamini-t5-61m: {TRAIN}\n" in end
    assert "run the same command again" in end


def test_a_job_that_was_killed_has_the_end_of_its_log(lines) -> None:
    write_log(TRAIN, "".join(f"2026-11-26 14:00:01,000 INFO step {n}\n" for n in range(100)))
    shown = lines.text(failed(1, TRAIN)).splitlines()
    assert len(shown) == 17
    assert shown[-1].endswith("INFO step 99")


def test_a_failed_job_without_a_log_has_snakemakes_error_or_its_command(lines) -> None:
    lines.text(record(LogEvent.ERROR, "RuleException:\nCalledProcessError in rule x, status 1", 40))
    assert "status 1" in lines.text(failed(1, "own.log"))
    assert "  command: exit 1" in lines.text(failed(1, "own.log", shellcmd="exit 1"))


def test_our_errors_end_without_lines_of_the_snakefile(lines) -> None:
    message = 'WorkflowError in file "Snakefile", line 31:\nthe configuration is wrong'
    trace = '\n  File "Snakefile", line 31, in <module>\n  File "a/b.py", line 2, in load'
    assert lines.text(record(LogEvent.ERROR, message + trace, 40)) == message


@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("figurs", "; did you mean `figures`?"),
        ("results/figures/figure_7.pdf", "; did you mean `results/figures/figure_6.pdf`?"),
        ("x", ""),
    ],
)
def test_a_misspelt_target_is_told_with_near_ones(lines, target, near) -> None:
    names = {"figures", "models", "results/figures/figure_6.pdf"}
    assert lines.text(record(lamini_targets=names)) == ""
    unknown = f"No rule to produce {target} (if you use input functions make sure that they don't"
    shown = lines.text(record(LogEvent.ERROR, f"MissingRuleException:\n{unknown} raise).", 40))
    assert shown.splitlines()[0] == f"no rule makes the target `{target}`{near}"
    assert "docs/targets.md" in shown


def test_a_damaged_file_of_the_configuration_is_named_with_its_line(lines) -> None:
    for name in ("config", "sources", "models", "tasks"):
        write_log(f"config/{name}.yaml", "a: 1\n" if name != "models" else "a: 1\nb: 'c\n")
    unnamed = "WorkflowError:\nConfig file is not valid JSON or YAML. In case of YAML, make sure"
    shown = lines.text(record(LogEvent.ERROR, unnamed, 40))
    assert shown.startswith("config/models.yaml, line 3, column 1: not valid YAML: ")
    assert shown.endswith("that begins in line 2)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--configfile", "quote.yaml"],
            "quote.yaml, line 3, column 1: not valid YAML: found unexpected end of stream"
            " (while scanning a quoted scalar that begins in line 2)",
        ),
        (
            ["-n", "--configfiles", "good.yaml", "tab.yaml", "--cores", "1"],
            "tab.yaml, line 1, column 1: not valid YAML: found character '\\t' that cannot start"
            " any token",
        ),
        (["--configfile", "no.yaml"], "no.yaml: no such file; run this in the project's folder"),
        (["--configfile", "list.yaml"], "list.yaml: expected a mapping of settings, found [1]"),
        (["--configfile", "."], ".: a folder; name a file of settings"),
        (
            ["--config", "teacher.mode=replay", "-n"],
            "--config teacher.mode=replay: the key must be the name of a section;"
            " write --config 'teacher={mode: replay}'",
        ),
        (["-C", "a.b.c=1"], "--config 'a={b: {c: 1}}'"),
        (["--config", "seed"], "--config seed: write it as KEY=VALUE"),
        (["--config", "seed=1", "teacher={mode: replay}", "--configfile", "good.yaml"], None),
        (["results/a", "--cores", "1", "--configfile"], None),
        (["--profile", "own", "--configfile", "good.yaml"], None),
        (["--profile", "own", "-n"], "tab.yaml, line 1, column 1: not valid YAML: found character"),
        (["--profile", "own/profile.yaml"], "tab.yaml, line 1, column 1: not valid YAML: found"),
        (["--workflow-profile", "own"], "tab.yaml, line 1, column 1: not valid YAML: found"),
        (["--profile", "lost"], "no.yaml: no such file; run this in the project's folder"),
    ],
)
def test_arguments_of_the_configuration_are_checked_before_snakemake_reads_them(
    tmp_path, monkeypatch, arguments, message
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quote.yaml").write_text('report:\n  title: "unclosed\n')
    Path("tab.yaml").write_text("\tseed: 1\n")
    Path("good.yaml").write_text("seed: 1\n")
    Path("list.yaml").write_text("[1]\n")
    for profile, overlay in (("own", "tab.yaml"), ("lost", "no.yaml")):
        Path(profile).mkdir()
        Path(profile, "profile.yaml").write_text(f"configfile: [good.yaml, {overlay}]\ncores: 1\n")
    Path("Snakefile").touch()
    monkeypatch.setattr(sys, "argv", ["/bin/snakemake", *arguments])
    if message is None:
        plugin.LogHandlerSettings()
    else:
        with pytest.raises(CliException) as caught:
            plugin.LogHandlerSettings()
        assert message in str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        "Building DAG of jobs...",
        "Select jobs to execute...",
        "Job 12 has been submitted with SLURM jobid 345 (log: a.log).",
        "Complete log(s): /x.log",
    ],
)
def test_what_the_lines_of_jobs_say_is_left_out(lines, message) -> None:
    assert lines.text(record(message=message)) == ""


def test_warnings_and_unknown_messages_stay(lines) -> None:
    assert lines.text(record(message="SLURM run ID: 5")) == "SLURM run ID: 5"
    assert lines.text(record(message="Job x is odd", level=logging.WARNING)) == "Job x is odd"


def test_a_dry_run_says_why_by_rule() -> None:
    lines = Lines(dryrun=True)
    assert lines.text(record(LogEvent.RUN_INFO, "job count", stats={})) == ""
    made = "Input files updated by another job: results/a"
    lines.text(job(1, "train_model", TRAIN, reason=f"Missing output files: results/b; {made}"))
    lines.text(job(2, "train_model", TRAIN, reason="Params have changed since last execution: x"))
    lines.text(job(3, "make_table", TABLE, reason=made))
    lines.text(job(4, "all", "", output=[], reason=made))
    assert lines.text(record(LogEvent.RUN_INFO, "job count", stats={})).splitlines() == [
        "rule         why                                     jobs",
        "train_model  not made yet, settings or code changed     2",
        "make_table   inputs are made in this run                1",
        "in all                                                  3",
        "",
        "A dry run: nothing was executed. `-np` lists every job with its files;"
        " `make plan` shows the costs.",
    ]
    quiet = Lines(dryrun=True, quiet={"rules"})
    assert quiet.text(record(LogEvent.RUN_INFO, "job count\n--- ---")) == "job count\n--- ---"


def test_the_time_left_counts_each_rule_with_its_own_mean() -> None:
    """Two of three trainings of 100 s are done, two at once; the table took 10 s before."""
    plan = Plan({"train": "training", "table": "report"}, {"train": 3, "table": 1}, {"table": 10})
    progress = RunProgress(plan, 0)
    assert progress.time_left(0) == ""
    for number in (1, 2):
        progress.running[number] = StartedJob("", "train", "", 0)
    for number in (1, 2):
        progress.finish(number, 100)
    assert progress.time_left(100) == "about 55 s left"
    progress.running[3] = StartedJob("", "train", "", 100)
    assert progress.time_left(120) == "about 49 s left"  # (80 + 10) s at 220 s of work in 120 s


def test_rules_of_unknown_duration_make_it_a_lower_bound() -> None:
    progress = RunProgress(Plan({"a": "x", "b": "y"}, {"a": 2, "b": 1}, {}), 0)
    progress.running[1] = StartedJob("", "a", "", 0)
    progress.finish(1, 60)
    assert progress.time_left(60) == "at least 1 min 0 s left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (math.inf, "unknown"),
        (59.6, "1 min 0 s"),
        (599, "9 min 59 s"),
        (3599, "59 min"),
        (172800, "2 d 0 h"),
    ],
)
def test_durations(seconds, text) -> None:
    assert duration(seconds) == text


@pytest.fixture
def config(empty_project):
    return load_settings(read_config([Path("config/demo.yaml")], []))


def test_the_last_screen_has_result_costs_report_and_next_step(config) -> None:
    write_log(
        "results/figures/figure_5.csv",
        "model,score,average,drawn\nA,published,60,dot\nB,ours,41.04,dot\nC,ours,30,dot\n"
        "D,ours,55,line\nE,ours,,dot\n",
    )
    shown = result_lines(108, 1095.0, ["results/report/index.html"], [], config)
    assert shown[0] == "Finished: 108 jobs in 18 min."
    assert shown[1].startswith("  Best student  B, average score 41.0 of ")
    assert shown[1].endswith("; mean of 2 students 35.5")
    assert "no reproduction" in shown[2]
    assert shown[3].startswith("  Cost so far   $0.00 for 0 answers of the teacher; 0.0 GPU-hours")
    assert shown[4] == f"  Report        {Path.cwd()}/results/report/index.html"
    assert "make plan" in shown[5]


def test_other_targets_are_named_and_not_listed_at_length(config) -> None:
    files = [f"results/checkpoints/{number}/manifest.json" for number in range(15)]
    shown = result_lines(15, 60, files, ["models"], config)
    assert shown[1] == f"  Files         {files[0]}"
    assert shown[6].strip() == "and 10 more files"
    assert shown[-1] == "  Next          the target `evals`, with the same options"


def test_a_damaged_ledger_does_not_make_a_finished_run_fail(config, monkeypatch, caplog) -> None:
    def damaged(*_: object) -> None:
        raise LaminiError("a.ledger.jsonl: row 3 is damaged")

    monkeypatch.setattr(run_ends, "spending_by_rule", damaged)
    monkeypatch.setattr(logging.getLogger("snakemake.logging"), "propagate", True)
    dag = SimpleNamespace(derived_targetfiles=["results/a"], targetjobs=[], finished_jobs=[])
    run_ends.send_result(SimpleNamespace(start_time=datetime.now(), dag=dag), config)
    assert caplog.messages[-1].endswith("cannot be shown: a.ledger.jsonl: row 3 is damaged")


def handler(monkeypatch, **settings):
    monkeypatch.setenv("LAMINI_BRIEF_TERMINAL", "")  # restored after the test
    common = {"quiet": None, "dryrun": False, "stdout": False, "nocolor": True}
    common |= {"printshellcmds": False, "verbose": False, "debug_dag": False} | settings
    return plugin.LogHandler(SimpleNamespace(**common), None)


@pytest.fixture
def logger(monkeypatch):
    """The package's logger, as it was after the test."""
    logger = logging.getLogger("lamini")
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(logger, "propagate", logger.propagate)
    monkeypatch.setattr(logger, "handlers", [])
    yield logger
    for handler in logger.handlers:
        handler.close()


def test_the_plugin_writes_lines_and_its_jobs_only_warnings(
    lines, logger, tmp_path, monkeypatch, capsys
) -> None:
    brief = handler(monkeypatch)
    brief.emit(record(lamini_plan=PLAN))
    log.start_logging(tmp_path / "a.log", "train_model x")
    logger.info("42 steps")
    logger.warning("the endpoint refuses connections")
    logger.error("ends")
    brief.close()
    assert capsys.readouterr().err.splitlines() == [
        "3 jobs: training 2, report 1",
        "-- stage 1 of 2, training",
        "[train_model x] the endpoint refuses connections",
    ]
    assert "42 steps" in (tmp_path / "a.log").read_text()
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # its output is the log file of an attempt
    logger.handlers[-1].close()
    log.start_logging(tmp_path / "a.log", "train_model x").info("42 steps")
    assert "42 steps" in capsys.readouterr().err


def test_an_error_that_a_full_disk_keeps_out_of_the_log_is_on_the_terminal(
    logger, tmp_path, monkeypatch, capsys
) -> None:
    handler(monkeypatch).close()
    log.start_logging(tmp_path / "a.log", "train_model x")

    def full(text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(logger.handlers[-1].stream, "write", full)
    logger.info("42 steps")
    logger.error("the disk is full")
    assert capsys.readouterr().err == "the disk is full\n"


def test_with_commands_the_output_is_snakemakes_own(monkeypatch, capsys) -> None:
    complete = handler(monkeypatch, printshellcmds=True)
    complete.setFormatter(DefaultFormatter())
    complete.emit(record(message="Building DAG of jobs..."))
    complete.close()
    assert capsys.readouterr().err == "Building DAG of jobs...\n"
