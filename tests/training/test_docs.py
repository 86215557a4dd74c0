"""Compares docs/training.md with the code: settings, stages, presets and files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from model.bundle.bundle import open_bundle
from tests.training import runs
from training.__main__ import main
from training.cli.stages import STAGES
from training.config.presets import preset_names
from training.config.run import TrainingConfig
from training.sweep.spec import read_sweep, require_comparable
from training.workdir import Workdir

DOCUMENT = (runs.ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def rows(header: str) -> list[list[str]]:
    """The cells of the table whose first column has the name `header`."""
    body = DOCUMENT.split(f"\n| {header} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body]


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models that a field may contain: one, or all members of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its dotted key; the members of a union one after another."""
    for name, field in model.model_fields.items():
        nested = list(models_in(field.annotation))
        for part in nested:
            yield from settings(part, f"{prefix}{name}.")
        if not nested:
            yield f"{prefix}{name}", field


def default_of(key: str) -> object:
    """The default of a setting."""
    found: object = TrainingConfig()
    for part in key.split("."):
        found = getattr(found, part, None)
    return found


DOCUMENTED = {key.strip("`"): default.strip("`") for key, default, _ in rows("setting")}
FIELDS = dict(settings(TrainingConfig))


def test_every_setting_is_documented() -> None:
    """The table lists exactly the settings, each with a meaning."""
    assert list(DOCUMENTED) == list(dict.fromkeys(FIELDS))
    assert all(meaning for _, _, meaning in rows("setting"))


@pytest.mark.parametrize("key", FIELDS)
def test_defaults_are_documented(key: str) -> None:
    """The table's default is the code's."""
    default = default_of(key)
    if default is None and not FIELDS[key].is_required():
        default = FIELDS[key].get_default(call_default_factory=True, validated_data={})
    expected = "" if default is None else json.dumps(default)

    assert DOCUMENTED[key] == expected


def test_the_sweep_of_the_document_can_be_made(tmp_path: Path) -> None:
    """The example is a valid sweep with comparable trials."""
    path = tmp_path / "learning.toml"
    path.write_text(DOCUMENT.split("```toml\n# learning.toml\n", 1)[1].split("```", 1)[0])

    sweep = read_sweep(path)

    require_comparable(sweep, [])
    assert set(sweep.variations()) == {"batch_size", "optimiser.learning_rate", "model.latent_dim"}


def test_every_stage_is_documented() -> None:
    """The table lists the stages in order."""
    assert [row[0].strip("`") for row in rows("stage")] == ["fit", *STAGES]


def test_every_preset_is_documented() -> None:
    """The table lists the shipped presets."""
    assert sorted(row[0].strip("`") for row in rows("preset")) == preset_names()


def test_the_documented_networks_train(tmp_path: Path) -> None:
    """The printed preset and custom networks train to a bundle."""
    section = DOCUMENT.split("\n## Networks of your own\n", 1)[1].split("\n## ", 1)[0]
    for language, name in (("toml", "mine.toml"), ("python", "my_nets.py")):
        (code,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
        (tmp_path / name).write_text(code)
    (command,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    words = command.replace("mine.toml", str(tmp_path / "mine.toml")).split()[1:]
    small = (
        f"data.cache={tmp_path / 'cache'}", "epochs=2", "batch_size=40", "evaluation.samples=3",
        "evaluation.pictures=10", "evaluation.reference_pictures=5",
    )  # fmt: skip
    words[words.index("--data") + 1] = str(runs.MNIST)
    changes = [word for change in small for word in ("--set", change)]

    status = main([*words, "--workdir", str(tmp_path / "run"), "--threads", "1", *changes])

    bundle = open_bundle(tmp_path / "run" / "bundles" / "mine" / "1")
    assert status == 0
    assert bundle.manifest.network["encoder"] == "my_nets:Encoder"
    assert str(tmp_path) not in bundle.manifest.model_dump_json()


def test_the_files_of_a_run_are_documented(finished: Workdir) -> None:
    """A finished workdir contains exactly the files that the table of stages lists."""
    told = {
        name.split("/")[0] for row in rows("stage") for name in re.findall(r"`([^`]+)`", row[1])
    }

    assert {path.name for path in finished.folder.iterdir()} == told
