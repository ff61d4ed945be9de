"""A real SLURM cluster on this machine, whose daemons tests start, kill and stop.

munged, MariaDB, slurmdbd, slurmctld and a slurmd for each virtual node, without systemd. Each runs
in the foreground with its log below the cluster's folder, and carries a mark in its environment by
which whatever an earlier, killed test run left is found and ended.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from configuration import NODES, PORTS, SMALL, Sizes, containment, write_configuration

ETC = Path("/etc/slurm")
"""Where SLURM looks for its configuration. The executor strips SLURM_CONF, so it must lie there."""
MARK = "LAMINI_TEST_CLUSTER"
"""Environment variable of every daemon: its name."""


class ClusterError(Exception):
    """The cluster can't be started here; the message says why."""


class Cluster:
    """One cluster; `start` it, and always `stop` it.

    Args:
        folder: gets configuration, state and logs.
        sizes: of its nodes.
    """

    def __init__(self, folder: Path, sizes: Sizes = SMALL) -> None:
        self.folder = folder
        self._sizes = sizes
        self.containment = containment()
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._lock: int | None = None

    # --- As a whole -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every daemon and wait until all nodes are idle.

        Raises:
            ClusterError: when one does not start, or this machine is part of another cluster.
        """
        self._lock = os.open("/tmp/lamini-test-cluster.lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError("another test cluster runs on this machine") from None
        _end(_marked())
        self._link(write_configuration(self.folder, self._sizes))
        self._start_munge()
        self._start_accounting()
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.wait_for_idle_nodes()

    def stop(self) -> None:
        """End all jobs and daemons, and remove the links."""
        _end([process for node in NODES for process in _tasks(node)])
        _end(_marked())
        for daemon in self._daemons.values():
            daemon.wait()
        for link in ETC.glob("*.conf"):
            if link.is_symlink() and Path(os.readlink(link)).is_relative_to(self.folder):
                link.unlink()
        for groups in Path("/sys/fs/cgroup").glob("*/slurm_*"):
            _remove_groups(groups)
        if self._lock is not None:
            os.close(self._lock)

    # --- Parts of it, to break them ---------------------------------------------------------------

    def start_controller(self) -> None:
        """Start slurmctld with its saved state, if any."""
        self._start("slurmctld", "slurmctld", "-D", "-f", str(ETC / "slurm.conf"))
        self._wait("slurmctld", lambda: _succeeds("scontrol", "ping") and _is_up(), 30)

    def stop_controller(self) -> None:
        """Stop slurmctld; running jobs do not notice."""
        self._end_daemon("slurmctld", signal.SIGTERM)

    def start_node(
        self, node: str, *, hides: Path | None = None, shows: Path | None = None
    ) -> None:
        """Start a node's slurmd; its jobs may see the folder `shows` in place of `hides`."""
        slurmd = ["slurmd", "-D", "-N", node, "-f", str(ETC / "slurm.conf")]
        if hides is not None:
            mounted = f"mount --bind {shows} {hides} && exec {' '.join(slurmd)}"
            slurmd = ["unshare", "--mount", "sh", "-c", mounted]
        self._start(f"slurmd-{node}", *slurmd)

    def stop_node(self, node: str) -> None:
        """Stop a node's slurmd with SIGTERM."""
        self._end_daemon(f"slurmd-{node}", signal.SIGTERM)

    def kill_node(self, node: str) -> None:
        """Simulate a power cut of a node: kill its daemon and all processes of its jobs."""
        self._end_daemon(f"slurmd-{node}", signal.SIGKILL)
        for process in _tasks(node):
            if process.is_running():
                process.kill()

    def wait_for_idle_nodes(self) -> None:
        """Wait until every node is up and has no job."""

        def idle() -> bool:
            shown = self.run("sinfo", "--noheader", "--Node", "--states=idle", "--format=%N")
            return set(shown.split()) == set(NODES)

        self._wait("all nodes", idle, 60)

    # --- What it says -----------------------------------------------------------------------------

    def run(self, *command: str) -> str:
        """Run one of SLURM's commands; returns what it prints."""
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def jobs(self) -> list[dict[str, str]]:
        """Every job so far, oldest first, from squeue; `name` says its rule and wildcards."""
        columns = {
            "id": "JobID",
            "name": "Comment",
            "state": "State",
            "partition": "Partition",
            "node": "NodeList",
            "memory": "MinMemory",
            "minutes": "TimeLimit",
            "gpus": "tres-alloc",
            "restarts": "RestartCnt",
        }
        form = ",".join(f"{name}:|" for name in columns.values())
        shown = self.run("squeue", "--noheader", "--states=all", "--sort=i", f"--Format={form}")
        rows = (line.split("|") for line in shown.splitlines())
        return [dict(zip(columns, (cell.strip() for cell in row), strict=False)) for row in rows]

    def logs(self) -> str:
        """The last lines of each daemon's log."""
        tails = []
        for path in sorted((self.folder / "log").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            tails.append("\n".join([f"--- {path.name}", *lines]))
        return "\n".join(tails)

    # --- How --------------------------------------------------------------------------------------

    def _link(self, files: dict[str, Path]) -> None:
        ETC.mkdir(parents=True, exist_ok=True)
        for name, path in files.items():
            link = ETC / name
            if link.exists() and not link.is_symlink():
                raise ClusterError(f"{link}: this machine has a SLURM configuration of its own")
            link.unlink(missing_ok=True)
            link.symlink_to(path)

    def _start_munge(self) -> None:
        if _succeeds("munge", "--no-input"):
            return
        for place in ("/run/munge", "/var/log/munge", "/var/lib/munge"):
            Path(place).mkdir(parents=True, exist_ok=True)
            shutil.chown(place, "munge", "munge")
        self._start("munged", "runuser", "-u", "munge", "--", "munged", "--foreground")
        self._wait("munged", lambda: _succeeds("munge", "--no-input"), 20)

    def _start_accounting(self) -> None:
        data, socket = self.folder / "database", self.folder / "run/mariadb.sock"
        shutil.rmtree(data, ignore_errors=True)
        made = subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                "--user=root",
                f"--datadir={data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise ClusterError(f"mariadb-install-db failed: {made.stderr or made.stdout}")
        self._start(
            "mariadbd",
            "mariadbd",
            "--no-defaults",
            "--user=root",
            f"--datadir={data}",
            f"--socket={socket}",
            "--bind-address=127.0.0.1",
            f"--port={PORTS.database}",
            "--innodb-buffer-pool-size=64M",
            "--innodb-lock-wait-timeout=900",
            "--innodb-flush-log-at-trx-commit=0",
            "--performance-schema=OFF",
        )
        client = ("--no-defaults", f"--socket={socket}")
        self._wait("mariadbd", lambda: _succeeds("mariadb-admin", *client, "ping"), 60)
        grants = "".join(
            f"CREATE USER slurm@'{host}' IDENTIFIED BY 'slurm';"
            f"GRANT ALL ON slurm_acct_db.* TO slurm@'{host}';"
            for host in ("127.0.0.1", "localhost")
        )
        self.run("mariadb", *client, "-e", f"CREATE DATABASE slurm_acct_db; {grants}")
        self._start("slurmdbd", "slurmdbd", "-D")
        self._wait("slurmdbd", lambda: _succeeds("sacctmgr", "-n", "show", "cluster"), 60)
        for command in (
            ("cluster", "lamini"),
            ("account", "lamini", "Cluster=lamini"),
            ("user", "root", "Account=lamini", "DefaultAccount=lamini"),
        ):
            self.run("sacctmgr", "--immediate", "add", *command)

    def _start(self, name: str, *command: str) -> None:
        places = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        program = shutil.which(command[0], path=places)
        if program is None:
            raise ClusterError(f"{command[0]} is not installed")
        with open(self.folder / f"log/{name}.log", "ab") as log:
            self._daemons[name] = subprocess.Popen(
                [program, *command[1:]],
                env=os.environ | {MARK: name, "PATH": places},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end_daemon(self, name: str, how: signal.Signals) -> None:
        daemon = self._daemons[name]
        daemon.send_signal(how)
        daemon.wait(30)

    def _wait(self, what: str, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise ClusterError(f"{what}: not there after {seconds:.0f} s\n{self.logs()}")
            time.sleep(0.1)


def _is_up() -> bool:
    shown = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, check=False)
    return "UP" in shown.stdout


def _succeeds(*command: str) -> bool:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
    )
    return done.returncode == 0


def _processes() -> list[psutil.Process]:
    """All processes with some facts in `info`; processes that end during the call are skipped."""
    return list(psutil.process_iter(["environ", "name", "ppid"]))


def _marked() -> list[psutil.Process]:
    """The daemons of a test cluster, this or an earlier one."""
    return [process for process in _processes() if MARK in (process.info["environ"] or {})]


def _tasks(node: str) -> list[psutil.Process]:
    """SLURM's step daemons of a node, followed by the processes of the node's jobs."""
    running = _processes()
    found = [p for p in running if (p.info["environ"] or {}).get("SLURMD_NODENAME") == node]
    parents = {process.info["ppid"] for process in found}
    managers = [p for p in running if p.pid in parents and p.info["name"] == "slurmstepd"]
    return [*managers, *found]


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        if process.is_running():
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=10)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=10)


def _remove_groups(top: Path) -> None:
    """Remove a tree of control groups; groups with a running process are kept."""
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            continue
