"""Every setting of the service, read from `VAE_*` environment variables or the command line."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from model.pixels import MAX_PIXELS

MiB = 1024 * 1024


class Settings(BaseSettings):
    """The service's settings; immutable, with safe defaults."""

    model_config = SettingsConfigDict(
        env_prefix="VAE_",
        frozen=True,
        extra="ignore",
        cli_prog_name="vaeserve serve",
        cli_kebab_case=True,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 chooses a free port.")
    repository: str = Field(
        "",
        description="Comma-separated folders or fsspec addresses (`s3://bucket/prefix`) of "
        "bundles, `<root>/<name>/<version>/`; empty serves the bundles that come with the package.",
    )
    watch: Literal["on", "off", "poll"] = Field(
        "on",
        description="How the server notices changes in the repository: `on` uses the file "
        "system's events, `poll` compares files, which network file systems need.",
    )
    cache: str = Field(
        "",
        description="Folder for local copies of bundles from fsspec addresses; the default is "
        "`vaeserve` in the user's cache directory.",
    )
    default_model: str = Field(
        "",
        description="Model for requests that name none; the default is the only model in the "
        "repository, or `mnist` of the bundles that come with the package.",
    )
    required_models: str = Field(
        "",
        description="Comma-separated models that must serve before the server is ready; "
        "empty means the default model.",
    )
    provider: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="onnxruntime provider; `auto` uses CUDA if it works, "
        "`cuda` fails if it does not.",
    )
    repository_api: bool = Field(
        False,
        description="Whether clients may load and unload models over HTTP.",
    )
    workers: int = Field(
        0,
        ge=0,
        le=64,
        description="Processes that serve the port, each with its share of the cores, its own "
        "models and its own limits; 0 starts one for each core, at most 8, or a single one on "
        "a GPU.",
    )
    lanes: int = Field(
        0,
        ge=0,
        le=256,
        description="Engine threads of each worker; 0 starts one for each of its cores.",
    )
    timeout: float = Field(
        30.0, gt=0, le=3600, description="Seconds after which an unfinished request fails."
    )
    queue_pixels: int = Field(
        16 * MiB,
        ge=1,
        description="Pixels that the requests in progress may have together in each worker; "
        "above this limit clients get 429.",
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
    max_pictures: int = Field(64, ge=1, description="Most images in a request.")
    max_elbo_samples: int = Field(
        1024,
        ge=1,
        description="Largest `elbo_samples` of `/reconstruct` and `samples` of `/score`.",
    )
    max_body_bytes: int = Field(32 * MiB, ge=1024, description="Most bytes in a request body.")
    max_json_bytes: int = Field(
        8 * MiB,
        ge=1024,
        description="Most bytes in a JSON body; send larger data as multipart or `.npy`.",
    )
    max_buffered_bytes: int = Field(
        256 * MiB,
        ge=1024,
        description="Bytes of request bodies that may be in memory at once; above this limit "
        "clients get 429.",
    )
    max_picture_pixels: int = Field(
        25_000_000,
        ge=1,
        le=MAX_PIXELS,
        description="Largest width × height of an image, read from its header.",
    )
    decode_pixels: int = Field(
        100_000_000,
        ge=1,
        description="Sum of width × height of the images being decoded or waiting for it, one "
        "for each request; always at least one image of the largest size. Above this limit "
        "clients get 429.",
    )
    shutdown_grace: int = Field(
        8, ge=0, description="Seconds that running requests have to finish when the server stops."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level of log lines to write."
    )

    @property
    def required_names(self) -> tuple[str, ...]:
        """The names in `required_models`."""
        return _split(self.required_models)

    @property
    def repository_roots(self) -> tuple[str, ...]:
        """The folders and addresses in `repository`."""
        return _split(self.repository)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
