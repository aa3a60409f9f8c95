"""The chain of events: what is altered, dropped or swapped behind the server's back is found."""

import pytest

from server.admin import main
from server.audit import Audit, verify
from server.lifecycle import record
from tests.support.scripted import World

pytestmark = pytest.mark.integration


def audit(world: World) -> Audit:
    with world.context.sessions.begin() as session:
        return verify(session)


@pytest.fixture
def job(unchecked_pair: World) -> str:
    """A job among others, with events of every kind of row."""
    jobs = [unchecked_pair.launch() for _ in range(2)]
    for job in jobs:
        unchecked_pair.operator.ok("POST", f"/v1/jobs/{job}/cancel")
        unchecked_pair.advance(job)
    with unchecked_pair.context.sessions.begin() as session:
        for n in range(3):
            record(session, "artifact.damaged", None, {"n": n})
    return jobs[0]


def tamper(world: World, statement: str, job: str) -> None:
    """What somebody with all rights over the database may do."""
    world.execute("ALTER TABLE events DISABLE TRIGGER append_only")
    second = "(SELECT id FROM events WHERE job_id = :job ORDER BY id OFFSET 1 LIMIT 1)"
    world.execute(statement.format(second=second), job=job)
    world.execute("ALTER TABLE events ENABLE TRIGGER append_only")


@pytest.mark.usefixtures("job")
def test_untouched_events_are_whole(
    unchecked_pair: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = audit(unchecked_pair)
    assert found.broken == []
    assert found.n_events == unchecked_pair.value("SELECT count(*) FROM events")
    assert len(found.ends) == 3
    url = unchecked_pair.context.settings.database_url
    monkeypatch.setenv("TAPESTRY_DATABASE_URL", url)
    main(["verify-events"])
    assert f"{found.n_events} events in 3 chains are whole" in capsys.readouterr().out


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET kind = 'job.failed' WHERE id = {second}",
        """UPDATE events SET data = '{{"name": "another"}}' WHERE id = {second}""",
        "UPDATE events SET at = at + interval '1 microsecond' WHERE id = {second}",
        "UPDATE events SET job_id = NULL WHERE id = {second}",
        "DELETE FROM events WHERE id = {second}",
        "UPDATE events SET id = (SELECT max(id) + 1 FROM events) WHERE id = {second}",
        "UPDATE events SET kind = 'x', sha256 = tapestry_event_sha256(events) WHERE id = {second}",
    ],
)
def test_what_was_done_to_a_row_is_found(
    unchecked_pair: World, job: str, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tamper(unchecked_pair, statement, job)
    assert audit(unchecked_pair).broken
    url = unchecked_pair.context.settings.database_url
    monkeypatch.setenv("TAPESTRY_DATABASE_URL", url)
    with pytest.raises(SystemExit, match=r"Event .* (does not follow|is not what was written)"):
        main(["verify-events"])


@pytest.mark.usefixtures("job")
def test_the_database_refuses_changes(unchecked_pair: World) -> None:
    for statement in ("UPDATE events SET kind = 'x'", "DELETE FROM events"):
        with pytest.raises(Exception, match="never changed"):
            unchecked_pair.execute(statement)
    assert audit(unchecked_pair).ends.keys() >= {None}
