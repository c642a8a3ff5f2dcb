"""Translates the lifecycle's events to chat chunks, and a Response to a ChatCompletion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from kodo.server.http.chat.functions import as_function_call
from kodo.server.wire import chat
from kodo.server.wire import events as ev
from kodo.server.wire.items import (
    CustomToolCall,
    FunctionCall,
    Logprob,
    Message,
    OutputText,
    Reasoning,
    text_of,
)
from kodo.server.wire.response import Response, ResponseUsage


def finish_reason(response: Response, *, functions: bool = False) -> chat.FinishReason:
    """Return the chat API's ``finish_reason`` of a response; ``functions``: of a request with those in the place of
    tools."""
    if response.incomplete_details is not None:
        return "content_filter" if response.incomplete_details.reason == "content_filter" else "length"
    called = any(isinstance(item, FunctionCall | CustomToolCall) for item in response.output)
    if not called:
        return "stop"
    return "function_call" if functions else "tool_calls"


def build_choice(index: int, response: Response, *, functions: bool = False) -> chat.Choice:
    """Build the choice number ``index`` from a finished response; ``functions`` as for :func:`finish_reason`."""
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[chat.ToolCall] = []
    logprobs: list[Logprob] = []
    citations: list[dict[str, Any]] = []
    for item in response.output:
        if isinstance(item, Message):
            before = sum(map(len, text))
            text.append(text_of(item.content))
            citations.extend(
                _citation(note, before)
                for part in item.content
                if isinstance(part, OutputText)
                for note in part.annotations
                if note.get("type") == "url_citation"
            )
            logprobs.extend(
                entry for part in item.content if isinstance(part, OutputText) for entry in part.logprobs
            )
        elif isinstance(item, Reasoning):
            reasoning.extend(part.text for part in item.summary)
        elif isinstance(item, FunctionCall):
            function = chat.ToolCallFunction(name=item.name, arguments=item.arguments)
            calls.append(chat.ToolCall(id=item.call_id, type="function", function=function))
        elif isinstance(item, CustomToolCall):
            custom = chat.ToolCallCustom(name=item.name, input=item.input)
            calls.append(chat.ToolCall(id=item.call_id, type="custom", custom=custom))
    message = chat.ChatMessage(
        content="".join(text) if text else None,
        annotations=tuple(citations),
        **_calls(calls, functions=functions),
        reasoning_content="".join(reasoning) if reasoning else UNSET,
    )
    return chat.Choice(
        index=index,
        message=message,
        logprobs=chat.ChoiceLogprobs(content=tuple(logprobs)) if logprobs else None,
        finish_reason=finish_reason(response, functions=functions),
    )


def _calls(calls: Sequence[chat.ToolCall], *, functions: bool) -> dict[str, Any]:
    """The calls as the fields of a message."""
    if not calls:
        return {}
    return {"function_call": as_function_call(calls[0])} if functions else {"tool_calls": tuple(calls)}


def _citation(note: Mapping[str, Any], before: int) -> dict[str, Any]:
    """A citation in this API's form, behind ``before`` characters of other messages."""
    place = {name: note[name] + before for name in ("start_index", "end_index")}
    return {
        "type": "url_citation",
        "url_citation": {**place, "title": str(note.get("title", "")), "url": str(note.get("url", ""))},
    }


def total_usage(all_usage: Sequence[ResponseUsage | None]) -> chat.CompletionUsage:
    """Add up the usage of ``n`` answers to one prompt; the prompt counts once."""
    reported = [one for one in all_usage if one is not None]
    prompt = reported[0].input_tokens if reported else 0
    answers = sum(one.output_tokens for one in reported)
    details = reported[0].input_tokens_details if reported else None
    return chat.CompletionUsage(
        prompt_tokens=prompt,
        completion_tokens=answers,
        total_tokens=prompt + answers,
        prompt_tokens_details=chat.PromptTokensDetails(
            cached_tokens=details.cached_tokens if details else 0,
            cache_write_tokens=details.cache_write_tokens if details else 0,
        ),
        completion_tokens_details=chat.CompletionTokensDetails(
            reasoning_tokens=sum(one.output_tokens_details.reasoning_tokens for one in reported)
        ),
    )


class ChunkTranslator:
    """Translates the events of one of ``n`` answers to chunks; ``functions`` as for :func:`finish_reason`."""

    def __init__(self, index: int, *, functions: bool = False) -> None:
        self._index = index
        self._functions = functions
        self._calls: dict[str, int] = {}
        self._written = self._before = 0
        """Characters of the answer so far, and of the messages before the current one."""

    def translate(self, event: ev.StreamEvent) -> list[chat.ChunkChoice]:
        """Return what an event adds to the answer; many events add nothing."""
        match event:
            case ev.ResponseCreated():
                return [self._choice(chat.Delta(role="assistant", content=""))]
            case ev.OutputItemAdded(item=Message()):
                self._before = self._written
            case ev.OutputTextAnnotationAdded() if event.annotation.get("type") == "url_citation":
                return [self._choice(chat.Delta(annotations=(_citation(event.annotation, self._before),)))]
            case ev.OutputTextDelta():
                self._written += len(event.delta)
                logprobs = chat.ChoiceLogprobs(content=event.logprobs) if event.logprobs else None
                return [self._choice(chat.Delta(content=event.delta), logprobs)]
            case ev.ReasoningSummaryTextDelta():
                return [self._choice(chat.Delta(reasoning_content=event.delta))]
            case ev.OutputItemAdded(item=FunctionCall() | CustomToolCall() as item):
                return [self._call_begun(item)]
            case ev.FunctionCallArgumentsDelta():
                function = chat.ToolCallFunction(arguments=event.delta)
                return [self._call(chat.ToolCall(index=self._calls[event.item_id], function=function))]
            case ev.CustomToolCallInputDelta():
                custom = chat.ToolCallCustom(input=event.delta)
                return [self._call(chat.ToolCall(index=self._calls[event.item_id], custom=custom))]
            case ev.ResponseCompleted() | ev.ResponseIncomplete():
                return [
                    self._choice(
                        chat.Delta(), finish=finish_reason(event.response, functions=self._functions)
                    )
                ]
        return []

    def _call_begun(self, item: FunctionCall | CustomToolCall) -> chat.ChunkChoice:
        index = self._calls[item.id or ""] = len(self._calls)
        if isinstance(item, FunctionCall):
            function = chat.ToolCallFunction(name=item.name, arguments="")
            return self._call(chat.ToolCall(index=index, id=item.call_id, type="function", function=function))
        custom = chat.ToolCallCustom(name=item.name, input="")
        return self._call(chat.ToolCall(index=index, id=item.call_id, type="custom", custom=custom))

    def _call(self, call: chat.ToolCall) -> chat.ChunkChoice:
        if self._functions:
            return self._choice(chat.Delta(function_call=as_function_call(call)))
        return self._choice(chat.Delta(tool_calls=(call,)))

    def _choice(
        self,
        delta: chat.Delta,
        logprobs: chat.ChoiceLogprobs | None = None,
        finish: chat.FinishReason | None = None,
    ) -> chat.ChunkChoice:
        return chat.ChunkChoice(index=self._index, delta=delta, logprobs=logprobs, finish_reason=finish)
