"""Formats, schemas and grammars: from what a client asks for to a grammar that the engine surely enforces.

llama.cpp carries llguidance, which *fails open*: a grammar that it cannot compile leaves the model free, without an
error. So every grammar is compiled here first, by the same library, and refused where it does not compile; what was
generated is validated afterwards with jsonschema. Grammars are compact (no optional white space), since a small model
fills any room for padding with padding.

Knows schemas and llguidance; knows nothing of prompts, slots or HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import jsonschema
import llguidance
import msgspec
import referencing
from msgspec import Struct

from kodo.server.engines.llama.constraints.generation_schema import generation_schema
from kodo.server.engines.llama.constraints.shortest_ending import ShortestValues
from kodo.server.engines.llama.constraints.shortest_values import shortest_values
from kodo.server.engines.llama.tools.lenient_schema import lenient_schema
from kodo.server.engines.llama.tools.schema_limits import check_pattern, check_schema, unsupported_schema
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.wire.tools import CustomTool, Format, GrammarInput, JsonObjectFormat, JsonSchemaFormat

MAX_GRAMMAR = 32_000
"""Characters of a client's own grammar."""
MAX_COMPILE_SECONDS = 0.5
"""Of the processor's: a grammar that takes longer to compile here would hold up everybody's tokens in the engine."""
MAX_COMPILE_WAIT_SECONDS = 1.0
COMPILE_CHECK_SECONDS = 0.2
TOO_LARGE = "it is too large"
TRIAL_BYTES = 64
_TRIAL_ORDER = tuple(range(126, 31, -1))
"""Printable ASCII, the brackets that close things first."""
MAX_CACHED = 256
_HEADER = "%llguidance {}\n"
_ANY_OBJECT = {"type": "object"}


class Grammar(Struct, frozen=True):
    """A grammar that the engine takes."""

    text: str
    shortest_values: ShortestValues | None = None
    """Of the schema; None where its texts are not JSON."""
    unenforced: tuple[str, ...] = ()
    """Keywords of the schema that it does not hold a model to."""


class Grammars:
    """Makes grammars and remembers which compile. Safe to share among tasks of one loop."""

    def __init__(self) -> None:
        self._tokenizer = llguidance.LLTokenizer("byte")
        self._known: OrderedDict[str, str | None] = OrderedDict()
        self._made: OrderedDict[tuple[str, int, bool], Grammar] = OrderedDict()
        self._compiling = asyncio.Semaphore(1)

    async def for_format(self, format_: Format, max_tokens: int) -> Grammar | None:
        """The grammar of ``text.format`` for an answer of up to ``max_tokens`` tokens; None for free text.

        Raises:
            InvalidRequest: the schema cannot be enforced; names the keyword.
        """
        if isinstance(format_, JsonObjectFormat):
            return await self.for_schema(_ANY_OBJECT, "text.format", max_tokens)
        if isinstance(format_, JsonSchemaFormat):
            return await self.for_schema(format_.schema_, "text.format.schema", max_tokens)
        return None

    async def for_texts(self, texts: Sequence[str]) -> Grammar | None:
        """The grammar of a text that is one of these; None: there are none, or no grammar can say them."""
        if not texts:
            return None
        grammar = f"{_HEADER}start: {' | '.join(json.dumps(text, ensure_ascii=False) for text in texts)}"
        try:
            await self._compile(grammar, "input")
        except InvalidRequest:
            return None
        return Grammar(text=grammar)

    async def for_schema(
        self, schema: dict[str, Any], param: str, max_tokens: int, *, lenient: bool = False
    ) -> Grammar:
        """The grammar of JSON that fits a schema, in up to ``max_tokens`` tokens.

        ``lenient``: leave out what cannot be enforced, and name it.

        Raises:
            InvalidRequest: the schema cannot be enforced; names the keyword. Not raised if ``lenient``.
        """
        try:
            key = (json.dumps(schema), max_tokens, lenient)
        except RecursionError:
            check_schema(schema, param)  # says that it is nested too deep
            raise
        if key not in self._made:
            try:
                self._made[key] = await self._grammar(schema, param, max_tokens)
            except InvalidRequest:
                if not lenient:
                    raise
                self._made[key] = await self._lenient_grammar(schema, param, max_tokens)
        self._made.move_to_end(key)
        while len(self._made) > MAX_CACHED:
            self._made.popitem(last=False)
        return self._made[key]

    async def _grammar(self, schema: dict[str, Any], param: str, max_tokens: int) -> Grammar:
        check_schema(schema, param)
        bounded = generation_schema(schema, max_tokens)
        grammar = _json_grammar(bounded)
        try:
            await self._compile(grammar, param)
        except InvalidRequest:  # the bounds may be what the grammar engine does not take
            bounded, grammar = schema, _json_grammar(schema)
            await self._compile(grammar, param)
        return Grammar(text=grammar, shortest_values=shortest_values(bounded))

    async def _lenient_grammar(self, schema: dict[str, Any], param: str, max_tokens: int) -> Grammar:
        """The grammar of a schema without what cannot be enforced; of any object, where nothing else will do."""
        for merge_choices in (False, True):
            kept, dropped = lenient_schema(schema, self._compiles, merge_choices=merge_choices)
            with contextlib.suppress(InvalidRequest):
                grammar = await self._grammar(kept, param, max_tokens)
                return msgspec.structs.replace(grammar, unenforced=dropped)
        grammar = await self._grammar(_ANY_OBJECT, param, max_tokens)
        return msgspec.structs.replace(grammar, unenforced=("parameters",))

    def _compiles(self, schema: dict[str, Any]) -> bool:
        return not llguidance.LLMatcher.validate_grammar(_json_grammar(schema), self._tokenizer)

    def matcher(self, grammar: Grammar) -> llguidance.LLMatcher:
        """A matcher of bytes at the beginning of a text."""
        return llguidance.LLMatcher(self._tokenizer, grammar.text, log_level=0)

    async def for_custom_tool(self, tool: CustomTool, param: str) -> Grammar | None:
        """The grammar of a custom tool's input; None for free text.

        Raises:
            InvalidRequest: the grammar cannot be enforced.
        """
        if not isinstance(tool.format, GrammarInput):
            return None
        definition = tool.format.definition
        if tool.format.syntax == "regex":
            check_pattern(definition, f"{param}.format.definition")
            pattern = definition.replace("/", "\\/").replace("\n", "\\n")
            grammar = f"{_HEADER}start: /{pattern}/"
        else:
            if len(definition) > MAX_GRAMMAR:
                raise unsupported_schema(
                    f"A grammar may have {MAX_GRAMMAR} characters.", f"{param}.format.definition"
                )
            if "%json" in definition or "%llguidance" in definition:
                raise unsupported_schema(
                    "A grammar may not use %json or %llguidance; use a function for JSON.",
                    f"{param}.format.definition",
                )
            grammar = _HEADER + definition
        await self._compile(grammar, f"{param}.format.definition")
        return Grammar(text=grammar)

    async def _compile(self, grammar: str, param: str) -> None:
        """Compile once, off the event loop, and remember how it went."""
        if grammar not in self._known:
            async with self._compiling:
                if grammar not in self._known:
                    self._known[grammar] = await self._checked(grammar)
        self._known.move_to_end(grammar)
        while len(self._known) > MAX_CACHED:
            self._known.popitem(last=False)
        fault = self._known[grammar]
        if fault is not None:
            raise unsupported_schema(f"The schema or grammar cannot be enforced: {fault}", param)

    async def _checked(self, grammar: str) -> str | None:
        """Why a grammar will not do; None if it will. One that compiles for too long is left alone: nothing ends it.

        What counts is the time that the processor spent on it, so that a busy machine refuses no schema.
        """
        clock = _ThreadClock()

        def fault() -> str | None:
            clock.start()
            found = self._fault(grammar)
            return found or (TOO_LARGE if clock.seconds() > MAX_COMPILE_SECONDS else None)

        compiling = asyncio.ensure_future(asyncio.to_thread(fault))
        while not (await asyncio.wait({compiling}, timeout=COMPILE_CHECK_SECONDS))[0]:
            if clock.seconds() > MAX_COMPILE_WAIT_SECONDS:
                return TOO_LARGE
        return compiling.result()

    def accepts_prefix(self, grammar: Grammar, text: str) -> bool:
        """Whether a text is the beginning, or all, of what a grammar allows."""
        matcher = self.matcher(grammar)
        tokens = list(text.encode())
        return bool(matcher.try_consume_tokens(tokens) == len(tokens))

    def _can_start(self, grammar: str) -> bool:
        """Whether a few dozen bytes can be generated under a grammar; some grammars compile and fail on the second byte."""
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
        for _ in range(TRIAL_BYTES):
            if matcher.is_stopped():
                return not matcher.is_error()
            mask = matcher.compute_bitmask()
            allowed = [byte for byte in _TRIAL_ORDER if mask[byte // 8] >> (byte % 8) & 1]
            if not allowed:
                return bool(matcher.is_accepting()) or (not matcher.is_error() and any(mask))
            matcher.consume_token(allowed[0])
        return not matcher.is_error()

    def _fault(self, grammar: str) -> str | None:
        """Why a grammar does not compile, or that nothing fits it; None if something does."""
        fault = llguidance.LLMatcher.validate_grammar(grammar, self._tokenizer)
        if not fault:
            fault = "" if self._can_start(grammar) else "nothing can ever fit it"
        return _first_line(fault) if fault else None


class _ThreadClock:
    """The processor time of one thread, read by another; where the system does not tell it (macOS), the time that passed."""

    def __init__(self) -> None:
        self._clock: int | None = None
        self._started = 0.0

    def start(self) -> None:
        """Begin to count; called in the thread itself."""
        if hasattr(time, "pthread_getcpuclockid"):
            clock = time.pthread_getcpuclockid(threading.get_ident())
        else:
            clock = time.CLOCK_MONOTONIC
        self._started = time.clock_gettime(clock)
        self._clock = clock

    def seconds(self) -> float:
        """Since the start; 0 before it."""
        return 0.0 if self._clock is None else time.clock_gettime(self._clock) - self._started


def _json_grammar(schema: dict[str, Any]) -> str:
    compact = {**schema, "x-guidance": {"whitespace_flexible": False}}
    return f"{_HEADER}start: %json {json.dumps(compact)}"


def _skip_keyword(*_: object) -> None:
    """Check nothing: the grammar has seen to it, and Python's ``re`` can be made to run for ever."""


def _additional_properties(validator: Any, value: Any, instance: Any, schema: dict[str, Any]) -> Any:
    """``additionalProperties``, unless patterns decide what is additional."""
    if "patternProperties" in schema:
        return None
    return jsonschema.Draft202012Validator.VALIDATORS["additionalProperties"](
        validator, value, instance, schema
    )


_Validator = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # typeshed leaves it bare
    jsonschema.Draft202012Validator,
    {
        "pattern": _skip_keyword,
        "patternProperties": _skip_keyword,
        "additionalProperties": _additional_properties,
    },
)


def matches_schema(text: str, schema: dict[str, Any]) -> bool:
    """Whether JSON text fits a schema, regular expressions apart. Nothing is ever fetched for a ``$ref``."""
    try:
        return bool(_Validator(schema, registry=referencing.Registry()).is_valid(json.loads(text)))
    except (ValueError, RecursionError, referencing.exceptions.Unresolvable):
        return False


def format_schema(format_: Format) -> dict[str, Any] | None:
    """The schema that an answer must fit; None for free text."""
    if isinstance(format_, JsonSchemaFormat):
        return format_.schema_
    return _ANY_OBJECT if isinstance(format_, JsonObjectFormat) else None


def _first_line(fault: str) -> str:
    """A fault's reason without the position in a grammar that the client has not written."""
    for mark in ("failed to compile JSON schema: ",):
        fault = fault.rpartition(mark)[2]
    return fault.strip().splitlines()[0][:200]
