"""The frame store keeps what was recorded, refuses what is older, and never reads half a file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from trading_assets.domain.errors import CorruptFrameError
from trading_assets.market.frames import MARKET_CONTEXT, empty
from trading_assets.world.frames import FrameStore, StaleWriteError

T0 = datetime(2026, 3, 11, 14, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def row(level: float, at: datetime = T0) -> pl.DataFrame:
    values = dict.fromkeys(MARKET_CONTEXT) | {"as_of": at, "index": "SPY", "vix": level}
    return pl.DataFrame([values], schema=MARKET_CONTEXT)


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "frames")


def levels(store: FrameStore) -> list[float]:
    return store.read("market_context", ["2026-03-11"])["vix"].to_list()


def test_parts_are_read_in_the_order_in_which_they_became_known(store: FrameStore) -> None:
    for minute in range(3):
        store.append("market_context", "2026-03-11", row(float(minute)), T0 + minute * MINUTE)
    assert levels(store) == [0.0, 1.0, 2.0]
    assert store.last_as_of("market_context", "2026-03-11") == T0 + 2 * MINUTE


def test_a_repeated_run_keeps_the_bytes_that_were_recorded(store: FrameStore) -> None:
    first = store.append("market_context", "2026-03-11", row(1.0), T0).read_bytes()
    again = store.append("market_context", "2026-03-11", row(2.0), T0).read_bytes()
    assert first == again
    assert levels(store) == [1.0]


def test_what_is_stored_is_counted_and_a_repeated_instant_is_known(store: FrameStore) -> None:
    assert store.count("market_context", "2026-03-11") == 0
    assert not store.holds("market_context", "2026-03-11", T0)
    for minute in range(3):
        store.append("market_context", "2026-03-11", row(float(minute)), T0 + minute * MINUTE)
    for _ in range(2):
        assert store.count("market_context", "2026-03-11") == 3
        assert store.holds("market_context", "2026-03-11", T0 + 2 * MINUTE)
        assert not store.holds("market_context", "2026-03-11", T0 + 3 * MINUTE)
        store.compact("market_context", "2026-03-11")


def test_a_run_with_older_knowledge_is_refused(store: FrameStore) -> None:
    store.append("market_context", "2026-03-11", row(1.0), T0)
    with pytest.raises(StaleWriteError, match="known up to"):
        store.append("market_context", "2026-03-11", row(0.0), T0 - MINUTE)
    assert levels(store) == [1.0]


def test_compaction_changes_the_files_and_not_the_rows(store: FrameStore) -> None:
    for minute in range(4):
        store.append("market_context", "2026-03-11", row(float(minute)), T0 + minute * MINUTE)
    before = store.read("market_context", ["2026-03-11"])
    assert store.compact("market_context", "2026-03-11")
    assert not store.compact("market_context", "2026-03-11")
    assert store.read("market_context", ["2026-03-11"]).equals(before)
    store.append("market_context", "2026-03-11", row(9.0), T0 + 5 * MINUTE)
    assert levels(store) == [0.0, 1.0, 2.0, 3.0, 9.0]


def test_a_crash_between_compaction_and_clean_up_doubles_nothing(store: FrameStore) -> None:
    part = store.append("market_context", "2026-03-11", row(1.0), T0)
    later = store.append("market_context", "2026-03-11", row(2.0), T0 + MINUTE)
    kept = {path: path.read_bytes() for path in (part, later)}
    store.compact("market_context", "2026-03-11")
    for path, content in kept.items():
        path.write_bytes(content)
    assert levels(store) == [1.0, 2.0]


def test_F51_a_truncated_file_is_an_error_that_names_it_and_a_temporary_file_is_not_data(store: FrameStore) -> None:
    path = store.append("market_context", "2026-03-11", row(1.0), T0)
    (path.parent / f".{path.name}.77.tmp").write_bytes(b"half")
    assert levels(store) == [1.0]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptFrameError, match=path.name):
        store.read("market_context", ["2026-03-11"])


def test_a_frame_with_other_columns_is_refused_before_anything_is_written(store: FrameStore) -> None:
    with pytest.raises(ValueError, match="missing columns"):
        store.append("market_context", "2026-03-11", empty(MARKET_CONTEXT).drop("vix"), T0)
    assert not store.exists("market_context", "2026-03-11")


def test_F59_a_partition_key_cannot_leave_the_folder(store: FrameStore) -> None:
    with pytest.raises(ValueError, match="does not match"):
        store.append("market_context", "../../etc", row(1.0), T0)
    with pytest.raises(ValueError, match="no frame named"):
        store.read("../bars", ["2026-03-11"])
