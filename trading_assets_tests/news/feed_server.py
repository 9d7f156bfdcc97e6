"""A feed server for tests: real HTTP on loopback, each path answered by a function of the test's choosing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class FeedServer:
    """Paths to answers; ``requests`` keeps every request's path and headers in the order of arrival."""

    port: int
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def headers_of(self, path: str) -> list[dict[str, str]]:
        return [headers for asked, headers in self.requests if asked == path]

    def serve(self, path: str, body: bytes | str, status: int = 200, **headers: str) -> str:
        """Answer ``path`` with these bytes; underscores in header names stand for hyphens. Returns the address."""
        raw = body.encode() if isinstance(body, str) else body

        def answer(handler: BaseHTTPRequestHandler) -> None:
            send(handler, raw, status, **headers)

        self.answers[path] = answer
        return self.url(path)


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Content-Type", "application/rss+xml")
    named.setdefault("Content-Length", str(len(body)))
    for name, value in named.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def not_there(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"nothing here", 404)


@contextmanager
def running_feed_server() -> Iterator[FeedServer]:
    state: FeedServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            try:
                state.answers.get(self.path, not_there)(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = FeedServer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def item(
    title: str, *, guid: str | None = None, link: str | None = None, date: str | None = None, summary: str | None = None
) -> str:
    """One RSS item; parts that are None are left out. Texts are written as they are, so escape them yourself."""
    parts = [f"<title>{title}</title>"]
    parts += [f'<guid isPermaLink="false">{guid}</guid>'] if guid is not None else []
    parts += [f"<link>{link}</link>"] if link is not None else []
    parts += [f"<pubDate>{date}</pubDate>"] if date is not None else []
    parts += [f"<description>{summary}</description>"] if summary is not None else []
    return f"<item>{''.join(parts)}</item>"


def rss(*items: str, declaration: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    return f'{declaration}<rss version="2.0"><channel><title>News</title>{"".join(items)}</channel></rss>'
