"""Run by Alembic inside the transaction that `myx_kit.db.migrate` opened."""

from alembic import context

options = context.config.attributes
context.configure(
    connection=options["connection"],
    target_metadata=None,
    version_table_schema=options["schema"],
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
