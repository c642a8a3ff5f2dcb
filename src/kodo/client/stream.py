"""An answer while it is being written: pieces of text, and the whole answer at the end.

A request is retried until its first event has arrived. After that the text the user has seen cannot be taken back, so
a break ends the stream with :class:`StreamCutError`, unless the response runs in the background: then the server goes
on without us, and the stream is taken up after the last event that arrived (``starting_after``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Self

from kodo.client import request_plan
from kodo.client.accounting import ReservedCall
from kodo.client.answer import Answer, AnswerFailedError, ensure_response, field_of
from kodo.client.errors import MalformedAnswerError, StreamCutError
from kodo.client.retry import RetryPolicy

if TYPE_CHECKING:
    import httpx2
    import openai
    from openai import AsyncStream, Stream
    from openai.types.responses import Response, ResponseStreamEvent

_LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_LINGER = 0.25
"""Seconds to wait for the end of a stream after its last event."""
_CUT = "the stream ended without its last event"


class StreamState:
    """The state of one streamed call, folded from the events that have arrived."""

    def __init__(self, call: ReservedCall) -> None:
        self.call = call
        self.background = bool(call.plan.body.get("background"))
        self.text: list[str] = []
        self.final: Response | None = None
        self.response_id: str | None = None
        self.request_id: str | None = None
        self.sequence = -1
        self.resumes = 0

    def take(self, event: ResponseStreamEvent) -> str | None:
        """Take an event in; the piece of text it brings, if it does."""
        kind = field_of(event, "type")
        if kind is None:
            raise MalformedAnswerError(
                f"the server sent something that is not an event: {str(event)[:120]!r}"
            )
        number = getattr(event, "sequence_number", None)
        if isinstance(number, int):
            self.sequence = max(self.sequence, number)
        response = getattr(event, "response", None)
        if response is not None and isinstance(getattr(response, "id", None), str):
            self.response_id = response.id
        if kind in _LAST:
            self.final = ensure_response(response)
        elif kind == "error":
            raise _reported(event)
        elif kind in ("response.output_text.delta", "response.refusal.delta"):
            piece = field_of(event, "delta") or ""
            self.text.append(piece)
            self.resumes = 0
            return piece
        return None

    def done(self) -> bool:
        """Whether the last event has arrived."""
        return self.final is not None

    def may_resume(self, error: Exception, policy: RetryPolicy) -> bool:
        """Whether a stream that broke with this error should be resumed."""
        self.resumes += 1
        return (
            self.background
            and self.response_id is not None
            and self.resumes <= policy.max_retries
            and (isinstance(error, StreamCutError) or policy.retries(error))
        )

    @property
    def received(self) -> str:
        """The text that has arrived so far."""
        return "".join(self.text)

    def end(self) -> Answer:
        """The answer, settled.

        Raises:
            AnswerFailedError: the response failed or was cancelled.
        """
        assert self.final is not None  # noqa: S101 -- the loops end only with it or an error
        return self.call.complete(self.final, self.request_id)

    def broken(self, error: Exception) -> Exception:
        """Settle a call that broke after its first event, and the error to raise."""
        failure = self.call.fail(_as_cut(error), self.received)
        if isinstance(failure, StreamCutError):
            failure.text = self.received
        return failure


def _as_cut(error: Exception) -> Exception:
    """A transport error in the middle of a stream is a cut; others stay what they are."""
    import httpx2
    import openai

    if isinstance(error, StreamCutError) or not isinstance(
        error, (openai.APIConnectionError, httpx2.TransportError)
    ):
        return error
    cut = StreamCutError(f"{_CUT}: {error}")
    cut.__cause__ = error
    return cut


def _reported(event: object) -> Exception:
    return AnswerFailedError(
        f"the server reported an error: {field_of(event, 'message')}",
        code=field_of(event, "code"),
        param=field_of(event, "param"),
    )


def _nothing(request: httpx2.Request) -> Exception:
    import openai

    return openai.APIConnectionError(message="the stream ended before its first event", request=request)


class TextStream:
    """An iterator of pieces of text. Made by ``Session.stream``."""

    def __init__(
        self,
        client: openai.OpenAI,
        state: StreamState,
        policy: RetryPolicy,
        stream: Stream[ResponseStreamEvent],
        first: ResponseStreamEvent,
    ) -> None:
        self._client, self._state, self._policy = client, state, policy
        self._answer: Answer | None = None
        self._stream = stream
        self._pieces = self._run(first)

    @classmethod
    def open(
        cls, client: openai.OpenAI, call: ReservedCall, policy: RetryPolicy, limits: httpx2.Timeout
    ) -> Self:
        """Send the request, with retries until its first event has arrived."""
        state = StreamState(call)

        def begin() -> tuple[Stream[ResponseStreamEvent], ResponseStreamEvent]:
            call.attempts += 1
            arguments = request_plan.sdk_arguments(call.plan)
            stream: Stream[ResponseStreamEvent] = client.responses.create(
                **arguments, stream=True, timeout=limits
            )
            state.request_id = stream.response.headers.get("x-request-id")
            for event in stream:
                return stream, event
            raise _nothing(stream.response.request)

        try:
            stream, first = policy.call(call.plan.job or "stream", begin)
        except Exception as error:
            raise call.fail(error) from error
        except BaseException:
            call.cancel()
            raise
        return cls(client, state, policy, stream, first)

    @property
    def answer(self) -> Answer:
        """The whole answer.

        Raises:
            RuntimeError: the stream has not been read to its end.
        """
        if self._answer is None:
            raise RuntimeError("the stream has not been read to its end")
        return self._answer

    @property
    def text(self) -> str:
        """What has arrived so far."""
        return self._state.received

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def __next__(self) -> str:
        return next(self._pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the stream. Before its end this cancels the call."""
        self._pieces.close()
        self._stream.close()
        if self._answer is None:
            self._state.call.cancel(self._state.received)

    def _run(self, first: ResponseStreamEvent) -> Generator[str, None, None]:
        state = self._state
        try:
            for event in self._events(first):
                piece = state.take(event)
                if piece:
                    yield piece
        except Exception as error:
            raise state.broken(error) from error
        except BaseException:  # the reader left, or the user pressed Ctrl-C
            self._stream.close()
            state.call.cancel(state.received)
            raise
        self._answer = state.end()

    def _events(self, first: ResponseStreamEvent) -> Iterator[ResponseStreamEvent]:
        state = self._state
        yield first
        while not state.done():
            try:
                for event in self._stream:
                    yield event
                    if state.done():
                        self._stream.close()
                        return
                raise StreamCutError(_CUT)
            except Exception as error:
                if not state.may_resume(error, self._policy):
                    raise
            self._stream = self._policy.call("resume", self._resume)

    def _resume(self) -> Stream[ResponseStreamEvent]:
        state = self._state
        return self._client.responses.retrieve(
            state.response_id or "", stream=True, starting_after=state.sequence
        )


class AsyncTextStream:
    """As :class:`TextStream`, read with ``async for``. Made by ``AsyncSession.stream``."""

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        state: StreamState,
        policy: RetryPolicy,
        stream: AsyncStream[ResponseStreamEvent],
        first: ResponseStreamEvent,
    ) -> None:
        self._client, self._state, self._policy = client, state, policy
        self._answer: Answer | None = None
        self._stream = stream
        self._pieces = self._run(first)

    @classmethod
    async def open(
        cls, client: openai.AsyncOpenAI, call: ReservedCall, policy: RetryPolicy, limits: httpx2.Timeout
    ) -> Self:
        """Send the request, with retries until its first event has arrived."""
        state = StreamState(call)

        async def begin() -> tuple[AsyncStream[ResponseStreamEvent], ResponseStreamEvent]:
            call.attempts += 1
            arguments = request_plan.sdk_arguments(call.plan)
            stream: AsyncStream[ResponseStreamEvent] = await client.responses.create(
                **arguments, stream=True, timeout=limits
            )
            state.request_id = stream.response.headers.get("x-request-id")
            try:
                return stream, await anext(stream)
            except StopAsyncIteration:
                raise _nothing(stream.response.request) from None

        try:
            stream, first = await policy.acall(call.plan.job or "stream", begin)
        except Exception as error:
            raise (await asyncio.to_thread(call.fail, error)) from error
        except BaseException:
            call.cancel()
            raise
        return cls(client, state, policy, stream, first)

    @property
    def answer(self) -> Answer:
        """The whole answer.

        Raises:
            RuntimeError: the stream has not been read to its end.
        """
        if self._answer is None:
            raise RuntimeError("the stream has not been read to its end")
        return self._answer

    @property
    def text(self) -> str:
        """What has arrived so far."""
        return self._state.received

    def __aiter__(self) -> AsyncIterator[str]:
        return self._pieces

    async def __anext__(self) -> str:
        return await anext(self._pieces)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the stream. Before its end this cancels the call."""
        await self._pieces.aclose()
        await _unwind(self._stream, 0)
        if self._answer is None:
            self._state.call.cancel(self._state.received)

    async def _run(self, first: ResponseStreamEvent) -> AsyncGenerator[str, None]:
        state = self._state
        try:
            async with aclosing(self._events(first)) as events:
                async for event in events:
                    piece = state.take(event)
                    if piece:
                        yield piece
        except Exception as error:
            raise (await asyncio.to_thread(state.broken, error)) from error
        except BaseException:  # the reader left, or the task was cancelled
            state.call.cancel(state.received)
            raise
        self._answer = await asyncio.to_thread(state.end)

    async def _events(self, first: ResponseStreamEvent) -> AsyncGenerator[ResponseStreamEvent, None]:
        state = self._state
        yield first
        while not state.done():
            try:
                yield await anext(self._stream)
                if state.done():
                    await _unwind(self._stream, _LINGER)
                    return
                continue
            except StopAsyncIteration:
                cut = StreamCutError(_CUT)
                if not state.may_resume(cut, self._policy):
                    raise cut from None
            except Exception as error:
                if not state.may_resume(error, self._policy):
                    raise
            self._stream = await self._policy.acall("resume", self._resume)

    async def _resume(self) -> AsyncStream[ResponseStreamEvent]:
        state = self._state
        return await self._client.responses.retrieve(
            state.response_id or "", stream=True, starting_after=state.sequence
        )


async def _unwind(stream: AsyncStream[ResponseStreamEvent], seconds: float) -> None:
    """Read on for a moment, then cancel the reading and close.

    Read to its end, the connection can be used again; cancelled, the SDK's nested generators end in order. Left as
    they are, they are closed in any order when the loop ends, which fails loudly.
    """
    import httpx2
    import openai

    with suppress(TimeoutError, openai.APIError, httpx2.HTTPError, httpx2.StreamError):
        async with asyncio.timeout(seconds):
            async for _ in stream:
                pass
    await stream.close()
