"""A sweep's file says what varies, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import ConfigError
from training.sweep.spec import Range, Sweep, read_sweep


def test_lists_and_ranges_by_dotted_key(tmp_path: Path) -> None:
    """Nested tables become dotted keys; a table with ends is a range."""
    path = tmp_path / "sweep.toml"
    path.write_text(
        "[vary]\nbatch_size = [64, 128]\nmodel.network.hidden = [[64], [8, 8]]\n"
        "[vary.optimiser]\nlearning_rate = { low = 1e-4, high = 1e-2, log = true }\n"
    )

    assert read_sweep(path).variations() == {
        "batch_size": [64, 128],
        "model.network.hidden": [[64], [8, 8]],
        "optimiser.learning_rate": Range(low=1e-4, high=1e-2, log=True),
    }


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(), min_size=1, max_size=3)))
def test_a_grid_is_the_product(vary: dict[str, list[int]]) -> None:
    """A grid has as many trials as there are combinations, and no two at the same place."""
    if not vary:
        return
    trials = Sweep(preset="mnist", search="grid", vary=vary).all_trials()
    expected = 1
    for values in vary.values():
        expected *= len(values)
    assert len(trials) == expected
    assert all(trial[key] in vary[key] for trial in trials for key in vary)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "nothing varies"),
        ("[vary]\nseed = [1]\n[[runs]]\nseed = 1", "nothing varies"),
        ("[vary]\nseed = []", "vary.seed: .*write a list of choices, or a range"),
        ("[vary]\nseed = 3", "seed: .*write a list of choices, or a range"),
        ("[vary]\nema = { low = 0.9, high = 0.5 }", "ema: low must be below high"),
        ("[vary]\nema = { low = 0.0, high = 0.5, log = true }", "needs low above 0"),
        ("[vary]\nema = { low = 0.1, high = 0.5, step = 1 }", "step requires integers"),
        ('search = "grid"\n[vary]\nema = { low = 0.1, high = 0.5 }', "a grid needs lists"),
        ("trails = 3\n[vary]\nseed = [1]", "trails: unknown key; did you mean trials"),
        ("[vary]\nseed = [1]\n[set]\nx = 2026-01-01", "set.x: input was not a valid JSON value"),
        ("trials = 0\n[vary]\nseed = [1]", "trials: Input should be greater than 0"),
        ("[vary]\nseed = [2026-01-01]", "vary.seed.0: input was not a valid JSON value"),
        ("[[runs]]\ndata.id = 10:00:00", "runs.0.data.id: input was not a valid JSON value"),
        ("trials = ", "not a readable TOML file"),
    ],
)
def test_mistakes_are_named(text: str, told: str, tmp_path: Path) -> None:
    """A file that says no sweep ends with its name and what would be right."""
    path = tmp_path / "sweep.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=told) as caught:
        read_sweep(path)

    assert str(path) in str(caught.value)


def test_a_sweep_without_a_preset(tmp_path: Path) -> None:
    """Neither the file nor a trial names a preset: that is said, with an example."""
    sweep = Sweep.model_validate({"vary": {"seed": [1]}})

    with pytest.raises(ConfigError, match='preset = "mnist"'):
        sweep.config({"seed": 1}, [])


def test_early_stopping_keeps_its_validation_images() -> None:
    """The best one's command trains on all images, unless early stopping needs some."""
    common = {"data": {"validation_share": 0.1}}
    plain = Sweep.model_validate({"preset": "mnist", "set": common, "vary": {"seed": [1]}})
    stopping = plain.model_copy(update={"set": {**common, "early_stop": 3}})

    assert plain.command({"seed": 1}) == ["mnist", "--set", "seed=1"]
    assert "data.validation_share=0.1" in stopping.command({"seed": 1})
