"""Detection of code edits that make finished results stale.

Each rule has the digest of its code (`lamini.jobs.code`) as the param `code`, so Snakemake remakes
its results when the code changes. Cheap results are remade without a question. If results cost
GPU-hours or dollars, the run stops before its first job, and the user decides: recompute them
(`code_changes: recompute`), or, if the edit does not change them, keep them (`make accept-code`).

`results/code.json` records, for each rule, the digest of the code that its results count as made
with.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import read_json, write_json
from lamini.jobs.code import ENTRIES, code_digest, module_digests, save_cache
from lamini.paths import BENCHMARKS, CODE_FILE

SCRIPTS = Path(__file__).parents[2]
EXPENSIVE = ("gpu", "teacher")
"""Resources of rules whose results cost GPU-hours or dollars."""


@dataclass
class RuleCode:
    """Recorded code of a rule's finished results."""

    code: str | None
    """Digest of the code; None: version 0.1.0 of the pipeline made the results and recorded no
    digest."""
    modules: dict[str, str] = field(default_factory=dict)
    """Digests of the code's modules, to name the modules that an edit changed."""
    accepted: list[str] = field(default_factory=list)
    """Digests of later code that the user has accepted as not changing the results."""


def current_code(rule: str) -> RuleCode:
    """Digests of a rule's current code."""
    return RuleCode(code_digest(rule), module_digests(rule))


def read_code() -> dict[str, RuleCode]:
    """Read the recorded code of each rule from `CODE_FILE`; empty before the first run."""
    if not CODE_FILE.exists():
        return {}
    return {rule: RuleCode(**fields) for rule, fields in read_json(CODE_FILE).items()}


def accept_code(rules: Iterable[str]) -> list[str]:
    """Record that the current code of some rules does not change their results.

    Args:
        rules: names of the rules; empty: all rules with changed code.

    Returns:
        The rules whose code had changed and is now accepted.

    Raises:
        LaminiError: names a rule without recorded code.
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
    """Sets the param `code` of all rules, and stops a run before it recomputes expensive results.

    Args:
        workflow: Snakemake's workflow with all rules. Digests are compared in the main process
            only, not in the processes of jobs.
        recompute: whether expensive results may be recomputed.

    Attributes:
        families: family of each rule of the pipeline, by the rule's name.
    """

    def __init__(self, workflow: Any, recompute: bool) -> None:
        self._workflow, self._recompute = workflow, recompute
        self.families = {rule.name: name for rule in workflow.rules if (name := family_of(rule))}
        self._expensive = {
            self.families.get(rule.name)
            for rule in workflow.rules
            if set(EXPENSIVE) & set(rule.resources)
        }
        self._known = read_code()
        self._now: dict[str, RuleCode] = {}
        self._changed: set[str] = set()
        if workflow.is_main_process:
            for family in sorted(set(self.families.values())):
                self._compare(family)
            save_cache()
        for rule in workflow.rules:
            known = self._known.get(self.families.get(rule.name, ""))
            if known and known.code:
                rule.set_params(code=known.code)

    def _compare(self, family: str) -> None:
        now = self._now[family] = current_code(family)
        assert now.code is not None
        known = self._known.get(family)
        if known is None:
            rules = {family, *(r for r, f in self.families.items() if f == family)}
            self._known[family] = RuleCode(None, {}, [now.code]) if _has_results(rules) else now
        elif now.code not in (known.code, *known.accepted):
            self._changed.add(family)
            self._known[family] = now

    def begin(self) -> None:
        """Stop before the first job if an expensive job would run with changed, undecided code.

        This includes jobs without a result yet: their results would be mixed with results that the
        old code made.

        Raises:
            WorkflowError: names the rules, the changed modules, and the choices.
        """
        from snakemake.exceptions import WorkflowError

        before = read_code()
        undecided = set() if self._recompute else self._changed & self._expensive
        planned = {self.families.get(job.rule.name) for job in self._workflow.dag.needrun_jobs()}
        if stale := sorted(undecided & planned):
            rules = " ".join(stale)
            changes = [f"  {rule}: {_edited(before[rule], self._now[rule])}" for rule in stale]
            raise WorkflowError(
                "The code of finished results that cost GPU-hours or dollars has changed:\n"
                + "\n".join(changes)
                + "\nNo job was started. To recompute the results: --config code_changes=recompute"
                "\nTo keep them, if the edit does not change them:"
                f' make accept-code RULES="{rules}"'
            )
        _write(self._known | {rule: before[rule] for rule in undecided})


def family_of(rule: Any) -> str | None:
    """Name of a rule's script, shared by all rules of a family; None for user-defined rules."""
    if rule.name in ENTRIES:
        return str(rule.name)
    stem = Path(rule.script or "").stem
    return stem if stem and (SCRIPTS / f"{stem}.py").is_file() else None


def _has_results(names: Iterable[str]) -> bool:
    """Whether a job of a rule or family with one of these names finished in an earlier run."""
    return any(
        (BENCHMARKS / f"{name}.jsonl").is_file() or any((BENCHMARKS / name).rglob("*.jsonl"))
        for name in names
    )


def _edited(before: RuleCode, now: RuleCode) -> str:
    names = sorted(
        name
        for name in before.modules.keys() | now.modules.keys()
        if before.modules.get(name) != now.modules.get(name)
    )
    return ", ".join(names) or "unknown modules"


def _write(known: dict[str, RuleCode]) -> None:
    write_json(CODE_FILE, {rule: asdict(code) for rule, code in sorted(known.items())})
