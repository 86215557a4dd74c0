"""Statistics: counts of requests and of batches, by model and version."""

from __future__ import annotations

import itertools

import pytest

from app.inference.batcher import BatchReport
from app.protocols.oip.model_names import Derived
from app.protocols.oip.statistics import Statistics

ENCODER = Derived("a", "encoder")


def statistics() -> Statistics:
    """Each look at the clock is a second later."""
    ticks = itertools.count()
    return Statistics(clock=lambda: float(next(ticks)), wall_clock=lambda: 7.5)


def test_batches_are_counted_once_and_rows_by_their_number() -> None:
    """A batch that callers share is one execution, and each of them waited and ran."""
    subject = statistics()
    subject.observe_batch("a", 1, "encode_tensors", BatchReport(5, 2, 0.25, (0.5, 1.0), False))
    subject.observe_batch("a", 1, "encode_tensors", BatchReport(5, 1, 0.5, (), False))
    subject.observe_batch("a", 1, "encode_tensors", BatchReport(1, 1, 0.25, (0.5,), False))
    document = subject.of(ENCODER, 1).document("a-encoder", 1)
    assert (document["inference_count"], document["execution_count"]) == (11, 3)
    assert document["last_inference"] == 7500
    stats = document["inference_stats"]
    assert isinstance(stats, dict)
    assert stats["queue"] == {"count": 3, "ns": 2_000_000_000}
    assert stats["compute_infer"] == {"count": 3, "ns": 1_000_000_000}
    nothing = {"count": 2, "ns": 0}
    assert document["batch_stats"] == [
        {
            "batch_size": 1,
            "compute_input": {"count": 1, "ns": 0},
            "compute_infer": {"count": 1, "ns": 250_000_000},
            "compute_output": {"count": 1, "ns": 0},
        },
        {
            "batch_size": 5,
            "compute_input": nothing,
            "compute_infer": {"count": 2, "ns": 750_000_000},
            "compute_output": nothing,
        },
    ]


def test_each_model_and_version_is_counted_alone() -> None:
    """Another kind, another version and failed batches add nothing."""
    subject = statistics()
    report = BatchReport(1, 1, 0.1, (0.1,), False)
    failed = BatchReport(1, 1, 0.1, (0.1,), True)
    subject.observe_batch("a", 1, "decode_tensors", report)
    subject.observe_batch("a", 2, "encode_tensors", report)
    subject.observe_batch("a", 1, "encode_tensors", failed)
    assert subject.of(ENCODER, 1).executions == 0
    assert subject.of(ENCODER, 2).executions == 1
    assert subject.of(Derived("a", "decoder"), 1).executions == 1


def test_requests_are_counted_by_how_they_end() -> None:
    """A request that raises has failed, and its error goes on."""
    subject = statistics()
    with subject.inference(ENCODER, 1):
        pass
    with pytest.raises(KeyError), subject.inference(ENCODER, 1):
        raise KeyError("x")
    counted = subject.of(ENCODER, 1)
    assert (counted.success.document(), counted.fail.document()) == (
        {"count": 1, "ns": 1_000_000_000},
        {"count": 1, "ns": 1_000_000_000},
    )
