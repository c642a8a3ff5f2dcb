"""The tools of a prompt, as the llama engine can offer and enforce them.

Every tool type becomes an :class:`OfferedTool`: a name for the model, and a grammar for what it may write. ``local_shell``,
``shell`` and ``apply_patch`` get the schema of their action. Names in a namespace are written ``namespace.name``.

Knows tools and choices; knows nothing of ids or HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET, Struct

from kodo.server.engines.actions import NO_ARGUMENTS, built_in
from kodo.server.engines.llama.prompting.content import ToolSpec
from kodo.server.engines.llama.prompting.tool_call_format import qualified_name
from kodo.server.engines.llama.tools.structured import Grammar, Grammars
from kodo.server.engines.llama.tools.tool_signatures import tool_signature
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.tool_choice import chosen_name, is_meant
from kodo.server.wire.tools import (
    AllowedTools,
    ApplyPatchTool,
    CustomTool,
    FunctionTool,
    LocalShellTool,
    NamespaceTool,
    ShellTool,
    Tool,
    ToolChoice,
    ToolName,
)

MAX_TOOLS = 128


class OfferedTool(Struct, frozen=True):
    """One tool: what it is called, what it is for, and what a call of it must look like."""

    kind: str
    name: str
    namespace: str | None = None
    description: str = ""
    schema: dict[str, Any] | None = None
    """None if the input is free text, or a grammar's."""
    grammar: Grammar | None = None
    is_loaded: bool = False
    """Whether an item of the prompt shows it, so that the beginning of the prompt need not."""

    @property
    def qualified_name(self) -> str:
        """The name the model sees."""
        return qualified_name(self.name, self.namespace)

    @property
    def choice_name(self) -> ToolName:
        """What a ``tool_choice`` calls it."""
        return ToolName(type=self.kind, name=self.name, namespace=self.namespace or UNSET)


class ResolvedChoice(Struct, frozen=True):
    """What a turn may do: ``none`` (answer), ``auto`` (answer or call), ``required`` (call)."""

    mode: str
    offers: tuple[OfferedTool, ...] = ()


async def resolve_choice(
    tools: Sequence[Tool], choice: ToolChoice, grammars: Grammars, max_tokens: int
) -> ResolvedChoice:
    """The offers that a choice leaves, each with its grammar for a call of up to ``max_tokens`` tokens. A choice that none of
    the tools meets (see :mod:`~kodo.server.lifecycle.tool_choice`) leaves none.

    Raises:
        InvalidRequest: a schema or grammar cannot be enforced.
    """
    if len(tools) > MAX_TOOLS:
        raise InvalidRequest(f"A request may offer at most {MAX_TOOLS} tools.", param="tools")
    offers = tuple(
        [
            await _offer(tool, namespace, param, grammars, max_tokens)
            for tool, namespace, param in _flatten(tools)
        ]
    )
    if isinstance(choice, str):
        mode: str = choice
    elif isinstance(choice, AllowedTools):
        mode = choice.mode
        offers = tuple(
            offer for offer in offers if any(is_meant(one, offer.choice_name) for one in choice.tools)
        )
    else:
        mode, wanted = "required", chosen_name(choice)
        offers = tuple(offer for offer in offers if is_meant(wanted, offer.choice_name))[:1]
    return ResolvedChoice(mode=mode if offers else "none", offers=offers)


def _flatten(
    tools: Sequence[Tool],
) -> Iterator[
    tuple[FunctionTool | CustomTool | LocalShellTool | ShellTool | ApplyPatchTool, str | None, str]
]:
    for index, tool in enumerate(tools):
        if isinstance(tool, NamespaceTool):
            for inner_index, inner in enumerate(tool.tools):
                yield inner, tool.name, f"tools[{index}].tools[{inner_index}]"
        else:
            yield tool, None, f"tools[{index}]"


async def _offer(
    tool: FunctionTool | CustomTool | LocalShellTool | ShellTool | ApplyPatchTool,
    namespace: str | None,
    param: str,
    grammars: Grammars,
    max_tokens: int,
) -> OfferedTool:
    match tool:
        case FunctionTool():
            schema = tool.parameters or NO_ARGUMENTS
            schema = {"type": "object", **schema}
            return OfferedTool(
                kind="function",
                name=tool.name,
                namespace=namespace,
                description=tool.description or "",
                schema=schema,
                is_loaded=tool.defer_loading is True,
                grammar=await grammars.for_schema(
                    schema, f"{param}.parameters", max_tokens, lenient=tool.strict is not True
                ),
            )
        case CustomTool():
            return OfferedTool(
                kind="custom",
                name=tool.name,
                namespace=namespace,
                description=tool.description or "",
                is_loaded=tool.defer_loading is True,
                grammar=await grammars.for_custom_tool(tool, param),
            )
    name, description, schema = built_in(tool)
    grammar = await grammars.for_schema(schema, param, max_tokens)
    return OfferedTool(kind=name, name=name, description=description, schema=schema, grammar=grammar)


# --- what the model is told ------------------------------------------------------------------------------------------


def shown_at_start(offers: Sequence[OfferedTool]) -> tuple[OfferedTool, ...]:
    """The tools that the beginning of the prompt shows: not those that an item of it does."""
    return tuple(offer for offer in offers if not offer.is_loaded)


def tools_prompt(offers: Sequence[OfferedTool], *, has_to_call: bool) -> str:
    """The prompt block for a model whose template knows no tools.

    A line for each where it has to call one; else their schemas: a small model that may answer in words counts and lists
    without end behind such lines.
    """
    if has_to_call:
        lines = [tool_signature(offer.qualified_name, offer.description, offer.schema) for offer in offers]
        return "You call one of these tools:\n" + "\n".join(lines)
    return (
        "You can call these tools:\n<tools>\n"
        + "\n".join(map(_as_json, offers))
        + "\n</tools>\nTo call one, write nothing but:\n"
        + '<tool_call>\n{"name": <its name>, "arguments": <its arguments>}\n</tool_call>'
    )


def _as_json(offer: OfferedTool) -> str:
    shown = {"name": offer.qualified_name, "description": offer.description}
    return json.dumps(
        shown if offer.schema is None else {**shown, "parameters": offer.schema}, ensure_ascii=False
    )


def tool_specs(offers: Sequence[OfferedTool]) -> tuple[ToolSpec, ...] | None:
    """The same for a template that knows tools; None where one of them takes no JSON, which no template foresees."""
    if any(offer.schema is None for offer in offers):
        return None
    return tuple(ToolSpec(offer.qualified_name, offer.description, offer.schema or {}) for offer in offers)
