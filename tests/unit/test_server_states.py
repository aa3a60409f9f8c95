"""The one door for state, and the declared scopes."""

import re
from itertools import product
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from server import examples
from server.auth import check_scopes
from server.lifecycle import Row, TransitionError, transition
from server.tables import Assignment, Event, Job, Round
from shared import (
    attendance,
    dry_run,
    keys,
    messages,
    reports,
    results,
    shelf,
    takeaway,
    timeline,
    views,
    waiting,
)
from shared.job_spec import JobSpec
from shared.states import AnyState, AssignmentState, JobState, RoundState, may_follow

pytestmark = pytest.mark.unit

SERVER = Path(__file__).parents[2] / "server"
_ASSIGNS = re.compile(r"\.state\s*=(?!=|\s*')|values\([^)]*\bstate=|setattr\([^)]*state")


class Recorder:
    """Stands for a session: rows are in memory, so there is nothing to lock or flush."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.info: dict[object, object] = {}

    def get_one(self, kind: type[Round], key: object) -> Round:
        return kind(id=key, number=1)

    def refresh(self, row: object, with_for_update: object) -> None:
        assert with_for_update, f"{row} must be locked"

    def add(self, event: Event) -> None:
        self.events.append(event)

    def flush(self) -> None:
        pass


def row_in(state: AnyState) -> Row:
    match state:
        case JobState():
            return Job(id=uuid4(), name="x", state=state)
        case RoundState():
            return Round(id=uuid4(), job_id=uuid4(), phase="train", number=1, state=state)
        case AssignmentState():
            return Assignment(id=uuid4(), job_id=uuid4(), attempt=0, state=state)


PAIRS: list[tuple[AnyState, AnyState]] = [
    *product(JobState, JobState),
    *product(RoundState, RoundState),
    *product(AssignmentState, AssignmentState),
]


@pytest.mark.parametrize(("current", "target"), PAIRS)
def test_a_change_is_made_with_its_event_or_not_at_all(current: AnyState, target: AnyState) -> None:
    row, recorder = row_in(current), Recorder()
    session = cast("Session", recorder)
    if may_follow(current, target):
        transition(session, row, target, reason="a test")
        assert row.state == target
        [event] = recorder.events
        assert event.kind == f"{type(row).__name__.lower()}.{target}"
        assert event.data["reason"] == "a test"
    else:
        with pytest.raises(TransitionError, match="cannot become"):
            transition(session, row, target)
        assert row.state == current
        assert not recorder.events


def test_a_state_of_another_kind_is_a_mistake() -> None:
    with pytest.raises(TypeError):
        transition(cast("Session", Recorder()), row_in(JobState.RUNNING), RoundState.OPEN)


def test_only_the_lifecycle_assigns_states() -> None:
    guilty = [
        str(path.relative_to(SERVER))
        for path in SERVER.rglob("*.py")
        if path.name != "lifecycle.py" and _ASSIGNS.search(path.read_text(encoding="utf-8"))
    ]
    assert guilty == []


def test_the_search_for_assignments_finds_them() -> None:
    assert _ASSIGNS.search("row.state = x")
    assert _ASSIGNS.search("update(Job).values(due_at=1, state=x)")
    assert not _ASSIGNS.search("WHERE r.state = 'open'")
    assert not _ASSIGNS.search("if row.state == x and app.state.context:")


def test_a_route_without_a_scope_is_refused() -> None:
    app, router = FastAPI(redoc_url=None, swagger_ui_oauth2_redirect_url=None), APIRouter()
    check_scopes(app)

    @router.get("/forgotten")
    def forgotten() -> None: ...

    app.include_router(router, prefix="/v1")
    with pytest.raises(RuntimeError, match=r"/v1/forgotten declares no scope"):
        check_scopes(app)


EXAMPLES: dict[str, Any] = {
    "JOB_SPEC": JobSpec,
    "JOB": views.JobView,
    "PAUSED_JOB": views.JobView,
    "JOB_DETAIL": views.JobDetail,
    "PARENT_JOB": views.JobDetail,
    "FORK": views.JobFork,
    "FORKED_JOB": views.JobDetail,
    "JOBS": views.JobList,
    "EVENTS": views.EventList,
    "WAITING": waiting.WaitingList,
    "DRY_RUN": dry_run.DryRunView,
    "DRY_RUN_CLAIM": dry_run.DryRunClaim,
    "DRY_RUN_DESCRIPTION": dry_run.DryRunDescription,
    "DRY_RUN_FAILURE": dry_run.DryRunFailure,
    "FORK_DRY_RUN": dry_run.DryRunView,
    "WHO": views.Who,
    "OFFER": messages.ClientOffer,
    "CLIENT_CREATE": views.ClientCreate,
    "CLIENT": views.ClientView,
    "CLIENT_CREATED": views.ClientCreated,
    "CLIENTS": views.ClientList,
    "HELD": messages.HeldLease,
    "CLAIM_REQUEST": messages.ClaimRequest,
    "CLAIM": messages.Claim,
    "HEARTBEAT": messages.Heartbeat,
    "HEARTBEAT_REPLY": messages.HeartbeatReply,
    "RESULT": results.AssignmentResult,
    "FAILURE": messages.Failure,
    "ASSIGNMENT": views.AssignmentView,
    "FAILED_ASSIGNMENT": views.AssignmentView,
    "RELEASED_ASSIGNMENT": views.AssignmentView,
    "CATALOGUE": messages.Catalogue,
    "UPLOAD_CREATE": messages.UploadCreate,
    "UPLOAD": messages.UploadView,
    "BUNDLE": messages.ArtifactBundle,
    "ROUNDS": views.RoundList,
    "ROUND_DETAIL": views.RoundDetail,
    "VERSION": views.VersionView,
    "VERSIONS": views.VersionList,
    "ATTENDANCE": attendance.AttendanceList,
    "REPORT": reports.ReportView,
    "TAKEAWAY": takeaway.TakeawayView,
    "TIMELINE": timeline.Timeline,
    "KEYS": keys.KeyList,
    "KEY_CREATE": keys.KeyCreate,
    "KEY_CREATED": keys.KeyCreated,
    "KEY_REVOKED": keys.KeyView,
    "CLIENT_KEY_CREATE": keys.ClientKeyCreate,
    "CLIENT_KEY_CREATED": keys.KeyCreated,
    "BENEFITS": reports.BenefitsView,
    "SHELF": shelf.ShelfView,
    "SHELF_PUT": shelf.ShelfPut,
    "SHELF_UPLOAD": shelf.ShelfUpload,
    "SHELF_DELETED": shelf.ShelfDeleted,
}


def test_every_example_is_what_it_says() -> None:
    shown = {name for name in vars(examples) if name.isupper() and not name.startswith("_")}
    assert shown == set(EXAMPLES)
    for name, kind in EXAMPLES.items():
        TypeAdapter(kind).validate_python(getattr(examples, name))
