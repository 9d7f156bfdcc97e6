"""Corporate actions of a world: what is configured, what the market makes of it, and how the wire tells of it.

An action takes effect before the open of its ``ex_session``. What it does to accounts is in ``overnight``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from trading_assets.exchange.identities import action_cusip, action_id
from trading_assets.market.sessions import session_on
from trading_assets.simulation.shares import ShareChange

#: Kinds that the wire knows, by the key under which they are listed.
PLURALS = {
    name: f"{name}s"
    for name in (
        "reverse_split",
        "forward_split",
        "unit_split",
        "cash_dividend",
        "stock_dividend",
        "spin_off",
        "cash_merger",
        "stock_merger",
        "stock_and_cash_merger",
        "redemption",
        "name_change",
        "worthless_removal",
        "rights_distribution",
        "partial_call",
        "reorganization",
    )
}


class _Action(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str = Field(pattern=r"^[A-Z.]{1,6}$", description="the stock")
    ex_session: date = Field(description="the first XNYS session in which it is in force")
    announced: AwareDatetime | None = Field(None, description="when it becomes known; default: from the beginning")

    @model_validator(mode="after")
    def _trades(self) -> Self:
        if session_on(self.ex_session) is None:
            raise ValueError(f"ex_session: the exchange is closed on {self.ex_session}")
        return self

    @property
    def id(self) -> str:
        """The same in every world: what is the same action."""
        return action_id(self.symbol, self.ex_session, self.kind)

    @property
    def kind(self) -> str:
        """The name that the wire has for it."""
        raise NotImplementedError

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols under which it is listed."""
        return frozenset({self.symbol})

    @property
    def cusips(self) -> frozenset[str]:
        """The names under which it is listed beside its symbol."""
        return frozenset({action_cusip(self.symbol), action_cusip(self.symbol, self.ex_session)})

    def is_known(self, now: datetime) -> bool:
        """Whether the broker tells of it at ``now``."""
        return self.announced is None or self.announced <= now


class Split(_Action):
    """``new`` shares for ``old`` ones; a reverse split has the smaller number first."""

    type: Literal["split"] = "split"
    new: int = Field(ge=1, le=1000, description="new shares ...")
    old: int = Field(ge=1, le=1000, description="... for so many old ones")

    @model_validator(mode="after")
    def _changes(self) -> Self:
        if self.new == self.old:
            raise ValueError("new: as many shares as before are no split")
        return self

    @property
    def kind(self) -> str:
        return "forward_split" if self.new > self.old else "reverse_split"

    @property
    def ratio(self) -> Decimal:
        """New shares for an old one."""
        return Decimal(self.new) / self.old

    @property
    def is_whole(self) -> bool:
        """Whether each old share becomes several whole ones."""
        return self.new % self.old == 0

    def change(self) -> ShareChange:
        """What it does to the market."""
        return ShareChange(self.symbol, self.ex_session, ratio=self.new / self.old)

    def as_wire(self) -> dict[str, Any]:
        """The row of the answer."""
        day, cusip = self.ex_session.isoformat(), action_cusip(self.symbol)
        row = {
            "id": self.id,
            "symbol": self.symbol,
            "new_rate": self.new,
            "old_rate": self.old,
            "ex_date": day,
            "record_date": day,
            "payable_date": day,
            "process_date": day,
        }
        if self.kind == "forward_split":
            return {**row, "cusip": cusip}
        return {**row, "old_cusip": cusip, "new_cusip": action_cusip(self.symbol, self.ex_session)}


class CashDividend(_Action):
    """``rate`` dollars for each share held over night, paid before the open."""

    type: Literal["cash_dividend"] = "cash_dividend"
    rate: Decimal = Field(gt=0, le=1000, decimal_places=6, description="dollars per share")
    special: bool = Field(False, description="whether it is an extraordinary one")

    @property
    def kind(self) -> str:
        return "cash_dividend"

    def change(self) -> ShareChange:
        """What it does to the market."""
        return ShareChange(self.symbol, self.ex_session, paid=float(self.rate))

    def as_wire(self) -> dict[str, Any]:
        """The row of the answer."""
        day = self.ex_session.isoformat()
        return {
            "id": self.id,
            "symbol": self.symbol,
            "cusip": action_cusip(self.symbol),
            "rate": float(self.rate),
            "special": self.special,
            "foreign": False,
            "ex_date": day,
            "record_date": day,
            "payable_date": day,
            "process_date": day,
        }


class NameChange(_Action):
    """The stock is called ``new_symbol``, and so are the roots of its contracts; nothing else changes."""

    type: Literal["name_change"] = "name_change"
    new_symbol: str = Field(pattern=r"^[A-Z.]{1,6}$", description="what the stock is called from then on")

    @model_validator(mode="after")
    def _changes(self) -> Self:
        if self.new_symbol.replace(".", "") == self.symbol.replace(".", ""):
            raise ValueError("new_symbol: the same name as before is no change")
        return self

    @property
    def kind(self) -> str:
        return "name_change"

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset({self.symbol, self.new_symbol})

    @property
    def cusips(self) -> frozenset[str]:
        return frozenset({action_cusip(self.symbol), action_cusip(self.new_symbol)})

    def as_wire(self) -> dict[str, Any]:
        """The row of the answer."""
        return {
            "id": self.id,
            "old_symbol": self.symbol,
            "old_cusip": action_cusip(self.symbol),
            "new_symbol": self.new_symbol,
            "new_cusip": action_cusip(self.new_symbol),
            "process_date": self.ex_session.isoformat(),
        }


AnyAction = Split | CashDividend | NameChange
CorporateAction = Annotated[AnyAction, Field(discriminator="type")]


def ordered(actions: Iterable[AnyAction]) -> list[AnyAction]:
    """By the session in which they take effect, then by name; a dividend is paid on the shares before a split."""
    return sorted(actions, key=lambda action: (action.ex_session, action.symbol, action.kind))


class ActionBook:
    """The corporate actions of one world: those that it was configured with, and those that were announced since."""

    def __init__(self, configured: Iterable[AnyAction]) -> None:
        self._all = tuple(configured)

    @property
    def all(self) -> tuple[AnyAction, ...]:
        """Every action, in no order."""
        return self._all

    def add(self, action: AnyAction) -> None:
        """Take in what was announced; raises ``ValueError`` where another action is in its way."""
        for other in self._all:
            same_day = other.ex_session == action.ex_session and not other.symbols.isdisjoint(action.symbols)
            if other.id == action.id or (same_day and "name_change" in (action.kind, other.kind)):
                raise ValueError(f"{action.symbol} has another action in the session of {action.ex_session}")
        self._all = (*self._all, action)
