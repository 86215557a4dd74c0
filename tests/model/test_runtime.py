"""No telemetry, no spinning, and the provider that was asked for or an error."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort
import pytest

from model.runtime import CPU, CUDA, Graph, GraphError, choose_provider
from tests import arithmetic_bundle
from tests.arithmetic_bundle import LATENT, SIZE

ROOT = Path(__file__).parent.parent.parent
LATENTS = np.array([[0.25, 9.0], [1.5, -9.0]], dtype=np.float32)


@pytest.mark.parametrize("before", [None, "0"])
def test_telemetry_is_off_before_onnxruntime_is_imported(
    tmp_path: Path, before: str | None
) -> None:
    """onnxruntime, which reads the variable when it is imported, finds it set."""
    stand_in = "import os; print(os.environ.get('ORT_DISABLE_TELEMETRY'))"
    (tmp_path / "onnxruntime.py").write_text(stand_in)
    environment = {key: value for key, value in os.environ.items() if key[:4] != "ORT_"}
    environment |= {} if before is None else {"ORT_DISABLE_TELEMETRY": before}

    finished = subprocess.run(
        [sys.executable, "-c", "import model.runtime"],
        env={**environment, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert finished.stdout.split() == ["1"]


def test_a_graph_tells_its_tensors_and_runs() -> None:
    """Names, types and shapes are the file's; outputs come as asked for, all by default."""
    graph = Graph(arithmetic_bundle.decoder())

    everything = graph.run(LATENTS)
    (params,) = graph.run(LATENTS, ["params"])

    image = (1, SIZE, SIZE)
    assert graph.inputs == (("latent", "tensor(float)", ("batch", LATENT)),)
    assert [name for name, _, _ in graph.outputs] == ["pixels", "params"]
    assert graph.outputs[0][2] == ("batch", *image)
    np.testing.assert_array_equal(everything[1], params)
    np.testing.assert_array_equal(params[:, 0, 0, 0], [0.25, 1.5])
    np.testing.assert_array_equal(everything[0][:, 0, 0, 0], [0.25, 1.0])


def test_threads_may_share_a_graph() -> None:
    """Runs from several threads at once give each its own rows."""
    graph = Graph(arithmetic_bundle.decoder())
    rows = [np.full((3, LATENT), value, np.float32) for value in range(50)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda latents: graph.run(latents, ["params"])[0], rows))

    assert [set(answer.ravel().tolist()) for answer in answers] == [{float(n)} for n in range(50)]


@pytest.mark.parametrize("threads", [1, 2])
def test_no_thread_spins(threads: int) -> None:
    """A session has the threads it was given, and they sleep while there is no work."""
    graph = Graph(arithmetic_bundle.encoder(), threads=threads)

    options = graph._session.get_session_options()

    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)


@pytest.mark.parametrize("content", [b"", b"no graph", arithmetic_bundle.decoder()[:-50]])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    """Bytes that are no ONNX graph are a GraphError, whatever onnxruntime raises."""
    with pytest.raises(GraphError, match="can't load the graph"):
        Graph(content)


def test_another_provider_than_asked_for_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime falls back to the CPU with a warning; here that is an error."""
    session = ort.InferenceSession

    def falls_back(model: bytes, options: object, **_: object) -> ort.InferenceSession:
        return session(model, options, providers=[CPU])

    monkeypatch.setattr(ort, "InferenceSession", falls_back)

    with pytest.raises(GraphError, match=f"used {CPU} instead of {CUDA}"):
        Graph(arithmetic_bundle.decoder(), provider=CUDA)


def test_a_provider_that_is_not_there_is_an_error() -> None:
    """The real onnxruntime, asked for a provider that it has not, makes no graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(GraphError):
            Graph(arithmetic_bundle.decoder(), provider="NoSuchExecutionProvider")


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("cpu", [CUDA, CPU], CPU),
        ("cpu", [CPU], CPU),
        ("auto", [CPU], CPU),
        ("auto", [CUDA, CPU], CUDA),
        ("cuda", [CUDA, CPU], CUDA),
    ],
)
def test_the_provider_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
    wanted: Literal["auto", "cpu", "cuda"],
    offered: list[str],
    chosen: str,
) -> None:
    """`auto` takes CUDA where it is offered; the others take what they say."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: offered)
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)

    assert choose_provider(wanted) == chosen


def test_cuda_that_is_not_offered_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for CUDA where there is none names what there is, and never ends on the CPU."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])

    with pytest.raises(GraphError, match=f"has only {CPU}; install onnxruntime-gpu"):
        choose_provider("cuda")
