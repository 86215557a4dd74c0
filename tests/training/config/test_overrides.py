"""training/config/overrides.py: `key=value` texts and what they do to a document."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config.overrides import (
    apply_overrides,
    parse_override,
)
from training.errors import ConfigError

KEYS = st.from_regex(r"[a-z_]{1,8}(\.[a-z_]{1,8}){0,2}", fullmatch=True)


def applied(document: dict[str, Any], *texts: str) -> dict[str, Any]:
    apply_overrides(document, [parse_override(text) for text in texts])
    return document


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("epochs=3", "epochs", 3),
        ("optimiser.learning_rate=1e-4", "optimiser.learning_rate", 1e-4),
        ("data.source=some/folder", "data.source", "some/folder"),
        ('data.source="quoted"', "data.source", "quoted"),
        ("data.convert=true", "data.convert", True),
        ("model.network.widths=[4, 8]", "model.network.widths", [4, 8]),
        ("bundle.card=a = b", "bundle.card", "a = b"),
        (" seed = 4 ", "seed", 4),
        ("bundle.card=", "bundle.card", ""),
    ],
)
def test_values_are_toml_or_texts(text: str, key: str, value: object) -> None:
    """A value is read as TOML, and anything that is none is a text."""
    override = parse_override(text)

    assert (override.key, override.value, override.text) == (key, value, f"--set {text}")


@pytest.mark.parametrize("text", ["", "epochs", "=3", ".=3", "a..b=3", "a.=3", ".a=3"])
def test_what_is_no_override(text: str) -> None:
    """A text without a key and an equals sign fails with an example of what would be right."""
    with pytest.raises(ConfigError, match=r"write key=value, for example --set optimiser"):
        parse_override(text)


@given(key=KEYS, value=st.text())
def test_any_value_is_read(key: str, value: str) -> None:
    """Whatever stands behind the equals sign is a value, and it ends up at its key."""
    override = parse_override(f"{key}={value}")
    found: Any = applied({}, f"{key}={value}")
    for part in key.split("."):
        found = found[part]

    assert override.key == key
    assert found == override.value or found != found


def test_the_last_one_wins() -> None:
    """Later overrides replace earlier ones, and leave all other settings alone."""
    document = {"epochs": 1, "data": {"source": "here", "convert": True}}

    applied(document, "epochs=3", "data.source=there", "epochs=4")

    assert document == {"epochs": 4, "data": {"source": "there", "convert": True}}


def test_a_value_is_no_section() -> None:
    """A key below a value is refused."""
    with pytest.raises(ConfigError, match=r"--set epochs\.first=3: epochs is a value"):
        applied({"epochs": 1}, "epochs.first=3")


def test_another_kind_drops_what_belonged_to_the_one_before() -> None:
    """Settings of the old likelihood go; those set on purpose stay, in any order."""
    texts = ("model.likelihood.family=gaussian", "model.likelihood.scale=0.1")

    for order in itertools.permutations(texts):
        document = {"model": {"likelihood": {"family": "bernoulli", "binarise": "sample"}}}
        applied(document, *order)
        assert document == {"model": {"likelihood": {"family": "gaussian", "scale": 0.1}}}


def test_the_same_kind_drops_nothing() -> None:
    """Naming the network that is there already keeps its settings."""
    network = {"architecture": "conv", "widths": [4, 8], "hidden": 9}

    document = applied({"model": {"network": dict(network)}}, "model.network.architecture=conv")

    assert document == {"model": {"network": network}}


@pytest.mark.parametrize("document", [{}, {"model": {}}, {"model": {"likelihood": {}}}])
def test_a_section_without_a_kind_is_of_the_default_one(document: dict[str, Any]) -> None:
    """A setting of the default likelihood needs no naming of its family."""
    applied(document, "model.likelihood.scale=0.5")

    assert document == {"model": {"likelihood": {"family": "gaussian", "scale": 0.5}}}


def test_another_kind_drops_what_belonged_to_the_unnamed_default() -> None:
    """A preset that set the default's scale without naming it does not stand in the way."""
    document: dict[str, Any] = {"model": {"likelihood": {"scale": 0.5}}}

    applied(document, "model.likelihood.family=bernoulli")

    assert document == {"model": {"likelihood": {"family": "bernoulli"}}}


def test_what_is_no_section_gets_no_kind() -> None:
    """A value where a section should be is left for the check of the whole."""
    assert applied({"model": 3}) == {"model": 3}
