"""`make status` counts the jobs that Snakemake itself plans."""

import re
from collections import Counter

import pytest

from checkouts import Checkout

FAMILIES = ("select_queries", "make_rating_sheets")
TARGETS = ("all",)


@pytest.mark.parametrize(
    "arguments",
    [(), ("--configfile", "config/demo.yaml"), ("--config", "dataset=published")],
    ids=("paper", "demo", "published"),
)
def test_every_planned_job_is_counted(checkout: Checkout, arguments: tuple[str, ...]) -> None:
    expected: Counter[str] = Counter()
    for rule, count in checkout.plan(*arguments).items():
        family = next((name for name in FAMILIES if rule.startswith(name)), rule)
        expected[family] += count if rule not in TARGETS else 0
    status = checkout.run("python", "-m", "lamini.status", *arguments).stdout
    rows = re.findall(r"^(\w+) +0 +(\d+) ", status, flags=re.MULTILINE)
    assert Counter({rule: int(count) for rule, count in rows}) == +expected
    assert not (checkout.folder / "results").exists()
