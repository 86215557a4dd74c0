"""diffusers' `AutoencoderKL` as it is saved: read, checked, and taken apart into two networks."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.errors import ForeignModelError

_CLASS = "AutoencoderKL"
_WEIGHTS = "diffusion_pytorch_model.safetensors"
_LOGVAR_RANGE = (-30.0, 20.0)
"""As diffusers' DiagonalGaussianDistribution clamps it."""


@dataclass(frozen=True)
class Foreign:
    """A model that was read.

    `image` [n, c, h, w] in −1 … 1 → encoder → mean, logvar [n, z, h/f, w/f]; latent → decoder →
    pixels twice, neither scaled nor clamped.
    """

    config: Mapping[str, Any]
    encoder: nn.Module
    decoder: nn.Module
    channels: int
    """Of an image: 1 or 3."""
    latent_channels: int
    factor: int
    """Pixels a side for each entry of a latent."""
    scaling: float
    shift: float
    sample_size: tuple[int, int]
    """Height and width of the images that it was made for."""


def read_model(
    source: str, *, subfolder: str | None = None, revision: str | None = None
) -> Foreign:
    """Reads the configuration and the weights of a folder, or of a name on the hub.

    Weights are read from safetensors and never unpickled.

    Raises:
        ForeignModelError: not there, not an `AutoencoderKL`, weights that are missing or do not
            belong to the configuration, or an option that is not supported.
    """
    try:
        # Imported late: it takes seconds, and only this command needs it.
        import diffusers
    except ImportError as error:
        msg = f"{error}; install it with: pip install 'vaeserve[train,diffusers]'"
        raise ForeignModelError(msg) from error
    where: dict[str, Any] = {"subfolder": subfolder, "revision": revision}
    config = _read_config(source, where, diffusers.AutoencoderKL)
    _check_config(source, config)
    try:
        vae, loading = diffusers.AutoencoderKL.from_pretrained(
            source,
            use_safetensors=True,
            # The other way leaves weights that are missing without memory.
            low_cpu_mem_usage=False,
            torch_dtype=torch.float32,
            output_loading_info=True,
            **where,
        )
    # diffusers has no exceptions of its own: whatever a broken file makes it stumble over.
    except Exception as error:
        msg = f"{source}: no weights that fit config.json in {_WEIGHTS}: {_first_line(error)}"
        raise ForeignModelError(msg) from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if found := loading.get(kind):
            words = kind.replace("_", " ")
            msg = f"{source}: {_WEIGHTS} does not fit config.json: {words}: {sorted(found)[:3]}"
            raise ForeignModelError(msg)
    size = config["sample_size"]
    height, width = size if isinstance(size, list) else (size, size)
    return Foreign(
        config=config,
        encoder=_Encoder(vae).eval(),
        decoder=_Decoder(vae).eval(),
        channels=config["in_channels"],
        latent_channels=config["latent_channels"],
        factor=2 ** (len(config["block_out_channels"]) - 1),
        scaling=float(config["scaling_factor"]),
        shift=float(config.get("shift_factor") or 0),
        sample_size=(height, width),
    )


class _Encoder(nn.Module):
    """image → mean, logvar."""

    def __init__(self, vae: Any) -> None:  # noqa: ANN401 an AutoencoderKL, which has no types
        super().__init__()
        self.encoder = vae.encoder
        self.quant = nn.Identity() if vae.quant_conv is None else vae.quant_conv

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = torch.chunk(self.quant(self.encoder(image)), 2, dim=1)
        return mean, logvar.clamp(*_LOGVAR_RANGE)


class _Decoder(nn.Module):
    """latent → pixels, params: the same, as nothing is clamped and there is no likelihood."""

    def __init__(self, vae: Any) -> None:  # noqa: ANN401 an AutoencoderKL, which has no types
        super().__init__()
        self.post_quant = nn.Identity() if vae.post_quant_conv is None else vae.post_quant_conv
        self.decoder = vae.decoder

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.decoder(self.post_quant(latent))
        return pixels, pixels.clone()


def _read_config(source: str, where: Mapping[str, Any], kind: Any) -> dict[str, Any]:  # noqa: ANN401
    folder = Path(source).expanduser()
    if folder.is_dir() and (folder / "model_index.json").exists() and not where["subfolder"]:
        raise ForeignModelError(f"{source}: is a pipeline; add --subfolder vae")
    try:
        config: dict[str, Any] = kind.load_config(source, **where)
    except Exception as error:  # as above
        raise ForeignModelError(
            f"{source}: neither a folder with diffusers' config.json nor a readable model on the "
            f"hub: {_first_line(error)}"
        ) from error
    if config.get("_class_name") != _CLASS:
        msg = f"{source}: config.json is of {config.get('_class_name')}, only {_CLASS} is supported"
        raise ForeignModelError(msg)
    # What older versions of diffusers did not save yet has the value that it has there.
    parameters = inspect.signature(kind.__init__).parameters.values()
    whole = {one.name: one.default for one in parameters if one.name != "self"} | config
    # Names with an underscore are diffusers' own, such as the folder's path.
    plain = {name: value for name, value in whole.items() if not name.startswith("_")}
    checked: dict[str, Any] = json.loads(json.dumps(plain))
    return checked


def _check_config(source: str, config: Mapping[str, Any]) -> None:
    channels = config["in_channels"]
    if channels not in (1, 3) or config["out_channels"] != channels:
        raise ForeignModelError(
            f"{source}: has {channels} input and {config['out_channels']} output channels; "
            "a bundle has 1 or 3 of both"
        )
    for name in ("latents_mean", "latents_std"):
        if config.get(name) is not None:
            msg = f"{source}: {name} is set, but a bundle has one scaling for all channels"
            raise ForeignModelError(msg)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
