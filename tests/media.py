"""Every kind of video that the tests decode, each by a visible ffmpeg command.

Whatever the codec, the content is the same, and tells its own number: frame n of the source shows n in binary in its
top rows, ten blocks of 16 x 16 px, white for 1, the lowest bit first; below moves ffmpeg's `testsrc2`, so that no two
frames are alike. A recipe says which frames its file displays and when: expected answers are computed, not recorded.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from math import floor
from pathlib import Path
from shlex import quote

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from tests.paff import write_paff

FRAME_RATE = 25
WIDTH_PX, HEIGHT_PX = 160, 96
CODE_BITS, CODE_PX = 10, 16
SOURCE_FRAMES = 26 * FRAME_RATE

SOURCE = (
    f'-f lavfi -i "color=black:size={WIDTH_PX}x{CODE_PX}:rate={FRAME_RATE}:duration=26,format=yuv420p,'
    f"geq=lum='16+219*mod(floor(N/pow(2,floor(X/{CODE_PX}))),2)':cb=128:cr=128[code];"
    f"testsrc2=size={WIDTH_PX}x{HEIGHT_PX - CODE_PX}:rate={FRAME_RATE}:duration=26,format=yuv420p[moving];"
    '[code][moving]vstack" -c:v rawvideo'
)
SINE = "-f lavfi -i sine=frequency=440:sample_rate=48000"


@dataclass(frozen=True)
class Shown:
    """What a file displays: frame `numbers[i]` from `times_s[i]` on, seconds since the first displayed frame."""

    numbers: tuple[int, ...]
    times_s: tuple[Fraction, ...]

    def number_at(self, t_ns: int) -> int:
        """The frame on display at `t_ns`: the last one whose time is not later."""
        t_s = Fraction(t_ns, 10**9)
        return max(n for n, time_s in zip(self.numbers, self.times_s, strict=True) if time_s <= t_s)


def shown(numbers: range | list[int], time_s: Callable[[int], Fraction] = lambda n: Fraction(n, FRAME_RATE)) -> Shown:
    """The source's frames `numbers`, frame n at `time_s(n)`, counted from the first of them."""
    return Shown(tuple(numbers), tuple(time_s(n) - time_s(numbers[0]) for n in numbers))


COUNT = 120  # frames of most files: a whole number of GOPs of 24, 30, 40 and 48
EVERY_FRAME = shown(range(COUNT))


@dataclass(frozen=True)
class Recipe:
    """`ffmpeg ARGS OUT`. In ARGS, {source} is the source above, lossless, and {base} the file of the recipe `base`.

    With `damage`, the bytes that ffmpeg wrote are changed afterwards. `display` is None where damage decides it. A file
    that ffmpeg cannot make is written by `writer`.
    """

    args: str = ""
    base: str = ""
    damage: Callable[[bytes], bytes] | None = None
    writer: Callable[[Path], None] | None = None
    display: Shown | None = field(default=EVERY_FRAME, kw_only=True)


def encoded(options: str) -> str:
    return f"-i {{source}} -frames:v {COUNT} {options}"


def x264(params: str, more: str = "") -> str:
    return encoded(f"-c:v libx264 -preset veryfast -x264-params {params}:threads=1 {more}")


def x265(params: str, more: str = "") -> str:
    return encoded(f"-c:v libx265 -preset ultrafast -x265-params {params}:pools=1:log-level=error {more}")


def copied(options: str, before: str = "") -> str:
    return f"{before} -i {{base}} -map 0 -c copy {options}"


def cut_at(share: float) -> Callable[[bytes], bytes]:
    """A download or a recording that broke off."""
    return lambda data: data[: int(len(data) * share)]


def without_head(size: int) -> Callable[[bytes], bytes]:
    """A broadcast that was tuned into."""
    return lambda data: data[size:]


def overwritten(start: float, length: int) -> Callable[[bytes], bytes]:
    """A bad block: `length` bytes from `start` (a share of the file) on are noise from a fixed seed."""

    def damage(data: bytes) -> bytes:
        at = int(len(data) * start)
        noise = np.random.default_rng(7).integers(0, 256, length, dtype=np.uint8).tobytes()
        return data[:at] + noise + data[at + length :]

    return damage


def metadata_first(data: bytes) -> bytes:
    """The tracks last among the boxes of `moov`: the cover, in `udta`, becomes stream 0. No size changes."""
    start = data.index(b"moov") + 4
    end = start - 8 + int.from_bytes(data[start - 8 : start - 4], "big")
    boxes = []
    at = start
    while at < end:
        size = int.from_bytes(data[at : at + 4], "big")
        boxes.append(data[at : at + size])
        at += size
    boxes.sort(key=lambda box: box[4:8] == b"trak")
    return data[:start] + b"".join(boxes) + data[end:]


BFRAMES = "keyint=48:min-keyint=48:scenecut=0:bframes=3:b-adapt=0:b-pyramid=normal"
OPEN_GOP = "keyint=24:min-keyint=24:scenecut=0:bframes=3:b-adapt=0:open-gop=1"
DROPPED = [n for n in range(COUNT) if not 5 <= n % 25 <= 11 and n % 7]
IRREGULAR = shown(range(COUNT), lambda n: Fraction(n, 25) + Fraction(n % 3, 100))
STILL = shown(range(COUNT), lambda n: Fraction(n, 25) + (3 if n >= 50 else 0))

RECIPES: dict[str, Recipe] = {
    # H.264
    "h264_bframes.mp4": Recipe(x264(BFRAMES)),
    "h264_open_gop.mp4": Recipe(x264(OPEN_GOP)),
    "h264_open_gop.ts": Recipe(x264(OPEN_GOP)),
    "h264_bframes.mkv": Recipe(copied(""), base="h264_bframes.mp4"),
    "h264_open_gop.mkv": Recipe(copied(""), base="h264_open_gop.mp4"),
    "h264_intra_refresh.mp4": Recipe(x264("keyint=30:intra-refresh=1:bframes=2")),
    "h264_intra_refresh.ts": Recipe(x264("keyint=30:intra-refresh=1:bframes=2")),
    "h264_interlaced.ts": Recipe(x264(f"{BFRAMES}:tff=1", "-flags +ilme+ildct")),
    "h264_interlaced_open_gop.ts": Recipe(x264(f"{OPEN_GOP}:tff=1", "-flags +ilme+ildct")),
    "h264_interlaced_paff.ts": Recipe(writer=partial(write_paff, frames=COUNT)),  # two packets per frame
    "h264_interlaced_paff.mkv": Recipe(copied(""), base="h264_interlaced_paff.ts"),
    "h264_one_gop.mp4": Recipe(
        "-i {source} -c:v libx264 -preset ultrafast -x264-params keyint=infinite:bframes=3:threads=1",
        display=shown(range(SOURCE_FRAMES)),
    ),
    "long.mp4": Recipe(
        "-i {source} -c:v libx264 -preset ultrafast -x264-params keyint=24:bframes=3:open-gop=1:threads=1",
        display=shown(range(SOURCE_FRAMES)),
    ),
    "h264_long_and_short_gops.mp4": Recipe(
        x264("keyint=250:min-keyint=1:scenecut=0:bframes=3:b-adapt=0:open-gop=1", "-force_key_frames 0.96,1.92")
    ),
    "h264_240_fps.mp4": Recipe(
        x264(
            "keyint=24:min-keyint=24:scenecut=0:bframes=3",
            "-vf settb=1/240,setpts=N -fps_mode vfr -enc_time_base 1/240",
        ),
        display=shown(range(COUNT), lambda n: Fraction(n, 240)),
    ),
    "h264_no_bframes.flv": Recipe(x264("keyint=50:bframes=0")),
    "h264_bframes.avi": Recipe(x264(BFRAMES)),
    "h264_fragments.mp4": Recipe(copied("-movflags frag_keyframe+empty_moov"), base="h264_bframes.mp4"),
    "h264_10bit.mp4": Recipe(x264(OPEN_GOP, "-pix_fmt yuv420p10le")),
    "h264_444_odd.mp4": Recipe(x264(BFRAMES, "-vf crop=159:95:0:0 -pix_fmt yuv444p")),
    # HEVC
    "hevc_defaults.mp4": Recipe(x265("keyint=24:min-keyint=24")),
    "hevc_defaults.ts": Recipe(x265("keyint=24:min-keyint=24")),
    "hevc_medium.mp4": Recipe(  # x265's own preset
        encoded("-c:v libx265 -x265-params keyint=24:min-keyint=24:pools=1:log-level=error")
    ),
    "hevc_temporal_layers.mp4": Recipe(x265("keyint=40:temporal-layers=3:b-adapt=0:bframes=3")),
    "hevc_radl.mp4": Recipe(x265("keyint=24:min-keyint=24:open-gop=0:radl=2:bframes=3")),
    "hevc_intra_refresh.mkv": Recipe(x265("keyint=30:intra-refresh=1")),
    "hevc_hdr.mkv": Recipe(
        x265("keyint=24:min-keyint=24:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc", "-pix_fmt yuv420p10le")
    ),
    # others; AVI packets carry no pts
    "mpeg4.avi": Recipe(encoded("-c:v mpeg4 -q:v 5 -g 30 -bf 2")),
    "mpeg4.mp4": Recipe(encoded("-c:v mpeg4 -q:v 5 -g 30 -bf 2")),
    "xvid.avi": Recipe(
        encoded("-c:v libxvid -q:v 5 -g 30 -bf 2"), display=shown(range(COUNT - 2))
    ),  # it keeps two back
    "xvid_no_bframes.avi": Recipe(encoded("-c:v libxvid -q:v 5 -g 30")),
    "vp8.webm": Recipe(encoded("-c:v libvpx -deadline realtime -cpu-used 8 -auto-alt-ref 1 -lag-in-frames 16 -g 40")),
    "vp9.webm": Recipe(encoded("-c:v libvpx-vp9 -cpu-used 8 -auto-alt-ref 1 -lag-in-frames 16 -g 40")),
    "vp9_live.webm": Recipe(copied("-live 1"), base="vp9.webm"),  # no duration, no cues
    "av1.mp4": Recipe(encoded("-c:v libsvtav1 -preset 12 -g 32 -svtav1-params lp=1")),
    "av1.ivf": Recipe(copied(""), base="av1.mp4"),
    "av1.mkv": Recipe(copied(""), base="av1.mp4"),
    "mpeg2.ts": Recipe(encoded("-c:v mpeg2video -q:v 5 -g 24 -bf 2")),
    "mpeg2_interlaced.ts": Recipe(encoded("-c:v mpeg2video -q:v 5 -g 24 -bf 2 -flags +ilme+ildct -vf setfield=tff")),
    "mpeg2.mpg": Recipe(encoded("-c:v mpeg2video -q:v 5 -g 24 -bf 2")),
    "mpeg1.mpg": Recipe(encoded("-c:v mpeg1video -q:v 5 -g 24 -bf 2")),
    "mjpeg.avi": Recipe(encoded("-c:v mjpeg -q:v 5")),
    "gif.gif": Recipe(encoded("-filter_complex split[a][b];[a]palettegen[p];[b][p]paletteuse")),
    # times
    "vfr_dropped.mp4": Recipe(
        x264(OPEN_GOP, "-vf \"select='lt(n,120)*not(between(mod(n,25),5,11))*mod(n,7)'\" -fps_mode vfr"),
        display=shown(DROPPED),
    ),
    "vfr_irregular.mkv": Recipe(
        x264(BFRAMES, "-vf \"settb=1/1000,setpts='N*40+mod(N,3)*10'\" -fps_mode vfr -enc_time_base 1/1000"),
        display=IRREGULAR,
    ),
    "vfr_still.mp4": Recipe(
        x264(BFRAMES, "-vf \"settb=1/1000,setpts='N*40+3000*gte(N,50)'\" -fps_mode vfr -enc_time_base 1/1000"),
        display=STILL,
    ),
    "ntsc.mkv": Recipe(  # 29.97 a second in milliseconds: times are rounded by the container
        "-r 30000/1001 " + x264(BFRAMES),
        display=shown(range(COUNT), lambda n: Fraction(floor(n * Fraction(1_001_000, 30_000) + Fraction(1, 2)), 1000)),
    ),
    "edit_list.mp4": Recipe(  # starts inside a GOP: the packets before are pre-roll, flagged to be discarded
        copied("", "-ss 1.52"), base="h264_bframes.mp4", display=shown(range(38, COUNT))
    ),
    "edit_list_open_gop.mp4": Recipe(copied("", "-ss 3.4"), base="h264_open_gop.mp4", display=shown(range(85, COUNT))),
    "edit_list_delay.mp4": Recipe(copied("", "-itsoffset 2.5"), base="h264_bframes.mp4"),
    "no_edit_list.mp4": Recipe(copied("-use_editlist 0"), base="h264_bframes.mp4"),  # the first pts is not 0
    "late_start.ts": Recipe(copied("-output_ts_offset 59857"), base="h264_open_gop.ts"),
    "clock_wraps.ts": Recipe(  # 33-bit ticks at 90 kHz start again at 95443.7 s: the first pts are read as negative
        copied("-muxdelay 0 -muxpreload 0 -output_ts_offset 95441"), base="h264_open_gop.ts"
    ),
    # starts inside a GOP; the first key frame's leading pictures refer to what was not received
    "tuned_in_h264.ts": Recipe(
        copied(""), base="h264_open_gop.ts", damage=without_head(188 * 60), display=shown(range(24, COUNT))
    ),
    "tuned_in_hevc.ts": Recipe(
        copied(""), base="hevc_defaults.ts", damage=without_head(188 * 60), display=shown(range(24, COUNT))
    ),
    "tuned_in_mpeg2.ts": Recipe(
        copied(""), base="mpeg2.ts", damage=without_head(188 * 60), display=shown(range(24, COUNT))
    ),
    # how the picture is shown, and what is beside it
    "rotated_90.mp4": Recipe(copied("", "-display_rotation 90"), base="h264_bframes.mp4"),
    "rotated_180.mp4": Recipe(copied("", "-display_rotation 180"), base="h264_bframes.mp4"),
    "rotated_270.mp4": Recipe(copied("", "-display_rotation 270"), base="h264_open_gop.mp4"),
    "anamorphic.mp4": Recipe(x264(BFRAMES, "-vf setsar=4/3")),
    "anamorphic_rotated.mp4": Recipe(copied("", "-display_rotation 90"), base="anamorphic.mp4"),
    "sound.mp4": Recipe(copied("-map 1 -c:a aac -shortest", f"{SINE} "), base="h264_bframes.mp4"),
    "cover_first.mp4": Recipe(
        "-f lavfi -i color=red:size=64x64:duration=0.04 -i {base} -map 0 -map 1 -c copy -c:v:0 png "
        "-disposition:v:0 attached_pic",
        base="h264_bframes.mp4",
        damage=metadata_first,
    ),
    "two_videos.mp4": Recipe(
        "-f lavfi -i color=red:size=64x64:rate=25:duration=4.8 -i {base} -map 0 -map 1 -c copy -c:v:0 libx264",
        base="h264_bframes.mp4",
    ),
    "one_frame.mp4": Recipe("-i {source} -frames:v 1 -c:v libx264", display=shown(range(1))),
    # damage
    "truncated.mp4": Recipe(copied("-movflags faststart"), base="h264_bframes.mp4", damage=cut_at(0.6), display=None),
    "truncated.ts": Recipe(copied(""), base="h264_open_gop.ts", damage=cut_at(0.6), display=None),
    "truncated.mkv": Recipe(copied(""), base="h264_open_gop.mkv", damage=cut_at(0.6), display=None),
    "xvid_remuxed.mp4": Recipe(  # libxvid holds two frames back: the first one's packet lasts until they are there
        copied(""), base="xvid.avi", display=shown(range(COUNT - 2), lambda n: Fraction(n + 2 * (n > 0), FRAME_RATE))
    ),
    "bad_block.mp4": Recipe(copied(""), base="h264_bframes.mp4", damage=overwritten(0.5, 3000), display=None),
    "bad_block.ts": Recipe(copied(""), base="h264_open_gop.ts", damage=overwritten(0.5, 3000), display=None),
    "bad_block.avi": Recipe(copied(""), base="xvid.avi", damage=overwritten(0.5, 3000), display=None),
}


def make(name: str, folder: Path) -> Path:
    """The recipe's file in `folder`, made when it is not there yet."""
    path = folder / name
    if not path.exists():
        recipe = RECIPES[name]
        base = make(recipe.base, folder) if recipe.base else path
        if recipe.writer:
            recipe.writer(path)
            return path
        ffmpeg(recipe.args.format(source=quote(str(_source(folder))), base=quote(str(base))), path)
        if recipe.damage:
            path.write_bytes(recipe.damage(path.read_bytes()))
    return path


def ffmpeg(args: str, path: Path) -> Path:
    """Run `ffmpeg ARGS PATH`; what it wrote is what it would write anywhere (no dates, no versions)."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *shlex.split(args), "-bitexact", str(path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
    return path


def _source(folder: Path) -> Path:
    path = folder / "source.nut"
    return path if path.exists() else ffmpeg(SOURCE, path)


def number_in(picture: npt.NDArray[np.uint8]) -> int:
    """The frame number that a picture shows, whatever its size: uint8 (H, W, 3), upright."""
    height_px, width_px = picture.shape[:2]
    row = int(height_px * CODE_PX / 2 / HEIGHT_PX)
    columns = [int(width_px * (bit + 0.5) * CODE_PX / WIDTH_PX) for bit in range(CODE_BITS)]
    return sum(1 << bit for bit, column in enumerate(columns) if picture[row, column].mean() > 127)
