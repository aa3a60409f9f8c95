"""`tapestry keys`: a key is shown once or lies in a file for its owner alone, and nowhere else."""

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
KEY = examples.KEY_CREATED["key"]
PREFIX = examples.KEY_CREATED["prefix"]
ANSWERS: dict[str, tuple[int, Any]] = {
    "/v1/keys": (201, examples.KEY_CREATED),
    f"/v1/keys/{PREFIX}": (200, examples.KEY_REVOKED),
    "/v1/clients/c01/keys": (201, examples.CLIENT_KEY_CREATED),
}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[httpx.Request]:
    monkeypatch.chdir(tmp_path)
    return answering(monkeypatch, ANSWERS)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["keys", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_a_key_is_printed_once_and_alone(asked: list[httpx.Request]) -> None:
    result = run("create", "--scope", "viewer", "--expires", "90d")
    assert result.stdout == f"{KEY}\n"
    assert KEY not in result.stderr
    [request] = asked
    assert json.loads(request.content) == {"scope": "viewer", "lifetime": "P90D"}
    assert request.headers["Idempotency-Key"]


def test_a_key_in_a_file_is_for_its_owner_and_is_not_printed(tmp_path: Path) -> None:
    for json_ in ([], ["--json"]):
        file = tmp_path / f"new{len(json_)}.key"
        result = run("create", "--scope", "viewer", "--out", str(file), *json_)
        assert file.read_text() == f"{KEY}\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert KEY not in result.output
        assert PREFIX in result.stdout


def test_a_file_that_cannot_be_made_is_refused_before_there_is_a_key(
    asked: list[httpx.Request], tmp_path: Path
) -> None:
    (tmp_path / "there.key").write_text("mine")
    for path in ("there.key", "absent/new.key", "."):
        said = run("create", "--scope", "viewer", "--out", path, code=2).stderr
        assert "choose another --out" in said
    assert (tmp_path / "there.key").read_text() == "mine"
    assert asked == []


def test_a_key_that_cannot_be_written_is_revoked(
    asked: list[httpx.Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    said = run("create", "--scope", "viewer", "--out", "new.key", code=1).stderr
    assert "the new key is revoked" in said
    assert [request.method for request in asked] == ["POST", "DELETE"]
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_behind_where_the_api_makes_no_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(ANSWERS, "/v1/keys", (409, {}))
    run("create", "--scope", "viewer", "--out", "new.key", code=3)
    assert list(tmp_path.iterdir()) == []


def test_a_clients_next_key_is_asked_for_there(asked: list[httpx.Request]) -> None:
    made = json.loads(run("create", "--client", "c01", "--json").stdout)
    assert made == examples.CLIENT_KEY_CREATED
    assert asked[0].url.path == "/v1/clients/c01/keys"


def test_keys_are_listed_and_revoked(
    asked: list[httpx.Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ANSWERS, "/v1/keys", (200, examples.KEYS))
    _, first, second = run("list").stdout.splitlines()
    assert first.split()[:4] == [PREFIX, "viewer", "-", "live"]
    assert second.split()[:4] == ["5e6f7a8b", "client", "c01", "live"]
    assert asked[0].url.params["live"] == "true"
    assert json.loads(run("list", "--all", "--json").stdout) == {"items": examples.KEYS["items"]}
    assert "live" not in asked[1].url.params
    assert run("revoke", PREFIX).stdout == f"key {PREFIX} is revoked\n"
    assert json.loads(run("revoke", PREFIX, "--json").stdout) == examples.KEY_REVOKED


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create"], "pass --scope, or --client"),
        (["create", "--scope", "viewer", "--client", "c01"], "pass --scope, or --client"),
        (["create", "--scope", "root"], "keys create --help`"),
        (["create", "--client", "../keys"], "is no client's name"),
        (["create", "--scope", "viewer", "--expires", "soon"], "write 30s, 10m, 12h, 90d or 2w"),
        (["create", "--scope", "viewer", "--expires", "0d"], "choose another"),
        (["create", "--scope", "viewer", "--expires", "99999999w"], "choose another"),
        (["revoke", KEY], "that is no key's prefix"),
        (["revoke", "../keys"], "that is no key's prefix"),
    ],
)
def test_wrong_wishes_are_refused_without_asking(
    asked: list[httpx.Request], arguments: list[str], says: str
) -> None:
    said = run(*arguments, code=2).stderr
    assert says in said
    assert said.count("\n") == 1
    assert KEY not in said
    assert asked == []


def test_a_link_to_the_page_lasts_twelve_hours_and_names_where_people_find_it(
    asked: list[httpx.Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*options: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["page", *options])
        assert result.exit_code == code, result.output
        return result.output.strip()

    inside = link()
    assert inside.endswith(f"/signin#{KEY}")
    assert json.loads(asked[-1].content) == {"scope": "viewer", "lifetime": "PT12H"}
    monkeypatch.setenv("TAPESTRY_PUBLIC_URL", "https://tapestry.example/")
    assert link() == f"https://tapestry.example/signin#{KEY}" != inside
    assert link("--public-url", "http://here:8000") == f"http://here:8000/signin#{KEY}"
    assert link("--expires", "2h").startswith("https://tapestry.example/")
    assert json.loads(asked[-1].content)["lifetime"] == "PT2H"
    made = len(asked)
    assert "'tapestry' is no address of an API" in link("--public-url", "tapestry", code=2)
    assert len(asked) == made
