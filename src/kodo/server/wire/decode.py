"""Bytes to checked wire values, with errors that name the field.

Every body passes here. The server caps its size; this module checks depth, surrogates, types, ranges and unknown
parameters. ``param`` is a path such as ``input[2].content[0].type``.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar, overload

import msgspec

from kodo.server.wire.echo import shorten, shorten_param
from kodo.server.wire.items import CompactionTrigger, InputItem
from kodo.server.wire.request import REFUSED, CompactRequest, CreateResponse
from kodo.server.wire.tools import (
    CONTAINER_SHELL,
    HOSTED_TOOLS,
    CustomTool,
    FunctionTool,
    LocalEnvironment,
    NamespaceTool,
    RequestTool,
    ShellTool,
    type_on_wire,
)
from kodo.server.wire.violations import HELD, violation

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")
MAX_DEPTH = 100
"""Levels of nesting in a body: the engine's own JSON reader overflows its stack at some thousands."""
SMALL_BYTES = 64 * 2**10
"""A body up to this size is decoded before the garbage collector would begin."""
MAX_VALUES = 1_000_000
"""Values in a body, of any kind and on all levels: checking more of them would block other requests."""
MAX_ITEMS = 20_000
MAX_TOOLS = 128
BRINGING_ITEMS = ("additional_tools", "tool_search_output")
"""Types of items that bring tools along."""
CONTAINER_ENVIRONMENTS = ("container_auto", "container_reference")
"""Types of a shell's ``environment`` that are this server's; in a local one the client runs the commands."""
_SOURCES: Mapping[str, tuple[str, ...]] = {
    "input_image": ("image_url", "file_id"),
    "input_file": ("file_data", "file_id", "file_url"),
}
"""The fields of a part that say where its content is: a part has one of them."""


class BadBody(ValueError):
    """Raised for an invalid body. ``code`` and ``param`` as in the error envelope."""

    def __init__(self, message: str, param: str | None, code: str) -> None:
        self.message = shorten(message)
        super().__init__(self.message)
        self.param = shorten_param(param)
        self.code = code


def bad_body(error: msgspec.ValidationError, value: object = None, prefix: str = "") -> BadBody:
    """A msgspec error in the terms of the contract. ``value``: what was checked, to say what is there instead."""
    return BadBody(*violation(str(error), value, prefix))


@overload
def convert(value: object, kind: type[T], prefix: str = "") -> T: ...
@overload
def convert(value: object, kind: Any, prefix: str = "") -> Any: ...
def convert(value: object, kind: Any, prefix: str = "") -> Any:
    """``msgspec.convert`` with errors that name the field behind ``prefix``.

    Raises:
        BadBody: the value does not fit.
    """
    holder = _holder(kind)
    root = value if holder is None else {HELD: value}
    try:
        found = msgspec.convert(root, kind if holder is None else holder, strict=True)
    except msgspec.ValidationError as error:
        raise bad_body(error, root, prefix) from None
    return found if holder is None else found.held


@lru_cache(maxsize=256)
def _holder(kind: Any) -> Any:
    """A Struct with one field of a kind; None for a Struct, which needs none.

    msgspec keeps what it has found out about a Struct, and takes any other kind apart at each call: 46 µs instead of 1.5
    for an input item.
    """
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return None
    return msgspec.defstruct("Held", [(HELD, kind)])


def json_object(body: bytes) -> dict[str, Any]:
    """A body as a JSON object of bounded depth, in valid Unicode.

    Raises:
        BadBody: it is not.
    """
    is_small = len(body) <= min(SMALL_BYTES, MAX_VALUES)  # a body has no more values than bytes
    if not is_small and _has_too_many_values(body):
        raise _too_many()
    try:
        with _no_pause if is_small else _gc_paused():
            value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadBody(f"The body is not valid JSON: {what}.", None, "invalid_json") from None
    if not isinstance(value, dict):
        raise BadBody("The body must be a JSON object.", None, "invalid_json")
    if not (is_small and _is_harmless(body)):
        _check(value)
    return value


def _is_harmless(body: bytes) -> bool:
    """Whether a body cannot be too deep or hold a lone surrogate, which only an escape can make; most are such."""
    return b"\\u" not in body and body.count(b"[") + body.count(b"{") <= MAX_DEPTH


_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[{:,'))


def _has_too_many_values(body: bytes) -> bool:
    """Whether a body certainly has more than MAX_VALUES, counted by lists, objects, keys, commas and strings.

    The content of strings is not counted. It is removed by whole-buffer operations only: a regular expression over
    millions of short strings takes over a second, while nobody else is answered.
    """
    if _count_values(body) <= MAX_VALUES and body.count(b'"') <= 4 * MAX_VALUES:
        return False
    body = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NOT_STRUCTURE)
    if body.count(b'"') > 4 * MAX_VALUES:  # a value is at most two texts: its key and itself
        return True
    # Two quotes side by side are an empty string, or the end of one and the start of the next: without them, what is
    # inside of strings still is, and what is outside still is. Every other piece between the rest is outside.
    outside = b"".join(body.replace(b'""', b"").split(b'"')[::2])
    return _count_values(outside) > MAX_VALUES + 1  # one list or object is the body itself


def _count_values(body: bytes) -> int:
    """No more than there are, and no less than half of them, where no string holds any of these."""
    return max(body.count(b"[") + body.count(b"{"), body.count(b":"), body.count(b","))


_no_pause = contextlib.nullcontext()


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """Pause the garbage collector: a body has no cycles, and searching for them takes longer than decoding."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _too_many() -> BadBody:
    return BadBody(f"The body has more than {MAX_VALUES} values.", None, "invalid_json")


def _check(root: dict[str, Any]) -> None:
    """Check depth, number of values and surrogates, level by level, without recursion."""
    level: list[dict[str, Any] | list[Any]] = [root]
    depth = count = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise BadBody(f"The body is nested deeper than {MAX_DEPTH} levels.", None, "invalid_json")
        deeper: list[dict[str, Any] | list[Any]] = []
        for value in level:
            count += len(value)
            if count > MAX_VALUES:
                raise _too_many()
            if isinstance(value, dict):
                for key in value:
                    _check_unicode(key)
            for inner in value.values() if isinstance(value, dict) else value:
                if isinstance(inner, str):
                    _check_unicode(inner)
                elif isinstance(inner, dict | list):
                    deeper.append(inner)
        level = deeper


def _check_unicode(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadBody(
                "Strings must be valid Unicode: the body has a lone surrogate.", None, "invalid_json"
            ) from None


# --- items -----------------------------------------------------------------------------------------------------------


def items(value: object, prefix: str = "input") -> tuple[InputItem, ...]:
    """Input items, with the short forms expanded: a missing ``type``, a string as ``content``.

    Raises:
        BadBody: an item does not fit; ``param`` is its path.
    """
    if not isinstance(value, list):
        raise BadBody(f"'{prefix}' must be a string or a list of items.", prefix, "invalid_type")
    if len(value) > MAX_ITEMS:
        raise BadBody(f"'{prefix}' has more than {MAX_ITEMS} items.", prefix, "array_above_max_length")
    full = [_expand(raw, f"{prefix}[{index}]") for index, raw in enumerate(value)]
    found: tuple[InputItem, ...] = convert(full, tuple[InputItem, ...], prefix)
    for index, one in enumerate(found[:-1]):
        if isinstance(one, CompactionTrigger):
            raise BadBody(
                "The 'compaction_trigger' item must be the final input item.",
                f"{prefix}[{index}]",
                "invalid_value",
            )
    return found


def item(raw: object, path: str) -> InputItem:
    """One input item. Raises :class:`BadBody`."""
    full: InputItem = convert(_expand(raw, path), InputItem, path)
    return full


def _expand(raw: object, path: str) -> dict[str, Any]:
    """An item with its short forms expanded. Raises :class:`BadBody`."""
    if not isinstance(raw, dict):
        raise BadBody(f"'{path}' must be an object.", path, "invalid_type")
    full = _without_nulls(raw)
    kind = full.get("type")
    if kind is None:
        if "role" in full:
            kind = "message"
        elif set(full) <= {"id", "type"} and "id" in full:
            kind = "item_reference"
        else:
            raise BadBody(
                f"Missing required parameter: '{path}.type'.", f"{path}.type", "missing_required_parameter"
            )
        full["type"] = kind
    if kind == "message":
        is_assistant = full.get("role") == "assistant"
        if isinstance(full.get("content"), str):
            part = "output_text" if is_assistant else "input_text"
            full["content"] = [{"type": part, "text": full["content"]}]
        elif is_assistant and raw.get("content", "") is None:  # a turn that only called tools
            full["content"] = []
    _check_sources(full, path)
    return full


def _check_sources(raw: dict[str, Any], path: str) -> None:
    """Check that each image and file of an item says where its content is, in one way. Raises :class:`BadBody`."""
    for name in ("content", "output"):
        parts = raw.get(name)
        for index, part in enumerate(parts if isinstance(parts, list) else ()):
            kind = part.get("type") if isinstance(part, dict) else None
            fields = _SOURCES.get(kind, ()) if isinstance(kind, str) else ()
            given = [field for field in fields if part.get(field)]
            at = f"{path}.{name}[{index}]"
            if fields and not given:
                one_of = ", ".join(f"'{field}'" for field in fields)
                raise BadBody(
                    f"Missing required parameter: '{at}' needs one of {one_of}.",
                    f"{at}.{fields[0]}",
                    "missing_required_parameter",
                )
            if len(given) > 1:
                raise BadBody(
                    f"Mutually exclusive parameters: '{given[0]}' and '{given[1]}'. Give only one of them.",
                    f"{at}.{given[1]}",
                    "mutually_exclusive_parameters",
                )


def _without_nulls(raw: dict[str, Any]) -> dict[str, Any]:
    """An item without nulls: SDKs send items back with every field they know."""
    fields = {name: value for name, value in raw.items() if value is not None}
    for name in ("content", "output", "summary"):
        if isinstance(fields.get(name), list):
            fields[name] = [
                {key: value for key, value in part.items() if value is not None}
                if isinstance(part, dict)
                else part
                for part in fields[name]
            ]
    return fields


# --- tools -----------------------------------------------------------------------------------------------------------


def tools(
    value: object, prefix: str = "tools", hosted: Collection[str] | None = None
) -> tuple[RequestTool, ...]:
    """Tools, without those of a mixed list that the server would have to run and does not.

    ``hosted`` are the types that it does run; None: the API has no such tools. Another one is skipped where other tools
    stand beside it (agentic clients send such lists by default) and refused where it is all there is.
    docs/reference/tools.md says the same. :func:`skipped_tools` names them.

    Raises:
        BadBody: a tool does not fit, two have a name, or none is left.
    """
    if not isinstance(value, list):
        raise BadBody(f"'{prefix}' must be a list.", prefix, "invalid_type")
    if len(value) > MAX_TOOLS:
        raise BadBody(f"'{prefix}' has more than {MAX_TOOLS} tools.", prefix, "array_above_max_length")
    supported: list[RequestTool] = []
    skipped: list[tuple[str, str]] = []
    names: set[tuple[str, str]] = set()
    for index, raw in enumerate(value):
        path = f"{prefix}[{index}]"
        kind = kind_of(raw)
        if isinstance(raw, dict) and raw.get("type") == CONTAINER_SHELL:
            raise BadBody(
                f"Invalid value '{CONTAINER_SHELL}' for '{path}.type'.", f"{path}.type", "invalid_value"
            )
        if kind is not None and kind in HOSTED_TOOLS and kind not in (hosted or ()):
            skipped.append((path, kind))
            continue
        named = {**raw, "type": kind} if kind == CONTAINER_SHELL else raw
        tool: RequestTool = convert(named, RequestTool, path)
        if isinstance(tool, ShellTool) and isinstance(tool.environment, dict):
            convert(tool.environment, LocalEnvironment, f"{path}.environment")
        _check_parameters(tool, path)
        for name, where in _names(tool, path):
            if name in names:
                raise duplicate_name(name[1], where)
            names.add(name)
        supported.append(tool)
    if skipped and not supported:
        path, kind = skipped[0]
        raise BadBody(
            f"Tools of type '{type_on_wire(kind)}' are not run by this "
            + ("API." if hosted is None else f"server: {HOSTED_TOOLS[kind]}."),
            f"{path}.type",
            "unsupported_tool",
        )
    return tuple(supported)


def duplicate_name(name: str, param: str) -> BadBody:
    """Two tools of one name: a call of it could not be told to be of either."""
    return BadBody(f"Duplicate tool name '{name}': tool names must be unique.", param, "invalid_value")


def _names(tool: RequestTool, path: str) -> Iterator[tuple[tuple[str, str], str]]:
    """What the model calls a tool, or each one of a namespace: its namespace and name, and the field that says so."""
    if isinstance(tool, NamespaceTool):
        for index, inner in enumerate(tool.tools):
            yield (tool.name, inner.name), f"{path}.tools[{index}].name"
    elif isinstance(tool, FunctionTool | CustomTool):
        yield ("", tool.name), f"{path}.name"


def _check_parameters(tool: RequestTool, path: str) -> None:
    """Check that a function, or each one of a namespace, takes an object. Raises :class:`BadBody`."""
    if isinstance(tool, NamespaceTool):
        for index, inner in enumerate(tool.tools):
            _check_parameters(inner, f"{path}.tools[{index}]")
    kind = (tool.parameters or {}).get("type", "object") if isinstance(tool, FunctionTool) else "object"
    if (
        isinstance(tool, FunctionTool)
        and kind != "object"
        and not (isinstance(kind, list) and "object" in kind)
    ):
        raise BadBody(
            f"Invalid schema for function '{tool.name}': schema must be a JSON Schema of 'type: \"object\"', got "
            f"'type: {msgspec.json.encode(kind).decode()}'.",
            f"{path}.parameters",
            "invalid_function_parameters",
        )


def kind_of(raw: object) -> str | None:
    """The type of a tool as this server tells them apart: a shell in a container is another one than the client's."""
    kind = raw.get("type") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(kind, str) or kind == CONTAINER_SHELL:
        return None
    environment = raw.get("environment")
    inside = environment.get("type") if isinstance(environment, dict) else None
    return CONTAINER_SHELL if kind == "shell" and inside in CONTAINER_ENVIRONMENTS else kind


def skipped_tools(raw: Mapping[str, object], hosted: Collection[str] = frozenset()) -> tuple[str, ...]:
    """The types of a body's tools that are left out, each once, in their order: by :func:`tools`, and of those that items
    bring along all that the server would have to run."""
    skipped = [kind for kind in map(kind_of, _listed(raw)) if kind in HOSTED_TOOLS and kind not in hosted]
    given = raw.get("input")
    for item in given if isinstance(given, list) else ():
        if isinstance(item, dict) and item.get("type") in BRINGING_ITEMS:
            brought = [tool for tool in _listed(item) if not is_clients_search(tool)]
            skipped += [kind for kind in map(kind_of, brought) if kind in HOSTED_TOOLS]
    return tuple(dict.fromkeys(type_on_wire(kind) for kind in skipped if kind is not None))


def is_clients_search(raw: object) -> bool:
    """Whether a tool is a search that the client runs."""
    return isinstance(raw, dict) and raw.get("type") == "tool_search" and raw.get("execution") == "client"


def _listed(raw: Mapping[str, object]) -> list[object]:
    """The ``tools`` of a body or an item."""
    listed = raw.get("tools")
    return listed if isinstance(listed, list) else []


# --- bodies ----------------------------------------------------------------------------------------------------------


def _prepare(raw: Mapping[str, object]) -> dict[str, object]:
    body = dict(raw)
    conversation = body.get("conversation")
    if isinstance(conversation, dict):
        body["conversation"] = convert(conversation.get("id"), str, "conversation.id")
    text = body.get("text")
    if isinstance(text, dict) and isinstance(text.get("format"), dict):
        format_ = {name: value for name, value in text["format"].items() if value is not None}
        body["text"] = {**text, "format": format_}
    return body


def create_response(raw: Mapping[str, object], hosted: Collection[str] | None = None) -> CreateResponse:
    """The body of ``POST /v1/responses``. ``hosted``: the types of tool that the server runs itself.

    Raises:
        BadBody: something in it is unknown, refused or wrong.
    """
    return _with_items(_prepare(without_refused(raw, REFUSED)), CreateResponse, hosted)


def compact_request(raw: Mapping[str, object]) -> CompactRequest:
    """The body of ``POST /v1/responses/compact``. Raises :class:`BadBody`."""
    return _with_items(_prepare(without_refused(raw, REFUSED)), CompactRequest, None)


def without_refused(raw: Mapping[str, object], refused: Mapping[str, str]) -> dict[str, object]:
    """A body without the parameters that are known and not honoured, where they are null. ``refused``: why each is not.

    Raises:
        BadBody: one has a value.
    """
    for name, why in refused.items():
        if raw.get(name) is not None:
            raise BadBody(f"Unsupported parameter: '{name}': {why}.", name, "unsupported_parameter")
    return {name: value for name, value in raw.items() if name not in refused}


def _with_items(body: dict[str, object], kind: type[S], hosted: Collection[str] | None) -> S:
    raw_input = body.pop("input", None)
    raw_tools = body.pop("tools", None)
    value = convert(body, kind)
    decoded: dict[str, object] = {}
    if raw_input is not None:
        decoded["input"] = raw_input if isinstance(raw_input, str) else items(raw_input)
    if raw_tools is not None:
        decoded["tools"] = tools(raw_tools, hosted=hosted)
    return msgspec.structs.replace(value, **decoded) if decoded else value
