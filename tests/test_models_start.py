"""What a network begins with: its base's weights, the heads that stay, BatchNorm that was never measured."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from models.checkpoint import load, save
from models.data.dataset import Dataset
from models.network import BOX, EVENTS, POINTS, Network, attribute
from models.resolve import resolve
from models.spec import CheckpointInfo
from models.start import initialise, measure_batchnorm
from models.targets import Plan, plan_labels
from pipeline.errors import CheckpointError, ConfigError
from tests import networks
from tests.lessons import dataset, relabelled
from tests.teaching import COLOURS, same, taught


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that tells grass from nothing, an event and a box, all from random values."""
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    networks.checkpoint(path)
    return str(path)


def test_what_is_frozen_and_what_the_data_do_not_teach_stay_as_they_were(base: str) -> None:
    data = relabelled(dataset(8), {"dunk": "jump"})
    learned = taught(data, Plan(tags=data.classes), base)
    known = load(Path(base))[0]
    assert learned.kept == (EVENTS, BOX)
    assert same(known.backbone, learned.network.backbone)
    assert all(same(known.heads[name], learned.network.heads[name]) for name in learned.kept)


def test_what_the_base_was_taught_counts_as_taught(base: str, tmp_path: Path) -> None:
    data, older = dataset(8), tmp_path / "older.safetensors"
    network, info = load(Path(base))
    split = {"train": ("earlier", data.digests[0]), "val": (data.digests[1],), "heldout": ("kept",)}
    save(network, replace(info, split=split), older)
    found = taught(data, COLOURS, str(older), epochs=1, heldout=0.3).info.split
    assert {"earlier", data.digests[0]} <= set(found["train"])
    assert data.digests[1] in {*found["train"], *found["val"]}
    assert "kept" in found["heldout"]
    assert len({*found["train"], *found["val"], *found["heldout"]}) == sum(map(len, found.values())) == 26
    afresh = taught(data, COLOURS, str(older), regime="scratch", epochs=1).info.split
    assert "earlier" not in afresh["train"]


def test_a_head_goes_where_one_of_its_labels_is_taught_anew(base: str) -> None:
    learned = taught(dataset(8), COLOURS, base, epochs=1)  # `dunk`, the event of the base, is a tag here
    assert learned.kept == (BOX,)
    assert learned.info.spec.events == ()


def with_heat(data: Dataset) -> Dataset:
    """Another label of every picture."""
    return replace(data, attributes={"heat": tuple("warm" if label == "dunk" else "cold" for label in data.label)})


def test_attributes_are_judged_where_they_are_taught_and_left_alone_where_not(base: str, tmp_path: Path) -> None:
    data = with_heat(dataset(6, boxed=True))
    learned = taught(data, plan_labels(data, ()), base, regime="sequential", epochs=1)
    assert [stage["stage"] for stage in learned.info.training["stages"]] == ["heads", "classes", "where"]
    save(learned.network, learned.info, tmp_path / "heat.safetensors")
    again = taught(relabelled(dataset(6), {"dunk": "jump"}), COLOURS, str(tmp_path / "heat.safetensors"), epochs=1)
    assert attribute(0) in again.kept and again.info.spec.attributes == learned.info.spec.attributes


def test_points_are_kept_with_the_box_that_they_are_placed_in_or_not_at_all(tmp_path: Path) -> None:
    for per_class, kept in ((False, (BOX, POINTS)), (True, ())):
        network = networks.network(tags=("grass", "mud"), events=(), points=("nose",), box_per_class=per_class)
        save(network, CheckpointInfo(spec=network.spec, version=""), tmp_path / "base.safetensors")
        assert taught(dataset(6), COLOURS, str(tmp_path / "base.safetensors"), epochs=1).kept == kept


def test_a_base_is_taken_as_it_ends_and_not_otherwise(base: str, tmp_path: Path) -> None:
    networks.checkpoint(tmp_path / "fc.safetensors", attach="fc")
    learned = taught(dataset(4), COLOURS, str(tmp_path / "fc.safetensors"), epochs=1)
    assert learned.network.spec.attach == "fc"
    assert same(load(tmp_path / "fc.safetensors")[0].backbone, learned.network.backbone)
    with pytest.raises(CheckpointError, match="--attach fc"):
        taught(dataset(4), COLOURS, base, attach="fc")


def folded(network: Network) -> Network:
    """The same function, with every BatchNorm's scale in the kernel before it: mean 0, variance 1, as converted files
    have it."""
    trunk = network.backbone.trunk
    for node in trunk.graph.nodes:
        layer = trunk.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(layer, nn.BatchNorm2d):
            kernel = trunk.get_submodule(str(node.args[0].target))
            with torch.no_grad():
                scale = layer.weight / (layer.running_var + layer.eps).sqrt()
                kernel.weight *= scale.view(-1, 1, 1, 1)
                layer.bias -= scale * layer.running_mean
                layer.weight.fill_((1 + layer.eps) ** 0.5)
                layer.running_mean.zero_()
                layer.running_var.fill_(1)
    return network


def test_batchnorm_that_was_folded_away_is_measured_and_no_answer_changes() -> None:
    known = load(resolve("default").path)[0]
    pixels = networks.pictures(16, side_px=known.spec.height_px)
    network = folded(load(resolve("default").path)[0])
    frames = torch.from_numpy(pixels)
    with torch.inference_mode():
        before = known(frames)[0].vector
        assert torch.allclose(network(frames)[0].vector, before, atol=1e-3)
    measure_batchnorm(network, pixels)
    layers = [layer for layer in network.backbone.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert any(float(layer.running_mean.abs().max()) > 0.01 for layer in layers)
    with torch.inference_mode():
        assert torch.allclose(network.eval()(frames)[0].vector, before, atol=1e-3)
    before = copy.deepcopy(known)
    measure_batchnorm(known, pixels)
    assert same(before, known)  # it measured something in its time


def test_a_batchnorm_whose_convolution_cannot_shrink_stays_as_it_is() -> None:
    network = folded(load(resolve("default").path)[0])
    pixels = networks.pictures(16, side_px=network.spec.height_px)
    kernel = next(layer for layer in network.backbone.modules() if isinstance(layer, nn.Conv2d))
    kernel.bias = nn.Parameter(torch.zeros(kernel.out_channels))
    with torch.inference_mode():
        before = network.eval()(torch.from_numpy(pixels))[0].vector
    measure_batchnorm(network, pixels)
    with torch.inference_mode():
        assert torch.allclose(network.eval()(torch.from_numpy(pixels))[0].vector, before, atol=1e-3)
    first, second = [layer for layer in network.backbone.modules() if isinstance(layer, nn.BatchNorm2d)][:2]
    assert float(first.running_mean.abs().max()) == 0
    assert float(second.running_mean.abs().max()) > 0


@pytest.mark.parametrize(
    ("name", "spread"), [("small", 0.01), ("xavier", (2 / (27 + 24 * 9)) ** 0.5), ("he", (2 / (24 * 9)) ** 0.5)]
)
def test_random_values_have_the_spread_of_their_rule(name: str, spread: float) -> None:
    network = networks.network()
    initialise(network.backbone.trunk, name)
    first = next(layer for layer in network.backbone.trunk.modules() if isinstance(layer, nn.Conv2d))
    assert float(first.weight.detach().std()) == pytest.approx(spread, rel=0.1)
    with pytest.raises(ConfigError, match="small, xavier, he"):
        initialise(network.backbone.trunk, "gauss")
