"""A `conda` for tests, whose environments have only what their file lists.

`install(FOLDER)` writes `conda` and `activate` to FOLDER/bin. An environment is a virtual
environment with links to the distributions of this Python that its file lists, and to those that
they require.
"""

import importlib.metadata
import json
import os
import stat
import sys
import venv
from itertools import pairwise
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ACTIVATE = 'export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"\n'


def install(folder: Path) -> None:
    """Write the programs `conda` and `activate` to `folder/bin`."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(ACTIVATE)
    conda = programs / "conda"
    conda.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__)} {folder} "$@"\n')
    conda.chmod(conda.stat().st_mode | stat.S_IXUSR)


def required(names: list[str]) -> set[str]:
    """Names of the distributions and of all installed ones that they require."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (key := f"{name}[{extra}]") in found:
                continue
            found.add(key)
            try:
                requires = importlib.metadata.requires(name) or []
            except importlib.metadata.PackageNotFoundError:
                continue  # of another platform
            for text in requires:
                further = Requirement(text)
                if further.marker is None or further.marker.evaluate({"extra": extra}):
                    waiting.append(further)
    return {key.partition("[")[0] for key in found}


def create(file: Path, prefix: Path) -> None:
    """Make the environment of a file."""
    packages = yaml.safe_load(file.read_text())["dependencies"]
    pip = next(item["pip"] for item in packages if isinstance(item, dict))
    venv.EnvBuilder(symlinks=True).create(prefix)
    for name in required(pip):
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        site = Path(str(distribution.locate_file("")))
        target = prefix / site.relative_to(sys.prefix)
        for top in {path.parts[0] for path in distribution.files or []}:
            if top not in ("..", "__pycache__") and not os.path.lexists(target / top):
                (target / top).symlink_to(site / top)
        _copy_programs(distribution, site, prefix)


def _copy_programs(distribution: importlib.metadata.Distribution, site: Path, prefix: Path) -> None:
    """Copy the entry points of a distribution, with the Python of the environment."""
    for path in distribution.files or []:
        program = (site / path).resolve()
        if program.parent == Path(sys.prefix) / "bin" and program.is_file():
            data = program.read_bytes().replace(sys.prefix.encode(), str(prefix).encode(), 1)
            (prefix / "bin" / program.name).write_bytes(data)
            (prefix / "bin" / program.name).chmod(0o755)


def main(folder: str, *arguments: str) -> None:
    """Answer a call of Snakemake."""
    match arguments:
        case ("info", "--json"):
            print(json.dumps({"conda_prefix": folder, "platform": "linux-64"}))
        case ("--version",):
            print("conda 25.3.0")
        case ("config", *_):
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ("clean", *_):
            return
        case ("env", "create", *options):
            values = [option.split("=", 1) for option in options if "=" in option]
            named = dict(values) | dict(pairwise(options))
            create(Path(named["--file"].strip("'\"")), Path(named["--prefix"].strip("'\"")))
        case _:
            sys.exit(f"conda {' '.join(arguments)}: not known to this stand-in")


if __name__ == "__main__":
    main(*sys.argv[1:])
