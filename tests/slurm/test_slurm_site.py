"""`make check-site` on a site that fits, and on six that do not."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from cluster import Cluster

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


def test_a_limit_of_submitted_jobs_is_named(cluster: Cluster) -> None:
    assert problems(checks.check_submit_limits(100)) == []
    modify = ("sacctmgr", "--immediate", "modify", "qos", "normal", "set")
    cluster.run(*modify, "MaxSubmitJobsPerUser=2")
    try:
        (problem,) = problems(checks.check_submit_limits(100))
    finally:
        cluster.run(*modify, "MaxSubmitJobsPerUser=-1")
    assert problem.startswith("QOS normal allows 2 submitted jobs per user, `jobs` in profile.yaml")
    assert problem.endswith("set `jobs: 2` there")


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


def test_a_node_without_the_environment_is_named(cluster: Cluster, tmp_path: Path) -> None:
    environment = Path(sys.prefix)
    (tmp_path / "empty").mkdir()
    cluster.stop_node("c1")
    cluster.start_node("c1", hides=environment, shows=tmp_path / "empty")
    try:
        cluster.wait_for_idle_nodes()
        (problem,) = problems(checks.check_node("cpu", "--nodelist=c1"))
        assert problem.startswith(f"cpu: a node cannot run {sys.executable} (")
    finally:
        cluster.stop_node("c1")
        cluster.start_node("c1")
        cluster.wait_for_idle_nodes()
    assert problems(checks.check_node("cpu", "--nodelist=c1")) == []
