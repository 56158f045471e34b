"""Spans inside spans: the heartbeat shows one progress from 0 to 1, whatever a job is divided into."""

from __future__ import annotations

import time

import pytest

from fairlab.jobs.progress import Moment, Span


def test_parts_follow_each_other_and_know_nothing_of_what_is_around() -> None:
    """0.2 to 0.6 in two equal parts, the second of them half done: 0.2 + 0.2 + 0.1."""
    job = Span()
    inner = job.between(0.2, 0.6)
    inner.part(0.5, "one")
    second = inner.part(0.5, "two", "pairs")
    second.advance(3, 6, 12.0)
    reading = job.moment.reading()
    assert reading["progress"] == pytest.approx(0.5)
    assert {name: reading[name] for name in ("stage", "unit", "done", "total", "rate")} == {
        "stage": "two",
        "unit": "pairs",
        "done": 3,
        "total": 6,
        "rate": 12.0,
    }


def test_a_span_that_is_only_set_aside_changes_nothing_shown() -> None:
    job = Span()
    job.part(0.3, "one").advance(1, 1)
    job.part(0.7).part(0.5)
    assert (job.moment.stage, job.moment.reading()["progress"]) == ("one", 0.3)


def test_a_stage_begins_at_nothing_and_says_what_is_left_by_its_own_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter in 10 s: 30 s to go. The stage before does not count."""
    clock = iter((0.0, 100.0, 200.0, 200.0, 210.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    job = Span(Moment())
    job.part(0.5, "one").advance(5, 5)
    second = job.part(0.5, "two")
    assert (job.moment.done, job.moment.total, job.moment.reading()["eta_s"]) == (0, 0, None)
    second.advance(1, 4)
    assert job.moment.reading()["eta_s"] == 30.0


def test_before_its_first_stage_a_job_is_starting() -> None:
    reading = Moment().reading()
    assert (reading["stage"], reading["progress"], reading["eta_s"]) == ("starting", 0.0, None)
