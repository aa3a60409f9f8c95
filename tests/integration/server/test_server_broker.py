"""A worker's own user of Redis: it is woken, and can do nothing to others, or to its own queue."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from cli.stack import ports, private, valkey
from cli.stack.processes import Child, Command, Processes
from scripts.tls_front import certified, tls_before
from server.admin import main
from server.celery_app import make_publish
from shared.wakeups import COORDINATOR_QUEUE, WAKE, client_queue
from tests.support.scripted import World

pytestmark = pytest.mark.integration
OWN, OTHER = client_queue("c1"), client_queue("c2")
Run = Callable[..., str]
# The worker's own Celery app, on a host that only says when it is woken.
WORKER = """
import logging
import sys
from types import SimpleNamespace
from shared.wakeups import WORKER_ARGUMENTS
from worker.celery_app import make_app

logging.basicConfig()
woken = lambda name: print("woken", name, flush=True)
host = SimpleNamespace(
    members=dict.fromkeys(sys.argv[2:]), stopping=SimpleNamespace(set=lambda: None), work=woken
)
make_app(sys.argv[1], host, planner=False).worker_main(["--quiet", "worker", *WORKER_ARGUMENTS])
"""
FORBIDDEN = [
    ("LPUSH", OTHER, "x"),
    ("RPUSH", OTHER, "x"),
    ("LPUSH", OWN, "x"),
    ("RPOP", OTHER),
    ("BRPOP", OTHER, "0.01"),
    ("BRPOP", OWN, OTHER, "0.01"),
    ("BRPOP", COORDINATOR_QUEUE, "0.01"),
    ("RPOP", OWN),
    ("LRANGE", OWN, "0", "-1"),
    ("LLEN", OTHER),
    ("DEL", OTHER),
    ("SADD", "_kombu.binding.celery", "x"),
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "maxmemory", "1"),
    ("EVAL", "return 1", "0"),
    ("PUBLISH", "x", "x"),
    ("SUBSCRIBE", "x"),
    ("MONITOR",),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "default", "on", "nopass"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("INFO",),
    ("SAVE",),
]


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """An empty Redis without users, as its operator sees it."""
    with Redis.from_url(redis_url) as client:
        client.flushall()
        client.acl_log_reset()
        yield client
        client.acl_deluser("client.c1", "client.c2", "client.c1+c2")


@pytest.fixture
def run(
    pair: World,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs the command; what it prints."""
    monkeypatch.setenv("TAPESTRY_DATABASE_URL", pair.context.settings.database_url)
    monkeypatch.setenv("TAPESTRY_REDIS_URL", redis_url)

    def printed(*words: str) -> str:
        main(["broker-user", *words])
        return capsys.readouterr().out.strip()

    return printed


def start(url: str, *clients: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url, *clients],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def woken(worker: "subprocess.Popen[str]", n: int = 1) -> set[str]:
    """Whom the worker is woken for, then it is gone."""
    assert worker.stdout is not None
    said: set[str] = set()
    try:
        while len(said) < n and (line := worker.stdout.readline()):
            said |= {line.split()[1]} if line.startswith("woken") else set()
        return said
    finally:
        worker.kill()
        worker.communicate()


def test_a_worker_is_woken_with_no_right_that_it_does_not_need(
    redis: Any, redis_url: str, run: Run
) -> None:
    url = run("c1")
    for queue in (OTHER, OWN):
        make_publish(redis_url)(WAKE, queue, "an assignment")
    assert woken(start(url, "c1")) == {"c1"}
    assert redis.acl_log() == []  # it asked for nothing that it may not have
    assert redis.llen(OTHER) == 1


def test_a_worker_of_several_clients_has_one_user(redis_url: str, redis: Any, run: Run) -> None:
    url = run("c2", "c1")
    for queue in (OTHER, OWN):
        make_publish(redis_url)(WAKE, queue, "an assignment")
    assert woken(start(url, "c1", "c2"), 2) == {"c1", "c2"}
    assert "client.c1+c2" in redis.acl_users()


@pytest.mark.parametrize("command", FORBIDDEN, ids=" ".join)
def test_all_else_is_refused(redis: Any, run: Run, command: tuple[str, ...]) -> None:
    redis.lpush(OWN, "a hint")
    redis.lpush(OTHER, "a hint")
    with Redis.from_url(run("c1")) as client:
        assert client.ping()
        with pytest.raises(NoPermissionError):
            client.execute_command(*command)
    assert redis.llen(OTHER) == redis.llen(OWN) == 1


def test_a_redis_that_has_forgotten_its_users_gets_the_same_again(
    redis: Any, redis_url: str, run: Run
) -> None:
    url = run("c1")
    assert run("c1") == url
    redis.acl_deluser("client.c1")
    worker = start(url, "c1")  # it tries again and again
    while not redis.acl_log():
        assert worker.poll() is None
    assert run("c1") == url
    make_publish(redis_url)(WAKE, OWN, "an assignment")
    assert woken(worker) == {"c1"}


def test_the_address_is_the_one_that_the_worker_reaches(run: Run) -> None:
    elsewhere = run("c1", "--address", "rediss://tapestry.example:6380/0")
    assert elsewhere.startswith("rediss://client.c1:")
    assert elsewhere.endswith("@tapestry.example:6380/0")


def test_behind_tls_a_worker_is_woken_only_by_whom_it_trusts(
    redis: Any, redis_url: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = tmp_path / "authority.pem"
    port = urlsplit(redis_url).port
    assert port is not None
    with tls_before(port, certified(authority, "127.0.0.1")) as front:
        url = run("c1", "--address", f"rediss://127.0.0.1:{front}/0")
        make_publish(redis_url)(WAKE, OWN, "an assignment")
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        doubting = start(url, "c1")
        assert doubting.stderr is not None
        while "CERTIFICATE_VERIFY_FAILED" not in (line := doubting.stderr.readline()):
            assert line, "the worker has ended"
        assert redis.llen(OWN) == 1
        doubting.kill()
        doubting.communicate()
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert woken(start(url, "c1")) == {"c1"}


def test_behind_tls_the_server_sends_only_to_whom_it_trusts(
    redis: Any, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = tmp_path / "authority.pem"
    parts = urlsplit(redis_url)
    assert parts.port is not None
    with tls_before(parts.port, certified(authority, "127.0.0.1")) as front:
        user = parts.netloc.rpartition("@")[0]
        url = parts._replace(scheme="rediss", netloc=f"{user}@127.0.0.1:{front}").geturl()
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
            make_publish(url)(WAKE, OWN, "an assignment")
        assert redis.llen(OWN) == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        make_publish(url)(WAKE, OWN, "an assignment")
        assert redis.llen(OWN) == 1


@pytest.mark.usefixtures("redis")
def test_a_user_that_is_ended_gets_in_no_more(run: Run) -> None:
    url = run("c1")
    assert run("--remove", "c1") == "removed client.c1"
    with Redis.from_url(url) as client, pytest.raises(AuthenticationError):
        client.ping()
    with pytest.raises(SystemExit, match=r"^Redis has no user client\.c1: "):
        run("--remove", "c1")


@pytest.mark.parametrize(
    ("words", "url", "said"),
    [
        (["c9"], None, r"There is no client c9: register it first\."),
        (["c1"], "redis://:pw@127.0.0.1:1/0", r"Redis did not do it \(.*\): check TAPESTRY_REDIS"),
        (["c1"], "redis://127.0.0.1:1/0", "Redis lets in whoever reaches it: give it a password"),
        (["c1", "--address", "here:6379"], None, "here:6379 is no address of Redis: write rediss"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], url: str | None, said: str
) -> None:
    if url is not None:
        monkeypatch.setenv("TAPESTRY_REDIS_URL", url)
    with pytest.raises(SystemExit, match=said) as ended:
        run(*words)
    assert len(str(ended.value).splitlines()) == 1


def test_a_redis_with_a_file_for_its_users_keeps_them(
    processes: Processes, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, port = tmp_path / "users.acl", ports.free_port()
    private.write(users, "user default on >operator ~* &* +@all\n")
    lines = [f"port {port}", "bind 127.0.0.1", f"aclfile {users}", 'save ""']
    private.write(tmp_path / "valkey.conf", "\n".join(lines) + "\n")
    monkeypatch.setenv("TAPESTRY_REDIS_URL", f"redis://:operator@127.0.0.1:{port}/0")
    child = started(processes, tmp_path, port)
    url = run("c1")
    assert "user client.c1 on" in users.read_text()
    processes.stop(child)
    child = started(processes, tmp_path, port)
    with Redis.from_url(url) as client:
        assert client.ping()
    processes.stop(child)


def started(processes: Processes, place: Path, port: int) -> Child:
    """A Valkey with the place's configuration, listening."""
    command = Command("Valkey", [valkey.binary(), "valkey.conf"], cwd=place)
    child = processes.start(command, place / "valkey.log")
    while ports.is_free("127.0.0.1", port):
        assert not child.ended, child.failure()
    return child
