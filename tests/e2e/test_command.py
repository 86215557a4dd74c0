"""`vaeserve` as a command: a process, its exit code, and what it writes where."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli.exits import Exit
from tests import arithmetic_bundle
from tests.e2e.process import PATIENCE, ROOT, server


@pytest.fixture(scope="module", name="repository")
def _repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    arithmetic_bundle.write(root)
    return root


@pytest.fixture(scope="module", name="url")
def _url(repository: Path) -> Iterator[str]:
    with server(repository) as (process, port):
        process.wait_for("serves on")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for level in range(5):
        Image.new("L", (4, 4), 51 * level).save(folder / f"{level}.png")
    return folder


def environment(**values: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VAE_")}
    return clean | values


def begin(*arguments: object, **values: str) -> subprocess.Popen[str]:
    """Starts the command so that Ctrl-C ends it. A test run in a shell's background ignores
    SIGINT, and its children would too."""
    return subprocess.Popen(
        [sys.executable, "-m", "app", *map(str, arguments)],
        cwd=ROOT,
        env=environment(**values),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(*arguments: object, **values: str) -> subprocess.CompletedProcess[str]:
    with begin(*arguments, **values) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(
        [str(one) for one in arguments], process.returncode, out, err
    )


def test_a_running_service_and_this_process_give_the_same(
    url: str, repository: Path, folder: Path, tmp_path: Path
) -> None:
    """Latents are equal bit for bit from either; nothing is written to standard output."""
    there, here = tmp_path / "there.npz", tmp_path / "here.npz"
    remote = run("encode", folder, "-o", there, VAE_URL=url)
    local = run("encode", folder, "-o", here, VAE_REPOSITORY=str(repository))
    for one in (remote, local):
        assert (one.returncode, one.stdout, one.stderr) == (0, "", "")
    with np.load(there) as first, np.load(here) as second:
        for name in ("path", "mean", "logvar"):
            np.testing.assert_array_equal(first[name], second[name])
        assert first["mean"].shape == (5, 2)


def test_exit_codes_tell_what_happened(url: str, folder: Path, tmp_path: Path) -> None:
    """Done, wrong usage, skipped and no answer each have their code and a sentence."""
    output = tmp_path / "latents.csv"
    assert run("models", "--url", url).returncode == Exit.DONE
    assert run("encode", folder, "-o", "x.txt", "--url", url).returncode == Exit.USAGE
    (folder / "broken.png").write_bytes(b"broken")
    skipped = run("encode", folder, "-o", output, "--url", url)
    assert skipped.returncode == Exit.SKIPPED
    assert "broken.png" in skipped.stderr
    assert len(output.read_text().splitlines()) == 1 + 5
    nobody = run("models", "--url", "http://127.0.0.1:9", "--timeout", "0.5")
    assert nobody.returncode == Exit.NO_ANSWER
    assert "no response" in nobody.stderr
    assert "Traceback" not in nobody.stderr


def test_a_server_that_dies_midway_leaves_no_half_file(
    repository: Path, folder: Path, tmp_path: Path
) -> None:
    """The command ends with 4 and a sentence, and there is no output."""
    for number in range(60, 60 + 64):
        (folder / f"{number}.png").write_bytes((folder / "0.png").read_bytes())
    fifo = folder / "z.png"
    os.mkfifo(fifo)
    with server(repository) as (process, port):
        process.wait_for("serves on")
        url = f"http://127.0.0.1:{port}"
        command = begin(
            "encode", folder, "-o", tmp_path / "latents.npy", "--url", url, "--timeout", "1"
        )
        # Its first request is answered; it waits for the last image of the second.
        with fifo.open("wb") as writer:
            process.stop(signal.SIGKILL)
            writer.write((folder / "0.png").read_bytes())
        out, err = command.communicate(timeout=PATIENCE)
    assert (command.returncode, out) == (Exit.NO_ANSWER, "")
    assert url in err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_ctrl_c_ends_cleanly(repository: Path, folder: Path, tmp_path: Path) -> None:
    """An interrupted command ends with 130, says so, and leaves no file."""
    fifo = folder / "9.png"
    os.mkfifo(fifo)
    output = tmp_path / "latents.npy"
    command = begin("encode", folder, "-o", output, VAE_REPOSITORY=str(repository))
    with fifo.open("wb"):
        # It reads the fifo, whose writer never writes.
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=PATIENCE)
    assert command.returncode == Exit.INTERRUPTED
    assert err == "vaeserve: interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_reader_who_leaves_is_no_failure(url: str) -> None:
    """Into a closed pipe the command ends with 141 and without a word."""
    command = begin("models", "--json", "--url", url)
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()
    err = command.stderr.read()
    command.stderr.close()
    assert (command.wait(PATIENCE), err) == (Exit.NO_READER, "")


def test_serving_needs_no_command(repository: Path) -> None:
    """Settings alone serve, and so does `serve` with them; its help lists them."""
    for arguments in ((), ("serve",)):
        flags = ["--port", "0", "--repository", repository, "--workers", "1"]
        process = begin(*arguments, *flags)
        assert process.stdout is not None
        for line in process.stdout:
            if "running on" in line:
                break
        process.terminate()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    text = run("serve", "--help")
    assert text.returncode == 0
    assert "--max-pictures" in text.stdout


def test_commands_do_not_wait_for_what_they_do_not_need() -> None:
    """Asking a service loads neither its application nor what writes tables.

    What draws bars comes with httpx, which imports it for a command of its own.
    """
    heavy = ("onnxruntime", "fastapi", "pyarrow", "pydantic_settings")
    script = (
        "import sys; from app.__main__ import main\n"
        "code = main(['models', '--url', 'http://127.0.0.1:9', '--timeout', '0.1'])\n"
        f"print(code, [name for name in {heavy} if name in sys.modules])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert finished.stdout == "4 []\n", finished.stderr
