"""The library for ``async`` code: the same names as in ``kodo``, awaited. Public as ``kodo.aio``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self, Unpack

from kodo.client.answer import Answer
from kodo.client.async_session import AsyncSession
from kodo.client.errors import RequestRefusedError
from kodo.client.request_plan import CallOptions
from kodo.client.retry import exponential_backoff_retry, retry_with_backoff
from kodo.jobs.generate.chat import Transcript, Turn, without_previous
from kodo.jobs.generate.code import with_defaults
from kodo.jobs.generate.fences import CodeFilter
from kodo.jobs.generate.job import can_check, usable, verify, with_files
from kodo.jobs.generate.many import generate_batch_async as generate_batch

__all__ = [
    "Chat",
    "Session",
    "exponential_backoff_retry",
    "generate_batch",
    "generate_code",
    "generate_code_stream",
    "retry_with_backoff",
]

Session = AsyncSession


async def generate_code(
    prompt: str,
    *,
    language: str | None = None,
    context: Mapping[str, str] | None = None,
    check: bool = False,
    session: AsyncSession | None = None,
    **options: Unpack[CallOptions],
) -> str:
    """As :func:`kodo.generate_code`."""
    if check:
        can_check(language)
    options = with_defaults(options, language)
    async with _session(session) as used:
        answer = await used.respond(with_files(prompt, context or {}), **options)
    return usable(verify(answer, language, check=check))


async def generate_code_stream(
    prompt: str,
    *,
    language: str | None = None,
    context: Mapping[str, str] | None = None,
    session: AsyncSession | None = None,
    **options: Unpack[CallOptions],
) -> AsyncGenerator[str, None]:
    """As :func:`kodo.generate_code_stream`, read with ``async for``."""
    options = with_defaults(options, language)
    found = CodeFilter()
    async with (
        _session(session) as used,
        await used.stream(with_files(prompt, context or {}), **options) as stream,
    ):
        async for piece in stream:
            if code := found.feed(piece):
                yield code
        if code := found.finish():
            yield code
        usable(verify(stream.answer, language, check=False))


class AsyncChat:
    """As :class:`kodo.Chat`, awaited. Public as ``kodo.aio.Chat``."""

    def __init__(
        self,
        session: AsyncSession,
        *,
        name: str | None = None,
        instructions: str | None = None,
        model: str | None = None,
    ) -> None:
        self.session = session
        self.transcript = Transcript(name, instructions, model)

    @classmethod
    def resume(cls, session: AsyncSession, name: str) -> Self:
        """Go on with a saved chat.

        Raises:
            ChatNotFoundError: none is saved under this name.
        """
        chat = cls(session)
        chat.transcript = Transcript.load(name)
        return chat

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What has been said."""
        return tuple(self.transcript.turns)

    async def say(self, text: str, **options: Unpack[CallOptions]) -> Answer:
        """One turn, answered whole."""
        asked = self.transcript.options(options)
        try:
            answer = await self.session.respond(text, **asked)
        except RequestRefusedError as error:
            if not self.transcript.forgotten(error):
                raise
            answer = await self.session.respond(self.transcript.history(text), **without_previous(asked))
        self.transcript.add(text, answer)
        return answer

    async def stream(self, text: str, **options: Unpack[CallOptions]) -> AsyncGenerator[str, None]:
        """One turn in pieces as it is written. A turn that is left early or breaks is not kept."""
        asked = self.transcript.options(options)
        try:
            stream = await self.session.stream(text, **asked)
        except RequestRefusedError as error:
            if not self.transcript.forgotten(error):
                raise
            stream = await self.session.stream(self.transcript.history(text), **without_previous(asked))
        async with stream:
            async for piece in stream:
                yield piece
            self.transcript.add(text, stream.answer)

    def undo(self) -> Turn | None:
        """Take the last turn back; None if the chat is empty."""
        return self.transcript.undo()

    def save(self, name: str) -> None:
        """Keep the chat under a name from now on.

        Raises:
            ValueError: a name that cannot be a file's.
        """
        kept = self.transcript
        self.transcript = Transcript(name, kept.instructions, kept.model, kept.turns)
        self.transcript.save()


Chat = AsyncChat


@asynccontextmanager
async def _session(given: AsyncSession | None) -> AsyncIterator[AsyncSession]:
    if given is not None:
        yield given
    else:
        async with AsyncSession() as made:
            yield made
