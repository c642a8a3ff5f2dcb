"""HTTP to the child: its routes as functions, its answers as values, its errors as kodo's.

Knows the child's routes and fields (llama.cpp's server, as of xllamacpp 2026.10); knows nothing of prompts or slots.
The one edge where the engine's errors are translated.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from kodo.server.engines.http_client import ConnectFailed, ConnectionLost, HttpExchange
from kodo.server.engines.llama.process.supervisor import Supervisor
from kodo.server.lifecycle.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    ServiceError,
)

MAX_CONNECT_ATTEMPTS = 40
CONNECT_PAUSE_SECONDS = 0.05
MAX_TEXT_CHARACTERS = 1_000_000
"""Characters of one text that is tokenised; see ``STACK_BYTES`` of the child, which does not hold for 2,000,000."""
_Result = TypeVar("_Result")


class TopToken(Struct, frozen=True):
    """An alternative at a position."""

    id: int
    token: str
    bytes: tuple[int, ...]
    logprob: float


class TokenLogprob(TopToken, frozen=True):
    """The token drawn and the likeliest ones."""

    top_logprobs: tuple[TopToken, ...] = ()


class PromptProgress(Struct, frozen=True):
    """How much of the prompt is read."""

    total: int
    cache: int
    processed: int


class Timings(Struct, frozen=True):
    """What a completion took: ``cache_n`` tokens of the prompt were in the cache."""

    cache_n: int = 0


class Chunk(Struct, frozen=True):
    """One event of a streamed completion.

    ``tokens_predicted`` counts every token so far, also those that are not reported because they end inside a
    character: the engine sends text, and the last token's id, only at whole characters.
    """

    content: str = ""
    tokens: tuple[int, ...] = ()
    stop: bool = False
    tokens_predicted: int = 0
    prompt_progress: PromptProgress | None = None
    completion_probabilities: tuple[TokenLogprob, ...] = ()
    stop_type: str = "none"
    timings: Timings | None = None
    error: dict[str, Any] | None = None


class _Tokens(Struct, frozen=True):
    tokens: tuple[int, ...]


class _Text(Struct, frozen=True):
    content: str


class _InputTokens(Struct, frozen=True):
    input_tokens: int


class _Rendered(Struct, frozen=True):
    prompt: str


class SlotInfo(Struct, frozen=True):
    """One slot's size in tokens."""

    id: int
    n_ctx: int


class _ModelMeta(Struct, frozen=True):
    n_ctx_train: int = 0
    n_params: int = 0


class _Model(Struct, frozen=True):
    meta: _ModelMeta = _ModelMeta()


class _Models(Struct, frozen=True):
    data: tuple[_Model, ...] = ()


class Props(Struct, frozen=True):
    """The model's own chat template."""

    chat_template: str = ""
    eos_token: str = ""
    media_marker: str = ""
    """Stands for an image in a prompt of text; another one in each process."""


class _SlotFile(Struct, frozen=True):
    n_saved: int = 0
    n_restored: int = 0


class _Embedding(Struct, frozen=True):
    embedding: tuple[float, ...]
    index: int = 0


class _EmbeddingUsage(Struct, frozen=True):
    prompt_tokens: int = 0


class _Embeddings(Struct, frozen=True):
    data: tuple[_Embedding, ...]
    usage: _EmbeddingUsage = _EmbeddingUsage()


_CHUNK = msgspec.json.Decoder(Chunk)


def translate_error(status: int, body: bytes) -> ServiceError:
    """The engine's error as one of kodo's. Its own words stay out: they may hold paths, or parts of the prompt."""
    try:
        error = msgspec.json.decode(body).get("error", {})
    except (msgspec.DecodeError, AttributeError):
        error = {}
    if not isinstance(error, dict):
        error = {}
    kind = error.get("type", "")
    message = str(error.get("message", ""))
    if kind == "exceed_context_size_error":
        return ContextLengthExceeded(
            window=int(error.get("n_ctx", 0)), needed=int(error.get("n_prompt_tokens", 0))
        )
    if status == 503 or kind == "unavailable_error":
        return EngineUnavailable("The engine is loading its model.")
    if status == 400 and ("grammar" in message or "schema" in message):
        return InvalidRequest("The engine cannot enforce this output format.", code="unsupported_schema")
    if status == 501 or kind == "not_supported_error":
        return InvalidRequest(
            "The engine of this model does not support this request.", code="unsupported_value"
        )
    if status == 400:
        return InvalidRequest("The engine rejected the request.")
    return EngineFailed("The engine reported an error.")


class Completion:
    """A completion that is streamed. :meth:`close` drops the connection, which frees the engine's slot.

    Iterating raises ``EngineFailed`` if the child ends in mid-answer or reports an error; before the first event also
    ``InvalidRequest``, ``ContextLengthExceeded`` and ``EngineUnavailable``.
    """

    def __init__(self, request: Coroutine[Any, Any, HttpExchange]) -> None:
        self._request = request
        self._exchange: HttpExchange | None = None

    def close(self) -> None:
        """Drop the connection. May be called at any time, and again."""
        if self._exchange is not None:
            self._exchange.close()

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """The events. To be called once."""
        self._exchange = exchange = await self._request
        try:
            if exchange.status != 200:
                raise translate_error(exchange.status, await exchange.read())
            pending = b""
            async for data in exchange.iter_body():
                *events, pending = (pending + data).split(b"\n\n")
                for event in events:
                    yield _decode_chunk(event)
            raise EngineFailed("The engine's process ended in the middle of an answer.")
        except ConnectionLost as error:
            raise EngineFailed("The engine's process ended in the middle of an answer.") from error
        finally:
            exchange.close()


class ChildClient:
    """The child's routes. One for a supervisor; safe to share among tasks."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._eos: int | None = None

    async def _open(self, method: str, path: str, body: object = None) -> HttpExchange:
        """Send a request to a child that is up, waiting for one that is just being restarted.

        A child that dies before it answers is given the request once more, in its next life: it may have been dying
        already. Not twice, since the request may be what killed it.

        Raises:
            EngineUnavailable: there is no child to send it to.
            EngineFailed: it ended before it answered.
        """
        data = None if body is None else msgspec.json.encode(body)
        failures = 0
        for _ in range(MAX_CONNECT_ATTEMPTS):
            channel = await self._supervisor.channel()
            try:
                return await channel.request(method, path, data)
            except ConnectFailed as error:
                if channel.closed:
                    raise EngineUnavailable("The engine is being stopped.") from error
                await asyncio.sleep(CONNECT_PAUSE_SECONDS)  # gone; the supervisor learns of it in a moment
            except ConnectionLost as error:
                failures += 1
                if failures > 1:
                    raise EngineFailed("The engine's process ended before it answered.") from error
                await asyncio.sleep(CONNECT_PAUSE_SECONDS)
        raise EngineUnavailable("The engine is not available: its process cannot be reached.")

    async def _exchange(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """A request's status and answer."""
        exchange = await self._open(method, path, body)
        try:
            return exchange.status, await exchange.read()
        except ConnectionLost as error:
            raise EngineFailed("The engine's process ended before it answered.") from error
        finally:
            exchange.close()

    async def _call(self, method: str, path: str, type_: type[_Result], body: object = None) -> _Result:
        status, data = await self._exchange(method, path, body)
        if status != 200:
            raise translate_error(status, data)
        return msgspec.json.decode(data, type=type_)

    def complete(self, body: dict[str, Any]) -> Completion:
        """A completion, streamed."""
        return Completion(self._open("POST", "/completion", body))

    async def tokenize(self, text: str, *, special: bool) -> tuple[int, ...]:
        """Token ids of a text; ``special``: control tokens are recognised in it.

        Raises:
            InvalidRequest: it has more than ``MAX_TEXT_CHARACTERS`` characters.
        """
        _check_length(len(text))
        body = {"content": text, "add_special": False, "parse_special": special}
        return (await self._call("POST", "/tokenize", _Tokens, body)).tokens

    async def detokenize(self, ids: Sequence[int]) -> str:
        """The text of ids, control tokens included."""
        return (await self._call("POST", "/detokenize", _Text, {"tokens": ids})).content

    async def leading_tokens(self) -> tuple[int, ...]:
        """The ids that the engine puts in front of a prompt of text."""
        return (await self._call("POST", "/tokenize", _Tokens, {"content": "", "add_special": True})).tokens

    async def image_tokens(self, image: bytes) -> int:
        """Tokens that an image takes; it is read, but not encoded.

        Raises:
            InvalidRequest: it is no image that the engine can read.
        """
        url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
        text = {"type": "text", "text": "x"}
        counts: list[int] = []
        for content in ([text, {"type": "image_url", "image_url": {"url": url}}], [text]):
            body = {"messages": [{"role": "user", "content": content}]}
            status, data = await self._exchange("POST", "/v1/chat/completions/input_tokens", body)
            if status in (400, 500) and not counts:
                raise InvalidRequest("The image cannot be read.", code="unsupported_content")
            if status != 200:
                raise translate_error(status, data)
            counts.append(msgspec.json.decode(data, type=_InputTokens).input_tokens)
        return max(1, counts[0] - counts[1])

    async def tokenize_batch(self, texts: Sequence[Sequence[str]]) -> list[tuple[int, ...]]:
        """Token ids of texts, none of them a control token, in one request. Each text comes in pieces, which are tokenised
        apart.

        The engine joins what it is given; the model's end token, which plain text cannot give, is put between.

        Raises:
            InvalidRequest: one has more than ``MAX_TEXT_CHARACTERS`` characters.
        """
        if not texts:
            return []
        for text in texts:
            _check_length(sum(map(len, text)))
        mark = await self._eos_token()
        content: list[str | int] = []
        for text in texts:
            content += [*text, mark]
        body = {"content": content, "add_special": False, "parse_special": False}
        joined = (await self._call("POST", "/tokenize", _Tokens, body)).tokens
        result: list[tuple[int, ...]] = []
        start = 0
        for position, token in enumerate(joined):
            if token == mark:
                result.append(joined[start:position])
                start = position + 1
        if len(result) != len(texts):
            raise EngineFailed("The engine could not tokenise the prompt.")
        return result

    async def _eos_token(self) -> int:
        if self._eos is None:
            (self._eos,) = await self.tokenize((await self.props()).eos_token, special=True)
        return self._eos

    async def render(self, body: dict[str, Any]) -> str:
        """The model's chat template over ``messages`` (and ``tools``).

        Raises:
            InvalidRequest: the template cannot render them.
        """
        status, data = await self._exchange("POST", "/apply-template", body)
        if status in (400, 500):  # what a template raises comes as either, as its words have it
            raise InvalidRequest("This model's chat template cannot render these messages.", param="input")
        if status != 200:
            raise translate_error(status, data)
        return msgspec.json.decode(data, type=_Rendered).prompt

    async def props(self) -> Props:
        """The model's chat template and end token."""
        return await self._call("GET", "/props", Props)

    async def slots(self) -> list[SlotInfo]:
        """The slots, with their size."""
        return await self._call("GET", "/slots", list[SlotInfo])

    async def model_size(self) -> tuple[int, int | None]:
        """Tokens of context that the model was trained for (0 if it does not say), and its parameters."""
        models = await self._call("GET", "/v1/models", _Models)
        meta = models.data[0].meta if models.data else _ModelMeta()
        return meta.n_ctx_train, meta.n_params or None

    async def save_slot(self, slot: int, file: str) -> int:
        """Write a slot's state to a file of the saves folder; returns its tokens."""
        return (await self._call("POST", f"/slots/{slot}?action=save", _SlotFile, {"filename": file})).n_saved

    async def restore_slot(self, slot: int, file: str) -> int:
        """Read a slot's state from a file of the saves folder; returns its tokens."""
        return (
            await self._call("POST", f"/slots/{slot}?action=restore", _SlotFile, {"filename": file})
        ).n_restored

    async def embed(self, texts: Sequence[str]) -> tuple[list[tuple[float, ...]], int]:
        """One vector a text, and the tokens read."""
        answer = await self._call("POST", "/v1/embeddings", _Embeddings, {"input": list(texts)})
        vectors = sorted(answer.data, key=lambda one: one.index)
        return [one.embedding for one in vectors], answer.usage.prompt_tokens


def _check_length(characters: int) -> None:
    if characters > MAX_TEXT_CHARACTERS:
        raise InvalidRequest(
            f"The input has a text of {characters:,} characters; a model on this machine takes at most {MAX_TEXT_CHARACTERS:,}.",
            param="input",
            code="string_above_max_length",
        )


def _decode_chunk(event: bytes) -> Chunk:
    """Decode one server-sent event; an error in it is raised."""
    if event.startswith(b"data: "):
        chunk = _CHUNK.decode(event[6:])
        if chunk.error is None:
            return chunk
    error = translate_error(500, event.partition(b": ")[2])
    raise error if isinstance(error, ContextLengthExceeded | Overloaded) else EngineFailed(error.message)
