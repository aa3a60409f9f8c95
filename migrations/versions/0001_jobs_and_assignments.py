"""Clients, keys, jobs, rounds, assignments, uploads."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_TABLES = (  # each after those that refer to it
    "uploads",
    "attempts",
    "assignments",
    "rounds",
    "job_clients",
    "jobs",
    "idempotency_keys",
    "api_keys",
    "clients",
)


def upgrade() -> None:
    _people()
    _jobs()
    _assignments()


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)


def _need(name: str, kind: Any, *more: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, nullable=False, **options)


def _may(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def _count(name: str) -> sa.Column[Any]:
    return _need(name, sa.Integer(), server_default="0")


def _time(name: str, default: str) -> sa.Column[Any]:
    return _need(name, _TIME, server_default=sa.text(default))


def _word(column: str, name: str, *words: str) -> sa.Column[Any]:
    kind = sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=20)
    return _need(column, kind)


def _ref(column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target])


def _people() -> None:
    op.create_table(
        "clients",
        _need("id", sa.Text()),
        _need("description", sa.Text()),
        _time("created_at", "now()"),
        _may("seen_at", _TIME),
        _may("offer", sa.JSON()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "api_keys",
        _need("id", sa.Uuid()),
        _need("prefix", sa.Text()),
        _need("sha256", sa.Text()),
        _word("scope", "scope_known", "viewer", "operator", "admin", "client", "planner"),
        _may("client_id", sa.Text()),
        _time("created_at", "now()"),
        _may("used_at", _TIME),
        _may("expires_at", _TIME),
        _may("revoked_at", _TIME),
        sa.CheckConstraint(
            "(scope = 'client') = (client_id IS NOT NULL)", name="client_keys_name_it"
        ),
        _ref("client_id", "clients.id"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("prefix"),
    )
    op.create_table(
        "idempotency_keys",
        _need("api_key_id", sa.Uuid()),
        _need("route", sa.Text()),
        _need("key", sa.Text()),
        _need("request_sha256", sa.Text()),
        _need("resource", sa.Text()),
        _time("created_at", "now()"),
        _ref("api_key_id", "api_keys.id"),
        sa.PrimaryKeyConstraint("api_key_id", "route", "key"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        _need("id", sa.Uuid()),
        _need("name", sa.Text()),
        _need("spec", sa.JSON()),
        _word(
            "state",
            "jobstate_known",
            "submitted",
            "planning",
            "running",
            "personalizing",
            "evaluating",
            "paused",
            "cancelling",
            "succeeded",
            "cancelled",
            "failed",
        ),
        _count("round_number"),
        _may("catalogue", sa.JSON()),
        _may("base_digest", sa.Text()),
        _may("failure_code", sa.Text()),
        _may("failure_message", sa.Text()),
        _time("created_at", "now()"),
        _time("updated_at", "now()"),
        _time("due_at", "now()"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_due", "jobs", ["due_at"])
    op.create_index("jobs_newest", "jobs", ["created_at", "id"])
    op.create_table(
        "job_clients",
        _need("job_id", sa.Uuid()),
        _need("client_id", sa.Text()),
        _need("offer", sa.JSON()),
        _may("state_digest", sa.Text()),
        _ref("client_id", "clients.id"),
        _ref("job_id", "jobs.id"),
        sa.PrimaryKeyConstraint("job_id", "client_id"),
    )
    op.create_table(
        "rounds",
        _need("id", sa.Uuid()),
        _need("job_id", sa.Uuid()),
        _word("phase", "assignmentkind_known", "plan", "train", "personalize", "evaluate"),
        _need("number", sa.Integer()),
        _word("state", "roundstate_known", "open", "aggregating", "published", "failed"),
        _need("quorum", sa.Integer()),
        _may("version", sa.Integer()),
        _time("opened_at", "now()"),
        _need("deadline_at", _TIME),
        _may("closed_at", _TIME),
        _count("attempt"),
        _need("lease_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()")),
        _time("lease_until", "'epoch'::timestamptz"),
        _ref("job_id", "jobs.id"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "phase", "number"),
    )
    op.create_index(
        "rounds_one_live",
        "rounds",
        ["job_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('open', 'aggregating')"),
    )


def _assignments() -> None:
    op.create_table(
        "assignments",
        _need("id", sa.Uuid()),
        _need("job_id", sa.Uuid()),
        _need("round_id", sa.Uuid()),
        _may("client_id", sa.Text()),
        _word("kind", "assignmentkind_known", "plan", "train", "personalize", "evaluate"),
        _word(
            "state",
            "assignmentstate_known",
            "queued",
            "leased",
            "suspect",
            "accepted",
            "failed",
            "superseded",
            "cancelled",
        ),
        _need("components", postgresql.ARRAY(sa.Text())),
        _may("version", sa.Integer()),
        _time("created_at", "now()"),
        _count("attempt"),
        _need("lease_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()")),
        _time("lease_until", "'epoch'::timestamptz"),
        _time("not_before", "now()"),
        _count("hints"),
        _time("hint_at", "now()"),
        _need("progress", sa.Double(), server_default="0"),
        _may("result", sa.JSON()),
        _may("failure_code", sa.Text()),
        _may("failure_message", sa.Text()),
        sa.CheckConstraint(
            "(kind = 'plan') = (client_id IS NULL)", name="only_plans_have_no_client"
        ),
        _ref("client_id", "clients.id"),
        _ref("job_id", "jobs.id"),
        _ref("round_id", "rounds.id"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("round_id", "client_id"),
    )
    op.create_index(
        "assignments_active",
        "assignments",
        ["client_id"],
        postgresql_where=sa.text("state IN ('queued', 'leased', 'suspect')"),
    )
    op.create_index(
        "assignments_one_lease",
        "assignments",
        ["client_id"],
        unique=True,
        postgresql_where=sa.text("state = 'leased'"),
    )
    op.create_index("ix_assignments_job_id", "assignments", ["job_id"])
    op.create_index("ix_assignments_round_id", "assignments", ["round_id"])
    op.create_table(
        "attempts",
        _need("assignment_id", sa.Uuid()),
        _need("attempt", sa.Integer()),
        _need("lease_id", sa.Uuid()),
        _time("claimed_at", "now()"),
        _ref("assignment_id", "assignments.id"),
        sa.PrimaryKeyConstraint("assignment_id", "attempt"),
        sa.UniqueConstraint("lease_id"),
    )
    op.create_table(
        "uploads",
        _need("id", sa.Uuid()),
        _need("assignment_id", sa.Uuid()),
        _need("attempt", sa.Integer()),
        _need("component", sa.Text()),
        _need("sha256", sa.Text()),
        _need("n_bytes", sa.BigInteger()),
        _time("created_at", "now()"),
        _may("completed_at", _TIME),
        _count("refusals"),
        _ref("assignment_id", "assignments.id"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("assignment_id", "attempt", "component", "sha256"),
    )
