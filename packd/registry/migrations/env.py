"""Run by alembic, inside the transaction that packd.registry.database opened and will end.

alembic sees that a transaction is under way and begins and commits none of its own.
"""

from alembic import context

# Batches: SQLite changes most things about a table only by making it anew.
context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
context.run_migrations()
