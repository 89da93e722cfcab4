"""What each head is wrong by: what is unknown teaches nothing, and every part weighs what it is said to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.losses import (
    BOX_LOSSES,
    LossWeights,
    Targets,
    box_loss,
    box_of_class,
    event_balance,
    event_loss,
    joint_loss,
    point_loss,
    tag_balance,
    tag_loss,
)
from models.network import ATTRIBUTES, BOX, EVENTS, POINTS, TAGS, attribute
from pipeline.errors import ConfigError

NAN = float("nan")


def targets(tag: list[int], events: list[float], boxes: list[float]) -> Targets:
    box = torch.tensor(boxes)[:, None].expand(-1, 4).contiguous()
    return Targets(torch.tensor(tag), torch.tensor(events)[:, None], box)


def test_what_is_unknown_teaches_nothing() -> None:
    rng = torch.Generator().manual_seed(0)
    answers = {
        TAGS: torch.randn(3, 2, generator=rng),
        EVENTS: torch.randn(3, 1, generator=rng),
        BOX: torch.rand(3, 1, 4),
    }
    answers |= {attribute(0): torch.randn(3, 2, generator=rng), POINTS: torch.rand(3, 2, 3)}
    answers = {name: answer.requires_grad_() for name, answer in answers.items()}
    known = targets([1, -1, 0], [NAN, 1.0, 0.0], [0.5, 0.25, NAN])._replace(
        attributes=torch.tensor([[-1], [0], [1]]), points=torch.tensor([[[0.5, 0.5, 1.0], [NAN, NAN, NAN]]] * 3)
    )
    torch.stack(list(joint_loss(answers, known, LossWeights()).values())).sum().backward()
    for name, unknown in ((TAGS, 1), (EVENTS, 0), (BOX, 2), (attribute(0), 0), (POINTS, 2)):
        gradient = answers[name].grad
        assert gradient is not None
        assert gradient[unknown].abs().sum() == 0
        assert (gradient.abs().flatten(1).sum(dim=1) > 0).sum() == 2
    points = answers[POINTS].grad
    assert points is not None and points[:, 1].abs().sum() == 0


def test_a_minibatch_of_unknowns_has_no_loss_and_no_nan() -> None:
    answers = {TAGS: torch.zeros(2, 2), EVENTS: torch.zeros(2, 1), BOX: torch.zeros(2, 1, 4)}
    parts = joint_loss(answers, targets([-1, -1], [NAN, NAN], [NAN, NAN]), LossWeights())
    assert [float(part) for part in parts.values()] == [0, 0, 0]


@settings(max_examples=25)
@given(
    known=st.lists(st.booleans(), min_size=1, max_size=8), seed=st.integers(0, 99), kind=st.sampled_from([*BOX_LOSSES])
)
def test_masked_losses_are_those_of_the_known_pictures_alone(known: list[bool], seed: int, kind: str) -> None:
    rng = torch.Generator().manual_seed(seed)
    mask, count = torch.tensor(known), len(known)
    logits, boxes, aim = (torch.rand(count, 4, generator=rng) + 0.1 for _ in range(3))
    tag = torch.where(mask, torch.arange(count) % 4, -1)
    hidden = torch.where(mask[:, None], aim, NAN)
    assert tag_loss(logits, tag) == pytest.approx(float(tag_loss(logits[mask], tag[mask])), abs=1e-5)
    known_loss = float(tag_loss(logits[mask], tag[mask], 0.1, (0.5, 1.0, 2.0, 4.0)))
    assert tag_loss(logits, tag, 0.1, (0.5, 1.0, 2.0, 4.0)) == pytest.approx(known_loss, abs=1e-5)
    assert box_loss(boxes, hidden, kind) == pytest.approx(float(box_loss(boxes[mask], aim[mask], kind)), abs=1e-5)
    yes = torch.where(hidden.isnan(), NAN, (hidden > 0.5).float())
    assert event_loss(logits, yes) == pytest.approx(float(event_loss(logits[mask], yes[mask])), abs=1e-5)


@pytest.mark.parametrize("kind", BOX_LOSSES)
def test_a_box_that_is_right_is_wrong_by_nothing_and_a_nearer_one_by_less(kind: str) -> None:
    true = torch.tensor([[0.2, 0.3, 0.4, 0.5]])
    losses = [float(box_loss(true + shift, true, kind)) for shift in (0.0, 0.02, 0.05, 0.2)]
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses == sorted(losses) and losses[1] > 0


def test_l2_is_smooth_l1_without_the_bend() -> None:
    true, near, far = torch.zeros(1, 4), torch.full((1, 4), 0.05), torch.full((1, 4), 0.5)
    assert box_loss(near, true, "l2") == pytest.approx(float(box_loss(near, true, "smooth-l1")))
    assert box_loss(far, true, "l2") > 2 * box_loss(far, true, "smooth-l1")


def test_of_a_box_for_each_class_only_the_true_classes_is_taught() -> None:
    boxes = torch.rand(3, 2, 4, requires_grad=True)
    tag = torch.tensor([0, 1, -1])
    box_loss(box_of_class(boxes, tag), torch.full((3, 4), 0.5)).backward()
    assert boxes.grad is not None
    assert (boxes.grad.abs().sum(dim=2) > 0).tolist() == [[True, False], [False, True], [False, False]]


def test_points_are_measured_in_units_of_their_box() -> None:
    box = torch.tensor([[0.5, 0.5, 0.2, 0.4]])
    right = torch.tensor([[[0.5, 0.25, 9.0]]])
    place = torch.tensor([[[0.6, 0.6, 1.0]]])
    assert point_loss(right, place, box) < 1e-3
    assert point_loss(right + torch.tensor([0.1, 0.0, 0.0]), place, box) > 0.04


def test_a_rare_event_weighs_as_much_as_its_many_negatives() -> None:
    truth = torch.tensor([[1.0], [0.0], [0.0], [0.0], [NAN]])
    assert event_balance(truth) == (3.0,)
    logits = torch.zeros(5, 1, requires_grad=True)
    event_loss(logits, truth, event_balance(truth)).backward()
    assert logits.grad is not None
    assert float(logits.grad.sum()) == pytest.approx(0, abs=1e-6)


def test_balanced_classes_count_the_same_however_many_pictures_they_have() -> None:
    tag = torch.tensor([0] * 6 + [1] * 3 + [2] + [-1] * 4)
    share = torch.tensor(tag_balance(tag, 3))
    total = torch.stack([share[k] * (tag == k).sum() for k in range(3)])
    assert total / total[0] == pytest.approx(1.0)
    assert float(total.sum()) == pytest.approx(10)
    assert tag_balance(torch.tensor([-1]), 2) == (1.0, 1.0)


def test_a_weight_multiplies_its_part() -> None:
    answers = {TAGS: torch.zeros(1, 2), BOX: torch.zeros(1, 1, 4)}
    known = targets([1], [NAN], [0.5])
    usual, other = (joint_loss(answers, known, LossWeights(parts=parts)) for parts in ({}, {BOX: 6.0}))
    assert float(other[BOX]) == pytest.approx(3 * float(usual[BOX]))
    assert float(other[TAGS]) == float(usual[TAGS])


def test_attributes_are_weighed_together() -> None:
    answers = {attribute(0): torch.zeros(1, 2), attribute(1): torch.zeros(1, 3)}
    known = targets([1], [NAN], [0.5])._replace(attributes=torch.tensor([[0, 2]]))
    usual, other = (joint_loss(answers, known, LossWeights(parts=parts)) for parts in ({}, {ATTRIBUTES: 2.0}))
    assert {name: float(other[name] / usual[name]) for name in answers} == {attribute(0): 2.0, attribute(1): 2.0}


def test_what_is_smoothed_over_weighs_as_the_picture_does() -> None:
    logits, share = torch.tensor([[1.0, -2.0, 0.5]]), (0.1, 4.0, 1.0)
    for tag, weight in enumerate(share):
        usual = tag_loss(logits, torch.tensor([tag]), 0.1)
        assert tag_loss(logits, torch.tensor([tag]), 0.1, share) == pytest.approx(weight * float(usual))


def test_smoothed_labels_leave_something_to_every_other_class() -> None:
    """Cross-entropy with 1 - s + s/C on the true class and s/C on each other one (arXiv 1512.00567, 7)."""
    logits, tag = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])
    probs = logits.softmax(dim=1)[0]
    wanted = -(0.8 + 0.2 / 3) * probs[0].log() - 0.2 / 3 * (probs[1].log() + probs[2].log())
    assert float(tag_loss(logits, tag, 0.2)) == pytest.approx(float(wanted))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"parts": {"box": -1.0}}, "loss weight box = -1.0"), ({"box_loss": "l3"}, "smooth-l1, l2, giou")],
)
def test_weights_that_make_no_sense_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(LossWeights(), **wrong)  # type: ignore[arg-type]
