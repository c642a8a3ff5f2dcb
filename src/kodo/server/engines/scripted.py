"""An engine that plays a script: for tests, for replays, and for ``kodo serve`` without a model.

It is part of the product, and deterministic: the same prompt gets the same answer, interrupted answers continue where
they stopped, and a prompt that the script does not provide for is an error. Without a script it echoes the last text of
the prompt.

Tokens are counted by a rule that a test can compute: one for every four characters or part of them, four more for each
item of the prompt, and four for the instructions.

A script is JSON: ``{"pace": 0.0, "continues": true, "turns": [...]}``. A turn is chosen by its ``match``, a regular
expression that is searched in the text of the prompt's last item, in the order of the file; if none matches, the next
turn without ``match`` is used up. ``steps`` are what the turn does: ``text``, ``reasoning``, ``call``, ``delay``
(seconds), ``fail`` (a message), and ``finish`` (the reason of the end, by default ``stop``).

A stop string ends the answer in front of it. Nothing is drawn here: every token is certain, so that log probabilities are 0,
and ``logit_bias`` is refused.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import zlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import referencing
import referencing.exceptions
from msgspec import Struct

from kodo.server.engines.schema_references import check_references
from kodo.server.engines.stop_buffer import StopBuffer
from kodo.server.lifecycle.errors import EngineFailed, InvalidRequest
from kodo.server.lifecycle.ports import (
    CallDelta,
    CallStart,
    EngineEvent,
    Finished,
    ModelCard,
    Prepared,
    Progress,
    Prompt,
    ReasoningDelta,
    Sampling,
    TextDelta,
    Usage,
)
from kodo.server.wire.items import (
    FunctionCallOutput,
    Item,
    Logprob,
    Message,
    ShellCallOutput,
    TopLogprob,
    text_of,
)
from kodo.server.wire.tools import JsonObjectFormat, JsonSchemaFormat, TextFormat

CHARACTERS_PER_TOKEN = 4
ITEM_OVERHEAD = 4
WINDOW = 32_768


class Text(Struct, frozen=True, tag="text", forbid_unknown_fields=True):
    """Generate text."""

    text: str


class Think(Struct, frozen=True, tag="reasoning", forbid_unknown_fields=True):
    """Generate reasoning."""

    text: str


class MakeCall(Struct, frozen=True, tag="call", forbid_unknown_fields=True):
    """Call a tool. ``arguments`` is JSON text or, for custom tools, the input; an object is encoded as JSON."""

    name: str
    arguments: str | dict[str, Any] = ""
    kind: str = "function"
    namespace: str | None = None
    call_id: str | None = None


class Delay(Struct, frozen=True, tag="delay", forbid_unknown_fields=True):
    """Wait for a number of seconds."""

    seconds: float


class Fail(Struct, frozen=True, tag="fail", forbid_unknown_fields=True):
    """Raise ``EngineFailed`` with a message; a response that is resumed after that skips this step."""

    message: str = "The script fails here."


class Finish(Struct, frozen=True, tag="finish", forbid_unknown_fields=True):
    """End the answer with a reason; ``stop_sequence``: the stop string that ended it."""

    reason: str = "stop"
    stop_sequence: str | None = None


Step = Text | Think | MakeCall | Delay | Fail | Finish


class ScriptTurn(Struct, frozen=True, forbid_unknown_fields=True):
    """The steps of one answer, and the prompts that it answers."""

    steps: tuple[Step, ...]
    match: str | None = None


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """All answers. ``pace`` is the pause in seconds before each token; ``continues``: whether interrupted answers can
    continue."""

    turns: tuple[ScriptTurn, ...] = ()
    pace: float = 0.0
    continues: bool = True


class _Plan(Struct, frozen=True):
    steps: tuple[Step, ...]


def load_script(path: Path) -> Script:
    """Read a script.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a valid script; the message names the place.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Script)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} is not a script: {error}") from error


def count_tokens(text: str) -> int:
    """Return the number of tokens of a text: one for every four characters or part of them."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Return the tokens of a text, with their ids."""
    for start in range(0, len(text), CHARACTERS_PER_TOKEN):
        piece = text[start : start + CHARACTERS_PER_TOKEN]
        yield piece, zlib.crc32(piece.encode())


class ScriptedEngine:
    """An :class:`~kodo.server.lifecycle.ports.Engine` that plays a :class:`Script`; an empty one echoes."""

    def __init__(self, script: Script | None = None, *, name: str = "scripted", parallel: int = 64) -> None:
        self._script = script if script is not None else Script()
        self._name = name
        self._parallel = parallel
        self._next = 0
        self.running = 0
        """Answers being given just now."""

    @property
    def restarts(self) -> int:
        """Always 0."""
        return 0

    @property
    def ready(self) -> bool:
        """Always True."""
        return True

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    async def card(self) -> ModelCard:
        """Describe a text model with reasoning and a window of 32,768 tokens."""
        return ModelCard(
            name=self._name,
            engine="scripted",
            context_window=WINDOW,
            max_output_tokens=WINDOW,
            parallel=self._parallel,
            reasoning=True,
            continues=self._script.continues,
            source="script" if self._script.turns else "echo",
        )

    async def prepare(self, prompt: Prompt) -> Prepared:
        """Choose the turn, and count the tokens.

        Raises:
            InvalidRequest: the script has no turn for this prompt, or the echo does not support the request.
        """
        items = tuple(ITEM_OVERHEAD + count_tokens(_item_text(context.item)) for context in prompt.items)
        if prompt.sampling.logit_bias:
            raise InvalidRequest(
                "Unsupported parameter: 'logit_bias': the scripted engine draws no tokens.",
                param="logit_bias",
                code="unsupported_parameter",
            )
        head = ITEM_OVERHEAD + count_tokens(prompt.instructions) if prompt.instructions else 0
        return Prepared(
            prompt=prompt,
            input_tokens=head + sum(items),
            item_tokens=items,
            payload=_Plan(steps=self._choose(prompt)),
        )

    async def generate(
        self, prepared: Prepared, *, events_so_far: Sequence[EngineEvent] = (), limit: int | None = None
    ) -> AsyncGenerator[EngineEvent, None]:
        """Play the turn from where the earlier run's events end."""
        plan: _Plan = prepared.payload
        caps = [cap for cap in (limit, prepared.prompt.max_output_tokens) if cap is not None]
        room = min([WINDOW - prepared.input_tokens, *caps])
        skip = _count_generated_tokens(events_so_far) if self._script.continues else 0
        written = thought = 0
        reason = "stop"
        stop_sequence: str | None = None
        sampling = prepared.prompt.sampling
        stops = StopBuffer(sampling.stop)
        self.running += 1
        try:
            yield Progress(total=prepared.input_tokens, done=prepared.input_tokens, cached=0)
            for step in (*plan.steps, None):
                if isinstance(step, Delay):
                    await asyncio.sleep(step.seconds if written >= skip else 0)
                elif isinstance(step, Fail):
                    if not skip or written > skip:
                        raise EngineFailed(step.message)
                elif isinstance(step, Finish):
                    reason, stop_sequence = step.reason, step.stop_sequence
                else:
                    for event in _until_stop(step, stops):
                        if written >= room:
                            reason = "length"
                            break
                        written += 1
                        thought += isinstance(event, ReasoningDelta)
                        if written > skip:
                            await asyncio.sleep(self._script.pace)
                            yield event if sampling.top_logprobs is None else _with_logprobs(event, sampling)
                    if stops.stopped_by is not None and reason != "length":
                        reason, stop_sequence = "stop", stops.stopped_by
                        break
                    if reason == "length":
                        break
            usage = Usage(input=prepared.input_tokens, output=written, reasoning=thought)
            yield Finished(reason=reason, usage=usage, stop_sequence=stop_sequence)
        finally:
            self.running -= 1

    async def embed(self, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """Return normalised letter counts: vectors of 32 numbers, equal for equal texts and otherwise without meaning."""
        vectors: list[list[float]] = []
        for text in texts:
            counts = [0.0] * 32
            for character in text:
                counts[ord(character) % 32] += 1.0
            norm = sum(value * value for value in counts) ** 0.5 or 1.0
            vectors.append([value / norm for value in counts])
        return vectors, sum(count_tokens(text) for text in texts)

    def _choose(self, prompt: Prompt) -> tuple[Step, ...]:
        text = _item_text(prompt.items[-1].item) if prompt.items else ""
        if not self._script.turns:
            return _echo(prompt, text)
        in_order = [turn for turn in self._script.turns if turn.match is None]
        for turn in self._script.turns:
            if turn.match is not None and re.search(turn.match, text):
                break
        else:
            if self._next >= len(in_order):
                raise InvalidRequest(f"The script has no turn for the text {text[:80]!r}.", param="input")
            turn = in_order[self._next]
            self._next += 1
        _check(prompt, turn.steps)
        calls = any(isinstance(step, MakeCall) for step in turn.steps)
        if calls and (prompt.tool_choice == "none" or not prompt.tools):
            return (Fail(message="The script calls a tool although the request allows none."),)
        return turn.steps


def _item_text(item: Item) -> str:
    """Return the text of an item."""
    match item:
        case Message():
            return text_of(item.content)
        case FunctionCallOutput():
            return item.output if isinstance(item.output, str) else text_of(item.output)
        case ShellCallOutput():
            return "".join(str(one.get("stdout", "")) for one in item.output)
        case _:
            return msgspec.json.encode(item).decode()


def _echo(prompt: Prompt, text: str) -> tuple[Step, ...]:
    if prompt.tool_choice not in ("auto", "none") or isinstance(prompt.format, JsonSchemaFormat):
        raise InvalidRequest(
            "The echo engine supports neither tools nor schemas; use the scripted engine with a script.",
            param="text.format" if isinstance(prompt.format, JsonSchemaFormat) else "tool_choice",
        )
    if isinstance(prompt.format, JsonObjectFormat):
        return (Text(text=msgspec.json.encode({"echo": text}).decode()),)
    return (Text(text=text),)


def _check(prompt: Prompt, steps: tuple[Step, ...]) -> None:
    """Check a script's turn against the prompt.

    Raises:
        EngineFailed: the script's text is not in the prompt's format.
        InvalidRequest: the prompt's schema cannot be used.
    """
    if isinstance(prompt.format, JsonSchemaFormat):
        _check_schema(prompt.format.schema_, "text.format.schema")
    if isinstance(prompt.format, TextFormat) or any(isinstance(step, Fail | MakeCall) for step in steps):
        return
    text = "".join(step.text for step in steps if isinstance(step, Text))
    try:
        value = msgspec.json.decode(text)
        if isinstance(prompt.format, JsonSchemaFormat):
            jsonschema.Draft202012Validator(prompt.format.schema_, registry=referencing.Registry()).validate(
                value
            )
    except referencing.exceptions.Unresolvable as error:
        raise InvalidRequest(
            f"The schema's reference '{error.ref}' leads nowhere.",
            param="text.format.schema",
            code="unsupported_schema",
        ) from None
    except (msgspec.DecodeError, jsonschema.ValidationError) as error:
        raise EngineFailed("The script's text does not match the requested format.") from error


def _check_schema(schema: dict[str, Any], param: str) -> None:
    check_references(schema, param)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.path)
        raise InvalidRequest(
            f"The schema is not valid: {error.message}", param=f"{param}{path}", code="unsupported_schema"
        ) from None


def _with_logprobs(event: EngineEvent, sampling: Sampling) -> EngineEvent:
    """A token of the text with its probability, which is 1."""
    if not isinstance(event, TextDelta) or not event.text:
        return event
    token = TopLogprob(token=event.text, logprob=0.0, bytes=tuple(event.text.encode()))
    others = (token,) if sampling.top_logprobs else ()
    chosen = Logprob(token=token.token, logprob=0.0, bytes=token.bytes, top_logprobs=others)
    return msgspec.structs.replace(event, logprobs=(chosen,))


def _until_stop(step: Text | Think | MakeCall | None, stops: StopBuffer) -> Iterator[EngineEvent]:
    """Yield a step as :func:`_events` does, its text up to a stop string; None: the answer is over."""
    if not isinstance(step, Text):
        yield from stops.flush()
        yield from () if step is None else _events(step)
        return
    for event in _events(step):
        yield from stops.add(event) if isinstance(event, TextDelta) else (event,)
        if stops.stopped_by is not None:
            return


def _events(step: Text | Think | MakeCall) -> Iterator[EngineEvent]:
    """Yield a step as events of one token each."""
    if isinstance(step, Text):
        for piece, token in _tokens(step.text):
            yield TextDelta(text=piece, tokens=(token,))
        return
    if isinstance(step, Think):
        for piece, token in _tokens(step.text):
            yield ReasoningDelta(text=piece, tokens=(token,))
        return
    arguments = step.arguments
    if isinstance(arguments, dict):
        arguments = msgspec.json.encode(arguments).decode()
    yield CallStart(
        call_id=step.call_id or f"call_{secrets.token_hex(12)}",
        name=step.name,
        kind=step.kind,
        namespace=step.namespace,
        tokens=(zlib.crc32(step.name.encode()),),
    )
    for piece, token in _tokens(arguments):
        yield CallDelta(text=piece, tokens=(token,))


def _count_generated_tokens(events: Sequence[EngineEvent]) -> int:
    """Count the tokens of an earlier run."""
    return sum(
        len(event.tokens)
        for event in events
        if isinstance(event, TextDelta | ReasoningDelta | CallStart | CallDelta)
    )
