"""Checkouts of the project in temporary folders, in which Snakemake runs."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "LAMINI_PLAIN_PROGRESS": "1",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}


@dataclass
class Checkout:
    """A copy of the project's files, as a clone would have them."""

    folder: Path

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout, in an environment without network access."""
        environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(self.folder / "scripts")}
        done = subprocess.run(
            arguments, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
        return done

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `snakemake` in the checkout."""
        return self.run("snakemake", *arguments, check=check)

    def plan(self, *arguments: str) -> Counter[str]:
        """Jobs that `snakemake -n` plans, by rule name."""
        done = self.snakemake("-n", *arguments, "--quiet", "rules")
        return read_job_table(done.stdout + done.stderr)

    def planned_jobs(self, *arguments: str) -> set[tuple[str, str]]:
        """Planned jobs as (rule, wildcards), such as ("train_model", "model=lamini-demo-t5")."""
        done = self.snakemake("-n", *arguments, "--printshellcmds")  # with the profiles, too
        return read_jobs(done.stdout + done.stderr)


def read_job_table(text: str) -> Counter[str]:
    """The job counts of a dry run."""
    rows = re.findall(r"^(\w+) +(\d+)$", text, flags=re.MULTILINE)
    return Counter({rule: int(count) for rule, count in rows if rule != "total"})


def read_jobs(text: str) -> set[tuple[str, str]]:
    """Rules and wildcards of a dry run's jobs."""
    jobs, rule = set(), None
    for line in text.splitlines():
        if match := re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", line):
            if rule:
                jobs.add((rule, ""))
            rule = match[1]
        elif rule and (match := re.match(r" +wildcards: (.+)", line)):
            jobs.add((rule, match[1]))
            rule = None
        elif rule and not line.strip():
            jobs.add((rule, ""))
            rule = None
    return jobs


def check_out(folder: Path) -> Checkout:
    """Copy every file that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_symlink() or source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return Checkout(folder)
