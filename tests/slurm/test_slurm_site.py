"""`make check-site` on a site that fits, and on six that do not."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from cluster import Cluster
from runs import Run, wait_until

from checkouts import Checkout, check_out
from lamini.site import checks
from lamini.site.partitions import configured_partitions, site_partitions

FITTING = {
    "cpu": {"max_runtime": 2880, "max_mem_mb": 40000, "max_threads": 2},
    "gpu": {"max_runtime": 2880, "max_mem_mb": 40000, "max_threads": 2, "max_gpu": 2},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose partitions.yaml fits the test cluster."""
    made = check_out(tmp_path_factory.mktemp("site"))
    _write(made, FITTING)
    return made


def _write(site: Checkout, partitions: dict[str, dict[str, int]]) -> Path:
    path = site.folder / "config/profiles/slurm/partitions.yaml"
    path.write_text(yaml.safe_dump({"partitions": partitions}))
    return path


@contextmanager
def changed(cluster: Cluster, setting: str, back: str) -> Iterator[None]:
    """A setting of the cluster, as an argument of `scontrol update`, for a while."""
    cluster.run("scontrol", "update", *setting.split())
    try:
        yield
    finally:
        cluster.run("scontrol", "update", *back.split())


def problems(findings: Iterator[checks.Finding]) -> list[str]:
    return [finding.text for finding in findings if finding.kind == "problem"]


def compared(site: Checkout, partitions: dict[str, dict[str, int]]) -> list[str]:
    path = _write(site, partitions)
    return problems(checks.check_partitions(configured_partitions(path), site_partitions()))


def test_a_site_that_fits_has_no_problem(cluster: Cluster, site: Checkout) -> None:
    _write(site, FITTING)
    demo = ("--configfile", "config/demo.yaml")
    done = site.run(sys.executable, "-m", "lamini.site", *demo)
    kinds = {line.split()[0] for line in done.stdout.splitlines()}
    assert kinds <= {"ok", "note"}, done.stdout
    rules = re.search(r"SLURM takes the largest job of each of (\d+) rules", done.stdout)
    assert rules is not None and int(rules[1]) > 30
    assert "cpu: node c" in done.stdout and "sees this folder and its .venv" in done.stdout


def test_wrong_partitions_are_named(cluster: Cluster, site: Checkout) -> None:
    other = {"standard": FITTING["cpu"], "gpu": FITTING["gpu"]}
    assert compared(site, other) == [
        "partitions.yaml: standard: no such partition; this site has cpu, gpu, urgent"
    ]
    large = {"cpu": {"max_runtime": 10000, "max_mem_mb": 256000, "max_threads": 64, "max_gpu": 1}}
    assert compared(site, large) == [
        "partitions.yaml: cpu: max_runtime is 10000, the site's limit is 2880",
        "partitions.yaml: cpu: max_mem_mb is 256000, the site's limit is 40000",
        "partitions.yaml: cpu: max_threads is 64, the site's limit is 2",
        "partitions.yaml: cpu: max_gpu is 1, the site's limit is 0",
    ]
    with changed(
        cluster,
        "PartitionName=cpu MaxTime=20 State=DOWN",
        "PartitionName=cpu MaxTime=2880 State=UP",
    ):
        assert compared(site, FITTING) == [
            "partitions.yaml: cpu: the partition is down; leave it out, or ask the site",
            "partitions.yaml: cpu: max_runtime is 2880, the site's limit is 20",
        ]
    assert compared(site, FITTING) == []


@contextmanager
def submit_limit(cluster: Cluster, jobs: int) -> Iterator[None]:
    """A limit of submitted jobs for each user, for a while."""
    modify = ("sacctmgr", "--immediate", "modify", "qos", "normal", "set")
    cluster.run(*modify, f"MaxSubmitJobsPerUser={jobs}")
    try:
        yield
    finally:
        cluster.run(*modify, "MaxSubmitJobsPerUser=-1")


def test_a_limit_of_submitted_jobs_is_named(cluster: Cluster) -> None:
    (fitting,) = checks.check_submit_limits(100)
    assert fitting.kind == "ok"
    with submit_limit(cluster, 2):
        (found,) = checks.check_submit_limits(100)
    assert found.kind == "note"
    assert found.text.startswith("QOS normal allows 2 submitted jobs per user, `jobs` in profile.y")
    assert "set `jobs: 2` there" in found.text


SMALL_JOBS = """
rule small_job:
    output:
        "results/small/{number}",
    log:
        "results/logs/small_job/{number}.log",
    shell:
        "sleep 1; echo {wildcards.number} > {output}"
"""


@pytest.fixture
def small_jobs(site: Checkout, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Settings of a run with a rule of trivial jobs: results/small/{number}."""
    (site.folder / "config/small.smk").write_text(SMALL_JOBS)
    _write(site, FITTING)
    monkeypatch.setenv("LAMINI_SUBMIT_SECONDS", "0.5")
    return {"custom_rules": ["config/small.smk"]}


def test_a_limit_of_submitted_jobs_costs_no_attempt(
    cluster: Cluster, site: Checkout, small_jobs: dict[str, object]
) -> None:
    """SLURM refuses all but two of six jobs: they are submitted later, each once."""
    targets = [f"results/small/{number}" for number in range(6)]
    with submit_limit(cluster, 2):
        run = Run(site, *targets, options=("--retries", "0"), overlay=small_jobs)
        text = run.wait(300)
    assert len(run.jobs) == len(set(run.jobs)) == 6
    assert "SubmitJob" not in text
    assert [(site.folder / path).read_text() for path in targets] == [f"{n}\n" for n in range(6)]


def test_the_status_has_jobs_in_the_queue_with_slurms_reason(
    cluster: Cluster, site: Checkout, small_jobs: dict[str, object]
) -> None:
    with changed(cluster, "PartitionName=cpu State=DOWN", "PartitionName=cpu State=UP"):
        run = Run(site, "results/small/9", overlay=small_jobs)
        wait_until(lambda: run.jobs, 120, f"a submitted job:\n{run.text}")
        text = ""

        def reason() -> bool:
            nonlocal text
            text = site.run(sys.executable, "-m", "lamini.status").stdout
            return "PartitionDown" in text

        wait_until(reason, 60, "SLURM's reason")
    run.wait(300)
    assert f"PartitionDown: small_job 9 (SLURM job {run.jobs[0]})" in text
    assert "cannot start so: the administrators must bring the nodes back" in text


def test_jobs_that_no_node_can_run_are_named(cluster: Cluster, site: Checkout) -> None:
    _write(site, {"cpu": FITTING["cpu"]})
    demo = ("--configfile", "config/demo.yaml", "--set-resources", "merge_pairs:mem_mb=90000")
    done = site.run(sys.executable, "-m", "lamini.site", *demo, check=False)
    assert done.returncode == 1
    problems = re.findall(
        r"^problem (\w+): SLURM refuses .* partition cpu \((.*?)\)", done.stdout, re.M
    )
    rules = {"train_model", "evaluate_suite", "generate_answers", "embed_instructions"}  # on GPUs
    assert dict(problems).keys() == {"merge_pairs", *rules}, done.stdout
    assert all("node configuration is not available" in reason for _, reason in problems)
    assert yaml.safe_load(done.stdout.partition("partitions.yaml:\n")[2])["partitions"].keys() == {
        "cpu",
        "gpu",
        "urgent",
    }


@pytest.fixture
def broken(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """A node whose jobs do not see the environment."""
    (tmp_path / "empty").mkdir()
    cluster.stop_node("c1")
    cluster.start_node("c1", hides=Path(sys.prefix), shows=tmp_path / "empty")
    try:
        cluster.wait_for_idle_nodes()
        yield "c1"
    finally:
        cluster.stop_node("c1")
        cluster.start_node("c1")
        cluster.wait_for_idle_nodes()


def test_a_node_without_the_environment_is_named(cluster: Cluster, broken: str) -> None:
    (problem,) = problems(checks.check_node("cpu", f"--nodelist={broken}"))
    assert problem.startswith(f"cpu: a node cannot run {sys.executable} (")
    assert problems(checks.check_node("cpu", "--nodelist=c2")) == []


def test_a_node_without_the_environment_gets_no_more_jobs(
    cluster: Cluster, broken: str, site: Checkout, small_jobs: dict[str, object]
) -> None:
    """The broken node would take each job at once; after its second failure it gets none."""
    targets = [f"results/small/{number}" for number in range(20, 26)]
    run = Run(site, *targets, options=("--retries", "4"), overlay=small_jobs)
    text = run.wait(300)
    assert f"Node {broken} gets no more jobs of this run" in text
    failed = [job for job in cluster.jobs() if job["id"] in run.jobs and job["state"] == "FAILED"]
    # Those that were submitted before the second failure was seen may have failed there, too.
    assert 2 <= len(failed) <= 6
    assert all((site.folder / path).exists() for path in targets)
