"""What a detector says of a picture: the main subject's box, from which a small network learns. Used only to make the
default: YOLOX-nano (Apache-2.0) is not needed to use a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Detector = Callable[[Floats], Floats]  # (1, 3, 416, 416) BGR 0-255 -> (1, 3549, 85) raw

_DETECTOR_PX = 416
_MIN_SCORE = 0.3


def onnx_detector(path: Path) -> Detector:
    """The detector as a plain function. Needs onnxruntime, which is not a dependency of Matchcut."""
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda picture: np.asarray(session.run(None, {name: picture})[0], np.float32)


def main_subject(pixels: Pixels, aspect: float, detector: Detector) -> Floats:
    """The box xyxy (4,) of the picture's main subject: the detection of the greatest score * sqrt(area); NaN if none.

    `pixels` (H, W, 3) RGB may be squashed; `aspect` is the displayed width by height, which the detector expects.
    """
    scale = _DETECTOR_PX / max(aspect, 1.0)
    width, height = round(scale * aspect), round(scale)
    canvas = np.full((_DETECTOR_PX, _DETECTOR_PX, 3), 114, np.uint8)
    canvas[:height, :width] = cv2.resize(pixels[..., ::-1], (width, height), interpolation=cv2.INTER_LINEAR)
    raw = detector(canvas.astype(np.float32).transpose(2, 0, 1)[None])[0]
    boxes, scores = _decoded(raw)
    boxes = np.clip(boxes / np.array([width, height, width, height], np.float32), 0, 1)
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    prominence = scores * np.sqrt(sides.prod(axis=1)) * (scores >= _MIN_SCORE)
    best = int(prominence.argmax())
    return boxes[best] if prominence[best] > 0 else np.full(4, np.nan, np.float32)


def _decoded(raw: Floats) -> tuple[Floats, Floats]:
    """YOLOX's raw rows (3549, 85) as boxes xyxy in pixels and scores: offsets from cells of strides 8, 16 and 32."""
    cells, strides = [], []
    for stride in (8, 16, 32):
        side = _DETECTOR_PX // stride
        y, x = np.mgrid[:side, :side]
        cells.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        strides.append(np.full((side * side, 1), stride))
    stride_column = np.concatenate(strides).astype(np.float32)
    centre = (raw[:, :2] + np.concatenate(cells)) * stride_column
    size = np.exp(raw[:, 2:4]) * stride_column
    scores = raw[:, 4] * raw[:, 5:].max(axis=1)
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32), scores
