"""Figures of a checkpoint as lines for a person: beside each the one that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.precision import BF16

_WORST = 5  # classes that are named


def figure_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """What every head is judged by first."""
    if "tags" in figures:
        yield f"tags   {_tags(figures['tags'])}"
    for name, event in figures.get("events", {}).items():
        precision, chance = _sure(event, "average_precision", ".3f"), event["average_precision_chance"]
        yield (
            f"event  {name}: average precision {precision} (chance {chance:.3f}), right {_sure(event, 'right', '.1%')} "
            f"(always the commoner: {event['right_chance']:.1%}) of {event['pictures']} pictures"
        )
    if "box" in figures:
        box = figures["box"]
        yield (
            f"boxes  IoU >= 0.5: {_sure(box, 'iou50', '.1%')} (best constant box: {box['iou50_constant']:.1%}), "
            f"mean IoU {_sure(box, 'mean_iou', '.2f')} ({box['mean_iou_constant']:.2f}) of {box['pictures']} pictures"
        )
    for name, attribute in figures.get("attributes", {}).items():
        yield f"{name}: {_tags(attribute)}"
    if "points" in figures:
        points = figures["points"]
        yield (
            f"points within a tenth of the box: {_sure(points, 'pck', '.1%')} "
            f"(their mean place: {points['pck_constant']:.1%}) of {points['points']}"
        )
    if "map50" in figures.get("objects", {}):
        found = figures["objects"]
        yield (
            f"objects mAP@0.5 {_sure(found, 'map50', '.3f')} (never looking: {found['map50_blind']:.3f}), "
            f"0.5:0.95 {_sure(found, 'map', '.3f')} ({found['map_blind']:.3f}) "
            f"of {found['boxes']} in {found['pictures']} pictures"
        )
    if figures.get(BF16):
        bf16 = figures[BF16]
        yield f"bf16   keeps {bf16['kept']:.1%} of the answers, moves a score by up to {bf16['change']:.3f}"


def _tags(tags: Mapping[str, Any]) -> str:
    return (
        f"top-1 {_sure(tags, 'top1', '.1%')} (chance {tags['top1_chance']:.1%}), "
        f"top-5 {_sure(tags, 'top5', '.1%')} (chance {tags['top5_chance']:.1%}) of {tags['pictures']} pictures"
    )


def _sure(figures: Mapping[str, Any], name: str, form: str) -> str:
    """A figure, with its 95 % interval where that was computed."""
    interval = figures.get(f"{name}_interval")
    return f"{figures[name]:{form}}" + (f" [{interval[0]:{form}}, {interval[1]:{form}}]" if interval else "")


def further_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """What is said at the end, of a checkpoint that is judged: are scores probabilities, are things where they are."""
    yield from _worst_lines(figures)
    for name, head in [("tags", figures.get("tags", {})), *figures.get("events", {}).items()]:
        if found := head.get("calibration"):
            yield (
                f"scores of {name}: expected calibration error {_sure(found, 'ece', '.3f')}, "
                f"Brier {found['brier']:.3f} (always the frequencies: {found['brier_chance']:.3f})"
            )
    if found := figures.get("localization"):
        for guess in ("top1", "top5", "gt_known"):
            error, centred = _sure(found, f"{guess}_error", ".1%"), found[f"{guess}_error_centred"]
            yield f"localization error {guess.replace('_', '-')} {error} (centred box: {centred:.1%})"
    if found := figures.get("box", {}).get("v2"):
        share = _sure(found, "max_box_acc_v2", ".1%")
        yield f"MaxBoxAccV2 {share} (centred box: {found['max_box_acc_v2_centred']:.1%})"


def _worst_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """Which classes are found least, beside a guess by frequency; all of them are in what --json writes."""
    if tags := figures.get("tags"):
        worst = sorted(tags["top1_by_class"], key=tags["top1_by_class"].__getitem__)[:_WORST]
        of_each = (f"{name} {tags['top1_by_class'][name]:.0%} ({tags['share_by_class'][name]:.0%})" for name in worst)
        yield f"least right (by chance): {', '.join(of_each)}"
    if by_class := figures.get("objects", {}).get("map50_by_class"):
        worst = sorted(by_class, key=by_class.__getitem__)[:_WORST]
        yield f"least mAP@0.5: {', '.join(f'{name} {by_class[name]:.3f}' for name in worst)}"


def calibration_lines(done: Mapping[str, Any]) -> Iterator[str]:
    """What calibration did to each head."""
    heads = [("tags", done["tags"])] if "tags" in done else []
    heads += [*done.get("attributes", {}).items(), *done.get("events", {}).items()]
    for name, head in heads:
        by = f"temperature {head['temperature']:.2f}" if "temperature" in head else f"slope {head['slope']:.2f}"
        before, after = head["before"]["ece"], head["after"]["ece"]
        yield f"calibrated {name} by {by}: expected calibration error {before:.3f} -> {after:.3f}"
