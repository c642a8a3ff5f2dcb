"""The ports :class:`Engine`, :class:`FileReader`, :class:`Clock` and :class:`Ids`, and the values shared with engines.

An engine turns a :class:`Prompt` into :data:`EngineEvent` values. The ports of the store are in
:mod:`kodo.server.lifecycle.store_ports`. Engines and stores know neither HTTP nor each other.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct, field

from kodo.server.wire.items import Item, Logprob
from kodo.server.wire.tools import Format, TextFormat, Tool, ToolChoice


class Value(Struct, frozen=True, kw_only=True):
    """Base of the values below. Subclasses repeat the options: msgspec does not pass `kw_only` on."""


# --- what an engine is asked -----------------------------------------------------------------------------------------


class ProviderState(Value, frozen=True, kw_only=True):
    """What the server that made an item wants back with it, and which server that was.

    ``fields`` are that server's own (a call's long id, a signature, encrypted reasoning); they go back to it only.
    """

    origin: str
    fields: dict[str, Any] = field(default_factory=dict)


class ContextItem(Value, frozen=True, kw_only=True):
    """An item of the prompt, with the ids the engine generated it from, if this engine did.

    Text tokenised anew need not give the ids that were generated; ids keep the prefix cache and continuations exact.
    """

    item: Item
    tokens: tuple[int, ...] | None = None
    provider: ProviderState | None = None
    shown: tuple[Item, ...] | None = None
    """What the model sees in its place: the call and the output of a tool that this server ran. None: the item itself."""


class Sampling(Value, frozen=True, kw_only=True, omit_defaults=True):
    """How tokens are drawn. None means the model card's own value."""

    temperature: float | None = None
    """0 to 2; 0 is greedy."""
    top_p: float | None = None
    top_k: int | None = None
    """Draw among this many of the likeliest tokens; 0 and None: among all."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    """-2 to 2."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logit_bias: tuple[tuple[int, float], ...] = ()
    reasoning_tokens: int | None = None
    """Tokens after which the reasoning is ended and the answer begins; None: what the effort allows."""
    top_logprobs: int | None = None
    """How many alternatives to report at each position, 0 to 20; None reports no log probabilities at all."""


class CachePolicy(Value, frozen=True, kw_only=True):
    """Whose prompt this is, and how long its state should be kept.

    State is shared only inside ``owner``. ``key`` is the client's ``prompt_cache_key``. ``seconds`` 0: in memory while
    there is room; more: on disk, past a restart.
    """

    owner: str = ""
    key: str | None = None
    seconds: int = 0


class Prompt(Value, frozen=True, kw_only=True):
    """One turn for the engine to answer."""

    instructions: str | None = None
    items: tuple[ContextItem, ...] = ()
    tools: tuple[Tool, ...] = ()
    """Those with ``defer_loading`` are shown by an item of the prompt: an engine leaves them out of its beginning, where it
    can, so that its cached state stays good."""
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    format: Format = TextFormat()
    reasoning_effort: str | None = None
    reasoning_summary: str | None = None
    verbosity: str | None = None
    sampling: Sampling = Sampling()
    max_output_tokens: int | None = None
    """Hard cap, in tokens; None means up to the end of the window."""
    soft_output_tokens: int | None = None
    """The server's own cap: text under a grammar is brought to its end within it where the client set no cap."""
    cache: CachePolicy = CachePolicy()
    whole: bool = False
    """Nobody reads the answer before its end: an engine may give deltas that are there at the same time as one."""
    quotes: tuple[str, ...] = ()
    """Answers in the words of what a tool found, for a small model: an engine that makes the choices for it holds its text to
    one of them. Any other engine leaves them alone."""


class Prepared(Value, frozen=True, kw_only=True):
    """A prompt ready to run: counted, and in the engine's own form."""

    prompt: Prompt
    input_tokens: int
    item_tokens: tuple[int, ...]
    """Tokens that each item of the prompt takes, in order; the rest of ``input_tokens`` is overhead."""
    unenforced: tuple[str, ...] = ()
    """Keywords of tool schemas that the engine does not hold a model to, and ``grammar`` of custom tools."""
    min_output_tokens: int | None = None
    """Tokens of the shortest answer that the prompt's format or forced call allows; None: not known."""
    payload: Any = None
    """Private to the engine."""


SMALL_MODEL: Final = 1_000_000_000
"""Parameters below which a model is taken to ramble."""


def is_small(parameters: int | None) -> bool:
    """Whether a model of so many parameters (None: not known) is taken to ramble."""
    return parameters is not None and parameters < SMALL_MODEL


class ModelCard(Value, frozen=True, kw_only=True):
    """What stands behind a model's name."""

    name: str
    engine: str
    context_window: int
    """Tokens of prompt and answer together."""
    max_output_tokens: int
    parallel: int
    """Requests the engine works on at the same time."""
    temperature: float = 1.0
    top_p: float = 1.0
    """Sampling where the client sets none."""
    top_k: bool = False
    """Whether :attr:`Sampling.top_k` is honoured."""
    images: bool = False
    files: bool = False
    """Whether files that are not text (PDF) can be read."""
    reasoning: bool = False
    continues: bool = True
    """Whether a partial answer can be continued token for token."""
    lands: bool = False
    """Whether text under a grammar is brought to its end inside the budget."""
    parameters: int | None = None
    """Of the model; None: not known."""
    source: str = ""
    """The file or server the model is from, without any path of this machine."""


# --- what an engine says ---------------------------------------------------------------------------------------------


class Usage(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens, as the engine counted them. ``cached`` and ``cache_write`` are parts of ``input``; ``reasoning`` of ``output``."""

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            input=self.input + other.input,
            cached=self.cached + other.cached,
            cache_write=self.cache_write + other.cache_write,
            output=self.output + other.output,
            reasoning=self.reasoning + other.reasoning,
        )


class Progress(Value, frozen=True, kw_only=True, tag="progress"):
    """The prompt is being read: ``done`` of ``total`` tokens, ``cached`` of them without work."""

    total: int
    done: int
    cached: int


class TextDelta(Value, frozen=True, kw_only=True, tag="text"):
    """More of the answer: whole characters only. ``tokens`` are the ids it came from (text may be empty while a
    character is incomplete)."""

    text: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[Logprob, ...] = ()


class ReasoningDelta(Value, frozen=True, kw_only=True, tag="reasoning"):
    """More of the reasoning."""

    text: str
    tokens: tuple[int, ...] = ()


class CallStart(Value, frozen=True, kw_only=True, tag="call"):
    """The model begins a call. ``kind`` is the tool's type: function, custom, local_shell, shell, apply_patch."""

    call_id: str
    name: str
    kind: str = "function"
    namespace: str | None = None
    tokens: tuple[int, ...] = ()


class CallDelta(Value, frozen=True, kw_only=True, tag="arguments"):
    """More of the current call's arguments (JSON text, or a custom tool's input)."""

    text: str
    tokens: tuple[int, ...] = ()


class ProviderFields(Value, frozen=True, kw_only=True, tag="provider"):
    """Belongs to the item that is being written: see :class:`ProviderState`. The last one of an item counts."""

    state: ProviderState


class Routed(Value, frozen=True, kw_only=True, tag="routed"):
    """Which server answers, where there is a choice. ``metadata`` is added to the Response's."""

    metadata: dict[str, str]


class Finished(Value, frozen=True, kw_only=True, tag="finished"):
    """The turn is over. ``reason``: ``stop`` (the model ended it), ``length`` (a cap or the window), ``content_filter``."""

    reason: str
    usage: Usage
    tokens: tuple[int, ...] = ()
    stop_sequence: str | None = None
    """Which of ``sampling.stop`` ended it, where one did and the engine knows."""


EngineEvent: TypeAlias = (
    Progress | TextDelta | ReasoningDelta | CallStart | CallDelta | ProviderFields | Routed | Finished
)


class Engine(Protocol):
    """Something that answers. Raises only errors of :mod:`kodo.server.lifecycle.errors`; foreign ones are translated inside."""

    @property
    def restarts(self) -> int:
        """Times it had to be started again."""

    @property
    def ready(self) -> bool:
        """Whether it can answer now."""

    async def start(self) -> None:
        """Get ready to answer; returns when it is, or raises ``EngineUnavailable``."""

    async def stop(self) -> None:
        """Let go of everything. May be called twice."""

    async def card(self) -> ModelCard:
        """What answers, and its limits."""

    async def prepare(self, prompt: Prompt) -> Prepared:
        """Count a prompt and bring it into the engine's form. Does not check it against the window.

        Raises:
            InvalidRequest: the engine cannot honour something in the prompt (a schema, a tool); names the field.
        """

    def generate(
        self, prepared: Prepared, *, events_so_far: Sequence[EngineEvent] = (), limit: int | None = None
    ) -> AsyncGenerator[EngineEvent, None]:
        """Generate the answer. Closing the iterator frees the engine immediately, also during the prefill.

        Ends with exactly one ``Finished``. ``events_so_far`` holds the events of an earlier, interrupted run of the same prompt:
        the answer continues after them, token for token where ``card().continues``; the final usage counts the whole
        answer once. ``limit`` caps the output tokens of the whole answer (``prompt.max_output_tokens`` holds besides).
        """

    async def embed(self, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """One vector a text, and the tokens read.

        Raises:
            InvalidRequest: this engine has no embeddings.
        """


class TargetStats(Struct, kw_only=True):
    """What happened at one of the servers of an engine: answers by their end, and its state now."""

    target: str
    ok: int = 0
    unavailable: int = 0
    """It could not be reached, or had an error."""
    busy: int = 0
    """It had no room."""
    failed: int = 0
    """It broke off."""
    refused: int = 0
    """It refused the request."""
    up: bool = True
    in_flight: int = 0


@runtime_checkable
class HasTargets(Protocol):
    """An engine with servers of its own to choose from."""

    def target_stats(self) -> Sequence[TargetStats]:
        """What happened at each server."""


class FileReader(Protocol):
    """The files of all owners."""

    async def contents(self, owner: str, file_id: str, limit: int) -> tuple[str, bytes]:
        """A file's name and bytes.

        Raises:
            NotFound: it is not there, or not this owner's.
            InvalidRequest: it has more than ``limit`` bytes.
        """


class Clock(Protocol):
    """Time."""

    def now(self) -> float:
        """Seconds since the epoch."""


class Ids(Protocol):
    """Names for new objects."""

    def new(self, prefix: str) -> str:
        """A fresh id ``<prefix>_<hex>``, unguessable."""
