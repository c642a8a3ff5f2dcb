"""The async twin of :class:`kodo.client.session.Session`: same names, same arguments, awaited.

The ledger's transactions run in threads, so a wait for another process's transaction does not hold the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, Unpack

from kodo.client import request_plan
from kodo.client.accounting import ReservedCall, is_done
from kodo.client.answer import Answer, ensure_response
from kodo.client.endpoint import NOT_STARTED, is_loopback
from kodo.client.errors import EndpointError
from kodo.client.estimate import Estimate, estimate_plan, parse_token_count
from kodo.client.recording import RecordingTransport
from kodo.client.request_plan import CallOptions, Input, Plan
from kodo.client.session import POLL_SECONDS, SessionBase
from kodo.client.stream import AsyncTextStream
from kodo.client.transport import async_http_client

if TYPE_CHECKING:
    import openai
    from openai.types.responses import Response


class AsyncSession(SessionBase):
    """Calls to one Responses API, awaited. Belongs to one event loop. Close it, or use it with ``async with``."""

    _sdk: openai.AsyncOpenAI | None = None

    @classmethod
    def sharing(cls, session: SessionBase) -> Self:
        """An async session with the settings, endpoint, accounts and cassette of another, which outlives it."""
        endpoint = session.endpoint()
        twin = cls(session.settings, ledger=session.ledger, retry=session.retry)
        twin.account = session.account
        twin._endpoint, twin._cassette, twin._borrowed = endpoint, session._cassette, True
        return twin

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close streams and connections, stop a server that was started for this session."""
        for stream in list(self._streams):
            if isinstance(stream, AsyncTextStream):
                await stream.close()
        if self._sdk is not None:
            await self._sdk.close()
            self._sdk = None
        await asyncio.to_thread(self._close_shared)

    async def client(self) -> openai.AsyncOpenAI:
        """The SDK client, with its retries off. Calls made on it directly are not budgeted or written down."""
        endpoint = self._endpoint
        if endpoint is None:
            endpoint = await asyncio.to_thread(self.endpoint)
        if self._sdk is None:
            import openai

            options = self._sdk_options(endpoint)
            sender = None
            if self._cassette is None or self._cassette.recording:
                sender = async_http_client(endpoint.base_url, loopback=is_loopback(endpoint.base_url))
            options["http_client"] = (
                sender
                if self._cassette is None
                else openai.DefaultAsyncHttpxClient(transport=RecordingTransport(self._cassette, sender))
            )
            self._sdk = openai.AsyncOpenAI(**options)
        return self._sdk

    async def respond(self, input: Input, **options: Unpack[CallOptions]) -> Answer:
        """One answer, whole. As :meth:`Session.respond`; cancelling the task settles the call as cancelled."""
        client = await self.client()
        call, plan = await self._open(input, options)

        async def send() -> Response:
            call.attempts += 1
            answer: object = await client.responses.create(
                **request_plan.sdk_arguments(plan), timeout=self._timeout(plan.timeout)
            )
            return ensure_response(answer)

        try:
            raw = await self.retry.acall(plan.job or "respond", send)
            if not is_done(raw):
                raw = await self._poll(client, raw.id)
        except Exception as error:
            raise (await asyncio.to_thread(call.fail, error)) from error
        except BaseException:
            call.cancel()
            raise
        return await asyncio.to_thread(call.complete, raw)

    async def stream(self, input: Input, **options: Unpack[CallOptions]) -> AsyncTextStream:
        """One answer as it is written, read with ``async for``. As :meth:`Session.stream`."""
        client = await self.client()
        call, plan = await self._open(input, options)
        stream = await AsyncTextStream.open(client, call, self.retry, self._timeout(plan.timeout))
        self._streams.add(stream)
        return stream

    async def estimate(
        self, input: Input, *, ask_server: bool | None = None, **options: Unpack[CallOptions]
    ) -> Estimate:
        """What a call would read and cost, without making it. As :meth:`Session.estimate`."""
        try:
            endpoint = await asyncio.to_thread(self.endpoint, start=False)
        except EndpointError:
            endpoint, ask_server = NOT_STARTED, False
        plan = await asyncio.to_thread(self.account.plan, input, options, endpoint)
        counted = None
        if endpoint.local if ask_server is None else ask_server:
            counted = await self._count(plan)
        return estimate_plan(plan, counted)

    async def _count(self, plan: Plan) -> int | None:
        import openai

        client = await self.client()
        try:
            answer: object = await client.post(
                "/responses/input_tokens", body=request_plan.count_body(plan.body), cast_to=object
            )
        except openai.APIError:
            return None  # the server has no such endpoint, or does not know the model: the estimate stands
        return parse_token_count(answer)

    async def _open(self, input: Input, options: CallOptions) -> tuple[ReservedCall, Plan]:
        def reserve() -> tuple[ReservedCall, Plan]:
            endpoint = self.endpoint()
            plan = self.account.plan(input, options, endpoint)
            return self.account.reserve(plan, endpoint), plan

        return await _finish(reserve)

    async def _poll(self, client: openai.AsyncOpenAI, response_id: str) -> Response:
        pause, max_pause = POLL_SECONDS

        async def look() -> Response:
            return ensure_response(await client.responses.retrieve(response_id))

        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, max_pause)
            raw = await self.retry.acall("poll", look)
            if is_done(raw):
                return raw


async def _finish(reserve: Callable[[], tuple[ReservedCall, Plan]]) -> tuple[ReservedCall, Plan]:
    """Reserve in a thread. A task cancelled meanwhile gives the reservation back before it ends."""
    work = asyncio.ensure_future(asyncio.to_thread(reserve))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        call, _ = await work
        call.cancel()
        raise
