"""Supervised processes: started together, replaced one by one, and ended together."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.server.supervisor import LONGEST_PAUSE, Supervisor, pause

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0


class Supervised:
    """A supervisor with two workers of tests/app/supervised.py, and what they all print."""

    def __init__(self, folder: Path, behaviour: str, margin: float) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.app.supervised", "2", behaviour, str(margin)],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []

    def next(self, member: str, words: object) -> dict[str, Any]:
        """The next line with this member, whose text has the words; PATIENCE is pytest's affair."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if str(words) in str(self.lines[-1].get(member, "")):
                return self.lines[-1]
        raise AssertionError(f"no {member!r} with {words!r} in {self.lines}")

    def started(self) -> dict[int, int]:
        """The workers' processes by their numbers, once all serve."""
        self.next("message", "running on http://127.0.0.1:1 with 2 workers")
        self.next("message", "all workers are ready")
        return {line["number"]: line["pid"] for line in self.lines if "pid" in line}

    def wait(self) -> int:
        """The exit status; what was still printed is in `lines`."""
        with contextlib.suppress(AssertionError):
            self.next("message", "\0")  # never said: reads to the end, which all processes make
        return self.process.wait(PATIENCE)

    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines if "message" in line]


@contextlib.contextmanager
def supervised(
    folder: Path, behaviour: str = "serves", margin: float = PATIENCE
) -> Iterator[Supervised]:
    one = Supervised(folder, behaviour, margin)
    try:
        yield one
    finally:
        one.process.kill()
        one.wait()
        assert one.process.stdout is not None
        one.process.stdout.close()


def children(pid: int) -> dict[int, str]:
    """The states of a process's children by their numbers; Z is one that nobody reaped."""
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    stats = {int(pid): Path(f"/proc/{pid}/stat").read_text() for pid in pids}
    return {pid: stat.rpartition(")")[2].split()[0] for pid, stat in stats.items()}


def ended(pids: Iterable[int]) -> bool:
    """Waits for processes to end, reaped or not."""
    until = time.monotonic() + PATIENCE
    while any(_lives(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _lives(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_end_when_the_supervisor_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    """One signal to the supervisor ends every worker, leaves no file behind, and is a success."""
    with supervised(tmp_path) as one:
        workers = one.started()
        assert sorted(workers) == [1, 2]
        assert list(tmp_path.iterdir())
        assert set(children(one.process.pid)) == set(workers.values())
        one.process.send_signal(number)
        assert one.wait() == 0
        assert ended(workers.values())
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """A killed worker is named with what killed it; the next has its number, the others go on."""
    with supervised(tmp_path) as one:
        workers = one.started()
        os.kill(workers[2], signal.SIGKILL)
        line = one.next("message", "SIGKILL")
        assert f"worker 2 (process {workers[2]}) ended by SIGKILL" in line["message"]
        assert line["level"] == "error"
        replacement = one.next("number", 2)
        assert replacement["pid"] not in workers.values()
        assert replacement["replaces"]
        assert set(children(one.process.pid)) == {workers[1], replacement["pid"]}
        one.process.terminate()
        assert one.wait() == 0
    assert sum("running on" in message for message in one.messages()) == 1


def test_other_children_are_reaped_too(tmp_path: Path) -> None:
    """Process 1 of a container inherits children that are no workers; none stays a zombie."""
    with supervised(tmp_path) as one:
        workers = one.started()
        os.kill(workers[1], signal.SIGKILL)  # the supervisor looks after it, and then goes on
        one.next("number", 1)
        assert "Z" not in children(one.process.pid).values()


def test_a_worker_that_can_not_start_ends_all(tmp_path: Path) -> None:
    """When a first process ends before it serves, all end with its exit status."""
    with supervised(tmp_path, "fails") as one:
        assert one.wait() == 7
        pids = [line["pid"] for line in one.lines if "pid" in line]
        assert ended(pids)
    [message] = one.messages()
    assert message.endswith("ended with status 7 before it served; stopping")


def test_what_does_not_stop_is_killed(tmp_path: Path) -> None:
    """Workers that do not end are killed after a while, which is a failure and said."""
    with supervised(tmp_path, "stays", margin=0.2) as one:
        workers = one.started()
        one.process.terminate()
        assert one.wait() == 128 + signal.SIGKILL
        assert ended(workers.values())
    assert one.messages()[-1] == "workers did not stop within 0.2 s and are killed"


def test_a_second_interrupt_hurries(tmp_path: Path) -> None:
    """The first SIGINT reaches the workers as SIGTERM, the second as it is."""
    with supervised(tmp_path, "stays") as one:
        one.started()
        one.process.send_signal(signal.SIGINT)
        one.next("received", "SIGTERM")
        one.process.send_signal(signal.SIGINT)
        assert one.wait() == 0


@pytest.mark.parametrize(("behaviour", "left"), [("serves", 0), ("stays", 1)])
def test_no_worker_outlives_its_supervisor(tmp_path: Path, behaviour: str, left: int) -> None:
    """When the supervisor is killed the workers end too, even those that ignore signals.

    Those that end by themselves remove the temporary folder.
    """
    with supervised(tmp_path, behaviour, margin=0.2) as one:
        workers = one.started()
        one.process.kill()
        assert one.wait() == -signal.SIGKILL
        assert ended(workers.values())
    assert "the supervisor is gone; this worker stops" in one.messages()
    assert len(list(tmp_path.iterdir())) == left


def test_without_a_temporary_folder_nothing_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that can't add up its figures says so in one line, and ends with a failure."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(SystemExit) as ended:
        Supervisor(2, "http://127.0.0.1:1", grace=0)
    assert ended.value.code == 1
    [line] = caplog.messages
    assert "TMPDIR" in line


def test_pauses_grow_to_a_bound() -> None:
    """Each end in a row doubles the pause before the next start, up to half a minute."""
    pauses = [pause(failures) for failures in range(1, 100)]
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
