"""``python -m trading_assets.exchange --directory DIR``: run the practice exchange of a directory."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.exchange.server import serve


def main() -> int:
    """Exit code 2 with one clear line if the directory cannot be served."""
    parser = argparse.ArgumentParser(prog="trading_assets.exchange", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="folder with config.json; holds the journal")
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0 takes the last one or any free one")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        serve(arguments.directory, arguments.port)
    except TradingAssetsError as error:
        print(f"practice exchange: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
