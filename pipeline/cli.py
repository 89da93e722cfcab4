"""The `matchcut` command: finds the verb, lets its module parse and work, turns errors into exit codes.

Exit codes: 0 all done, 1 some inputs failed, 2 usage or configuration, 3 environment or lock, 130 interrupted.
Nothing heavy is imported before a verb needs it: `--help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from pipeline.errors import MachineError, MatchcutError

VERBS = {
    "run": "find moments in videos; write clips, reel, reports and pages",
    "rescore": "segments, tags and the reel's list again, from stored predictions",
    "export": "make the clips and the reel that do not stand",
    "predict": "labels and boxes of pictures or videos, a line each",
    "train": "learn labels of your own by transfer from a few examples",
    "eval": "judge a checkpoint, results or predictions by what is true, with chance beside every figure",
    "status": "the state of every input of an output folder",
    "doctor": "what this machine can do",
}
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for name in ("stdout", "stderr"):  # closed by whoever started us
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  to the end of the process
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names need not be UTF-8; JSON writes such bytes as \udc80 too
        sys.stdout.reconfigure(errors="backslashreplace")
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"matchcut {version('matchcut')}")
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        print(f"matchcut: no command {verb!r}. Commands: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    return _run(verb, rest)


def _run(verb: str, arguments: list[str]) -> int:
    try:
        command = importlib.import_module(f"pipeline.commands.{verb}")
        parser = argparse.ArgumentParser(prog=f"matchcut {verb}", description=command.__doc__)
        command.add_arguments(parser)
        code = int(command.run(parser.parse_args(arguments)))
        sys.stdout.flush()
        return code
    except MatchcutError as error:
        print(f"matchcut {verb}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"\nmatchcut {verb}: interrupted; every file written so far is whole", file=sys.stderr)
        _leave(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # no permission, a disk that fails: nothing that a video can help
        print(f"matchcut {verb}: {error}. Check that folder and its disk", file=sys.stderr)
        return MachineError.exit_code


def _leave(code: int) -> NoReturn:
    """At once: taking torch down in good order lasts a second, and can end as death by a signal instead of `code`."""
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            "usage: matchcut COMMAND ...",
            "",
            "Point it at a folder of video: the moments worth showing, what it is about, and proven clips.",
            "",
            *lines,
            "",
            "`matchcut COMMAND --help` says more, `matchcut --version` which this is.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
