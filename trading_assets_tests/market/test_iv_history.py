"""The archive of 30-day volatilities: which chains count, what is known when, and the rank that comes of it."""

from __future__ import annotations

import csv
import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_assets.jobs.iv_facts import archived_iv
from trading_assets.market.config import ContextConfig
from trading_assets.market.frames import CHAINS, IV_HISTORY
from trading_assets.market.iv_history import iv_rows, past_and_present
from trading_assets.market.sessions import require_session, session_on, shift
from trading_assets.strategy.config_trading import ContractConfig
from trading_assets.strategy.volatility_rank import volatility_rank
from trading_assets.world.frames import FrameStore

SESSION = require_session(date(2026, 2, 4))
DUE = [SESSION.open + timedelta(minutes=30), SESSION.open + timedelta(minutes=360)]
CONFIG = ContextConfig()


def chain(ticker: str, at: datetime, *, spot: float, near: float | None, far: float | None) -> pl.DataFrame:
    """Calls and puts at three strikes of two expiries, 23 and 37 days after ``at``, each of its own volatility."""
    rows: list[dict[str, Any]] = []
    for days, iv in ((23, near), (37, far)):
        expiry = at.date() + timedelta(days=days)
        for strike in (spot - 5, spot, spot + 5):
            for right in ("call", "put"):
                mid = 4.0 + (spot - strike) / 2 * (1 if right == "call" else -1)
                rows.append(
                    {
                        **dict.fromkeys(CHAINS),
                        "underlying": ticker,
                        "symbol": f"{ticker}{expiry:%y%m%d}{right[0].upper()}{strike:08.0f}",
                        "as_of": at,
                        "quote_at": at - timedelta(seconds=3),
                        "right": right,
                        "strike": strike,
                        "expiry": expiry,
                        "bid": mid - 0.1,
                        "ask": mid + 0.1,
                        "iv": iv,
                    }
                )
    return pl.DataFrame(rows, schema=CHAINS)


def test_a_row_interpolates_total_variance_to_thirty_days() -> None:
    at = DUE[0] + timedelta(minutes=1)
    (row,) = iv_rows(
        chain("AAA", at, spot=100.0, near=0.30, far=0.20), session=SESSION, due=DUE, config=CONFIG
    ).to_dicts()
    # From the chain's instant to 16:00 New York of the expiries.
    rest = (SESSION.close - at).total_seconds() / 86400
    # The clocks go forward in between, so the later one is an hour nearer.
    near, far = 23 + rest, 37 + rest - 1 / 24
    variance = 0.09 * near + (0.04 * far - 0.09 * near) * (30 - near) / (far - near)
    assert row["iv"] == pytest.approx(math.sqrt(variance / 30))
    assert row["spot"] == pytest.approx(100.0)
    assert (row["chain_at"], row["known_at"], row["quote_at"]) == (at, at, at - timedelta(seconds=3))
    assert (row["ticker"], row["session"], row["contracts"]) == ("AAA", SESSION.day, 12)


def test_of_each_archiving_time_the_first_chain_counts_once() -> None:
    early, first, again, last = (
        SESSION.open + timedelta(minutes=minutes) for minutes in (5, 31, 32, 361)
    )  # fmt: skip
    chains = pl.concat([chain("AAA", at, spot=100.0, near=0.3, far=0.3) for at in (early, first, again, last)])
    rows = iv_rows(chains, session=SESSION, due=DUE, config=CONFIG)
    assert rows["chain_at"].to_list() == [first, last]
    left = iv_rows(chains, session=SESSION, due=DUE, config=CONFIG, stored={("AAA", first)})
    assert left["chain_at"].to_list() == [last]
    assert iv_rows(chains.clear(), session=SESSION, due=DUE, config=CONFIG).schema == pl.Schema(IV_HISTORY)


def test_a_chain_that_gives_no_volatility_has_a_row_that_says_so() -> None:
    rows = iv_rows(chain("AAA", DUE[0], spot=100.0, near=None, far=None), session=SESSION, due=DUE, config=CONFIG)
    assert rows["iv"].to_list() == [None]
    unquoted = chain("AAA", DUE[0], spot=100.0, near=0.3, far=0.3).with_columns(bid=None, ask=None)
    blind = iv_rows(unquoted, session=SESSION, due=DUE, config=CONFIG)
    assert (blind["iv"].to_list(), blind["spot"].to_list()) == ([None], [None])


def archive(*entries: tuple[date, float | None, datetime]) -> pl.DataFrame:
    """Rows of AAA: session, volatility and when it became known."""
    rows = [
        {"ticker": "AAA", "session": day, "iv": iv, "spot": 100.0, "contracts": 12}
        | {"chain_at": at, "quote_at": at, "known_at": at}
        for day, iv, at in entries
    ]
    return pl.DataFrame(rows, schema=IV_HISTORY)


def test_nothing_counts_before_it_was_known_and_a_later_figure_of_a_session_replaces_the_earlier() -> None:
    before, twice = shift(SESSION.day, -1), shift(SESSION.day, -2)
    rows = archive(
        (twice.day, 0.20, twice.open),
        (twice.day, 0.21, twice.close),
        (before.day, None, before.close),
        (SESSION.day, 0.30, DUE[0]),
        (SESSION.day, 0.40, DUE[1]),
    )

    def at(known_by: datetime, ticker: str = "AAA") -> tuple[tuple[float | None, ...], float | None]:
        return past_and_present(rows, ticker, session=SESSION, known_by=known_by)

    assert at(SESSION.open) == ((0.21, None), None)
    assert at(DUE[0]) == ((0.21, None), 0.30)
    assert at(SESSION.close) == ((0.21, None), 0.40)
    assert at(twice.open) == ((0.20,), None)
    assert at(SESSION.close, "BBB") == ((), None)


def _recorded(path: Path, ticker: str) -> dict[date, float]:
    """The exchange's sessions of one ticker as Interactive Brokers published them."""
    found: dict[date, float] = {}
    with path.open() as lines:
        for row in csv.DictReader(lines):
            day = date.fromisoformat(row["date"])
            if row["ticker"] == ticker and row["source"] == "ibkr" and row["iv"] and session_on(day):
                found[day] = float(row["iv"])
    return found


@pytest.mark.recorded
@pytest.mark.parametrize("ticker", ["AAPL", "NVDA", "SPY"])
def test_rank_and_percentile_of_an_archive_are_those_of_the_published_history(
    recorded_data: Path, tmp_path: Path, ticker: str
) -> None:
    published = _recorded(recorded_data / "options" / "IV1_ibkr_iv_hv_157" / "iv_history.csv", ticker)
    assert len(published) > 240
    store, days = FrameStore(tmp_path), sorted(published)
    for day in days:
        at = require_session(day).close - timedelta(minutes=30)
        rows = archive((day, published[day], at)).with_columns(ticker=pl.lit(ticker))
        store.append("iv_history", day.isoformat(), rows, at)
    checked = 0
    for place in (40, 59, 60, 61, 150, len(days) - 1):
        session = require_session(days[place])
        past, now = archived_iv(store, ticker, session, sessions=252, known_by=session.close)
        assert (list(past), now) == ([published[day] for day in days[:place]], published[days[place]])
        rank = volatility_rank(past, now, realised_rank=0.5, realised_sessions=20, config=ContractConfig())
        if place < 60:
            assert (rank.source, rank.value) == ("realised", 0.5)
            continue
        seen = pl.Series([published[day] for day in days[: place + 1]])
        expected = (seen[-1] - seen.min()) / (seen.max() - seen.min())  # type: ignore[operator]
        assert rank.source == "iv" and rank.observations == place
        assert rank.value == pytest.approx(expected)
        assert rank.percentile == pytest.approx((seen[:-1] < seen[-1]).sum() / place)
        checked += 1
    assert checked == 4


def test_an_archive_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert archived_iv(FrameStore(tmp_path), "AAA", SESSION, sessions=252, known_by=datetime.now(UTC)) == ((), None)
