"""How fast and how right the news are: ``make bench-news``. It judges nothing.

Each section is a module of ``tools/news_bench`` with ``run(options) -> dict``: what it measured, ready for JSON.
``--only clusters`` measures one, ``--json FILE`` keeps the figures, and ``--data DIR`` (else ``TRADING_ASSETS_DATA``)
names the folder of recorded data without which some have less to say. Every section runs in a process of its own, so
that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


@dataclass(frozen=True, slots=True)
class Options:
    """``data`` is the folder of recorded data, None without one; ``quick`` asks for a tenth of the work."""

    data: Path | None
    quick: bool


def sections() -> list[str]:
    """Names of what can be measured."""
    found = (module.name for module in iter_modules([str(HERE / "news_bench")]))
    return sorted(name for name in found if not name.startswith("_"))


def measured(name: str, options: Options) -> dict[str, Any]:
    """The figures of one section, with its seconds and its peak of resident memory in this process."""
    began = time.perf_counter()
    figures: dict[str, Any] = import_module(f"news_bench.{name}").run(options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**figures, "section_s": round(time.perf_counter() - began, 1), "peak_mib": round(peak / 1024)}


def main() -> int:
    """Exit status 0; 2 for a folder of data that is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sections(), action="append", help="measure this section; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--data", type=Path, default=os.environ.get("TRADING_ASSETS_DATA"), help="recorded data")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    chosen = parser.parse_args()
    if chosen.data is not None and not Path(chosen.data).is_dir():
        parser.error(f"{chosen.data} is no folder")
    options = Options(Path(chosen.data) if chosen.data is not None else None, chosen.quick)
    figures: dict[str, Any] = {}
    for name in chosen.only or sections():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            figures[name] = pool.submit(measured, name, options).result()
        print(f"{name}: {json.dumps(figures[name], indent=2)}", flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
