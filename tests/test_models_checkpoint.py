"""A checkpoint comes back as it was, says what it is without torch, and whatever else is in its place is named."""

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.checkpoint import load, save
from models.describe import describe
from models.predictor import open_predictor
from models.resolve import Checkpoint, embedded, resolve, torch_home
from models.rounding import _same, effect_of_bf16
from models.spec import BACKBONES, CheckpointInfo, Spec, digest_of_file, read_info
from pipeline.errors import CheckpointError
from tests import networks


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    networks.checkpoint(file, split={"train": ("aa", "bb"), "val": ("cc",)})
    return file


def test_a_checkpoint_comes_back_as_it_was(path: Path) -> None:
    network, info = load(path)
    original = networks.network()
    assert info.spec == networks.TINY
    assert info.split == {"train": ("aa", "bb"), "val": ("cc",)}
    for name, tensor in original.state_dict().items():
        assert torch.allclose(network.state_dict()[name], tensor, rtol=1e-3, atol=1e-6), name
        assert network.state_dict()[name].dtype == tensor.dtype


def test_loading_and_storing_again_changes_no_bit(path: Path, tmp_path: Path) -> None:
    network, info = load(path)
    save(network, info, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_digests_that_an_older_file_states_in_full_are_shortened_so_that_what_was_seen_is_known(tmp_path: Path) -> None:
    full, block = "0123456789abcdef" * 4, "fedcba9876543210" * 4 + "@0-5000000000"
    networks.checkpoint(tmp_path / "old.safetensors", split={"train": (full, block)})
    assert read_info(tmp_path / "old.safetensors").split == {"train": (full[:16], block[:16] + "@0-5000000000")}


def test_a_files_digest_is_the_start_of_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_of_file(tmp_path / "a") == "ba7816bf8f01cfea"  # FIPS 180-2, B.1


def test_the_version_is_the_content(path: Path, tmp_path: Path) -> None:
    version = read_info(path).version
    assert version == networks.checkpoint(tmp_path / "same.safetensors", split=dict(read_info(path).split)).version
    assert version != networks.checkpoint(tmp_path / "other.safetensors", seed=1).version


def test_the_facts_are_read_without_torch(path: Path) -> None:
    code = (
        "import sys; from models.describe import describe; facts = describe(sys.argv[1]);"
        "print(facts.version, *facts.tags, *facts.events, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [read_info(path).version, "grass", "none", "dunk", "False", "False"]


def test_the_precision_is_part_of_the_version(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    networks.checkpoint(path, metrics={"bf16": {"pictures": 9, "kept": 1.0, "change": 0.01}})
    assert describe(str(path), "fp32").version == read_info(path).version
    assert describe(str(path), "bf16").version == read_info(path).version + "-bf16"


@pytest.mark.parametrize(
    ("bf16", "words"),
    [
        ({}, "did not measure"),
        ({"pictures": 200, "kept": 0.99, "change": 0.01}, "keeps 99.0%"),
        ({"pictures": 200, "kept": 1.0, "change": 0.03}, "up to 0.030"),
    ],
)
def test_bf16_is_refused_where_it_was_not_shown_to_keep_the_answers(
    tmp_path: Path, bf16: dict[str, float], words: str
) -> None:
    path = tmp_path / "tiny.safetensors"
    networks.checkpoint(path, metrics={"bf16": bf16})
    for ask in (lambda: describe(str(path), "bf16"), lambda: open_predictor(str(path), precision="bf16")):
        with pytest.raises(CheckpointError, match=words):
            ask()


def test_what_bf16_changes_is_measured_on_the_networks_own_answers() -> None:
    effect = effect_of_bf16(networks.network(), networks.pictures(20))
    assert effect["pictures"] == 20
    assert 0 <= effect["kept"] <= 1
    assert 0 < effect["change"] < 0.2
    assert effect_of_bf16(networks.network(), networks.pictures(0)) == {}


def test_every_softmax_is_asked_for_its_best_and_all_else_for_yes_or_no() -> None:
    spec = networks.network(**networks.WITH_ALL_HEADS).spec
    assert spec.columns[:7] == ("grass", "none", "age: young", "age: old", "mood: calm", "mood: glad", "mood: cross")
    probs = np.array([[0.9, 0.1, 0.6, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.2]], np.float32)
    changed = {4: 0.0, 7: 0.6, 9: 0.7, 1: 1.0, 3: 0.7}  # of each: another best value, or another yes or no
    assert _same(probs, probs, spec).all()
    for column, value in changed.items():
        other = probs.copy()
        other[0, column] = value
        assert not _same(probs, other, spec).any(), spec.columns[column]
    almost = probs.copy()
    almost[0, 6] = 0.39  # a softmax says yes to its best alone
    assert _same(probs, almost, spec).all()


@pytest.mark.parametrize("name", embedded())
def test_an_embedded_checkpoint_is_small_and_names_sports(name: str) -> None:
    where = resolve(name)
    assert isinstance(where, Checkpoint)
    assert where.path.stat().st_size <= 5_000_000
    spec = read_info(where.path).spec
    assert len(spec.tags) == 23
    assert "none" in spec.tags
    assert spec.localizer


def test_the_embedded_dunk_was_judged_out_of_fold_and_its_scores_are_probabilities() -> None:
    info = read_info(Path("models/weights/dunk.safetensors").resolve())
    assert info.calibrated and info.spec.events == ("dunk",)
    found = info.metrics["folds"]["events"]["dunk"]
    assert found["average_precision"] > 4 * found["average_precision_chance"]


def test_the_embedded_default_states_chance_beside_its_figures() -> None:
    info = read_info(resolve("default").path)
    assert info.calibrated
    for part in ("val", "heldout"):
        assert info.metrics[part]["tags"]["top1"] > 4 * info.metrics[part]["tags"]["top1_chance"]
        assert "iou50_constant" in info.metrics[part]["box"]


def _cut_at(path: Path, size: int, tmp_path: Path) -> Path:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:size])
    return cut


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_named(path: Path, tmp_path: Path, share: float) -> None:
    cut = _cut_at(path, int(path.stat().st_size * share), tmp_path)
    with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
        read_info(cut)
    with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
        load(cut)


def test_what_was_cut_off_is_counted(path: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cut short"):
        read_info(_cut_at(path, path.stat().st_size - 1, tmp_path))


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('it ran')",))


@pytest.mark.parametrize("protocol", [2, 5])
def test_a_pickle_is_refused_by_name_and_never_run(tmp_path: Path, protocol: int) -> None:
    plain, zipped = tmp_path / "plain.pth", tmp_path / "zipped.pth"
    plain.write_bytes(pickle.dumps(_Bomb(), protocol=protocol))
    torch.save({"weight": torch.zeros(2)}, zipped)
    for bad in (plain, zipped):
        with pytest.raises(CheckpointError, match="pickle"):
            load(bad)


def test_a_poisoned_file_in_torchs_cache_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = torch_home() / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    with pytest.raises(CheckpointError, match=file.name):
        describe("torchvision:squeezenet1_1")
    file.parent.mkdir(parents=True)
    file.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(CheckpointError, match="weights alone"):
        open_predictor("torchvision:squeezenet1_1")


def _with_header(path: Path, header: bytes) -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no safetensors"),
        (b"\xff" * 64, "no safetensors"),
        (b"an ordinary text, long enough to look at", "no safetensors"),
        (struct.pack("<Q", 6) + b"[1, 2]", "list"),
        (struct.pack("<Q", 6) + b"{bad,}", "no JSON"),
        (struct.pack("<Q", 1 << 40) + b"{}", "no safetensors"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "odd.safetensors"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        read_info(file)


def test_tensors_of_somebody_else_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="without Matchcut's metadata"):
        read_info(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("damage", [{"backbone": "os.system"}, {"height_px": 10**9}, {"tags": ["a", "a"]}, {"odd": 1}])
def test_damaged_metadata_build_no_network(path: Path, tmp_path: Path, damage: dict[str, object]) -> None:
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    content = json.loads(header["__metadata__"]["matchcut"])
    content["spec"] |= damage
    header["__metadata__"]["matchcut"] = json.dumps(content)
    text = json.dumps(header).encode()
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])
    with pytest.raises(CheckpointError, match=r"bad\.safetensors"):
        read_info(bad)


def test_tensors_that_do_not_fit_the_network_are_refused(path: Path, tmp_path: Path) -> None:
    network, info = load(path)
    other = CheckpointInfo(spec=networks.network(tags=("a", "b", "c")).spec, version="")
    network.spec = other.spec
    save(network, other, tmp_path / "misfit.safetensors")
    with pytest.raises(CheckpointError, match="not those of its network"):
        load(tmp_path / "misfit.safetensors")
    assert info.spec != other.spec


def test_a_diverged_network_is_refused(path: Path, tmp_path: Path) -> None:
    network, info = load(path)
    torch.nn.init.constant_(next(network.parameters()), float("nan"))
    save(network, info, tmp_path / "diverged.safetensors")
    with pytest.raises(CheckpointError, match="diverged"):
        load(tmp_path / "diverged.safetensors")


def test_an_interrupted_save_leaves_the_old_file(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "kept.safetensors"
    file.write_bytes(path.read_bytes())
    broken = networks.network()
    info = CheckpointInfo(spec=broken.spec, version="", training={"no": object()})
    with pytest.raises(TypeError):
        save(broken, info, file)
    assert file.read_bytes() == path.read_bytes()
    assert list(tmp_path.iterdir()) == [file]


def test_an_unknown_backbone_is_answered_with_those_there_are() -> None:
    with pytest.raises(CheckpointError, match="resnet18"):
        Spec(backbone="resnet19", height_px=64, width_px=64)
    assert "vit_b_16" not in BACKBONES
