"""One pass for all heads, losses that skip what is unknown, and the serving side's promises."""

import numpy as np
import pytest
import torch

from models.backbone import Backbone, Normalize
from models.network import BOX, EVENTS, TAGS
from models.predictor import Predictor, served_on_cpu
from models.serve import served
from models.spec import Spec
from tests import networks


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return served_on_cpu(networks.network(), bf16=False)


def test_one_backbone_pass_answers_for_every_head() -> None:
    network = networks.network()
    passes: list[int] = []
    network.backbone.register_forward_hook(lambda *about: passes.append(1))
    _, answers = network(torch.from_numpy(networks.pictures(3)))
    assert len(passes) == 1
    assert {name: tuple(answer.shape) for name, answer in answers.items()} == {
        TAGS: (3, 2),
        EVENTS: (3, 1),
        BOX: (3, 1, 4),
    }


def test_any_subset_of_heads_is_a_network() -> None:
    only_events = networks.network(tags=(), localizer=False)
    assert set(only_events(torch.from_numpy(networks.pictures(1)))[1]) == {EVENTS}


def test_layers_that_are_left_out_at_random_are_so_while_it_learns_and_not_when_it_answers() -> None:
    """Stochastic depth (arXiv 1603.09382), as efficientnet and convnext have it."""
    backbone = Backbone(Spec(backbone="efficientnet_b0", height_px=64, width_px=64, tags=("a", "b")))
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.Dropout):
            module.eval()
    pixels = torch.from_numpy(networks.pictures(4))
    with torch.no_grad():
        learning = [backbone(pixels).vector for _ in range(2)]
        answers = [backbone.eval()(pixels).vector for _ in range(2)]
    assert not torch.equal(*learning)
    assert torch.equal(*answers)


@pytest.mark.parametrize(
    ("backbone", "attach", "length"),
    [
        ("squeezenet1_1", "conv", 512),
        ("resnet18", "conv", 512),
        ("resnet18", "fc", 512),
        ("mobilenet_v3_small", "conv", 576),
        ("mobilenet_v3_small", "fc", 1024),
    ],
)
def test_heads_attach_to_the_last_map_or_to_what_the_class_layer_sees(backbone: str, attach: str, length: int) -> None:
    trunk = Backbone(Spec(backbone=backbone, height_px=64, width_px=96, attach=attach)).eval()
    features = trunk(torch.zeros(2, 64, 96, 3, dtype=torch.uint8))
    assert tuple(features.vector.shape) == (2, length)
    assert features.map.shape[2] < features.map.shape[3]
    assert tuple(features.map.shape[1:]) == trunk.sizes[:3]


KINDS = """alexnet convnext_tiny densenet121 efficientnet_b0 googlenet inception_v3 mnasnet0_5 regnet_x_400mf
    regnet_y_400mf resnext50_32x4d shufflenet_v2_x1_0 squeezenet1_0 vgg11_bn"""


@pytest.mark.parametrize("backbone", KINDS.split())
def test_networks_of_every_kind_are_cut_and_served(backbone: str) -> None:
    spec = Spec(backbone=backbone, height_px=96, width_px=96, tags=("a", "b"))
    network, pixels = networks.settled(spec), torch.from_numpy(networks.patches(2, 96, 96))
    with torch.no_grad():
        plain = network(pixels)[1][TAGS].softmax(dim=1)
        assert served(network, bf16=False)(pixels)[1][TAGS].softmax(dim=1) == pytest.approx(plain, abs=1e-3)


def test_grey_in_the_middle_of_imagenet_is_zero_to_the_network() -> None:
    mean = np.array([123.675, 116.28, 103.53])
    grey = np.broadcast_to(mean.round(), (1, 2, 2, 3)).astype(np.uint8)
    assert Normalize()(torch.from_numpy(grey)).abs().max() < 0.5 / 57


def test_the_answer_is_the_same_bits_whatever_stands_beside_a_picture(predictor: Predictor) -> None:
    batch, others = networks.pictures(4), networks.pictures(4, seed=1)
    others[2] = batch[2]
    here, there = predictor.submit(batch).result(), predictor.submit(others).result()
    assert here.boxes is not None and there.boxes is not None
    assert np.array_equal(here.probs[2], there.probs[2])
    assert np.array_equal(here.boxes.xyxy[2], there.boxes.xyxy[2])
    assert np.array_equal(here.features[2], there.features[2])


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_another_batch_size_moves_no_score_by_more_than_a_ten_thousandth(predictor: Predictor, size: int) -> None:
    batch = networks.pictures(7)
    whole = predictor.submit(batch).result().probs
    parts = [predictor.submit(batch[at : at + size]).result().probs for at in range(0, 7, size)]
    assert np.abs(np.concatenate(parts) - whole).max() <= 1e-4


def test_tags_are_a_softmax_and_each_event_is_its_own(predictor: Predictor) -> None:
    output = predictor.submit(networks.pictures(4)).result()
    assert output.probs.dtype == np.float32
    assert output.probs[:, :2].sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert ((output.probs[:, 2] > 0) & (output.probs[:, 2] < 1)).all()
    assert output.features.dtype == np.float16


def test_boxes_are_boxes(predictor: Predictor) -> None:
    boxes = predictor.submit(networks.pictures(4)).result().boxes
    assert boxes is not None
    assert ((boxes.xyxy >= 0) & (boxes.xyxy <= 1)).all()
    assert (boxes.xyxy[:, :2] < boxes.xyxy[:, 2:]).all()
