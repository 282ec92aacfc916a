"""The JSON Schema of `limmat.toml`, made from its tables.

Layer:  pure. May import the tables.
Source: JSON Schema draft 2020-12.

It says what one value may be. What values must be to each other (unique names, no cycles, enough tokens) only
the parser knows.
"""

from __future__ import annotations

import msgspec

from gitlimmat.config.tables import FileTable, ResourceTable, TestTable

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = r"^(?![.-])[^/\u0000-\u001f\u007f-\u009f]+$"
_NOT_BLANK = r"\S"


def json_schema() -> dict[str, object]:
    """Return the schema as it is published."""
    shared = msgspec.json.schema_components(
        (FileTable, TestTable, ResourceTable), ref_template="#/$defs/{name}"
    )[1]
    definitions = {name: dict(part) for name, part in shared.items()}
    root = definitions.pop("FileTable")
    _tighten(definitions)
    return {
        "$schema": DIALECT,
        **root,
        "title": "limmat.toml",
        "description": "Tests that git limmat runs on commits.",
        "$defs": definitions,
    }


def _tighten(definitions: dict[str, dict[str, object]]) -> None:
    """Add the limits that the parser reports in better words than a schema check has."""
    resource, test = definitions["ResourceTable"], definitions["TestTable"]
    resource["oneOf"] = [{"required": ["count"]}, {"required": ["tokens"]}]
    _add(resource, "tokens", uniqueItems=True)
    _add(resource, "name", pattern=_NAME, maxLength=100)
    _add(test, "name", pattern=_NAME, maxLength=100)
    _add(test, "command", pattern=_NOT_BLANK)


def _add(table: dict[str, object], key: str, **limits: object) -> None:
    properties = table["properties"]
    if isinstance(properties, dict):
        properties[key] = {**properties[key], **limits}
