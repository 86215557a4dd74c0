"""The clients against the application: numpy in and out, split where a request has no room."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.connect import InProcess
from app.factory import create_app
from app.settings import Settings
from model.pixels import Images
from tests import arithmetic_bundle
from tests.app.scripted import Script, Time, client
from tests.app.serving import loaded, running
from vaeserve import AsyncClient, Client, ProblemError, ResponseError
from vaeserve.results import Binarise, Way
from vaeserve.verbs import (
    AnimationOptions,
    Options,
    ReconstructOptions,
    SampleOptions,
    ScoreOptions,
)


class Counting(InProcess):
    """The application in this process, with the requests that it answered."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.asked: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        return super().handle_request(request)


@contextmanager
def service(repository: Path, **changes: Any) -> Iterator[tuple[Client, Counting]]:
    transport = Counting(Settings(repository=str(repository), **changes))
    with Client(transport=transport) as made:
        yield made, transport


def grey(*levels: int) -> Images:
    """Images of one grey level each, uint8 [n, 4, 4, 1]."""
    return np.broadcast_to(np.array(levels, np.uint8).reshape(-1, 1, 1, 1), (len(levels), 4, 4, 1))


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4), level).save(file, "PNG")
    return file.getvalue()


def test_verbs_take_and_give_arrays(repository: Path) -> None:
    """Each verb's result has the values that the arithmetic bundle's answers have."""
    with service(repository) as (made, _):
        encoded = made.encode(grey(0, 51))
        np.testing.assert_allclose(encoded.mean, np.array([[0, 0], [0.2, 0.2]]), atol=1e-6)
        assert encoded.mean.dtype == encoded.logvar.dtype == np.float32
        assert (encoded.model, encoded.version) == ("arithmetic", 1)
        assert (encoded.pictures[1].width, encoded.pictures[1].mode) == (4, "L")
        np.testing.assert_array_equal(made.decode(encoded.mean).images, grey(0, 51))
        rebuilt = made.reconstruct(grey(0, 51))
        np.testing.assert_array_equal(rebuilt.images, grey(0, 51))
        assert rebuilt.kl is not None
        np.testing.assert_allclose(rebuilt.kl, [0, 0.04], atol=1e-6)
        assert rebuilt.bounds is None
        bounds = made.reconstruct(grey(51), elbo_samples=2, seed=5).bounds
        assert bounds is not None
        assert (bounds.samples, bounds.seed.tolist(), bounds.likelihood) == (2, [5], "gaussian")
        np.testing.assert_allclose(bounds.elbo, bounds.reconstruction - bounds.kl)


def test_images_are_arrays_bytes_or_paths(repository: Path, tmp_path: Path) -> None:
    """The same image in each form has the same latent."""
    path = tmp_path / "grey.png"
    path.write_bytes(png(51))
    with service(repository) as (made, _):
        means = made.encode([png(51), path, str(path)]).mean
        np.testing.assert_array_equal(means, np.repeat(made.encode(grey(51)).mean, 3, axis=0))


def test_models_and_manifests_are_told(repository: Path) -> None:
    """`models` lists them, `describe` adds the manifest, and an unknown name is a problem."""
    with service(repository) as (made, _):
        (only,) = made.models()["models"]
        assert (only["name"], only["default"], only["serving"]) == ("arithmetic", True, 1)
        assert only.get("manifest") is None
        assert made.describe("arithmetic")["manifest"]["name"] == "arithmetic"
        with pytest.raises(ProblemError) as caught:
            made.encode(grey(1), model="other")
        assert caught.value.code == "unknown_model"


def test_the_client_names_its_model(tmp_path: Path) -> None:
    """The model of a call goes before that of the client, and may have a version."""
    for name, version in (("first", 1), ("second", 1), ("second", 2)):
        arithmetic_bundle.write(tmp_path, name=name, version=version)
    transport = InProcess(Settings(repository=str(tmp_path)))
    with Client(transport=transport, model="first") as made:
        assert made.encode(grey(1)).model == "first"
        answers = [made.encode(grey(1), model=name) for name in ("second", "second/1")]
        assert [(one.model, one.version) for one in answers] == [("second", 2), ("second", 1)]


def test_images_are_split_and_joined_in_order(repository: Path) -> None:
    """What a server takes at most is learned from its refusal, and kept for the next call."""
    levels = list(range(0, 250, 10))
    with service(repository, max_pictures=10) as (made, transport):
        encoded = made.encode(grey(*levels))
        np.testing.assert_allclose(encoded.mean[:, 0] * 255, levels, atol=1e-4)
        assert len(encoded.pictures) == 25
        assert len(transport.asked) == 1 + 3
        made.encode(grey(*levels))
        assert len(transport.asked) == 4 + 3


def test_bodies_are_split_too(repository: Path, tmp_path: Path) -> None:
    """Images that a body has no room for go in several."""
    noise = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 1), dtype=np.uint8)
    with service(repository, max_body_bytes=4096) as (made, _):
        expected = [made.encode(one[None]).mean[0] for one in noise]
        np.testing.assert_array_equal(made.encode(noise).mean, expected)


def test_a_request_above_the_queue_is_halved(repository: Path) -> None:
    """Work that the whole queue has no room for is done in parts."""
    with service(repository, queue_pixels=16 * 3) as (made, transport):
        assert made.encode(grey(*range(8))).mean.shape == (8, 2)
        assert len(transport.asked) == 2 + 4


def test_latents_are_split_too(repository: Path) -> None:
    """More latents than one request takes are decoded in parts, in order."""
    latents = np.linspace(0, 1, 20, dtype=np.float32).reshape(10, 2)
    with service(repository) as (made, _):
        whole = made.decode(latents).images
    with service(repository, max_n=3) as (made, transport):
        np.testing.assert_array_equal(made.decode(latents).images, whole)
        assert len(transport.asked) == 1 + 4


def test_the_index_of_a_bad_image_is_its_place_in_the_call(repository: Path) -> None:
    """An image that a later request is refused for is named by its place among all."""
    with service(repository, max_pictures=2) as (made, _):
        with pytest.raises(ProblemError) as caught:
            made.encode([png(1)] * 3 + [b"broken"])
        assert (caught.value.code, caught.value.index) == ("invalid_picture", 3)


def test_long_draws_are_streamed(repository: Path) -> None:
    """A stream of more images than other answers hold has the same rows."""
    with service(repository) as (made, _):
        whole = made.sample(10, seed=7, temperature=0.5, latents=True)
        assert made.sample(10, seed=7, temperature=0.5).latents is None
    with service(repository, max_n=4) as (made, _):
        streamed = made.sample(10, seed=7, temperature=0.5)
        unseeded = made.sample(10)
        with pytest.raises(ProblemError, match="1 … 4"):
            made.sample(10, latents=True)
    assert streamed.seed == 7
    np.testing.assert_array_equal(streamed.images, whole.images)
    assert unseeded.images.shape == (10, 4, 4, 1)


def test_samples_have_the_size_that_is_asked_for(maps: Path) -> None:
    """Of a model of many sizes, streamed or not, with the same rows."""
    with service(maps) as (made, _):
        whole = made.sample(10, seed=7, temperature=0.5, height=16, width=4, latents=True)
        assert made.sample(2).images.shape == (2, 8, 12, 3)
    with service(maps, max_n=4) as (made, _):
        streamed = made.sample(10, seed=7, temperature=0.5, height=16, width=4)
    assert whole.images.shape == (10, 16, 4, 3)
    np.testing.assert_array_equal(streamed.images, whole.images)


def test_seeded_bounds_are_not_split(repository: Path) -> None:
    """A seed whose rows would depend on the splitting is refused, and without one it is told."""
    with service(repository, max_pictures=2) as (made, _):
        with pytest.raises(ProblemError, match="at most 2"):
            made.reconstruct(grey(1, 2, 3), elbo_samples=2, seed=1)
        bounds = made.reconstruct(grey(1, 2, 3), elbo_samples=2).bounds
    assert bounds is not None
    assert bounds.elbo.shape == (3,)
    first, second, third = bounds.seed.tolist()
    assert first == second != third


def test_parts_of_two_versions_are_not_joined() -> None:
    """A model that is replaced in the middle of a call is an error, not a mixture."""
    answers = [
        httpx.Response(
            200,
            json={
                "model": "m",
                "version": version,
                "mean": [[0.0]] * 64,
                "logvar": [[0.0]] * 64,
                "pictures": [],
            },
        )
        for version in (1, 2)
    ]
    with (
        client(Script(*answers), Time()) as made,
        pytest.raises(ResponseError, match=r"m/1 .* m/2"),
    ):
        made.encode(grey(*range(65)))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((1, 1, 4, 4, 1), np.uint8), "n, h, w, c"),
        (np.zeros((1, 4, 4, 2), np.uint8), "c of 1 or 3"),
        (np.full((1, 4, 4, 1), 2, np.float32), "0 … 1"),
        (np.zeros((1, 4, 4, 1), np.int64), "uint8 or float"),
        (np.zeros((0, 4, 4, 1), np.uint8), "no image"),
        ([], "no image"),
        ([3], "not int"),
    ],
)
def test_what_are_no_images_is_not_sent(images: Any, words: str) -> None:
    """Arrays that can't be images are refused before anything is asked."""
    script = Script(httpx.ConnectError("refused"))
    with client(script, Time()) as made, pytest.raises((TypeError, ValueError), match=words):
        made.encode(images)
    assert not script.requests


def test_scores_are_read() -> None:
    """Nulls become NaN in an array and None in its place."""
    members = {
        "model": "m",
        "version": 3,
        "elbo": [-5.0],
        "reconstruction": [-4.0],
        "kl": [1.0],
        "importance_weighted": [-4.5],
        "samples": 1,
        "seed": 9,
        "likelihood": "gaussian",
        "binarised": None,
        "dimensions": 16,
        "unit": "nats",
        "standard_error": [None],
        "effective_sample_size": [1.0],
        "bits_per_dimension": None,
        "nats_per_dimension": [0.3],
        "percentile": [12.5],
        "pictures": [{"width": 4, "height": 4, "mode": "L", "steps": ["resized"]}],
    }
    script = Script(httpx.Response(200, json=members))
    with client(script, Time()) as made:
        scores = made.score(grey(1), samples=1, seed=9, binarise="threshold", model="m/3")
    query = dict(script.requests[0].url.params)
    assert query == {
        "model": "m", "version": "3", "samples": "1", "seed": "9", "binarise": "threshold"
    }  # fmt: skip
    assert np.isnan(scores.standard_error).all()
    assert scores.bits_per_dimension is None
    assert scores.nats_per_dimension is not None
    assert scores.percentile is not None
    assert scores.percentile.tolist() == [12.5]
    assert scores.pictures[0].steps == ("resized",)


def test_images_are_scored(repository: Path) -> None:
    """The application's figures come as arrays, and with a seed they come again."""
    with service(repository) as (made, _):
        scores = made.score(grey(0, 255), samples=32, seed=9)
        again = made.score(grey(0, 255), samples=32, seed=9)
        unseeded = made.score(grey(0, 255))
    bounds = scores
    np.testing.assert_array_equal(bounds.importance_weighted, again.importance_weighted)
    np.testing.assert_allclose(bounds.kl, [0, 1], atol=1e-6)
    assert (bounds.samples, bounds.seed.tolist(), bounds.dimensions) == (32, [9, 9], 16)
    assert scores.bits_per_dimension is None
    assert scores.nats_per_dimension is not None
    np.testing.assert_allclose(scores.nats_per_dimension, -bounds.importance_weighted / 16)
    assert (scores.standard_error > 0).all()
    assert unseeded.samples == 64


def test_interpolations_go_from_one_end_to_the_other(repository: Path) -> None:
    """Between images, latents and seeds, as arrays and as a file."""
    with service(repository) as (made, _):
        between = made.interpolate(grey(0, 255), steps=3, path="linear")
        np.testing.assert_array_equal(between.images[::2], grey(0, 255))
        np.testing.assert_allclose(
            between.latents, np.array([[0, 0], [0.5, 0.5], [1, 1]]), atol=1e-6
        )
        ends = np.array([[0, 1], [1, 0]], np.float32)
        np.testing.assert_array_equal(made.interpolate(latents=ends).latents[[0, -1]], ends)
        drawn = made.sample(seed=3, latents=True).latents
        assert drawn is not None
        np.testing.assert_array_equal(made.interpolate(seeds=(3, 4)).latents[0], drawn[0])
        file = made.interpolate_file("gif", grey(0, 255), steps=4, bounce=True)
    with Image.open(io.BytesIO(file.content)) as image:
        assert (image.format, image.size) == ("GIF", (4, 4))


def test_ends_of_an_interpolation_are_sent_as_they_are_given() -> None:
    """Images go as files with options in the query, latents and seeds as JSON."""
    script = Script(
        httpx.Response(
            200, content=b"GIF89a", headers={"X-VAE-Model": "m/1", "Content-Type": "image/gif"}
        )
    )
    with client(script, Time()) as made:
        made.interpolate_file("gif", grey(1, 2), steps=5, bounce=True)
        made.interpolate_file("png", seeds=(1, 2), path="linear")
        made.interpolate_file("webp", latents=np.zeros((2, 2), np.float32))
        with pytest.raises(ValueError, match="two endpoints"):
            made.interpolate(grey(1))
        with pytest.raises(ValueError, match="two endpoints"):
            made.interpolate(grey(1, 2), seeds=(1, 2))
    files, seeds, latents = script.requests
    assert dict(files.url.params) == {"steps": "5", "bounce": "true"}
    assert files.headers["content-type"].startswith("multipart/form-data")
    assert files.headers["accept"] == "image/gif"
    assert json.loads(seeds.content) == {"path": "linear", "seeds": [1, 2]}
    sent = np.load(io.BytesIO(latents.content))
    assert (sent.shape, latents.headers["content-type"]) == ((2, 2), "application/x-npy")


def test_awaited_verbs_are_the_same(repository: Path) -> None:
    """The asyncio client gives what the other gives, calls side by side."""

    async def ask() -> tuple[Any, list[float]]:
        async with running(repository) as app:
            await loaded(app)
            transport = httpx.ASGITransport(app)
            async with AsyncClient(transport=transport) as made:
                samples, encoded = await asyncio.gather(
                    made.sample(3, seed=7), made.encode(grey(51))
                )
                return samples.images, encoded.mean[0].tolist()

    images, mean = asyncio.run(ask())
    with service(repository) as (made, _):
        np.testing.assert_array_equal(made.sample(3, seed=7).images, images)
    assert mean == pytest.approx([0.2, 0.2])


def test_both_clients_have_the_same_verbs() -> None:
    """A method of one is a method of the other, with the same parameters."""
    methods = [
        {name for name in vars(one) if not name.startswith("_")} for one in (Client, AsyncClient)
    ]
    assert methods[0] == methods[1]
    for name in methods[0]:
        first, second = (inspect.signature(getattr(one, name)) for one in (Client, AsyncClient))
        assert first.parameters == second.parameters


def test_every_option_of_the_service_is_an_option_of_the_client() -> None:
    """The verbs and options of the OpenAPI document are those of the client, and no others."""
    paths = create_app(Settings()).openapi()["paths"]
    ours = {
        "sample": set(SampleOptions.__annotations__) | {"n"},
        "encode": set(Options.__annotations__),
        "decode": set(Options.__annotations__),
        "reconstruct": set(ReconstructOptions.__annotations__),
        "score": set(ScoreOptions.__annotations__),
        "interpolate": set(AnimationOptions.__annotations__),
    }
    native = {
        path[1:]
        for path, routes in paths.items()
        if "VAE" in routes.get("post", {}).get("tags", [])
    }
    assert set(ours) == native
    for verb, options in ours.items():
        served = {item["name"] for item in paths[f"/{verb}"]["post"]["parameters"]}
        bodies = {"latents_near", "latents", "seeds"}
        assert options - bodies == (served - {"version"})
    for verb, option, choices in (("score", "binarise", Binarise), ("interpolate", "path", Way)):
        (item,) = [one for one in paths[f"/{verb}"]["post"]["parameters"] if one["name"] == option]
        (enum,) = [
            one["enum"] for one in item["schema"].get("anyOf", [item["schema"]]) if "enum" in one
        ]
        assert set(enum) == set(get_args(choices))


def test_arrays_and_files_of_every_kind_are_one_image(repository: Path, tmp_path: Path) -> None:
    """Paths, bytes, file objects, Pillow images and arrays of bytes or floats encode alike."""
    path = tmp_path / "grey.png"
    path.write_bytes(png(51))
    level = np.full((4, 4), 51, np.uint8)
    forms = [
        path,
        str(path),
        png(51),
        io.BytesIO(png(51)),
        Image.fromarray(level),
        level,
        level / 255,
    ]
    with service(repository) as (made, _):
        for form in (*forms, level[..., None], level[None], forms[:2]):
            np.testing.assert_allclose(made.encode(form).mean[0], [0.2, 0.2], atol=1e-6)  # type: ignore[arg-type]


def test_results_are_short_in_a_notebook(repository: Path) -> None:
    """A result's text has shapes in place of arrays, and images show as a PNG."""
    with service(repository) as (made, _):
        drawn = made.sample(3, seed=7, latents=True)
    assert len(repr(drawn)) < 300
    assert "uint8 [3, 4, 4, 1]" in repr(drawn)
    shown = drawn.images._repr_png_()
    assert shown is not None
    assert shown.startswith(b"\x89PNG")
    assert np.asarray(drawn.images).shape == (3, 4, 4, 1)


def test_it_draws_around_images_and_latents(repository: Path) -> None:
    """`latents_near` is an image or a latent, at a radius."""
    with service(repository) as (made, _):
        image = made.sample(2, seed=1, latents_near=grey(51), radius=0.5)
        latent = made.sample(2, seed=1, latents_near=np.array([0.2, 0.2], np.float32), radius=0.5)
    assert image.latents_near is not None
    assert latent.latents_near is not None
    assert (image.latents_near.unit, latent.latents_near.unit) == ("posterior", "prior")
    np.testing.assert_allclose(image.latents_near.center, [0.2, 0.2], atol=1e-6)


def test_the_wheel_works_beside_a_project_with_an_app_of_its_own(tmp_path: Path) -> None:
    """The package `vaeserve` of the wheel imports nothing of the service, whose `app` is hidden."""
    builder = (
        "from hatchling.build import build_wheel; print(build_wheel(__import__('sys').argv[1]))"
    )
    root = Path(__file__).parents[2]
    built = subprocess.run(
        [sys.executable, "-c", builder, str(tmp_path)],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    wheel = tmp_path / built.stdout.split()[-1]
    project, installed = tmp_path / "project", tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    (project / "app").mkdir(parents=True)
    (project / "app" / "__init__.py").write_text("mine = True\n")
    code = (
        "import app, vaeserve; from vaeserve import Client, AsyncClient; "
        "assert app.mine; Client('http://127.0.0.1:9').close(); print(vaeserve.__file__)"
    )
    path = os.pathsep.join([str(project), str(installed)])
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert str(installed) in ran.stdout
