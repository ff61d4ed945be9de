"""Debian packages of SLURM; missing ones are installed (needs root)."""

import os
import shutil
import subprocess
from pathlib import Path

PROGRAMS = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "slurmdbd": "slurmdbd",
    "munged": "munge",
    "mariadbd": "mariadb-server",
}
"""What is run, and the package that it is in."""
_NO_DAEMONS = Path("/usr/sbin/policy-rc.d")


def missing_packages() -> list[str]:
    """Packages whose program is not on this machine."""
    places = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return [name for program, name in PROGRAMS.items() if not shutil.which(program, path=places)]


def install_packages() -> str | None:
    """Install missing packages; returns the reason if this is not possible."""
    missing = missing_packages()
    if os.geteuid() != 0:
        return "a SLURM cluster is started by root, which this user is not"
    if not missing:
        return None
    if not shutil.which("apt-get"):
        return f"no apt-get here, and {', '.join(missing)} not installed"
    # Without systemd the packages' own scripts would fail to start their daemons.
    placed = not _NO_DAEMONS.exists()
    if placed:
        _NO_DAEMONS.write_text("#!/bin/sh\nexit 101\n")
        _NO_DAEMONS.chmod(0o755)
    try:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            done = subprocess.run(
                ["apt-get", "--quiet", *command],
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                return f"apt-get {command[0]} failed: {(done.stderr or done.stdout)[-2000:]}"
    finally:
        if placed:
            _NO_DAEMONS.unlink()
    left = missing_packages()
    return f"still missing after installation: {', '.join(left)}" if left else None
