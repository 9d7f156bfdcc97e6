"""Over recorded sessions the default rules speak up a few times a day, the seeds more often."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.recorded
def test_the_default_rules_give_five_to_forty_signals_a_session(recorded_data: Path) -> None:
    bars = recorded_data / "bars_1m" / "S3_us284_2018" / "bars_wanted31.parquet"
    form = ("--column", "ts=ts_et_naive", "--zone", "America/New_York", "--sessions", "4")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "calibrate_signals.py"), "--bars", str(bars), *form],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    found = json.loads(done.stdout)
    assert found["default"]["sessions"] == 4
    assert 5 <= found["default"]["median"] <= 40
    assert found["seeds"]["median"] > found["default"]["median"]
