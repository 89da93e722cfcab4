"""Fills the HTML files of this folder. Every value is data: escaped, made printable, and never run as a script."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.page import words
from pipeline.timeline import timecode

_HERE = Path(__file__).parent


def fill(template: str, script: str, **values: object) -> str:
    """The page: one HTML text that asks for nothing but the pictures and films beside it.

    `script` is the file whose code the page runs. Its digest goes into the page's content security policy, so that
    a browser runs this code and no other, whatever a file name or a label contains.
    """
    code = (_HERE / script).read_text(encoding="utf-8")
    return (
        _environment()
        .get_template(template)
        .render(
            style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
            script=Markup(code),  # noqa: S704 - our own file
            script_digest=base64.b64encode(hashlib.sha256(code.encode()).digest()).decode(),
            **values,
        )
    )


@cache  # compiling a template takes longer than filling it
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for word in (
        words.address,
        words.clock,
        words.duration,
        words.milliseconds,
        words.percent,
        words.number,
        words.count,
        timecode,
    ):
        environment.filters[word.__name__] = word
    return environment


def _printable(value: object) -> str:
    """Whatever is data becomes printable text; markup is the template's own."""
    return value if isinstance(value, Markup) else words.printable(str(value))
