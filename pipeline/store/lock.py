"""One writer per output folder. Readers take no lock: files are replaced whole."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import DirectoryLocked, UsageError
from pipeline.names import PRIVATE


@contextmanager
def locked(out: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the folder's lock. Raises DirectoryLocked at once, naming the holder, unless `wait`.

    The kernel frees the lock of a dead process (flock), so nothing has to be cleaned up after a crash.
    """
    path = out / PRIVATE / "lock"
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: not a folder. Choose another output folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            holder = file.read(200).strip() or "another process"
            raise DirectoryLocked(f"{out}: {holder} is writing here. Wait for it to end, or use --wait") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
