"""What a dry run says in words: what to know before submitting, and for whom it waits. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from server.waiting.assignments import SILENT
from server.waiting.decide import clock
from shared.dry_run import ClientPlan, ComponentPlan, TaskCoverage
from shared.job_spec import JobSpec
from shared.readiness import PublishedCard
from shared.waiting import Cause, Waiting

_MOST_NAMED = 5
_START = "start one with `tapestry worker --planner`"
_THEN = "A planner describes the components, and the answer is complete."


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a job."""

    spec: JobSpec
    numbers: range  # of the rounds to come
    tasks: Mapping[str, TaskCoverage]
    components: Mapping[str, ComponentPlan]
    clients: Mapping[str, ClientPlan]
    cards: Mapping[str, PublishedCard]


def warnings(plan: Plan, now: datetime) -> tuple[str, ...]:
    """What to know before submitting the job, each with what to do."""
    return (
        *_absent(plan, now),
        *_lacking(plan.tasks),
        *_alone(plan.components),
        *_held_back(plan),
        *_slow(plan),
        *_unsound(plan.cards),
    )


def _absent(plan: Plan, now: datetime) -> Iterator[str]:
    seen = {client: plan.clients[client].seen_at for client in plan.clients}
    away = {client: at for client, at in seen.items() if at is None or now - at > SILENT}
    if not away:
        return
    names = _some([f"{client} ({_last(at)})" for client, at in away.items()])
    yield f"clients: {len(away)} of {len(seen)} are not there now, {names}: start their workers"
    here, quorum = len(seen) - len(away), plan.spec.quorum
    if here < quorum:
        yield (
            f"rounds.quorum: {quorum} clients are needed and {here} are there now; rounds would "
            "miss their deadlines until more of them come"
        )


def _last(at: datetime | None) -> str:
    return "never seen" if at is None else f"last seen {clock(at)}"


def _lacking(tasks: Mapping[str, TaskCoverage]) -> Iterator[str]:
    for name, task in tasks.items():
        lacking = [
            f"{client} reads no {' and no '.join(share.lacking)}"
            for client, share in task.clients.items()
            if share.lacking
        ]
        if lacking:
            yield f"tasks.{name}: {_some(lacking)}; what they lack they neither train nor use"


def _alone(components: Mapping[str, ComponentPlan]) -> Iterator[str]:
    alone = [
        f"{name} ({client})"
        for name, component in components.items()
        if len(component.contributors) == 1
        for client in component.contributors
    ]
    if alone:
        yield (
            f"components: {len(alone)} of {len(components)} have one contributor, whose work no "
            f"other hides or outvotes, {_some(alone)}: have more clients offer these tasks and "
            "domains where that matters"
        )


def _held_back(plan: Plan) -> Iterator[str]:
    least, components = plan.spec.aggregation.min_contributors, plan.components
    found = [
        f"{name} ({len(component.contributors)})"
        for name, component in components.items()
        if 1 < len(component.contributors) < least
    ]
    if found:
        yield (
            f"aggregation.min_contributors: is {least}, and {len(found)} of {len(components)} "
            f"components have fewer, {_some(found)}, and stay as they are in version "
            f"{plan.numbers.start - 1}: lower it, or have more clients offer these tasks and "
            "domains"
        )


def _slow(plan: Plan) -> Iterator[str]:
    if not plan.numbers:
        return
    deadline_s = plan.spec.rounds.deadline.total_seconds()
    slow = [
        f"{client} (about {minutes(plan.time.round_s)})"
        for client, plan in plan.clients.items()
        if plan.time and plan.time.round_s and plan.time.round_s > deadline_s
    ]
    if slow:
        yield (
            f"rounds.deadline: is {minutes(deadline_s)} and these clients need "
            f"longer, {_some(slow)}: raise it or lower training.local_steps"
        )


def _unsound(cards: Mapping[str, PublishedCard]) -> Iterator[str]:
    found = [f"{client} ({card.errors})" for client, card in cards.items() if card.errors]
    if found:
        yield (
            f"clients: the readiness cards of these have errors, {_some(found)}: see them there "
            "with `tapestry doctor`"
        )


def minutes(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds / 60:.1f} minutes"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a dry run has come that nobody has answered."""

    asked_at: datetime
    attempt: int
    lease_until: datetime
    planner_seen_at: datetime | None


def waiting(row: Standing, now: datetime) -> Waiting:
    """Why the answer waits, and what to do."""
    if row.attempt and row.lease_until > now:
        return _waits(
            Cause.WORKING,
            row,
            f"A planner describes the components, attempt {row.attempt}, until "
            f"{clock(row.lease_until)} at the latest.",
        )
    seen = row.planner_seen_at
    if seen is None or now - seen > SILENT:
        since = "yet" if seen is None else f"since {clock(seen)}"
        return _waits(
            Cause.PLANNER_SILENT,
            row,
            f"No planner has been seen {since}, which alone can describe the components: {_START}.",
        )
    return _waits(
        Cause.NOT_CLAIMED,
        row,
        f"A planner was seen at {clock(seen)} and has not begun what was asked at "
        f"{clock(row.asked_at)}: it does jobs first; if that lasts, bring it to this server's "
        "version.",
    )


def _waits(cause: Cause, row: Standing, sentence: str) -> Waiting:
    works = cause is Cause.WORKING
    return Waiting(
        cause=cause,
        owner="planner",
        since=row.asked_at,
        until=row.lease_until if works else None,
        then=_THEN,
        sentence=sentence,
    )
