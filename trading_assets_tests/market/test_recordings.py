"""Recordings of minute bars from elsewhere: every unusable row is left out for a reason that is counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from trading_assets.market.recordings import RecordingError, RecordingFormat, composite, normalise

#: 2024-07-03 closed at 13:00 in New York, which was 17:00 UTC.
OPEN = datetime(2024, 7, 3, 13, 30, tzinfo=UTC)
CLOSE = datetime(2024, 7, 3, 17, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def bar(at: datetime, ticker: str = "AAA", price: float = 10.0, **other: Any) -> dict[str, Any]:
    row = {"ticker": ticker, "ts_utc": at, "open": price, "high": price + 0.1, "low": price - 0.1, "close": price}
    return {**row, "volume": 100, **other}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows))


def test_a_recording_in_the_usual_form_needs_no_option() -> None:
    bars, counts = normalise(frame(bar(OPEN), bar(OPEN + MINUTE)), RecordingFormat())
    assert bars["ts"].to_list() == [OPEN, OPEN + MINUTE]
    assert (counts.rows, counts.kept, counts.tickers, counts.sessions) == (2, 2, 1, 1)
    assert counts.first_session == counts.last_session == "2024-07-03"


def test_bars_after_an_early_close_and_outside_sessions_are_left_out_and_counted() -> None:
    saturday = datetime(2024, 7, 6, 15, 0, tzinfo=UTC)
    rows = [bar(CLOSE - MINUTE), bar(CLOSE), bar(CLOSE + 30 * MINUTE), bar(OPEN - MINUTE), bar(saturday)]
    bars, counts = normalise(frame(*rows), RecordingFormat())
    assert bars["ts"].to_list() == [CLOSE - MINUTE]
    assert counts.outside_session == 4


def test_repeats_contradictions_and_disorder_are_told_apart() -> None:
    rows = [bar(OPEN + MINUTE), bar(OPEN), bar(OPEN), bar(OPEN, price=11.0), bar(OPEN + 4 * MINUTE)]
    bars, counts = normalise(frame(*rows), RecordingFormat())
    assert (counts.exact_duplicates, counts.conflicting_duplicates, counts.out_of_order) == (1, 1, 1)
    assert bars["close"].to_list() == [10.0, 10.0, 10.0], "of two that contradict, the first in the file counts"
    assert counts.missing_minutes == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"high": 9.0},
        {"low": 10.5},
        {"open": 0.0},
        {"close": float("nan")},
        {"volume": -1},
        {"ticker": ""},
        {"ticker": "nvda"},
        {"ticker": "^SPX"},
        {"ticker": "BF/B"},
        {"ticker": "<b>X"},
        {"ts_utc": OPEN + timedelta(seconds=7)},
    ],
)
def test_a_malformed_row_is_left_out_and_counted(wrong: dict[str, Any]) -> None:
    bars, counts = normalise(frame(bar(OPEN), {**bar(OPEN + MINUTE), **wrong}), RecordingFormat())
    assert counts.malformed == 1
    assert bars.height == 1


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        (datetime(2018, 3, 9, 9, 30), datetime(2018, 3, 9, 14, 30, tzinfo=UTC)),
        (datetime(2018, 3, 12, 9, 30), datetime(2018, 3, 12, 13, 30, tzinfo=UTC)),
    ],
)
def test_local_instants_follow_daylight_saving(local: datetime, instant: datetime) -> None:
    bars, _ = normalise(frame(bar(local)), RecordingFormat(zone="America/New_York"))
    assert bars["ts"].to_list() == [instant]


def test_a_bar_labelled_with_its_end_belongs_to_the_minute_before() -> None:
    bars, counts = normalise(frame(bar(OPEN + MINUTE), bar(CLOSE)), RecordingFormat(label="end"))
    assert bars["ts"].to_list() == [OPEN, CLOSE - MINUTE]
    assert counts.outside_session == 0


def test_other_names_a_single_ticker_and_text_are_understood() -> None:
    raw = pl.DataFrame({"when": ["2024-07-03 13:30:00"], "o": ["1"], "h": ["2"], "l": ["1"], "c": ["2"], "v": ["7.0"]})
    columns = {"ts": "when", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    bars, _ = normalise(raw, RecordingFormat(columns=columns, ticker="XYZ"))
    assert bars.rows() == [("XYZ", OPEN, 1.0, 2.0, 1.0, 2.0, 7)]


@pytest.mark.parametrize(
    ("raw", "form", "said"),
    [
        (pl.DataFrame({"a": [1]}), RecordingFormat(), "it lacks ticker .*; it has a"),
        (frame(bar(OPEN)), RecordingFormat(columns={"colour": "x"}), "no column colour to map"),
        (frame(bar(OPEN, ts_utc=5)), RecordingFormat(), "expected a date and time"),
        (frame(bar(OPEN, high=1.0)), RecordingFormat(), "none of its 1 rows is a sound minute bar"),
        (frame(bar(OPEN - timedelta(hours=9))), RecordingFormat(), "lies within a session"),
    ],
)
def test_what_is_no_recording_is_refused_with_what_is_wrong(
    raw: pl.DataFrame, form: RecordingFormat, said: str
) -> None:
    with pytest.raises(RecordingError, match=said):
        normalise(raw, form)


def test_the_composite_moves_by_the_mean_of_the_names_log_returns() -> None:
    rows = [bar(OPEN, "AAA", 10.0), bar(OPEN, "BBB", 20.0), bar(OPEN + MINUTE, "AAA", 11.0)]
    rows += [bar(OPEN + MINUTE, "BBB", 20.0), bar(OPEN + 2 * MINUTE, "AAA", 11.0), bar(OPEN + 2 * MINUTE, "BBB", 22.0)]
    bars, _ = normalise(frame(*rows), RecordingFormat())
    index = composite(bars, "IDX")
    assert index["ts"].to_list() == [OPEN + MINUTE, OPEN + 2 * MINUTE]
    assert index["close"].to_list() == pytest.approx([100 * 1.1**0.5, 100 * 1.1], rel=1e-6)
    assert index["volume"].to_list() == [200, 200]
    assert index.select((pl.col("high") >= pl.col("close")).all() & (pl.col("low") <= pl.col("close")).all()).item()


def test_longer_bars_are_refused_for_they_would_be_known_before_they_end() -> None:
    rows = [bar(OPEN + 5 * count * MINUTE) for count in range(40)]
    with pytest.raises(RecordingError, match="look like bars of 5 minutes"):
        normalise(frame(*rows), RecordingFormat())


def test_a_share_class_keeps_its_point() -> None:
    bars, counts = normalise(frame(bar(OPEN, ticker="BRK.B")), RecordingFormat())
    assert bars["ticker"].to_list() == ["BRK.B"]
    assert counts.malformed == 0
