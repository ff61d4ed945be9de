"""Commands in the README and `docs/` run; quoted messages and links in them exist.

A fenced block is run when its language is `sh`. `sh not run: REASON` marks one whose commands take
hours, a cluster, a key or a person: they must then exist, with the flags that they use.
"""

import ast
import copy
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from checkouts import ENVIRONMENT, Checkout, check_out
from lamini.command import read_config
from lamini.plan.students import GPU_MODELS
from lamini.settings import SettingsError, load_settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("config/**/README.md")])
BLOCK = re.compile(r"^ *```sh(?P<mark>[^\n]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
YAML = re.compile(r"^ *```yaml\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
BASES = ("", "config/demo.yaml", "config/examples/herd.yaml")
NOT_RUN = re.compile(r" not run: \S.+")
OF_THE_MACHINE = {
    *(".venv-teacher/bin/vllm", "git", "rsync", "squeue"),
    *("apptainer", "podman"),
    *("less", "cd", "mkdir", "cp", "export", "."),
}
"""Programs that are not the project's; of their lines nothing is checked but the name."""


def _commands() -> dict[str, bool]:
    """All distinct commands of the pages, and whether a page wants the command executed."""
    commands: dict[str, bool] = {}
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text("utf-8")):
            mark = block["mark"]
            assert not mark or NOT_RUN.fullmatch(mark), f"{page.name}: unknown mark {mark!r}"
            for line in block["text"].splitlines():
                for command in line.split("&&"):
                    words = shlex.split(command, comments=True)
                    if words:
                        text = shlex.join(words)
                        commands[text] = commands.get(text, False) or not mark
    return commands


COMMANDS = _commands()
PLANS = sorted(text for text in COMMANDS if text.startswith("snakemake "))

# Dry runs are forks of one interpreter: a new interpreter takes 1.5 s to start.
_MANY_PLANS = """
import json, os, sys, tempfile
import lamini.catalogue, lamini.workflow, snakemake.api, snakemake.workflow
from snakemake.cli import main
for arguments in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            main(arguments)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        print(json.dumps([code, said.read()[-3000:]]), flush=True)
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """One checkout for all commands; none of them makes a result.

    Its sources have few shards; that all of the paper's are planned is tested elsewhere.
    """
    checkout = check_out(tmp_path_factory.mktemp("docs") / "project")
    sources = checkout.folder / "config/sources.yaml"
    text = re.sub(r"shards: (\d+)", lambda m: f"shards: {min(5, int(m[1]))}", sources.read_text())
    sources.write_text(text)
    return checkout


@pytest.fixture(scope="module")
def plans(shared: Checkout) -> dict[str, tuple[int, str]]:
    """Exit code and output of the dry run of every `snakemake` command."""
    each = {text: tuple(_planned(shlex.split(text)[1:])) for text in PLANS}
    distinct = list(dict.fromkeys(each.values()))
    parts = [distinct[::2], distinct[1::2]]  # one for each core
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _MANY_PLANS, json.dumps(part)],
            cwd=shared.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(shared.folder / "scripts")},
        )
        for part in parts
    ]
    results = {}
    for part, process in zip(parts, running, strict=True):
        said, error = process.communicate()
        lines = [json.loads(line) for line in said.splitlines() if line.startswith("[")]
        assert len(lines) == len(part), error[-3000:]
        results |= dict(zip(part, map(tuple, lines), strict=True))
    return {text: results[arguments] for text, arguments in each.items()}


def _planned(arguments: list[str]) -> list[str]:
    """The arguments of a dry run of the same command."""
    if {"--lint", "--unlock"} & set(arguments):
        return arguments
    # From a second run's folder, the path of this checkout.
    arguments = ["Snakefile" if word == "../lamini/Snakefile" else word for word in arguments]
    return [*(word for word in arguments if word != "-n"), "-n", "--quiet", "all"]


@pytest.mark.parametrize("command", PLANS)
def test_every_target_can_be_planned(command: str, plans: dict[str, tuple[int, str]]) -> None:
    code, said = plans[command]
    assert code == 0, f"{command}\n{said}"


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - set(PLANS)))
def test_every_other_command_exists_or_runs(command: str, shared: Checkout) -> None:
    words = shlex.split(command)
    if words[0] in OF_THE_MACHINE:
        return
    if words[0] == "make":  # its own dry run knows targets and required variables
        shared.run("make", "-n", *words[1:])
    elif COMMANDS[command]:
        shared.run(*words)
    elif words[:2] == ["python", "-m"]:
        assert (ROOT / "scripts" / words[2].replace(".", "/")).exists()
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file()
    else:
        raise AssertionError(f"{command}: no way to check it; have it run")


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text("utf-8")):
            if target.startswith("http"):
                continue
            linked = page.parent / target if target else page
            assert linked.exists(), f"{page.name}: {target}"
            assert not heading or heading in _anchors(linked), f"{page.name}: {target}#{heading}"


def _anchors(page: Path) -> set[str]:
    """Names of the headings in links, on the hub and in the pages of `make docs`."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text).lower().replace(" ", "-") for text in headings}


def test_every_page_is_in_the_navigation() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    listed = re.findall(r"[\w/-]+\.md", json.dumps(navigation))
    assert sorted(listed) == sorted(str(page.relative_to(ROOT)) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_shown_configurations_are_valid(page: Path) -> None:
    """Each block is valid as an overlay of the paper, the demo, or the example of a herd."""
    for block in YAML.finditer(page.read_text("utf-8")):
        if block["text"].lstrip().startswith("# config/"):  # a file of another kind
            continue
        overlay = yaml.safe_load(textwrap.dedent(block["text"]))
        assert any(_is_valid(overlay, base) for base in BASES), block["text"]


def _is_valid(overlay: dict[str, Any], base: str) -> bool:
    config = copy.deepcopy(_merged(base))
    update_config(config, overlay)
    try:
        load_settings(config)
    except SettingsError:
        return False
    return True


@cache
def _merged(base: str) -> dict[str, Any]:
    return read_config([ROOT / base] if base else [], [])


def test_examples_are_shown_as_they_are() -> None:
    for page, example in (("README.md", "cook.yaml"), ("docs/tutorial.md", "first_herd.yaml")):
        lines = (ROOT / "config/examples" / example).read_text("utf-8").splitlines(keepends=True)
        settings = "".join(line for line in lines if not line.startswith("#"))
        assert settings in (ROOT / page).read_text("utf-8"), f"{page}: {example}"


def test_messages_of_the_troubleshooting_page_are_the_codes_own() -> None:
    texts = "\n".join(_literals())
    rows = re.findall(r"^\| `(.+?)` \|", (ROOT / "docs/troubleshooting.md").read_text(), re.M)
    assert len(rows) > 30
    for row in rows:
        for part in filter(None, (part.strip() for part in row.split("…"))):
            assert part in texts, f"no code says {part!r} (of {row!r})"


def _literals() -> list[str]:
    """All string constants of the package; formatted strings are split into constant parts."""
    found = []
    for path in (ROOT / "scripts" / "lamini").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_the_papers_costs_are_those_of_the_plan(checkout: Checkout) -> None:
    overlay = "config/overlays/gpt-3.5-turbo.yaml"
    plan = checkout.run("python", "-m", "lamini.plan", "--configfile", overlay).stdout
    totals = re.findall(r"^total +(.+)$", plan, re.MULTILINE)
    dollars = [float(text.replace(",", "")) for text in re.findall(r"\$([\d,.]+)", totals[0])]
    planned = map(float, totals[1].split()[2:])
    hours = dict(zip((card.name for card in GPU_MODELS), planned, strict=True))
    page = " ".join((ROOT / "docs/paper.md").read_text("utf-8").split())
    assert f"about ${dollars[0]:.0f} (${dollars[1]:.0f} with the Batch API)" in page
    said = re.search(r"(\d+) A100-hours, (\d+) V100-hours or (\d+) H100-hours", page)
    assert said is not None
    expected = [hours[name] for name in ("A100", "V100", "H100")]
    assert list(map(float, said.groups())) == pytest.approx(expected, rel=0.01)
