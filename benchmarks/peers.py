"""How others take the same pictures: the frame on display at each wanted time, as RGB of one size.

    python -m benchmarks.peers NAME FILE --hz 2 [--threads 1] [--save pictures.npy]

is one contender in a process of its own; it prints what taking the pictures cost, imports and set-up left out.
Every peer is written as its own documentation advises. `plan` is Matchcut's decoder, `pyav` the reference: everything
is decoded, the wanted is converted in the same way, so the two must agree byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from benchmarks.footage import DEMO
from benchmarks.pairs import spent
from benchmarks.picture import frame_times_ns

Picture = npt.NDArray[np.uint8]
Peer = Callable[[Path, Sequence[int], int, int], Iterator[Picture]]  # file, times in ns, side in pixels, threads
OPTIONAL = {"torchcodec": "torchcodec.decoders", "decord": "decord"}  # peer: what must be importable
EXTRA = DEMO / "peers"
_BATCH = 32


def plan(path: Path, times_ns: Sequence[int], side_px: int, threads: int) -> Iterator[Picture]:
    """Ours: only what the wanted frames need is decoded."""
    from pipeline.decode import decode
    from pipeline.probe import probe

    for decoded in decode(probe(path), times_ns, side_px, side_px, threads=threads):
        yield from decoded.batch.pixels


def pyav(path: Path, times_ns: Sequence[int], side_px: int, threads: int) -> Iterator[Picture]:
    """Every frame decoded; those on display at a wanted time are converted."""
    from av.video.reformatter import VideoReformatter

    from pipeline.media import fit, open_media

    shown = _shown(path, times_ns)
    scaler = VideoReformatter()
    with open_media(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = threads
        stream.codec_context.thread_type = "AUTO"
        for index, frame in enumerate(container.decode(stream)):
            if index in shown:
                yield fit(frame, side_px, side_px, scaler)


def opencv(path: Path, times_ns: Sequence[int], side_px: int, threads: int) -> Iterator[Picture]:
    """Grab every frame, retrieve and resize the wanted."""
    import cv2

    cv2.setNumThreads(threads)
    shown = _shown(path, times_ns)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    index = 0
    while capture.grab():
        if index in shown:
            picture = cv2.resize(capture.retrieve()[1], (side_px, side_px), interpolation=cv2.INTER_LINEAR)
            yield np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
        index += 1


def ffmpeg_pipe(path: Path, times_ns: Sequence[int], side_px: int, threads: int) -> Iterator[Picture]:
    """The command line: its fps filter (rounding up: the frame on display), its scaler, raw RGB through a pipe."""
    import imageio_ffmpeg

    step = Fraction(times_ns[1] - times_ns[0], 1_000_000_000)
    filters = f"fps={1 / step}:round=up,scale={side_px}:{side_px}"
    limits = ["-threads", str(threads), "-filter_threads", str(threads)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *limits, "-i", str(path), "-an"]
    command += ["-vf", filters, "-frames:v", str(len(times_ns)), "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:"]
    size = side_px * side_px * 3
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        while len(raw := process.stdout.read(size)) == size:
            yield np.frombuffer(raw, np.uint8).reshape(side_px, side_px, 3)


def torchcodec(path: Path, times_ns: Sequence[int], side_px: int, threads: int) -> Iterator[Picture]:
    """Batches of frames at times, resized as torchvision does it."""
    import torch
    from torchcodec.decoders import VideoDecoder
    from torchvision.transforms.v2.functional import resize

    torch.set_num_threads(threads)
    decoder = VideoDecoder(str(path), num_ffmpeg_threads=threads, seek_mode="approximate")
    end_ns = int(decoder.metadata.end_stream_seconds * 1_000_000_000)
    wanted = [time / 1_000_000_000 for time in times_ns if time < end_ns]
    for start in range(0, len(wanted), _BATCH):
        frames = decoder.get_frames_played_at(wanted[start : start + _BATCH]).data
        yield from resize(frames, [side_px, side_px], antialias=True).permute(0, 2, 3, 1).numpy()


def decord(path: Path, times_ns: Sequence[int], side_px: int, threads: int) -> Iterator[Picture]:
    """Batches of frames by index, scaled while decoding."""
    from decord import VideoReader

    shown = sorted(_shown(path, times_ns))
    reader = VideoReader(str(path), width=side_px, height=side_px, num_threads=threads)
    for start in range(0, len(shown), _BATCH):
        yield from reader.get_batch(shown[start : start + _BATCH]).asnumpy()


PEERS: dict[str, Peer] = {
    "plan": plan,
    "pyav": pyav,
    "opencv": opencv,
    "ffmpeg": ffmpeg_pipe,
    "torchcodec": torchcodec,
    "decord": decord,
}


def present(names: Sequence[str] = tuple(PEERS)) -> list[str]:
    """Those that work here: torchcodec and decord are optional, and are tried."""
    return [name for name in names if name not in OPTIONAL or _imports(OPTIONAL[name])]


def _imports(package: str) -> bool:
    command = [sys.executable, "-c", f"import {package}"]
    env = {**os.environ, **environment()}
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


def environment() -> dict[str, str]:
    """For contenders: optional peers in `demo/peers` are seen; torchcodec, which brings no FFmpeg, is lent PyAV's.

    They come there by: pip install --no-deps --target demo/peers torchcodec decord
    """
    if not EXTRA.exists():
        return {}
    links = EXTRA / "ffmpeg-links"
    links.mkdir(exist_ok=True)
    for library in (Path(av.__file__).parents[1] / "av.libs").glob("lib[as][vw]*.so.*"):
        name, _, version = library.name.partition("-")[0], *library.name.partition(".so.")[1:]
        link = links / f"{name}.so.{version.partition('.')[0]}"
        if not link.exists():
            link.symlink_to(library)
    added = {"PYTHONPATH": EXTRA, "LD_LIBRARY_PATH": links}
    return {name: os.pathsep.join([str(path), os.environ.get(name, "")]).rstrip(":") for name, path in added.items()}


def _shown(path: Path, times_ns: Sequence[int]) -> set[int]:
    """Indices of the frames on display at the times: the greatest pts <= t."""
    starts = frame_times_ns(path)[:-1]
    return {bisect_right(starts, time) - 1 for time in times_ns}


def sampling(path: Path, hz: Fraction) -> list[int]:
    """Every `1 / hz` seconds, from t = 0 to the end."""
    end_ns = frame_times_ns(path)[-1]
    return [
        int(index * 1_000_000_000 / hz) for index in range(int(end_ns * hz / 1_000_000_000 - Fraction(1, 10**9)) + 1)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("file", type=Path)
    parser.add_argument("--hz", type=Fraction, default=Fraction(2))
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", type=Path, help="the pictures, for comparison")
    args = parser.parse_args(argv)
    times_ns = sampling(args.file, args.hz)
    next(PEERS[args.name](args.file, times_ns[:2], 32, args.threads))  # imports and first-use set-up
    pictures, cost = spent(lambda: list(PEERS[args.name](args.file, times_ns, args.side, args.threads)))
    if args.save:
        np.save(args.save, np.stack(pictures))
    print(json.dumps({"pictures": len(pictures), "wanted": len(times_ns), **cost}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
