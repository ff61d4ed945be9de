"""Arrays in temporary files, for what grows with every word of a dataset.

The files have no name, and end with the process. They are mapped into memory: as fast as the
machine's memory while there is room, and the system can drop their pages when there is none.
`TMPDIR` is their folder.
"""

import os
import tempfile

import numpy as np

from lamini.arrays import Hashes

_STEP = 1 << 27
"""Maximum number of elements by which an array grows at once (1 GiB)."""


class Spilled:
    """An array of 64-bit hashes that grows at its end, in a temporary file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the array
        self._added = 0

    def __del__(self) -> None:
        self._file.close()

    def add(self, hashes: Hashes) -> None:
        """Append hashes."""
        self._file.write(np.ascontiguousarray(hashes).data)
        self._added += len(hashes)

    def added(self) -> Hashes:
        """All appended hashes; read only."""
        self._file.flush()
        return self._mapped(self._added, "r")

    def room(self, least: int) -> Hashes:
        """The array with room for at least `least` hashes, to write in; keeps what was written.

        Raises:
            OSError: there is no space on the disk.
        """
        size = max(os.fstat(self._file.fileno()).st_size // 8, 1 << 16)
        while size < least:
            size += min(size, _STEP)
        # Without space, this fails; a write to a mapped file would end the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), 0, 8 * size)
        else:  # macOS
            os.truncate(self._file.fileno(), 8 * size)
        return self._mapped(size, "r+")

    def _mapped(self, size: int, mode: str) -> Hashes:
        if not size:
            return np.zeros(0, np.uint64)
        mapped = np.memmap(self._file, np.uint64, mode, shape=(size,))  # type: ignore[call-overload]
        return mapped.view(np.ndarray)  # type: ignore[no-any-return]
