"""Every figure is an image of the right thing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from model import pixels
from model.pixels import Floats
from model.runtime import Graph
from tests.training import runs
from training.errors import StageError
from training.export.graphs import Graphs, load_graphs, read_export
from training.reports.plots import (
    draw_latent,
    draw_loss,
    draw_reconstructions,
    draw_traversals,
    figures,
)
from training.workdir import Workdir, write_json


class Recorder:
    """Stands where a graph stands, and remembers the rows it is given."""

    def __init__(self) -> None:
        self.rows: list[Floats] = []

    def run(self, rows: Floats, outputs: Sequence[str] | None = None) -> list[Any]:
        self.rows.append(rows)
        return [np.zeros((len(rows), 1, 2, 2), np.float32)]


def rendered(figure: Figure) -> Image.Image:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return Image.open(file)


def test_the_stage_writes_every_figure(finished: Workdir) -> None:
    """Five PNG files, none of them blank."""
    names = {"loss", "latent", "reconstructions", "samples", "traversals"}

    assert {path.stem for path in finished.figures.glob("*.png")} == names
    for name in names:
        with Image.open(finished.figures / f"{name}.png") as image:
            assert min(image.size) > 200
            low, high = image.convert("L").getextrema()
            assert cast(int, high) - cast(int, low) > 100


@pytest.mark.parametrize("count", [1, 7, 16, 20, 32, 35])
def test_reconstructions_lie_under_their_inputs(finished: Workdir, count: int) -> None:
    """Each input stands above the decoding of its posterior mean, however many there are."""
    graphs = load_graphs(read_export(finished))
    targets = (np.random.default_rng(0).random((count, 1, 28, 28)) > 0.5).astype(np.float32)
    columns = min(16, count)

    grid = draw_reconstructions(graphs, targets)

    def cell(row: int, column: int) -> Any:
        top, left = 2 + row * 30, 2 + column * 30
        return grid[top : top + 28, left : left + 28]

    expected = pixels.to_uint8(graphs.decoder.run(graphs.encoder.run(targets)[0])[0])
    for index in range(count):
        row, column = 2 * (index // columns), index % columns
        np.testing.assert_array_equal(cell(row, column), pixels.to_uint8(targets)[index])
        np.testing.assert_array_equal(cell(row + 1, column), expected[index])
    assert grid.shape == (2 + 60 * -(-count // columns), 2 + 30 * columns, 1)


def test_traversals_change_one_dimension_at_a_time() -> None:
    """Each row runs through one of the most informative dimensions and keeps the others."""
    decoder = Recorder()
    start = np.array([0.1, 0.2, 0.3], np.float32)

    draw_traversals(Graphs(cast(Graph, None), cast(Graph, decoder)), start, [0.5, 9.0, 2.0])

    latents = decoder.rows[0].reshape(3, 13, 3)
    for row, dimension in enumerate((1, 2, 0)):
        others = [index for index in range(3) if index != dimension]
        np.testing.assert_allclose(latents[row, :, dimension], np.linspace(-3, 3, 13), rtol=1e-6)
        assert (latents[row][:, others] == start[others]).all()


@pytest.mark.parametrize("dimensions", [1, 2, 5])
@pytest.mark.parametrize("classes", [(), ("a", "b"), tuple(str(i) for i in range(30))])
def test_the_latent_space_in_two_dimensions(dimensions: int, classes: tuple[str, ...]) -> None:
    """Posterior means of any size are drawn, with and without classes."""
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((50, dimensions), dtype=np.float32)
    labels = rng.integers(0, len(classes), 50) if classes else np.empty(0, np.int64)

    figure = draw_latent(mean, labels, classes)

    legend = figure.axes[0].get_legend()
    assert rendered(figure).size == (960, 840)
    assert (legend is not None) == (1 < len(classes) <= 20)
    drawn = sum(len(cast(Any, points).get_offsets()) for points in figure.axes[0].collections)
    assert drawn == 50


def test_one_image_is_a_point() -> None:
    """One test image is drawn, though one point has no principal components."""
    figure = draw_latent(np.ones((1, 5), np.float32), np.zeros(1, np.int64), ())

    offsets = cast(Any, figure.axes[0].collections[0]).get_offsets()
    np.testing.assert_array_equal(offsets, [[0, 0]])


@pytest.mark.parametrize("name", ["$x^$", "$", r"\$\frac$"])
def test_a_class_s_name_is_no_formula(name: str) -> None:
    """Whatever a class is called stands in the legend as it is."""
    mean = np.eye(2, dtype=np.float32)

    figure = draw_latent(mean, np.arange(2), (name, "other"))

    assert rendered(figure).size == (960, 840)


def test_two_dimensions_are_drawn_as_they_are() -> None:
    """A latent of two dimensions needs no projection."""
    mean = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)

    axes = draw_latent(mean, np.empty(0, np.int64), ()).axes[0]

    np.testing.assert_array_equal(cast(Any, axes.collections[0]).get_offsets(), mean)
    assert axes.get_xlabel() == "z₁"


@pytest.mark.parametrize("epochs", [1, 2, 60])
@pytest.mark.parametrize("validation", [None, -91.0])
def test_loss_curves(epochs: int, validation: float | None) -> None:
    """The bound and its parts by epoch; the validation bound where there is one."""
    log = [
        {"epoch": epoch, "elbo": -90.0, "log_likelihood": -65.0, "kl": 25.0}
        | ({"validation_elbo": validation} if validation else {})
        for epoch in range(1, epochs + 1)
    ]

    figure = draw_loss(cast(Any, log))

    assert rendered(figure).size == (1440, 480)
    assert [axes.get_title() for axes in figure.axes] == ["ELBO", "log p(x|z)", "KL"]
    assert len(figure.axes[0].lines) == (2 if validation else 1)


def test_figures_need_the_measured_run(finished: Workdir, tmp_path: Any) -> None:
    """Before evaluation the error says which stage comes first."""
    workdir = Workdir(tmp_path)
    write_json(workdir.config, runs.config(tmp_path).model_dump(mode="json"))
    for name in ("encoder", "decoder", "golden", "export"):
        getattr(workdir, name).write_bytes(getattr(finished, name).read_bytes())

    with pytest.raises(StageError, match="run `vaetrain evaluate`"):
        figures(tmp_path)
