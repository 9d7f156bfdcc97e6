"""Write ``constraints.txt`` from what is installed in this environment: ``.venv/bin/python tools/pins.py``.

Run it after a deliberate upgrade whose tests passed. Only names and versions are written: no address, no path, and no
local part of a version (the CPU and the GPU build of one release are the same pin).
"""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

TARGET = Path(__file__).parent.parent / "constraints.txt"
HEADER = (
    "# The whole tested set, one exact version each; written by `make pins`.\n"
    "# pyproject.toml says which ranges are allowed, this file says what was tested.\n"
)
#: The project itself, and what comes with every virtual environment.
LEFT_OUT = {"trading-assets", "pip"}


def main() -> None:
    """Write one ``name==version`` line for every installed distribution, sorted by name."""
    pins = {}
    for distribution in distributions():
        name = re.sub(r"[-_.]+", "-", distribution.name).lower()
        if name not in LEFT_OUT:
            pins[name] = distribution.version.partition("+")[0]
    TARGET.write_text(HEADER + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins)), encoding="utf-8")


if __name__ == "__main__":
    main()
