"""Brings the fields of older lines to today's: one function for each step of the schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scoring.records.record import SCHEMA

Fields = Mapping[str, Any]
"""The fields of one line as JSON has them. Of an older schema, so nothing more is known of their types."""


def migrated(fields: Fields) -> Fields:
    """The same record in today's schema. Raises ValueError for a schema that is newer or none.

    Lines of unknown shape may raise AttributeError, KeyError or TypeError as well.
    """
    schema = fields.get("schema", 1)
    if not isinstance(schema, int) or schema < 1:
        raise ValueError(f"a record of schema {schema!r}, expected a number from 1 to {SCHEMA}")
    if schema > SCHEMA:
        raise ValueError(
            f"a record of schema {schema}, written by a newer Pacer; this one reads up to {SCHEMA}. Update Pacer"
        )
    for number in range(schema, SCHEMA):
        fields = MIGRATIONS[number](fields)
    return {**fields, "schema": SCHEMA}


def _from_1(fields: Fields) -> Fields:
    """A field of the record and one of its evaluations were given other names."""
    return {**_renamed(fields), "evaluations": [_renamed(each) for each in fields["evaluations"]]}


def _renamed(fields: Fields) -> Fields:
    new = {old: name for name, old in NAMES_IN_1.items()}
    return {new.get(name, name): value for name, value in fields.items()}


NAMES_IN_1 = {"contention_s": "others_s", "extra_metrics": "beside"}
"""Fields that have another name in schema 1, by that of today."""


def _from_2(fields: Fields) -> Fields:
    """A record in small had no curve."""
    return fields


def _from_3(fields: Fields) -> Fields:
    """Every clock was the wall's."""
    return fields


MIGRATIONS: Mapping[int, Callable[[Fields], Fields]] = {1: _from_1, 2: _from_2, 3: _from_3}
"""By the schema that a line has: what makes its fields those of the next one."""
