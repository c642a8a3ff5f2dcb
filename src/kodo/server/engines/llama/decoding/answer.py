"""One answer while it is being written: the ids so far, in one slot of the engine.

A turn may take several requests to the engine (free text, then a call's arguments under their grammar); each goes on
from the ids of the last. Counts what the engine counts, finds the ids that it does not report, keeps characters whole,
and stops at stop strings, which the engine would report with the wrong token's text.

Knows ids and the engine's stream; knows nothing of items, tools or reasoning.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from kodo.server.engines.llama.decoding.prefill_pacer import PrefillPacer
from kodo.server.engines.llama.process.client import ChildClient, Chunk, Completion, TokenLogprob
from kodo.server.engines.llama.prompting.content import TokenIds
from kodo.server.engines.llama.prompting.images import media_prompt
from kodo.server.engines.llama.prompting.tokens import TokenCache
from kodo.server.engines.stop_buffer import StopBuffer
from kodo.server.lifecycle.ports import Progress, TextDelta, Usage
from kodo.server.wire.items import Logprob, TopLogprob


class Answer:
    """The prompt's ids, those of the answer, and the way to more of them.

    ``ended`` says how the last :meth:`write` ended: ``eos``, ``limit``, ``stop`` (a stop string) or ``refused``; None before.
    """

    def __init__(
        self,
        client: ChildClient,
        tokens: TokenCache,
        settings: dict[str, Any],
        prompt: TokenIds,
        *,
        before: TokenIds = (),
        max_tokens: int,
        pacer: PrefillPacer,
        unread_tokens: int,
        images: Mapping[int, bytes] | None = None,
    ) -> None:
        """``unread_tokens``: ids of the prompt that the slot does not hold, as far as is known."""
        self._client = client
        self._pacer = pacer
        self._unread_tokens = unread_tokens
        self._tokens = tokens
        self._settings = settings
        self._images = images or {}
        self._prompt = len(prompt)
        self._cached: int | None = None
        self.ids: list[int] = [*prompt, *before]
        self.written = len(before)
        self.tokens_left = max_tokens
        """Tokens that may still be written."""
        self.reasoning = 0
        self.ended: str | None = None
        self.stopped_by: str | None = None
        """The stop string that ended the last :meth:`write`."""
        self._dropped = 0
        self._stream: Completion | None = None

    @property
    def usage(self) -> Usage:
        """What the answer took so far."""
        return Usage(
            input=self._prompt,
            cached=min(self._cached or 0, self._prompt),
            output=self.written,
            reasoning=self.reasoning,
        )

    def append(self, ids: Sequence[int]) -> bool:
        """Put ids into the answer that the model is not asked for; returns False and does nothing without room."""
        if len(ids) > self.tokens_left:
            self.ended = "limit"
            return False
        self.ids.extend(ids)
        self.written += len(ids)
        self.tokens_left -= len(ids)
        return True

    @property
    def position(self) -> tuple[int, int, int]:
        """Where the answer stands, for :meth:`roll_back`."""
        return len(self.ids), self.written, self.tokens_left

    def roll_back(self, position: tuple[int, int, int]) -> None:
        """Forget what was written since; the answer counts as ended by the model."""
        kept, self.written, self.tokens_left = position
        del self.ids[kept:]
        self.ended = "eos"

    def drop_stop_string(self) -> None:
        """Forget the ids that were drawn behind a stop string: something else is put in their place."""
        self.written -= self._dropped
        self.tokens_left += self._dropped
        self._dropped = 0

    def close(self) -> None:
        """Drop the engine's stream, if one is open: its slot is free immediately."""
        if self._stream is not None:
            self._stream.close()

    def interrupt(self) -> None:
        """End the current :meth:`write`, which is not read any further; tokens that were drawn and not given are forgotten."""
        self.close()
        given = len(self.ids) - self._prompt
        self.tokens_left += self.written - given
        self.written = given
        self.ended = "stop"

    async def write(
        self,
        *,
        grammar: str | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        opening: Sequence[str] = (),
        admits: Callable[[TextDelta], Awaitable[bool]] | None = None,
        **settings: object,
    ) -> AsyncGenerator[Progress | TextDelta, None]:
        """Let the model continue, under a grammar or free, up to ``max_tokens`` tokens, its end or a stop string.

        ``opening`` are stop strings that count only where the text begins. ``admits`` is asked before each piece is
        taken, with ``tokens_left`` counted behind it; the first one it refuses is not taken, and ends the text
        (``refused``), as do pieces of a character that the limit cuts.

        The stop string and what stands behind it are not in the text, and not in ``ids``.
        """
        first, self.stopped_by = self.ended is None, None
        cap = self.tokens_left if max_tokens is None else min(max_tokens, self.tokens_left)
        if cap <= 0:
            self.ended = "limit"
            return
        body = await self._body({**settings, "n_predict": cap}, grammar)
        buffer = StopBuffer(stop, opening)
        begun = len(self.ids)
        counted = 0
        textless: list[int] = []
        prefill = await self._pacer.acquire(self._unread_tokens if first else 0)
        self._stream = stream = self._client.complete(body)
        try:
            async for chunk in stream.chunks():
                prefill.started()
                progress = chunk.prompt_progress
                if progress is not None:
                    if first:
                        self._cached = progress.cache
                        yield self._progress(progress.processed)
                    continue
                new = chunk.tokens_predicted - counted
                counted = chunk.tokens_predicted
                self.written += new
                self.tokens_left -= new
                if chunk.stop:
                    self._end(chunk, first)
                    break
                textless.extend(chunk.tokens if new <= len(chunk.tokens) else await self._ids(chunk, new))
                if not chunk.content:
                    continue  # an end token, or another control token: without text
                delta = _delta(chunk, textless)
                textless.clear()
                for ready in buffer.add(delta):
                    if admits is not None and not await admits(ready):
                        self._give_back(counted - (len(self.ids) - begun))
                        return
                    self.ids.extend(ready.tokens)
                    yield ready
                if buffer.stopped_by is not None:
                    self.ended, self.stopped_by = "stop", buffer.stopped_by
                    self._dropped = counted - (len(self.ids) - begun)
                    return
        finally:
            stream.close()
            prefill.started()
        unread = counted - (
            len(self.ids) - begun
        )  # the last of them came without a chunk where a character is cut
        if self.ended == "limit" and unread > 0 and admits is not None:
            self._give_back(unread)
            return
        if self.ended == "eos" and textless:
            textless.pop()  # the template's mark for the end of a turn takes its place
        for ready in buffer.flush(tuple(textless)):
            self.ids.extend(ready.tokens)
            yield ready

    async def _body(self, settings: dict[str, object], grammar: str | None) -> dict[str, object]:
        """The request that continues the answer."""
        body = {**self._settings, **settings, "prompt": self.ids.copy()}
        if self._images:
            body["prompt"] = await media_prompt(self._client, self.ids, self._images)
        if grammar is not None:
            body["grammar"] = grammar
        return body

    def _end(self, last: Chunk, first: bool) -> None:
        """Take from the last chunk why the text ended, and of the first text what was cached."""
        if first and last.timings is not None:
            self._cached = last.timings.cache_n
        self.ended = last.stop_type

    def _give_back(self, tokens: int) -> None:
        """Forget tokens that were drawn and not taken."""
        self.written -= tokens
        self.tokens_left += tokens
        self.ended = "refused"

    def _progress(self, done: int) -> Progress:
        return Progress(
            total=self._prompt, done=min(done, self._prompt), cached=min(self._cached or 0, self._prompt)
        )

    async def _ids(self, chunk: Chunk, new: int) -> TokenIds:
        """The ids of a chunk of ``new`` tokens that names fewer: the engine leaves out those that ended inside a character;
        their text tells them."""
        if not chunk.content:
            return chunk.tokens
        found = (await self._tokens.plain("", (chunk.content,)))[chunk.content]
        return found if len(found) == new else (*found[:-1], *chunk.tokens)


def _delta(chunk: Chunk, ids: Sequence[int]) -> TextDelta:
    """The text of a chunk, with the ids of all tokens that led to it."""
    logprobs = tuple(_logprob(one) for one in chunk.completion_probabilities)
    return TextDelta(text=chunk.content, tokens=tuple(ids), logprobs=logprobs)


def _logprob(token: TokenLogprob) -> Logprob:
    top = tuple(
        TopLogprob(token=one.token, logprob=one.logprob, bytes=one.bytes) for one in token.top_logprobs
    )
    return Logprob(token=token.token, logprob=token.logprob, bytes=token.bytes, top_logprobs=top)


def limit_top_logprobs(delta: TextDelta, count: int) -> TextDelta:
    """A delta with at most ``count`` alternatives at each position."""
    logprobs = tuple(
        msgspec.structs.replace(one, top_logprobs=one.top_logprobs[:count]) for one in delta.logprobs
    )
    return msgspec.structs.replace(delta, logprobs=logprobs)
