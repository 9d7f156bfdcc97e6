"""The earnings calendar: a CSV file of tickers and days that ``strategy.yaml`` may name."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from trading_assets.domain.errors import ConfigurationError

_COLUMNS = ["ticker", "date"]
_TICKER = re.compile(r"[A-Z][A-Z0-9.]{0,9}")
_KEY = "gates.earnings_calendar"


def read_earnings(named: str | None, beside: str) -> Mapping[str, tuple[date, ...]] | None:
    """Days of earnings by ticker, in order; None if no file is ``named``.

    A relative name is looked for in the folder of ``beside``, the strategy file. Raises :class:`ConfigurationError`
    with file and line for a missing file, other columns than ``ticker,date``, or a row that is no ticker and day.
    """
    if named is None:
        return None
    path = (Path(beside).parent / Path(named).expanduser()).absolute()
    found: dict[str, set[date]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = [cell.strip().lower() for cell in next(rows, [])]
            if header != _COLUMNS:
                raise _wrong(path, f"expected the columns ticker,date, saw {','.join(header) or 'nothing'}")
            for row in rows:
                if row:
                    ticker, day = _row(row, path, rows.line_num)
                    found.setdefault(ticker, set()).add(day)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _wrong(path, f"the earnings calendar cannot be read: {error}") from None
    return {ticker: tuple(sorted(days)) for ticker, days in sorted(found.items())}


def _row(row: list[str], path: Path, line: int) -> tuple[str, date]:
    try:
        ticker, text = (cell.strip() for cell in row)
        day = date.fromisoformat(text)
    except ValueError:
        raise _wrong(path, f"line {line}: expected ticker,YYYY-MM-DD, saw {','.join(row)[:60]!r}") from None
    if not _TICKER.fullmatch(ticker):
        raise _wrong(path, f"line {line}: {ticker[:20]!r} is no ticker")
    return ticker, day


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(what, where=f"{_KEY}: {path}", mend="Correct the file, or remove the key.")
