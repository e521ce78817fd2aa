"""Upgrading an older schema. Imported only when there is something to upgrade: alembic costs 0.4 s to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util.exc import CommandError

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCRIPTS: Final = "packd.registry:migrations"  # as alembic names a folder inside a package


class UnknownRevision(Exception):
    """The database carries a schema version that this packd has never heard of: a newer packd made it."""


def upgrade(connection: Connection, *, to: str) -> None:
    """Bring the schema to version `to` inside the caller's transaction.

    Raises UnknownRevision when the version found is not in the migrations.
    """
    if not connection.in_transaction():
        connection.begin()  # SQLAlchemy's part of a transaction that is under way: alembic asks for it
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, to)
    except (CommandError, ResolutionError) as failure:
        if "locate revision" in str(failure):
            raise UnknownRevision(str(failure)) from failure
        raise
