"""Jobs do what was planned, take what they would compute the same, and tell what differs."""

import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import RerunTrigger
from snakemake_interface_logger_plugins.common import LogEvent
from test_jobs import SETTINGS, rule, sha256, written

from lamini.errors import LaminiError
from lamini.files import write_json
from lamini.jobs import planned, run_job
from lamini.jobs.planned import check_planned, write_plan
from lamini.jobs.previous import PREVIOUS, forget_previous, keep_previous, previous_output
from lamini.jobs.provenance import record_job
from lamini.status.usage import read_usage
from lamini.workflow.recorded import RecordWatch

FAMILIES = {"select_queries_alpaca": "select_queries"}
OUTPUT = "results/queries/0.jsonl"
MODULES = {"select_queries": "a", "lamini.files": "b"}
BENCHMARK = "results/benchmarks/select_queries/alpaca.jsonl"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lamini.jobs.run.start_job", lambda log, name: None)
    monkeypatch.setattr(planned, "module_digests", lambda rule: dict(MODULES))
    monkeypatch.setattr(planned, "package_versions", lambda: {"torch": "2.13.0", "polars": "1"})
    for module in ("previous", "provenance"):
        monkeypatch.setattr(f"lamini.jobs.{module}.code_digest", lambda rule: "code")


def job(settings: dict[str, Any] | None = None, prompts: str = "results/prompts/a.jsonl") -> Any:
    """What a script gets from Snakemake; of the job graph, it has rule and benchmark."""
    script = rule(
        {"prompts": prompts},
        {"shards": [OUTPUT, "results/queries/1.jsonl"], "funnel": "results/queries/f.json"},
        {"settings": settings or SETTINGS, "code": "digest", "tokens_per_batch": 5},
    )
    script.benchmark = BENCHMARK
    return script


class Graph:
    """Snakemake's workflow with a job graph, as the Snakefile has it when a run starts."""

    is_main_process = True
    touch = dryrun = False
    rerun_triggers = frozenset({RerunTrigger.MTIME, RerunTrigger.PARAMS})

    def __init__(self, *jobs: Any, needed: bool = True, forced: bool = False) -> None:
        self.jobs = [SimpleNamespace(**vars(each)) for each in jobs]
        for each in self.jobs:
            each.rule = SimpleNamespace(name=each.rule)
        self.jobs = list(map(Hashable, self.jobs))
        self.dag = SimpleNamespace(
            jobs=self.jobs,
            needrun_jobs=lambda: self.jobs if needed else [],
            reason=lambda job: SimpleNamespace(forced=forced),
        )


class Hashable:
    """A job that can be in a set, as Snakemake's."""

    def __init__(self, facts: Any) -> None:
        vars(self).update(vars(facts))


def plan(each: Any) -> None:
    write_plan(Graph(each), FAMILIES)


def check(each: Any, name: str = "select_queries") -> None:
    settings = dict(each.params.items())["settings"]
    check_planned(name, str(each.output[0]), settings, each.input)


def test_a_job_as_planned_runs_and_so_does_one_that_no_run_planned() -> None:
    check(job())
    plan(job())
    check(job())
    check(job(dict(reversed(SETTINGS.items()))))
    plan(rule({}, {"made": "results/other"}, {"settings": {}}))
    check(job({"source": "of another run"}))


def changed_settings() -> Any:
    return job(SETTINGS | {"deduplication": {"version": 4}, "shards": 3})


def changed_inputs() -> Any:
    return job(prompts="results/prompts/b.jsonl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed_settings,
            "settings have .* (deduplication.version 3 is 4 now, shards 2 is 3 now)",
        ),
        (changed_inputs, "input files of the rule have changed since this run was planned, so"),
    ],
)
def test_a_job_of_another_plan_stops_in_one_sentence(change: Any, message: str) -> None:
    plan(job())
    pattern = message.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(LaminiError, match=rf"^results/queries/0\.jsonl: the {pattern}") as stopped:
        check(change())
    assert "\n" not in str(stopped.value)


def test_a_job_of_other_code_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    plan(job())
    monkeypatch.setitem(MODULES, "lamini.files", "edited")
    with pytest.raises(
        LaminiError, match=r"code of select_queries has changed .*\(lamini\.files\)"
    ):
        check(job())


def test_a_job_with_other_packages_stops_but_not_in_an_environment_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan(job())
    monkeypatch.setattr(planned, "package_versions", lambda: {"torch": "2.14.0", "polars": "1"})
    with pytest.raises(LaminiError, match=r"packages have .*\(torch 2\.13\.0 is 2\.14\.0 now\)"):
        check(job())
    monkeypatch.setattr(sys, "prefix", "/conda/env")
    check(job())


def test_a_message_names_three_changes_and_counts_the_others() -> None:
    plan(job({"a": 1, "b": {"c": 1, "d": 1}, "e": 1, "f": "x" * 99}))
    with pytest.raises(LaminiError, match=r"\(a 1 is null now, b .* is 2 now, e 1 .*, 1 more\)"):
        check(job({"b": 2}))


# --- Previous outputs -----------------------------------------------------------------------------


def select_queries(*, prompts: Path, shards: list[Path], funnel: Path) -> None:
    """The function of a rule; counts its calls."""
    CALLS.append(prompts.read_text())
    for path in (*shards, funnel):
        written(str(path), prompts.read_text() + path.name)


CALLS: list[str] = []


def run(each: Any) -> bool:
    """Run a job as Snakemake does, which deletes its outputs first; whether it computed."""
    for path in each.output:
        Path(path).unlink(missing_ok=True)
    calls = len(CALLS)
    run_job(each, select_queries)
    return len(CALLS) > calls


@pytest.fixture
def finished() -> Any:
    """A finished job whose rerun is planned, as its input is made again."""
    written("results/prompts/a.jsonl", "text")
    each = job()
    assert run(each)
    written(BENCHMARK, '{"s": 7200}')
    keep_previous(Graph(each), FAMILIES)
    return each


def test_what_would_be_the_same_is_taken_with_its_costs(finished: Any) -> None:
    before = {path: (Path(path).read_bytes(), Path(path).stat().st_ino) for path in finished.output}
    old = Path(OUTPUT).stat().st_mtime_ns
    written("results/prompts/a.jsonl", "text")  # made again, the same
    assert not run(finished)
    assert {p: (Path(p).read_bytes(), Path(p).stat().st_ino) for p in before} == before
    assert Path(OUTPUT).stat().st_mtime_ns > old, "not older than the input"
    for _ in range(2):  # Snakemake writes the few seconds of the job that reused it
        written(BENCHMARK, '{"s": 1}')
        (usage,), _ = read_usage(Path("results"))
        assert usage.seconds == 7200
        keep_previous(Graph(finished), FAMILIES)
        assert not run(finished)
    forget_previous()
    assert run(finished), "nothing is kept after a successful run"
    written(BENCHMARK, '{"s": 2}')
    (usage,), _ = read_usage(Path("results"))
    assert usage.seconds == 2


def test_a_forced_job_computes_again(finished: Any) -> None:
    keep_previous(Graph(finished, forced=True), FAMILIES)
    assert run(finished)


def test_other_inputs_settings_or_outputs_are_computed(finished: Any) -> None:
    assert run(job(SETTINGS | {"shards": 3}))
    keep_previous(Graph(finished), FAMILIES)
    written("results/prompts/a.jsonl", "other")
    assert run(job(SETTINGS | {"shards": 3}))


def test_a_damaged_or_missing_previous_file_is_computed(finished: Any) -> None:
    (PREVIOUS / "queries/1.jsonl").unlink()
    assert run(finished)
    keep_previous(Graph(finished), FAMILIES)
    (PREVIOUS / "queries/1.jsonl").unlink()
    written(str(PREVIOUS / "queries/1.jsonl"), "torn")
    assert run(finished)


def test_a_changed_job_may_read_its_previous_output(
    finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = finished.output[0]
    content = Path(output).read_text()
    Path(output).unlink()
    found = previous_output("select_queries", output)
    assert found is not None and found.read_text() == content
    assert previous_output("select_queries", "elsewhere/1.jsonl") is None
    assert previous_output("select_queries", "results/queries/none.jsonl") is None
    with monkeypatch.context() as changed:
        changed.setattr("lamini.jobs.previous.code_digest", lambda rule: "new")
        assert previous_output("select_queries", output) is None
    found.unlink()
    found.write_text("torn")
    assert previous_output("select_queries", output) is None


@pytest.mark.parametrize(("accepted", "computed"), [([], True), (["new"], False)])
def test_other_code_computes_unless_it_was_accepted(
    finished: Any, monkeypatch: pytest.MonkeyPatch, accepted: list[str], computed: bool
) -> None:
    monkeypatch.setattr("lamini.jobs.previous.code_digest", lambda rule: "new")
    write_json("results/code.json", {"select_queries": {"code": "code", "accepted": accepted}})
    assert run(finished) == computed


def test_a_manifest_is_taken_only_if_its_folder_is_whole() -> None:
    weights = Path(written("results/checkpoints/m/final/model.safetensors", "weights"))

    def train_model(*, manifest: Path) -> None:
        """Writes a manifest of the folder."""
        CALLS.append("trained")
        facts = {"bytes": 7, "sha256": sha256("weights")}
        write_json(manifest, {"files": {weights.name: facts}})

    each = rule({}, {"manifest": str(weights.with_name("manifest.json"))}, {"settings": {}})
    each.benchmark = None
    run_job(each, train_model)
    for content, computed in (("weights", False), ("damaged", True)):
        keep_previous(Graph(each), FAMILIES)
        Path(each.output[0]).unlink()
        weights.write_text(content)
        calls = len(CALLS)
        run_job(each, train_model)
        assert (len(CALLS) > calls) == computed


def test_a_file_system_without_links_gets_copies(
    finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("not supported")

    forget_previous()
    monkeypatch.setattr(os, "link", refuse)
    keep_previous(Graph(finished), FAMILIES)
    assert not run(finished)


# --- Settings of finished results -----------------------------------------------------------------


def test_results_of_other_settings_stop_a_run(finished: Any) -> None:
    RecordWatch(Graph(finished, needed=False)).begin()
    changed = job(SETTINGS | {"shards": 3})
    with pytest.raises(WorkflowError) as stopped:
        RecordWatch(Graph(changed, needed=False)).begin()
    assert f"\n  {OUTPUT}: shards 2 is 3 now\nNo job was started. " in str(stopped.value)
    assert f"--forcerun {OUTPUT}\n" in str(stopped.value)
    RecordWatch(Graph(changed, needed=True)).begin()  # Snakemake knows, and remakes it
    kept = Graph(changed, needed=False)
    kept.rerun_triggers = frozenset({RerunTrigger.MTIME})
    RecordWatch(kept).begin()
    touched = Graph(changed, needed=False)
    touched.touch = True
    RecordWatch(touched).begin()


def test_results_of_other_inputs_stop_a_run(finished: Any) -> None:
    with pytest.raises(WorkflowError, match="1 input files less, 1 more"):
        RecordWatch(Graph(changed_inputs(), needed=False)).begin()


def test_results_without_a_record_or_without_a_file_are_left_alone(finished: Any) -> None:
    changed = job(SETTINGS | {"shards": 3})
    Path(OUTPUT).unlink()
    RecordWatch(Graph(changed, needed=False)).begin()
    written(OUTPUT, "text")
    Path("results/provenance/queries/0.jsonl.json").unlink()
    RecordWatch(Graph(changed, needed=False)).begin()


def test_a_dry_run_warns_once(finished: Any, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("snakemake.logging")
    changed = Graph(job(SETTINGS | {"shards": 3}), needed=False)
    changed.dryrun = True
    RecordWatch(changed)
    with caplog.at_level(logging.INFO, logger=logger.name):
        logger.info("Building DAG of jobs...")
        assert not [r for r in caplog.records if r.levelno == logging.WARNING]
        for _ in range(2):
            logger.info("Job stats", extra={"event": LogEvent.RUN_INFO})
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "shards 2 is 3 now" in warning.getMessage()


def test_the_settings_of_a_shell_rule_are_json() -> None:
    record_job(
        rule="train_model", settings={"epochs": 5}, inputs={}, outputs=[written("results/m", "m")]
    )
    each = rule({}, {"manifest": "results/m"}, {"settings": '{"epochs": 8}', "speed": "{}"})
    with pytest.raises(WorkflowError, match="epochs 5 is 8 now"):
        RecordWatch(Graph(each, needed=False)).begin()


def test_the_name_in_records_of_earlier_versions_is_no_other_setting() -> None:
    settings = {"name": "Mine", "family": "T5", "epochs": 5}
    record_job(
        rule="train_model", settings=settings, inputs={}, outputs=[written("results/m", "m")]
    )
    each = rule({}, {"manifest": "results/m"}, {"settings": '{"epochs": 5}'})
    RecordWatch(Graph(each, needed=False)).begin()
