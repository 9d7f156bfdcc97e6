"""What every table of the ledger is made of: one metadata, one naming of constraints, the types of money and time."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, DateTime, MetaData, Numeric

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Prices and money: up to 10^14 with six decimals, exact.
Amount = Numeric(20, 6)
Instant = DateTime(timezone=True)


def one_of(column: str, values: type) -> CheckConstraint:
    """The column holds a value of this enumeration."""
    allowed = ", ".join(f"'{member.value}'" for member in values)  # type: ignore[attr-defined]
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_known")
