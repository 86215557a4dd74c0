"""Every setting of the service, read from `VAE_*` environment variables or the command line."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Any, Literal, get_origin

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from model.pixels import MAX_PIXELS

MiB = 1024 * 1024

_PREFIX = "VAE_"
_READ_ELSEWHERE = frozenset({"VAE_URL"})
"""The command line reads it, and not the service."""

_SERVICE_LINK = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)
"""The names of variables that Kubernetes injects for a Service whose name begins with `vae`."""

_LINK_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class Settings(BaseSettings):
    """The service's settings; immutable, with safe defaults."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
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

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Blank is unset, the case of a choice does not matter, and a service link is no port."""
        return {
            name: _normal(cls.model_fields[name].annotation, value)
            if name in cls.model_fields
            else value
            for name, value in given.items()
            if not (_is_blank(value) or _is_service_link(f"{_PREFIX}{name.upper()}", value))
        }

    @property
    def required_names(self) -> tuple[str, ...]:
        """The names in `required_models`."""
        return _split(self.required_models)

    @property
    def repository_roots(self) -> tuple[str, ...]:
        """The folders and addresses in `repository`."""
        return tuple(map(_expand, _split(self.repository)))

    @property
    def cache_folder(self) -> str:
        """`cache` with `~` expanded."""
        return _expand(self.cache)


def environment_warnings() -> list[str]:
    """A sentence for each `VAE_*` variable in the environment that sets nothing."""
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    warnings = []
    for name, value in sorted(os.environ.items()):
        if _is_service_link(name, value):
            if name in known:
                warnings.append(
                    f"{name} is ignored: {value!r} is the address of a Kubernetes Service, not a "
                    f"setting; rename the Service, or set enableServiceLinks: false in the pod"
                )
        elif name.startswith(_PREFIX) and name not in known | _READ_ELSEWHERE:
            nearest = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            warnings.append(f"{name} is not a setting of the service{hint}")
    return warnings


def _normal(annotation: object, value: object) -> object:
    """A text without blanks around it, in lower case where there are choices."""
    if not isinstance(value, str):
        return value
    return value.strip().lower() if get_origin(annotation) is Literal else value.strip()


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _is_service_link(name: str, value: object) -> bool:
    if not name.startswith(_PREFIX) or not isinstance(value, str):
        return False
    if name.endswith("_PORT") and _LINK_ADDRESS.match(value):
        return os.environ.get(name) == value
    return bool(_SERVICE_LINK.search(name))


def _expand(root: str) -> str:
    return str(Path(root).expanduser()) if root.startswith("~") else root


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
