"""From a prompt's items to the turns of a chat template.

Instructions, system and developer messages become system turns (adjacent ones are one), consecutive outputs of the
model become one assistant turn. An item with token ids is put in with exactly those. Without any instruction the
template's own default system prompt, where it has one, stands: the model was trained with it.

Knows items; knows nothing of templates, ids or HTTP. How calls and their outputs look is in
:mod:`kodo.server.engines.llama.prompting.tool_call_format`.
"""

from __future__ import annotations

from msgspec import UnsetType

from kodo.server.engines.llama.prompting.content import Content, Mark, Turn, TurnRole
from kodo.server.engines.llama.prompting.tool_call_format import Frame, output_text, written
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import ContextItem, Prompt
from kodo.server.wire.items import Call, CallOutput, Message, Reasoning, text_of

_ROLES: dict[str, TurnRole] = {"system": "system", "developer": "system", "user": "user"}
_GAP = "\n\n"


def turns(prompt: Prompt, frame: Frame, *extra: str) -> list[Turn]:
    """The prompt as turns, with calls in ``frame``. ``extra`` are further system texts (tools), behind the instructions."""
    result: list[Turn] = []
    leading = [text for text in (prompt.instructions, *extra) if text]
    if leading:
        result.append(
            Turn(role="system", contents=(_GAP.join(leading),), sources=(-1,)),
        )
    answer = _Answer(frame)
    for source, context in enumerate(prompt.items):
        item = context.item
        if answer.take(context, source) or isinstance(item, Reasoning):
            continue  # reasoning of earlier turns that this engine did not write is not shown to the model
        result += answer.turn()
        if isinstance(item, Message):
            _add(result, _ROLES[item.role], text_of(item.content), source)
        elif isinstance(item, CallOutput):
            role: TurnRole = "tool" if frame.native else "user"
            call_id = item.id if isinstance(item.call_id, UnsetType) else item.call_id
            text = output_text(item, frame)
            result.append(Turn(role=role, contents=(text,), sources=(source,), call_id=call_id or ""))
        else:
            raise InvalidRequest("A compaction item reached the engine unopened.", param="input")
    return [*result, *answer.turn()]


def question(prompt: Prompt) -> str:
    """What the model is to answer: the user's last words; empty if what was last said is a call's output."""
    for context in reversed(prompt.items):
        item = context.item
        if isinstance(item, CallOutput):
            return ""
        if isinstance(item, Message) and item.role == "user":
            return text_of(item.content)
    return ""


class _Answer:
    """Consecutive outputs of the model, as one turn."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._begin()

    def _begin(self) -> None:
        self._contents: list[Content] = []
        self._sources: list[int] = []
        self._call_id = ""
        self._open = ""
        """What is still to come behind the last call, if that was written here."""

    def take(self, context: ContextItem, source: int) -> bool:
        """Add an item, if it is of the model."""
        item = context.item
        if isinstance(item, Call):
            self._call_id = self._call_id or item.call_id
        if context.tokens:
            self._put(source, self._closing(), context.tokens)
        elif isinstance(item, Call):
            frame, (name, arguments) = self._frame, written(item)
            start = frame.gap + frame.open if self._contents else frame.open
            if self._open:
                start = f"{self._open}\n{frame.open}" if frame.more is None else frame.more
            self._open = frame.last
            ending = Mark(frame.ending(item.call_id))
            self._put(source, Mark(start), name, Mark(frame.middle), arguments, ending)
        elif isinstance(item, Message) and item.role == "assistant":
            gap = "\n" if self._contents and not isinstance(self._contents[-1], tuple) else ""
            self._put(source, self._closing(), gap + text_of(item.content))
        else:
            return False
        return True

    def _put(self, source: int, *contents: Content) -> None:
        self._contents += [content for content in contents if content != Mark("")]
        self._sources += [source] * (len(self._contents) - len(self._sources))

    def _closing(self) -> Mark:
        closing, self._open = Mark(self._open), ""
        return closing

    def turn(self) -> list[Turn]:
        """The turn, if there is one; the next one begins."""
        if not self._contents:
            return []
        self._put(self._sources[-1], self._closing())
        turn = Turn(
            role="assistant",
            contents=tuple(self._contents),
            sources=tuple(self._sources),
            calls=self._frame.native and bool(self._call_id),
            call_id=self._call_id,
        )
        self._begin()
        return [turn]


def _add(result: list[Turn], role: TurnRole, text: str, source: int) -> None:
    last = result[-1] if result else None
    if last is None or last.role != role or role == "user":
        result.append(Turn(role=role, contents=(text,), sources=(source,)))
        return
    contents, sources = (*last.contents, _GAP, text), (*last.sources, source, source)
    result[-1] = Turn(role=role, contents=contents, sources=sources)
