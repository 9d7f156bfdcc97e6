"""The volatility rank, its stand-in, and the model price."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from trading_assets.domain.values import Strategy
from trading_assets.strategy.config_trading import ContractConfig
from trading_assets.strategy.option_model import model_price
from trading_assets.strategy.volatility_rank import VolatilityRank, rank_refusal, rank_size_factor, volatility_rank
from trading_assets_tests.strategy.trading_builders import NOON, position

CONFIG = ContractConfig()


def rank(
    history: Sequence[float | None], now: float | None, realised: float | None = 0.6, sessions: int | None = 40
) -> VolatilityRank:
    return volatility_rank(history, now, realised_rank=realised, realised_sessions=sessions, config=CONFIG)


def test_sixty_observations_give_an_iv_rank_with_its_percentile() -> None:
    found = rank([0.20 + 0.01 * (place % 21) for place in range(60)], 0.30)
    assert found.source == "iv" and found.observations == 60
    assert found.value == pytest.approx(0.5) and found.percentile is not None
    assert rank_size_factor(found, CONFIG) == 1 and rank_refusal(found, CONFIG) is None


def test_fewer_observations_let_the_realised_rank_stand_in_at_half_size() -> None:
    found = rank([*[0.2, 0.4] * 29, None, float("nan")], 0.30)
    assert found == VolatilityRank(0.6, "realised", 40)
    assert rank_size_factor(found, CONFIG) == Decimal("0.5") and rank_refusal(found, CONFIG) is None


@pytest.mark.parametrize(("realised", "sessions"), [(None, 40), (0.6, 9), (0.6, None), (float("nan"), 40), (1.2, 40)])
def test_neither_archive_nor_realised_rank_denies(realised: float | None, sessions: int | None) -> None:
    found = rank([0.3], 0.3, realised, sessions)
    assert found.value is None and found.source == "none"
    assert rank_size_factor(found, CONFIG) is None and rank_refusal(found, CONFIG) is not None


def test_ten_sessions_are_enough_for_the_realised_rank() -> None:
    assert rank([], None, 0.6, 10).source == "realised"


def test_a_new_extreme_ranks_at_the_end_and_a_flat_archive_has_no_iv_rank() -> None:
    assert rank([0.2, 0.3] * 30, 0.5).value == 1
    assert rank([0.2, 0.3] * 30, 0.1).value == 0
    assert rank([0.3] * 60, 0.3).source == "realised"


def test_only_the_last_252_sessions_count() -> None:
    assert rank([5.0] + [0.2, 0.4] * 126, 0.3).value == pytest.approx(0.5)


def test_the_model_price_needs_an_option_an_underlying_and_a_volatility() -> None:
    held = position(Strategy.SWING_TRADE, dte=20)
    value = model_price(held, underlying_price=Decimal(105), iv=0.4, as_of=NOON, config=CONFIG)
    assert value is not None and value > 5
    for price, iv in ((None, 0.4), (Decimal("NaN"), 0.4), (Decimal(105), None), (Decimal(105), float("nan"))):
        assert model_price(held, underlying_price=price, iv=iv, as_of=NOON, config=CONFIG) is None
    stock = position(Strategy.STOCK, right=None, strike=None, expiry=None)
    assert model_price(stock, underlying_price=Decimal(105), iv=0.4, as_of=NOON, config=CONFIG) is None
