"""What diffusers saved is read, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Imported
from training.bundle.autoencoder_kl import read_model
from training.errors import ForeignModelError


@pytest.fixture(name="copied_model")
def _copied_model(imported: Imported, tmp_path: Path) -> Path:
    """A copy of the saved model to damage."""
    folder = tmp_path / "vae"
    folder.mkdir()
    for path in imported.saved.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def change(folder: Path, **members: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | members))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"_class_name": "AutoencoderTiny"}, "is of AutoencoderTiny, only AutoencoderKL"),
        ({"in_channels": 4}, "has 4 input and 3 output channels"),
        ({"latents_mean": [0.0] * 4}, "latents_mean is set"),
        ({"latent_channels": 8}, r"diffusion_pytorch_model\.safetensors"),
        ({"use_quant_conv": False}, "unexpected keys"),
        ({"norm_num_groups": 3}, r"diffusion_pytorch_model\.safetensors"),
    ],
)
def test_a_model_that_is_not_supported_is_refused(
    copied_model: Path, members: dict[str, Any], words: str
) -> None:
    """The text names the folder and what would have been taken."""
    change(copied_model, **members)
    with pytest.raises(ForeignModelError, match=words):
        read_model(str(copied_model))


@pytest.mark.parametrize("content", [None, b"", b"no tensors at all"])
def test_weights_that_are_missing_or_damaged_are_refused(
    copied_model: Path, content: bytes | None
) -> None:
    """A model is never imported with the random weights that it starts from."""
    path = copied_model / "diffusion_pytorch_model.safetensors"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ForeignModelError, match=r"no weights that fit config\.json"):
        read_model(str(copied_model))


def test_weights_that_lack_a_part_are_refused(copied_model: Path) -> None:
    """What a file leaves out is named, and not drawn at random."""
    from safetensors.torch import load_file, save_file

    path = copied_model / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    del tensors["decoder.conv_out.bias"]
    save_file(tensors, path)
    with pytest.raises(ForeignModelError, match=r"missing keys.*decoder\.conv_out\.bias"):
        read_model(str(copied_model))


def test_pickled_weights_are_not_read(copied_model: Path) -> None:
    """A `.bin` file, which would be unpickled, does not count as weights."""
    path = copied_model / "diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(ForeignModelError, match=r"safetensors"):
        read_model(str(copied_model))


def test_a_pipeline_needs_its_subfolder(copied_model: Path) -> None:
    """A whole pipeline's folder is told from a model's, and its part is read."""
    (copied_model.parent / "model_index.json").write_text("{}")
    with pytest.raises(ForeignModelError, match="add --subfolder vae"):
        read_model(str(copied_model.parent))
    assert read_model(str(copied_model.parent), subfolder="vae").factor == 2


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    """Neither a folder nor a name that the hub could be asked for."""
    for source in (str(tmp_path / "nowhere"), str(tmp_path), "no/such-model"):
        with pytest.raises(ForeignModelError, match="neither a folder"):
            read_model(source)


def test_members_that_older_versions_did_not_save(copied_model: Path) -> None:
    """A configuration without the newer members has their defaults."""
    path = copied_model / "config.json"
    config = json.loads(path.read_text())
    for name in ("shift_factor", "use_quant_conv", "latents_mean", "mid_block_add_attention"):
        del config[name]
    path.write_text(json.dumps(config))
    model = read_model(str(copied_model))
    assert model.shift == 0.0
    assert model.config["mid_block_add_attention"] is True


def test_a_size_of_two_sides(copied_model: Path) -> None:
    """`sample_size` may be one length or a height and a width."""
    change(copied_model, sample_size=[24, 32])
    assert read_model(str(copied_model)).sample_size == (24, 32)
