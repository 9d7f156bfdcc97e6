"""A person's folder of captures: which files count, when each was made, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.market.sessions import require_session, shift
from trading_assets.news.captured import read_capture
from trading_assets.world.feed_dates import shift_dates
from trading_assets.world.feed_folder import FeedFolder
from trading_assets.world.recorded_feeds import counts_of, described, items_until, keep
from trading_assets_tests.world.feed_captures import capture, growing, json_feed, rss

SESSION = require_session(datetime(2026, 3, 13).date())
OPEN = SESSION.open
MINUTE = timedelta(minutes=1)
AT = datetime(2026, 3, 13, 14, 5, tzinfo=UTC)
SOUND = rss(("Apple beats estimates", AT - MINUTE))


def found(folder: Path) -> list[tuple[str, datetime]]:
    return [(each.feed, each.at) for each in FeedFolder(folder).contents.captures]


def kept(folder: Path, directory: Path, shift_days: int = 0) -> dict[str, object]:
    return keep(FeedFolder(folder, shift_days), directory, [SESSION], read_capture)


@pytest.mark.parametrize(
    ("path", "feed"),
    [
        ("cnbc/20260313T140500Z.xml", "cnbc"),
        ("cnbc/2026-03-13T14:05:00Z.rss", "cnbc"),
        ("cnbc/2026-03-13T14-05-00.250Z.atom", "cnbc"),
        ("cnbc/20260313_140500+0000.json", "cnbc"),
        ("cnbc/1773410700.xml", "cnbc"),
        ("cnbc/2026-03-13/20260313T140500Z.xml", "cnbc"),
        ("2026/03/cnbc/20260313T140500Z", "cnbc"),
        ("CNBC Top News/20260313T140500Z.xml", "cnbc-top-news"),
        ("cnbc-20260313T140500Z.xml", "cnbc"),
        ("us/cnbc/20260313T140500Z.xml", "us.cnbc"),
    ],
)
def test_a_time_in_the_name_dates_a_capture_and_the_folder_names_its_feed(tmp_path: Path, path: str, feed: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SOUND)
    assert found(tmp_path) == [(feed, AT)]


@pytest.mark.parametrize("key", ["captured_at", "_recorded_at", "recorded_at_utc"])
def test_a_json_file_beside_undated_captures_dates_them_and_tells_how_they_were_served(
    tmp_path: Path, key: str
) -> None:
    (tmp_path / "sec").mkdir()
    for name in ("press.rss", "speeches.rss"):
        (tmp_path / "sec" / name).write_text(SOUND)
    told = {key: "2026-03-13T10:05:00-04:00", "status": 200, "headers": {"Content-Type": "text/xml"}}
    (tmp_path / "sec" / "meta.json").write_text(json.dumps(told))
    assert found(tmp_path) == [("sec.press", AT), ("sec.speeches", AT)]
    assert {each.content_type for each in FeedFolder(tmp_path).contents.captures} == {"text/xml"}


def test_what_has_no_instant_is_left_out_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "feeds"
    capture(folder, "cnbc", AT, SOUND)
    for name, text in (
        ("undated.xml", SOUND),
        ("20260313T140500.xml", SOUND),  # in which zone?
        ("20261332T140500Z.xml", SOUND),  # no such day
        ("LICENSE", "do as you like"),
    ):
        (folder / "cnbc" / name).write_text(text)
    counts = kept(folder, tmp_path / "world")
    assert (counts["captures"], counts["undated"], counts["other_files"], counts["files"]) == (1, 3, 1, 4)
    assert "3 without a capture time" in described(counts)[0]


@pytest.mark.parametrize("name", ["story-1000987654.xml", "cnbc_1150000000_rss.xml"])
def test_a_number_within_a_name_is_not_taken_for_a_time(tmp_path: Path, name: str) -> None:
    (tmp_path / "cnbc").mkdir()
    (tmp_path / "cnbc" / name).write_text("<rss/>")
    with pytest.raises(ConfigurationError, match="says when it was made"):
        found(tmp_path)


def test_a_capture_whose_name_and_note_disagree_has_no_instant(tmp_path: Path) -> None:
    folder = tmp_path / "cnbc"
    folder.mkdir()
    for hour in ("14", "15"):
        (folder / f"20260501T{hour}0000Z.xml").write_text("<rss/>")
        noted = folder / f"20260501T{hour}0000Z.meta.json"
        noted.write_text(json.dumps({"captured_at": "2026-05-01T15:00:20+00:00"}))
    assert [at.hour for _, at in found(tmp_path)] == [15]


def test_a_link_out_of_the_folder_is_not_followed_and_an_endless_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.xml").write_text("<rss/>")
    folder = tmp_path / "captures" / "cnbc"
    folder.mkdir(parents=True)
    (folder / "20260501T150000Z.xml").symlink_to(tmp_path / "secret.xml")
    with pytest.raises(ConfigurationError, match="no capture"):
        found(tmp_path / "captures")
    with (folder / "20260501T160000Z.xml").open("wb") as huge:
        huge.truncate(65 * 1024**2)
    with pytest.raises(ConfigurationError, match="more than"):
        FeedFolder(tmp_path / "captures").as_json()


def test_only_what_the_clock_can_meet_is_kept_each_body_once(tmp_path: Path) -> None:
    folder, directory = tmp_path / "feeds", tmp_path / "world"
    before = shift(SESSION.day, -1).close - 300 * MINUTE
    growing(folder, "cnbc", before, ["One", "Two", "Three"], MINUTE)
    capture(folder, "cnbc", AT, rss(("Apple beats estimates", AT)))
    capture(folder, "cnbc", AT + MINUTE, rss(("Apple beats estimates", AT)))
    capture(folder, "cnbc", AT + MINUTE, "another answer", ".z.xml")
    capture(folder, "cnbc", SESSION.close + timedelta(days=9), SOUND)
    capture(folder, "later", SESSION.close + timedelta(days=9), SOUND)
    counts = kept(folder, directory)
    assert (counts["captures"], counts["superseded"], counts["repeated"], counts["after_session"]) == (3, 2, 1, 2)
    assert counts["refused_feeds"] == ["later"]
    assert any("refused" in line and "later" in line for line in described(counts))
    assert len(list((directory / "feeds").iterdir())) == 2
    assert (items_until(directory, AT - MINUTE), items_until(directory, AT)) == (3, 4)
    assert counts == counts_of(directory) == kept(tmp_path / "gone", directory), "the folder is not needed again"


def test_a_broken_capture_is_kept_as_it_is_and_said(tmp_path: Path) -> None:
    folder, directory = tmp_path / "feeds", tmp_path / "world"
    capture(folder, "cnbc", AT, SOUND)
    html = capture(folder, "cnbc", AT + MINUTE, "<!doctype html><html><body>Please log in</body></html>")
    capture(folder, "cnbc", AT + 2 * MINUTE, SOUND[:-40])
    capture(folder, "cnbc", AT + 3 * MINUTE, "")
    capture(folder, "cnbc", AT + 4 * MINUTE, SOUND).with_suffix(".meta.json").write_text('{"status": 503}')
    counts = kept(folder, directory)
    assert (counts["captures"], counts["broken"]) == (5, 4)
    (line,) = (line for line in described(counts) if "no sound feed" in line)
    for said in ("not an RSS or Atom feed", "holds no readable story", "empty", "HTTP 503"):
        assert said in line
    assert html.read_bytes() in {path.read_bytes() for path in (directory / "feeds").iterdir()}


def test_json_feeds_are_captures_like_others(tmp_path: Path) -> None:
    folder, directory = tmp_path / "feeds", tmp_path / "world"
    capture(folder, "wire", AT, json_feed(("Apple beats estimates", AT), ("Nvidia falls", AT)), ".json")
    counts = kept(folder, directory)
    assert (counts["items"], counts["broken"]) == (2, 0)
    (feed,) = json.loads((directory / "feeds.json").read_text())["feeds"]
    assert feed["json_format"] is True
    assert feed["captures"][0]["content_type"] == "application/feed+json"


def test_a_shift_moves_capture_and_publication_together_and_the_name_says_so(tmp_path: Path) -> None:
    folder, directory = tmp_path / "feeds", tmp_path / "world"
    capture(folder, "cnbc", AT + timedelta(days=40), rss(("Apple beats", AT + timedelta(days=40) - MINUTE)))
    with pytest.raises(ConfigurationError, match=r"after the last session, 2026-03-13.*--feeds-shift-days -40"):
        kept(folder, directory)
    counts = kept(folder, directory, -40)
    assert (counts["first_capture"], counts["within_sessions"]) == (AT.isoformat(), 1)
    assert any("shifted by -40 days" in line and ".shifted" in line for line in described(counts))
    (feed,) = json.loads((directory / "feeds.json").read_text())["feeds"]
    assert feed["name"] == "cnbc.shifted"
    (body,) = (directory / "feeds").iterdir()
    assert b"<pubDate>Fri, 13 Mar 2026 14:04:00 GMT</pubDate>" in body.read_bytes()


@pytest.mark.parametrize(
    ("written", "moved"),
    [
        ("<pubDate>Fri, 01 May 2026 14:29:59 GMT</pubDate>", "<pubDate>Sun, 01 Mar 2026 14:29:59 GMT</pubDate>"),
        ("<pubDate>1 May 2026 10:00 EST</pubDate>", "<pubDate>1 Mar 2026 10:00 EST</pubDate>"),
        ("<updated>2026-05-01T09:30:00-04:00</updated>", "<updated>2026-03-01T09:30:00-04:00</updated>"),
        ("<dc:date>20260501</dc:date>", "<dc:date>20260301</dc:date>"),
        ("<pubDate><![CDATA[2026-05-01 10:00]]></pubDate>", "<pubDate><![CDATA[2026-03-01 10:00]]></pubDate>"),
        ('{"date_published": "2026-05-01T10:00:00Z"}', '{"date_published": "2026-03-01T10:00:00Z"}'),
        ("<title>Sold on 2026-05-01</title>", "<title>Sold on 2026-05-01</title>"),
        ("<pubDate></pubDate>", "<pubDate></pubDate>"),
    ],
)
def test_only_the_day_of_a_date_is_rewritten(written: str, moved: str) -> None:
    assert shift_dates(written.encode(), -61) == (moved.encode(), 0)
    wide = written.encode("utf-16")
    assert shift_dates(wide, -61)[0].decode("utf-16") == moved


def test_a_date_that_cannot_be_read_stays_and_is_counted() -> None:
    written = b"<pubDate>the day before yesterday</pubDate>"
    assert shift_dates(written, 3) == (written, 1)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "holds no capture"),
        ({"README": "nothing"}, "holds no capture"),
        ({"cnbc/feed.xml": SOUND, "cnbc/other.xml": SOUND}, "none of the 2 captures says when it was made"),
        ({"cnbc/20260313T140500Z.html": "<html>log in</html>"}, "is a sound feed"),
        ({"cnbc/20260313T140500Z.xml": SOUND[:60]}, "is a sound feed"),
        ({"cnbc/feed.xml": SOUND, "cnbc/meta.json": "{"}, "what was noted of a capture cannot be read"),
        ({"a b/20260313T140500Z.xml": SOUND, "a-b/20260313T140500Z.xml": SOUND}, "two feeds would be called 'a-b'"),
    ],
    ids=["empty", "other files", "undated", "HTML", "truncated", "broken note", "one name"],
)
def test_a_folder_with_nothing_to_show_is_refused(tmp_path: Path, files: dict[str, str], says: str) -> None:
    folder = tmp_path / "feeds"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with pytest.raises(ConfigurationError) as refusal:
        kept(folder, tmp_path / "world")
    assert says in refusal.value.what
    assert refusal.value.where and refusal.value.mend
    assert counts_of(tmp_path / "world") is None


def test_no_capture_within_the_sessions_is_said(tmp_path: Path) -> None:
    capture(tmp_path / "feeds", "cnbc", AT - timedelta(days=4), SOUND)
    assert any("no capture was made within" in line for line in described(kept(tmp_path / "feeds", tmp_path / "world")))


def test_the_content_identifies_a_folder_not_its_place(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        capture(folder, "cnbc", AT, SOUND)
    assert FeedFolder(one).as_json() == FeedFolder(two).as_json() != FeedFolder(one, 1).as_json()
    capture(two, "cnbc", AT + MINUTE, SOUND)
    assert FeedFolder(one).as_json() != FeedFolder(two).as_json()


@pytest.mark.recorded
def test_recorded_finance_feeds_are_found_and_nothing_of_them_is_made_up(tmp_path: Path, recorded_data: Path) -> None:
    folder = recorded_data / "feeds" / "F3_finance_feeds_2026_05"
    session = require_session(datetime(2026, 5, 1).date())
    counts = keep(FeedFolder(folder), tmp_path, [session], read_capture)
    assert (counts["feeds"], counts["captures"], counts["items"], counts["broken"]) == (3, 3, 89, 0)
    assert (counts["undated"], counts["after_session"], counts["within_sessions"]) == (9, 8, 1)
    with pytest.raises(ConfigurationError, match="none of the 5 captures says when"):
        FeedFolder(recorded_data / "feeds" / "F4_sec_feeds_edgarkit").as_json()
    shifted = keep(FeedFolder(folder, -76), tmp_path / "shifted", [session], read_capture)
    assert (shifted["feeds"], shifted["items"], shifted["dates_not_shifted"]) == (11, 358, 0)
