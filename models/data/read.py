"""Files found -> one `Dataset`: pixels in one array, what is known beside them. Decoding is handed in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise

import numpy as np

from models.data.assemble import Piece, assembled
from models.data.dataset import Dataset, Pixels
from models.data.find import Found, Source
from models.data.marks import NOTHING, Marks, Placed, joined, placed
from models.data.plan import Plan, planned
from models.data.reader import Reader
from models.data.voc import read_voc
from models.spec import NONE, digest_of_file
from pipeline.errors import DataError, VideoError

_MOST_THREADS = 8


def read(
    found: Found, reader: Reader, size_px: tuple[int, int], *, frames: int, most_bytes: int | None = None
) -> Dataset:
    """All pictures at `size_px` (height, width): at most `frames` of a clip, or of an event; in the order of files.

    What cannot be read is named and left out. Raises DataError where nothing can be read, or where the pictures would
    take more than `most_bytes`, half of the machine's memory if not given.
    """
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        plans = list(pool.map(lambda source: planned(source, reader, frames, found.blocks), found.sources))
        counts = [plan.pictures for plan in plans]
        pixels = _room(sum(counts), size_px, _half_of_memory() if most_bytes is None else most_bytes)
        starts = [0, *accumulate(counts)]
        rooms = [pixels[start:end] for start, end in pairwise(starts)]
        pieces = list(pool.map(lambda plan, room: _read_one(plan, room, reader, found.boxes_from), plans, rooms))
    pixels = _closed_up(pixels, starts, [len(piece) for piece in pieces])
    if not len(pixels):
        first = next((problem for piece in pieces for problem in piece.problems), "")
        raise DataError(f"none of {len(pieces)} files can be read; the first: {first}")
    return assembled(pixels, pieces, found)


def _half_of_memory() -> int:
    """Bytes that pictures may take on this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _room(count: int, size_px: tuple[int, int], most_bytes: int) -> Pixels:
    """uint8 (count, H, W, 3), taken once; memory is used as it is filled."""
    height, width = size_px
    wanted = count * height * width * 3
    if wanted > most_bytes:
        raise DataError(
            f"{count} pictures of {width} x {height} pixels need {wanted / 1e9:.1f} GB, and {most_bytes / 1e9:.1f} GB "
            "(half of this machine's memory) may be used. Use a smaller --size, or fewer files or frames"
        )
    return np.empty((count, height, width, 3), np.uint8)


def _closed_up(pixels: Pixels, starts: Sequence[int], counts: Sequence[int]) -> Pixels:
    """Without the room that was not filled: later pictures move down, within the same memory."""
    end = 0
    for start, count in zip(starts, counts, strict=False):
        if count and start != end:
            pixels[end : end + count] = pixels[start : start + count]
        end += count
    return pixels[:end]


def _read_one(plan: Plan, room: Pixels, reader: Reader, boxes_from: int) -> Piece:
    """Fill the room from its start; a piece without pictures where the file gives none."""
    source = plan.source
    try:
        if not plan.pictures:
            return Piece(source=source, problems=plan.problems)
        if plan.moments:
            return _read_clip(plan, room, reader)
        room[0], shape_px = reader.picture(source.path, *room.shape[1:3])
        return _with_marks(source, shape_px, boxes_from)
    except (VideoError, OSError) as error:
        return Piece(source=source, problems=(*plan.problems, f"unreadable: {error}"))


def _read_clip(plan: Plan, room: Pixels, reader: Reader) -> Piece:
    """A picture that is on display at two moments is there once, for the first of them."""
    times_ns = [moment.t_ns for moment in plan.moments]
    pixels, since_ns = reader.frames_at(plan.source.path, times_ns, *room.shape[1:3])
    taken = np.searchsorted(times_ns, since_ns)
    room[: len(pixels)] = pixels
    return Piece(
        source=plan.source,
        label=tuple(plan.moments[k].label for k in taken),
        block=tuple(plan.moments[k].block for k in taken),
        time_ns=since_ns,
        digest=digest_of_file(plan.source.path),
        problems=plan.problems,
    )


def _with_marks(source: Source, shape_px: tuple[int, int], boxes_from: int) -> Piece:
    """A picture whose annotation is damaged is there for what else is said of it."""
    marks, problems = list[Marks](), list[str]()
    for part in source.marks:
        try:
            marks.append(part if isinstance(part, Marks) else read_voc(part, boxes_from))
        except (DataError, OSError) as error:
            problems.append(f"unreadable: {error}")
    said = joined(marks)
    there = placed(said, shape_px, source.path.name) if marks else NOTHING
    label = source.label or (_main_class(there) if said.named else "")
    problems += there.problems
    if not (label or there.listed or there.marks or source.attributes):
        return Piece(
            source=source, problems=(*problems, f"no class: {source.path.name}: nothing is left that is known")
        )
    return Piece(
        source=source,
        label=(label,),
        block=(0,),
        time_ns=np.zeros(1, np.int64),
        digest=digest_of_file(source.path),
        placed=there,
        from_zero=said.holds_zero,
        problems=tuple(problems),
    )


def _main_class(there: Placed) -> str:
    """Of the largest object; a picture of which is said that it has none shows `none`."""
    if there.marks:
        return there.marks[there.main].label
    return NONE if there.listed else ""
