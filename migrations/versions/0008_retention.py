"""Erasing a payload and pruning the log, through the owner's functions that demand the entry

Revision ID: 0008
Revises: 0007

What the guards of 0002 and 0007 refuse, they refuse still, but for exactly this: a payload is emptied, and its touch tokens go, when
``payload_erasure`` names it; rows below a log's minimum go when ``trail_minimum`` names it. A row of either is taken in only when the log
has the entry that says so. Nothing ever changes or removes such a row.
"""
# ruff: noqa: S608  triggers and functions take no parameters; nothing but this file's own words goes into them

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.base import UtcDateTime

revision = "0008"
down_revision = "0007"

# Tables whose rows may go below a minimum, each with what must hold of the row (OLD) and the minimum ({least}). A checkpoint of that size
# or a smaller one covers nothing that is left; a level-0 tile is needed until the full tile above it stands for it (C2SP tlog-tiles).
PRUNED = {
    "trail_entry": "OLD.seq < {least}",
    "trail_payload": "OLD.seq < {least}",
    "touch_index": "OLD.seq < {least}",
    "trail_checkpoint": "OLD.size <= {least}",
    "trail_tile": "OLD.level = 0 AND OLD.number < ({least} - 1) / 65536 * 256",
}
ERASED = "EXISTS (SELECT 1 FROM {schema}payload_erasure x WHERE x.log = OLD.log AND x.seq = OLD.seq)"
# An entry may erase what came before it: in its own log, or in an earlier one of the same host (``<host>/gardu/<n>``).
BEFORE = (
    "(NEW.by_log = NEW.log AND NEW.by_seq > NEW.seq OR rtrim(NEW.by_log, '0123456789') = rtrim(NEW.log, '0123456789') "
    "AND CAST(substr(NEW.by_log, length(rtrim(NEW.by_log, '0123456789')) + 1) AS integer) "
    "> CAST(substr(NEW.log, length(rtrim(NEW.log, '0123456789')) + 1) AS integer))"
)
KEPT = ("payload_erasure", "trail_minimum")


def upgrade() -> None:
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_up()
    else:
        _postgresql_up()


def _tables() -> None:
    op.create_table(
        "payload_erasure",
        sa.Column("log", sa.String(255), primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("by_log", sa.String(255), nullable=False),
        sa.Column("by_seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
    )
    op.create_index("ix_payload_erasure_by", "payload_erasure", ["by_log", "by_seq"])
    op.create_table(
        "trail_minimum",
        sa.Column("log", sa.String(255), primary_key=True),
        sa.Column("minimum", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("last", sa.LargeBinary(32), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by_seq", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "prune_request",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("log", sa.String(255), nullable=False),
        sa.Column("minimum", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("asked_by", sa.String(26), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("decided_by", sa.String(26), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )
    waiting = sa.text("state = 'waiting'")
    op.create_index("ix_prune_request_waiting", "prune_request", ["log"], unique=True, sqlite_where=waiting, postgresql_where=waiting)


# ---- SQLite ----


def _sqlite_up() -> None:
    for table in KEPT:
        for verb in ("UPDATE", "DELETE"):
            _sqlite_refuse(table, verb)
    op.execute(
        "CREATE TRIGGER payload_erasure_demands BEFORE INSERT ON payload_erasure WHEN NOT ("
        f"{BEFORE} AND EXISTS (SELECT 1 FROM trail_payload p WHERE p.log = NEW.log AND p.seq = NEW.seq) AND {_sqlite_entry('payload:erase', 'NEW.by_log')} "
        "AND EXISTS (SELECT 1 FROM trail_entry e WHERE e.log = NEW.by_log AND e.seq = NEW.by_seq "
        "AND json_extract(CAST(e.body AS TEXT), '$.detail.type') = 'payload-erasure' "
        "AND json_extract(CAST(e.body AS TEXT), '$.detail.sha256') = lower(hex(NEW.digest)))) "
        "BEGIN SELECT RAISE(ABORT, 'payload_erasure: no entry of the log says so: INSERT refused'); END"
    )
    op.execute(
        "CREATE TRIGGER trail_minimum_demands BEFORE INSERT ON trail_minimum WHEN NOT ("
        "NEW.minimum > 0 AND NEW.minimum % 256 = 0 AND NEW.minimum <= NEW.by_seq "
        "AND NOT EXISTS (SELECT 1 FROM trail_minimum m WHERE m.log = NEW.log AND m.minimum >= NEW.minimum) "
        f"AND {_sqlite_entry('trail:prune', 'NEW.log')} AND EXISTS (SELECT 1 FROM trail_entry e WHERE e.log = NEW.log AND e.seq = NEW.by_seq "
        "AND json_extract(CAST(e.body AS TEXT), '$.detail.type') = 'trail-prune')) "
        "BEGIN SELECT RAISE(ABORT, 'trail_minimum: no entry of the log says so: INSERT refused'); END"
    )
    op.execute("DROP TRIGGER trail_payload_no_update")
    _sqlite_refuse("trail_payload", "UPDATE", f"({ERASED.format(schema='')} AND NEW.log = OLD.log AND NEW.seq = OLD.seq "
                   "AND NEW.day = OLD.day AND NEW.wrapped = x'' AND NEW.sealed = x'')")  # fmt: skip
    for table, gone in PRUNED.items():
        op.execute(f"DROP TRIGGER {table}_no_delete")
        least = "(SELECT max(m.minimum) FROM trail_minimum m WHERE m.log = OLD.log)"
        but = f"coalesce({gone.format(least=least)}, 0)"
        _sqlite_refuse(table, "DELETE", f"({but} OR {ERASED.format(schema='')})" if table == "touch_index" else but)


def _sqlite_entry(action: str, log: str) -> str:
    return (
        f"EXISTS (SELECT 1 FROM trail_entry e WHERE e.log = {log} AND e.seq = NEW.by_seq AND e.action = '{action}' AND e.outcome = 'done' "
        f"AND json_extract(CAST(e.body AS TEXT), '$.action') = '{action}' AND json_extract(CAST(e.body AS TEXT), '$.outcome') = 'done')"
    )


def _sqlite_refuse(table: str, verb: str, but: str = "") -> None:
    when = f"WHEN NOT {but} " if but else ""
    op.execute(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {when}"
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {verb} refused'); END"
    )


# ---- PostgreSQL ----

# Every function names its schema and trusts no search_path: whoever may make a table or an operator could else stand in the way.
_FUNCTION = "LANGUAGE plpgsql {security}SET search_path = pg_catalog, pg_temp AS $$ {body} $$"
_SAID = "convert_from({row}.body, 'UTF8')::jsonb"

_ERASURE_DEMANDS = f"""
BEGIN
  IF {BEFORE} AND EXISTS (SELECT 1 FROM public.trail_payload p WHERE p.log = NEW.log AND p.seq = NEW.seq)
    AND EXISTS (SELECT 1 FROM public.trail_entry e WHERE e.log = NEW.by_log AND e.seq = NEW.by_seq
      AND e.action = 'payload:erase' AND e.outcome = 'done'
      AND {_SAID.format(row="e")} @> jsonb_build_object('action', 'payload:erase', 'outcome', 'done',
        'detail', jsonb_build_object('type', 'payload-erasure', 'sha256', encode(NEW.digest, 'hex'))))
  THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'payload_erasure: no entry of the log says so: INSERT refused';
END"""

_MINIMUM_DEMANDS = f"""
DECLARE said text := 'gardu/trail-prune@1' || chr(10) || NEW.log || chr(10) || NEW.minimum || chr(10)
  || split_part(NEW.note, chr(10), 3) || chr(10) || encode(NEW.last, 'hex') || chr(10);
BEGIN
  IF NEW.minimum > 0 AND NEW.minimum % 256 = 0 AND NEW.minimum <= NEW.by_seq
    AND NOT EXISTS (SELECT 1 FROM public.trail_minimum m WHERE m.log = NEW.log AND m.minimum >= NEW.minimum)
    AND EXISTS (SELECT 1 FROM public.trail_entry e WHERE e.log = NEW.log AND e.seq = NEW.by_seq
      AND e.action = 'trail:prune' AND e.outcome = 'done'
      AND {_SAID.format(row="e")} @> jsonb_build_object('action', 'trail:prune', 'outcome', 'done',
        'detail', jsonb_build_object('type', 'trail-prune', 'sha256', encode(sha256(convert_to(said, 'UTF8')), 'hex'))))
  THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'trail_minimum: no entry of the log says so: INSERT refused';
END"""

_KEEP = f"""
DECLARE least bigint;
BEGIN
  IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'trail_payload' THEN
    IF {ERASED.format(schema="public.")} AND NEW.log = OLD.log AND NEW.seq = OLD.seq AND NEW.day = OLD.day
      AND NEW.wrapped = ''::bytea AND NEW.sealed = ''::bytea THEN RETURN NEW; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    SELECT max(m.minimum) INTO least FROM public.trail_minimum m WHERE m.log = OLD.log;
    IF TG_TABLE_NAME = 'trail_checkpoint' THEN IF {PRUNED["trail_checkpoint"].format(least="least")} THEN RETURN OLD; END IF;
    ELSIF TG_TABLE_NAME = 'trail_tile' THEN IF {PRUNED["trail_tile"].format(least="least")} THEN RETURN OLD; END IF;
    ELSIF OLD.seq < least THEN RETURN OLD;
    ELSIF TG_TABLE_NAME = 'touch_index' AND {ERASED.format(schema="public.")} THEN RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP;
END"""

# As docs/log-format.md has the text: the database itself works out whether the entry named these payloads and no others.
_ERASE = f"""
DECLARE told jsonb; said text; met bigint;
BEGIN
  SELECT {_SAID.format(row="e")} INTO told FROM public.trail_entry e
    WHERE e.log = by_log AND e.seq = by_seq AND e.action = 'payload:erase' AND e.outcome = 'done';
  SELECT 'gardu/payload-erasure@1' || chr(10) || of_log || chr(10)
      || string_agg(e.seq || ' ' || ({_SAID.format(row="e")} #>> '{{payload,sha256}}') || chr(10), '' ORDER BY e.seq)
    INTO said FROM public.trail_entry e WHERE e.log = of_log AND e.seq = ANY (seqs);
  IF told IS NULL OR said IS NULL OR told #>> '{{detail,type}}' IS DISTINCT FROM 'payload-erasure'
    OR told #>> '{{detail,sha256}}' IS DISTINCT FROM encode(sha256(convert_to(said, 'UTF8')), 'hex') THEN
    RAISE EXCEPTION 'gardu_erase_payload: entry % of % does not name exactly these payloads', by_seq, by_log;
  END IF;
  INSERT INTO public.payload_erasure SELECT of_log, one, by_log, by_seq, decode(told #>> '{{detail,sha256}}', 'hex') FROM unnest(seqs) one;
  UPDATE public.trail_payload p SET wrapped = ''::bytea, sealed = ''::bytea WHERE p.log = of_log AND p.seq = ANY (seqs);
  GET DIAGNOSTICS met = ROW_COUNT;
  IF met <> cardinality(seqs) THEN RAISE EXCEPTION 'gardu_erase_payload: a payload is not there'; END IF;
  DELETE FROM public.touch_index t WHERE t.log = of_log AND t.seq = ANY (seqs);
END"""
_ERASE_ARGUMENTS = "(of_log text, seqs bigint[], by_log text, by_seq bigint)"
_ERASE_TYPES = "gardu_erase_payload(text, bigint[], text, bigint)"


def _postgresql_up() -> None:
    for name, body in (("erasure_demands", _ERASURE_DEMANDS), ("minimum_demands", _MINIMUM_DEMANDS), ("keep", _KEEP)):
        op.execute(
            sa.text(f"CREATE FUNCTION gardu_{name}() RETURNS trigger {_FUNCTION.format(security='', body=body)}".replace(":", "\\:"))
        )
    erase = (
        f"CREATE FUNCTION gardu_erase_payload{_ERASE_ARGUMENTS} RETURNS void {_FUNCTION.format(security='SECURITY DEFINER ', body=_ERASE)}"
    )
    op.execute(sa.text(erase.replace(":", "\\:")))
    for table, demands in zip(KEPT, ("erasure_demands", "minimum_demands"), strict=True):
        op.execute(f"CREATE TRIGGER {table}_demands BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION gardu_{demands}()")
        op.execute(f"CREATE TRIGGER {table}_guard BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION gardu_refuse()")
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION gardu_refuse()")
        op.execute(f"GRANT SELECT ON {table} TO gardu_app")
    for table in PRUNED:
        _guard(table, "gardu_keep")
    op.execute("GRANT SELECT, INSERT, UPDATE ON prune_request TO gardu_app")
    # The application erases through this one function, which its owner runs; it may neither update nor delete by itself.
    op.execute(f"REVOKE ALL ON FUNCTION {_ERASE_TYPES} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {_ERASE_TYPES} TO gardu_app")


def _guard(table: str, function: str) -> None:
    op.execute(f"DROP TRIGGER {table}_guard ON {table}")
    op.execute(f"CREATE TRIGGER {table}_guard BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()")


# ---- and back ----


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError(
            "the trail has entries: a downgrade would take away what they speak of; export the log and start a new database instead"
        )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER trail_payload_no_update")
        _sqlite_refuse("trail_payload", "UPDATE")
        for table in PRUNED:
            op.execute(f"DROP TRIGGER {table}_no_delete")
            _sqlite_refuse(table, "DELETE")
    else:
        for table in PRUNED:
            _guard(table, "gardu_refuse")
        op.execute(f"DROP FUNCTION {_ERASE_TYPES}")
    for table in ("prune_request", "trail_minimum", "payload_erasure"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for name in ("erasure_demands", "minimum_demands", "keep"):
            op.execute(f"DROP FUNCTION gardu_{name}()")
