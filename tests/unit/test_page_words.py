"""How pages say times and what events tell."""

import pytest

from server.web.words import details, moments


def test_times_within_a_sentence_are_told_as_times_and_nothing_in_it_runs() -> None:
    said = moments("<b> waits until 2026-01-31 12:10:00 UTC, not 2026-01-31.")
    assert said == (
        '&lt;b&gt; waits until <time datetime="2026-01-31T12:10:00+00:00">'
        "2026-01-31 12:10:00 UTC</time>, not 2026-01-31."
    )


@pytest.mark.parametrize("said", ["It waits.", "", "at 2026-99-31 12:10:00 UTC"])
def test_a_sentence_without_a_time_stays_as_it_is(said: str) -> None:
    assert moments(said) == said


def test_an_event_s_data_are_told_as_the_page_s_script_tells_them() -> None:
    data = {"phase": "train", "round": 2, "reason": None, "late": True}
    assert details(data) == "phase train, round 2, reason null, late true"
    assert details({}) == ""
