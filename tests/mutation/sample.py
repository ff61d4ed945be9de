"""`make mutation`: breaks lines of a seeded sample, one at a time, and says which no test notices.

mutmut makes the mutants and runs each with the tests that reached its function. `[tool.mutmut]` in
pyproject.toml lists the modules; survivors.yaml explains the mutants that no test has to notice.
"""

import argparse
import ast
import contextlib
import fnmatch
import json
import math
import os
import random
import re
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import hypothesis
import mutmut.__main__ as tool
import yaml
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".mutation"
SURVIVORS = Path(__file__).with_name("survivors.yaml")
MIN_COUNT = 4
"""Mutants of each module, however small it is."""
SKIPPED = 34
"""mutmut's exit code of a mutant that is not to be run."""
SURVIVED = ("survived", "no tests")
DECORATORS = re.compile(r"^@(compiled$|functools\.lru_cache\()", re.MULTILINE)
"""mutmut leaves decorated functions alone; these compute the same without, only slower."""
COLUMNS = ("mutants", "run", "killed", "survived", "explained")


@dataclass(frozen=True)
class Mutant:
    """A changed line of a function."""

    function: str
    before: str
    after: str


@dataclass
class Module:
    """The mutants of one source file, and their results."""

    data: SourceFileMutationData

    @property
    def path(self) -> Path:
        return Path(self.data.path)

    @cached_property
    def mutants(self) -> dict[str, Mutant]:
        """Mutants by mutmut's name, without equivalent ones."""
        found = {name: _read(name, self.path) for name in self.data.exit_code_by_key}
        return {n: one for n, one in found.items() if _gist(one.before) != _gist(one.after)}

    def choose(self, share: float, seed: int) -> None:
        """Have mutmut skip all mutants but a sample of them."""
        names = sorted(self.mutants)
        count = min(len(names), max(MIN_COUNT, math.ceil(share * len(names))))
        chosen = set(random.Random(f"{seed} {self.path}").sample(names, count))
        for name in self.data.exit_code_by_key:
            self.data.exit_code_by_key[name] = None if name in chosen else SKIPPED
        self.data.save()

    def verdicts(self) -> Iterator[tuple[Mutant, str, str]]:
        """Mutant, mutmut's name and mutmut's status of each that was run."""
        self.data.load()
        for name, code in self.data.exit_code_by_key.items():
            if code not in (SKIPPED, None):
                yield self.mutants[name], name, status_by_exit_code[code]

    def place(self, mutant: Mutant) -> str:
        """File and line number of the changed line, found by its text in the function."""
        source = self.path.read_text(encoding="utf-8")
        name, lines = mutant.function.rpartition(".")[2], source.splitlines()
        numbers = (
            number
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef) and node.name == name
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if lines[number - 1].strip() and mutant.before.startswith(lines[number - 1].strip())
        )
        return f"scripts/{self.path.relative_to('src')}:{next(numbers, 0)}"


def _gist(line: str) -> str:
    """Without `strict`, and in one case: another mutant of each string changes its letters."""
    return re.sub(r",\s*(strict=\w+)?(?=\))", "", line).lower()


def _read(name: str, path: Path) -> Mutant:
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    before, after = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    function, owner = orig_function_and_class_names_from_key(name)
    module = ".".join(path.with_suffix("").parts[1:])
    return Mutant(".".join(filter(None, (module, owner, function))), before, after)


def explanations() -> dict[Mutant, str]:
    """The reasons of survivors.yaml."""
    entries = yaml.safe_load(SURVIVORS.read_text(encoding="utf-8")) or {}
    return {
        Mutant(function, one["before"], one["after"]): one["reason"]
        for function, several in entries.items()
        for one in several
    }


def lay_out() -> None:
    """A folder with the package at `src/`, where mutmut expects it."""
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "mutants").mkdir(parents=True)
    needed = [p for p in ROOT.glob("[!.]*") if p.name not in ("scripts", "results", "models")]
    for path in needed:
        (WORK / path.name).symlink_to(path)
    shutil.copytree(ROOT / "scripts", WORK / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (WORK / "mutants" / "scripts").symlink_to("src")
    os.chdir(WORK)
    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(WORK / "mutants" / "src"),
        "PYTEST_DEBUG_TEMPROOT": str(WORK / "mutants"),
    }
    config().also_copy = [Path(path.name) for path in needed]
    # The same examples for each mutant, and no time spent on the smallest that fails.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutation", phases=phases, derandomize=True, database=None, deadline=None
    )
    hypothesis.settings.load_profile("mutation")


def make_mutants(words: list[str]) -> list[Module]:
    """Write the mutants of all modules, or of those whose path contains one of the words."""
    wanted = [p for p in config().only_mutate if not words or any(word in p for word in words)]
    config().only_mutate = wanted or sys.exit(f"pyproject.toml lists no module like {words}")
    for pattern in wanted:
        paths = fnmatch.filter(map(str, Path("src").rglob("*.py")), pattern)
        for path in map(Path, paths or sys.exit(f"pyproject.toml: no file {pattern}")):
            path.write_text(DECORATORS.sub(r"# \g<0>", path.read_text("utf-8")), "utf-8")
    tool.copy_src_dir()
    tool.create_mutants(max_children=2)
    _, data = tool.collect_source_file_mutation_data(mutant_names=())
    return [Module(one) for one in data.values() if one.exit_code_by_key]


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[None]:
    """Send mutmut's output, ten lines a second, to a file; it is shown if mutmut gives up."""
    before = sys.stdout, sys.__stdout__
    with log.open("a", encoding="utf-8") as file:
        sys.stdout = sys.__stdout__ = file
        try:
            yield
        except SystemExit:
            file.flush()
            print(log.read_text(encoding="utf-8")[-8000:], file=sys.stderr)
            raise
        finally:
            sys.stdout, sys.__stdout__ = before


def report(modules: list[Module]) -> Counter[str]:
    """Print the table, the survivors and stale explanations; returns the totals."""
    explained, total = explanations(), Counter(run=0, killed=0, survived=0, explained=0)
    survivors: dict[str, list[dict[str, str]]] = defaultdict(list)
    stale = {one for one in explained if any(_holds(module, one) for module in modules)}
    print(f"{'module':34}" + "".join(f"{column:>10}" for column in COLUMNS))
    for module in modules:
        stale -= set(module.mutants.values())
        count = Counter(mutants=len(module.mutants))
        for mutant, name, status in module.verdicts():
            survived, known = status in SURVIVED, mutant in explained
            count.update(run=1, killed=not survived, survived=survived, explained=survived & known)
            if survived:
                reason = f"UNEXPLAINED: {status}, {module.place(mutant)}, {name}"
                reason = explained.get(mutant, reason)
                entry = {"before": mutant.before, "after": mutant.after, "reason": reason}
                survivors[mutant.function].append(entry)
            elif known:
                stale.add(mutant)
        print(f"{module.path.relative_to('src/lamini')!s:34}" + _numbers(count))
        total.update(count)
    print(f"{'all':34}" + _numbers(total) + "\n")
    if survivors:
        print(yaml.safe_dump(dict(survivors), sort_keys=False, width=10_000, allow_unicode=True))
    for mutant in stale:
        print(f"survivors.yaml is stale, killed or changed: {mutant}")
    total["stale"] = len(stale)
    return total


def _holds(module: Module, mutant: Mutant) -> bool:
    return mutant.function.startswith(".".join(module.path.with_suffix("").parts[1:]) + ".")


def _numbers(count: Counter[str]) -> str:
    return "".join(f"{count[column]:10}" for column in COLUMNS)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=300, help="mutants of all modules together")
    parser.add_argument("--modules", nargs="*", default=[], help="parts of paths, such as losses")
    parser.add_argument("--tests", nargs="*", default=[], help="instead of those in pyproject.toml")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    started = time.monotonic()
    lay_out()
    if given.tests:
        config().pytest_add_cli_args_test_selection = given.tests
    print(f"progress: {WORK / 'mutmut.log'}", flush=True)
    with quiet(WORK / "mutmut.log"):
        modules = make_mutants(given.modules)
        share = given.sample / sum(len(module.mutants) for module in modules)
        for module in modules:
            module.choose(share, given.seed)
        tool._run((), given.processes)
    total = report(modules)
    print(json.dumps({"seed": given.seed, **total, "seconds": round(time.monotonic() - started)}))


if __name__ == "__main__":
    main()
