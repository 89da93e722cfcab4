"""Learning by transfer: the same seed gives the same file, what is frozen stays, what is learned is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.backbone import Features
from models.cache import FeatureCache
from models.checkpoint import save
from models.features import FeatureReader
from models.folds import learn_in_folds
from models.learn import Learned, Surroundings, learn, split, try_rates
from models.network import BOX, EVENTS, OBJECTS, POINTS, TAGS, Network, attribute
from models.recipe import Recipe
from models.stages import Progress
from models.start import start
from models.targets import Plan, plan_labels
from pipeline.errors import DataError
from tests import networks
from tests.lessons import dataset, relabelled, scenes
from tests.teaching import BOTH, BOXES, COLOURS, QUICK, SIDE_PX, own_files, same, taught, watch


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that tells grass from nothing, an event and a box, all from random values."""
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    networks.checkpoint(path)
    return str(path)


def test_new_tags_are_told_apart_by_the_embedded_default() -> None:
    learned = taught(dataset(20, side_px=SIDE_PX), COLOURS, "default")
    assert learned.info.metrics["val"][TAGS]["top1"] >= 0.9


REGIMES = ["frozen", "finetune", "joint", "sequential", "scratch"]


@pytest.mark.parametrize("regime", REGIMES)
def test_the_same_seed_gives_the_same_file_and_another_one_another(base: str, regime: str, tmp_path: Path) -> None:
    data = dataset(4, boxed=True)
    versions = []
    for number, seed in enumerate((0, 0, 1)):
        learned = taught(data, BOTH, base, regime=regime, epochs=1, seed=seed)
        versions.append(save(learned.network, learned.info, tmp_path / f"{number}.safetensors").version)
    assert versions[0] == versions[1] != versions[2]


class Killed(Exception):
    """As good as a signal."""


@pytest.mark.parametrize(("regime", "stop"), [("frozen", 1), ("finetune", 3), ("sequential", 1), ("sequential", 5)])
def test_a_run_that_was_killed_goes_on_and_ends_the_same(base: str, regime: str, stop: int, tmp_path: Path) -> None:
    data, seen = dataset(4, boxed=True), list[str]()

    def dying(progress: Progress) -> None:
        seen.append(progress.stage)
        if len(seen) > stop:
            raise Killed

    def run(around: Surroundings) -> Learned:
        return taught(data, BOTH, base, around=around, regime=regime, epochs=2)

    whole = run(Surroundings(watch=watch))
    state = tmp_path / "state"
    with pytest.raises(Killed):
        run(Surroundings(watch=dying, state=state))
    after = list[str]()
    again = run(Surroundings(watch=lambda progress: after.append(progress.stage), state=state))
    assert same(whole.network, again.network)
    assert whole.info == again.info
    total = sum(stage["epochs"] for stage in whole.info.training["stages"])
    assert len(after) == total - stop  # no epoch that was done is done again


def test_the_state_of_heads_alone_does_not_hold_the_backbone(base: str, tmp_path: Path) -> None:
    sizes = list[int]()

    def weighing(_: Progress) -> None:
        sizes.extend(path.stat().st_size for path in (tmp_path / "state").glob("run"))

    learned = taught(dataset(4), COLOURS, base, around=Surroundings(watch=weighing, state=tmp_path / "state"), epochs=3)
    backbone = sum(value.numel() * value.element_size() for value in learned.network.backbone.state_dict().values())
    assert len(sizes) == 2 and max(sizes) < backbone / 4


def test_the_state_of_another_run_is_not_taken_up(base: str, tmp_path: Path) -> None:
    data, state = dataset(6), tmp_path / "state"
    first = taught(data, COLOURS, base, around=Surroundings(watch=watch, state=state), epochs=2)
    other = taught(data, COLOURS, base, around=Surroundings(watch=watch, state=state), epochs=2, seed=1)
    alone = taught(data, COLOURS, base, epochs=2, seed=1)
    assert same(other.network, alone.network) and not same(first.network, other.network)
    swapped = relabelled(data, {"dunk": "pass", "pass": "dunk"})
    anew = taught(swapped, COLOURS, base, around=Surroundings(watch=watch, state=state), epochs=2, seed=1)
    assert same(anew.network, taught(swapped, COLOURS, base, epochs=2, seed=1).network)
    on_another = Surroundings(watch=watch, state=state)
    networks.checkpoint(tmp_path / "base.safetensors", seed=1)
    run = {"epochs": 2, "base": str(tmp_path / "base.safetensors")}
    taught(data, COLOURS, around=on_another, **run)
    networks.checkpoint(tmp_path / "base.safetensors", seed=2)  # another network under the same name
    assert same(taught(data, COLOURS, around=on_another, **run).network, taught(data, COLOURS, **run).network)
    (state / "run").write_bytes(b"not a state at all")
    assert same(
        taught(data, COLOURS, base, around=Surroundings(watch=watch, state=state), epochs=2).network, first.network
    )


def test_the_regressor_that_comes_after_changes_no_bit_of_classifier_and_backbone(base: str) -> None:
    data, states = dataset(8, boxed=True), dict[str, dict[str, torch.Tensor]]()
    network: list[Network] = []

    def looking(progress: Progress) -> None:
        if progress.stage == "where":
            state = {k: v.clone() for k, v in network[0].state_dict().items() if not k.startswith("heads.box")}
            states.setdefault("before", state)
            states["after"] = state

    from models import learn as module

    original = module.start

    def started(recipe: Recipe, plan: Plan) -> tuple[Network, tuple[str, ...]]:
        made = original(recipe, plan)
        network.append(made[0])
        return made

    module.start = started
    try:
        learned = taught(data, BOTH, base, around=Surroundings(watch=looking), regime="sequential", epochs=4)
    finally:
        module.start = original
    assert states["before"].keys() == states["after"].keys()
    assert all(torch.equal(states["before"][name], states["after"][name]) for name in states["before"])
    assert [stage["stage"] for stage in learned.info.training["stages"]] == ["heads", "classes", "where"]


def test_finetuning_moves_the_backbone_more_slowly_than_the_heads() -> None:
    schedule = Recipe(regime="finetune").schedule(1000)
    assert schedule.backbone_rate < schedule.rate
    joint = Recipe(regime="joint").schedule(1000)
    assert joint.backbone_rate == joint.rate
    assert Recipe(regime="joint", rate=0.01).schedule(100).backbone_rate == 0.01


def test_a_backbone_learns_more_slowly_in_small_batches_and_no_faster_in_large_ones() -> None:
    schedule, joint = (Recipe(regime=regime).schedule(1000) for regime in ("finetune", "joint"))
    few = Recipe(regime="finetune").schedule(100)
    assert few.batch == schedule.batch / 4
    assert (few.rate, few.backbone_rate) == (schedule.rate, schedule.backbone_rate / 2)
    assert Recipe(regime="joint").schedule(100).rate == joint.rate / 2
    assert Recipe(regime="finetune", batch=128).schedule(1000).backbone_rate == schedule.backbone_rate


ASKED_WHAT = [{"tags": ("a", "b")}, {"events": ("dunk",)}, {"attributes": (("age", ("young", "old")),)}]


@pytest.mark.parametrize(("plan", "farther"), [(Plan(boxes=True), 2), (Plan(detector=("a",)), 4)])
def test_a_backbone_that_is_asked_for_places_alone_moves_farther(plan: Plan, farther: float) -> None:
    recipe = Recipe(regime="finetune")
    usual = recipe.schedule(100)
    assert recipe.schedule(100, plan=plan) == replace(usual, backbone_rate=farther * usual.backbone_rate)
    assert recipe.schedule(10_000, plan=plan).backbone_rate == 0.004
    assert recipe.schedule(100, plan=replace(plan, boxes=True)).backbone_rate == 2 * usual.backbone_rate
    given = replace(recipe, backbone_rate=0.001)
    assert given.schedule(100, plan=plan) == given.schedule(100)
    for what in ASKED_WHAT:
        assert recipe.schedule(100, plan=replace(plan, **what)) == usual
    for regime in ("frozen", "joint", "sequential", "scratch"):
        other = replace(recipe, regime=regime)
        assert other.schedule(100, plan=plan) == other.schedule(100)


@pytest.mark.parametrize("plan", [Plan(boxes=True), Plan(detector=("a",))])
def test_a_backbone_that_moves_for_places_alone_sees_more_than_the_picture(plan: Plan) -> None:
    recipe = Recipe(regime="finetune")
    assert recipe.augmentation(plan).largest_area > 1
    assert all(recipe.augmentation(replace(plan, **what)).largest_area == 1 for what in ASKED_WHAT)
    assert Recipe(regime="frozen").augmentation(plan).largest_area == 1


@pytest.mark.parametrize(("regime", "measures"), [("finetune", False), ("joint", False), ("scratch", True)])
def test_only_from_scratch_does_batchnorm_measure_anew(regime: str, measures: bool) -> None:
    data, recipe = dataset(4, side_px=SIDE_PX), Recipe(regime=regime, epochs=1, size_px=SIDE_PX)
    before = start(recipe, COLOURS)[0].backbone.state_dict()
    learned = learn(data, None, COLOURS, recipe, Surroundings(watch=watch))
    after = learned.network.backbone.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    statistics = {name for name in before if "running_" in name}
    assert statistics
    assert (moved & statistics == statistics) if measures else not moved & statistics
    assert {name for name in moved if name.endswith("weight")}


def test_a_backbone_that_learns_from_few_pictures_takes_small_batches_and_more_epochs() -> None:
    few, many = (Recipe(regime="finetune").schedule(pictures) for pictures in (100, 10_000))
    assert few.batch < many.batch and few.epochs > many.epochs
    assert few.steps(100) >= 1000
    assert Recipe(regime="finetune", batch=16, epochs=3).schedule(100).steps(100) == 3 * 7
    assert Recipe(regime="finetune", batch=4).schedule(100).epochs == 1000 * 4 // 100
    assert Recipe().schedule(100) == Recipe().schedule(10_000)


def test_heads_on_fixed_features_decay_more_unless_told_otherwise() -> None:
    assert Recipe(regime="frozen").schedule(1000).weight_decay > Recipe(regime="finetune").schedule(1000).weight_decay
    assert Recipe(regime="finetune", weight_decay=0.0).schedule(1000, "frozen").weight_decay == 0


def test_a_backbone_learns_in_bf16_and_its_weights_stay_in_fp32(base: str) -> None:
    data = dataset(8, boxed=True)
    exact, rough = (taught(data, BOTH, base, regime="finetune", epochs=1, precision=p) for p in ("fp32", "bf16"))
    state = rough.network.state_dict()
    assert all(value.dtype == torch.float32 for value in state.values() if value.is_floating_point())
    assert all(torch.isfinite(value).all() for value in state.values())
    assert not same(exact.network.backbone, rough.network.backbone)
    assert exact.info.metrics["val"][TAGS]["top1"] == pytest.approx(rough.info.metrics["val"][TAGS]["top1"], abs=0.2)


def test_in_the_joint_regime_the_weights_are_learned_unless_they_are_given(base: str) -> None:
    data = dataset(8, boxed=True)
    learned = taught(data, BOTH, base, regime="joint", epochs=2)
    assert set(learned.info.training["stages"][-1]["weights"]) == {TAGS, BOX}
    given = taught(data, BOTH, base, regime="joint", epochs=2, weights={BOX: 3.0})
    assert "weights" not in given.info.training["stages"][-1]


def test_training_stops_when_nothing_gets_better(base: str) -> None:
    learned = taught(dataset(20, side_px=SIDE_PX), COLOURS, "default", epochs=60, patience=3)
    (stage,) = learned.info.training["stages"]
    assert stage["epochs"] == stage["best"] + 3 < 60


def test_an_event_is_told_from_its_background() -> None:
    data = relabelled(dataset(20, side_px=SIDE_PX), {"pass": "other", "rest": "other"})
    learned = taught(data, plan_labels(data, ("dunk",)), "default")
    assert learned.info.spec.events == ("dunk",)
    assert learned.info.metrics["val"][EVENTS]["dunk"]["average_precision"] >= 0.9


@pytest.mark.parametrize("per_class", [False, True])
def test_boxes_are_learned_better_than_the_best_constant_box(per_class: bool) -> None:
    data = dataset(50, boxed=True, side_px=SIDE_PX)
    learned = taught(data, replace(BOTH, box_per_class=per_class), "default", epochs=40)
    figures = learned.info.metrics["val"][BOX]
    assert figures["iou50"] > figures["iou50_constant"] + 0.1


def test_many_objects_are_found_better_than_by_never_looking() -> None:
    data = replace(scenes(40), pixels=scenes(40).pixels.repeat(2, axis=1).repeat(2, axis=2))
    plan = plan_labels(data, (), ("detector",))
    assert plan == Plan(detector=("dunk", "pass", "rest"))
    learned = taught(data, plan, "default", epochs=25, size_px=128)
    figures = learned.info.metrics["val"][OBJECTS]
    assert figures["map50"] > figures["map50_blind"] + 0.2


def test_attributes_and_points_are_learned_beside_everything_else() -> None:
    data = dataset(40, boxed=True, side_px=SIDE_PX)
    points = np.stack(
        [np.concatenate([place, np.ones((len(data), 1))], axis=1) for place in (data.box[:, :2], data.box[:, [2, 1]])],
        axis=1,
    )
    warm = tuple("warm" if label == "dunk" else ("", "cold")[number % 2] for number, label in enumerate(data.label))
    data = replace(
        data, attributes={"heat": warm}, points=points.astype(np.float32), point_names=("left corner", "right corner")
    )
    plan = plan_labels(data, ())
    assert plan.attributes == (("heat", ("cold", "warm")),)
    learned = taught(data, plan, "default", epochs=20)
    figures = learned.info.metrics["val"]
    assert set(learned.network.heads) == {TAGS, BOX, attribute(0), POINTS}
    assert figures["attributes"]["heat"]["top1"] >= 0.9
    assert figures["points"]["pck"] >= 0.9
    assert learned.info.spec.served_tags[-2:] == ("heat: cold", "heat: warm")


@pytest.mark.parametrize("regime", ["frozen", "finetune"])
def test_boxes_can_be_all_that_is_learned(base: str, regime: str, tmp_path: Path) -> None:
    learned = taught(dataset(4, boxed=True), BOXES, base, regime=regime, epochs=1)
    assert save(learned.network, learned.info, tmp_path / "a.safetensors").spec.localizer


def test_where_classes_come_first_there_must_be_some(base: str) -> None:
    with pytest.raises(DataError, match="sequential teaches classes"):
        taught(dataset(4, boxed=True), BOXES, base, regime="sequential")


def test_the_split_is_stored_and_no_file_is_in_two_parts(base: str) -> None:
    info = taught(dataset(10), COLOURS, base, epochs=1, heldout=0.2).info
    assert {name: len(digests) for name, digests in info.split.items()} == {"train": 18, "val": 6, "heldout": 6}
    assert len({digest for digests in info.split.values() for digest in digests}) == 30
    assert info.metrics["heldout"][TAGS]["pictures"] == 6


def test_a_val_of_ones_own_is_never_trained_on() -> None:
    data = dataset(5)
    val = data.rows(np.arange(3))
    val = replace(val, file=np.arange(3), paths=val.paths[:3], digests=val.digests[:3], groups=val.groups[:3])
    assert not set(range(3)) & set(split(data, val, 0)["train"].tolist())
    with pytest.raises(DataError, match="every file is in --val"):
        taught(data.rows(np.arange(3)), COLOURS, "default", val=val)


def test_beside_a_val_of_ones_own_a_share_is_still_held_out() -> None:
    data = dataset(10)
    val = replace(dataset(3), pixels=np.zeros_like(dataset(3).pixels), digests=tuple(f"val {k}" for k in range(9)))
    part = split(data, val, 0, heldout=0.2)
    assert len(part["heldout"]) == 6 and not len(part["val"])
    assert sorted(np.concatenate([part["train"], part["heldout"]])) == list(range(30))


def test_scores_are_calibrated_where_val_says_enough(base: str) -> None:
    few = taught(dataset(10), COLOURS, base, epochs=1).info
    assert not few.calibrated
    info = taught(dataset(40, side_px=SIDE_PX), COLOURS, "default", epochs=3).info
    assert info.calibrated
    assert info.metrics["calibration"][TAGS]["temperature"] > 0


def test_what_bf16_changes_stands_in_the_file(base: str) -> None:
    effect = taught(dataset(10), COLOURS, base, epochs=1).info.metrics["bf16"]
    assert effect["pictures"] == 6
    assert set(effect) == {"pictures", "kept", "change"}


def test_features_are_computed_once_and_kept(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FeatureCache(tmp_path / "features")
    around = Surroundings(watch=watch, features=cache)
    first = taught(dataset(8), COLOURS, base, around=around, epochs=2)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").iterdir()}
    assert files

    def computed() -> Features:
        raise AssertionError("asked again")

    for path in files:
        cache.features(path.stem, computed)
    again = taught(dataset(8), COLOURS, base, around=around, epochs=2)
    assert set((tmp_path / "features").iterdir()) == set(files)
    assert same(first.network, again.network)
    assert same(first.network, taught(dataset(8), COLOURS, base, epochs=2).network)


def test_features_that_were_damaged_are_computed_again(tmp_path: Path) -> None:
    cache, fresh = FeatureCache(tmp_path), Features(torch.ones(1, 2, 1, 1), torch.ones(1, 2))
    (tmp_path / "key.safetensors").write_bytes(b"half a fi")
    assert torch.equal(cache.features("key", lambda: fresh).vector, fresh.vector)
    assert torch.equal(cache.features("key", lambda: Features(fresh.map, fresh.vector * 0)).vector, fresh.vector)


def test_cached_features_are_those_of_the_network_itself() -> None:
    network = networks.network()
    pixels = networks.pictures(3)
    features = FeatureReader(network, FeatureCache(None), maps=True)(pixels)
    with torch.inference_mode():
        direct = network.backbone(torch.from_numpy(pixels))
    assert torch.allclose(features.vector.float(), direct.vector, rtol=2e-3, atol=1e-3)
    assert torch.allclose(features.map.float(), direct.map, rtol=2e-3, atol=1e-3)
    assert FeatureReader(network, FeatureCache(None), maps=False)(pixels).map.numel() == 0


def test_in_folds_every_picture_is_judged_by_a_network_that_was_not_taught_it() -> None:
    data = dataset(12, side_px=SIDE_PX)
    stages = list[str]()

    def looking(progress: Progress) -> None:
        if progress.epoch.number == 0:
            stages.append(progress.stage)

    torch.set_num_threads(1)
    recipe = Recipe(epochs=QUICK, average=0.9, heldout=0.25, size_px=SIDE_PX)
    learned = learn_in_folds(data, COLOURS, recipe, 3, Surroundings(watch=looking))
    assert stages == ["fold 1 frozen", "fold 2 frozen", "fold 3 frozen", "frozen"]
    figures = learned.info.metrics["folds"]
    assert figures["count"] == 3 and figures[TAGS]["pictures"] == 27
    assert figures[TAGS]["top1"] >= 0.9 and figures[TAGS]["top1_interval"][1] == 1.0
    assert learned.info.calibrated
    assert own_files(learned.info) == {"train": 27, "val": 0, "heldout": 9}
    assert learned.info.metrics["heldout"][TAGS]["pictures"] == 9


def test_a_backbone_that_stays_as_it_is_sees_the_pictures_once_for_all_folds(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[bytes]()
    computed = FeatureReader._computed

    def counted(reader: FeatureReader, pixels: npt.NDArray[np.uint8]) -> Features:
        calls.append(reader.weights)
        return computed(reader, pixels)

    monkeypatch.setattr(FeatureReader, "_computed", counted)
    recipe = Recipe(base=base, epochs=1, augment=False)
    learn_in_folds(dataset(4), COLOURS, recipe, 2, Surroundings(watch=watch))
    assert len(calls) == 1


def test_folds_that_were_done_are_not_done_again(base: str, tmp_path: Path) -> None:
    data, seen = dataset(4), list[str]()

    def dying(progress: Progress) -> None:
        seen.append(progress.stage)
        if len(seen) == 4:
            raise Killed

    recipe, state = Recipe(base=base, epochs=2), tmp_path / "state"
    whole = learn_in_folds(data, COLOURS, recipe, 2, Surroundings(watch=watch))
    with pytest.raises(Killed):
        learn_in_folds(data, COLOURS, recipe, 2, Surroundings(watch=dying, state=state))
    after = list[str]()
    around = Surroundings(watch=lambda progress: after.append(progress.stage), state=state)
    again = learn_in_folds(data, COLOURS, recipe, 2, around)
    assert len(after) == 6 - 3  # three epochs were done and noted
    assert same(whole.network, again.network) and whole.info == again.info


def test_more_folds_than_scenes_are_refused(base: str) -> None:
    with pytest.raises(DataError, match="--folds 9: there are 6 scenes only"):
        learn_in_folds(dataset(2), COLOURS, Recipe(base=base, epochs=1), 9, Surroundings(watch=watch))


def test_rates_are_tried_without_training_anything(base: str) -> None:
    data = dataset(8, boxed=True)
    for regime in ("frozen", "sequential"):
        recipe = Recipe(base=base, regime=regime, epochs=1)
        curve, schedule = try_rates(data, None, BOTH, recipe, Surroundings(watch=watch))
        assert schedule == recipe.schedule(len(split(data, None, 0)["train"]))
        assert curve.best > 0 and len(curve.losses) > 5


def test_the_rate_that_is_used_is_the_one_for_what_is_asked(base: str) -> None:
    data, recipe, plan = dataset(8, boxed=True), Recipe(base=base, regime="finetune", epochs=1), Plan(boxes=True)
    used = try_rates(data, None, plan, recipe, Surroundings(watch=watch))[1].backbone_rate
    assert used == 2 * recipe.schedule(len(split(data, None, 0)["train"])).backbone_rate
