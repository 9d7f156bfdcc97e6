"""Answers against the broker's own OpenAPI documents: the schema of a path's answer, as a JSON Schema validator."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_ADDRESS = "urn:document"


def _plain(node: Any) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema: ``nullable`` becomes a type, and examples go.

    ``oneOf`` becomes ``anyOf``: the documents' alternatives require nothing, so that most answers are each of them.
    """
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    left_out = ("nullable", "example", "examples")
    plain = {"anyOf" if key == "oneOf" else key: _plain(value) for key, value in node.items() if key not in left_out}
    if isinstance(plain.get("$ref"), str):
        plain["$ref"] = _ADDRESS + plain["$ref"]
    if node.get("nullable") is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain


class Document:
    """One OpenAPI document."""

    def __init__(self, path: Path) -> None:
        self.raw: dict[str, Any] = json.loads(path.read_text())
        resource = Resource.from_contents(_plain(self.raw), default_specification=DRAFT202012)
        self._registry: Any = Registry().with_resource(_ADDRESS, resource)

    def find(self, method: str, path: str) -> tuple[str, str]:
        """The document's own path, with its placeholders, and the method in lower case."""
        exact = [known for known in self.raw["paths"] if known == path]
        for known in [*exact, *self.raw["paths"]]:
            pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(known))
            if re.fullmatch(pattern, path) and method.lower() in self.raw["paths"][known]:
                return known, method.lower()
        raise AssertionError(f"the document knows no {method} {path}")

    def troubles(self, method: str, path: str, status: int, answer: Any) -> list[str]:
        """What in ``answer`` the document does not allow: the place and what is wrong there."""
        known, verb = self.find(method, path)
        responses = self.raw["paths"][known][verb]["responses"]
        assert str(status) in responses, f"{method} {known} has no answer {status}, only {sorted(responses)}"
        content = responses[str(status)].get("content", {})
        if not content:
            assert answer is None, f"{method} {known} answers {status} without a body"
            return []
        schema = _plain(next(iter(content.values()))["schema"])
        validator = Draft202012Validator(schema, registry=self._registry)
        return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(answer)]

    def troubles_of(self, schema: str, value: Any) -> list[str]:
        """What in ``value`` one of the document's named schemas does not allow."""
        named = {"$ref": f"{_ADDRESS}#/components/schemas/{schema}"}
        validator = Draft202012Validator(named, registry=self._registry)
        return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]
