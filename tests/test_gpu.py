"""What must hold on a CUDA device. Run by `make test-gpu`, where a missing device is a failure and not a skip."""

import numpy as np
import pytest

from models.describe import describe

pytestmark = pytest.mark.gpu


SIDE_PX = describe("default").height_px


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)


def test_the_gpu_answers_as_the_cpu_does(pictures: np.ndarray) -> None:
    from models.predictor import open_predictor

    answers = [open_predictor("default", device).submit(pictures).result() for device in ("cpu", "cuda")]
    assert np.abs(answers[0].probs - answers[1].probs).max() <= 1e-4


def test_a_batch_beyond_the_memory_is_refused_in_our_words() -> None:
    from models.predictor import open_predictor
    from pipeline.errors import DeviceOutOfMemory

    predictor = open_predictor("default", "cuda")
    import torch

    free_bytes, _ = torch.cuda.mem_get_info()
    held = torch.empty(free_bytes - (64 << 20), dtype=torch.uint8, device="cuda")
    with pytest.raises(DeviceOutOfMemory):
        predictor.submit(np.zeros((4096, SIDE_PX, SIDE_PX, 3), np.uint8)).result()
    del held


def test_the_caller_may_use_its_array_again_at_once(pictures: np.ndarray) -> None:
    from models.predictor import open_predictor

    predictor = open_predictor("default", "cuda")
    expected = predictor.submit(pictures).result().probs
    mine = pictures.copy()
    pending = predictor.submit(mine)
    mine[:] = 0
    assert np.array_equal(pending.result().probs, expected)


@pytest.mark.parametrize("regime", ["frozen", "finetune"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_learned_on_the_gpu_is_right_and_comes_back(regime: str, precision: str) -> None:
    from models.learn import Surroundings, learn
    from models.recipe import Recipe
    from models.targets import Plan
    from tests.lessons import dataset

    recipe = Recipe(regime=regime, precision=precision, device="cuda", epochs=12, average=0.9)
    plan = Plan(tags=("dunk", "pass", "rest"), boxes=True)
    learned = learn(
        dataset(20, boxed=True, side_px=SIDE_PX), None, plan, recipe, Surroundings(watch=lambda progress: None)
    )
    assert learned.network.device.type == "cpu"
    assert learned.info.metrics["val"]["tags"]["top1"] >= 0.9
