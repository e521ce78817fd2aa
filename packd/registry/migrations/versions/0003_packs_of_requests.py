"""Which packs a request was about is kept with it: a path such as /packs/register does not say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_BEGINS = "/api/v1/packs/"


def upgrade() -> None:
    op.add_column("audit", sa.Column("packs", sa.JSON()))
    audit = sa.table("audit", *(sa.column(name) for name in ("id", "method", "path")), sa.column("packs", sa.JSON()))
    connection = op.get_bind()
    requests = connection.execute(sa.select(audit).where(audit.c.path.startswith(_BEGINS, autoescape=True))).all()
    for request in requests:
        ref, step, _ = request.path.removeprefix(_BEGINS).partition("/")
        if step or request.method == "DELETE":  # the others are about all packs: register, install, upgrade
            connection.execute(sa.update(audit).where(audit.c.id == request.id).values(packs=[ref]))
