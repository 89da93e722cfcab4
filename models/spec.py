"""What a checkpoint is, in words and numbers: the part of a model that can be read without torch.

`Spec` is everything needed to build the network; `read_info` reads it from the file's header with the standard library
alone, so that a finished run is checked in no time.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import CheckpointError

FORMAT = "matchcut-1"
_KEY = "matchcut"
NONE = "none"
MAX_HEADER_BYTES = 16 * 1024 * 1024  # the split of 800,000 files; a hostile header must not fill the memory
MAX_LABELS = 10_000
MAX_SIDE_PX = 2048
ATTACH = ("conv", "fc")
HEADS = ("classifier", "localizer", "attributes", "points", "detector")
FROZEN, FINETUNE, JOINT, SEQUENTIAL, SCRATCH = REGIMES = ("frozen", "finetune", "joint", "sequential", "scratch")

# Convolutional classification networks of torchvision: a fixed list, so a checkpoint cannot name anything else.
BACKBONES = frozenset(
    """
    alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161 densenet169 densenet201
    efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6
    efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s googlenet inception_v3 mnasnet0_5 mnasnet0_75
    mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_16gf regnet_x_1_6gf regnet_x_32gf
    regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf
    regnet_y_3_2gf regnet_y_400mf regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50
    resnext101_32x8d resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5
    shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn
    wide_resnet101_2 wide_resnet50_2
    """.split()  # noqa: SIM905  a list of strings would be as many lines
)

_LONG = re.compile("^([0-9a-f]{16})[0-9a-f]{48}")  # a digest as older files have it, in all its digits
_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A network: a backbone cut at `attach`, and the heads on it.

    `tags` are the classes of one softmax (none of them: no such head), `events` have a sigmoid each. `localizer`: the
    main subject's box, with `box_per_class` one for each tag. `attributes` are further sets of classes, each with its
    name; `points` are named places on the main subject; `detector` are the classes of objects of which there may be
    many.
    """

    backbone: str
    height_px: int
    width_px: int
    attach: str = "conv"
    tags: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    localizer: bool = False
    box_per_class: bool = False
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    points: tuple[str, ...] = ()
    detector: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(
            self.backbone in BACKBONES, f"unknown backbone {self.backbone!r}; use one of {', '.join(sorted(BACKBONES))}"
        )
        _require(self.attach in ATTACH, f"unknown attach point {self.attach!r}; use conv or fc")
        for side in (self.height_px, self.width_px):
            _require(
                isinstance(side, int) and 32 <= side <= MAX_SIDE_PX,
                f"input side {side!r}: 32 to {MAX_SIDE_PX} pixels are possible",
            )
        _require(not self.box_per_class or (self.localizer and bool(self.tags)), "a box for each class needs classes")
        self._check_labels()

    def _check_labels(self) -> None:
        sets = tuple(labels for _, labels in self.attributes)
        for names in (self.columns, *sets, self.points, self.detector, tuple(name for name, _ in self.attributes)):
            _require(all(isinstance(name, str) and name for name in names), "a label has no name")
            _require(len(set(names)) == len(names), "the same label twice; a label is either a tag or an event")
            _require(len(names) <= MAX_LABELS, f"{len(names)} labels; at most {MAX_LABELS} are possible")

    @property
    def served_tags(self) -> tuple[str, ...]:
        """All that a picture may be about, in the order of the scores: tags, `attribute: value`, and the detector's
        classes that are no label otherwise."""
        attributes = tuple(f"{name}: {label}" for name, labels in self.attributes for label in labels)
        known = {*self.tags, *self.events}
        return (*self.tags, *attributes, *(name for name in self.detector if name not in known))

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the scores of a picture: all tags, then the events."""
        return (*self.served_tags, *self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """A checkpoint's metadata. `split` maps train, val and heldout to digests of file contents.

    `version` is the digest of the file. `metrics` hold chance beside every figure; `training` says how it was made.
    """

    spec: Spec
    version: str
    calibrated: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def to_metadata(info: CheckpointInfo) -> dict[str, str]:
    """The metadata as safetensors wants them: strings, here JSON under one key. `version` is not part of it.

    One key, since safetensors writes several in an order that changes from run to run, and the digest with it.
    """
    content = {
        "format": FORMAT,
        "spec": asdict(info.spec),
        "calibrated": info.calibrated,
        "training": dict(info.training),
        "metrics": dict(info.metrics),
        "split": {name: list(digests) for name, digests in info.split.items()},
    }
    return {_KEY: json.dumps(content, sort_keys=True)}


def read_info(path: Path) -> CheckpointInfo:
    """The metadata of a checkpoint whose size agrees with its header. Raises CheckpointError naming what is wrong."""
    metadata = read_header(path).get("__metadata__")
    if not isinstance(metadata, dict) or _KEY not in metadata:
        raise CheckpointError(f"{path.name}: tensors without Matchcut's metadata. Make it with: matchcut train")
    try:
        return _info(json.loads(metadata[_KEY]), digest_of_file(path))
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path.name}: its metadata are damaged ({error!r}). Copy it again, or train") from error


def _info(content: dict[str, Any], version: str) -> CheckpointInfo:
    if content["format"] != FORMAT:
        raise CheckpointError(f"its format is {content['format']!r}, and {FORMAT!r} is read here. Train it again")
    return CheckpointInfo(
        spec=_spec(content["spec"]),
        version=version,
        calibrated=bool(content["calibrated"]),
        training=content["training"],
        metrics=content["metrics"],
        split={name: tuple(_LONG.sub(r"\1", digest) for digest in part) for name, part in content["split"].items()},
    )


def _spec(content: dict[str, Any]) -> Spec:
    """Lists of JSON as the tuples they were."""
    lists = {kind: tuple(content.get(kind, ())) for kind in ("tags", "events", "points", "detector")}
    attributes = tuple((name, tuple(labels)) for name, labels in content.get("attributes", ()))
    return Spec(**(content | lists | {"attributes": attributes}))


def read_header(path: Path) -> dict[str, Any]:
    """A safetensors header, checked against the file's size. Raises CheckpointError."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            size = path.stat().st_size
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= MAX_HEADER_BYTES or start[:2] in (b"PK", b"\x80\x02"):
                raise CheckpointError(f"{path.name}: {_what_it_is(start)}")
            text = file.read(length)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a .safetensors file"
        ) from None
    if len(text) < length:
        raise CheckpointError(f"{path.name}: cut short ({size} bytes, its header alone has {length}). Copy it again")
    header = _parsed(text, path)
    _require_whole(header, size - 8 - length, path)
    return header


def _what_it_is(start: bytes) -> str:
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return (
            "a pickle (.pth, .pt), which can run code when loaded, and is refused. "
            "Convert it with safetensors.torch.save_file, or train again with: matchcut train"
        )
    return "no safetensors file. Give a checkpoint made by: matchcut train"


def _parsed(text: bytes, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path.name}: no safetensors file (its header is no JSON). Copy it again") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path.name}: no safetensors file (its header is a list). Copy it again")
    return header


def _require_whole(header: dict[str, Any], size: int, path: Path) -> None:
    """Every tensor's bytes must be as many as its shape needs, and the file must end where the last tensor ends."""
    end = 0
    try:
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            first, last = tensor["data_offsets"]
            if last - first != math.prod(tensor["shape"]) * _ITEM_BYTES[tensor["dtype"]] or first < 0:
                raise CheckpointError(f"{path.name}: the header is wrong about tensor {name!r}. Copy it again")
            end = max(end, last)
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path.name}: its header is damaged. Copy it again, or train") from None
    if size != end:
        raise CheckpointError(f"{path.name}: {size} bytes of tensors, {end} are declared: cut short. Copy it again")


def digest_of_file(path: Path) -> str:
    """The first 64 bits of the sha256 of the file's content, in 16 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise CheckpointError(message)
