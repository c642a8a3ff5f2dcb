"""One server: its client, its profile, and one request to it. Errors of HTTP and of the server are translated here."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct, field

from kodo.server.engines.http_client import ConnectFailed, ConnectionLost, HttpClient, HttpExchange
from kodo.server.engines.upstream import counting
from kodo.server.engines.upstream.answer_form import AnswerForm
from kodo.server.engines.upstream.chat_request import UpstreamRequest, chat_request, merge
from kodo.server.engines.upstream.chat_stream import ChatStream
from kodo.server.engines.upstream.detection import Identity, identify, profile_of_host
from kodo.server.engines.upstream.efforts import effort_at, nearest_effort, offered_efforts, with_effort
from kodo.server.engines.upstream.error_translation import translate
from kodo.server.engines.upstream.incoming import AnswerReader, Incoming
from kodo.server.engines.upstream.masking import HiddenValues
from kodo.server.engines.upstream.merging import merge_deltas
from kodo.server.engines.upstream.message_channels import envelope_of
from kodo.server.engines.upstream.message_order import apply_rules, refused_rule
from kodo.server.engines.upstream.profile import profile_named
from kodo.server.engines.upstream.refusal import UpstreamRefusal, read_refusal
from kodo.server.engines.upstream.responses_request import responses_request
from kodo.server.engines.upstream.responses_stream import ResponsesStream
from kodo.server.engines.upstream.text_calls import TextCalls
from kodo.server.engines.upstream.text_channels import may_open_thoughts
from kodo.server.engines.upstream.unknown_tools import UnknownCall, with_tool_error
from kodo.server.lifecycle import genai, tracing
from kodo.server.lifecycle.errors import EngineFailed, EngineUnavailable, ServiceError
from kodo.server.lifecycle.ports import EngineEvent, Finished, Prompt, Usage
from kodo.server.wire.foreign_json import NotJson, read_json_as
from kodo.server.wire.items import Call

logger = logging.getLogger(__name__)

MAX_CONNECT_SECONDS: Final = 10.0
MAX_SILENCE_SECONDS: Final = 600.0
MAX_UNKNOWN_ROUNDS: Final = 2
"""How often a model is told that it called a tool that was not offered, before its call is dropped."""
MAX_ERROR_BYTES: Final = 256 * 1024
DETECTION_PAUSE_SECONDS: Final = 5.0
_ADVISORY: Final = {"stream_options", "prompt_cache_key", "parallel_tool_calls", "verbosity", "safety_identifier"}  # fmt: skip
"""Fields that may be left out for a server that refuses them: they do not change what is asked."""
_KEY_NAME: Final = re.compile(r"(?i)key|token|secret|sig|code|pass|auth")
"""Names of query parameters that carry a key."""


class TargetOptions(Struct, frozen=True, kw_only=True):
    """How to reach one server. ``profile``: a name, or ``auto``."""

    name: str
    base_url: str
    model: str
    api_key: str | None = None
    profile: str = "auto"
    api: str = "chat"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    omit: tuple[str, ...] = ()


class Target:
    """A server behind a model's name."""

    def __init__(self, options: TargetOptions, origin: str) -> None:
        """``origin``: whose reasoning and ids are this server's.

        Raises:
            ValueError: the URL or the profile's name is wrong.
        """
        self.name = options.name
        self.options = options
        self.in_flight = 0
        self._origin = origin
        chosen = profile_of_host(urlsplit(options.base_url).hostname or "") or "generic"
        self.profile = profile_named(chosen if options.profile == "auto" else options.profile)
        self.identity = Identity(profile=self.profile.name, reached=False)
        self._refused: set[str] = set()
        self._rules: set[str] = set()
        """What the server was found to refuse about messages."""
        self._max_tokens: str | None = None
        self._efforts: tuple[str, ...] = ()
        """The efforts that the server said it has."""
        self._expects_thoughts = may_open_thoughts(options.model)
        """Whether the text of an answer is expected to begin with thoughts that no mark opens: as the last one did."""
        self._asked_at = float("-inf")
        self._form = AnswerForm(self.name)
        self._secrets = _secrets(options)
        self._connect()

    def _connect(self) -> None:
        """The clients for the profile's headers."""
        options, profile = self.options, self.profile
        headers = {**profile.headers, **options.headers}
        if options.api_key:
            if profile.auth == "api-key":
                headers.setdefault("api-key", options.api_key)
            headers.setdefault("authorization", f"Bearer {options.api_key}")
        url = urlsplit(options.base_url.rstrip("/"))
        root = f"{url.scheme}://{url.netloc}"
        self.client = HttpClient(
            options.base_url.rstrip("/"),
            headers=headers,
            connect_seconds=MAX_CONNECT_SECONDS,
            silence_seconds=MAX_SILENCE_SECONDS,
        )
        self.root = HttpClient(
            root,
            headers=headers,
            connect_seconds=MAX_CONNECT_SECONDS,
            silence_seconds=MAX_CONNECT_SECONDS,
        )
        query = {**profile.query, **options.query}
        self._query = f"?{urlencode(query)}" if query else ""

    @property
    def host(self) -> str:
        """The name of the server's host."""
        return self.client.host

    async def identify(self) -> None:
        """Ask the server what it is, unless that was tried a moment ago; the profile follows where it is ``auto``."""
        now = asyncio.get_running_loop().time()
        if self.identity.reached or now - self._asked_at < DETECTION_PAUSE_SECONDS:
            return
        self._asked_at = now
        self.identity = await identify(self.client, self.root, self.options.model)
        if (
            self.options.profile == "auto"
            and self.identity.profile != self.profile.name
            and self.identity.reached
        ):
            self.profile = profile_named(self.identity.profile)
            logger.info("upstream server %s is taken for %s", self.name, self.profile.name)
            await self.close()
            self._connect()

    async def healthy(self) -> bool:
        """Ask a question that costs the server nothing: whether it answers with less than a 500."""
        path = self.profile.health
        client, path = (self.root, path[1:]) if path.startswith("//") else (self.client, path)
        try:
            async with asyncio.timeout(MAX_CONNECT_SECONDS):
                exchange = await client.request("GET", path)
        except (ConnectFailed, ConnectionLost, TimeoutError):
            return False
        status = exchange.status
        exchange.close()
        return status < 500

    async def close(self) -> None:
        """Close the connections. May be called twice."""
        await self.client.close()
        await self.root.close()

    # --- requests ---

    def request(self, prompt: Prompt) -> UpstreamRequest:
        """The prompt in this server's form, without caps.

        Raises:
            InvalidRequest: it has something that cannot be sent there.
        """
        if self.options.api == "responses":
            made = responses_request(self.options.model, prompt, self.profile, self._origin)
        else:
            made = chat_request(self.options.model, prompt, self.profile, self._origin)
        for name in self.options.omit:
            made.body.pop(name, None)
        merge(made.body, self.options.body)
        return made

    async def count(self, request: UpstreamRequest) -> int | None:
        """Tokens of a request by the server's own tokenizer. None if it has none, or does not answer."""
        if not self.profile.tokenize or self.options.api == "responses":
            return None
        return await counting.count(self.root, self.profile.tokenize, request.body)

    def answer(
        self, prompt: Prompt, request: UpstreamRequest, *, cap: int | None, estimate: int
    ) -> TargetAnswer:
        """The answer to a request, which is sent when the first of it is read."""
        return TargetAnswer(self, prompt, request, cap=cap, estimate=estimate)

    def reader(self, request: UpstreamRequest, prompt: Prompt) -> AnswerReader:
        """What reads the answer to a request."""
        used_ids = {context.item.call_id for context in prompt.items if isinstance(context.item, Call)}
        given = (request.labels, self.profile, self._origin, self._secrets, used_ids)
        if self.options.api == "responses":
            return ResponsesStream(*given)
        return ChatStream(
            *given,
            stops=prompt.sampling.stop,
            text_calls=_text_calls(request.body),
            expects_thoughts=self._expects_thoughts,
            envelope=envelope_of(self.options.model),
            whole=prompt.whole,
        )

    async def open(self, prompt: Prompt, body: dict[str, Any], cap: int | None) -> HttpExchange:
        """Send a request; the head of its answer says that it is one. Raises ``ServiceError``."""
        path = ("/responses" if self.options.api == "responses" else "/chat/completions") + self._query
        clock = asyncio.get_running_loop().time
        while True:
            whole = self.options.api == "chat" and self._form.is_whole(prompt)
            data = msgspec.json.encode(self._final_body(body, cap, whole=whole))
            sent = clock()
            try:
                with tracing.span(
                    genai.UPSTREAM, {"server.address": self.client.host, "server.port": self.client.port}
                ):
                    exchange = await self.client.request("POST", path, data, tracing.outgoing_headers())
            except (ConnectFailed, ConnectionLost) as error:
                if whole and isinstance(error, ConnectionLost) and self._form.learn_silence(clock() - sent):
                    continue
                raise EngineUnavailable("The model's server cannot be reached.") from error
            if exchange.status == 200:
                return exchange
            refusal = await self._refusal(exchange)
            if not (
                (whole and self._form.learn_refusal(refusal))
                or self._learn(refusal, cap)
                or self._learn_efforts(refusal, body)
                or self._learn_messages(refusal, body)
            ):
                raise self._error(refusal, exchange.headers)

    def _final_body(self, body: dict[str, Any], cap: int | None, *, whole: bool) -> dict[str, Any]:
        final = {**body, "stream": not whole}
        if cap is not None:
            final[self._max_tokens_field] = cap
        if whole:
            final.pop("stream_options", None)
        elif self.options.api != "responses" and "stream_options" not in self.profile.omit:
            final.setdefault("stream_options", {"include_usage": True})
        if self._efforts and (effort := effort_at(final, self._effort_field)):
            final = with_effort(final, self._effort_field, nearest_effort(effort, self._efforts))
        for name in self._refused:
            final.pop(name, None)
        if self._rules and "messages" in final:
            final["messages"] = apply_rules(final["messages"], self._rules)
        return final

    @property
    def _max_tokens_field(self) -> str:
        if self.options.api == "responses":
            return "max_output_tokens"
        return self._max_tokens or self.profile.max_tokens

    @property
    def _effort_field(self) -> str:
        return "reasoning.effort" if self.options.api == "responses" else self.profile.effort

    async def _refusal(self, exchange: HttpExchange) -> UpstreamRefusal:
        try:
            return read_refusal(exchange.status, await exchange.read(MAX_ERROR_BYTES))
        except ConnectionLost:
            return UpstreamRefusal(status=exchange.status)
        finally:
            exchange.close()

    def _learn(self, refusal: UpstreamRefusal, cap: int | None) -> bool:
        """Whether the request can be sent again in another form, after what the server says about a field."""
        name = refusal.refused_field
        field_ = self._max_tokens_field
        if name == field_ and cap is not None and self._max_tokens is None and self.options.api == "chat":
            self._max_tokens = "max_completion_tokens" if field_ == "max_tokens" else "max_tokens"
        elif name not in self._refused and (
            name in _ADVISORY or (name == self.profile.effort and self.profile.effort_optional)
        ):
            self._refused.add(name)
        else:
            return False
        logger.info("upstream server %s refuses the field %s; it is left out from now on", self.name, name)
        return True

    def _learn_efforts(self, refusal: UpstreamRefusal, body: dict[str, Any]) -> bool:
        """Whether the request can be sent again with another effort, after the server named those that it has."""
        effort = effort_at(body, self._effort_field)
        efforts = () if self._efforts or effort is None else offered_efforts(refusal)
        if not efforts or effort in efforts:
            return False
        self._efforts = efforts
        logger.info("upstream server %s has the efforts %s; others go as the nearest", self.name, efforts)
        return True

    def _learn_messages(self, refusal: UpstreamRefusal, body: Mapping[str, Any]) -> bool:
        """Whether the messages can be sent again in another form, after what the server says about them."""
        if refusal.status not in (400, 422, 500) or "messages" not in body:
            return False
        rule = refused_rule(refusal.message, apply_rules(body["messages"], self._rules), self._rules)
        if rule is None:
            return False
        self._rules.add(rule)
        logger.info(
            "upstream server %s refuses messages (%s); they have another form from now on", self.name, rule
        )
        return True

    def _error(self, refusal: UpstreamRefusal, headers: Mapping[str, str]) -> ServiceError:
        error = translate(refusal, headers, self.profile, self._secrets)
        logger.warning("upstream server %s refused (%d): %s", self.name, refusal.status, error.message)
        return error

    def learn_thoughts(self, *, unopened: bool) -> None:
        """An answer began with thoughts that no mark had opened, or did not: the next one is expected to be like it."""
        self._expects_thoughts = unopened

    def ask_again(
        self,
        prompt: Prompt,
        request: UpstreamRequest,
        said: Sequence[EngineEvent],
        unknown: Sequence[UnknownCall],
    ) -> tuple[Prompt, UpstreamRequest]:
        """What a model is asked after calls of tools that were not offered: it sees an error for each."""
        prompt = with_tool_error(prompt, said, unknown, offered=list(request.labels), origin=self._origin)
        return prompt, self.request(prompt)

    async def embed(self, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """The server's embeddings, and the tokens read. Raises ``ServiceError``."""
        data = msgspec.json.encode({"model": self.options.model, "input": list(texts)})
        try:
            exchange = await self.client.request("POST", f"/embeddings{self._query}", data)
            if exchange.status != 200:
                raise self._error(await self._refusal(exchange), exchange.headers)
            try:
                body = await exchange.read()
            finally:
                exchange.close()
        except (ConnectFailed, ConnectionLost) as error:
            raise EngineUnavailable("The model's server cannot be reached.") from error
        try:
            answer = read_json_as(msgspec.json.Decoder(_Vectors), body)
        except NotJson as error:
            raise EngineFailed("The model's server sent something else than embeddings.") from error
        if len(answer.data) != len(texts):
            raise EngineFailed("The model's server sent another number of embeddings than it was asked for.")
        return [one.embedding for one in answer.data], answer.usage.prompt_tokens


class TargetAnswer:
    """One answer, a batch of events at a time, over as many requests as it takes: a call of a tool that was not offered is
    answered with an error that the model sees, up to :data:`MAX_UNKNOWN_ROUNDS` times.

    Read :meth:`next_batch` until it is None, then :meth:`close`.
    """

    def __init__(
        self, target: Target, prompt: Prompt, request: UpstreamRequest, *, cap: int | None, estimate: int
    ) -> None:
        """``cap``: of its tokens; ``estimate``: tokens of the prompt, where the server does not count."""
        self._target = target
        self._prompt = prompt
        self._request = request
        self._cap = self._left = cap
        self._estimate = estimate
        self._requests = 0
        self._used = Usage()
        """By the requests so far."""
        self._said: list[EngineEvent] = []
        """In answer to the last one."""
        self._incoming: Incoming | None = None
        self._finished = False

    async def next_batch(self) -> Sequence[EngineEvent] | None:
        """Events that arrived together, at least one; None: there are no more. The last of all is ``Finished``.

        Raises:
            ServiceError: the server cannot be reached, refuses, or breaks off.
        """
        while not self._finished:
            if self._incoming is None:
                await self._ask()
            elif (batch := await self._incoming.next_batch()) is not None:
                if self._request.labels:
                    self._said.extend(batch)
                return merge_deltas(batch) if self._prompt.whole else batch
            elif last := self._end(self._incoming):
                return last
        return None

    def close(self) -> None:
        """Give the connection back, or drop it where the answer is not whole. May be called again."""
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None

    async def _ask(self) -> None:
        self._requests += 1
        self._said = []
        reader = self._target.reader(self._request, self._prompt)
        self._incoming = Incoming(
            await self._target.open(self._prompt, self._request.body, self._left), reader
        )

    def _end(self, incoming: Incoming) -> Sequence[EngineEvent]:
        """The last events of the answer to a request; ``Finished`` is among them unless another one follows."""
        self.close()
        reader = incoming.reader
        *last, end = reader.finish(self._estimate, self._left)
        if not isinstance(end, Finished):
            raise TypeError("an answer's last event is its end")
        if reader.unopened_thoughts is not None:
            self._target.learn_thoughts(unopened=reader.unopened_thoughts)
        self._used += end.usage
        self._left = None if self._cap is None else self._cap - self._used.output
        unknown = reader.unknown_calls
        if unknown and self._requests <= MAX_UNKNOWN_ROUNDS and (self._left is None or self._left > 0):
            said = [*self._said, *last]
            self._prompt, self._request = self._target.ask_again(self._prompt, self._request, said, unknown)
            return last
        if unknown:
            logger.info("a model called the unknown tool %r; the call was dropped", unknown[0].name)
        self._finished = True
        return [*last, msgspec.structs.replace(end, usage=self._used)]


def _text_calls(body: Mapping[str, Any]) -> TextCalls | None:
    """What finds calls in the text of an answer, where the request offers tools."""
    if body.get("tool_choice") == "none" or not body.get("tools"):
        return None
    functions = (tool["function"] for tool in body["tools"])
    schemas = {function["name"]: function.get("parameters") or {} for function in functions}
    return TextCalls(schemas, bare="response_format" not in body)


def _secrets(options: TargetOptions) -> HiddenValues:
    """What of the settings no message may show: keys wherever they stand, and the address."""
    url = urlsplit(options.base_url)
    query = [value for name, value in options.query.items() if _KEY_NAME.search(name)]
    keys = (options.api_key or "", url.password or "", *options.headers.values(), *query)
    host = url.hostname or ""
    return HiddenValues(
        keys=tuple(key for key in keys if key),
        addresses=tuple(name for name in (url.netloc.rpartition("@")[2], host) if set(name) & set(".:")),
    )


class _Vector(Struct, frozen=True):
    embedding: tuple[float, ...]


class _VectorUsage(Struct, frozen=True):
    prompt_tokens: int = 0


class _Vectors(Struct, frozen=True):
    data: tuple[_Vector, ...]
    usage: _VectorUsage = _VectorUsage()
