"""Edits of code that make finished results stale: noticed, and never acted upon in silence.

Each rule has the digest of its code (`lamini.jobs.code`) as one more param, so Snakemake plans its
results again when the code is another. Where that costs little, it does so. Where it costs
GPU-hours or dollars, a run stops before its first job, and its user decides: recompute the results
(`code_changes: recompute`), or keep them (`make accept-code`), as the edit changes none.

`results/code.json` holds, for each rule, the digest that its results are taken to be made by.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import read_json, write_json
from lamini.jobs.code import ENTRIES, code_digest, module_digests

CODE_FILE = Path("results/code.json")
SCRIPTS = Path(__file__).parents[2]
EXPENSIVE = ("gpu", "teacher")
"""Resources of rules whose results cost GPU-hours or dollars."""


@dataclass
class RuleCode:
    """The code that a rule's finished results are taken to be made by."""

    code: str | None
    """Its digest; null: the results are of a version that kept none."""
    modules: dict[str, str] = field(default_factory=dict)
    """Digests of its modules, which say what an edit changed."""
    accepted: list[str] = field(default_factory=list)
    """Digests of other code that changes no result, by the word of the user."""


def current_code(rule: str) -> RuleCode:
    """The code of a rule as it is now."""
    return RuleCode(code_digest(rule), module_digests(rule))


def read_code() -> dict[str, RuleCode]:
    """What `CODE_FILE` says of each rule; nothing before the first run."""
    if not CODE_FILE.exists():
        return {}
    return {rule: RuleCode(**facts) for rule, facts in read_json(CODE_FILE).items()}


def accept_code(rules: Iterable[str]) -> list[str]:
    """Take the code as it is now for code that changes no result of some rules.

    Args:
        rules: their names; none: all whose code has changed.

    Returns:
        The rules whose code was another, and is accepted now.

    Raises:
        LaminiError: names a rule of which no code is known.
    """
    known = read_code()
    wanted = list(rules) or list(known)
    for rule in wanted:
        if rule not in known:
            raise LaminiError(
                f"{rule}: {CODE_FILE} has no such rule; it has {', '.join(known) or 'none yet'}"
            )
    accepted = []
    for rule in wanted:
        digest = str(code_digest(rule))
        if digest not in (known[rule].code, *known[rule].accepted):
            known[rule].accepted.append(digest)
            accepted.append(rule)
    _write(known)
    return accepted


class CodeWatch:
    """Gives the rules of a workflow their param `code`, and guards what is expensive.

    Args:
        workflow: Snakemake's, all rules included. In a job's own process nothing is compared: the
            process that plans has done so.
        recompute: whether expensive results may be computed again.
    """

    def __init__(self, workflow: Any, recompute: bool) -> None:
        self._workflow, self._recompute = workflow, recompute
        self._families = {rule.name: name for rule in workflow.rules if (name := _family(rule))}
        self._expensive = {
            self._families.get(rule.name)
            for rule in workflow.rules
            if set(EXPENSIVE) & set(rule.resources)
        }
        self._known = read_code()
        self._now: dict[str, RuleCode] = {}
        self._changed: set[str] = set()
        if workflow.is_main_process:
            for family in sorted(set(self._families.values())):
                self._compare(family)
        for rule in workflow.rules:
            known = self._known.get(self._families.get(rule.name, ""))
            if known and known.code:
                rule.set_params(code=known.code)

    def _compare(self, family: str) -> None:
        now = self._now[family] = current_code(family)
        assert now.code is not None
        known = self._known.get(family)
        if known is None:
            found = _has_results(family)
            self._known[family] = RuleCode(None, {}, [now.code]) if found else now
        elif now.code not in (known.code, *known.accepted):
            self._changed.add(family)
            self._known[family] = now

    def begin(self) -> None:
        """Before the first job: stop if one that is expensive would use changed code, unasked.

        Also where the job has no result yet: the finished ones of its rule would stand beside it.

        Raises:
            WorkflowError: names the rules, what has changed in their code, and the choices.
        """
        from snakemake.exceptions import WorkflowError

        before = read_code()
        undecided = set() if self._recompute else self._changed & self._expensive
        planned = {self._families.get(job.rule.name) for job in self._workflow.dag.needrun_jobs()}
        if stale := sorted(undecided & planned):
            rules = " ".join(stale)
            changes = [f"  {rule}: {_edited(before[rule], self._now[rule])}" for rule in stale]
            raise WorkflowError(
                "The code of finished results that cost GPU-hours or dollars has changed:\n"
                + "\n".join(changes)
                + "\nNothing was started. To compute them again: --config code_changes=recompute"
                f'\nTo keep them, as the edit changes no result: make accept-code RULES="{rules}"'
            )
        _write(self._known | {rule: before[rule] for rule in undecided})


def _family(rule: Any) -> str | None:
    """The name of a rule's script, which all rules of its family share; none for users' rules."""
    if rule.name in ENTRIES:
        return str(rule.name)
    stem = Path(rule.script or "").stem
    return stem if stem and (SCRIPTS / f"{stem}.py").is_file() else None


def _has_results(family: str) -> bool:
    """Whether a job of the rule has ended in an earlier run."""
    folders = Path("results/benchmarks").glob(f"{family.removesuffix('_model')}*")
    return any(path.is_file() for folder in folders for path in [folder, *folder.rglob("*.jsonl")])


def _edited(before: RuleCode, now: RuleCode) -> str:
    names = sorted(
        name
        for name in before.modules.keys() | now.modules.keys()
        if before.modules.get(name) != now.modules.get(name)
    )
    return ", ".join(names) or "unknown modules"


def _write(known: dict[str, RuleCode]) -> None:
    write_json(CODE_FILE, {rule: asdict(code) for rule, code in sorted(known.items())})
