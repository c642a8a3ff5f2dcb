"""From a prompt's items to the turns of a chat template.

Instructions, system and developer messages become system turns (adjacent ones are one), consecutive outputs of the
model become one assistant turn. An item with token ids is put in with exactly those. Without any instruction the
template's own default system prompt, where it has one, stands: the model was trained with it.

Knows items; knows nothing of templates, ids or HTTP. How calls and their outputs look is in
:mod:`kodo.engines.llama.dialect`.
"""

from __future__ import annotations

from collections.abc import Iterator

from kodo.engines.llama.dialect import call_text, output_text
from kodo.engines.llama.template import Content, Turn, TurnRole
from kodo.lifecycle.errors import InvalidRequest
from kodo.lifecycle.ports import ContextItem, Prompt
from kodo.wire.items import Call, CallOutput, Compaction, Message, Reasoning, text_of

_ROLES: dict[str, TurnRole] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_GAP = "\n\n"


def turns(prompt: Prompt, *extra: str) -> list[Turn]:
    """The prompt as turns. ``extra`` are further system texts (tools), put behind the instructions."""
    result: list[Turn] = []
    leading = [text for text in (prompt.instructions, *extra) if text]
    if leading:
        result.append(
            Turn(role="system", contents=(_GAP.join(leading),), sources=(-1,)),
        )
    for source, item in enumerate(prompt.items):
        for role, content in _say(item):
            _add(result, role, content, source)
    return result


def question(prompt: Prompt) -> str:
    """What the model is to answer: the user's last words; empty if what was last said is a call's output."""
    for context in reversed(prompt.items):
        item = context.item
        if isinstance(item, CallOutput):
            return ""
        if isinstance(item, Message) and item.role == "user":
            return text_of(item.content)
    return ""


def _say(context: ContextItem) -> Iterator[tuple[TurnRole, Content]]:
    item = context.item
    if context.tokens:
        yield "assistant", context.tokens
    elif isinstance(item, Message):
        yield _ROLES[item.role], text_of(item.content)
    elif isinstance(item, Call):
        yield "assistant", call_text(item)
    elif isinstance(item, CallOutput):
        yield "user", output_text(item)
    elif isinstance(item, Reasoning):
        return  # reasoning of earlier turns that this engine did not write is not shown to the model
    elif isinstance(item, Compaction):
        raise InvalidRequest("A compaction item reached the engine unopened.", param="input")


def _add(result: list[Turn], role: TurnRole, content: Content, source: int) -> None:
    last = result[-1] if result else None
    if last is None or last.role != role or role == "user":
        result.append(Turn(role=role, contents=(content,), sources=(source,)))
        return
    contents, sources = last.contents, last.sources
    if isinstance(content, str) and not (role == "assistant" and isinstance(contents[-1], tuple)):
        contents, sources = (*contents, _GAP if role == "system" else "\n"), (*sources, source)
    result[-1] = Turn(role=role, contents=(*contents, content), sources=(*sources, source))
