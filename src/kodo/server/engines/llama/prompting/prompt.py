"""From a prompt's items to the turns of a chat template.

Instructions, system and developer messages become system turns (adjacent ones are one), consecutive outputs of the
model become one assistant turn. An item with token ids is put in with exactly those. Without any instruction the
template's own default system prompt, where it has one, stands: the model was trained with it.

Knows items; knows nothing of templates, ids or HTTP. How calls and their outputs look is in
:mod:`kodo.server.engines.llama.prompting.tool_call_format`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UnsetType

from kodo.server.engines.llama.prompting.content import (
    Content,
    TemplateText,
    TemplateTurn,
    TokenIds,
    TurnRole,
)
from kodo.server.engines.llama.prompting.tool_call_format import (
    ToolCallFormat,
    name_and_arguments,
    output_text,
)
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import ContextItem, Prompt
from kodo.server.wire.items import Call, CallOutput, Message, Reasoning, text_of

_ROLES: dict[str, TurnRole] = {"system": "system", "developer": "system", "user": "user"}
_GAP = "\n\n"


def build_turns(
    prompt: Prompt,
    call_format: ToolCallFormat,
    *extra: str,
    images: Mapping[tuple[int, int], TokenIds] | None = None,
) -> list[TemplateTurn]:
    """The prompt as turns, with calls in ``call_format``. ``extra`` are further system texts (tools), behind the instructions.

    ``images``: the ids that stand for the images, by item and part.
    """
    result: list[TemplateTurn] = []
    leading = [text for text in (prompt.instructions, *extra) if text]
    if leading:
        result.append(
            TemplateTurn(role="system", contents=(_GAP.join(leading),), sources=(-1,)),
        )
    answer = _AssistantTurn(call_format)
    for source, context in enumerate(prompt.items):
        item = context.item
        if answer.take(context, source) or isinstance(item, Reasoning):
            continue  # reasoning of earlier turns that this engine did not write is not shown to the model
        result += answer.turn()
        if isinstance(item, Message):
            _append_turn(result, _ROLES[item.role], _contents(item, source, images or {}), source)
        elif isinstance(item, CallOutput):
            role: TurnRole = "tool" if call_format.from_template else "user"
            call_id = item.id if isinstance(item.call_id, UnsetType) else item.call_id
            text = output_text(item, call_format)
            result.append(TemplateTurn(role=role, contents=(text,), sources=(source,), call_id=call_id or ""))
        else:
            raise InvalidRequest(
                "A compaction item reached the engine without being decrypted.", param="input"
            )
    return [*result, *answer.turn()]


def user_question(prompt: Prompt) -> str:
    """The text of the user's last message; empty if a call's output follows it."""
    for context in reversed(prompt.items):
        item = context.item
        if isinstance(item, CallOutput):
            return ""
        if isinstance(item, Message) and item.role == "user":
            return text_of(item.content)
    return ""


class _AssistantTurn:
    """Consecutive outputs of the model, as one turn."""

    def __init__(self, call_format: ToolCallFormat) -> None:
        self._call_format = call_format
        self._begin()

    def _begin(self) -> None:
        self._contents: list[Content] = []
        self._sources: list[int] = []
        self._call_id = ""
        self._open = ""
        """Text that must still follow the last call, if that call was written here."""

    def take(self, context: ContextItem, source: int) -> bool:
        """Add an item, if it is of the model."""
        item = context.item
        if isinstance(item, Call):
            self._call_id = self._call_id or item.call_id
        if context.tokens:
            self._put(source, self._closing(), context.tokens)
        elif isinstance(item, Call):
            call_format, (name, arguments) = self._call_format, name_and_arguments(item)
            start = call_format.text_gap + call_format.prefix if self._contents else call_format.prefix
            if self._open:
                start = (
                    f"{self._open}\n{call_format.prefix}"
                    if call_format.next_call is None
                    else call_format.next_call
                )
            self._open = call_format.closing
            ending = TemplateText(call_format.suffix_of(item.call_id))
            self._put(
                source, TemplateText(start), name, TemplateText(call_format.separator), arguments, ending
            )
        elif isinstance(item, Message) and item.role == "assistant":
            gap = "\n" if self._contents and not isinstance(self._contents[-1], tuple) else ""
            self._put(source, self._closing(), gap + text_of(item.content))
        else:
            return False
        return True

    def _put(self, source: int, *contents: Content) -> None:
        self._contents += [content for content in contents if content != TemplateText("")]
        self._sources += [source] * (len(self._contents) - len(self._sources))

    def _closing(self) -> TemplateText:
        closing, self._open = TemplateText(self._open), ""
        return closing

    def turn(self) -> list[TemplateTurn]:
        """The turn, if there is one; the next one begins."""
        if not self._contents:
            return []
        self._put(self._sources[-1], self._closing())
        turn = TemplateTurn(
            role="assistant",
            contents=tuple(self._contents),
            sources=tuple(self._sources),
            has_calls=self._call_format.from_template and bool(self._call_id),
            call_id=self._call_id,
        )
        self._begin()
        return [turn]


def _contents(item: Message, source: int, images: Mapping[tuple[int, int], TokenIds]) -> tuple[Content, ...]:
    """A message's words, with its images between them."""
    result: list[Content] = []
    for number, part in enumerate(item.content):
        if (source, number) in images:
            result.append(images[source, number])
        elif result and isinstance(result[-1], str):
            result[-1] += text_of((part,))
        else:
            result.append(text_of((part,)))
    return tuple(result) or ("",)


def _append_turn(
    result: list[TemplateTurn], role: TurnRole, contents: tuple[Content, ...], source: int
) -> None:
    last = result[-1] if result else None
    if last is None or last.role != role or role == "user":
        result.append(TemplateTurn(role=role, contents=contents, sources=(source,) * len(contents)))
        return
    contents = (_GAP, *contents)
    sources = (*last.sources, *[source] * len(contents))
    result[-1] = TemplateTurn(role=role, contents=(*last.contents, *contents), sources=sources)
