"""A tool of an agent: a Python function with type hints and a docstring, offered to the model as a function tool.

The JSON Schema comes from the hints (pydantic), the texts from the docstring (docstring-parser: Google, NumPy, reST or
Epydoc style). Arguments are checked against the hints before the function runs, so it never sees a wrong type.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar, get_type_hints, overload

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import to_json

Effect = Literal["read", "write"]
"""``read`` changes nothing and may run again after a crash; ``write`` changes something and needs an approval."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_ERROR_CHARACTERS = 500
F = TypeVar("F", bound=Callable[..., Any])


class ToolError(Exception):
    """A call that cannot be done; the message goes to the model, which may try again."""


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        name: what the model calls it: 1 to 64 letters, digits, ``_`` and ``-``.
        description: what it does, for the model.
        parameters: the JSON Schema of its arguments, an object.
        run: does one call with checked arguments; returns the text for the model. It may raise :class:`ToolError`.
        effect: whether a call changes anything.
        repeatable: whether a call that a crash cut off may run again; always so for one that reads.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[[Mapping[str, Any]], str]
    effect: Effect = "read"
    repeatable: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name: {self.name!r} is not 1 to 64 letters, digits, _ or -")

    @cached_property
    def declaration(self) -> dict[str, Any]:
        """The tool as the Responses API takes it in ``tools``."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
            "strict": False,
        }


@overload
def tool(function: F) -> Tool: ...
@overload
def tool(*, name: str | None = None, effect: Effect = "read") -> Callable[[F], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None, *, name: str | None = None, effect: Effect = "read"
) -> Tool | Callable[[F], Tool]:
    """Make a function into a :class:`Tool`; as ``@tool`` or ``@tool(effect="write")``.

    Args:
        function: every parameter has a type hint that pydantic knows; what it returns is the result: a text as it is,
            anything else as JSON.
        name: default: the function's own name.
        effect: ``write`` for a function that changes something.

    Raises:
        TypeError: a parameter has no type hint or is variadic, or the function is asynchronous.
    """
    if function is None:
        return lambda inner: _from_function(inner, name, effect)
    return _from_function(function, name, effect)


def _from_function(function: Callable[..., Any], name: str | None, effect: Effect) -> Tool:
    label = name or function.__name__
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{label}: an asynchronous function cannot be a tool")
    text = docstring_parser.parse(inspect.getdoc(function) or "")
    model = _arguments_model(label, function, {item.arg_name: item.description or "" for item in text.params})
    description = "\n\n".join(part for part in (text.short_description, text.long_description) if part)

    def run(arguments: Mapping[str, Any]) -> str:
        try:
            checked = model.model_validate(arguments)
        except ValidationError as error:
            raise ToolError(_describe(error)) from error
        values = {field: getattr(checked, field) for field in type(checked).model_fields}
        result = function(**values)
        return result if isinstance(result, str) else to_json(result, fallback=str).decode()

    return Tool(label, description or label, _without_titles(model.model_json_schema()), run, effect)


def _arguments_model(label: str, function: Callable[..., Any], texts: Mapping[str, str]) -> type[BaseModel]:
    """A pydantic model with a field for each parameter."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"{label}: parameter {parameter.name!r} cannot be given by name")
        if parameter.name not in hints:
            raise TypeError(f"{label}: parameter {parameter.name!r} has no type hint")
        default = ... if parameter.default is parameter.empty else parameter.default
        description = texts.get(parameter.name) or None
        fields[parameter.name] = (hints[parameter.name], Field(default, description=description))
    return create_model(label, __config__=ConfigDict(extra="forbid"), **fields)


def _without_titles(schema: Any) -> Any:
    """The schema without pydantic's titles, which repeat the names and cost tokens."""
    if isinstance(schema, dict):
        return {
            key: (
                {name: _without_titles(part) for name, part in value.items()}
                if key in ("properties", "$defs")
                else _without_titles(value)
            )
            for key, value in schema.items()
            if key != "title"
        }
    return [_without_titles(part) for part in schema] if isinstance(schema, list) else schema


def _describe(error: ValidationError) -> str:
    """The first wrong arguments, each with its name."""
    lines = (f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}" for item in error.errors())
    return "; ".join(lines)[:MAX_ERROR_CHARACTERS]
