"""Alembic's environment. Imports only tables modules; the connection is handed in, or made from ``-x url=…``."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

import app.admin.tables
import app.audit.tables
import app.custody.tables
import app.identity.tables
import app.jobs.tables
import app.mandates.tables
import app.openlog.tables
import app.oversight.tables
import app.store.keys
import app.voters.tables
from app.store.base import Base
from app.store.engine import Store

TABLES = (
    app.admin.tables,
    app.audit.tables,
    app.custody.tables,
    app.identity.tables,
    app.jobs.tables,
    app.mandates.tables,
    app.openlog.tables,
    app.oversight.tables,
    app.store.keys,
    app.voters.tables,
)


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = context.get_x_argument(as_dictionary=True)["url"]
    with Store(url).engine.connect().execution_options(gardu_write=True) as made:
        run(made)
        made.commit()
