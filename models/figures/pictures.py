"""Pictures of figures, uint8 (H, W, 3) RGB: a confusion matrix, a reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from models.figures.calibration import Reliability
from models.figures.confusion import Ints, commonest

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

MOST_CLASSES = 40  # drawn; of more, the commonest
_CELL_PX, _TEXT_PX, _MARGIN_PX, _PLOT_PX, _FOOT_PX = 30, 14, 8, 360, 60
_LONGEST = 24  # letters of a name that are written
_WHITE, _BLACK, _GREY = (255, 255, 255), (0, 0, 0), (190, 190, 190)
_BLUE, _RED = (40, 90, 200), (225, 120, 110)


def confusion_picture(counts: Ints, names: Sequence[str]) -> Picture:
    """Rows are true, columns answered: a cell is as blue as its share of the row's pictures, and tells their number.
    Of more than 40 classes the 40 commonest are drawn; what was taken for another one is in no cell."""
    chosen = commonest(counts, MOST_CLASSES)
    labels = [_short(names[k]) for k in chosen]
    left_px = max((_width_px(label) for label in labels), default=0) + 2 * _MARGIN_PX
    picture = _blank(left_px + _CELL_PX * len(labels), left_px + _CELL_PX * len(labels))
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    for row, true in enumerate(chosen):
        for column, answered in enumerate(chosen):
            cell = picture[left_px + row * _CELL_PX :, left_px + column * _CELL_PX :][:_CELL_PX, :_CELL_PX]
            _draw_cell(cell, int(counts[true, answered]), float(shares[true, answered]))
    picture[left_px:, :left_px] = _column_of(labels, left_px)
    picture[:left_px, left_px:] = np.rot90(_column_of(labels, left_px))  # the same, to be read upwards
    return picture


def _draw_cell(cell: Picture, count: int, share: float) -> None:
    cell[:] = np.rint(np.array(_WHITE) + share * (np.array(_BLUE) - np.array(_WHITE)))
    cell[0], cell[:, 0] = _GREY, _GREY
    if count:
        text = str(count) if count < 1000 else f"{count // 1000}k"
        _write(cell, text, ((_CELL_PX - _width_px(text)) // 2, _foot_px()), _WHITE if share > 0.6 else _BLACK)


def _column_of(labels: Sequence[str], width_px: int) -> Picture:
    column = _blank(_CELL_PX * len(labels), width_px)
    for row, label in enumerate(labels):
        _write(column[row * _CELL_PX : (row + 1) * _CELL_PX], label, (_MARGIN_PX, _foot_px()), _BLACK)
    return column


def reliability_picture(table: Reliability) -> Picture:
    """How often answers were right (blue) against how sure they were; the gap between is red. Calibrated answers reach
    the diagonal. Below, the share of all pictures that were that sure."""
    bins, side_px = len(table.count), _PLOT_PX
    plot, foot = _blank(side_px, side_px), _blank(_FOOT_PX, side_px)
    edges = np.rint(np.linspace(0, side_px, bins + 1)).astype(int)
    for number in np.flatnonzero(table.count):
        x = slice(edges[number], edges[number + 1] - 1)
        right, sure = (round(side_px * float(part[number])) for part in (table.accuracy, table.confidence))
        plot[side_px - max(right, sure) : side_px - min(right, sure), x] = _RED
        plot[side_px - min(right, sure) :, x] = _BLUE
        foot[_FOOT_PX - round(_FOOT_PX * float(table.count[number] / table.count.sum())) :, x] = _GREY
    cv2.line(plot, (0, side_px - 1), (side_px - 1, 0), _BLACK, 1)
    framed = [_framed(plot), _framed(foot)]
    title = _blank(_CELL_PX, framed[0].shape[1])
    _write(title, f"ECE {table.ece:.3f}, {table.count.sum()} pictures", (_MARGIN_PX, _foot_px()), _BLACK)
    return np.concatenate([title, *framed])


def _framed(plot: Picture) -> Picture:
    """With a line round it, on white."""
    lined = cv2.copyMakeBorder(plot, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=_BLACK)
    edge = _MARGIN_PX
    return np.asarray(cv2.copyMakeBorder(lined, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=_WHITE), np.uint8)


def _blank(height_px: int, width_px: int) -> Picture:
    return np.full((height_px, width_px, 3), 255, np.uint8)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "."


def _foot_px() -> int:
    """Where letters stand in a cell or a line of its height."""
    return (_CELL_PX + _TEXT_PX) // 2 - 2


def _width_px(text: str) -> int:
    return int(cv2.getTextSize((1, 1), text, (0, 0), cv2.FontFace("sans"), _TEXT_PX)[2])


def _write(picture: Picture, text: str, left_foot: tuple[int, int], colour: Colour) -> None:
    """Also into a part of one. The face is the one that OpenCV carries; letters that it lacks become question marks."""
    written = np.ascontiguousarray(picture)
    cv2.putText(written, text, left_foot, colour, cv2.FontFace("sans"), _TEXT_PX)
    picture[:] = written
