"""Every setting, once: one frozen dataclass per stage, defaults here, a TOML file overrides them.

`_s` are seconds (what people write); stages convert to nanoseconds. An unknown key is an error that names the nearest.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pipeline.errors import ConfigError

Section = TypeVar("Section")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class InferConfig:
    """How the network is run."""

    batch: int = 8  # one fixed shape, the last batch padded: small ones suit CPU caches
    threads: int = 1
    precision: str = "fp32"

    def __post_init__(self) -> None:
        _require(self.batch >= 1, f"infer.batch = {self.batch}: use 1 or more")
        _require(self.precision in ("fp32", "bf16"), f"infer.precision = {self.precision!r}: use fp32 or bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRule:
    """How frame scores of one label become segments. Per label: `[aggregate.labels.dunk]`."""

    enter: float = 0.7  # smoothed score that opens a segment
    leave: float = 0.4  # score below which it closes; must be < enter
    smooth_s: float = 1.0  # width of the moving average
    gap_s: float = 2.0  # segments closer than this are one
    min_s: float = 0.0  # shorter events are dropped
    max_s: float = 60.0  # longer events are cut down around their peak
    pre_s: float = 6.0  # lead-in: the clip does not start at the roar after the goal
    post_s: float = 3.0

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
    """Excitement, where no event head speaks: logistic(bias + sum of weight * rise / scale), each rise measured
    against a running median."""

    median_s: float = 60.0  # width of the running median
    loudness_scale_db: float = 6.0
    motion_scale: float = 0.06
    subject_scale: float = 0.25
    loudness_floor_db: float = -50.0  # quieter than this is silence: no rise counts
    motion_floor: float = 0.01  # stiller than this is a still picture
    loudness_weight: float = 2.5
    motion_weight: float = 1.5
    subject_weight: float = 0.5
    bias: float = -3.0
    gate_tags: tuple[str, ...] = ()  # when given, moments are found only where one of these tags holds
    gate_score: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class TagsConfig:
    """What counts as a tag of the video."""

    taxonomy: str = "labels"
    min_score: float = 0.35  # smoothed score above which a label holds
    min_coverage: float = 0.05
    smooth_s: float = 4.0
    max_tags: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectConfig:
    """The reel."""

    reel_s: float = 90.0

    def __post_init__(self) -> None:
        _require(self.reel_s > 0, f"select.reel_s = {self.reel_s}: use more than 0 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How clips are written: H.264 8-bit 4:2:0 + AAC in MP4 at the source's frame timing."""

    crf: int = 20
    preset: str = "veryfast"
    audio_kbps: int = 160
    audio_track: int = 0
    max_height_px: int = 1080
    max_av_skew_ms: float = 45.0  # ITU-R BT.1359: detectability threshold, sound leading
    min_psnr_db: float = 20.0  # first picture of the clip against the source's
    thumb_width_px: int = 320
    timeout_s: float = 1800.0

    def __post_init__(self) -> None:
        _require(0 <= self.crf <= 51, f"export.crf = {self.crf}: use 0 (lossless) to 51")


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


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: not valid TOML: {error}") from None


def _override(section: Section, values: Mapping[str, Any], where: str) -> Section:
    """A copy of a dataclass with `values` in place; nested tables go into nested dataclasses."""
    hints = get_type_hints(type(section))
    changed: dict[str, Any] = {}
    for key, value in values.items():
        _require_known(key, list(hints), where)
        here = f"{where}: {key}"
        old = getattr(section, key)
        if is_dataclass(old):
            _require(isinstance(value, Mapping), f"{here} is a section: write [{key}] and its keys below")
            changed[key] = _override(old, value, here)
        elif get_origin(hints[key]) is not None and get_args(hints[key])[-1] is LabelRule:
            changed[key] = {name: _label_rule(section, rule, f"{here}.{name}") for name, rule in value.items()}
        else:
            changed[key] = _coerce(value, hints[key], here)
    try:
        return replace(section, **changed)  # type: ignore[type-var]
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _label_rule(parent: object, values: Mapping[str, Any], where: str) -> LabelRule:
    """A label's own rule: the section's values, with its exceptions in place."""
    _require(isinstance(values, Mapping), f"{where} is a section of its own")
    inherited = LabelRule(**{f.name: getattr(parent, f.name) for f in fields(LabelRule)})
    return _override(inherited, values, where)


def _require_known(key: str, known: list[str], where: str) -> None:
    if key not in known:
        near = get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        raise ConfigError(f"{where}: unknown key {key!r}; {hint}")


def _coerce(value: Any, wanted: Any, where: str) -> Any:
    """TOML has no tuples and writes 2 for 2.0; anything else must have the declared type."""
    if get_origin(wanted) is tuple:
        _require(isinstance(value, list | tuple), f"{where} = {value!r}: a list is wanted")
        return tuple(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    ok = isinstance(value, wanted) and not (wanted is not bool and isinstance(value, bool))
    _require(ok, f"{where} = {value!r}: {wanted.__name__} is wanted")
    return value
