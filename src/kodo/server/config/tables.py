"""What every table of the settings is: a frozen value that refuses unknown names, and a NUL in any text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

T = TypeVar("T")


def check_text(value: T) -> T:
    """Refuse a NUL, which neither a path nor an argument of a program can have. ValueError: there is one.

    Tables inside a value have checked their own.
    """
    match value:
        case str() | Path():
            if "\0" in str(value):
                raise ValueError("must not contain a NUL character")
        case SecretStr():
            check_text(value.get_secret_value())
        case tuple() | list():
            for each in value:
                check_text(each)
        case Mapping():
            for each in value.values():
                check_text(each)
    return value


class Frozen(BaseModel):
    """A table of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    _text = field_validator("*")(check_text)
