"""What is asked for every change of a pack is found by an index: its drops, and the candidates that wait."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ix_drops_ref", "drops", ["ref", "name"])
    waiting = sa.text("phase IN ('tested', 'waiting')")
    op.create_index("ix_revisions_waiting", "revisions", ["ref"], sqlite_where=waiting, postgresql_where=waiting)
