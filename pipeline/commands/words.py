"""What commands say: to a terminal, where no character of a name may move the cursor, and to programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.records import Summary


def say(*lines: str) -> None:
    """Lines on stdout, there at once also where that is a pipe."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def shown(text: str) -> str:
    """One line; control characters as Python writes them, `\\x1b` for ESC."""
    return "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else repr(c)[1:-1] for c in text)


def summary_text(summary: Summary, out: Path) -> str:
    """What `--json` prints: the content of summary.json in `out`."""
    from pipeline.report import summary_to_json

    return json.dumps(summary_to_json(summary, out), indent=1, ensure_ascii=False) + "\n"
