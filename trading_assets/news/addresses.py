"""Addresses of feeds as they are told: their query may hold a key, so its values are shown to nobody."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from trading_assets.domain.identities import digest

_HIDDEN = "…"


def told(url: str) -> str:
    """``url`` for errors, logs and tables: without user, password, fragment and the values of its query."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an address that cannot be read"
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    query = "&".join(_named(each) for each in parts.query.split("&")) if parts.query else ""
    return urlunsplit((parts.scheme, place, parts.path, query, ""))


def place(url: str) -> str:
    """What relative links in the feed belong to. A link that is nothing but ``#part`` would take over the query."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def remembered(url: str) -> str:
    """What the ledger keeps of an address: how it is told, and a digest by which it is recognized."""
    return f"{told(url)} {digest('feed address', url)[:16]}"


def _named(pair: str) -> str:
    name, given, _ = pair.partition("=")
    return f"{name}={_HIDDEN}" if given else _HIDDEN
