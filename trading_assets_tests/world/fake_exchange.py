"""A stand-in for the exchange's process: it serves the control path and writes ``exchange.json`` as the real one does.

Started as ``python -m trading_assets_tests.world.fake_exchange --directory DIR``.
"""

from __future__ import annotations

import argparse
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", type=Path, required=True)
    directory: Path = parser.parse_args().directory
    config = json.loads((directory / "config.json").read_text())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("X-Practice-Token") == config["control_token"]
            body = json.dumps({"now": "2026-03-11T13:25:00+00:00", "speed": 0}).encode()
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = {"host": "127.0.0.1", "port": server.server_address[1], "pid": os.getpid()}
    (directory / "exchange.json").write_text(json.dumps(address))
    server.serve_forever()


if __name__ == "__main__":
    main()
