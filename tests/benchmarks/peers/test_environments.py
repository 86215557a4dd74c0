"""The environments of the peers have the pinned versions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.peers import environments
from benchmarks.peers.__main__ import main
from benchmarks.peers.environments import WANTED, EnvironmentMissingError, pins_of, program


@pytest.mark.parametrize("peer", WANTED)
def test_everything_is_pinned(peer: str) -> None:
    """Each line names one release, and what is wanted is among them."""
    lines = (environments.REQUIREMENTS / f"{peer}.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    assert {re.sub(r"\[.*\]", "", wanted) for wanted in WANTED[peer]} <= set(pins)


def test_pins_are_names_and_public_versions() -> None:
    """Names are normalised and sorted, and the name of a build is cut off."""
    packages = [("Zope.Interface", "8.0"), ("torch", "2.13.0+cpu")]
    report = {"install": [{"metadata": {"name": n, "version": v}} for n, v in packages]}
    assert pins_of(report) == ["torch==2.13.0", "zope-interface==8.0"]


def test_a_missing_environment_says_how_to_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the command."""
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    with pytest.raises(EnvironmentMissingError, match=r"python -m benchmarks\.peers install ray"):
        program("ray")


def test_an_environment_of_other_versions_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment is current only if its versions are the pinned ones."""
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    (tmp_path / "ray").mkdir()
    stamp = tmp_path / "ray" / "installed.txt"
    stamp.write_text("ray==1.0\n")
    assert not environments.is_current("ray")
    stamp.write_text((environments.REQUIREMENTS / "ray.txt").read_text())
    assert environments.is_current("ray")
    assert program("ray", "serve") == str(tmp_path / "ray" / "bin" / "serve")


def test_an_unknown_peer_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The error for an unknown name lists the known ones."""
    with pytest.raises(SystemExit):
        main(["install", "tritn"])
    said = capsys.readouterr().err
    assert "unknown peer: tritn; the peers are litserve, bentoml, mlserver, ray" in said
