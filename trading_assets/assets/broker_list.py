"""The broker's list of assets, from the first account that answers with a whole one."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from trading_assets.broker.values import BrokerAsset
from trading_assets.domain.errors import BrokerUnavailable, TradingAssetsError
from trading_assets.news.listing import incomplete
from trading_assets.resources.desk import Desk

_log = logging.getLogger(__name__)


def broker_list(desk: Desk) -> Sequence[BrokerAsset]:
    """All active assets. Raises ``BrokerUnavailable`` with the reason of each account if none tells them whole."""
    problems = []
    for account in desk.accounts:
        try:
            assets = desk.broker(account.name).assets()
            with desk.ledger.connect() as connection:
                problem = incomplete(connection, len({asset.symbol for asset in assets}), desk.clock.now())
        except TradingAssetsError as error:
            problem = str(error)
        if problem is None:
            return assets
        _log.warning("account %s: the list of assets cannot be used: %s", account.name, problem)
        problems.append(f"account {account.name}: {problem}")
    raise BrokerUnavailable("; ".join(problems))
