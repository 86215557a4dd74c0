"""Names and versions of the protocol's models, and what they take and answer."""

from __future__ import annotations

import pytest

from app.errors import UnknownModelError
from app.protocols.oip.model_names import Derived, bundle_of, derived_of, parse_name, parse_version
from tests import arithmetic_bundle

IMAGE, LATENT = (1, 4, 4), (2,)


def test_each_bundle_is_three_models() -> None:
    """Their names lead back to the bundle and the kind."""
    names = [derived.name for derived in derived_of("my-faces.2")]
    assert names == ["my-faces.2-encoder", "my-faces.2-decoder", "my-faces.2-reconstruct"]
    assert tuple(parse_name(name) for name in names) == derived_of("my-faces.2")


@pytest.mark.parametrize("name", ["", "faces", "-encoder", "encoder", "faces-scorer", "x" * 9999])
def test_other_names_are_unknown(name: str) -> None:
    """A bundle's own name is no model here, and the error tells what to append, at some length."""
    with pytest.raises(UnknownModelError, match="-encoder, -decoder, -reconstruct") as unknown:
        parse_name(name)
    assert len(unknown.value.detail) < 250


def test_loading_takes_either_name() -> None:
    """A bundle is meant by its own name and by those of its models."""
    assert {bundle_of(name) for name in ("a-b", "a-b-encoder", "a-b-reconstruct")} == {"a-b"}
    assert bundle_of("-encoder") == "-encoder"


@pytest.mark.parametrize("text", ["0", "01", "-1", "1.0", "one", "", " 1", "١", "9" * 19])
def test_versions_are_positive_integers(text: str) -> None:
    """Whatever else a path has for a version is none that there could be."""
    with pytest.raises(UnknownModelError, match="positive integers"):
        parse_version(text)
    assert parse_version("12") == 12


@pytest.mark.parametrize(
    ("derived", "source", "targets"),
    [
        (Derived("a", "encoder"), ("image", IMAGE), {"mean": LATENT, "logvar": LATENT}),
        (Derived("a", "decoder"), ("latent", LATENT), {"pixels": IMAGE, "params": IMAGE}),
        (
            Derived("a", "reconstruct"),
            ("image", IMAGE),
            {"pixels": IMAGE, "mean": LATENT, "logvar": LATENT},
        ),
    ],
)
def test_signatures_are_those_of_the_manifest(
    derived: Derived,
    source: tuple[str, tuple[int, ...]],
    targets: dict[str, tuple[int, ...]],
) -> None:
    """Tensors have the manifest's shapes, without the batch axis."""
    signature = derived.signature(arithmetic_bundle.manifest())
    assert (signature.input.name, signature.input.shape) == source
    assert {output.name: output.shape for output in signature.outputs} == targets
