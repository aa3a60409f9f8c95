"""Secrets that stand in files, and addresses whose passwords are kept apart."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from server.settings import DatabaseSettings, ServerSettings
from server.settings import load as of_server
from shared.secret_files import SECRETS, file_of, from_files, with_password
from worker.settings import read_settings as of_worker

pytestmark = pytest.mark.unit
DATABASE = "postgresql+psycopg://tapestry@postgres:5432/tapestry"
REDIS = "redis://redis:6379/0"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("p/ss@word\n")
    return path


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, secret: Path) -> pytest.MonkeyPatch:
    """One in which both passwords are in a file."""
    for name in SECRETS:  # what is read is put back at the end, as what is set
        monkeypatch.setenv(name, "")
        monkeypatch.setenv(file_of(name), "")
    monkeypatch.setenv("TAPESTRY_DATABASE_URL", DATABASE)
    monkeypatch.setenv("TAPESTRY_DATABASE_PASSWORD_FILE", str(secret))
    monkeypatch.setenv("TAPESTRY_REDIS_URL", REDIS)
    monkeypatch.setenv("TAPESTRY_REDIS_PASSWORD_FILE", str(secret))
    monkeypatch.setenv("TAPESTRY_ARTIFACTS_DIR", "artifacts")
    monkeypatch.setenv("TAPESTRY_API_URL", "http://api:8000")
    monkeypatch.setenv("TAPESTRY_WORK_DIR", "work")
    return monkeypatch


@pytest.mark.usefixtures("environment")
def test_a_process_puts_the_passwords_of_files_into_its_addresses() -> None:
    settings = of_server(ServerSettings)
    assert settings.database_url == DATABASE.replace("tapestry@", "tapestry:p%2Fss%40word@")
    assert settings.redis_url == "redis://:p%2Fss%40word@redis:6379/0"


def test_a_worker_does_so_too_and_takes_its_key_from_a_file(
    environment: pytest.MonkeyPatch, secret: Path
) -> None:
    environment.setenv("TAPESTRY_KEY_FILE", str(secret))
    settings = of_worker()
    assert settings.redis_url == "redis://:p%2Fss%40word@redis:6379/0"
    assert settings.key_of("c01") == "p/ss@word"


def test_a_worker_with_an_empty_address_polls(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TAPESTRY_REDIS_URL", "")
    assert of_worker().redis_url is None


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_be_in_a_file(name: str, secret: Path) -> None:
    found = {file_of(name): str(secret), "OTHER_FILE": "kept"}
    from_files(found)
    assert found == {name: "p/ss@word", "OTHER_FILE": "kept"}


def test_what_is_empty_is_not_given(secret: Path) -> None:
    found = {"TAPESTRY_KEY": "tap_1", "TAPESTRY_KEY_FILE": ""}
    from_files(found)
    assert found == {"TAPESTRY_KEY": "tap_1"}
    found = {"TAPESTRY_KEY": "", "TAPESTRY_KEY_FILE": str(secret)}
    from_files(found)
    assert found == {"TAPESTRY_KEY": "p/ss@word"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("", "is empty: put the secret there"),
        (" \n", "is empty: put the secret there"),
        (b"\xff\xfe", r"cannot be read \(no text\)"),
    ],
)
def test_a_file_without_a_secret_is_refused(
    content: str | bytes | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=f"TAPESTRY_KEY_FILE: {re.escape(str(path))} .*{said}"):
        from_files({"TAPESTRY_KEY_FILE": str(path)})


def test_a_secret_that_is_given_twice_ends_the_process_with_a_sentence(
    environment: pytest.MonkeyPatch, secret: Path
) -> None:
    environment.setenv("TAPESTRY_DATABASE_PASSWORD", "another")
    with pytest.raises(SystemExit) as ended:
        of_server(DatabaseSettings)
    assert str(ended.value) == (
        "The settings are wrong: TAPESTRY_DATABASE_PASSWORD and TAPESTRY_DATABASE_PASSWORD_FILE "
        "are both set: leave one of them out."
    )
    environment.setenv("TAPESTRY_DATABASE_PASSWORD", "")
    environment.setenv("TAPESTRY_DATABASE_PASSWORD_FILE", str(secret))
    environment.setenv("TAPESTRY_DATABASE_URL", DATABASE.replace("tapestry@", "tapestry:one@"))
    with pytest.raises(SystemExit, match="has a password already: give it once"):
        of_server(DatabaseSettings)


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("redis://h:1/0", "redis://:a%3Ab@h:1/0"),
        ("rediss://name@[::1]:1/0?x=1", "rediss://name:a%3Ab@[::1]:1/0?x=1"),
    ],
)
def test_a_password_goes_between_the_user_and_the_host(url: str, whole: str) -> None:
    assert with_password(url, SecretStr("a:b")) == whole
    assert with_password(url, None) == url
