"""The configuration's section on images: where they come from, how they are split and varied."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from model.config import MOST, Frozen

Share = Annotated[float, Field(ge=0, lt=1)]
NonNegativeInt = Annotated[int, Field(ge=0, le=MOST, strict=True)]


class AugmentConfig(Frozen):
    """Random changes to training images; validation and evaluation use unchanged images.

    They change the learned density: by 2.2 nats on MNIST for a shift of one pixel.
    """

    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that an image is mirrored left to right."""
    shift: NonNegativeInt = 0
    """Pixels that an image moves at most, up or down and left or right; its edge is repeated."""

    @property
    def is_on(self) -> bool:
        return bool(self.flip or self.shift)


class DataConfig(Frozen):
    """Where the images come from and how they are split."""

    source: str | None = None
    """A Hugging Face hub name, a folder in the hub's layout or of images, or parquet files."""
    id: str | None = None
    """The images' name in the bundle's manifest; by default the last part of `source`."""
    revision: str | None = None
    """The hub's revision: a commit, branch or tag."""
    train_split: str = "train"
    test_split: str = "test"
    test_share: Share = 0.1
    """Part of the images set apart for testing where the source has no test split."""
    validation_share: Share = 0.0
    """Part of the training images held back to choose settings or to stop early."""
    convert: bool = False
    """Whether grey images may become colour ones and colour ones grey."""
    skip_unreadable: bool = False
    """Whether images that can't be read are left out instead of ending the run."""
    background: Annotated[int, Field(ge=0, le=255, strict=True)] = 0
    """Grey level that transparent pixels are laid on."""
    cache: str = "~/.cache/vaeserve"
    """Folder for the decoded images."""
    licence: str | None = None
    """The images' licence, for the bundle's manifest."""
    augment: AugmentConfig = Field(default_factory=AugmentConfig)

    @field_validator("source")
    @classmethod
    def _source_is_named(cls, source: str | None) -> str | None:
        # An empty path is the current folder, with whatever lies there.
        if source is not None and not source.strip():
            msg = "is empty: give a hub name, a folder or parquet files (. is the current folder)"
            raise ValueError(msg)
        return source

    @model_validator(mode="after")
    def _splits_differ(self) -> Self:
        if self.test_split == self.train_split:
            raise ValueError(
                f"train_split and test_split are both {self.train_split!r}, so the model would be "
                "measured on its training images; name another split, or one that the source "
                "has not to set data.test_share apart"
            )
        return self
