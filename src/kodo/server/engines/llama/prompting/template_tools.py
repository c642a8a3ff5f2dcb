"""A chat template that knows tools: what it makes of them, found out by rendering it with unguessable placeholders.

The template is given placeholders for every name, description, schema, call and content. What it writes around them is its
own, and may hold control tokens; what stands in their place is the client's, and cannot (see
:mod:`kodo.server.engines.llama.prompting.template`). So no template's form is known here: the text around a call's name and arguments is
cut out of a rendered one. A template that writes schemas or arguments in another form than JSON, or a call without its
name, is taken as one that does not know tools.

Knows the template's messages and tools; knows nothing of items or ids.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from typing import Any

from kodo.server.engines.llama.process.client import ChildClient
from kodo.server.engines.llama.prompting.content import Content, Segment, TemplateTurn, ToolSpec
from kodo.server.engines.llama.prompting.tool_call_format import TAG_LENGTH, ToolCallFormat, call_tag
from kodo.server.lifecycle.errors import InvalidRequest

_CONTROL_MARK = re.compile(r"\s*(<[^<>\s]+>|\[/?[A-Z_]+\])")
"""A mark as templates write them."""
_CUT_MARK = re.compile(r"(<[^<>\s]*|\[/?[A-Z_]*)\Z")


class Placeholders:
    """The placeholders of one rendering."""

    def __init__(self) -> None:
        nonce = secrets.token_hex(12)
        self._nonce = nonce
        self.pattern = re.compile(
            rf'(?P<object>\{{\s*"{nonce}k(?P<letter>[a-z])(?P<key>\d+)k"\s*:\s*"{nonce}v"\s*\}})'
            rf"|{nonce}w(?P<kind>[a-z])(?P<word>\d+)w"
        )

    def text(self, kind: str, number: int) -> str:
        """For a text."""
        return f"{self._nonce}w{kind}{number}w"

    def json_object(self, kind: str, number: int) -> dict[str, str]:
        """For a JSON object."""
        return {f"{self._nonce}k{kind}{number}k": f"{self._nonce}v"}

    def call(self, number: int, tag: str) -> dict[str, Any]:
        """For a call: its name is of kind ``c``, its arguments of kind ``a``."""
        function = {"name": self.text("c", number), "arguments": json.dumps(self.json_object("a", number))}
        return {"id": tag, "type": "function", "function": function}

    def tool(self, number: int) -> dict[str, Any]:
        """For a tool: name ``n``, description ``d``, parameters ``p``."""
        function = {
            "name": self.text("n", number),
            "description": self.text("d", number),
            "parameters": self.json_object("p", number),
        }
        return {"type": "function", "function": function}

    def split(self, text: str) -> tuple[list[str], list[tuple[str, int, str]]]:
        """A rendered text in its pieces, and the kind, number and form of what stands between them."""
        pieces, matches, start = [], [], 0
        for match in self.pattern.finditer(text):
            pieces.append(text[start : match.start()])
            kind = match["letter"] or match["kind"]
            matches.append((kind, int(match["key"] or match["word"]), match[0]))
            start = match.end()
        return [*pieces, text[start:]], matches


class TemplateTools:
    """What a template makes of tools. ``settings``: further template variables, kodo's own."""

    def __init__(self, client: ChildClient, settings: dict[str, Any]) -> None:
        self._client = client
        self._settings = settings

    async def detect_format(self, opened: str, ended: str) -> ToolCallFormat | None:
        """How calls are written; None if the template does not know tools, or not in a form that is understood here.

        ``opened`` and ``ended`` are the template's text between a user's and an assistant's turn, and behind it.
        """
        end_mark = _CONTROL_MARK.match(ended)
        tag = secrets.token_hex(TAG_LENGTH)[:TAG_LENGTH]
        one = await self._probe(tag, 1)
        if end_mark is None or one is None:
            return None
        head, middle, tail = one
        start = len(_common_start(opened, head))
        begin, stop = head[start:], tail.find(end_mark[0])
        if not begin or stop <= 0 or tag in begin + middle:
            return None
        close, more, last = tail[:stop], None, ""
        two = await self._probe(tag, 2)
        if two is not None and two[0] == head:
            end = _CUT_MARK.sub("", _common_start(close, two[2]))
            if tag not in two[2][len(end) :] + close[len(end) :]:
                more, last, close = two[2][len(end) :], close[len(end) :], end
        words = await self._probe(tag, 1, words=True)
        gap = words[0].removesuffix(begin) if words is not None and words[0].endswith(begin) else "\n"
        mark = _CONTROL_MARK.match(begin)
        return ToolCallFormat(
            prefix=begin,
            separator=middle,
            suffix=close,
            closing=last,
            next_call=more or None,
            text_gap=gap,
            trigger=mark[1] if mark else begin.strip(),
            trigger_at_start=mark is None,
            tag_placeholder=tag if tag in close else "",
            from_template=True,
            control_separated=any(
                text[:1] in ("<", "[") and _CONTROL_MARK.match(text) for text in (last, more or "")
            ),
        )

    async def _probe(self, tag: str, calls: int, *, words: bool = False) -> tuple[str, str, str] | None:
        """The text before a call's name, between it and the arguments, and behind those up to the next placeholder."""
        placeholders = Placeholders()
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": placeholders.text("x", 0)},
            {
                "role": "assistant",
                "content": placeholders.text("x", 1) if words else "",
                "tool_calls": [placeholders.call(number, tag) for number in range(calls)],
            },
            {"role": "tool", "tool_call_id": tag, "content": placeholders.text("x", 2)},
        ]
        try:
            text = await self._render(messages, [placeholders.tool(0)])
        except InvalidRequest:
            return None
        pieces, matches = placeholders.split(text)
        kinds = [(kind, number) for kind, number, _ in matches]
        needed = [("n", 0), ("p", 0), ("x", 0), ("x", 2)]
        needed += [(kind, number) for kind in "ca" for number in range(calls)]
        if any(kinds.count(one) != 1 for one in needed):
            return None
        name = kinds.index(("c", 0))
        if calls > 1 and pieces[name + 3] != pieces[name + 1]:
            return None
        follows = [("c", 1)] if calls > 1 else [("x", 2)]
        before = ("x", 1) if words else ("x", 0)
        if kinds[name - 1] != before or kinds[name + 1 : name + 3] != [("a", 0), *follows]:
            return None
        return pieces[name], pieces[name + 1], pieces[name + 2]

    async def segments(
        self, turns: Sequence[TemplateTurn], tools: Sequence[ToolSpec], call_format: ToolCallFormat
    ) -> list[Segment]:
        """The template's text and the contents of turns and tools, in their order; the last piece has no contents.

        Raises:
            InvalidRequest: the template cannot render these turns.
        """
        placeholders = Placeholders()
        tags = [_tag(turns, index) for index in range(len(turns))]
        messages = [_message(turn, index, tags[index], placeholders) for index, turn in enumerate(turns)]
        text = await self._render(messages, [placeholders.tool(number) for number in range(len(tools))])
        pieces, matches = placeholders.split(text)
        result: list[Segment] = []
        seen: list[int] = []
        skip = ""
        for place, (kind, number, form) in enumerate(matches):
            mark, behind = pieces[place].removeprefix(skip), pieces[place + 1]
            if not pieces[place].startswith(skip):
                raise cannot_render()
            skip = ""
            if kind == "c":
                seen.append(number)
                if not mark.endswith(call_format.prefix):
                    raise cannot_render()
                turn = turns[number]
                result.append(Segment(mark.removesuffix(call_format.prefix), turn.contents, turn.sources))
            elif kind == "a":
                if mark != call_format.separator or matches[place - 1][:2] != ("c", number):
                    raise cannot_render()
                skip = (call_format.suffix + call_format.closing).replace(
                    call_format.tag_placeholder or "\0", tags[number]
                )
            elif kind == "x":
                seen.append(number)
                turn = turns[number]
                quoted = turn.role == "tool" and mark.endswith('"') and behind.startswith('"')
                contents = tuple(escape_json(one) if quoted else one for one in turn.contents)
                result.append(Segment(mark, contents, turn.sources))
            else:
                quoted = mark.endswith('"') and behind.startswith('"')
                result.append(Segment(mark, (_tool_text(kind, tools[number], form, quoted=quoted),), (-1,)))
        if seen != list(range(len(turns))) or not pieces[-1].startswith(skip):
            raise cannot_render()
        return [*result, Segment(pieces[-1].removeprefix(skip), (), ())]

    async def _render(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
        body: dict[str, Any] = {"messages": messages, **self._settings}
        if tools:
            body |= {"tools": tools, "tool_choice": "none"}  # the engine would make a grammar of them
        return await self._client.render(body)


def _message(turn: TemplateTurn, index: int, tag: str, placeholders: Placeholders) -> dict[str, Any]:
    if turn.has_calls:
        return {"role": "assistant", "content": "", "tool_calls": [placeholders.call(index, tag)]}
    content = {"role": turn.role, "content": placeholders.text("x", index)}
    return {**content, "tool_call_id": tag} if turn.role == "tool" else content


def _tag(turns: Sequence[TemplateTurn], index: int) -> str:
    """The tag of a call's output, or of the call that the next output belongs to."""
    return call_tag(turns[index].call_id) if turns[index].role == "tool" or turns[index].has_calls else ""


def _tool_text(kind: str, tool: ToolSpec, form: str, *, quoted: bool) -> Content:
    if kind == "p":
        return format_json(tool.parameters, form)
    text = tool.name if kind == "n" else tool.description
    return json.dumps(text, ensure_ascii=False)[1:-1] if quoted else text


def escape_json(content: Content) -> Content:
    """A text as it stands inside a JSON string; other contents as they are."""
    return json.dumps(content, ensure_ascii=False)[1:-1] if isinstance(content, str) else content


def format_json(value: dict[str, Any], form: str) -> str:
    """JSON in the form that the template wrote its placeholder in: on one line with or without spaces, or indented."""
    lines = form.split("\n")
    if len(lines) == 3:
        base = len(lines[2]) - len(lines[2].lstrip())
        step = len(lines[1]) - len(lines[1].lstrip()) - base
        return json.dumps(value, ensure_ascii=False, indent=step).replace("\n", "\n" + " " * base)
    separators = (", ", ": ") if '": "' in form else (",", ":")
    return json.dumps(value, ensure_ascii=False, separators=separators)


def _common_start(one: str, other: str) -> str:
    """What two texts begin with."""
    size = 0
    while size < min(len(one), len(other)) and one[size] == other[size]:
        size += 1
    return one[:size]


def cannot_render() -> InvalidRequest:
    """The error for items that the template has no place for."""
    return InvalidRequest("This model's chat template cannot render these calls.", param="input")
