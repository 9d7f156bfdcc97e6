"""The schema's version: bring a database up to date, or refuse to work on one that this code does not know."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from trading_assets.domain.errors import UnknownSchemaError

#: Serialises concurrent upgrades of one database.
_UPGRADE_LOCK = 0x7461_6C65_6467_6572


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("trading_assets.ledger") / "migrations").replace("%", "%%"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise UnknownSchemaError("the package carries no migrations", mend="Reinstall trading-assets.")
    return revision


def current(engine: Engine) -> str | None:
    """The revision of the database, None if it has none yet. More than one raises :class:`UnknownSchemaError`."""
    with engine.connect() as connection:
        heads = MigrationContext.configure(connection).get_current_heads()
    if len(heads) > 1:
        raise UnknownSchemaError(
            f"the database claims several revisions at once: {', '.join(sorted(heads))}",
            where="table alembic_version",
            mend="Restore the table from a backup: a migration was interfered with.",
        )
    return heads[0] if heads else None


def upgrade(engine: Engine) -> str:
    """Bring the database to the newest revision and return it; racing callers wait for each other.

    A database of a newer or foreign revision is left alone: :class:`UnknownSchemaError`.
    """
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        heads = MigrationContext.configure(connection).get_current_heads()
        for revision in heads:
            _require_known(revision)
        command.upgrade(_config(connection), "head")
    return head()


def require_current(engine: Engine) -> None:
    """Raise :class:`UnknownSchemaError`, naming both revisions, unless the database is exactly at :func:`head`."""
    found, wanted = current(engine), head()
    if found == wanted:
        return
    if found is None:
        raise UnknownSchemaError(
            f"the database has no ledger schema yet, this code needs revision {wanted}",
            where="table alembic_version",
            mend="Run 'trading-assets up': it brings the schema up to date.",
        )
    _require_known(found)
    raise UnknownSchemaError(
        f"the database is at revision {found}, older than revision {wanted} that this code needs",
        where="table alembic_version",
        mend="Stop everything that uses it, then run 'trading-assets up': it brings the schema up to date.",
    )


def _require_known(revision: str) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision not in known:
        raise UnknownSchemaError(
            f"the database is at revision {revision}, which this code does not know (it knows up to {head()})",
            where="table alembic_version",
            mend="Install the version of trading-assets that wrote it, or a newer one; nothing was changed.",
        )
