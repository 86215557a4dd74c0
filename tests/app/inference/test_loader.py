"""The loader: which bundles may serve, and what it says of the others."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.inference import loader
from app.inference.loader import SLOW_ROW_SECONDS, load
from model import runtime
from model.bundle.bundle import DECODER, ENCODER, GOLDEN, Bundle, BundleError, write_bundle
from model.bundle.manifest import GoldenSpec, GraphSpec, InputSpec, LatentSpec, TensorSpec
from model.runtime import CPU, CUDA, Graph, GraphError
from tests import arithmetic_bundle, arithmetic_maps
from tests.arithmetic_bundle import LATENT, SIZE

NAMES = ("image", "mean", "logvar", "latent", "pixels", "params")


def written(root: Path, files: dict[str, bytes] | None = None, **changes: Any) -> Bundle:
    """The arithmetic bundle with other files or members of its manifest."""
    content = {
        ENCODER: arithmetic_bundle.encoder(),
        DECODER: arithmetic_bundle.decoder(),
        GOLDEN: arithmetic_bundle.golden(),
    }
    manifest = arithmetic_bundle.manifest(**changes)
    return write_bundle(root, manifest, content | (files or {}))


def test_loads_and_measures(tmp_path: Path) -> None:
    """A sound bundle loads on the CPU with the run time of a row of each graph."""
    loaded = load(arithmetic_bundle.write(tmp_path), "cpu", cores=2)
    assert (loaded.name, loaded.version, loaded.provider) == ("arithmetic", 1, CPU)
    assert 0 < loaded.encoder_row_seconds < SLOW_ROW_SECONDS
    assert 0 < loaded.decoder_row_seconds < SLOW_ROW_SECONDS
    assert not loaded.own_lane


def test_a_bundle_of_many_sizes_is_measured_by_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The golden batch is 4×4; a row of the default 8×12 takes six times as long."""
    bundle = arithmetic_maps.write(tmp_path)
    monkeypatch.setattr(loader, "_seconds_of_a_row", lambda graph, rows: 0.001)
    loaded = load(bundle, "cpu", cores=1)
    assert loaded.encoder_row_seconds == loaded.decoder_row_seconds == pytest.approx(0.006)


def test_graphs_of_one_size_can_not_serve_many(tmp_path: Path) -> None:
    """A manifest with a range needs graphs whose axes vary."""
    spec = arithmetic_bundle.manifest().encoder
    with pytest.raises(
        BundleError, match=r"encoder: has the inputs .*expected one input \(3, -1, -1\)"
    ):
        load(arithmetic_maps.write(tmp_path, encoder=spec), "cpu", cores=1)


def test_one_slow_graph_gives_the_model_a_lane_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder slower than 50 ms is no work for the shared lanes, however fast the encoder is."""

    def measure(graph: Graph, rows: Any) -> float:
        return SLOW_ROW_SECONDS * (1.1 if graph.inputs[0][0] == "latent" else 0.1)

    monkeypatch.setattr(loader, "_seconds_of_a_row", measure)
    assert load(arithmetic_bundle.write(tmp_path), "cpu", cores=1).own_lane


def test_a_model_on_a_gpu_has_a_lane_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast its rows are, they do not wait among those of the CPU."""
    graph = runtime.Graph

    def on_the_cpu(model: bytes, *, provider: str, threads: int) -> Any:
        assert (provider, threads) == (CUDA, 1)
        return graph(model, provider=CPU, threads=threads)

    tolerance = dict.fromkeys(("mean", "logvar", "pixels", "params"), 1e-3)
    bundle = written(tmp_path, golden=GoldenSpec(tolerance={CUDA: tolerance}))
    monkeypatch.setattr(loader, "choose_provider", lambda wanted: CUDA)
    monkeypatch.setattr(loader, "Graph", on_the_cpu)
    assert load(bundle, "auto", cores=4).own_lane


def test_a_slow_model_keeps_its_lane_when_all_cores_help_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow on one core, it gets a thread for each core, and is not measured out of its lane."""
    threads: list[int] = []
    graph = runtime.Graph

    def count(model: bytes, **options: Any) -> Any:
        threads.append(options["threads"])
        return graph(model, **options)

    def measure(graph: Graph, rows: Any) -> float:
        return 1.5 * SLOW_ROW_SECONDS / threads[-1]

    monkeypatch.setattr(loader, "Graph", count)
    monkeypatch.setattr(loader, "_seconds_of_a_row", measure)
    loaded = load(arithmetic_bundle.write(tmp_path), "cpu", cores=2)
    assert threads == [1, 1, 2, 2]
    assert loaded.own_lane
    assert loaded.decoder_row_seconds < SLOW_ROW_SECONDS


@pytest.mark.parametrize("name", ["mean", "logvar", "pixels", "params"])
def test_a_golden_batch_that_is_not_reproduced_is_refused(tmp_path: Path, name: str) -> None:
    """An answer beyond its tolerance names the output, the difference and what is allowed."""
    with np.load(io.BytesIO(arithmetic_bundle.golden())) as archive:
        changed = archive[name] + np.float32(0.01)
    bundle = written(tmp_path, {GOLDEN: arithmetic_bundle.golden(**{name: changed})})
    with pytest.raises(BundleError, match=rf"{name} differs from the golden batch by 0\.01"):
        load(bundle, "cpu", cores=1)


def test_an_answer_that_is_no_number_is_refused(tmp_path: Path) -> None:
    """NaN is beyond every tolerance."""
    nan = np.full((2, LATENT), np.nan, dtype=np.float32)
    bundle = written(tmp_path, {GOLDEN: arithmetic_bundle.golden(mean=nan)})
    with pytest.raises(BundleError, match="differs"):
        load(bundle, "cpu", cores=1)


def _archive(**arrays: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # NumPy types **kwargs as bool
    return file.getvalue()


def _array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no archive",
        _array(),
        _archive(image=np.zeros((1, 1, SIZE, SIZE))),
        _archive(**dict.fromkeys(NAMES, np.zeros(()))),
        arithmetic_bundle.golden(image=np.zeros((2, 1, 3, 3), np.float32)),
        arithmetic_bundle.golden(
            image=np.zeros((0, 1, SIZE, SIZE), np.float32),
            mean=np.zeros((0, LATENT), np.float32),
            logvar=np.zeros((0, LATENT), np.float32),
        ),
    ],
    ids=["empty", "no archive", "one array", "member missing", "scalars", "shape", "no rows"],
)
def test_a_golden_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever the golden file holds, the bundle is refused in words that name its folder."""
    with pytest.raises(BundleError, match="arithmetic"):
        load(written(tmp_path, {GOLDEN: content}), "cpu", cores=1)


def test_a_missing_tolerance_is_refused(tmp_path: Path) -> None:
    """A manifest without a tolerance for an output does not pass the check by silence."""
    golden = GoldenSpec(tolerance={CPU: {"mean": 1e-4, "logvar": 1e-4, "pixels": 1e-4}})
    with pytest.raises(BundleError, match="no tolerance for params"):
        load(written(tmp_path, golden=golden), "cpu", cores=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"input": InputSpec(channels=1, height=9, width=9, order="L"), "likelihood": None},
            r"encoder: has the inputs .*, expected one input \(1, 9, 9\)",
        ),
        ({"latent": LatentSpec(shape=(7,))}, r"encoder: has the outputs .*\(7,\)"),
        ({"latent": LatentSpec(shape=(LATENT,), scaling=0.5)}, "scaling and shift"),
        (
            {
                "decoder": GraphSpec(
                    inputs=(TensorSpec(name="latent", shape=(LATENT,)),),
                    outputs=(TensorSpec(name="picture", shape=(1, SIZE, SIZE)),),
                )
            },
            "decoder: has the outputs",
        ),
    ],
)
def test_a_manifest_that_fits_no_engine_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    """Names and shapes that the service can't work with are found when loading, not serving."""
    with pytest.raises(BundleError, match=words):
        load(written(tmp_path, **changes), "cpu", cores=1)


def test_graphs_other_than_described_are_refused(tmp_path: Path) -> None:
    """A graph whose tensors are not those of the manifest is named with both."""
    files = {ENCODER: arithmetic_bundle.decoder()}
    with pytest.raises(BundleError, match=r"encoder\.onnx: has the inputs .*the manifest says"):
        load(written(tmp_path, files), "cpu", cores=1)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    """A file that onnxruntime can't read is named."""
    with pytest.raises(BundleError, match=r"decoder\.onnx: onnxruntime can't load"):
        load(written(tmp_path, {DECODER: b"no graph"}), "cpu", cores=1)


def test_cuda_is_never_replaced_in_silence(tmp_path: Path) -> None:
    """Where CUDA is asked for and not there, loading fails and says what there is."""
    with pytest.raises(GraphError, match="CUDA was requested"):
        load(arithmetic_bundle.write(tmp_path), "cuda", cores=1)


def test_auto_falls_back_where_cuda_is_offered_and_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`auto` serves on the CPU when CUDA fails, and the log says why."""
    monkeypatch.setattr(loader, "choose_provider", lambda wanted: CUDA)
    loaded = load(arithmetic_bundle.write(tmp_path), "auto", cores=1)
    assert loaded.provider == CPU
    assert "CUDA is offered and does not work" in caplog.text
