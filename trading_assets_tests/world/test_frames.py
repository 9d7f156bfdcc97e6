"""The frame store keeps what was recorded, refuses what is older, and never reads half a file."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from trading_assets.domain.errors import CorruptFrameError
from trading_assets.market.frames import MARKET_CONTEXT, empty
from trading_assets.world.frame_cache import FrameCache
from trading_assets.world.frame_locks import await_writers, locked
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
    later = store.append("market_context", "2026-03-11", row(3.0), T0 + MINUTE)
    assert store.append("market_context", "2026-03-11", row(4.0), T0).read_bytes() == first, "an earlier one, too"
    assert later.exists() and levels(store) == [1.0, 3.0]


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


def test_a_days_parts_are_folded_on_the_way_and_a_reader_opens_few_files(store: FrameStore) -> None:
    counts = []
    for minute in range(100):
        written = store.append("market_context", "2026-03-11", row(float(minute)), T0 + minute * MINUTE)
        assert written.exists()
        counts.append(len([path for path in written.parent.iterdir() if path.suffix == ".parquet"]))
    assert levels(store) == [float(minute) for minute in range(100)]
    assert max(counts) == 31 and min(counts[32:]) == 1
    assert store.count("market_context", "2026-03-11") == 100
    assert store.is_live("market_context", "2026-03-11")


def test_the_newest_rows_are_those_of_the_whole_partition_whenever_it_was_folded(store: FrameStore) -> None:
    for minute in range(70):
        store.append("market_context", "2026-03-11", row(float(minute), T0 + minute * MINUTE), T0 + minute * MINUTE)
        whole = store.read("market_context", ["2026-03-11"])
        for back in (0, 3, 40):
            since = T0 + (minute - back) * MINUTE
            newest = store.read_since("market_context", "2026-03-11", since)
            assert newest.equals(whole.filter(pl.col("as_of") >= since))
            assert newest.height == min(back, minute) + 1
    assert store.read_since("market_context", "2026-03-11", T0 + 70 * MINUTE).is_empty()
    assert store.read_since("market_context", "2026-03-12", T0).is_empty()


def test_the_newest_rows_are_found_without_opening_what_was_recorded_before(store: FrameStore) -> None:
    old = store.append("market_context", "2026-03-11", row(0.0), T0)
    store.append("market_context", "2026-03-11", row(1.0, T0 + MINUTE), T0 + MINUTE)
    old.write_bytes(b"not a frame")
    assert store.read_since("market_context", "2026-03-11", T0 + MINUTE)["vix"].to_list() == [1.0]
    with pytest.raises(CorruptFrameError):
        store.read_since("market_context", "2026-03-11", T0)


def test_a_run_repeated_after_its_part_was_folded_changes_nothing(store: FrameStore) -> None:
    for minute in range(32):
        folded = store.append("market_context", "2026-03-11", row(float(minute)), T0 + minute * MINUTE)
    assert folded.name.startswith("day-")
    assert store.append("market_context", "2026-03-11", row(99.0), T0 + 31 * MINUTE) == folded
    assert levels(store) == [float(minute) for minute in range(32)]
    with pytest.raises(StaleWriteError):
        store.append("market_context", "2026-03-11", row(99.0), T0 + 30 * MINUTE)


def test_a_reader_whose_files_are_folded_under_it_looks_again(
    store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(3):
        store.append("market_context", "2026-03-11", row(float(minute)), T0 + minute * MINUTE)
    listed = store._current
    writer = FrameStore(store.root)

    def folded_meanwhile(asset: str, partition: str) -> list[Path]:
        found = listed(asset, partition)
        writer.compact(asset, partition)
        return found

    monkeypatch.setattr(store, "_current", folded_meanwhile)
    assert levels(store) == [0.0, 1.0, 2.0]


def test_many_readers_and_a_writer_at_once_see_every_row_in_order(store: FrameStore) -> None:
    store.append("market_context", "2026-03-11", row(0.0), T0)
    done = threading.Event()

    def read_on() -> list[list[float]]:
        seen = []
        while not done.is_set():
            seen.append(levels(store))
        return seen

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read_on) for _ in range(3)]
        for minute in range(1, 100):
            store.append("market_context", "2026-03-11", row(float(minute)), T0 + minute * MINUTE)
        done.set()
    for reader in readers:
        for seen in reader.result():
            assert seen == [float(minute) for minute in range(len(seen))] and seen


def test_a_broken_part_does_not_keep_the_next_minute_from_being_recorded(store: FrameStore) -> None:
    first = store.append("market_context", "2026-03-11", row(0.0), T0)
    first.write_bytes(b"half")
    for minute in range(1, 40):
        newest = store.append("market_context", "2026-03-11", row(float(minute)), T0 + minute * MINUTE)
    assert store.last_as_of("market_context", "2026-03-11") == T0 + 39 * MINUTE and newest.exists()
    with pytest.raises(CorruptFrameError, match=first.name):
        levels(store)


def test_the_cache_holds_no_more_than_its_budget_and_reads_a_changed_file_anew(tmp_path: Path) -> None:
    reads: list[Path] = []

    def read(path: Path) -> pl.DataFrame:
        reads.append(path)
        return pl.read_parquet(path)

    paths = [tmp_path / f"{name}.parquet" for name in range(3)]
    for path in paths:
        pl.DataFrame({"x": range(1000)}).write_parquet(path)
    cache = FrameCache(20_000)
    for path in (paths[0], paths[1], paths[0], paths[2]):
        cache.get(path, read)
    assert reads == paths and cache.held_bytes <= 20_000
    cache.get(paths[0], read)
    cache.get(paths[1], read)
    assert reads[3:] == [paths[1]], "the one that was longest unread had to go"
    pl.DataFrame({"x": range(500)}).write_parquet(paths[0])
    assert cache.get(paths[0], read).height == 500
    with pytest.raises(FileNotFoundError):
        cache.get(tmp_path / "none.parquet", read)


def test_the_cache_lets_go_of_files_that_another_one_replaced(tmp_path: Path) -> None:
    cache, sizes = FrameCache(10**9), []
    for minute in range(5):
        for old in tmp_path.iterdir():
            old.unlink()
        path = tmp_path / f"day-{minute}.parquet"
        pl.DataFrame({"x": range(1000)}).write_parquet(path)
        cache.get(path, pl.read_parquet)
        sizes.append(cache.held_bytes)
    assert len(set(sizes)) == 1


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


def test_who_reads_a_partition_waits_for_its_writer_but_not_for_one_that_hangs(tmp_path: Path) -> None:
    assert await_writers(tmp_path / "never written")
    with locked(tmp_path):
        assert not await_writers(tmp_path, patience=0.05)
    assert await_writers(tmp_path)
