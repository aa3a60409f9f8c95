"""The norm of each uploaded component's change; events that are chained by their hashes."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_FUNCTIONS = """
    CREATE FUNCTION tapestry_event_sha256(event events) RETURNS text LANGUAGE sql STABLE AS $$
        SELECT encode(sha256(convert_to(concat_ws(
            E'\\n',
            coalesce(event.previous_sha256, ''),
            event.id,
            coalesce(event.job_id::text, ''),
            to_char(event.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
            event.kind,
            event.data::text
        ), 'UTF8')), 'hex')
    $$;
    CREATE FUNCTION tapestry_chain_event() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.job_id IS NULL THEN  -- no job's lock puts these in an order
            PERFORM pg_advisory_xact_lock(hashtext('tapestry events without a job'));
            NEW.id := nextval(pg_get_serial_sequence('events', 'id'));
            SELECT sha256 INTO NEW.previous_sha256 FROM events
                WHERE job_id IS NULL ORDER BY id DESC LIMIT 1;
        ELSE
            SELECT sha256 INTO NEW.previous_sha256 FROM events
                WHERE job_id = NEW.job_id ORDER BY id DESC LIMIT 1;
        END IF;
        NEW.sha256 := tapestry_event_sha256(NEW);
        RETURN NEW;
    END $$;
"""
_FILL = """
    DO $$
    DECLARE
        one events;
    BEGIN
        FOR one IN SELECT * FROM events ORDER BY id LOOP
            SELECT sha256 INTO one.previous_sha256 FROM events
                WHERE job_id IS NOT DISTINCT FROM one.job_id AND id < one.id
                ORDER BY id DESC LIMIT 1;
            UPDATE events SET previous_sha256 = one.previous_sha256,
                sha256 = tapestry_event_sha256(one) WHERE id = one.id;
        END LOOP;
    END $$;
"""


def upgrade() -> None:
    op.add_column("uploaded_components", sa.Column("norm", sa.Double(), nullable=True))
    op.execute(_FUNCTIONS)
    op.execute("ALTER TABLE events DISABLE TRIGGER append_only")
    op.execute(_FILL)
    op.execute("ALTER TABLE events ENABLE TRIGGER append_only")
    op.alter_column("events", "sha256", nullable=False)
    op.execute(
        "CREATE TRIGGER chained BEFORE INSERT ON events FOR EACH ROW "
        "EXECUTE FUNCTION tapestry_chain_event()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER chained ON events")
    op.execute("DROP FUNCTION tapestry_chain_event()")
    op.execute("DROP FUNCTION tapestry_event_sha256(events)")
    op.alter_column("events", "sha256", nullable=True)
    op.drop_column("uploaded_components", "norm")
