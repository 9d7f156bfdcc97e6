"""The same text whatever its bytes and its labels are."""

from __future__ import annotations

import gzip

import pytest

from trading_assets.news.charset import decode
from trading_assets.news.parse import FeedUnreadable, ParsedStory, parse_feed
from trading_assets_tests.news.feed_server import item, rss

FRENCH = "Estée Lauder’s “rise” – 5 %"
KOREAN = "삼성전자 실적 발표, 코스피 상승"


def document(title: str, declared: str | None) -> str:
    declaration = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared is not None else ""
    return rss(item(title, guid="1", date="Thu, 12 Mar 2026 09:30:00 EST"), declaration=declaration)


def story(body: bytes, content_type: str | None = None) -> ParsedStory:
    feed = parse_feed(body, content_type=content_type)
    assert feed.complete
    (found,) = feed.stories
    return found


@pytest.mark.parametrize(
    ("title", "encoded", "declared", "content_type"),
    [
        (FRENCH, "utf-8", "utf-8", None),
        (FRENCH, "utf-8-sig", None, None),
        (FRENCH, "utf-8", None, "text/xml"),
        (FRENCH, "utf-8", "iso-8859-1", "text/xml; charset=ISO-8859-1"),
        (FRENCH, "utf-8", "utf-16", None),
        (FRENCH, "cp1252", "windows-1252", None),
        (FRENCH, "cp1252", "ISO-8859-1", "application/xml"),
        (FRENCH, "cp1252", "utf-8", "application/rss+xml; charset=utf-8"),
        (FRENCH, "cp1252", None, "text/xml; charset=us-ascii"),
        (FRENCH, "cp1252", "klingon", "application/xml; charset=punycode"),
        (FRENCH, "utf-16", "utf-16", None),
        (FRENCH, "utf-16-le", None, "application/xml"),
        (FRENCH, "utf-16-be", "utf-8", "application/xml; charset=utf-8"),
        (FRENCH, "utf-32", "utf-32", None),
        (KOREAN, "utf-8", "euc-kr", "text/xml; charset=EUC-KR"),
        (KOREAN, "euc-kr", "euc-kr", None),
        (KOREAN, "cp949", "KS_C_5601-1987", "text/xml; charset=iso-8859-1"),
        (KOREAN, "euc-kr", None, "text/xml; charset='euc-kr'"),
        (KOREAN, "utf-16", None, "text/xml; charset=euc-kr"),
        ("Estee Lauder rises", "cp037", "cp037", None),
    ],
)
def test_F39_whatever_the_charset_and_its_label_the_story_is_the_same(
    title: str, encoded: str, declared: str | None, content_type: str | None
) -> None:
    found = story(document(title, declared).encode(encoded), content_type)
    assert found == story(document(title, "utf-8").encode())
    assert found.title == title


def test_F39_a_wrong_label_is_told() -> None:
    feed = parse_feed(document(FRENCH, "utf-8").encode("cp1252"), content_type="text/xml; charset=utf-8")
    assert feed.complaint == "labelled utf-8, but can only be read as cp1252"
    assert parse_feed(document(FRENCH, "utf-8").encode()).complaint is None


def test_F39_a_few_broken_bytes_do_not_spoil_the_rest() -> None:
    body = document(KOREAN + "!", "utf-8").encode().replace(b"!", b"\xff")
    assert story(body).title == KOREAN + "\ufffd"
    assert "1 characters are no utf-8" in (parse_feed(body).complaint or "")


def test_F39_a_control_character_does_not_break_the_document() -> None:
    body = document("Nvidia \x0bbeats\x00 estimates", "utf-8").encode()
    feed = parse_feed(body)
    assert (feed.stories[0].title, feed.complaint) == ("Nvidia beats estimates", None)


@pytest.mark.parametrize("encoding", ["cp037", "utf-16-le", "utf-16-be"])
def test_F39_entities_are_found_in_every_charset(encoding: str) -> None:
    evil = '<?xml version="1.0" encoding="cp037"?><!DOCTYPE rss [<!ENTITY a "ha">]>' + document("&a;", None)
    with pytest.raises(FeedUnreadable, match="entities"):
        parse_feed(evil.encode(encoding))


def test_decoding_never_fails() -> None:
    for body in (b"", b"\xff", b"\xff\xfe\x00", b"\x00\x00\xfe\xff\x00", gzip.compress(b"x"), bytes(range(256))):
        for label in (None, "text/xml; charset=utf-16", "text/xml; charset=base64", "text/xml; charset=idna"):
            assert isinstance(decode(body, label).text, str)
