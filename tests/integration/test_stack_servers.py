"""The launchers of the real Postgres and Valkey: they start, keep others out, and always end."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from cli.stack import ports, postgres, valkey
from cli.stack.errors import StackError
from cli.stack.processes import Command, Processes
from cli.stack.reaper import alive

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
LONG = "a path with spaces " + "and many letters " * 8  # longer than a socket's path may be

LAUNCHER = """
import signal, sys, time
from pathlib import Path
from cli.stack import postgres, valkey
from cli.stack.processes import Processes
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
with Processes() as processes:
    place = processes.own_directory(Path(sys.argv[1]))
    servers = [
        postgres.start(processes, place / "postgres", durable=False).child,
        valkey.start(processes, place / "valkey").child,
    ]
    print(*(child.process.pid for child in servers), flush=True)
    time.sleep(60)
"""


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def port_answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_both_servers_work_from_a_long_path_with_spaces(tmp_path: Path) -> None:
    with Processes() as processes:
        database = postgres.start(processes, tmp_path / LONG / "postgres", durable=False)
        broker = valkey.start(processes, tmp_path / LONG / "valkey")
        with connect(database.url()) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("tapestry",)
        with redis.Redis.from_url(broker.url()) as client:
            assert client.ping()
    assert not port_answers(database.port)
    assert not port_answers(broker.port)


def test_a_second_start_finds_the_data_of_the_first(tmp_path: Path) -> None:
    for number in (1, 2):
        with Processes() as processes:
            server = postgres.start(processes, tmp_path / "postgres")
            with connect(server.url()) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS starts (number int)")
                connection.execute("INSERT INTO starts VALUES (%s)", [number])
                rows = connection.execute("SELECT count(*) FROM starts").fetchone()
            assert rows == (number,)


def test_servers_refuse_a_wrong_password(postgres_url: str, redis_url: str) -> None:
    password = postgres_url.split(":")[2].split("@", maxsplit=1)[0]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(postgres_url.replace(password, "wrong"))
    password = redis_url.split(":")[2].split("@", maxsplit=1)[0]
    with (
        redis.Redis.from_url(redis_url.replace(password, "wrong")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_no_secret_is_readable_by_others_or_stands_in_arguments(tmp_path: Path) -> None:
    with Processes() as processes:
        database = postgres.start(processes, tmp_path / "postgres", durable=False)
        broker = valkey.start(processes, tmp_path / "valkey")
        for directory in ("postgres", "valkey"):
            assert (tmp_path / directory).stat().st_mode & 0o077 == 0
        for secret in ("postgres/password", "valkey/valkey.conf"):
            assert (tmp_path / secret).stat().st_mode & 0o077 == 0
        for server in (database, broker):
            assert server.password not in " ".join(map(str, server.child.command.arguments))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_survives_the_launcher(tmp_path: Path, number: signal.Signals) -> None:
    place = tmp_path / "place"
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, place],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        text=True,
    )
    with launcher:
        assert launcher.stdout is not None
        pids = [int(pid) for pid in launcher.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
        launcher.send_signal(number)
    end = time.monotonic() + 20
    while time.monotonic() < end and (any(map(alive, pids)) or place.exists()):
        time.sleep(0.05)
    assert not any(map(alive, pids))
    assert not place.exists()


def test_a_child_that_dies_is_reported_with_its_log_and_last_words(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    arguments = [sys.executable, "-c", "import sys; sys.exit('no such table')"]
    with Processes() as processes:
        child = processes.start(Command("The child", arguments), log)
        child.process.wait(20)
        failure = str(child.failure())
    assert failure == f"The child ended with status 1; see {log}: no such table"


def test_a_group_is_stopped_with_its_leader(tmp_path: Path) -> None:
    code = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); "
    log = tmp_path / "child.log"
    with Processes() as processes:
        arguments = [sys.executable, "-c", code + "time.sleep(60)"]
        processes.start(Command("The child", arguments), log)
        end = time.monotonic() + 20
        while time.monotonic() < end and not log.read_text():
            time.sleep(0.02)
        grandchild = int(log.read_text())
        assert alive(grandchild)
    end = time.monotonic() + 5
    while time.monotonic() < end and alive(grandchild):
        time.sleep(0.02)
    assert not alive(grandchild)


def test_a_program_that_is_missing_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_PACKAGES", ("no_such_package",))
    with Processes() as processes, pytest.raises(StackError, match="extra `local`"):
        postgres.start(processes, tmp_path / "postgres")


def test_data_that_cannot_be_used_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "password").write_text("made up")
    with Processes() as processes, pytest.raises(StackError) as caught:
        postgres.start(processes, tmp_path / "postgres")
    assert "Postgres ended with status" in str(caught.value)
    assert "postgres.log" in str(caught.value)


def test_a_port_that_is_taken_in_between_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = ports.free_port
    with socket.socket() as taken, Processes() as processes:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        used = taken.getsockname()[1]
        tries = iter([used, free(), used, free()])
        monkeypatch.setattr(ports, "free_port", lambda: next(tries))
        database = postgres.start(processes, tmp_path / "postgres", durable=False)
        broker = valkey.start(processes, tmp_path / "valkey")
        assert used not in (database.port, broker.port)
        assert port_answers(database.port)
        assert port_answers(broker.port)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give up root")
def test_postgres_runs_although_we_are_root(postgres_url: str) -> None:
    with connect(postgres_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
