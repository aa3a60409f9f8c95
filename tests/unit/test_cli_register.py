"""`tapestry register`: a client's key is printed once, or lies in a file for its owner alone."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from server import examples
from tests.support.answering import answering

pytestmark = pytest.mark.unit
MADE = examples.CLIENT_CREATED
ANSWERS: dict[str, tuple[int, Any]] = {"/v1/clients": (201, MADE)}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[httpx.Request]:
    monkeypatch.chdir(tmp_path)
    return answering(monkeypatch, ANSWERS)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["register", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_the_key_is_printed_once_and_alone(asked: list[httpx.Request]) -> None:
    result = run(MADE["id"], "--description", 'ward "3"')
    assert result.stdout == f"{MADE['key']}\n"
    assert MADE["key"] not in result.stderr
    [request] = asked
    assert json.loads(request.content) == {"id": MADE["id"], "description": 'ward "3"'}
    assert request.headers["Idempotency-Key"]


def test_the_key_in_a_file_is_for_its_owner_and_is_not_printed(tmp_path: Path) -> None:
    for json_ in ([], ["--json"]):
        file = tmp_path / f"new{len(json_)}.key"
        result = run(MADE["id"], "--out", str(file), *json_)
        assert file.read_text() == f"{MADE['key']}\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert MADE["key"] not in result.output
        assert MADE["id"] in result.stdout
    assert json.loads(run(MADE["id"], "--json").stdout) == MADE


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["../keys"], "id: must match"),
        (["c01", "--description", "x" * 501], "at most 500 characters"),
        (["c01", "--out", "absent/new.key"], "choose another --out"),
    ],
)
def test_wrong_wishes_are_refused_without_asking(
    asked: list[httpx.Request], arguments: list[str], says: str
) -> None:
    said = run(*arguments, code=2).stderr
    assert says in said
    assert said.count("\n") == 1
    assert asked == []


def test_a_key_that_cannot_be_written_is_said_to_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    said = run(MADE["id"], "--out", "new.key", code=1).stderr
    assert f"tapestry keys create --client {MADE['id']} --out FILE" in said
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_behind_where_the_name_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(ANSWERS, "/v1/clients", (409, {}))
    run(MADE["id"], "--out", "new.key", code=3)
    assert list(tmp_path.iterdir()) == []
