"""Programs that we start must not outlive us. Knows nothing of what they are."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable
from functools import partial

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def ends_with_parent(how: signal.Signals = signal.SIGKILL) -> Callable[[], object] | None:
    """What subprocess is to call before the program starts (`preexec_fn`), so that it gets the signal `how` when this
    process dies, be it by a kill. One C call, bound before the fork. Linux alone can do this; None elsewhere."""
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, how)
