"""An own program as the service: it reads the search as JSON from its standard input and writes results as JSON.

In: ``{"query", "max_results", "allowed_domains", "blocked_domains", "country", "city", "region", "timezone", "language"}``.
Out: ``[{"url", "title", "text"}]``, or ``{"results": […]}``. It is run anew for each search, without a shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from kodo.server.config import WebSearchSettings
from kodo.server.lifecycle.process_end import wait_until_gone
from kodo.server.lifecycle.supervised import cancel
from kodo.server.tools.error_output import log_errors
from kodo.server.tools.web_search.backends.ports import SearchFailed, WebQuery, WebResult
from kodo.server.tools.web_search.backends.service_http import results_of
from kodo.server.wire.foreign_json import NotJson, read_json

logger = logging.getLogger(__name__)

_LAST_WORDS_SECONDS: Final = 0.5
"""How long what the command has written last is read, where a process that it left still has its standard error."""

_END_SECONDS: Final = 5.0
"""How long the end of a command that was killed is waited for."""


class CommandBackend:
    """A program of the operator's."""

    def __init__(self, settings: WebSearchSettings) -> None:
        self._command = settings.command
        self._seconds = settings.search_seconds
        self._most = settings.search_bytes

    async def search(self, query: WebQuery) -> Sequence[WebResult]:
        """See the port."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise _failed(f"could not be started ({type(error).__name__})") from None
        if process.stderr is None:
            raise RuntimeError("a process without pipes")
        errors = asyncio.create_task(log_errors(process.stderr, "the search command"))
        try:
            async with asyncio.timeout(self._seconds):
                output = await self._exchange(process, msgspec.json.encode(_question(query)))
                code = await process.wait()
        except TimeoutError:
            raise _failed("took too long") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left running goes with it
            await wait_until_gone(process, _END_SECONDS)
            await asyncio.wait((errors,), timeout=_LAST_WORDS_SECONDS)
            await cancel(errors)
        if code != 0:
            raise _failed(f"ended with code {code}")
        try:
            answer = read_json(output)
        except NotJson:
            raise _failed("did not answer with JSON") from None
        return results_of(answer.get("results") if isinstance(answer, dict) else answer, ["text", "content"])

    async def _exchange(self, process: asyncio.subprocess.Process, question: bytes) -> bytes:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a process without pipes")
        with contextlib.suppress(ConnectionError):  # it may not read its input
            process.stdin.write(question)
            await process.stdin.drain()
        process.stdin.close()
        output = bytearray()
        while chunk := await process.stdout.read(65536):
            output += chunk
            if len(output) > self._most:
                raise _failed("gave an answer that is too large")
        return bytes(output)

    async def close(self) -> None:
        """See the port: nothing is open between two searches."""


def _question(query: WebQuery) -> dict[str, Any]:
    place = query.place
    return {
        "query": query.text,
        "max_results": query.most,
        "allowed_domains": query.allowed_domains,
        "blocked_domains": query.blocked_domains,
        "country": place and place.country,
        "region": place and place.region,
        "city": place and place.city,
        "timezone": place and place.timezone,
        "language": query.language,
    }


def _failed(what: str) -> SearchFailed:
    message = f"The search command {what}."
    logger.warning("%s", message)
    return SearchFailed(message)
