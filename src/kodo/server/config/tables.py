"""What every table of the settings is: a frozen value that refuses unknown names, and a NUL in any text; and the types of
addresses and of what is sent in headers, where a wrong one would fail at each request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, field_validator

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


def _check_url(url: str) -> str:
    """Refuse what no HTTP client can use as an address. ValueError: it is none."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an end, a port that is none
        sound = False
    if not sound or not url.isprintable() or " " in url:
        raise ValueError("must be http://HOST[:PORT]/… or https://…")
    return url


def _check_secret(value: SecretStr) -> SecretStr:
    """A key or the value of a header without the end of line that a file may have. ValueError: no header can carry it."""
    text = value.get_secret_value().strip()
    if not text.isascii() or not text.isprintable():
        raise ValueError("has characters that cannot be sent; it must be printable ASCII")
    return SecretStr(text)


def _check_header(name: str) -> str:
    """Refuse what is no name of a header. ValueError: it is none."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError("is no name of a header")
    return name


Url: TypeAlias = Annotated[str, AfterValidator(_check_url)]
"""An address of a server."""
SentSecret: TypeAlias = Annotated[SecretStr, AfterValidator(_check_secret)]
"""What is sent in a header: a key, a token."""
SentHeaders: TypeAlias = dict[Annotated[str, AfterValidator(_check_header)], SentSecret]
"""Headers that are sent with requests."""
