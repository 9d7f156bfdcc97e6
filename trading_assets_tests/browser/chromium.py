"""Debian's Chromium, driven by Playwright. No browser is ever downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

#: It may resolve no name but the loopback's, and looks for nothing by itself.
ARGUMENTS = [
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
MISSING = (
    "no chromium on the PATH: as root run 'apt-get update && apt-get install -y chromium', then repeat the command"
)
VIEWPORT: ViewportSize = {"width": 1600, "height": 1000}
#: Waiting ends as soon as the page shows what is waited for; this only bounds a failure.
PATIENCE_MS = 90_000


def executable() -> str:
    """Where Chromium is; without one the test fails with the line that says how to get it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail(MISSING, pytrace=False)
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser. Its sandbox needs a user who is not root."""
    path = executable()
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *root])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page_of(browser: Browser, address: str, viewport: ViewportSize = VIEWPORT, scale: float = 1.0) -> Iterator[Page]:
    """A fresh page, nothing remembered. Fails at its end if it asked anything of another host than ``address``."""
    context = browser.new_context(
        base_url=address, viewport=viewport, device_scale_factor=scale, timezone_id="UTC", locale="en-US"
    )
    context.set_default_timeout(PATIENCE_MS)
    asked: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    try:
        yield page
    finally:
        context.close()
    host = urlsplit(address).netloc
    elsewhere = [url for url in asked if not url.startswith(("data:", "blob:")) and urlsplit(url).netloc != host]
    assert asked, "the page was never used"
    assert elsewhere == [], "the UI needs nothing but its own server"
