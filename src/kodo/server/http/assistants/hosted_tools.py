"""Tools of an assistant that the server runs: as tools of a request, as steps of a run, and citations in its messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from kodo.server.wire import assistants as wire
from kodo.server.wire.hosted_items import CodeInterpreterCall, FileSearchCall
from kodo.server.wire.items import OutputText

HostedCallItem: TypeAlias = FileSearchCall | CodeInterpreterCall
StepCall: TypeAlias = wire.FileSearchToolCall | wire.CodeInterpreterToolCall

_INCLUDED: Final = {
    wire.AssistantFileSearch: "file_search_call.results",
    wire.AssistantCodeInterpreter: "code_interpreter_call.outputs",
}
"""What a request includes for the steps of a tool."""
_IMAGE_NAME: Final = re.compile(r"data:[^;,]*;name=([^;,]+)")
CONTENT: Final = "step_details.tool_calls[*].file_search.results[*].content"
"""The value of ``include`` that asks for the texts of results."""


class RunResources(Struct, frozen=True, kw_only=True):
    """What the tools of a run work on: the assistant's and the thread's."""

    vector_store_ids: tuple[str, ...] = ()
    file_ids: tuple[str, ...] = ()


def run_resources(*given: wire.ToolResources | None) -> RunResources:
    """The resources of an assistant and of a thread together."""
    stores: list[str] = []
    files: list[str] = []
    for one in given:
        if one is not None and isinstance(one.file_search, wire.FileSearchResources):
            stores += one.file_search.vector_store_ids
        if one is not None and isinstance(one.code_interpreter, wire.CodeInterpreterResources):
            files += one.code_interpreter.file_ids
    return RunResources(vector_store_ids=tuple(dict.fromkeys(stores)), file_ids=tuple(dict.fromkeys(files)))


def has_work(tool: wire.AnyAssistantTool, resources: RunResources) -> bool:
    """Whether a tool has something to work on. Clients give an assistant ``file_search`` before there is a store; it then
    finds nothing, so the model is not offered it."""
    return not isinstance(tool, wire.AssistantFileSearch) or bool(resources.vector_store_ids)


def request_tool(tool: wire.AnyAssistantTool, resources: RunResources) -> dict[str, Any]:
    """A tool as a request to the lifecycle has it."""
    if isinstance(tool, wire.AssistantTool):
        return {"type": "function", **msgspec.to_builtins(tool.function)}
    if isinstance(tool, wire.AssistantCodeInterpreter):
        container = {"type": "auto", "file_ids": list(resources.file_ids)}
        return {"type": "code_interpreter", "container": container}
    options: dict[str, Any] = {}
    if isinstance(tool.file_search, wire.FileSearchOptions):
        options = msgspec.to_builtins(tool.file_search)
        if "ranking_options" in options:
            options["ranking_options"].pop("ranker", None)  # a name of 2024; there is one ranker here
    return {"type": "file_search", "vector_store_ids": list(resources.vector_store_ids), **options}


def included(tools: Sequence[wire.AnyAssistantTool]) -> list[str]:
    """What a request includes for the steps of its tools."""
    return [name for kind, name in _INCLUDED.items() if any(isinstance(tool, kind) for tool in tools)]


def step_call(item: HostedCallItem, tools: Sequence[wire.AnyAssistantTool]) -> StepCall:
    """A call as a step of a run holds it."""
    name = f"call_{(item.id or '').rpartition('_')[2]}"
    if isinstance(item, CodeInterpreterCall):
        outputs = item.outputs if isinstance(item.outputs, list | tuple) else ()
        shown = tuple(_output(one) for one in outputs if isinstance(one, dict))
        code = item.code if isinstance(item.code, str) else ""
        return wire.CodeInterpreterToolCall(
            id=name, code_interpreter=wire.CodeInterpreterStep(input=code, outputs=shown)
        )
    ranking: Any = msgspec.UNSET
    for tool in tools:
        if isinstance(tool, wire.AssistantFileSearch) and isinstance(
            tool.file_search, wire.FileSearchOptions
        ):
            ranking = tool.file_search.ranking_options
    results = item.results if isinstance(item.results, list | tuple) else ()
    return wire.FileSearchToolCall(
        id=name,
        file_search=wire.FileSearchStep(
            ranking_options=ranking, results=tuple(_result(one) for one in results if isinstance(one, dict))
        ),
    )


def _output(output: dict[str, Any]) -> dict[str, Any]:
    """An output of code as a step has it: an image is a file."""
    if output.get("type") != "image":
        return output
    named = _IMAGE_NAME.match(str(output.get("url")))
    return {"type": "image", "image": {"file_id": named[1] if named else ""}}


def _result(result: dict[str, Any]) -> wire.FileSearchStepResult:
    return wire.FileSearchStepResult(
        file_id=str(result.get("file_id", "")),
        file_name=str(result.get("filename", "")),
        score=float(result.get("score") or 0.0),
        content=(wire.FileSearchResultText(text=str(result.get("text", ""))),),
    )


def without_content(step: wire.RunStep) -> wire.RunStep:
    """A step without the texts of its results, which are shown only where they are asked for."""
    if not isinstance(step.step_details, wire.ToolCallsStep):
        return step
    calls = tuple(
        msgspec.structs.replace(call, file_search=_bare(call.file_search))
        if isinstance(call, wire.FileSearchToolCall)
        else call
        for call in step.step_details.tool_calls
    )
    return msgspec.structs.replace(step, step_details=wire.ToolCallsStep(tool_calls=calls))


def _bare(search: wire.FileSearchStep) -> wire.FileSearchStep:
    results = tuple(msgspec.structs.replace(one, content=msgspec.UNSET) for one in search.results)
    return msgspec.structs.replace(search, results=results)


def marker(number: int, annotation: dict[str, Any]) -> str:
    """The mark of a citation in a message's text, as this API has it: clients replace it."""
    return f"【{number}†{annotation.get('filename', 'source')}】"


def cited_text(part: OutputText) -> wire.TextValue:
    """A text with the marks of its citations, and the annotations that say where they stand."""
    value, at, made = [], 0, []
    marks: list[tuple[int, int]] = []
    length = 0
    citations = [one for one in part.annotations if one.get("type") == "file_citation"]
    for number, one in enumerate(sorted(citations, key=lambda citation: int(citation["index"]))):
        before, mark = part.text[at : int(one["index"])], marker(number, one)
        value += [before, mark]
        length += len(before)
        made.append(annotation(one, mark, length))
        length += len(mark)
        at = int(one["index"])
        marks.append((at, len(mark)))
    text = "".join([*value, part.text[at:]])
    named = [one for one in part.annotations if one.get("type") == "container_file_citation"]
    made += [file_path(one, text_of_place(part.text, one), marks) for one in named]
    return wire.TextValue(value=text, annotations=tuple(made))


def text_of_place(text: str, citation: dict[str, Any]) -> str:
    """The words of a text that name a file of a container."""
    return text[int(citation["start_index"]) : int(citation["end_index"])]


def file_path(citation: dict[str, Any], words: str, marks: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """A file of a container that a text names, as an annotation of this API. ``marks``: where marks were put into the text,
    and their lengths."""
    start = int(citation["start_index"])
    start += sum(length for place, length in marks if place <= start)
    return {
        "type": "file_path",
        "text": words,
        "start_index": start,
        "end_index": start + len(words),
        "file_path": {"file_id": citation["file_id"]},
    }


def annotation(citation: dict[str, Any], mark: str, start: int) -> dict[str, Any]:
    """A citation as an annotation of this API. ``start``: where its mark begins."""
    return {
        "type": "file_citation",
        "text": mark,
        "start_index": start,
        "end_index": start + len(mark),
        "file_citation": {"file_id": citation["file_id"]},
    }
