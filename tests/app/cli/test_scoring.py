"""`vaeserve score`: the worst first, against a service that answers over HTTP."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from python_multipart.multipart import parse_options_header

from app.cli.exits import Exit
from app.cli.main import main
from app.codecs.multipart import parts
from tests.app.cli.conftest import Run


class _Scores(BaseHTTPRequestHandler):
    """Scores an image of one grey level with minus that level; what is no image is refused."""

    def do_POST(self) -> None:
        _, parameters = parse_options_header(self.headers["Content-Type"])
        content = self.rfile.read(int(self.headers["Content-Length"]))
        files = parts(content, parameters[b"boundary"], field="images", max_parts=64)
        bounds: list[float] = []
        for index, file in enumerate(files):
            try:
                with Image.open(io.BytesIO(file)) as image:
                    bounds.append(-float(np.asarray(image).mean()))
            except OSError:
                detail = f"image {index}: it is broken"
                self._answer(
                    422,
                    {
                        "code": "invalid_picture",
                        "detail": detail,
                        "field": "images",
                        "index": index,
                    },
                )
                return
        self._answer(200, _scores(bounds))

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def _scores(bounds: list[float]) -> dict[str, Any]:
    nothing = [0.0] * len(bounds)
    return {
        "model": "m",
        "version": 1,
        "samples": 64,
        "seed": 5,
        "likelihood": "bernoulli",
        "binarised": "sample",
        "dimensions": 16,
        "unit": "nats",
        "elbo": bounds,
        "reconstruction": bounds,
        "kl": nothing,
        "importance_weighted": bounds,
        "standard_error": [None] * len(bounds),
        "effective_sample_size": [1.0] * len(bounds),
        "bits_per_dimension": nothing,
        "nats_per_dimension": None,
        "percentile": None,
        "pictures": [{"width": 4, "height": 4, "mode": "L", "steps": []}] * len(bounds),
    }


@pytest.fixture(name="url", scope="module")
def _url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Scores) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_least_typical_come_first(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lowest bounds are listed, no more than --top, each with its figures."""
    assert main(["score", str(folder), "--top", "2", "--url", url]) == Exit.DONE
    first, _, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("2 of 3 images, the least typical first; m/1, bernoulli")
    assert "16 dimensions in nats" in first
    assert [line.split()[-1] for line in lines] == [
        str(folder / "deep" / "c.png"),
        str(folder / "b.PNG"),
    ]
    assert lines[0].split()[:3] == ["–", "-255.00", "–"]


def test_tables_and_json_have_the_same_rows(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All images with --top 0, and what was skipped."""
    (folder / "broken.png").write_bytes(b"broken")
    common = ["score", str(folder), "--top", "0", "--url", url]
    assert main([*common, "--csv"]) == Exit.SKIPPED
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert main([*common, "--json"]) == Exit.SKIPPED
    document = json.loads(capsys.readouterr().out)
    assert [row["path"] for row in table] == [row["path"] for row in document["pictures"]]
    assert [float(row["importance_weighted"]) for row in table] == [-255, -51, 0]
    assert document["pictures"][0]["standard_error"] is None
    assert (document["scored"], document["samples"]) == (3, 64)
    assert document["skipped"] == [{"path": str(folder / "broken.png"), "reason": "it is broken"}]


def test_images_are_scored_without_a_service(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The application's own figures: the image that is farthest from the prior is the worst."""
    given = ("score", folder, "--samples", 1000, "--seed", 1, "--json", "--top", 1)
    assert run(*given) == Exit.DONE
    document = json.loads(capsys.readouterr().out)
    (worst,) = document["pictures"]
    assert worst["path"] == str(folder / "deep" / "c.png")
    assert worst["kl"] == pytest.approx(1)
    assert (document["scored"], document["samples"], document["likelihood"]) == (
        3,
        1000,
        "gaussian",
    )
