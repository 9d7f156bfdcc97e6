"""Reading YAML configuration: overrides merged over defaults, and errors that say file, key and allowed range.

What belongs here: everything between a file's bytes and a validated model. What does not: the models themselves; each
lies beside the rule whose numbers it holds.
"""

from __future__ import annotations

import difflib
import json
import math
import types
import typing
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from trading_assets.domain.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)
_BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
_MAX_BYTES = 1_000_000


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, refusing a key that stands twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in ``path``; an empty file is an empty mapping. Raises :class:`ConfigurationError` with line and
    column if it is missing, not UTF-8, not YAML, has a key twice, or is no mapping."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file cannot be read: {error.strerror}", where=str(path), mend="Check path and rights."
        ) from None
    if len(data) > _MAX_BYTES:
        raise ConfigurationError(
            f"the configuration file has {len(data)} bytes, more than {_MAX_BYTES}", where=str(path)
        )
    try:
        content = yaml.load(data.decode("utf-8"), Loader=_StrictLoader)
    except UnicodeDecodeError:
        raise ConfigurationError("the configuration file is not UTF-8 text", where=str(path)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise ConfigurationError(f"the file is not valid YAML: {error.problem}", where=place) from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the file is not valid YAML: {error}", where=str(path)) from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigurationError("expected 'key: value' lines at the top of the file", where=str(path))
    return content


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``overrides`` laid over it: mappings key by key, everything else (lists too) replaced whole."""
    result = dict(base)
    for key, value in overrides.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def validated(model: type[Model], values: Mapping[str, Any], where: str, *, prefix: str = "") -> Model:
    """``values`` as ``model``, strictly: text is no number and a number is no text.

    Raises :class:`ConfigurationError` naming ``where`` (the file), the path of every wrong key and its allowed range.
    """
    _require_json(values, where, prefix)
    try:
        return model.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        findings = [_finding(model, dict(item), prefix) for item in error.errors(include_url=False)]
    raise ConfigurationError("; ".join(findings), where=where, mend="Correct the key or remove it to get the default.")


def _require_json(value: Any, where: str, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{path}: {value} is no number to decide by", where=where)
    if isinstance(value, Mapping):
        for key, item in value.items():
            _require_json(item, where, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _require_json(item, where, f"{path}[{number}]")


def _finding(model: type[BaseModel], item: dict[str, Any], prefix: str) -> str:
    location: tuple[str | int, ...] = item["loc"]
    path = prefix
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    if item["type"] == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        known = list(owner.model_fields) if owner is not None else []
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}"
        return f"{path}: unknown key ({hint})"
    field = _field_at(model, location)
    message = item["msg"].removeprefix("Value error, ")
    # Text is never repeated: an address may carry a password, and a key may stand where a name belongs.
    shown = field is not None and (item["input"] is None or isinstance(item["input"], bool | int | float))
    seen = f", saw {item['input']!r}" if shown else ""
    allowed = allowed_range(field) if field is not None else ""
    return f"{path or 'file'}: {message}{seen}" + (f" (allowed: {allowed})" if allowed else "")


def allowed_range(field: FieldInfo) -> str:
    """The bounds of a field in words, e.g. ``at least 0, at most 1``; empty if it has none."""
    found = {}
    for constraint in field.metadata:
        for name, _ in _BOUNDS:
            value = getattr(constraint, name, None)
            if value is not None:
                found[name] = value
    return ", ".join(f"{words} {found[name]}" for name, words in _BOUNDS if name in found)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [found for part in typing.get_args(annotation) for found in _models_in(part)]


def _field_at(model: type[BaseModel], location: tuple[str | int, ...]) -> FieldInfo | None:
    """The field that a path of keys and list positions ends in; within a list or mapping, the field that holds it."""
    current: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for part in location:
        if current is not None and part in current.model_fields:
            field = current.model_fields[str(part)]
            inner = _models_in(field.annotation)
            current = inner[0] if inner else None
    return field


def _model_at(model: type[BaseModel], location: tuple[str | int, ...]) -> type[BaseModel] | None:
    if not location:
        return model
    field = _field_at(model, location)
    inner = _models_in(field.annotation) if field is not None else []
    return inner[0] if inner else None
