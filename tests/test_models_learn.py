"""Learning by transfer: the same seed gives the same file, what is frozen stays, what is learned is right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import train
from models.checkpoint import load, save
from models.data import Dataset
from models.learn import Learned, Recipe, learn, split
from models.network import BOX, EVENTS, TAGS, Network
from models.targets import Plan, plan_labels
from pipeline.errors import DataError
from tests import networks
from tests.lessons import dataset

QUICK = 12  # epochs: enough for colours
SIDE_PX = 112  # of the embedded default, which has learned to see; a network of random values has not


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that tells grass from nothing, an event and a box, all from random values."""
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    networks.checkpoint(path)
    return str(path)


def taught(data: Dataset, plan: Plan, base: str, val: Dataset | None = None, **recipe: Any) -> Learned:
    def watch(epoch: train.Epoch, figures: Mapping[str, Any]) -> None:
        assert np.isfinite(list(epoch.losses.values())).all()

    torch.set_num_threads(1)
    return learn(data, val, plan, Recipe(**{"base": base, "epochs": QUICK, **recipe}), watch)


COLOURS = Plan(("dunk", "pass", "rest"), (), boxes=False)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Bit for bit."""
    before, after = a.state_dict(), b.state_dict()
    return before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_new_tags_are_told_apart_by_the_embedded_default() -> None:
    learned = taught(dataset(20, side_px=SIDE_PX), COLOURS, "default")
    assert learned.info.metrics["val"][TAGS]["top1"] >= 0.9


def test_what_is_frozen_and_what_the_data_do_not_teach_stay_as_they_were(base: str) -> None:
    data = dataset(8).relabelled({"dunk": "jump"})
    learned = taught(data, Plan(data.classes, (), boxes=False), base)
    known = load(Path(base))[0]
    assert learned.kept == (EVENTS, BOX)
    assert same(known.backbone, learned.network.backbone)
    assert all(same(known.heads[name], learned.network.heads[name]) for name in learned.kept)


def test_a_head_goes_where_one_of_its_labels_is_taught_anew(base: str) -> None:
    learned = taught(dataset(8), COLOURS, base, epochs=1)  # `dunk`, the event of the base, is a tag here
    assert learned.kept == (BOX,)
    assert learned.info.spec.events == ()


@pytest.mark.parametrize("regime", ["frozen", "finetune", "scratch"])
def test_the_same_seed_gives_the_same_file_and_another_one_another(base: str, regime: str, tmp_path: Path) -> None:
    data = dataset(8)
    versions = []
    for number, seed in enumerate((0, 0, 1)):
        learned = taught(data, COLOURS, base, regime=regime, epochs=2, seed=seed)
        versions.append(save(learned.network, learned.info, tmp_path / f"{number}.safetensors").version)
    assert versions[0] == versions[1] != versions[2]


def test_finetuning_moves_the_backbone_less_than_the_heads(base: str) -> None:
    learned = taught(dataset(8), COLOURS, base, regime="finetune", epochs=1)
    rates = train.rate_groups(learned.network, Recipe(regime="finetune").schedule())
    assert not same(load(Path(base))[0].backbone, learned.network.backbone)
    assert rates[0]["lr"] == 0.005 and rates[1]["lr"] == 0.05


def test_an_event_is_told_from_its_background() -> None:
    data = dataset(20, side_px=SIDE_PX).relabelled({"pass": "other", "rest": "other"})
    learned = taught(data, plan_labels(data.classes, ("dunk",), boxes=False), "default")
    assert learned.info.spec.events == ("dunk",)
    assert learned.info.metrics["val"][EVENTS]["dunk"]["average_precision"] >= 0.9


def test_boxes_are_learned_better_than_the_best_constant_box() -> None:
    data = dataset(50, boxed=True, side_px=SIDE_PX)
    learned = taught(data, Plan((), (), boxes=True), "default", epochs=40)
    figures = learned.info.metrics["val"][BOX]
    assert figures["iou50"] > figures["iou50_constant"] + 0.1


@pytest.mark.parametrize("regime", ["frozen", "finetune"])
def test_boxes_can_be_all_that_is_learned(base: str, regime: str, tmp_path: Path) -> None:
    learned = taught(dataset(4, boxed=True), Plan((), (), boxes=True), base, regime=regime, epochs=1)
    assert save(learned.network, learned.info, tmp_path / "a.safetensors").spec.localizer


def test_the_split_is_stored_and_no_file_is_in_both_parts(base: str) -> None:
    info = taught(dataset(10), COLOURS, base, epochs=1).info
    assert set(info.split) == {"train", "val"}
    assert not set(info.split["train"]) & set(info.split["val"])
    assert len(info.split["train"]) + len(info.split["val"]) == 30


def test_a_val_of_ones_own_is_never_trained_on() -> None:
    data = dataset(5)
    val = data.rows(np.arange(3))
    val = Dataset(val.pixels, val.label, val.box, np.arange(3), val.paths[:3], val.digests[:3], val.groups[:3])
    assert split(data, val, 0)["train"].tolist() == list(range(3, 15))
    with pytest.raises(DataError, match="every file is in --val"):
        taught(data.rows(np.arange(3)), COLOURS, "default", val=val)


def test_what_bf16_changes_stands_in_the_file(base: str) -> None:
    effect = taught(dataset(10), COLOURS, base, epochs=1).info.metrics["bf16"]
    assert effect["pictures"] == 6
    assert set(effect) == {"pictures", "kept", "change"}


def test_the_rate_rises_and_then_falls_to_nothing() -> None:
    rates = [train.rate_at(step, 100, 0.1) for step in range(100)]
    assert rates[9] == max(rates) == 1.0
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3


def test_cached_features_are_those_of_the_network_itself() -> None:
    network: Network = networks.network()
    pixels = networks.pictures(3)
    features = train.features_of(network, pixels)
    with torch.inference_mode():
        direct = network.backbone(torch.from_numpy(pixels))
    assert torch.allclose(features.vector.float(), direct.vector, rtol=2e-3, atol=1e-3)
