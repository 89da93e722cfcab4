"""One VOC file (XML) -> its objects. Coordinates count from 1, and the last pixel is inside, by VOC's definition."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from models.data.marks import Mark, Marks
from models.data.words import name_in
from pipeline.errors import DataError

_MAX_BYTES = 1_000_000
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(xml: Path, first: int = 1) -> Marks:
    """All objects. `first` is the number of the first pixel: with 0, coordinates are taken for edges, as in COCO.

    A stated size is told, not used: it is often wrong. Raises DataError.
    """
    root = _parsed(xml)
    try:
        objects = [_mark(node, first) for node in root.iter("object")]
    except (TypeError, ValueError) as error:
        raise DataError(f"{xml.name}: not a VOC annotation ({error}). Correct or remove it") from error
    nameless = sum(not mark.label for mark in objects)
    return Marks(
        objects=tuple(mark for mark in objects if mark.label),
        listed=not nameless,
        named=True,
        size_px=_stated_size(root),
        holds_zero=first == 1 and any(-1.0 in mark.edges_px[:2] for mark in objects),
        problems=(f"unknown class: {xml.name}: {nameless} objects without a name are left out",) if nameless else (),
    )


def _parsed(xml: Path) -> ElementTree.Element:
    size = xml.stat().st_size
    if size > _MAX_BYTES:
        raise DataError(f"{xml.name}: {size} bytes are too many for an annotation. Remove it")
    try:
        parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314  entities are refused, see there
        parser.feed(xml.read_bytes())
        root = parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{xml.name}: not a VOC annotation ({error}). Correct or remove it") from error
    assert isinstance(root, ElementTree.Element)
    return root


class _Builder(ElementTree.TreeBuilder):
    """A tree without a document type: annotations need none, and its entities could grow without end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it declares a document type")


def _mark(node: ElementTree.Element, first: int) -> Mark:
    left, top, right, bottom = (float(node.findtext(f"bndbox/{side}") or "") for side in _SIDES)
    return Mark(label=name_in(node.findtext("name")), edges_px=(left - first, top - first, right, bottom))


def _stated_size(root: ElementTree.Element) -> tuple[float, float] | None:
    try:
        height, width = (float(root.findtext(f"size/{side}") or "") for side in ("height", "width"))
    except ValueError:
        return None
    return (height, width) if height and width else None  # tools that do not know it write 0
