"""The source of a value: types and generic types have one, and what is too large or has no name has none."""

from __future__ import annotations

import datetime
import typing

import pytest

from kodo.jobs.execution.worker.literal import NoSource, attributes, source


class Row:
    """Has what it is given."""

    def __init__(self, **given: object) -> None:
        for name, value in given.items():
            setattr(self, name, value)


@pytest.mark.parametrize(
    "value",
    [
        int,
        type(None),
        list[int],
        int | None,
        typing.Any,
        typing.Literal[1, "a"],
        typing.Callable[[int], str],
    ],
)
def test_a_type_is_written_as_an_annotation_is(value):
    """The source gives the same type."""
    assert eval(source(value, {}), {"typing": typing}) == value


@pytest.mark.parametrize("value", [typing.TypeVar("T"), list[Row], Row])
def test_a_type_that_names_another_class_has_no_source(value):
    """A test could not name it."""
    with pytest.raises(NoSource):
        source(value, {})


def test_what_is_too_large_is_not_written_down_first():
    """A value of many items is left before each of them is looked at, as some hold millions."""

    class Never:
        def __repr__(self) -> str:
            raise AssertionError("it was looked at")

    with pytest.raises(NoSource, match="longer than"):
        source([Never()] * 2001, {})
    with pytest.raises(NoSource, match="longer than"):
        source("a" * 2001, {})


def test_an_attribute_whose_name_is_no_name_is_not_read():
    """``setattr`` takes any text, and a test cannot write ``row.class``."""
    assert attributes(Row(**{"": 1, "a b": 2, "class": 3, "size": 4}), {}) == {"size": "4"}


class _Zone(datetime.tzinfo):
    """A time zone whose text is no source, as most are."""

    def utcoffset(self, when):
        return datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    "value", [datetime.datetime(2024, 3, 15, tzinfo=_Zone()), datetime.time(1, tzinfo=_Zone())]
)
def test_a_time_in_a_zone_without_source_has_none(value):
    """Its repr holds that of the zone; one in a zone of the standard library is written down."""
    with pytest.raises(NoSource):
        source([value], {})
    assert "timezone.utc" in source(value.replace(tzinfo=datetime.UTC), {})
