"""The upstream engine: sends prompts to an OpenAI-compatible server, and translates its stream.

Errors of HTTP and of the server are translated only here. Token counts before the answer are estimates (four characters
per token), because servers have no common way to count; those in ``Finished`` are the server's own if it reports them.
A partial answer cannot be continued: ``card().continues`` is False.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec
from msgspec import Struct

from kodo.server.engines.upstream.request import ToolLabel, UpstreamRequest, chat_request
from kodo.server.lifecycle.errors import (
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    ServiceError,
)
from kodo.server.lifecycle.ports import (
    CallDelta,
    CallStart,
    EngineEvent,
    Finished,
    ModelCard,
    Prepared,
    Prompt,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from kodo.server.wire.items import Logprob, TopLogprob

CHARACTERS_PER_TOKEN = 4
DEFAULT_WINDOW = 128_000
MAX_CONNECT_SECONDS = 10.0
MAX_SILENCE_SECONDS = 600.0
_FINISH_REASONS = {"stop": "stop", "tool_calls": "stop", "function_call": "stop", "length": "length"}


class _Function(Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Delta(Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[_ToolCall, ...] | None = None


class _TopLogprob(Struct, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class _Logprob(_TopLogprob, frozen=True):
    top_logprobs: tuple[_TopLogprob, ...] = ()


class _Logprobs(Struct, frozen=True):
    content: tuple[_Logprob, ...] | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta = _Delta()
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Details(Struct, frozen=True):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Chunk(Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: dict[str, Any] | None = None


class _Vector(Struct, frozen=True):
    embedding: tuple[float, ...]


class _Vectors(Struct, frozen=True):
    data: tuple[_Vector, ...]
    usage: _Usage = _Usage()


_CHUNK = msgspec.json.Decoder(_Chunk)


class UpstreamEngine:
    """An :class:`~kodo.server.lifecycle.ports.Engine` for the server at ``base_url`` (which ends in ``/v1``)."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        window: int = DEFAULT_WINDOW,
        parallel: int = 16,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._model = model
        self._window = window
        self._parallel = parallel
        self._client = httpx2.AsyncClient(
            base_url=base_url.rstrip("/"),
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx2.Timeout(MAX_SILENCE_SECONDS, connect=MAX_CONNECT_SECONDS),
            transport=transport,
            follow_redirects=False,
        )

    @property
    def restarts(self) -> int:
        """Always 0: this server does not start the other one."""
        return 0

    @property
    def ready(self) -> bool:
        """True until it is stopped: whether the other server is ready is known only when it is used."""
        return not self._client.is_closed

    async def start(self) -> None:
        """Do nothing; the other server may become available later."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def card(self) -> ModelCard:
        """Return the limits from the settings, because servers do not report theirs."""
        return ModelCard(
            name=self._model,
            engine="upstream",
            context_window=self._window,
            max_output_tokens=self._window,
            parallel=self._parallel,
            reasoning=True,
            continues=False,
            source=self._client.base_url.host,
        )

    async def prepare(self, prompt: Prompt) -> Prepared:
        """Translate the prompt, and estimate its tokens."""
        request = chat_request(self._model, prompt)
        items = tuple(_estimate(context.item) for context in prompt.items)
        tools = _estimate(request.body["tools"]) if "tools" in request.body else 0
        head = -(-len(prompt.instructions or "") // CHARACTERS_PER_TOKEN)
        return Prepared(
            prompt=prompt, input_tokens=head + tools + sum(items), item_tokens=items, payload=request
        )

    async def generate(
        self, prepared: Prepared, *, events_so_far: Sequence[EngineEvent] = (), limit: int | None = None
    ) -> AsyncGenerator[EngineEvent, None]:
        """Generate an answer; see the port. A partial answer cannot be continued."""
        if events_so_far:
            raise EngineFailed("This model's server cannot continue an interrupted answer.")
        request: UpstreamRequest = prepared.payload
        caps = [cap for cap in (limit, prepared.prompt.max_output_tokens) if cap is not None]
        body = {**request.body, "stream": True, "stream_options": {"include_usage": True}}
        if caps:
            body["max_tokens"] = min(caps)
        state = _StreamState(request.labels)
        async with aclosing(self._stream(body)) as chunks:
            async for chunk in chunks:
                for event in state.events_of(chunk):
                    yield event
        for event in state.close():
            yield event
        yield state.finished(prepared.input_tokens)

    async def embed(self, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """Return the server's embeddings."""
        try:
            response = await self._client.post(
                "/embeddings", json={"model": self._model, "input": list(texts)}
            )
        except httpx2.TransportError as error:
            raise EngineUnavailable("The model's server cannot be reached.") from error
        if response.status_code != 200:
            raise _translate_refusal(response.status_code, response.headers, response.content)
        try:
            answer = msgspec.json.decode(response.content, type=_Vectors)
        except msgspec.DecodeError as error:
            raise EngineFailed("The model's server did not send embeddings.") from error
        return [one.embedding for one in answer.data], answer.usage.prompt_tokens

    async def _stream(self, body: dict[str, Any]) -> AsyncGenerator[_Chunk, None]:
        begun = False
        try:
            async with self._client.stream("POST", "/chat/completions", json=body) as response:
                if response.status_code != 200:
                    raise _translate_refusal(response.status_code, response.headers, await response.aread())
                async with aclosing(_event_data(response.aiter_lines())) as events:
                    async for data in events:
                        if data == "[DONE]":
                            return
                        chunk = _CHUNK.decode(data)
                        if chunk.error is not None:
                            raise EngineFailed(
                                "The model's server reported an error in the middle of the answer."
                            )
                        begun = True
                        yield chunk
        except httpx2.TransportError as error:
            if begun:
                raise EngineFailed(
                    "The model's server closed the connection in the middle of the answer."
                ) from error
            raise EngineUnavailable("The model's server cannot be reached.") from error
        except msgspec.DecodeError as error:
            raise EngineFailed("The model's server sent an invalid answer.") from error


async def _event_data(lines: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    async for line in lines:
        if line.startswith("data:"):
            yield line[5:].strip()


class _StreamState:
    """The state of a stream: the open call, the token counts so far, and how it ended."""

    def __init__(self, labels: dict[str, ToolLabel]) -> None:
        self._labels = labels
        self._call: tuple[int, ToolLabel] | None = None
        self._input: list[str] = []
        self._reason: str | None = None
        self._usage: _Usage | None = None
        self._characters = 0

    def events_of(self, chunk: _Chunk) -> list[EngineEvent]:
        """Return the events of a chunk."""
        events: list[EngineEvent] = []
        if chunk.usage is not None:
            self._usage = chunk.usage
        for choice in chunk.choices[:1]:
            delta = choice.delta
            reasoning = delta.reasoning_content or delta.reasoning
            text = delta.content or delta.refusal
            if reasoning:
                events.append(ReasoningDelta(text=reasoning))
            if text:
                events += self.close()
                events.append(TextDelta(text=text, logprobs=_logprobs(choice.logprobs)))
            for call in delta.tool_calls or ():
                events += self._call_events(call)
            self._reason = choice.finish_reason or self._reason
            self._characters += len(reasoning or "") + len(text or "")
        return events

    def close(self) -> list[EngineEvent]:
        """Complete the open call; the input of a custom tool is decoded from JSON here."""
        call, self._call = self._call, None
        if call is None or call[1].kind != "custom":
            return []
        written, self._input = "".join(self._input), []
        try:
            value = msgspec.json.decode(written or "{}")
        except msgspec.DecodeError:
            return [CallDelta(text=written)]  # cut short: what there is
        return [CallDelta(text=str(value.get("input", "")) if isinstance(value, dict) else written)]

    def finished(self, estimate: int) -> Finished:
        """Return the final event.

        Raises:
            EngineFailed: the stream had no end.
        """
        if self._reason is None:
            raise EngineFailed("The model's server ended the stream in the middle of the answer.")
        return Finished(
            reason=_FINISH_REASONS.get(self._reason, self._reason), usage=self._usage_of(estimate)
        )

    def _usage_of(self, estimate: int) -> Usage:
        usage = self._usage
        if usage is None:
            return Usage(input=estimate, output=-(-self._characters // CHARACTERS_PER_TOKEN))
        read, written = usage.prompt_tokens_details, usage.completion_tokens_details
        return Usage(
            input=usage.prompt_tokens,
            cached=(read.cached_tokens or 0) if read else 0,
            output=usage.completion_tokens,
            reasoning=(written.reasoning_tokens or 0) if written else 0,
        )

    def _call_events(self, call: _ToolCall) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        if self._call is None or self._call[0] != call.index:
            events += self.close()
            label = self._labels.get(call.function.name or "")
            if label is None:
                raise EngineFailed("The model's server called a tool that was not offered.")
            self._call = (call.index, label)
            events.append(
                CallStart(
                    call_id=call.id or f"call_{secrets.token_hex(12)}",
                    name=label.name,
                    kind=label.kind,
                    namespace=label.namespace,
                )
            )
        arguments = call.function.arguments
        if arguments:
            self._characters += len(arguments)
            if self._call[1].kind == "custom":
                self._input.append(arguments)
            else:
                events.append(CallDelta(text=arguments))
        return events


def _logprobs(logprobs: _Logprobs | None) -> tuple[Logprob, ...]:
    if logprobs is None or logprobs.content is None:
        return ()

    def top(one: _TopLogprob) -> TopLogprob:
        return TopLogprob(token=one.token, logprob=one.logprob, bytes=_bytes(one))

    return tuple(
        Logprob(
            token=one.token,
            logprob=one.logprob,
            bytes=_bytes(one),
            top_logprobs=tuple(top(other) for other in one.top_logprobs),
        )
        for one in logprobs.content
    )


def _bytes(one: _TopLogprob) -> tuple[int, ...]:
    return one.bytes if one.bytes is not None else tuple(one.token.encode())


def _estimate(value: object) -> int:
    return -(-len(msgspec.json.encode(value)) // CHARACTERS_PER_TOKEN)


def _translate_refusal(status: int, headers: httpx2.Headers, body: bytes) -> ServiceError:
    """Translate the server's error to one without its message, which may contain its keys and paths."""
    try:
        error = msgspec.json.decode(body)["error"]
        code = str(error.get("code") or "")
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        code = ""
    if status == 429:
        try:
            wait = float(headers.get("retry-after", "1"))
        except ValueError:
            wait = 1.0
        return Overloaded("The model's server is busy.", retry_after=wait)
    if code == "context_length_exceeded":
        return InvalidRequest(
            "The request does not fit the model's context window.", param="input", code=code
        )
    if status in (401, 403):
        return EngineUnavailable("The model's server rejected the API key in this server's settings.")
    if status == 404:
        return EngineUnavailable("The model's server does not know the model in this server's settings.")
    if status in (400, 413, 422):
        return InvalidRequest("The model's server rejected the request.", code=code or None)
    return EngineUnavailable("The model's server reported an error.")
