"""Versions, events, the outbox; and what no program may do with any table."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_TABLES = (  # each after those that refer to it
    "outbox",
    "events",
    "contributions",
    "version_components",
    "versions",
    "artifacts",
)
_ENDS = {
    "jobs": ("succeeded", "cancelled", "failed"),
    "rounds": ("published", "failed"),
    "assignments": ("accepted", "failed", "superseded", "cancelled"),
}
_APPEND_ONLY = ("events", "attempts", "versions", "version_components")


def upgrade() -> None:
    _versions()
    _events()
    _guards()


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
    op.execute("DROP FUNCTION tapestry_end_is_final() CASCADE")
    op.execute("DROP FUNCTION tapestry_append_only() CASCADE")


def _guards() -> None:
    """What no program may do, whatever its code says."""
    op.execute("""
        CREATE FUNCTION tapestry_end_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.state = ANY (TG_ARGV) AND NEW.state <> OLD.state THEN
                RAISE EXCEPTION '% % has ended as %: it cannot become %',
                    TG_TABLE_NAME, OLD.id, OLD.state, NEW.state
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION tapestry_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME
                USING ERRCODE = 'check_violation';
        END $$
    """)
    for table, ends in _ENDS.items():
        words = ", ".join(f"'{end}'" for end in ends)
        op.execute(
            f"CREATE TRIGGER end_is_final BEFORE UPDATE OF state ON {table} FOR EACH ROW "
            f"EXECUTE FUNCTION tapestry_end_is_final({words})"
        )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW "
            "EXECUTE FUNCTION tapestry_append_only()"
        )


def _need(name: str, kind: Any, *more: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, nullable=False, **options)


def _may(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def _time(name: str, default: str) -> sa.Column[Any]:
    return _need(name, _TIME, server_default=sa.text(default))


def _ref(column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target])


def _versions() -> None:
    op.create_table(
        "artifacts",
        _need("sha256", sa.Text()),
        _need("n_bytes", sa.BigInteger()),
        _time("created_at", "now()"),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "versions",
        _need("job_id", sa.Uuid()),
        _need("number", sa.Integer()),
        _need("round_id", sa.Uuid()),
        _time("created_at", "now()"),
        _ref("job_id", "jobs.id"),
        _ref("round_id", "rounds.id"),
        sa.PrimaryKeyConstraint("job_id", "number"),
        sa.UniqueConstraint("round_id"),
    )
    op.create_table(
        "version_components",
        _need("job_id", sa.Uuid()),
        _need("version", sa.Integer()),
        _need("component", sa.Text()),
        _need("sha256", sa.Text()),
        _need("made_in", sa.Integer()),
        _ref("job_id", "jobs.id"),
        _ref("sha256", "artifacts.sha256"),
        sa.PrimaryKeyConstraint("job_id", "version", "component"),
    )
    op.create_index("version_components_artifact", "version_components", ["sha256"])
    op.create_table(
        "contributions",
        _need("round_id", sa.Uuid()),
        _need("component", sa.Text()),
        _need("client_id", sa.Text()),
        _need("weight", sa.Double()),
        _need("sha256", sa.Text()),
        _may("norm", sa.Double()),
        _need("verdict", sa.Text()),
        _ref("client_id", "clients.id"),
        _ref("round_id", "rounds.id"),
        _ref("sha256", "artifacts.sha256"),
        sa.PrimaryKeyConstraint("round_id", "component", "client_id"),
    )


def _events() -> None:
    op.create_table(
        "events",
        _need("id", sa.BigInteger(), sa.Identity(always=False)),
        _time("at", "clock_timestamp()"),
        _need("kind", sa.Text()),
        _may("job_id", sa.Uuid()),
        _need("data", sa.JSON()),
        _may("previous_sha256", sa.Text()),
        _may("sha256", sa.Text()),
        _ref("job_id", "jobs.id"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("events_of_job", "events", ["job_id", "id"])
    op.create_table(
        "outbox",
        _need("id", sa.BigInteger(), sa.Identity(always=False)),
        _need("task", sa.Text()),
        _need("queue", sa.Text()),
        _need("argument", sa.Text()),
        _time("created_at", "now()"),
        _time("not_before", "now()"),
        _may("sent_at", _TIME),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "outbox_waiting",
        "outbox",
        ["task", "argument"],
        unique=True,
        postgresql_where=sa.text("sent_at IS NULL"),
    )
