"""Run the benchmarks of this folder, ``bench_*.py``, one after another: ``make bench``. They judge nothing.

Arguments are handed on to each; ``--only features`` runs one of them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Exit status of the first benchmark that failed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).parent
    found = {path.stem.removeprefix("bench_"): path for path in sorted(here.glob("bench_*.py"))}
    # Sections of its own: ``make bench-news``.
    del found["news"]
    parser.add_argument("--only", choices=sorted(found), help="run this benchmark alone")
    chosen, handed_on = parser.parse_known_args()
    for name, path in found.items():
        if chosen.only in (None, name):
            status = subprocess.run([sys.executable, str(path), *handed_on], check=False).returncode
            if status:
                return status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
