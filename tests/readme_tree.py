"""The file tree of the README, made from the first line of each file's own description.

`python tests/readme_tree.py` checks it; with `--fix` it writes it.
"""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
START, END = "<!-- file tree -->\n", "<!-- end of file tree -->\n"
SECTIONS = ("Snakefile", "rules", "scripts", "config", "envs", "benchmarks", "tests")
NOT_LISTED = (
    "config/demo/tasks/",
    "config/examples/herd/",
    "config/demo/p3/",
    "config/demo/flan/",
    "config/paper/",
)


def describe(path: Path) -> str:
    """The first sentence of a file's docstring or leading comment."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix in (".py", ".smk") or path.name == "Snakefile":
        first = (ast.get_docstring(ast.parse(text)) if path.suffix == ".py" else text.strip()) or ""
        return first.strip('"').splitlines()[0].strip('" ') if first else ""
    if path.suffix in (".yaml", ".yml", ".sh", ".html", ".jinja"):
        first = text.lstrip("#!{<- ").splitlines()[0] if text else ""
        return first.strip("#}>- ")
    return ""


def tree() -> str:
    """The listing: one line per file."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *SECTIONS],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    lines = ["```"]
    folder = ""
    for name in sorted(set(listed), key=_order):
        path = ROOT / name
        if not path.is_file() or name.startswith(NOT_LISTED) or path.name == "__init__.py":
            continue
        if str(Path(name).parent) != folder and "/" in name:
            folder = str(Path(name).parent)
            start = path.parent / "__init__.py"
            lines.append(f"{folder + '/':38}{describe(start) if start.exists() else ''}".rstrip())
        shown = f"  {path.name}" if "/" in name else name
        lines.append(f"{shown:38}{describe(path)}".rstrip())
    return "\n".join([*lines, "```", ""])


def _order(name: str) -> tuple[int, str, str]:
    """Sections as listed above; in each, the files of a folder stand together."""
    path = Path(name)
    return SECTIONS.index(path.parts[0]), str(path.parent), path.name


def main(arguments: list[str]) -> int:
    """Check or write the tree; returns the exit code."""
    before, _, rest = README.read_text(encoding="utf-8").partition(START)
    old, _, after = rest.partition(END)
    if "--fix" in arguments:
        README.write_text(before + START + tree() + END + after, encoding="utf-8")
        return 0
    if old != tree():
        print("README.md's file tree is out of date: run `make format`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
