"""Every setting of the service, read from `VAE_*` environment variables or the command line."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from model.limits import MAX_PIXELS

MiB = 1024 * 1024


class Settings(BaseSettings):
    """Settings of the service; immutable, with safe defaults."""

    model_config = SettingsConfigDict(
        env_prefix="VAE_",
        frozen=True,
        extra="ignore",
        cli_prog_name="vaeserve serve",
        cli_kebab_case=True,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    repository: str = Field(
        "",
        description="Comma-separated folders or fsspec addresses (`s3://bucket/prefix`) of "
        "bundles, `<root>/<name>/<version>/`; empty serves the bundles that ship with the package.",
    )
    watch: Literal["on", "off", "poll"] = Field(
        "on",
        description="Whether changes in the repository's folders are followed: `on` as the file "
        "system tells them, `poll` by comparing files, which network file systems need.",
    )
    cache: str = Field(
        "",
        description="Folder for the copies of bundles from fsspec addresses; empty takes "
        "`vaeserve` in the user's cache directory.",
    )
    default_model: str = Field(
        "",
        description="Model used where a request names none; empty takes the only one there is, "
        "and `mnist` of those that ship with the package.",
    )
    required_models: str = Field(
        "",
        description="Comma-separated models that must serve before the server is ready; "
        "empty means the default model.",
    )
    provider: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="onnxruntime provider; `auto` takes CUDA where it works, "
        "`cuda` refuses to serve without it.",
    )
    repository_api: bool = Field(
        False,
        description="Whether callers may load and unload models over HTTP.",
    )
    workers: int = Field(
        0,
        ge=0,
        le=64,
        description="Processes that serve the port, each with its share of the cores, its own "
        "models and its own limits; 0: one for each core, at most 8, and one in all on a GPU.",
    )
    lanes: int = Field(
        0,
        ge=0,
        le=256,
        description="Engine threads of each worker; 0 takes one for each core that it has.",
    )
    timeout: float = Field(
        30.0, gt=0, le=3600, description="Seconds within which a request is answered, or fails."
    )
    queue_pixels: int = Field(
        16 * MiB,
        ge=1,
        description="Pixels that the admitted requests of each worker may have in work; "
        "above it callers get 429.",
    )
    max_n: int = Field(
        4096,
        ge=1,
        description="Largest `n` of `/sample`, `steps` of `/interpolate` and number of latents of "
        "`/decode`.",
    )
    max_stream_n: int = Field(
        100_000, ge=1, description="Largest `n` of `/sample` as `application/zip`."
    )
    max_pictures: int = Field(64, ge=1, description="Most images in one request.")
    max_elbo_samples: int = Field(
        1024,
        ge=1,
        description="Largest `elbo_samples` of `/reconstruct` and `samples` of `/score`.",
    )
    max_body_bytes: int = Field(
        32 * MiB, ge=1024, description="Bytes that a request body may have."
    )
    max_json_bytes: int = Field(
        8 * MiB,
        ge=1024,
        description="Bytes that a JSON body may have; larger ones belong in multipart or `.npy`.",
    )
    max_buffered_bytes: int = Field(
        256 * MiB,
        ge=1024,
        description="Bytes of request bodies that may be in memory at once; above it callers "
        "get 429.",
    )
    max_picture_pixels: int = Field(
        25_000_000,
        ge=1,
        le=MAX_PIXELS,
        description="Width × height that an image's header may announce.",
    )
    decode_pixels: int = Field(
        100_000_000,
        ge=1,
        description="Width × height of the images, one for each request, that may be decoded or "
        "wait for it at once, at least one of the largest; above it callers get 429.",
    )
    shutdown_grace: int = Field(
        8, ge=0, description="Seconds that running requests get when the server is told to stop."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log lines that are written."
    )

    @property
    def required_names(self) -> tuple[str, ...]:
        return _split(self.required_models)

    @property
    def repository_roots(self) -> tuple[str, ...]:
        return _split(self.repository)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
