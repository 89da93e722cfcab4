"""Figures that several questions show."""

from __future__ import annotations

from benchmarks.study.question import Column

TOP1 = Column(key="top1", title="class right", baseline="chance", baseline_title="the commonest class")
IOU50 = Column(key="iou50", title="box with IoU ≥ 0.5", baseline="iou50_constant", baseline_title="best constant box")
MEAN_IOU = Column(key="mean_iou", title="mean IoU", baseline="mean_iou_constant", baseline_title="that constant box")
BOTH = Column(key="both", title="class and box right", baseline="both_centred", baseline_title="best centred box")
MAP50 = Column(key="map50", title="mAP at IoU 0.5", baseline="map50_blind", baseline_title="boxes that never look")
GFLOP = Column(key="gflop", title="GFLOP a picture", share=False, better=-1)
