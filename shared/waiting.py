"""Why a job, a round or an assignment waits: for whom, until when, and what happens then."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from shared.messages import Message


class Cause(StrEnum):
    """Why something waits; the words are stable."""

    NOT_LOOKED_AT = "not_looked_at"
    WAITS_FOR_RESULTS = "waits_for_results"
    CLOSING = "closing"
    AGGREGATING = "aggregating"
    AGGREGATION_DUE = "aggregation_due"
    AGGREGATION_FAILED = "aggregation_failed"
    STORE_TAKES_NO_WRITES = "store_takes_no_writes"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    STUCK = "stuck"
    PAUSE_AFTER_FAILURE = "pause_after_failure"
    CLIENT_BUSY = "client_busy"
    CLIENT_SILENT = "client_silent"
    PLANNER_SILENT = "planner_silent"
    NOT_CLAIMED = "not_claimed"
    WORKING = "working"
    LEASE_MISSED = "lease_missed"


class Kind(StrEnum):
    """What waits."""

    JOB = "job"
    ROUND = "round"
    ASSIGNMENT = "assignment"


class Waiting(Message):
    """Why something that has not ended waits."""

    cause: Cause
    owner: str = Field(
        description="Who moves it on: coordinator, planner, operator, or clients by name."
    )
    since: datetime
    until: datetime | None = Field(description="When that ends at the latest, where it is known.")
    then: str = Field(description="What happens then, in one sentence.")
    sentence: str = Field(description="The cause in one sentence, for people.")


class WaitingItem(Message):
    """One thing that waits."""

    kind: Kind
    id: UUID
    name: str
    waiting: Waiting


class WaitingList(Message):
    """A job, its live round and the assignments that are not done; empty once the job has ended."""

    items: tuple[WaitingItem, ...]
