"""The JSON Schema and the manual page of limmat.toml."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import msgspec
import pytest
import tomli

from gitlimmat.config.definition import DECIDING_KEYS
from gitlimmat.config.manual_text import EXAMPLES
from gitlimmat.config.page import manual
from gitlimmat.config.parse import parse
from gitlimmat.config.schema import json_schema
from gitlimmat.config.settings import SETTINGS
from gitlimmat.config.tables import FileTable, ResourceTable, TestTable
from gitlimmat.errors import ConfigError

PAGE = Path(__file__).parent.parent / "man" / "man5" / "limmat.toml.5"

FAULTY = (
    "nonsense = 1",
    "num_worktrees = -1",
    'num_worktrees = "8"',
    "shell = []",
    'resources = [{ name = "a" }]',
    'resources = [{ name = "a", count = 1, tokens = ["b"] }]',
    'resources = [{ name = "a", count = 0 }]',
    'resources = [{ name = "a", tokens = ["b", "b"] }]',
    'tests = [{ name = "a" }]',
    'tests = [{ command = "true" }]',
    'tests = [{ name = "", command = "true" }]',
    'tests = [{ name = "a/b", command = "true" }]',
    'tests = [{ name = "-a", command = "true" }]',
    'tests = [{ name = "a", command = "" }]',
    'tests = [{ name = "a", command = [] }]',
    'tests = [{ name = "a", command = [1] }]',
    'tests = [{ name = "a", command = "b", comand = "c" }]',
    'tests = [{ name = "a", command = "b", cache = "never" }]',
    'tests = [{ name = "a", command = "b", error_exit_codes = [0] }]',
    'tests = [{ name = "a", command = "b", skip_exit_codes = [256] }]',
    'tests = [{ name = "a", command = "b", timeout_s = 0 }]',
    'tests = [{ name = "a", command = "b", shutdown_grace_period_s = -1 }]',
    'tests = [{ name = "a", command = "b", requires_worktree = "yes" }]',
)


def _validator() -> jsonschema.Draft202012Validator:
    schema = msgspec.json.decode(msgspec.json.encode(json_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("example", [text for _, text in EXAMPLES])
def test_examples_parse_and_fit_the_schema(example: str) -> None:
    """What the manual page shows as an example is a valid file."""
    assert parse(example.encode(), source="example").tests
    _validator().validate(tomli.loads(example))


@pytest.mark.parametrize("text", FAULTY)
def test_faulty_files_are_refused_by_parser_and_schema(text: str) -> None:
    """An editor that knows the schema marks what the program would refuse."""
    with pytest.raises(ConfigError):
        parse(text.encode(), source="faulty")
    assert not _validator().is_valid(tomli.loads(text))


def test_schema_describes_every_key() -> None:
    """Each key of each table is in the schema, with a description, and no other key is allowed."""
    schema = msgspec.json.decode(msgspec.json.encode(json_schema()))
    tables = {
        FileTable: schema,
        TestTable: schema["$defs"]["TestTable"],
        ResourceTable: schema["$defs"]["ResourceTable"],
    }
    for table, part in tables.items():
        assert set(part["properties"]) == set(table.__struct_fields__)
        assert part["additionalProperties"] is False
        assert all(key.get("description") for key in part["properties"].values())


def test_manual_page_is_up_to_date() -> None:
    """The page that ships is the one the tables give."""
    assert PAGE.read_text(encoding="utf-8") == manual()


def test_manual_page_has_every_key_and_setting() -> None:
    """Nobody has to read the source to find a key."""
    lines = manual().splitlines()
    for table in (FileTable, TestTable, ResourceTable):
        for key in table.__struct_fields__:
            assert any(line.startswith(rf"\fB{key}\fR (") for line in lines), key
    for setting in SETTINGS:
        assert rf"\fB{setting.key}\fR" in lines


def test_manual_page_names_each_key_of_a_test_as_deciding_or_not() -> None:
    """The section on validity sorts all keys of a test but its name into two lists."""
    section = (
        manual().split(".SH VALIDITY OF RESULTS")[-1].split('.SH "VALIDITY OF RESULTS"')[-1].split(".SH")[0]
    )
    assert all(rf"\fB{key}\fR" in section for key in TestTable.__struct_fields__ if key != "name")
    assert set(DECIDING_KEYS) < set(TestTable.__struct_fields__)


def test_manual_page_has_only_known_requests_and_fonts_are_closed() -> None:
    """The source is plain man(7): a few macros, each font change ended on its line or a later one."""
    known = {".TH", ".SH", ".PP", ".TP", ".RS", ".RE", ".EX", ".EE"}
    page = manual()
    assert {line.split()[0] for line in page.splitlines() if line.startswith(".")} == known
    assert page.count(r"\fB") == page.count(r"\fR")
    assert "`" not in page
    assert all(line == line.rstrip() and len(line) <= 100 for line in page.splitlines())
