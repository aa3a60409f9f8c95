"""The decisions of server and workers against a seeded network: a million events without a fault.

And that the simulation would notice: each decision of the table is broken alone, and the
simulation must report it within so many events.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from server.assignments import decide
from server.assignments.decide import Reception
from server.jobs import order
from server.rounds import aggregating, standing
from server.rounds.aggregating import Publishing
from server.rounds.collecting import Verdict
from server.waiting import decide as waiting
from shared.states import ASSIGNMENT_ACTIVE, ASSIGNMENT_HELD, AssignmentState
from tests.support.figures import ROOT
from tests.support.simulation.campaign import Campaign, report, run
from tests.support.simulation.episode import Episode
from worker import decisions
from worker.decisions import Step
from worker.journal import Stage

pytestmark = pytest.mark.unit

SEED = 20261122
SOON = 60_000  # events in which most broken decisions are noticed
MOST = 25  # campaigns: what shows only while a job is being cancelled is noticed in one of ten
Broken = Callable[..., Any]


@pytest.mark.timeout(900)
def test_a_million_events_break_no_invariant() -> None:
    campaign = run(SEED, 1_000_000)
    assert campaign.broken is None, report(SEED, campaign.broken)
    assert campaign.events.total() >= 1_000_000
    assert min(campaign.checked[name] for name in INVARIANTS) > 1000
    assert min(campaign.faults[name] for name in FAULTS) > 100
    assert min(campaign.jobs.values()) > 100, "jobs succeed, fail and are cancelled"
    assert campaign.jobs["succeeded"] > campaign.jobs.total() / 3  # type: ignore[index]


INVARIANTS = (
    *("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8"),
    *("bounds", "hang", "quorum", "reasons"),
)
FAULTS = (
    "message lost",
    "message doubled",
    "message late",
    "message cut off",
    "partition one way",
    "partition both ways",
    "worker killed",
    "API killed",
    "coordinator killed",
    "aggregator frozen",
    "process frozen",
    "worker told to stop",
    "database's clock jumps",
    "process's clock jumps",
    "database restarts",
    "commit not answered",
    "journal lost",
    "cache lost",
    "Redis away",
)


def test_the_same_seed_is_the_same_run() -> None:
    first, again, other = (Episode(seed, 3).run() for seed in (1, 1, 2))
    assert first == again
    assert first.digest != other.digest


def test_another_process_replays_an_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")  # no order of a set may matter
    command = [sys.executable, "-m", "tests.support.simulation", "--seed", "1", "--episode", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    campaign = Campaign(1)
    campaign.add(Episode(1, 3).run())
    assert campaign.digest in done.stdout


def test_an_episode_does_not_depend_on_the_one_before() -> None:
    campaign = run(5, 5000)
    last = campaign.episodes - 1
    alone = Episode(5, last).run()
    earlier = run(5, campaign.events.total() - alone.events.total())
    earlier.add(alone)
    assert earlier.digest == campaign.digest


def without(real: Broken, **changes: Any) -> Broken:
    """The decision, with some of what it looks at fixed."""
    return lambda *args, **kept: real(*args, **{**kept, **changes})


def with_terms(**changes: Any) -> Broken:
    """The terms of a round, changed."""
    real = standing.terms_of
    return lambda *args: replace(real(*args), **changes)


def quorum_off_by_one(row: Any, spec: Any, asked: int) -> Any:
    terms = REAL_TERMS(row, spec, asked)
    return replace(terms, quorum=terms.quorum - 1)


def late_counts(_job: Any, row: Any, _held: Any, *, same: bool) -> Reception:
    return Reception.REPEATED if same and row.state is AssignmentState.ACCEPTED else Reception.TAKE


def skips_a_round(phase: Any, number: int, spec: Any) -> Any:
    then = REAL_FOLLOWING(phase, number, spec)
    return replace(then, number=then.number + 1)


def promotes_early() -> Broken:
    """What is uploaded is promoted unreported; not at first, for a plan has nothing to promote."""
    times = count()

    def step(stage: Stage) -> Step:
        broken = stage is Stage.UPLOADED and next(times) % 8 >= 4
        return Step.PROMOTE if broken else REAL_STEP(stage)

    return step


def reports_early(stage: Stage) -> Step:
    return Step.REPORT if stage is Stage.TRAINED else REAL_STEP(stage)


REAL_TERMS, REAL_FOLLOWING, REAL_STEP = standing.terms_of, order.following, decisions.next_step

# what is broken: (where, which decision, how, what the simulation says)
MUTATIONS: dict[str, tuple[Any, str, Any, str]] = {
    "old leases are heard": (
        decide,
        "is_current",
        lambda row, _: row.state in ASSIGNMENT_HELD,
        "I2",
    ),
    "results that come late are counted": (decide, "reception", late_counts, "I2|I3|I9"),
    "a busy client claims more": (
        decide,
        "claiming",
        without(decide.claiming, busy=False),
        "I1",
    ),
    "what is leased is claimed without its lease": (
        decide,
        "ASSIGNMENT_CLAIMABLE",
        ASSIGNMENT_ACTIVE,
        "I1|I2|I9",
    ),
    "jobs that end take results": (decide, "ENDED", frozenset[Any](), "I3"),
    "attempts have no end": (decide, "tries", lambda _: 1, "bounds"),
    "a missed lease is not noticed": (decide, "is_missed", lambda *_: False, "I7"),
    "a failure pauses for hours": (
        decide,
        "pause_after_failure",
        lambda *_: timedelta(hours=3),
        "I7",
    ),
    "the quorum is off by one": (standing, "terms_of", quorum_off_by_one, "quorum"),
    "extensions have no end": (standing, "terms_of", with_terms(extensions_left=1), "bounds"),
    "the job is looked at tomorrow": (
        standing,
        "look_again",
        lambda _, now: now + timedelta(days=1),
        "I7",
    ),
    "any aggregator publishes": (
        aggregating,
        "publishing",
        lambda *_: Publishing.PUBLISH,
        "I3|I4|I7|I9",
    ),
    "nobody says why a round waits": (waiting, "_verdict", lambda *_: Verdict.WAIT, "reasons"),
    "a round is left out": (order, "following", skips_a_round, "I4"),
    "the personal state is promoted before it is accepted": (
        decisions,
        "next_step",
        promotes_early(),
        "I8",
    ),
    "the result is reported before its bytes": (
        decisions,
        "next_step",
        reports_early,
        "I5",
    ),
    "what the server refuses is kept for ever": (
        decisions,
        "has_decided",
        lambda _: False,
        "hang",
    ),
    "an absent server ends the work": (decisions, "is_gone", lambda _: True, "told"),
    "the journal is worked on without a claim": (
        decisions,
        "needs_claim",
        lambda _: False,
        "hang",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_decision_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    where, decision, broken, invariant = MUTATIONS[name]
    monkeypatch.setattr(where, decision, broken)
    campaigns = (run(seed, SOON) for seed in range(1, MOST + 1))
    campaign = next((each for each in campaigns if each.broken), None)
    assert campaign is not None, f"{MOST} times {SOON} events, and nobody noticed"
    assert campaign.broken is not None
    assert campaign.broken.violation is not None
    assert campaign.broken.violation.partition(":")[0] in invariant.split("|")
    assert f"--seed 1 --episode {campaign.broken.number}" in report(1, campaign.broken)
