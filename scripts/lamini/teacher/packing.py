"""Packing (zstd compression) of a finished shard's ledger, to about a quarter of its size."""

from pathlib import Path

import zstandard

from lamini.files import atomic_writer
from lamini.teacher.ledger import Ledger, packed_path
from lamini.teacher.storage import LedgerFile

_FRAME_BYTES = 1 << 20


def pack_ledger(path: Path) -> Path | None:
    """Pack the ledger of a finished shard; rows packed before are kept.

    Args:
        path: the plain ledger, `*.ledger.jsonl`; removed when the packed file is on disk.

    Returns:
        the packed file, or None if there is no ledger.

    Raises:
        LaminiError: a job is writing the ledger.
    """
    packed = packed_path(path)
    if not path.exists():
        return packed if packed.exists() else None
    ledger = Ledger(path)
    file = LedgerFile(path)
    try:
        with atomic_writer(packed, "wb") as output:
            if packed.exists():  # zstd frames can be concatenated: old ones are copied unchanged
                with open(packed, "rb") as old:
                    while block := old.read(_FRAME_BYTES):
                        output.write(block)
            compressor = zstandard.ZstdCompressor(level=9)
            rows: list[bytes] = []
            size = 0
            for _, line in file.scan():
                rows.append(line)
                size += len(line)
                if size >= _FRAME_BYTES:
                    output.write(compressor.compress(b"".join(rows)))
                    rows, size = [], 0
            if rows:
                output.write(compressor.compress(b"".join(rows)))
        path.unlink()
    finally:
        file.close()
        ledger.close()
    return packed
