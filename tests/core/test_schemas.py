"""JSON Schemas: true to what is written, and the committed pages are the generated ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest

from trading_assets import documents
from trading_assets.core.messages import FromDaemon, FromTerminal, Message, encode_message
from trading_assets.core.records.codec import RECORD_TYPES, encode_record
from trading_assets.core.records.market import Quote
from trading_assets.core.records.record import Record
from trading_assets.core.schemas import json_schemas
from trading_assets.core.tables import TABLES

SCHEMAS = json_schemas()


@cache  # checking a schema of all records takes a quarter of a second
def validator(name: str) -> jsonschema.protocols.Validator:
    schema = SCHEMAS[name]
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.__name__)
def test_every_record_is_valid_by_its_schema(kind: type[Record], record_of: Callable[..., Any]) -> None:
    for seed in range(3):
        validator("records").validate(json.loads(encode_record(record_of(kind, seed))))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("from_terminal", kind) for kind in get_args(FromTerminal)]
    + [("from_daemon", kind) for kind in get_args(FromDaemon)],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_every_message_is_valid_by_its_schema(name: str, kind: type[Message], record_of: Callable[..., Any]) -> None:
    validator(name).validate(json.loads(encode_message(record_of(kind))))


def test_a_record_with_a_field_of_another_type_is_not_valid(record_of: Callable[..., Any]) -> None:
    line = json.loads(encode_record(record_of(Quote)))
    with pytest.raises(jsonschema.ValidationError):
        validator("records").validate(line | {"bid": "1.1"})


def test_every_property_has_its_description() -> None:
    for name, schema in SCHEMAS.items():
        for title, definition in schema["$defs"].items():
            fields = definition.get("properties") or dict(enumerate(definition["prefixItems"]))
            for field, about in fields.items():
                assert field == "type" or about.get("description"), f"{name}: {title}.{field}"


def test_the_pages_in_the_repository_are_the_generated_ones() -> None:
    assert documents.stale(documents.CHECKOUT) == [], "run `python -m trading_assets.documents`"


def test_a_page_that_drifted_is_found_and_written_anew(tmp_path: Path) -> None:
    documents.write(tmp_path)
    assert documents.stale(tmp_path) == []
    page, surplus = Path("docs/schemas/records.json"), Path("dbt_project/models/sources/old.yml")
    (tmp_path / page).write_text("{}")
    (tmp_path / surplus).write_text("version: 2")
    assert documents.stale(tmp_path) == sorted([page, surplus])
    assert documents.write(tmp_path) == sorted([page, surplus])
    assert documents.stale(tmp_path) == []
    assert not (tmp_path / surplus).exists()


def test_descriptions_in_schemas_and_tables_are_the_same_words() -> None:
    quote = SCHEMAS["records"]["$defs"]["Quote"]["properties"]
    for column in TABLES["raw_quotes"].columns:
        if column.name in quote:
            assert quote[column.name]["description"] == column.description
            assert quote[column.name].get("x-unit", "") == column.unit


def test_times_are_told_as_times() -> None:
    assert SCHEMAS["records"]["$defs"]["Quote"]["properties"]["known_at"]["format"] == "date-time"


def test_schemas_stand_alone() -> None:
    assert msgspec.json.decode(json.dumps(SCHEMAS)) == SCHEMAS
