"""What the state machine checks after each step is refused at the next one when it is wrong."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared.messages import FailureCode
from tests.support.machine.arena import CLIENTS, PLANNER, Arena, arena
from tests.support.machine.base import Base, Figures
from tests.support.machine.calls import Fault
from tests.support.machine.coordinators import LOOPS
from tests.support.machine.machine import Machine, machine_on
from tests.support.scripted import job_spec

pytestmark = pytest.mark.integration

_LONG = timedelta(days=1)


@pytest.fixture(scope="module")
def service(databases: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    url = databases.create(migrated=False)  # type: ignore[attr-defined]  # conftest's own class
    with arena(url, tmp_path_factory.mktemp("machine") / "artifacts") as made:
        yield made
    databases.drop(url)  # type: ignore[attr-defined]  # conftest's own class


@pytest.fixture
def machine(service: Arena) -> Iterator[Machine]:
    """A round for which one client has delivered, one works and one is still asked."""
    made = machine_on(service, Figures())()
    made.submit(job_spec([*CLIENTS[:3]], algorithm={"name": "fedavg"}), None)
    made.runs(0, "advance")
    made.observe()
    for who, value, most in ((PLANNER, 1, 1000), ("c1", 2, 1000), ("c2", 3, 1)):
        for _ in range(most):
            if not made.serves(who, value):
                break
            made.observe()
        made.runs(0, "advance")
        made.observe()
    made.settle(0)
    made.observe()
    yield made
    Base.teardown(made)  # the job need not end


def _write(machine: Machine, statement: str) -> None:
    """Change rows as no code of the service would, past all triggers and keys."""
    connection = machine.arena.connection
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        assert connection.execute(statement.encode()).rowcount > 0


@pytest.mark.parametrize("table", ["version_components", "contributions", "uploaded_components"])
@pytest.mark.parametrize("how", ["damaged", "shorter", "lost"])
def test_a_file_that_somebody_needs_is_whole(machine: Machine, table: str, how: str) -> None:
    [[row]] = machine.arena.query((f"SELECT min(sha256) AS sha256 FROM {table}", []))  # noqa: S608  # a name from the list above
    path = machine.arena.coordinators[0].store.path(row["sha256"])
    data = path.read_bytes()
    path.unlink()  # the store's files are read-only
    if how != "lost":
        path.write_bytes(data[:-1] if how == "shorter" else b"?" + data[1:])
    with pytest.raises(AssertionError, match="I5 artifact"):
        machine.observe()


@pytest.mark.parametrize(
    ("invariant", "statement"),
    [
        ("I2", "DELETE FROM attempts WHERE ctid = (SELECT min(ctid) FROM attempts)"),
        ("I3", "DELETE FROM contributions WHERE ctid = (SELECT min(ctid) FROM contributions)"),
        ("I3", "UPDATE contributions SET sha256 = (SELECT min(sha256) FROM version_components)"),
        ("I4", "INSERT INTO versions (job_id, number, round_id) SELECT id, 7, id FROM jobs"),
        ("I6", "UPDATE version_components SET sha256 = (SELECT min(sha256) FROM contributions)"),
        ("I9", "UPDATE assignments SET state = 'failed' WHERE client_id IS NULL"),
        ("I9", "UPDATE rounds SET state = 'failed' WHERE state = 'published'"),
    ],
)  # fmt: skip
def test_no_row_is_changed_in_secret(machine: Machine, invariant: str, statement: str) -> None:
    _write(machine, statement)
    with pytest.raises(AssertionError, match=f"{invariant} "):
        machine.observe()


@pytest.mark.parametrize(
    ("timer", "found"),
    [("advance", "overdue"), ("leases", "lease_forgotten"), ("hints", "never_hinted")],
)
def test_a_timer_that_leaves_a_row_is_told_from_one_that_has_not_run(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, timer: str, found: str
) -> None:
    machine.arena.clock.pass_(_LONG)
    machine.observe()  # everything is late, and no timer has run: no fault
    monkeypatch.setitem(LOOPS, timer, lambda _: None)
    machine.runs(0, timer)
    with pytest.raises(AssertionError, match=f"I7 .* {found}"):
        machine.observe()


def test_a_round_past_its_deadline_is_looked_at_soon(machine: Machine) -> None:
    machine.arena.clock.pass_(_LONG)
    machine.observe()  # late, but due
    _write(machine, "UPDATE jobs SET due_at = now() + interval '6 seconds'")
    with pytest.raises(AssertionError, match=r"I7 .* past_deadline"):
        machine.observe()


@pytest.mark.parametrize("code", FailureCode)
def test_what_a_failed_attempt_becomes_is_foretold(machine: Machine, code: FailureCode) -> None:
    for _ in range(6):  # more than any assignment has attempts
        machine.failure(who="c2", pick=0, code=code, fault=None)
        machine.observe()
        machine.arena.clock.pass_(timedelta(minutes=1))
        machine.claim(who="c2", shown=None, named="none", fault=None)
        machine.observe()
    query = "SELECT max(attempt) AS most FROM assignments WHERE client_id = 'c2'"
    [[row]] = machine.arena.query((query, []))
    assert row["most"] == {"no_space": 7, "internal": 3, "out_of_memory": 3}.get(code, 1)


@pytest.mark.parametrize("named", ["none", "kept", "new"])
def test_a_claim_under_the_same_name_is_given_the_same_lease(machine: Machine, named: str) -> None:
    machine.claim(who="c3", shown=None, named="new", fault=(Fault.CUT_AFTER, 1))
    machine.observe()
    [[row]] = machine.arena.query(
        ("SELECT lease_id::text FROM assignments WHERE client_id = 'c3'", [])
    )
    assert row["lease_id"] == machine.names["c3"]
    before = len(machine.hands["c3"])
    machine.claim(who="c3", shown=None, named=named, fault=None)
    machine.observe()
    assert len(machine.hands["c3"]) == before + (named == "kept")
