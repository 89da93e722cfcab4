"""What must change so that any browser or editor plays a picture or a sound, and the words that say so.

Pure: facts in, filter steps out. A step is (FFmpeg filter, options). Knows no files and no times.
"""

from __future__ import annotations

from dataclasses import dataclass

from av.audio.stream import AudioStream
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from pipeline.config import ExportConfig
from pipeline.media import HD_HEIGHT_PX
from pipeline.records import Video

Step = tuple[str, dict[str, str | int]]

_MATRICES = (1, 4, 5, 6, 7, 9)  # AVColorSpace: BT.709, FCC, BT.470, BT.601, 240M, BT.2020; 2 is unstated
_EXACT_SCALING = "bicubic+accurate_rnd+full_chroma_int+bitexact"  # independent of the CPU's SIMD path
_TURNS = {1: [("transpose", "cclock")], 2: [("hflip", ""), ("vflip", "")], 3: [("transpose", "clock")]}
_AAC_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the source's pictures are coded. Sizes are those of the coded picture, before any rotation."""

    width_px: int
    height_px: int
    matrix: int
    full_range: bool

    @classmethod
    def of(cls, stream: VideoStream) -> Look:
        context = stream.codec_context
        return cls(
            width_px=context.width,
            height_px=context.height,
            matrix=int(context.colorspace),
            full_range=context.color_range == ColorRange.JPEG or (context.pix_fmt or "").startswith("yuvj"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """Filter steps in order, and `changes` for people."""

    steps: tuple[Step, ...]
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureTreatment(Treatment):
    """Leaves pictures of `width_px` x `height_px`, both even: the top left of `whole_px`, width and height."""

    width_px: int
    height_px: int
    whole_px: tuple[int, int]


def treat_picture(video: Video, look: Look, config: ExportConfig) -> PictureTreatment:
    """Upright, square pixels, even size, at most `config.max_height_px` high, 8-bit 4:2:0, not HDR."""
    turns = video.rotation_deg // 90 % 4
    coded = (look.height_px, look.width_px) if turns % 2 else (look.width_px, look.height_px)
    size, size_changes = _size(video, coded, config.max_height_px)
    even = (max(2, size[0] - size[0] % 2), max(2, size[1] - size[1] % 2))
    fits = size == coded and even[0] <= size[0] and even[1] <= size[1]
    colour_steps, colour_changes = _hdr(look) if video.hdr else _colour(video, look, even)
    steps: list[Step] = [(name, {"dir": way} if way else {}) for name, way in _TURNS.get(turns, [])]
    if fits and even != size:
        steps.append(("crop", {"w": even[0], "h": even[1], "x": 0, "y": 0}))
    turned = (f"turned upright by {turns * 90} degrees",) if turns else ()
    cut = (f"{size[0]}x{size[1]} made {even[0]}x{even[1]}: H.264 needs even sizes",) if even != size else ()
    return PictureTreatment(
        steps=(*steps, *(_sized(step, even) for step in colour_steps), ("setsar", {"sar": 1})),
        changes=(*turned, *size_changes, *cut, *colour_changes),
        width_px=even[0],
        height_px=even[1],
        whole_px=size if fits else even,
    )


def _sized(step: Step, size: tuple[int, int]) -> Step:
    name, options = step
    return (name, {"w": size[0], "h": size[1], **options}) if name == "scale" else step


def _size(video: Video, coded: tuple[int, int], max_height_px: int) -> tuple[tuple[int, int], tuple[str, ...]]:
    """The displayed size, brought down to the limit; `coded` is already turned upright."""
    size = (video.width_px, video.height_px)
    squared = (f"{coded[0]}x{coded[1]} shown as {size[0]}x{size[1]}: square pixels",) if size != coded else ()
    if size[1] <= max_height_px:
        return size, squared
    small = (max(1, round(size[0] * max_height_px / size[1])), max_height_px)
    return small, (*squared, f"scaled down from {size[0]}x{size[1]} to {small[0]}x{small[1]}")


def _colour(video: Video, look: Look, size: tuple[int, int]) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """8-bit 4:2:0 in limited range. The matrix is stated: players guess it by height, which scaling may change."""
    is_rgb = look.matrix == 0 or video.pixel_format.startswith(("gbr", "rgb", "bgr", "argb", "abgr", "pal"))
    scale: dict[str, str | int] = {"flags": _EXACT_SCALING}
    if look.full_range or is_rgb:
        scale["out_range"] = "limited"
    if is_rgb:
        scale["out_color_matrix"] = "bt709" if size[1] >= HD_HEIGHT_PX else "bt601"
    stated: dict[str, str | int] = {} if look.full_range or is_rgb else {"range": "limited"}
    if look.matrix not in _MATRICES and not is_rgb:  # as `pipeline.media` guesses
        stated["colorspace"] = "bt709" if look.height_px >= HD_HEIGHT_PX else "smpte170m"
    named: tuple[Step, ...] = (("setparams", stated),) if stated else ()
    full = " of full range" if look.full_range else ""
    changes = (f"{video.pixel_format}{full} converted to yuv420p of limited range",)
    steps: tuple[Step, ...] = (*named, ("scale", scale), ("format", {"pix_fmts": "yuv420p"}))
    return steps, () if video.pixel_format == "yuv420p" and not full else changes


def _hdr(look: Look) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Linear light, BT.709 primaries, Hable's curve, BT.709 transfer. What the file leaves unsaid is BT.2020."""
    named: dict[str, str | int] = {"color_primaries": "bt2020", "range": "full" if look.full_range else "limited"}
    if look.matrix not in _MATRICES:
        named["colorspace"] = "bt2020nc"
    steps: tuple[Step, ...] = (
        ("scale", {"flags": _EXACT_SCALING}),
        ("setparams", named),
        ("zscale", {"transfer": "linear", "npl": 100}),
        ("format", {"pix_fmts": "gbrpf32le"}),
        ("zscale", {"primaries": "bt709"}),
        ("tonemap", {"tonemap": "hable", "desat": 0}),
        ("zscale", {"transfer": "bt709", "matrix": "bt709", "range": "limited"}),
        ("format", {"pix_fmts": "yuv420p"}),
    )
    return steps, ("HDR tone-mapped to BT.709",)


def treat_sound(stream: AudioStream) -> Treatment:
    """At most two channels, a rate that AAC has and every player takes."""
    channels, rate_hz = stream.codec_context.channels, stream.codec_context.sample_rate
    layout = "mono" if channels == 1 else "stereo"
    target_hz = rate_hz if rate_hz in _AAC_RATES_HZ else 48_000
    mixed = (f"{channels} channels mixed down to 2",) if channels > 2 else ()
    resampled = (f"sound resampled from {rate_hz} to {target_hz} Hz",) if target_hz != rate_hz else ()
    step: Step = ("aformat", {"sample_rates": target_hz, "channel_layouts": layout})
    return Treatment(steps=(step,), changes=(*mixed, *resampled))
