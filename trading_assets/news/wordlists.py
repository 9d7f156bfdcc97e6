"""The word lists beside the code: small text and JSON files under ``data``, read once."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any


def _read(name: str) -> str:
    return files("trading_assets.news").joinpath("data", name).read_text(encoding="utf-8")


@lru_cache(maxsize=16)
def words_of(name: str) -> frozenset[str]:
    """The words of a text file, separated by white space; lines that start with '#' are remarks."""
    lines = (line for line in _read(name).splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())


@lru_cache(maxsize=16)
def document(name: str) -> Any:
    """A JSON file. The value is shared: do not change it."""
    return json.loads(_read(name))
