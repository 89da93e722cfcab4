"""Programs that we start must not outlive us, nor swallow a Ctrl-C. Knows nothing of what they are."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def ends_with_parent(how: signal.Signals = signal.SIGKILL) -> Callable[[], object] | None:
    """What subprocess is to call before the program starts (`preexec_fn`), so that it gets the signal `how` when this
    process dies, be it by a kill. One C call, bound before the fork. Linux alone can do this; None elsewhere."""
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, how)


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Around the start of a program: a Ctrl-C in the block is heard at its end.

    While Python forks it runs hooks (of logging, for one) in which a KeyboardInterrupt would be lost. Only the main
    thread hears Ctrl-C; in others nothing has to be done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[FrameType | None] = []
    before = signal.signal(signal.SIGINT, lambda _, frame: heard.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if heard and callable(before):
            before(signal.SIGINT, heard[0])
