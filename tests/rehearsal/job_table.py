"""Jobs of all runs in a checkout, by rule, from Snakemake's own logs."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lamini.text_table import text_table

_DATE = re.compile(r"^\[(\w{3} \w{3} +\d+ [\d:]+ \d{4})\]$")
_RULE = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
_ID = re.compile(r"^ +jobid: (\d+)$")
_END = re.compile(r"^Finished jobid: (\d+) \(Rule: (\w+)\)$")
_ERROR = re.compile(r"^Error in rule (\w+):?$")
_AGAIN = "Trying to restart job"


@dataclass
class Rule:
    """Counts of one rule."""

    jobs: int = 0
    submitted: int = 0
    failed: int = 0
    repeated: int = 0
    seconds: float = 0.0


@dataclass
class _Log:
    """What is known while a log is read."""

    rules: dict[str, Rule] = field(default_factory=lambda: defaultdict(Rule))
    started: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    now: datetime | None = None
    rule: str = ""


def job_table(folder: Path) -> str:
    """Table of a checkout's runs: per rule jobs done, submitted, failed, repeated, and minutes.

    The minutes are those from submission to end, in a queue included.
    """
    total: dict[str, Rule] = defaultdict(Rule)
    for path in sorted((folder / ".snakemake/log").glob("*.log")):
        for name, rule in read_log(path.read_text(errors="replace")).items():
            for key, value in vars(rule).items():
                setattr(total[name], key, getattr(total[name], key) + value)
    rows = [(name, *_cells(rule)) for name, rule in total.items()]
    sums = Rule(**{key: sum(vars(r)[key] for r in total.values()) for key in vars(Rule())})
    heads = ("Rule", "Jobs", "Submitted", "Failed", "Repeated", "Minutes")
    return text_table(heads, [*rows, ("total", *_cells(sums))], left=1)


def _cells(rule: Rule) -> tuple[str, ...]:
    counts = (rule.jobs, rule.submitted, rule.failed, rule.repeated)
    return (*map(str, counts), f"{rule.seconds / 60:.1f}")


def read_log(text: str) -> dict[str, Rule]:
    """Counts by rule in one of Snakemake's logs."""
    log, attempts = _Log(), Counter[str]()
    for line in text.splitlines():
        if found := _DATE.match(line):
            log.now = datetime.strptime(found[1], "%a %b %d %H:%M:%S %Y")
        elif found := _RULE.match(line):
            log.rule = found[1]
        elif (found := _ID.match(line)) and log.rule and log.now:
            attempts[found[1]] += 1
            log.rules[log.rule].submitted += 1
            log.rules[log.rule].repeated += attempts[found[1]] > 1
            log.started[found[1]] = (log.rule, log.now)
            log.rule = ""
        elif found := _END.match(line):
            name, began = log.started[found[1]]
            log.rules[name].jobs += 1
            if log.now:
                log.rules[name].seconds += (log.now - began).total_seconds()
        elif found := _ERROR.match(line):
            log.rules[found[1]].failed += 1
            log.rule = ""
    return dict(log.rules)
