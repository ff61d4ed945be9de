"""Compiles the LaTeX of tables in a two-column article."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

PROGRAMS = ("pdflatex", "lualatex")
WITH_TEX = pytest.mark.skipif(
    not all(map(shutil.which, PROGRAMS)),
    reason="NO TEX: the tables' LaTeX was not compiled; see the packages in CONTRIBUTING.md",
)
_HEAD = r"""\documentclass[twocolumn]{article}
\usepackage{iftex}\ifpdftex\usepackage[T1]{fontenc}\fi
\usepackage{booktabs,graphicx,array}
\usepackage[total={455pt,660pt}]{geometry}\setlength\columnsep{17pt}
\begin{document}
"""


def problems(program: str, tables: Sequence[Path], folder: Path) -> list[str]:
    """What a LaTeX program says against some tables: errors, too wide boxes, missing characters.

    Args:
        program: `pdflatex` or `lualatex`.
        tables: files with LaTeX.
        folder: where to work.
    """
    for table in tables:
        shutil.copy(table, folder)
    body = "".join(f"\\typeout{{== {t.stem}}}\\input{{{t.stem}}}\\clearpage\n" for t in tables)
    (folder / "all.tex").write_text(_HEAD + body + "\\end{document}\n")
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    log = (folder / "all.log").read_text(errors="replace")
    assert all(f"== {table.stem}" in log for table in tables) or done.returncode
    said = re.findall(r"^(?:!|Overfull|Missing character|LaTeX Warning: Float).*$", log, re.M)
    return said or [f"exit status {done.returncode}"] * bool(done.returncode)
