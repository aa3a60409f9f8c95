"""Jobs and federations whose rows are more than one statement can bind one by one: 65,535."""

from uuid import UUID, uuid4

import pytest

from server.jobs.repository import get_job
from server.reports.attendance import attendance, client_rounds
from server.rounds.repository import job_assignments
from server.rounds.views import bytes_up
from server.tables import Assignment, Round
from shared.messages import AssignmentKind
from shared.states import RoundState
from tests.support.scripted import World, job_spec

pytestmark = pytest.mark.integration
MANY = 65_536


def test_what_a_report_has_of_many_rounds_and_assignments(pair: World) -> None:
    job_id = UUID(pair.trained())
    others = (Assignment(id=uuid4()) for _ in range(MANY))
    closed = {"phase": AssignmentKind.TRAIN, "state": RoundState.FAILED}
    empty = (Round(id=uuid4(), number=n, **closed) for n in range(2, MANY + 2))
    with pair.context.sessions.begin() as session:
        members = job_assignments(session, job_id)
        assert bytes_up(session, [*others, *members]) == bytes_up(session, members) > 0
        job, rounds = get_job(session, job_id), client_rounds(session, job_id)
        found = attendance(session, job, [*rounds, *empty])
        assert found[0] == attendance(session, job, rounds)[0]
        assert (found[0].accepted, found[-1].asked) == (("c1", "c2"), ())


def test_many_clients_that_are_not_registered_are_refused(pair: World) -> None:
    spec = job_spec(["c1", *(f"x{n}" for n in range(MANY))])
    refused = pair.operator("POST", "/v1/jobs", json=spec)
    assert refused.status_code == 422, refused.text
    found = pair.operator.ok("POST", "/v1/jobs:dry-run", json=spec)
    assert [row["code"] for row in found["reasons"][:MANY]] == ["unknown_client"] * MANY
