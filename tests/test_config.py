"""Configuration: typed, small, owned; every mistake is named with its repair."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import (
    AggregateConfig,
    Config,
    DecodeConfig,
    InferConfig,
    LabelRule,
    digest_of,
    load_config,
    require_labels,
)
from pipeline.errors import ConfigError

SECTIONS = [section.name for section in fields(Config)]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def load_toml(folder: Path, text: str, overrides: dict[str, dict[str, Any]] | None = None) -> Config:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides)


def test_without_a_file_the_documented_defaults_hold() -> None:
    assert load_config(None) == Config()


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_toml(tmp_path, "") == Config()


def test_a_file_overrides_only_what_it_names(tmp_path: Path) -> None:
    config = load_toml(tmp_path, "[decode]\nsample_hz = 5.0\n")
    assert config == replace(Config(), decode=DecodeConfig(sample_hz=5.0))


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    config = load_toml(tmp_path, "[decode]\nsample_hz = 5.0\nthreads = 3\n", {"decode": {"sample_hz": 1.0}})
    assert config.decode == DecodeConfig(sample_hz=1.0, threads=3)


def test_a_whole_number_is_good_where_a_float_is_wanted(tmp_path: Path) -> None:
    sample_hz = load_toml(tmp_path, "[decode]\nsample_hz = 5\n").decode.sample_hz
    assert (sample_hz, type(sample_hz)) == (5.0, float)


def test_a_toml_list_becomes_a_tuple(tmp_path: Path) -> None:
    assert load_toml(tmp_path, '[excite]\ngate_tags = ["soccer", "tennis"]\n').excite.gate_tags == ("soccer", "tennis")


def test_a_label_has_its_sections_values_but_for_its_own_exceptions(tmp_path: Path) -> None:
    config = load_toml(tmp_path, "[aggregate]\nenter = 0.8\n[aggregate.labels.dunk]\npre_s = 2\n")
    assert config.aggregate.rule("dunk") == replace(LabelRule(enter=0.8), pre_s=2.0)
    assert config.aggregate.rule("anything else").pre_s == LabelRule().pre_s
    assert config.aggregate.rule("anything else").enter == 0.8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[decode]\nsample_hertz = 2.0\n", r"own.toml: decode: unknown key 'sample_hertz'; did you mean 'sample_hz'\?"),
        ("[decod]\nsample_hz = 2.0\n", r"own.toml: unknown key 'decod'; did you mean 'decode'\?"),
        ("[decode]\nzzz = 1\n", "unknown key 'zzz'; known keys: .*sample_hz"),
        ("[aggregate.labels.dunk]\nentre = 0.5\n", r"labels.dunk: unknown key 'entre'; did you mean 'enter'\?"),
        ('[decode]\nsample_hz = "two"\n', "own.toml: decode: sample_hz = 'two': float is wanted"),
        ("[decode]\nthreads = 1.5\n", "threads = 1.5: int is wanted"),
        ("[decode]\nthreads = true\n", "threads = True: int is wanted"),
        ("[decode]\nsample_hz = true\n", "sample_hz = True: float is wanted"),
        ("decode = 3\n", r"decode is a section: write \[decode\]"),
        ("[aggregate.labels]\ndunk = 3\n", "labels.dunk is a section"),
        ('[excite]\ngate_tags = "soccer"\n', "gate_tags = 'soccer': a list is wanted"),
        ("[decode\n", "own.toml: not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place_and_its_repair(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_toml(tmp_path, text)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("decode", "sample_hz", 0.0),
        ("decode", "sample_hz", -1.0),
        ("decode", "sample_hz", float("nan")),
        ("decode", "sample_hz", 1e9),
        ("decode", "threads", -1),
        ("infer", "batch", 0),
        ("infer", "threads", 0),
        ("infer", "precision", "fp8"),
        ("infer", "runtime", "tensorrt"),
        ("aggregate", "enter", 0.2),  # not above the default `leave`
        ("aggregate", "enter", 1.2),
        ("aggregate", "leave", 0.9),
        ("aggregate", "gap_s", -1.0),
        ("aggregate", "min_s", 90.0),
        ("select", "reel_s", 0.0),
        ("export", "crf", 52),
        ("export", "preset", "quick"),
        ("export", "audio_track", -2),
        ("export", "audio_kbps", 0),
        ("export", "max_height_px", 0),
        ("export", "thumb_width_px", 0),
        ("export", "timeout_s", 0.0),
    ],
)
def test_an_impossible_value_is_refused_with_key_and_source_named(section: str, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"command line: {section}.*{key.removesuffix('_s')}"):
        load_config(None, {section: {key: value}})


@pytest.mark.parametrize(
    ("events", "setting", "words"),
    [
        (
            ("dunk",),
            {"excite": {"gate_tags": ["socer"]}},
            "excite.gate_tags: the model has no tag 'socer'; did you mean",
        ),
        (("dunk",), {"aggregate": {"labels": {"dnk": {"pre_s": 8.0}}}}, "aggregate.labels.dnk: the model has no event"),
        ((), {"aggregate": {"labels": {"dunk": {"pre_s": 8.0}}}}, "no event 'dunk'; it has moment"),
    ],
)
def test_a_label_that_the_model_does_not_have_is_named(
    events: tuple[str, ...], setting: dict[str, dict[str, object]], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        require_labels(load_config(None, setting), ("soccer", "none"), events)


def test_labels_of_the_model_and_the_moment_of_excitement_can_have_rules() -> None:
    rules = {"aggregate": {"labels": {"dunk": {"pre_s": 8.0}}}, "excite": {"gate_tags": ["soccer"]}}
    require_labels(load_config(None, rules), ("soccer",), ("dunk",))
    require_labels(load_config(None, {"aggregate": {"labels": {"moment": {"pre_s": 8.0}}}}), (), ())


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no/such\.toml: no such configuration file"):
        load_config(Path("no/such.toml"))


@given(st.sampled_from(SECTIONS), st.text(min_size=1, max_size=12))
def test_no_unknown_key_passes_silently(section: str, key: str) -> None:
    known = {field.name for field in fields(getattr(Config(), section))}
    if key not in known:
        with pytest.raises(ConfigError, match="unknown key"):
            load_config(None, {section: {key: 1}})


def test_a_digest_follows_its_own_sections_and_no_others() -> None:
    faster = replace(Config(), decode=DecodeConfig(sample_hz=5.0))
    assert faster.digest("decode") != Config().digest("decode")
    assert faster.digest("infer", "export") == Config().digest("infer", "export")
    assert faster.digest() != Config().digest()


def test_a_digest_sees_a_rule_of_one_label() -> None:
    own = replace(Config(), aggregate=AggregateConfig(labels={"dunk": LabelRule(pre_s=2.0)}))
    assert own.digest("aggregate") != Config().digest("aggregate")


def test_thread_counts_change_no_digest_because_they_change_no_result() -> None:
    threaded = replace(Config(), decode=DecodeConfig(threads=7), infer=InferConfig(threads=3))
    assert threaded.digest() == Config().digest()


@given(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=5))
def test_a_digest_does_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    assert digest_of(value) == digest_of(dict(reversed(value.items())))


def test_the_documented_configuration_names_every_setting_with_its_default() -> None:
    documented = Path(__file__).parent.parent / "docs" / "config.toml"
    assert load_config(documented) == Config()
    text = documented.read_text(encoding="utf-8")
    settings = [setting.name for section in SECTIONS for setting in fields(getattr(Config(), section))]
    assert [name for name in settings if f"\n{name} = " not in text and name != "labels"] == []
