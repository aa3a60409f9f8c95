"""Routes of operators about rounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from server.auth import Viewer
from server.context import App
from server.database import glance
from server.documentation import example, problems
from server.events.patience import PATIENCE
from server.examples import ROUND_DETAIL, ROUNDS, TIMELINE
from server.jobs.repository import get_job, see_job
from server.paging import SORT, AfterRound, Cursor, Limit
from server.rounds.repository import Wanted, round_of, rounds_of, sorted_by
from server.rounds.timeline import timeline
from server.rounds.views import round_view
from server.waiting.query import waits
from shared.messages import AssignmentKind
from shared.problem_codes import Code
from shared.spec import Name
from shared.states import ROUND_TERMINAL, RoundState
from shared.timeline import Timeline
from shared.views import NumberOrder, RoundDetail, RoundList, RoundOrder

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["rounds"])

Number = Annotated[int, Path(ge=0, le=2**31 - 1, description="Counted from 1.", examples=[1])]
Asking = Annotated[Name | None, Query(description="Rounds that asked this client only.")]
Phase = Annotated[
    AssignmentKind,
    Query(
        description="Rounds of training, or those in which the job was planned, personal models "
        "were personalized in stage two, or models evaluated; these have the number of the last "
        "training round before them."
    ),
]


@dataclass(frozen=True)
class _Asked:
    """Which rounds are wanted, and in which order."""

    state: Annotated[Sequence[RoundState], Query(description="In one of these states.")] = ()
    phase: Phase = AssignmentKind.TRAIN
    after_round: AfterRound = None
    client: Asking = None
    sort: Annotated[NumberOrder, Query(description=SORT)] = "number"

    @property
    def wanted(self) -> Wanted:
        """The same for a query."""
        return Wanted(self.state, self.phase, self.after_round, self.client)


@dataclass(frozen=True)
class _Attempts:
    """Whose attempts are wanted, in which rounds and order."""

    after_round: AfterRound = None
    client: Annotated[Name | None, Query(description="Of this client.")] = None
    sort: Annotated[RoundOrder, Query(description=SORT)] = "round"


Asked = Annotated[_Asked, Depends()]
Attempts = Annotated[_Attempts, Depends()]


@router.get(
    "/rounds",
    summary="List a job's rounds",
    dependencies=[PATIENCE],
    responses={**example(ROUNDS, "Rounds."), **problems(Code.NOT_FOUND)},
)
def list_rounds(
    job_id: UUID, app: App, _: Viewer, asked: Asked, cursor: Cursor = None, limit: Limit = 50
) -> RoundList:
    """List rounds of training, or of another phase, in pages: who was asked, and what came."""
    order = sorted_by(asked.sort)
    with app.sessions.begin() as session:
        seen = see_job(session, job_id)
        why = waits(app, session, [seen.job], seen.now)
        rows = rounds_of(session, job_id, asked.wanted, order.behind(cursor), limit + 1)
        page, following = order.cut(rows, limit)
        items = tuple(round_view(session, seen.job, row, why) for row in page)
        return RoundList(items=items, next=following, last_event=seen.last_event)


@router.get(
    "/rounds/{number}",
    summary="Show a round",
    dependencies=[PATIENCE],
    responses={**example(ROUND_DETAIL, "The round."), **problems(Code.NOT_FOUND)},
)
def show_round(
    job_id: UUID,
    number: Number,
    app: App,
    _: Viewer,
    phase: Phase = AssignmentKind.TRAIN,
) -> RoundDetail:
    """Show one round of training, or of another phase.

    With `wait` it answers when something has happened to its job.
    """
    with glance(app.sessions) as session:
        seen = see_job(session, job_id)
        row = round_of(session, job_id, number, phase)
        why = {} if row.state in ROUND_TERMINAL else waits(app, session, [seen.job], seen.now)
        shown = round_view(session, seen.job, row, why)
        return RoundDetail(**dict(shown), last_event=seen.last_event)


@router.get(
    "/timeline",
    summary="Show when clients worked",
    responses={**example(TIMELINE, "Attempts, by their rounds."), **problems(Code.NOT_FOUND)},
)
def show_timeline(
    job_id: UUID,
    app: App,
    _: Viewer,
    asked: Attempts,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Most rounds.")] = 30,
) -> Timeline:
    """Show when each client worked in each training round, attempt by attempt."""
    order = sorted_by(asked.sort, "timeline")
    with app.sessions.begin() as session:
        get_job(session, job_id)
        wanted = Wanted(after=asked.after_round, client=asked.client)
        rows = rounds_of(session, job_id, wanted, order.behind(cursor), limit + 1)
        page, following = order.cut(rows, limit)
        found = timeline(session, job_id, page, asked.client)
        return Timeline(items=found[::-1] if asked.sort == "-round" else found, next=following)
