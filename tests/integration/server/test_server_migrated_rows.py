"""Rows that were made under an older schema are right under the newest, and after down and up."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from server.migrate import downgrade, upgrade
from server.rounds.standing import terms_of
from server.tables import Round
from shared.job_spec import JobSpec
from tests.support.scripted import job_spec

pytestmark = pytest.mark.integration

_JOB, _PLAN, _TRAIN, _ALONE, _ROUND_OF_TWO = (f"{n:032x}" for n in range(1, 6))
_ROWS = f"""
    INSERT INTO clients (id, description) VALUES ('c1', ''), ('c2', ''), ('c3', '');
    INSERT INTO jobs (id, name, spec, state) VALUES ('{_JOB}', 'old', '{{}}', 'running');
    INSERT INTO rounds (id, job_id, phase, number, state, quorum, deadline_at) VALUES
        ('{_PLAN}', '{_JOB}', 'plan', 0, 'published', 1, now()),
        ('{_ROUND_OF_TWO}', '{_JOB}', 'train', 1, 'published', 2, now()),
        ('{_TRAIN}', '{_JOB}', 'train', 2, 'open', 2, now()),
        ('{_ALONE}', '{_JOB}', 'train', 3, 'failed', 2, now());
    INSERT INTO assignments (id, job_id, round_id, client_id, kind, state, components, attempt)
    VALUES
        (gen_random_uuid(), '{_JOB}', '{_PLAN}', NULL, 'plan', 'accepted', '{{proj}}', 1),
        (gen_random_uuid(), '{_JOB}', '{_ROUND_OF_TWO}', 'c1', 'train', 'accepted', '{{}}', 1),
        (gen_random_uuid(), '{_JOB}', '{_ROUND_OF_TWO}', 'c2', 'train', 'accepted', '{{}}', 2),
        ('{_TRAIN}', '{_JOB}', '{_TRAIN}', 'c1', 'train', 'leased', '{{proj}}', 1),
        (gen_random_uuid(), '{_JOB}', '{_TRAIN}', 'c2', 'train', 'queued', '{{proj}}', 0),
        (gen_random_uuid(), '{_JOB}', '{_TRAIN}', 'c3', 'train', 'queued', '{{proj}}', 0);
"""  # noqa: S608  # ids from this file
_UPLOAD = f"""
    INSERT INTO uploads (id, assignment_id, attempt, component, sha256, n_bytes)
    VALUES (gen_random_uuid(), '{_TRAIN}', 1, 'proj', '{"a" * 64}', 7)
"""  # noqa: S608  # ids from this file


@pytest.fixture
def empty(databases: Any) -> Iterator[Engine]:
    """A database without tables."""
    url = databases.create(migrated=False)
    engine = create_engine(url)
    yield engine
    engine.dispose()
    databases.drop(url)


def address(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


TARGETS = [(0, 1), (1, 2), (2, 3), (3, 2)]


def test_rounds_get_as_target_whom_they_had_asked(empty: Engine) -> None:
    upgrade(address(empty), "0004")
    execute(empty, _ROWS)
    for _ in range(2):
        upgrade(address(empty))
        assert rows(empty, "SELECT number, target FROM rounds ORDER BY number") == TARGETS
        fresh = "SELECT extensions, quorum_at FROM rounds GROUP BY 1, 2"
        assert rows(empty, fresh) == [(0, None)]
        fresh = "SELECT priority, paused_from, paused_at, forked_from, forked_round FROM jobs"
        assert rows(empty, fresh) == [(0, None, None, None, None)]
        assert rows(empty, "SELECT forked_personal_round FROM jobs") == [(None,)]
        attempts = "SELECT attempt, released FROM assignments ORDER BY attempt"
        assert rows(empty, attempts) == [(0, 0), (0, 0), (1, 0), (1, 0), (1, 0), (2, 0)]
        downgrade(address(empty), "0004")


def test_an_open_round_goes_on_as_it_was_meant(empty: Engine) -> None:
    """Before there were targets, a round closed with the results of all whom it had asked."""
    upgrade(address(empty), "0004")
    execute(empty, _ROWS)
    upgrade(address(empty))
    with Session(empty) as session:
        row = session.query(Round).filter_by(number=2).one()
        terms = terms_of(row, JobSpec.model_validate(job_spec(["c1", "c2", "c3"])), asked=3)
    assert (terms.quorum, terms.target, terms.spare) == (2, 3, 0)


def test_uploads_under_way_are_dropped_and_their_assignments_stay(empty: Engine) -> None:
    upgrade(address(empty), "0002")
    execute(empty, _ROWS)
    execute(empty, _UPLOAD)
    for _ in range(2):
        upgrade(address(empty))
        assert rows(empty, "SELECT count(*) FROM uploads") == [(0,)]
        leased = "SELECT client_id, attempt FROM assignments WHERE state = 'leased'"
        assert rows(empty, leased) == [("c1", 1)]
        downgrade(address(empty), "0002")
        assert rows(empty, "SELECT count(*) FROM uploads") == [(0,)]
        execute(empty, _UPLOAD)


def test_clients_of_older_jobs_have_lost_nothing(empty: Engine) -> None:
    upgrade(address(empty), "0006")
    execute(
        empty,
        f"""
        INSERT INTO clients (id, description) VALUES ('c1', '');
        INSERT INTO jobs (id, name, spec, state) VALUES ('{_JOB}', 'old', '{{}}', 'running');
        INSERT INTO job_clients (job_id, client_id, offer) VALUES ('{_JOB}', 'c1', '{{}}');
        """,  # noqa: S608  # an id from this file
    )
    for _ in range(2):
        upgrade(address(empty))
        assert rows(empty, "SELECT changes::text FROM job_clients") == [("[]",)]
        downgrade(address(empty), "0006")


def test_dry_runs_that_say_no_more_why_are_forgotten_and_others_stay(empty: Engine) -> None:
    refused, waiting, described, failed, forked = (f"{n:032x}" for n in range(1, 6))
    upgrade(address(empty), "0011")
    execute(
        empty,
        f"""
        INSERT INTO dry_runs (id, spec, offers, components, answered_at, description, failure_code)
        VALUES ('{refused}', '{{}}', '{{}}', '{{}}', now(), NULL, NULL),
            ('{waiting}', '{{}}', '{{}}', '{{proj}}', NULL, NULL, NULL),
            ('{described}', '{{}}', '{{}}', '{{proj}}', now(), '{{}}', NULL),
            ('{failed}', '{{}}', '{{}}', '{{proj}}', now(), NULL, 'internal')
        """,  # noqa: S608  # ids from this file
    )
    left = [(int(id_, 16), "[]") for id_ in (waiting, described, failed)]
    fork = f"""
        INSERT INTO dry_runs (id, spec, offers, components, forked_from, forked_round)
        VALUES ('{forked}', '{{}}', '{{}}', '{{}}', '{_JOB}', 1)
    """  # noqa: S608  # ids from this file
    for _ in range(2):
        upgrade(address(empty))
        found = rows(empty, "SELECT id, reasons::text FROM dry_runs ORDER BY id")
        assert [(id_.int, reasons) for id_, reasons in found] == left
        execute(empty, fork)
        downgrade(address(empty), "0011")
        assert rows(empty, "SELECT count(*) FROM dry_runs") == [(3,)]
