"""What a dry run warns of, and whom it says that it waits for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.dry_runs.sentences import Plan, Standing, waiting, warnings
from shared.dry_run import ClientPlan, ClientTime, ComponentPlan, TaskCoverage, TaskShare
from shared.job_spec import JobSpec
from shared.readiness import PublishedCard
from shared.waiting import Cause
from tests.support.scripted import job_spec

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def client(seen_at: datetime | None = NOW, round_s: float | None = None) -> ClientPlan:
    time = ClientTime(round_s=round_s, stands_on="-")
    return ClientPlan(seen_at=seen_at, tasks=("digits",), components=("proj",), time=time)


def plan(clients: dict[str, ClientPlan], **more: Any) -> Plan:
    spec = JobSpec.model_validate(job_spec(list(clients), **more.pop("spec", {})))
    more = {"numbers": range(1, 1 + spec.rounds.count), **more}
    return Plan(spec, **{"tasks": {}, "components": {}, "clients": clients, "cards": {}, **more})


def test_nothing_to_say_is_nothing_said() -> None:
    both = ComponentPlan(contributors={"c1": 1, "c2": 1})
    sound = plan({"c1": client(), "c2": client()}, components={"proj": both})
    assert warnings(sound, NOW) == ()


def test_who_is_away_is_named_and_so_is_a_quorum_that_it_costs() -> None:
    clients = {"c1": client(), "c2": client(LONG_AGO), "c3": client(None)}
    away, quorum = warnings(plan(clients), NOW)
    assert away == (
        "clients: 2 of 3 are not there now, c2 (last seen 2026-01-31 11:00:00 UTC), "
        "c3 (never seen): start their workers"
    )
    assert quorum.startswith("rounds.quorum: 3 clients are needed and 1 are there now")
    [only] = warnings(plan(clients, spec={"rounds": {"count": 1, "quorum": 1}}), NOW)
    assert only == away


def test_five_are_named_and_the_rest_counted() -> None:
    clients = {f"c{n}": client(None) for n in range(1, 8)}
    said = warnings(plan(clients), NOW)[0]
    assert "c5 (never seen) and 2 more" in said
    assert "c6" not in said


def test_modalities_that_clients_lack_are_named() -> None:
    share = {"train": 1, "domains": {}, "validation": 1, "test": 1}
    shares = {
        "c1": TaskShare(modalities=("image",), lacking=("text",), **share),
        "c2": TaskShare(modalities=("image", "text"), **share),
    }
    tasks = {"vqa": TaskCoverage(clients=shares, train=2)}
    [said] = warnings(plan({"c1": client(), "c2": client()}, tasks=tasks), NOW)
    assert said.startswith("tasks.vqa: c1 reads no text;")


def test_components_of_a_single_client_are_named() -> None:
    components = {
        "head.digits": ComponentPlan(contributors={"c1": 5}),
        "kept": ComponentPlan(contributors={}),
        "proj": ComponentPlan(contributors={"c1": 5, "c2": 5}),
    }
    [said] = warnings(plan({"c1": client(), "c2": client()}, components=components), NOW)
    assert said.startswith("components: 1 of 3 have one contributor")
    assert "head.digits (c1)" in said


def test_components_that_would_always_be_held_back_are_named() -> None:
    components = {
        "alone": ComponentPlan(contributors={"c1": 5}),  # it goes back to c1
        "head.digits": ComponentPlan(contributors={"c1": 5, "c2": 5}),
        "proj": ComponentPlan(contributors={"c1": 5, "c2": 5, "c3": 5}),
    }
    clients = {name: client() for name in ("c1", "c2", "c3")}
    spec = {"aggregation": {"min_contributors": 3}}
    _, said = warnings(plan(clients, components=components, spec=spec), NOW)
    assert said.startswith("aggregation.min_contributors: is 3, and 1 of 3 components have fewer")
    assert "head.digits (2), and stay as they are in version 0" in said


def test_who_is_slower_than_the_deadline_is_named() -> None:
    clients = {"c1": client(round_s=90.0), "c2": client(round_s=3.0)}
    [said] = warnings(plan(clients, spec={"rounds": {"count": 1, "deadline": "PT1M"}}), NOW)
    assert said == (
        "rounds.deadline: is 1.0 minutes and these clients need longer, c1 (about 1.5 minutes): "
        "raise it or lower training.local_steps"
    )


def test_a_round_without_an_end_is_longer_than_any_deadline() -> None:
    [said] = warnings(plan({"c1": client(round_s=1e20)}), NOW)
    assert "c1 (about" in said


def test_cards_with_errors_are_named() -> None:
    cards = {"c1": PublishedCard(tasks={}, errors=3, warnings=0)}
    [said] = warnings(plan({"c1": client()}, cards=cards), NOW)
    assert "c1 (3)" in said


@pytest.mark.parametrize(
    ("attempt", "lease_until", "seen", "cause", "said"),
    [
        (1, NOW + timedelta(minutes=2), NOW, Cause.WORKING, "attempt 1, until 2026-01-31 12:02:00"),
        (0, LONG_AGO, None, Cause.PLANNER_SILENT, "No planner has been seen yet"),
        (0, LONG_AGO, LONG_AGO, Cause.PLANNER_SILENT, "seen since 2026-01-31 11:00:00 UTC"),
        (1, LONG_AGO, LONG_AGO, Cause.PLANNER_SILENT, "tapestry worker --planner"),
        (0, LONG_AGO, NOW, Cause.NOT_CLAIMED, "it does jobs first"),
    ],
)
def test_it_says_what_the_planner_does(
    attempt: int, lease_until: datetime, seen: datetime | None, cause: Cause, said: str
) -> None:
    found = waiting(Standing(LONG_AGO, attempt, lease_until, seen), NOW)
    assert (found.cause, found.owner, found.since) == (cause, "planner", LONG_AGO)
    assert said in found.sentence
    assert (found.until is not None) is (cause is Cause.WORKING)
