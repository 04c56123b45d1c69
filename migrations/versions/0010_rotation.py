"""Rotation of keys, erasure of a voter, and what the application may delete for them

Revision ID: 0010
Revises: 0009

The application deletes none of these by itself: a wrapped record key and its index rows go through ``gardu_bury``, which asks for the voter's
tombstone; a wrapped L1 key goes through ``gardu_destroy_key``, which asks for the entry ``key:destroy`` that names its very bytes.
SQLite has no roles, and so no such functions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.base import UtcDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "rotation",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("to_epoch", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("place", sa.String(12), nullable=False),
        sa.Column("cursor", sa.String(40), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("broken", sa.Integer(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("office", sa.String(32), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("moved_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )
    unfinished = sa.text("state <> 'done'")
    op.create_index("ix_rotation_open", "rotation", ["scope"], unique=True, sqlite_where=unfinished, postgresql_where=unfinished)
    op.create_index("ix_rotation_started", "rotation", ["started_at"])
    op.create_table(
        "voter_erasure",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("kab", sa.String(5), nullable=False),
        sa.Column("voter", sa.String(26), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("asked_by", sa.String(26), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("decided_by", sa.String(26), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("mark", sa.LargeBinary(32), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )
    standing = sa.text("state IN ('waiting', 'pending', 'done')")
    op.create_index(
        "ix_voter_erasure_voter", "voter_erasure", ["kab", "voter"], unique=True, sqlite_where=standing, postgresql_where=standing
    )
    op.create_index("ix_voter_erasure_state", "voter_erasure", ["state", "asked_at"])
    if op.get_bind().dialect.name == "postgresql":
        _postgresql_up()


# Every function names its schema and trusts no search_path, as in 0008.
_FUNCTION = "RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ {body} $$"
_BURY = """
BEGIN
  IF NOT EXISTS (SELECT 1 FROM public.voter_erasure e WHERE e.kab = of_kab AND e.voter = of_voter AND e.state = 'pending') THEN
    RAISE EXCEPTION 'gardu_bury: no tombstone names this voter';
  END IF;
  DELETE FROM public.voter_key k WHERE k.kab = of_kab AND k.uid = of_voter;
  DELETE FROM public.nik_index n WHERE n.kab = of_kab AND n.uid = of_voter;
END"""
_DESTROY = """
DECLARE bytes bytea;
BEGIN
  SELECT k.wrapped INTO bytes FROM public.vault_key k WHERE k.purpose = of_purpose AND k.scope = of_scope AND k.epoch = of_epoch;
  IF bytes IS NULL OR NOT EXISTS (SELECT 1 FROM public.trail_entry e
    WHERE e.action = 'key:destroy' AND e.outcome = 'done' AND e.scope = of_scope
    AND convert_from(e.body, 'UTF8')::jsonb @> jsonb_build_object('action', 'key:destroy', 'outcome', 'done', 'scope', of_scope,
      'detail', jsonb_build_object('type', 'key-' || of_purpose, 'sha256', encode(sha256(bytes), 'hex')))) THEN
    RAISE EXCEPTION 'gardu_destroy_key: no entry of the log destroys this key';
  END IF;
  DELETE FROM public.vault_key k WHERE k.purpose = of_purpose AND k.scope = of_scope AND k.epoch = of_epoch;
END"""
_FUNCTIONS = (
    ("gardu_bury", "(of_kab text, of_voter text)", "(text, text)", _BURY),
    ("gardu_destroy_key", "(of_purpose text, of_scope text, of_epoch integer)", "(text, text, integer)", _DESTROY),
)


def _postgresql_up() -> None:
    for name, arguments, types, body in _FUNCTIONS:
        op.execute(sa.text(f"CREATE FUNCTION {name}{arguments} {_FUNCTION.format(body=body)}".replace(":", "\\:")))
        op.execute(f"REVOKE ALL ON FUNCTION {name}{types} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {name}{types} TO gardu_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON rotation, voter_erasure TO gardu_app")


def downgrade() -> None:
    bind = op.get_bind()
    for table in ("rotation", "voter_erasure"):
        if bind.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one():  # noqa: S608  the names are constants of this module
            raise RuntimeError(f"{table} has rows: an older Gardu would neither finish these walks nor honour these tombstones")
    if bind.dialect.name == "postgresql":
        for name, _, types, _ in _FUNCTIONS:
            op.execute(f"DROP FUNCTION {name}{types}")
    op.drop_table("voter_erasure")
    op.drop_table("rotation")
