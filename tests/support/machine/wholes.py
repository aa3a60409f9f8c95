"""Whole tables against the reference after each step: I2, I3, I4, I6, and I9 of what has ended."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from shared.messages import AssignmentKind
from shared.states import RoundState
from tests.support.machine.arena import Query, Rows
from tests.support.machine.reference import Reference, need
from tests.support.machine.rows import Work

_SHARES = "SELECT round_id::text, client_id, component, sha256 FROM contributions"
_ATTEMPTS = """
    SELECT assignment_id::text, count(*) AS claims, max(attempt) AS last
    FROM attempts GROUP BY assignment_id
"""
_VERSIONS = """
    SELECT job_id::text, number, round_id::text, (
        SELECT bit_xor(hashtextextended(component || sha256, 0)) FROM version_components
        WHERE version_components.job_id = versions.job_id AND version = number
    ) AS digest
    FROM versions
"""
_STATES = """
    SELECT 'assignment' AS kind, state, count(*) AS n FROM assignments GROUP BY state
    UNION ALL SELECT 'round', state, count(*) FROM rounds GROUP BY state
"""
QUERIES: list[Query] = [(_SHARES, []), (_ATTEMPTS, []), (_VERSIONS, []), (_STATES, [])]
_MAKES_VERSION = {AssignmentKind.PLAN, AssignmentKind.TRAIN}


class Wholes:
    """The tables that no step may lose a row of, or change one in secret."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._shares: set[tuple[str, ...]] = set()
        self._digests: dict[tuple[str, int], int] = {}  # of versions, as they were when new

    def accepted(self, work: Work) -> None:
        """A result counts from now on."""
        if work.kind is AssignmentKind.TRAIN:
            for name, sha256 in (work.result or {})["components"].items():
                self._shares.add((work.round.id, work.client or "", name, sha256))

    def judge(self, found: list[Rows]) -> None:
        """What QUERIES found. Raises AssertionError where a table is not the reference's."""
        shares, attempts, versions, states = found
        works = self._reference.work.values()
        _same("I3 contributions", _tuples(shares), self._shares)
        claimed = {(work.id, work.attempt, work.attempt) for work in works if work.attempt}
        _same("I2 attempts", _tuples(attempts), claimed)
        self._judge_versions(versions)
        rows = Counter(("assignment", str(work.state)) for work in works)
        rows += Counter(("round", str(row.state)) for row in self._reference.rounds.values())
        _same("I9 rows", _tuples(states), {(*key, n) for key, n in rows.items()})

    def _judge_versions(self, rows: Rows) -> None:
        """I4 and I6: those of the published rounds; none is ever another one."""
        made = {
            (row.job.id, row.number, row.id)
            for row in self._reference.rounds.values()
            if row.phase in _MAKES_VERSION and row.state is RoundState.PUBLISHED
        }
        _same("I4 versions", {(r["job_id"], r["number"], r["round_id"]) for r in rows}, made)
        for row in rows:
            version = (row["job_id"], row["number"])
            before = self._digests.setdefault(version, row["digest"])
            need(before == row["digest"], f"I6 version {version} has become another one")


def _tuples(rows: Rows) -> set[tuple[Any, ...]]:
    return {tuple(row.values()) for row in rows}


def _same(what: str, theirs: Iterable[Any], mine: set[Any]) -> None:
    wrong = sorted(mine ^ set(theirs), key=str)
    need(not wrong, f"{what}: these are lost, or nobody expected them: {wrong}")
