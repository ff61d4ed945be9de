"""Snakemake's logger `lamini`: short terminal output, see `lamini.terminal`.

Snakemake finds logger plugins by the package's name. The profiles select it (`logger: [lamini]`).
With `--printshellcmds`, `--verbose` or `--debug-dag`, Snakemake's own complete output is printed.
Every job imports this module, so it imports the rest of the package only where it is used.
"""

import os
import shutil
import sys
import threading
import time
from dataclasses import dataclass
from logging import ERROR, WARNING, Handler, LogRecord
from pathlib import Path
from typing import TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

_REDRAW_SECONDS = 1.0
_LINE_AFTER_SECONDS = 300.0
"""Without a terminal, the run has a line after this time without any other."""
_CLEAR = "\r\033[K"
"""Start of the line, and its removal."""
_COLOURS = {WARNING: "\033[33m", ERROR: "\033[31m"}


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """No settings; Snakemake makes an instance before it reads any file of the configuration."""

    def __post_init__(self) -> None:
        from snakemake.exceptions import CliException

        from lamini.errors import LaminiError
        from lamini.terminal.command_line import check_arguments

        if Path(sys.argv[0]).name == "snakemake":
            try:
                check_arguments(sys.argv[1:])
            except LaminiError as error:
                raise CliException(str(error)) from None  # printed without a traceback


class LogHandler(LogHandlerBase):
    """Writes the lines of a run. On a terminal, its last line shows the run and is redrawn."""

    def __post_init__(self) -> None:
        from snakemake.logging import ColorizingTextHandler

        from lamini.log import start_brief_terminal
        from lamini.terminal.lines import Lines

        settings = self.common_settings
        self._stream: TextIO = sys.stdout if settings.stdout else sys.stderr
        self._ended = threading.Event()
        self._complete: Handler | None = None
        self._written = time.time()
        self._on_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colored = self._on_terminal and not settings.nocolor
        quiet = {each.name.lower() for each in settings.quiet or ()}
        self._lines = Lines(dryrun=settings.dryrun, quiet=quiet)
        if settings.printshellcmds or settings.verbose or settings.debug_dag:
            self._complete = ColorizingTextHandler(nocolor=settings.nocolor, stream=self._stream)
        elif not settings.dryrun:
            start_brief_terminal()
            threading.Thread(target=self._redraw, name="lamini-terminal", daemon=True).start()

    def emit(self, record: LogRecord) -> None:
        """Write a record's text, if it has any."""
        try:
            if self._complete is not None:
                self._complete.setFormatter(self.formatter)
                self._complete.emit(record)
            elif text := self._lines.text(record):
                self._write(text, _COLOURS.get(record.levelno, ""))
        except BrokenPipeError:
            raise
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Stop redrawing, and remove the run's line."""
        self._ended.set()
        with self.lock or threading.RLock():
            if self._on_terminal and not self._stream.closed:
                self._stream.write(_CLEAR)
                self._stream.flush()
        super().close()

    def _write(self, text: str, color: str) -> None:
        if self._on_terminal:
            text = f"{_CLEAR}{color}{text}\033[0m" if self._colored else f"{_CLEAR}{text}"
        self._stream.write(f"{text}\n")
        self._stream.flush()
        self._written = time.time()

    def _redraw(self) -> None:
        """Show the run: each second on a terminal, otherwise after minutes without a line."""
        while not self._ended.wait(_REDRAW_SECONDS):
            now = time.time()
            with self.lock or threading.RLock():
                if self._ended.is_set():
                    return
                text = self._lines.status(now)
                if text and self._on_terminal:
                    width = shutil.get_terminal_size().columns
                    self._stream.write(f"{_CLEAR}{text[: width - 1]}")
                    self._stream.flush()
                elif text and now - self._written >= _LINE_AFTER_SECONDS:
                    self._write(f".. {text}", "")

    @property
    def writes_to_stream(self) -> bool:
        """Replaces Snakemake's own output."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """No file of its own; Snakemake's log file stays complete."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's own filter applies `--quiet`."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's own formatter is used for its complete output."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """The Snakefile sends the plan."""
        return False
