"""The fields of client events: those that have to be there, and how errors name them."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kodo.server.lifecycle.errors import ServiceError, rename_param
from kodo.server.wire.decode import BadBody


def required(event: Mapping[str, Any], name: str) -> Any:
    """A field of an event. Raises :class:`BadBody` where it is not there."""
    value = event.get(name)
    if value is None:
        raise BadBody(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    return value


def check_fields(event: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse a field that an event does not have: a typing error would change what the event does. Raises :class:`BadBody`."""
    for name in event:
        if name not in known and name != "type":
            raise BadBody(f"Unknown parameter: '{name}'.", name, "unknown_parameter")


@contextlib.contextmanager
def named_in(prefix: str) -> Iterator[None]:
    """Name what is found wrong under the names of a request by its place in the event. Items of the conversation, which are
    no part of the event, keep theirs."""
    try:
        yield
    except (ServiceError, BadBody) as error:
        param = error.param
        if param is not None and not param.startswith((f"{prefix}.", "input[")):
            rename_param(error, f"{prefix}.{param}")
        raise
