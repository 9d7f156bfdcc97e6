"""Reading feeds: real ones, untidy ones, and bodies that only pretend."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from trading_assets.news.parse import FeedUnreadable, parse_feed
from trading_assets_tests.news.feed_server import item, rss

ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Filings</title>
<entry><title>8-K - APPLE INC</title><id>urn:tag:1</id><link href="https://sec.example/1"/>
<updated>2026-03-12T09:30:00-04:00</updated>
<summary type="html">&lt;b&gt;Filed:&lt;/b&gt; 2026-03-12</summary></entry></feed>"""
LAUGHS = """<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<rss version="2.0"><channel><item><title>&c;</title></item></channel></rss>"""


def test_an_rss_item_becomes_a_story_in_plain_text() -> None:
    feed = parse_feed(
        rss(
            item(
                "AT&amp;T &lt;b&gt;beats&lt;/b&gt; estimates",
                guid="g-1",
                link="https://example.com/1",
                date="Thu, 12 Mar 2026 09:30:00 EST",
                summary="<![CDATA[<p>First.</p><p>Second &amp; last.</p><script>alert(1)</script><img src='x'/>]]>",
            )
        ).encode()
    )
    (story,) = feed.stories
    assert story.title == "AT&T beats estimates"
    assert story.summary == "First. Second & last."
    assert (story.guid, story.link) == ("g-1", "https://example.com/1")
    assert story.published_at == datetime(2026, 3, 12, 14, 30, tzinfo=UTC)
    assert (feed.version, feed.complete, feed.complaint) == ("rss20", True, None)


def test_an_atom_entry_with_only_an_update_time_is_dated_by_it() -> None:
    (story,) = parse_feed(ATOM.encode()).stories
    assert story.published_at == datetime(2026, 3, 12, 13, 30, tzinfo=UTC)
    assert story.summary == "Filed: 2026-03-12"
    assert story.guid == "urn:tag:1"


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Foo 2026 99:99:99 GMT", "2026-13-45", "0"])
def test_F39_a_story_without_a_usable_date_has_none(date: str | None) -> None:
    (story,) = parse_feed(rss(item("Nvidia beats", guid="1", date=date)).encode()).stories
    assert story.published_at is None


def test_F39_a_date_in_the_future_is_kept_as_it_is() -> None:
    (story,) = parse_feed(rss(item("x", guid="1", date="Fri, 01 Jan 2100 00:00:00 GMT")).encode()).stories
    assert story.published_at == datetime(2100, 1, 1, tzinfo=UTC)


def test_F39_html_instead_of_xml_is_a_failure_and_not_an_empty_feed() -> None:
    page = b"<!DOCTYPE html><html><head><title>Please log in</title></head><body>Sorry</body></html>"
    with pytest.raises(FeedUnreadable, match="not an RSS or Atom feed"):
        parse_feed(page, content_type="text/html; charset=utf-8")


@pytest.mark.parametrize(
    "body", [b"", b"   \n", b'{"items": []}', b"\x89PNG\r\n\x1a\n", b"/etc/passwd", b"http://127.0.0.1/"]
)
def test_F39_a_body_that_is_no_feed_is_refused(body: bytes) -> None:
    with pytest.raises(FeedUnreadable):
        parse_feed(body)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_F39_billion_laughs_is_refused_in_every_encoding(encoding: str) -> None:
    with pytest.raises(FeedUnreadable, match="entities"):
        parse_feed(LAUGHS.encode(encoding))


@pytest.mark.parametrize("where", ["<!-- <a -->", "<?x <a ?>", "<!DOCTYPE x><?y ?>\n", "<!DOCTYPE <!-- >\n", "x\n"])
@pytest.mark.parametrize("within", ["", "<!-- <a -->"], ids=["plain", "within"])
def test_F39_billion_laughs_is_refused_whatever_hides_it(where: str, within: str) -> None:
    declared = LAUGHS.replace("<!ENTITY", f"{within}<!ENTITY", 1)
    with pytest.raises(FeedUnreadable, match="entities"):
        parse_feed(declared.replace("<!DOCTYPE rss", f"{where}<!DOCTYPE rss", 1).encode())


def test_F39_an_attribute_that_every_element_would_be_given_is_refused() -> None:
    given = '<?xml version="1.0"?><!DOCTYPE rss [<!ATTLIST item x CDATA "long">]>' + rss(item("x"), declaration="")
    with pytest.raises(FeedUnreadable, match="attributes"):
        parse_feed(given.encode())


def test_what_stands_before_the_root_changes_nothing() -> None:
    netscape = '<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "http://my.netscape.com/rss.dtd">'
    whole = rss(item("Nvidia beats", guid="1"), declaration="")
    before = f'<?xml version="1.0"?>\n<!-- a <b> --><?style x?>\n{netscape}\n<!-- <!ENTITY --> \n'
    (story,) = parse_feed((before + whole).encode()).stories
    assert story.title == "Nvidia beats"
    # A server's warning before the document.
    (story,) = parse_feed(("Warning: <b>x</b>\n" + whole).encode()).stories
    assert story.title == "Nvidia beats"


def test_F39_an_entity_that_names_a_file_is_refused() -> None:
    evil = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + rss(
        item("&x;", guid="1"), declaration=""
    )
    with pytest.raises(FeedUnreadable, match="entities"):
        parse_feed(evil.encode())


def test_a_story_about_entities_is_no_attack() -> None:
    (story,) = parse_feed(rss(item("<![CDATA[How <!ENTITY works]]>", guid="1")).encode()).stories
    assert story.guid == "1"


def test_F39_broken_xml_gives_the_stories_that_can_be_read_and_complains() -> None:
    broken = rss(item("Nvidia & friends rally", guid="1"), item("Second", guid="2"))
    feed = parse_feed(broken.encode())
    assert [story.title for story in feed.stories] == ["Nvidia & friends rally", "Second"]
    assert feed.complete
    assert feed.complaint is not None


def test_F39_a_document_that_breaks_off_loses_its_last_story_and_is_not_complete() -> None:
    whole = rss(item("First story is whole", guid="1"), item("Second story is cut in two", guid="2"))
    feed = parse_feed(whole[: whole.index("cut in two")].encode())
    assert [story.title for story in feed.stories] == ["First story is whole"]
    assert not feed.complete


def test_F39_a_document_that_breaks_off_before_its_first_story_ends_is_a_failure() -> None:
    whole = rss(item("Only story", guid="1"))
    with pytest.raises(FeedUnreadable, match="no readable story"):
        parse_feed(whole[: whole.index("story")].encode())


@pytest.mark.parametrize("tag", ["<a>", "<item>", "<item><title>x"])
def test_F39_elements_within_each_other_without_end_are_refused(tag: str) -> None:
    body = rss(*[tag] * 300_000)
    with pytest.raises(FeedUnreadable, match="more than 3000 elements"):
        parse_feed(body.encode())


@pytest.mark.parametrize("markup", ["<a ", "<!--", "<!-- x >", "<", "<p>", "&#", "<![CDATA[", "<script>", "</"])
def test_F39_markup_that_never_ends_is_read_all_the_same(markup: str) -> None:
    escaped = markup.replace("&", "&amp;").replace("<", "&lt;") * 20_000
    (story,) = parse_feed(rss(item("Nvidia beats", guid="1", summary=f"Really. {escaped}")).encode()).stories
    assert (story.summary or "").startswith("Really.")


@pytest.mark.parametrize(
    "markup",
    [
        "<![foo]>",
        "<![>",
        "<![CDATA[x]]>",
        f"&#{'9' * 5000};",
        f"&#{'9' * 19}{'<![x]>9' * 5000};",
        f"<a b='&#{'9' * 5000};'>",
    ],
    ids=["unknown_section", "nameless_section", "section", "endless_number", "number_in_pieces", "in_an_attribute"],
)
def test_F39_a_story_that_no_parser_of_html_takes_stops_no_other(markup: str) -> None:
    summary = markup.replace("&", "&amp;").replace("<", "&lt;")
    hostile = item("Nvidia beats", guid="1", summary=f"Really. {summary} True.")
    first, second = parse_feed(rss(hostile, item("Apple beats", guid="2")).encode()).stories
    said = first.summary or ""
    assert said.startswith("Really.") and said.endswith("True.") and len(said) < 30
    assert second.title == "Apple beats"


@pytest.mark.parametrize(
    ("before", "behind"), [("", "<!---->" * 200 + "<x"), ("x" + "\n" * 500_000, "")], ids=["comments", "empty_lines"]
)
def test_F39_what_lies_around_a_document_is_read_once(before: str, behind: str) -> None:
    """In a process of its own: it would read for years, and hear no signal."""
    items = item("Nvidia beats", guid="1"), item("Cut", guid="2")
    body = f"{before}{rss(*items, declaration='')}{behind}"
    program = "import sys; from trading_assets.news.parse import parse_feed; print(parse_feed(sys.stdin.buffer.read()))"
    done = subprocess.run(
        [sys.executable, "-c", program], input=body.encode(), capture_output=True, timeout=60, check=True
    )
    assert b"Nvidia beats" in done.stdout


def test_tags_within_a_text_are_no_depth() -> None:
    markup = f"<![CDATA[{'<br><p>' * 4000}x]]>"
    assert parse_feed(rss(item("Nvidia beats", guid="1", summary=markup)).encode()).stories[0].summary == "x"


def test_an_empty_but_sound_feed_is_no_failure() -> None:
    assert parse_feed(rss().encode()).stories == ()


def test_F39_a_wrong_charset_label_does_not_lose_the_feed() -> None:
    latin = rss(item("Estée Lauder rises", guid="1"), declaration='<?xml version="1.0" encoding="utf-8"?>')
    feed = parse_feed(latin.encode("latin-1"), content_type="application/rss+xml; charset=utf-8")
    assert [story.title for story in feed.stories] == ["Estée Lauder rises"]


def test_F39_the_charset_of_the_document_is_followed() -> None:
    declared = rss(item("Nestlé – prices up", guid="1"), declaration='<?xml version="1.0" encoding="windows-1252"?>')
    (story,) = parse_feed(declared.encode("windows-1252")).stories
    assert story.title == "Nestlé – prices up"


def test_F39_an_unknown_charset_is_no_crash() -> None:
    feed = parse_feed(rss(item("Plain", guid="1")).encode(), content_type="application/xml; charset=klingon")
    assert [story.title for story in feed.stories] == ["Plain"]


def test_entries_without_text_are_counted_and_left_out() -> None:
    feed = parse_feed(rss("<item><guid>1</guid></item>", item("Real", guid="2")).encode())
    assert [story.title for story in feed.stories] == ["Real"]
    assert feed.unusable == 1


def test_characters_that_cannot_be_stored_or_mislead_are_dropped() -> None:
    (story,) = parse_feed(rss(item("Pro&#8238;fit&#8203; &#127;up&#9;now", guid="1")).encode()).stories
    assert story.title == "Profit up now"


def test_long_texts_are_cut() -> None:
    (story,) = parse_feed(rss(item("t" * 5000, guid="1", summary="s" * 50_000)).encode()).stories
    assert (len(story.title), len(story.summary or "")) == (1000, 8000)


@pytest.mark.parametrize("number", ["xD83D", "55357", "x0", "8", "x110000", "0" * 20 + "55357", "9" * 30, "xFFFF"])
def test_F39_a_reference_that_no_character_has_costs_itself_and_not_the_feed(number: str) -> None:
    bad = item(f"Before &#{number}; after &#x1F600;", guid="1")
    feed = parse_feed(rss(bad, item("Another & more", guid="2")).encode())
    assert [story.title for story in feed.stories][:1] == ["Before after 😀"]
    assert len(feed.stories) == 2
