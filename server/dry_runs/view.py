"""A dry run as operators read it: put together from the pure parts, at the time of asking."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from server.dry_runs import coverage, durations, repository, traffic
from server.dry_runs.described import Described
from server.dry_runs.sentences import Plan, Standing, waiting, warnings
from server.rounds.repository import database_now
from server.side_tables import DryRun
from server.tables import Client
from shared.dry_run import (
    ClientPlan,
    ClientTime,
    ComponentPlan,
    DryRunDescription,
    DryRunView,
    JobPlan,
    ReasonView,
    RoundPlan,
    Verdict,
)
from shared.job_spec import JobSpec
from shared.messages import ClientOffer, FailureCode
from shared.readiness import PublishedCard
from shared.views import ForkOrigin

Offers = Mapping[str, ClientOffer]


@dataclass(frozen=True)
class _Asked:
    """What was asked, and who stood behind it then."""

    spec: JobSpec
    numbers: range  # of the rounds to come
    offers: Offers  # of clients that have made one, in the spec's order
    reasons: tuple[ReasonView, ...]
    made: Mapping[str, Mapping[str, int]]
    makers: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, row: DryRun) -> "_Asked":
        spec = JobSpec.model_validate(row.spec)
        known = {c: ClientOffer.model_validate(o) if o else None for c, o in row.offers.items()}
        offers = {c: offer for c in spec.clients if (offer := known.get(c))}
        made = coverage.made_by(spec, offers)
        reasons = tuple(ReasonView.model_validate(each) for each in row.reasons)
        numbers = range(1 + (row.forked_round or 0), 1 + spec.rounds.count)
        makers = coverage.contributors(spec, made)
        if not numbers:  # nothing is averaged any more
            makers = {name: {} for name in makers}
        return cls(spec, numbers, offers, reasons, made, makers)


def shown(session: Session, row: DryRun) -> DryRunView:
    """All that is known of it now."""
    asked, now = _Asked.of(row), database_now(session)
    clients = {client.id: client for client in repository.clients_of(session, list(row.offers))}
    described = _described(row)
    plan = _plan(session, asked, clients, described)
    reasons = (*asked.reasons, *_failure(row, now))
    complete = bool(reasons) or described is not None
    costs = _Costs(asked.spec, asked.numbers, plan.clients) if described else None
    return DryRunView(
        id=row.id,
        created_at=row.created_at,
        forked_from=_origin(row),
        verdict=_verdict(described, failed=bool(reasons)),
        complete=complete,
        reasons=reasons,
        warnings=warnings(plan, now),
        waiting=None if complete else waiting(_standing(session, row), now),
        base_digest=described.base_digest if described else None,
        tasks=dict(plan.tasks),
        components=dict(plan.components),
        clients=dict(plan.clients),
        version=described.whole(asked.makers) if described else None,
        round=costs.round if costs and asked.numbers else None,
        job=costs.job if costs else None,
    )


def _origin(row: DryRun) -> ForkOrigin | None:
    if row.forked_from is None or row.forked_round is None:
        return None
    return ForkOrigin(
        job=row.forked_from, round=row.forked_round, personal_round=row.forked_personal_round
    )


def _described(row: DryRun) -> Described | None:
    if row.description is None:
        return None
    return Described.of(DryRunDescription.model_validate(row.description))


def _verdict(described: Described | None, *, failed: bool) -> Verdict:
    if failed:
        return Verdict.CANNOT_RUN
    return Verdict.UNKNOWN if described is None else Verdict.CAN_RUN


def _failure(row: DryRun, now: datetime) -> tuple[ReasonView, ...]:
    """What the planner has against it."""
    if row.failure_code is not None:
        sentence = f"planner: cannot make version 0: {row.failure_message}"
        return (ReasonView(code=row.failure_code, sentence=sentence),)
    tired = row.attempt >= repository.MOST_ATTEMPTS and row.lease_until <= now
    if row.answered_at is None and tired:
        sentence = (
            f"planner: has begun {row.attempt} times to describe the components and never "
            "answered; look at its log and at the memory of its machine"
        )
        return (ReasonView(code=FailureCode.INTERNAL, sentence=sentence),)
    return ()


def _standing(session: Session, row: DryRun) -> Standing:
    seen = repository.planner_seen_at(session)
    return Standing(row.created_at, row.attempt, row.lease_until, seen)


def _plan(
    session: Session, asked: _Asked, rows: Mapping[str, Client], described: Described | None
) -> Plan:
    cards = _cards(rows)
    times = _times(session, asked, described) if described else {}
    sizes = described.sizes if described else {}
    return Plan(
        spec=asked.spec,
        numbers=asked.numbers,
        tasks=coverage.coverage(asked.spec, asked.offers, cards),
        components={
            name: ComponentPlan(contributors=dict(makers), size=sizes.get(name))
            for name, makers in asked.makers.items()
        },
        clients={
            client: _client(asked, client, rows[client], described, times.get(client))
            for client in asked.spec.clients
            if client in rows
        },
        cards=cards,
    )


def _cards(rows: Mapping[str, Client]) -> dict[str, PublishedCard]:
    offers = {c: ClientOffer.model_validate(row.offer) for c, row in rows.items() if row.offer}
    return {client: offer.card for client, offer in offers.items() if offer.card}


def _times(session: Session, asked: _Asked, described: Described) -> dict[str, ClientTime]:
    values = {client: described.whole(made).n_values for client, made in asked.made.items()}
    found = repository.measured(session, asked.spec, described.base_digest, values)
    return {client: durations.client_time(asked.spec, each) for client, each in found.items()}


def _client(
    asked: _Asked, client: str, row: Client, described: Described | None, time: ClientTime | None
) -> ClientPlan:
    mine = asked.made.get(client, {})
    offer = asked.offers.get(client)
    plan = ClientPlan(
        seen_at=row.seen_at,
        tasks=tuple(task for task in asked.spec.tasks if offer and task in offer.tasks),
        components=tuple(mine),
    )
    if described is None:
        return plan
    moved = traffic.client_traffic(asked.spec, client, mine, asked.makers, described)
    more = {"size": described.whole(mine), "traffic": moved, "time": time}
    return plan.model_copy(update=more)


class _Costs:
    """What a round and the whole job cost, of clients that are all described."""

    def __init__(self, spec: JobSpec, numbers: range, clients: Mapping[str, ClientPlan]) -> None:
        self._spec, self._numbers = spec, numbers
        self._traffic = [plan.traffic for plan in clients.values() if plan.traffic]
        self._times = {client: plan.time for client, plan in clients.items() if plan.time}

    @property
    def round(self) -> RoundPlan:
        """A training round."""
        spec, moved = self._spec, self._traffic
        return RoundPlan(
            asked=traffic.asked(spec),
            bytes_down_first=traffic.per_round(spec, (each.first_down for each in moved)),
            bytes_down=traffic.per_round(spec, (each.later_down for each in moved)),
            bytes_up=traffic.per_round(spec, (each.up for each in moved)),
            bytes_full_exchange=traffic.per_round(spec, (each.full_exchange for each in moved)),
            time=durations.round_time(spec, self._times, self._numbers),
        )

    @property
    def job(self) -> JobPlan:
        """All rounds to come; full state dicts would go to all once more in the end."""
        spec, moved, count = self._spec, self._traffic, len(self._numbers)
        ends = [each.full_exchange // 2 for each in moved]
        return JobPlan(
            rounds=count,
            bytes_down=traffic.per_job(
                spec,
                count,
                (each.first_down for each in moved),
                (each.later_down for each in moved),
            ),
            bytes_up=traffic.per_job(spec, count, (), (each.up for each in moved)),
            bytes_full_exchange=traffic.per_job(
                spec, count, ends, (e.full_exchange for e in moved)
            ),
            time=durations.job_time(spec, self.round.time, self._times, count),
        )
