"""The arguments of shell and patch calls, which are objects on the wire, whole or cut.

Sources: openai-python 3.54, ``LocalShellCallAction``, ``ResponseFunctionShellToolCall.Action`` and
``ResponseApplyPatchToolCall.operation``.

An answer can be cut in the middle of a call. The item then has every field that the contract wants: the values that
were complete by then, and empty values for the rest. A partial value is dropped: the beginning of a command or of a
path is a different command or path.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

import msgspec

from kodo.server.wire.foreign_json import NotJson, read_json


class _Field(NamedTuple):
    """``empty``: what stands for a value that is not there; UNSET: nothing. ``needed``: without it a call is not whole."""

    kind: Any
    empty: Any = msgspec.UNSET
    needed: bool = False


_FIELDS: dict[str, dict[str, _Field]] = {
    "local_shell": {
        "type": _Field(Literal["exec"], "exec"),
        "command": _Field(list[str], [], needed=True),
        "env": _Field(dict[str, str], {}),
        "timeout_ms": _Field(int | None),
        "user": _Field(str | None),
        "working_directory": _Field(str | None),
    },
    "shell": {
        "commands": _Field(list[str], [], needed=True),
        "timeout_ms": _Field(int | None),
        "max_output_length": _Field(int | None),
    },
    "create_file": {
        "type": _Field(Literal["create_file"], "create_file"),
        "path": _Field(str, "", needed=True),
        "diff": _Field(str, "", needed=True),
    },
    "update_file": {
        "type": _Field(Literal["update_file"], "update_file", needed=True),
        "path": _Field(str, "", needed=True),
        "diff": _Field(str, "", needed=True),
    },
    "delete_file": {
        "type": _Field(Literal["delete_file"], "delete_file"),
        "path": _Field(str, "", needed=True),
    },
}
WHOLE_CALLS = frozenset({"local_shell", "shell", "apply_patch"})
"""Kinds of call that are sent as one item when they are complete or cut: their arguments have no deltas."""
_MARK = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+)', re.DOTALL)
_CLOSER = {"{": "}", "[": "]"}


def parse_action(kind: str, text: str) -> tuple[dict[str, Any], bool]:
    """The arguments of a call of ``kind`` (one of :data:`WHOLE_CALLS`) as the contract has them, and whether they are whole.

    A patch of which not even the type is known is an update of no file.
    """
    whole = _object(text)
    values = _object(_close_json(text)) or {} if whole is None else whole
    if kind == "apply_patch":
        kind = values["type"] if values.get("type") in ("create_file", "delete_file") else "update_file"
    fits = whole is not None
    fields: dict[str, Any] = {}
    for name, field in _FIELDS[kind].items():
        if name in values:
            try:
                fields[name] = msgspec.convert(values[name], field.kind)
                continue
            except msgspec.ValidationError:
                fits = False
        fits = fits and not field.needed
        if field.empty is not msgspec.UNSET:
            fields[name] = field.empty
    return ({**fields, **values} if fits else fields), fits


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = read_json(text)
    except NotJson:
        return None
    return value if isinstance(value, dict) else None


def _close_json(text: str) -> str:
    """The longest prefix of a JSON text that ends after a complete value, with its open brackets closed."""
    closers: list[str] = []
    before, end = "", 0
    whole, still_open = 0, ""
    while (token := _MARK.match(text, end)) is not None:
        mark, end = token[1], token.end()
        behind = end
        if mark in _CLOSER:
            closers.append(_CLOSER[mark])
        elif mark in ("}", "]"):
            if not closers or closers.pop() != mark:
                return ""
        elif mark == ",":
            behind = token.start()  # what stands before it is whole
        elif mark[0] != '"' or not (before == ":" or closers[-1:] == ["]"]):
            before = mark
            continue
        whole, still_open = behind, "".join(reversed(closers))
        before = mark
    return text[:whole] + still_open
