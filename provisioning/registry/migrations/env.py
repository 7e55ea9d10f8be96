"""Run by Alembic, on the connection that the registry hands over; imported by anybody else, it does nothing."""

from __future__ import annotations

from alembic import context

from provisioning.registry.tables import Base

config = getattr(context, "config", None)
if config is not None:
    context.configure(connection=config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
