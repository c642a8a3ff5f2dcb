"""The port :class:`HostedTool`: a tool that this server runs itself, between two turns of the model.

A tool knows nothing of the store, of streams, of turns or of restarts. It declares functions for the model, announces a
call as an item, and runs it; the loop (:mod:`kodo.server.lifecycle.hosted.steps`) does the rest: it writes each call to
the response's log before it runs, and its result in one entry with its last events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import field

from kodo.server.lifecycle.ports import ContextItem, Value
from kodo.server.wire.hosted_events import HostedEvent
from kodo.server.wire.hosted_tools import HostedChoice, HostedToolEntry
from kodo.server.wire.items import Item
from kodo.server.wire.tools import CustomTool, FunctionTool

Effect: TypeAlias = Literal["none", "read", "write"]
"""What a call may change outside. After a crash a ``none`` or ``read`` call is run again; a ``write`` call that began
and has no result becomes an error that the model sees, because it may have taken effect."""


class Deferred(Value, frozen=True, kw_only=True):
    """A tool with ``defer_loading``. ``namespace``: that of a function in one, or an MCP server's label."""

    namespace: str | None = None
    tool: FunctionTool | CustomTool
    about: str = ""
    """What the namespace, or the server, is for."""


class ToolContext(Value, frozen=True, kw_only=True):
    """What a tool may know of the response that calls it."""

    owner: str
    """The project; a tool must not reach what belongs to another one."""
    key_id: str | None = None
    response_id: str
    include: frozenset[str] = frozenset()
    """The request's ``include``: what a tool leaves out of its item unless it is asked for."""
    items: tuple[ContextItem, ...] = ()
    """The history, this response's own output so far at its end."""
    deferred: tuple[Deferred, ...] = ()
    """Tools that the model is not shown before it has found them."""
    max_output_chars: int = 100_000
    """Characters of text that the model should be given at most; the loop cuts what is longer."""


class HostedCall(Value, frozen=True, kw_only=True):
    """A call of a hosted tool: by the model, or (``opening``) made by the tool itself before the first turn."""

    call_id: str
    name: str
    """The declared function's name."""
    arguments: str
    """JSON text as the model wrote it. It fits the function's schema where the engine holds a model to schemas."""
    entry: HostedToolEntry
    """The entry of the request's ``tools`` that it belongs to, secrets included."""
    opening: bool = False
    item_id: str = ""
    """The id of the call's item."""
    place: int = 0
    """How many calls of the same tool run beside it and were made before it."""
    announced: Item | None = None
    """How it was announced."""


class Announced(Value, frozen=True, kw_only=True):
    """How a call is shown while it runs. ``item`` has no id: the loop gives it one."""

    item: Item
    effect: Effect


class Done(Value, frozen=True, kw_only=True):
    """A call's result.

    ``events`` are the last ones of the item (``….completed``); they are stored in one entry with it. ``output`` is what
    the model is given; None: the model is given nothing and the response ends here, because the client has to answer (an
    approval). ``more`` are items that follow the first one as items of their own (a shell's output).
    """

    item: Item
    output: str | None
    events: tuple[HostedEvent, ...] = ()
    more: tuple[Item, ...] = ()
    more_events: tuple[tuple[HostedEvent, ...], ...] = ()
    """The events of the items in ``more``, in their order; empty: they have none."""
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Citations by their markers: where the model writes the marker, it is cut from the text and from the deltas, and the
    annotation is added with its position (``index``, or ``start_index`` and ``end_index``)."""
    usage: dict[str, int] = field(default_factory=dict)
    """What the call counts as, for the Response's ``tool_usage``: ``{"web_search": 1}``."""


ToolUpdate: TypeAlias = HostedEvent | Done


class HostedTool(Protocol):
    """One kind of tool. One instance serves every request, so it must bound what one of them can take."""

    @property
    def types(self) -> frozenset[str]:
        """The ``type`` values of the entries that are its own."""

    async def declare(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[FunctionTool]:
        """The functions that stand for an entry in the model's prompt. A function of the entry and the context's items:
        called before each turn, and again after a restart.

        Raises:
            InvalidRequest: the entry cannot be honoured; ``param`` begins with the field's name behind ``tools[n].``.
        """

    def chosen(self, choice: HostedChoice, functions: Sequence[FunctionTool]) -> Sequence[str]:
        """The names of the functions that a ``tool_choice`` of this tool's type means."""

    def openings(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[HostedCall]:
        """Calls to be made before the model's first turn (a server's tools to list). Their ids are a function of the
        context, so that the same ones come out after a restart."""

    def announce(self, call: HostedCall, context: ToolContext) -> Announced:
        """How a call is shown while it runs. Pure; raises nothing for any arguments."""

    def run(self, call: HostedCall, context: ToolContext) -> AsyncIterator[ToolUpdate]:
        """Run a call: events as they happen, then exactly one :class:`Done`.

        An expected failure is a ``Done`` whose item says so and whose output tells the model. What is raised, and what
        takes longer than the settings allow, becomes :meth:`failed`. A cancelled call is closed, not awaited.
        """

    def failed(self, call: HostedCall, announced: Item, message: str) -> Done:
        """The result of a call that was cut off: by an error, the time limit or a restart."""
