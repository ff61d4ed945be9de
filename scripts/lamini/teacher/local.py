"""The local backend: a server on loopback that the job starts and uses like an endpoint."""

from pathlib import Path

from lamini.settings.teacher import Teacher
from lamini.teacher.endpoints import Target, local_target
from lamini.teacher.ledger import Ledger
from lamini.teacher.live import LiveBackend
from lamini.teacher.money import Budget
from lamini.teacher.request import Spend
from lamini.teacher.server import ServerProcess, check_local


class LocalBackend(LiveBackend):
    """Starts the server when the first request is in no ledger."""

    def __init__(self, settings: Teacher, ledger: Ledger, budget: Budget, spend: Spend) -> None:
        assert settings.server is not None
        log = ledger.path.with_suffix("").with_suffix(".server.log")
        self._server = ServerProcess(settings.server, settings.model, log)
        super().__init__(settings, ledger, budget, spend)

    @classmethod
    def check(cls, settings: Teacher) -> str:
        """Look for the weights and the server's package.

        Returns:
            where the weights are.

        Raises:
            LaminiError: the model file or the server's package is missing.
        """
        assert settings.server is not None
        weights = check_local(settings.server)
        if isinstance(weights, Path):
            return f"weights {weights}"
        return f"weights {weights} from the hub, commit {settings.server.revision}"

    def close(self) -> None:
        """Stop without waiting for replies; the server is stopped too."""
        self._server.cancel()
        super().close()

    @property
    def status(self) -> list[str]:
        """Part of the progress line: requests in flight; a local server has no rate limits."""
        return [f"{self.in_flight} in flight"]

    def find_targets(self) -> list[Target]:
        """Start the server, the only endpoint."""
        self._server.start()
        return [local_target(self.settings, self._server)]

    def end_targets(self) -> None:
        """Stop the server, from the thread that started it."""
        self._server.stop()
