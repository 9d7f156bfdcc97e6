"""The configuration field by field: path, value, default, permitted range and meaning; and where two differ.

What belongs here: walking over models. What does not: where a configuration comes from (``settings``), how it is shown
(``commands.config``). A path is dotted, with positions of lists in brackets: ``exits.day_stop``,
``sizing.tiers[3].max_contracts``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import BaseModel

from trading_assets.config_files import allowed_range
from trading_assets.domain.errors import ConfigurationError

_NO = object()


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field. ``value`` and ``default`` are JSON-ready; ``allowed`` is empty where a field has no bounds;
    ``changed`` says whether the value is not the default."""

    path: str
    value: Any
    default: Any
    allowed: str
    description: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose value differs; ``None`` also stands for 'not there' (a list that is shorter, a key of a mapping)."""

    path: str
    other: Any
    yours: Any


def field_lines(model: BaseModel, default: BaseModel | None, prefix: str = "") -> Iterator[FieldLine]:
    """Every field of ``model``, sections and lists of sections opened, beside its default.

    ``default`` None (a list longer than the packaged one): the default of its fields is None.
    """
    for name, field in type(model).model_fields.items():
        if field.exclude:
            continue
        value, path = getattr(model, name), f"{prefix}.{name}" if prefix else name
        beside = None if default is None else getattr(default, name)
        if isinstance(value, BaseModel):
            yield from field_lines(value, beside, path)
        elif _is_sections(value):
            for position, item in enumerate(value):
                yield from field_lines(
                    item,
                    beside[position] if beside is not None and position < len(beside) else None,
                    f"{path}[{position}]",
                )
        else:
            yield FieldLine(
                path,
                plain_value(value),
                plain_value(beside),
                allowed_range(field),
                field.description or "",
                value != beside,
            )


def _is_sections(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(item, BaseModel) for item in value)


def plain_value(value: Any) -> Any:
    """``value`` JSON-ready, decimals as text without needless zeros."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def at_path(lines: Sequence[FieldLine], path: str) -> list[FieldLine]:
    """The field of that path, or all fields below it; raises :class:`ConfigurationError` naming the closest path."""
    found = [line for line in lines if line.path == path or line.path.startswith((f"{path}.", f"{path}["))]
    if found:
        return found
    known = {line.path for line in lines} | {section for line in lines for section in _sections(line.path)}
    close = difflib.get_close_matches(path, sorted(known), n=1, cutoff=0.5)
    sections = ", ".join(dict.fromkeys(line.path.split(".")[0].split("[")[0] for line in lines))
    raise ConfigurationError(
        f"there is no setting {path!r}",
        where="--path",
        mend=f"Did you mean {close[0]!r}?" if close else f"Sections are: {sections}.",
    )


def _sections(path: str) -> Iterator[str]:
    parts = path.split(".")
    for count in range(1, len(parts)):
        section = ".".join(parts[:count])
        yield section
        yield section.split("[")[0]


def differences(other: Any, yours: Any, path: str = "") -> list[Difference]:
    """Where two dumped configurations differ, in their order: mappings key by key, lists of equal length of mappings
    item by item, everything else whole. 0.50 is no other number than 0.5."""
    if isinstance(other, Mapping) and isinstance(yours, Mapping):
        return [
            found
            for key in dict.fromkeys((*other, *yours))
            for found in differences(other.get(key, _NO), yours.get(key, _NO), f"{path}.{key}" if path else str(key))
        ]
    if _is_mappings(other) and _is_mappings(yours) and len(other) == len(yours):
        return [
            found
            for position, (left, right) in enumerate(zip(other, yours, strict=True))
            for found in differences(left, right, f"{path}[{position}]")
        ]
    if other is not _NO and yours is not _NO and other == yours:
        return []
    return [
        Difference(path, None if other is _NO else plain_value(other), None if yours is _NO else plain_value(yours))
    ]


def _is_mappings(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)
