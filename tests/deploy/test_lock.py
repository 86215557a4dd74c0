"""The pins that everyone installs: complete, plain, and made as `make lock` says."""

from __future__ import annotations

import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from deploy.lock import CONSTRAINTS, HELD, ROOT, pins_of
from deploy.requirements import requirements


def test_every_requirement_of_every_extra_has_a_pin_that_fits() -> None:
    """What pyproject.toml asks for, `constraints.txt` pins to a version that satisfies it."""
    pins = _pins()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in (None, *project["optional-dependencies"]):
        for requirement in map(Requirement, requirements(extra)):
            assert pins[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_file_holds_nothing_but_exact_public_versions() -> None:
    """No local builds, no addresses, no options, no device libraries, and in order."""
    lines = _lines()
    assert lines == sorted(lines)
    for name, version in (line.split("==") for line in lines):
        assert name == canonicalize_name(name)
        assert str(Version(version)) == version
        assert Version(version).local is None
        assert not name.startswith(("nvidia-", "cuda-"))
        assert name != "triton"


def test_held_versions_stand_in_the_file() -> None:
    """A version that is held back by hand is the one that the file pins."""
    pins = _pins()
    assert {name: str(pins[name]) for name in HELD} == HELD


def test_a_report_of_pip_becomes_pins() -> None:
    """Names are normalised, local suffixes cut off, the project and device libraries left out."""
    found = [
        ("vaeserve", "0.1.0"),
        ("torch", "2.13.0+cpu"),
        ("nvidia-cudnn-cu13", "9.0"),
        ("triton", "3.9.0"),
        ("Ruamel.Yaml_x", "1.0"),
    ]
    report = {"install": [{"metadata": {"name": n, "version": v}} for n, v in found]}
    assert pins_of(report) == {"torch": "2.13.0", "ruamel-yaml-x": "1.0"}


def _lines() -> list[str]:
    return [line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#")]


def _pins() -> dict[str, Version]:
    return {name: Version(version) for name, version in (line.split("==") for line in _lines())}
