"""The log's guards: triggers that refuse to change it, and the application role's narrow rights

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

APPEND_ONLY = ("trail_entry", "trail_payload", "trail_checkpoint", "touch_index")
# Every other table the application works with; it never needs TRUNCATE, and deletes only where named.
WORKING = ("account", "login_session", "failure_count", "voter", "voter_key", "nik_index", "quarantine", "load", "election", "vault_key")
DELETES = ("failure_count", "login_session")
HEAD_COLUMNS = "size, last, frontier, checkpoint, changed_at"


def refuse_with_entries() -> None:
    """Stop a downgrade that would leave entries without their guards."""
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError("the trail has entries: a downgrade would leave them unguarded; export the log and start a new database instead")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_up()
    else:
        _postgresql_up()


def downgrade() -> None:
    refuse_with_entries()
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            op.execute(f"DROP TRIGGER {table}_no_update")
            op.execute(f"DROP TRIGGER {table}_no_delete")
        op.execute("DROP TRIGGER trail_head_no_delete")
        op.execute("DROP TRIGGER trail_head_forward")
        op.execute("DROP TRIGGER stage_calendar_no_update")
        return
    for table in (*APPEND_ONLY, "trail_head"):
        op.execute(f"DROP TRIGGER {table}_guard ON {table}")
        op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
    op.execute("DROP TRIGGER trail_head_forward ON trail_head")
    op.execute("DROP FUNCTION gardu_refuse()")
    op.execute("DROP FUNCTION gardu_head_forward()")
    op.execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM gardu_app")


def _sqlite_up() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {verb} refused'); END"
            )
    op.execute(
        "CREATE TRIGGER trail_head_no_delete BEFORE DELETE ON trail_head BEGIN SELECT RAISE(ABORT, 'trail_head: DELETE refused'); END"
    )
    op.execute(
        "CREATE TRIGGER trail_head_forward BEFORE UPDATE ON trail_head WHEN NEW.log <> OLD.log OR NEW.size <= OLD.size "
        "BEGIN SELECT RAISE(ABORT, 'trail_head only moves forward'); END"
    )
    op.execute(
        "CREATE TRIGGER stage_calendar_no_update BEFORE UPDATE ON stage_calendar "
        "BEGIN SELECT RAISE(ABORT, 'stage_calendar is only added to'); END"
    )


def _postgresql_up() -> None:
    op.execute(
        "CREATE FUNCTION gardu_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP; END $$"
    )
    op.execute(
        "CREATE FUNCTION gardu_head_forward() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN IF NEW.log <> OLD.log OR NEW.size <= OLD.size THEN RAISE EXCEPTION 'trail_head only moves forward'; END IF; RETURN NEW; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(f"CREATE TRIGGER {table}_guard BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION gardu_refuse()")
    op.execute("CREATE TRIGGER trail_head_guard BEFORE DELETE ON trail_head FOR EACH ROW EXECUTE FUNCTION gardu_refuse()")
    op.execute("CREATE TRIGGER trail_head_forward BEFORE UPDATE ON trail_head FOR EACH ROW EXECUTE FUNCTION gardu_head_forward()")
    for table in (*APPEND_ONLY, "trail_head"):
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION gardu_refuse()")
    # A group role: the login role an office makes for the application is made a member of it (README, deployment).
    # Made beforehand by whoever may (an owner without CREATEROLE may not even try), else here.
    op.execute(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gardu_app') THEN CREATE ROLE gardu_app NOLOGIN; END IF; "
        "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    op.execute("GRANT USAGE ON SCHEMA public TO gardu_app")
    for table in APPEND_ONLY:
        op.execute(f"GRANT SELECT, INSERT ON {table} TO gardu_app")
    op.execute("GRANT SELECT, INSERT ON trail_head, stage_calendar TO gardu_app")
    op.execute(f"GRANT UPDATE ({HEAD_COLUMNS}) ON trail_head TO gardu_app")
    for table in WORKING:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO gardu_app")
    for table in DELETES:
        op.execute(f"GRANT DELETE ON {table} TO gardu_app")
    op.execute("GRANT SELECT ON alembic_version TO gardu_app")
