"""What a process that reads is asked to do in tests, in place of reading."""

from __future__ import annotations

import json
import os

from trading_assets.news.reader_process import About


def answer(about: About, body: bytes) -> bytes:
    match about["do"]:
        case "environment":
            return json.dumps(dict(os.environ)).encode()
        case "remember":
            return str(os.getpid()).encode()
        case "grow":
            return bytes(2 * len(bytearray(600 << 20)))
        case "loop":
            while True:
                pass
        case "flood":
            return bytes(9 * len(body) + (2 << 20))
        case _:
            raise LookupError(about["do"])
