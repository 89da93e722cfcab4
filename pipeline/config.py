"""Every setting, once: one frozen dataclass per stage, defaults here, a TOML file overrides them.

`_s` are seconds (what people write); stages convert to nanoseconds. An unknown key is an error that names the nearest.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pipeline.errors import ConfigError

Section = TypeVar("Section")
MOMENT = "moment"  # the label of what excitement finds, where a model has no events
_MOST_PICTURES = 4096  # in a batch
_PRESETS = frozenset(  # x264's
    ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _positive(section: object, where: str, *names: str) -> None:
    for name in names:
        _require(getattr(section, name) > 0, f"{where}.{name} = {getattr(section, name)}: use more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeConfig:
    """Which frames are looked at, and how much a file may ask of the machine."""

    sample_hz: float = 2.0
    threads: int = 0  # chunks decoded at once; 0 = one per core. Changes no result
    max_side_px: int = 16_384
    max_pixels: int = 67_108_864  # 8K is 33 million; a 734 KB file of 16000 x 16000 costs 1.4 GB

    def __post_init__(self) -> None:
        _require(0 < self.sample_hz <= 1000, f"decode.sample_hz = {self.sample_hz}: use more than 0 and at most 1000")
        _require(self.threads >= 0, f"decode.threads = {self.threads}: use 0 for one per core, or a count")
        _positive(self, "decode", "max_side_px", "max_pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferConfig:
    """How the network is run."""

    batch: int = 8  # one fixed shape, the last batch padded: small ones suit CPU caches
    threads: int = 1
    precision: str = "fp32"
    runtime: str = "torch"  # or "openvino": the same network on Intel's runtime, on CPUs; an optional package

    def __post_init__(self) -> None:
        _positive(self, "infer", "batch", "threads")
        _require(self.batch <= _MOST_PICTURES, f"infer.batch = {self.batch}: use {_MOST_PICTURES} at most")
        _require(self.precision in ("fp32", "bf16"), f"infer.precision = {self.precision!r}: use fp32 or bf16")
        _require(self.runtime in ("torch", "openvino"), f"infer.runtime = {self.runtime!r}: use torch or openvino")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRule:
    """How frame scores of one label become segments. Per label: `[aggregate.labels.dunk]`.

    The defaults find events of 1.7 s and more at 2 samples a second: 0.65 leaves room for a sample that doubts; an
    average crosses 0.5 exactly where a clear score steps, so no other `leave` puts the edges better.
    """

    enter: float = 0.65  # smoothed score that makes an event
    leave: float = 0.5  # an event goes as far as the smoothed score is not below this; must be < enter
    smooth_s: float = 1.0  # width of the moving average; events much shorter than this are lost in it
    gap_s: float = 2.0  # events so close or closer are one
    snap_cut: float = 0.6  # an edge within smooth_s / 2 of a cut of this strength is put there; above 1: never
    min_s: float = 0.8  # shorter events are dropped: one stray sample at 2 Hz, even at the video's end
    max_s: float = 60.0  # longer events are cut down around their peak
    pre_s: float = 6.0  # lead-in: the clip does not start at the roar after the goal
    post_s: float = 3.0  # tail

    def __post_init__(self) -> None:
        _require(0 <= self.leave < self.enter <= 1, f"enter {self.enter}, leave {self.leave}: 0 <= leave < enter <= 1")
        _require(self.min_s < self.max_s, f"min_s {self.min_s} must be less than max_s {self.max_s}")
        for name in ("smooth_s", "gap_s", "min_s", "pre_s", "post_s"):
            _require(getattr(self, name) >= 0, f"{name} = {getattr(self, name)}: use 0 or more seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateConfig(LabelRule):
    """The rule for every label, and exceptions by label."""

    labels: Mapping[str, LabelRule] = field(default_factory=dict)

    def rule(self, label: str) -> LabelRule:
        return self.labels.get(label, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExciteConfig:
    """Excitement, where no event head speaks: logistic(bias + sum of weight * min(rise / scale, cap)).

    By the defaults a moment needs 7.4 dB of sound alone, or 4 dB with three times the motion; a roar of the crowd is
    8 to 15 dB. Motion alone is no moment as long as there is sound; without sound, 2.4 times the usual motion is one.
    """

    median_s: float = 60.0  # what is usual: the median of so long around each moment
    spread: float = 4.0  # a rise must be so many times what the signal does anyway (its median deviation) to be 1
    cap: float = 1.5  # no rise counts more than so many scales
    bias: float = -3.0  # the more below 0, the more a moment needs
    loudness_floor_db: float = -50.0  # LUFS; anything quieter is silence, and a rise is counted from here
    loudness_scale_db: float = 8.0
    loudness_weight: float = 4.0
    motion_floor: float = 0.004  # of the luma's range; the noise and flicker of a still picture stay below
    motion_scale: float = 2.0  # doublings: four times the usual motion
    motion_weight: float = 2.0
    cut_limit: float = 0.6  # at a cut of this strength the picture changes, but nothing moves
    subject_size_floor: float = 0.1  # side of the subject's box; smaller ones are all the same
    subject_speed_floor: float = 0.05  # of the picture in a second: how far the box of something still wanders
    subject_scale: float = 1.0  # doublings
    subject_weight: float = 0.5  # half for size, half for speed
    gate_tags: tuple[str, ...] = ()  # when given, moments are found only where one of these tags holds
    gate_score: float = 0.3
    gate_s: float = 10.0  # a gate is the median of so long, so that one doubtful sample does not shut it

    def __post_init__(self) -> None:
        _require(-30 <= self.bias <= 0, f"excite.bias = {self.bias}: use -30 to 0, or everything is a moment")
        _positive(self, "excite", "median_s", "gate_s", "cap", "loudness_scale_db", "motion_scale", "subject_scale")
        _positive(self, "excite", "motion_floor", "subject_size_floor", "subject_speed_floor")
        for name in ("spread", "loudness_weight", "motion_weight", "subject_weight"):
            _require(getattr(self, name) >= 0, f"excite.{name} = {getattr(self, name)}: use 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class TagsConfig:
    """What counts as a tag of the video."""

    taxonomy: str = "labels"  # whose ids: the slugs of the model's own labels
    min_score: float = 0.35  # a tag holds where its smoothed score is not below this
    min_coverage: float = 0.05  # and is told when it holds for this share of the video
    smooth_s: float = 4.0
    max_tags: int = 20

    def __post_init__(self) -> None:
        for name in ("min_score", "min_coverage"):
            _require(0 <= getattr(self, name) <= 1, f"tags.{name} = {getattr(self, name)}: use 0 to 1")
        _require(self.smooth_s >= 0, f"tags.smooth_s = {self.smooth_s}: use 0 or more seconds")
        _require(self.max_tags >= 0, f"tags.max_tags = {self.max_tags}: use 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectConfig:
    """The reel."""

    reel_s: float = 90.0  # never longer

    def __post_init__(self) -> None:
        _require(self.reel_s > 0, f"select.reel_s = {self.reel_s}: use more than 0 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How clips are written: H.264 8-bit 4:2:0 + AAC in MP4 at the source's frame timing."""

    crf: int = 20
    preset: str = "veryfast"
    audio_kbps: int = 160
    audio_track: int = -1  # counted from 0; -1: the one that the file marks as default. Loudness is measured on it too
    max_height_px: int = 1080
    max_av_skew_ms: float = 45.0  # ITU-R BT.1359: detectability threshold, sound leading
    min_psnr_db: float = 20.0  # first picture of the clip against the source's
    thumb_width_px: int = 320
    timeout_s: float = 1800.0

    def __post_init__(self) -> None:
        _require(0 <= self.crf <= 51, f"export.crf = {self.crf}: use 0 (lossless) to 51")
        _require(self.preset in _PRESETS, f"export.preset = {self.preset!r}: use one of {', '.join(sorted(_PRESETS))}")
        _require(
            self.audio_track >= -1, f"export.audio_track = {self.audio_track}: use -1 for the default one, or 0, 1 ..."
        )
        _positive(self, "export", "audio_kbps", "max_height_px", "max_av_skew_ms", "min_psnr_db", "timeout_s")
        _require(self.thumb_width_px >= 8, f"export.thumb_width_px = {self.thumb_width_px}: use 8 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All sections; `Config()` is the documented default."""

    decode: DecodeConfig = field(default_factory=DecodeConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    aggregate: AggregateConfig = field(default_factory=AggregateConfig)
    excite: ExciteConfig = field(default_factory=ExciteConfig)
    tags: TagsConfig = field(default_factory=TagsConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    export: ExportConfig = field(default_factory=ExportConfig)

    def digest(self, *names: str) -> str:
        """Content digest of the named sections, or of all; threads change no result and do not count."""
        sections = {name: asdict(getattr(self, name)) for name in names or [f.name for f in fields(self)]}
        for section in sections.values():
            section.pop("threads", None)
        return digest_of(sections)


def require_labels(config: Config, tags: Sequence[str], events: Sequence[str]) -> None:
    """Raises ConfigError where a setting names a label that the model does not have: it would never take effect."""
    for label in config.aggregate.labels:
        _require_label(f"aggregate.labels.{label}", label, "event", [*events] or [MOMENT])
    for tag in config.excite.gate_tags:
        _require_label("excite.gate_tags", tag, "tag", tags)


def _require_label(where: str, name: str, kind: str, known: Sequence[str]) -> None:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'none'}"
    _require(name in known, f"{where}: the model has no {kind} {name!r}; {hint}")


def digest_of(value: object) -> str:
    """Sixteen hex digits of SHA-256 over canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_config(path: Path | None, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Config:
    """Defaults, then the TOML file, then `overrides` ({section: {key: value}}, from the command line).

    Raises ConfigError naming the file, the key and the nearest known one.
    """
    config = Config()
    if path is not None:
        config = _override(config, _read_toml(path), path.name)
    return _override(config, overrides or {}, "command line")


def override_config(config: Config, values: Mapping[str, Any], where: str) -> Config:
    """A copy of `config` with `values` ({section: {key: value}}) in place. Raises ConfigError."""
    return _override(config, values, where)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Give a file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: not valid TOML: {error}") from None


def _override(section: Section, values: Mapping[str, Any], where: str) -> Section:
    """A copy of a dataclass with `values` in place; nested tables go into nested dataclasses."""
    hints = get_type_hints(type(section))
    changed: dict[str, Any] = {}
    for key, value in sorted(values.items(), key=lambda item: isinstance(item[1], Mapping)):  # plain values first
        _require_known(key, list(hints), where)
        here = f"{where}: {key}"
        old = getattr(section, key)
        if is_dataclass(old):
            _require(isinstance(value, Mapping), f"{here} is a section: write [{key}] and its keys below")
            changed[key] = _override(old, value, here)
        elif get_origin(hints[key]) is not None and get_args(hints[key])[-1] is LabelRule:
            inherited = {f.name: changed.get(f.name, getattr(section, f.name)) for f in fields(LabelRule)}
            changed[key] = {name: _label_rule(inherited, rule, f"{here}.{name}") for name, rule in value.items()}
        else:
            changed[key] = _coerce(value, hints[key], here)
    try:
        return replace(section, **changed)  # type: ignore[type-var]
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _label_rule(inherited: Mapping[str, Any], values: Mapping[str, Any], where: str) -> LabelRule:
    """A label's own rule: the section's values, with its exceptions in place."""
    _require(isinstance(values, Mapping), f"{where} is a section of its own")
    try:
        rule = LabelRule(**inherited)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return _override(rule, values, where)


def _require_known(key: str, known: list[str], where: str) -> None:
    if key not in known:
        near = get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        raise ConfigError(f"{where}: unknown key {key!r}; {hint}")


def _coerce(value: Any, wanted: Any, where: str) -> Any:
    """TOML has no tuples and writes 2 for 2.0; anything else must have the declared type."""
    if get_origin(wanted) is tuple:
        _require(isinstance(value, list | tuple), f"{where} = {value!r}: a list is wanted")
        return tuple(_coerce(item, get_args(wanted)[0], where) for item in value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    ok = isinstance(value, wanted) and not (wanted is not bool and isinstance(value, bool))
    _require(ok, f"{where} = {value!r}: {wanted.__name__} is wanted")
    _require(not isinstance(value, float) or math.isfinite(value), f"{where} = {value}: a finite number is wanted")
    return value
