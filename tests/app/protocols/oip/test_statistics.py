"""Statistics: counts of requests and of batches, by model and version."""

from __future__ import annotations

import itertools

import pytest

from app.inference.batcher import BatchReport
from app.protocols.oip.model_names import Derived
from app.protocols.oip.statistics import Duration, Statistics

ENCODER = Derived("a", "encoder")


@pytest.fixture(name="subject")
def _subject(monkeypatch: pytest.MonkeyPatch) -> Statistics:
    """Each look at the clock is a second later."""
    ticks = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr("time.time", lambda: 7.5)
    return Statistics()


def executions(subject: Statistics, derived: Derived, version: int) -> object:
    return subject.of(derived, version).document("x", version)["execution_count"]


def test_batches_are_counted_once_and_rows_by_their_number(subject: Statistics) -> None:
    """A batch that callers share is one execution, and each of them waited and ran."""
    subject.observe_batch(ENCODER, 1, BatchReport(5, 0.25, (0.5, 1.0), False))
    subject.observe_batch(ENCODER, 1, BatchReport(5, 0.5, (), False))
    subject.observe_batch(ENCODER, 1, BatchReport(1, 0.25, (0.5,), False))
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


def test_each_model_and_version_is_counted_alone(subject: Statistics) -> None:
    """Another kind, another version and failed batches add nothing."""
    report = BatchReport(1, 0.1, (0.1,), False)
    failed = BatchReport(1, 0.1, (0.1,), True)
    subject.observe_batch(Derived("a", "decoder"), 1, report)
    subject.observe_batch(ENCODER, 2, report)
    subject.observe_batch(ENCODER, 1, failed)
    assert executions(subject, ENCODER, 1) == 0
    assert executions(subject, ENCODER, 2) == 1
    assert executions(subject, Derived("a", "decoder"), 1) == 1


def test_requests_are_counted_by_how_they_end(subject: Statistics) -> None:
    """A request that raises has failed, and its error goes on."""
    with subject.inference(ENCODER, 1):
        pass
    with pytest.raises(KeyError), subject.inference(ENCODER, 1):
        raise KeyError("x")
    counted = subject.of(ENCODER, 1)
    assert counted.success == counted.fail == Duration(1, 1_000_000_000)
