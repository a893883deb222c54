"""How Alembic reaches the record: by the connection, and the transaction, of whoever starts it."""

from alembic import context

attributes = context.config.attributes
context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
context.run_migrations()
