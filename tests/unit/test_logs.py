"""What a log line says: the block that it is about, in both forms, and never a secret."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import logs

pytestmark = pytest.mark.unit
KEY = "tap_1a2b3c4d_s3cr3t-of_a_key"
log = logging.getLogger("tapestry.test")


@dataclass
class Lines:
    """What this process has logged."""

    capture: pytest.CaptureFixture[str]

    def text(self) -> str:
        return self.capture.readouterr().err

    def read(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Afterwards logging is as it was."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    yield Lines(capsys)
    logging.captureWarnings(capture=False)


def test_every_line_of_a_block_says_what_it_is_about(lines: Lines) -> None:
    logs.set_up("worker", "json")
    with logs.about(job="j1", client=None):
        with logs.about(round=3):
            log.info("within")
        log.info("after", extra={"about": {"client": "c1"}})
    log.info("outside")
    within, after, outside = lines.read()
    assert (within["job"], within["round"]) == ("j1", 3)
    assert (after["job"], after["client"]) == ("j1", "c1")
    assert "client" not in within
    assert "round" not in after
    assert set(outside) == {"at", "level", "process", "logger", "message"}
    assert (outside["process"], outside["level"]) == ("worker", "info")


def test_a_thread_says_what_its_beginner_did_and_hears_what_is_noted(lines: Lines) -> None:
    logs.set_up("api", "json")
    with logs.about(job="j1"):
        thread = logs.thread(lambda: logs.note(round=1), "beside")
        thread.start()
        thread.join()
        log.info("here")
    logs.note(round=2)
    log.info("outside")
    here, outside = lines.read()
    assert (here["job"], here["round"]) == ("j1", 1)
    assert "round" not in outside


def test_a_line_is_one_object_whatever_is_in_it(lines: Lines) -> None:
    logs.set_up("api", "json")
    with logs.about(message="other", level="other", odd=object()):
        log.error("it\nfailed", exc_info=ValueError("two\nlines"))
    [line] = lines.read()
    assert (line["message"], line["level"]) == ("it\nfailed", "error")
    assert "ValueError: two\nlines" in str(line["error"])


def test_what_ends_a_thread_is_a_line_too(lines: Lines) -> None:
    logs.set_up("api", "json")

    def fails() -> None:
        raise ValueError("no")

    thread = logs.thread(fails, "beside")
    thread.start()
    thread.join()
    [line] = lines.read()
    assert line["level"] == "critical"
    assert "ValueError: no" in str(line["error"])


def test_text_is_readable_and_a_value_from_outside_stays_within_its_line(lines: Lines) -> None:
    logs.set_up("api")
    with logs.about(job="j1", round="1\n2026 INFO forged"):
        log.info("it begins")
    [line] = lines.text().splitlines()
    assert line.endswith('INFO tapestry.test it begins [job=j1 round="1\\n2026 INFO forged"]')


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_that_somebody_quotes_is_blotted_out(lines: Lines, form: logs.Form) -> None:
    logs.set_up("api", form)
    error = ValueError(f"postgresql+psycopg://u:hunter2@host/db with {KEY}")
    with logs.about(header=f"Bearer {KEY}"):
        log.error("Bearer %s, redis://:hunter2@host:1", "abc.def-ghi_jkl", exc_info=error)
    written = lines.text()
    assert "tap_1a2b3c4d_***" in written
    for secret in ("s3cr3t", "hunter2", "abc.def"):
        assert secret not in written


@given(st.text("abcXYZ019_-", min_size=8), st.text(), st.text())
def test_no_key_passes_wherever_it_stands(secret: str, before: str, after: str) -> None:
    if after[:1].isalnum() or after[:1] in {"_", "-"}:
        after = f" {after}"
    assert logs.without_secrets(f"{before}tap_1a2b3c4d_{secret}{after}") == (
        logs.without_secrets(f"{before}tap_1a2b3c4d_***{after}")
    )


@given(st.text("abc 019{}[]:,\"'\n./-"))
def test_other_text_stays_as_it_is(text: str) -> None:
    assert logs.without_secrets(text) == text
