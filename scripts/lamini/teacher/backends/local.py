"""The local backend: a server of this job's own on loopback, asked as an external one is."""

from lamini.settings.teacher import Teacher
from lamini.teacher.backends.live import LiveBackend
from lamini.teacher.endpoints import Target, local_target
from lamini.teacher.ledger import Ledger
from lamini.teacher.money import Budget
from lamini.teacher.request import Spend
from lamini.teacher.server import ServerProcess, check_local


class LocalBackend(LiveBackend):
    """Starts the server when the first request must really be sent."""

    def __init__(self, settings: Teacher, ledger: Ledger, budget: Budget, spend: Spend) -> None:
        assert settings.server is not None
        log = ledger.path.with_suffix("").with_suffix(".server.log")
        self._server = ServerProcess(settings.server, settings.model, log)
        super().__init__(settings, ledger, budget, spend)

    @classmethod
    def check(cls, settings: Teacher) -> None:
        """Raise a `LaminiError` when the model file or the server's package is missing."""
        assert settings.server is not None
        check_local(settings.server)

    def close(self) -> None:
        """Stop at once, the server too."""
        self._server.cancel()
        super().close()

    @property
    def status(self) -> list[str]:
        """Its part of the progress line: a server of one's own has no limits to show."""
        return [f"{self.in_flight} in flight"]

    def find_targets(self) -> list[Target]:
        """Start the server, and ask nothing else."""
        self._server.start()
        return [local_target(self.settings, self._server)]

    def end_targets(self) -> None:
        """Stop the server, from the thread that has started it."""
        self._server.stop()
