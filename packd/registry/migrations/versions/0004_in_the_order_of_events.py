"""What waits for an endpoint is found in the order of what happened, not in that of its places."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    pending = sa.text("state = 'pending'")
    for name, columns in (
        ("ix_deliveries_pending", ["endpoint", "lane", "event_seq"]),
        ("ix_deliveries_waiting", ["endpoint", "event_seq"]),
    ):
        op.drop_index(name, "deliveries")
        op.create_index(name, "deliveries", columns, sqlite_where=pending, postgresql_where=pending)
