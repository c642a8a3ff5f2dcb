"""The values of running foreign code: a call, what documentation says of it, and what was seen.

Knows neither the sandbox nor the jobs. The structs cross into the sandbox as JSON, so they hold Python source text
where a value is meant: source can be printed in a report, compared, and made smaller.
"""

from collections.abc import Collection
from typing import Literal

import msgspec

Origin = Literal[
    "example", "claim", "boundary", "constants", "near example", "random", "model", "test", "document", "follow-up",
    "package", "state",
]  # fmt: skip
INDIRECT: frozenset[Origin] = frozenset({"document", "follow-up", "package"})
"""Origins of calls whose result is not that of the function they are counted for, so that nothing stated is asked of it."""
IN_LOOP = "event loop"
"""How a call was read that needs a running event loop for its inputs."""
Basis = Literal["example", "docstring", "types", "code"]


class ExecutionError(Exception):
    """Code could not be read or run; the message is one line for the user."""


class Arg(msgspec.Struct, frozen=True):
    """One argument: the parameter's name and the source of its value."""

    name: str
    source: str


class Expectation(msgspec.Struct, frozen=True):
    """What the documentation says must be seen, and the words that say it.

    kind ``value``: ``text`` is source equal to the result; ``shows``: what a doctest prints; ``prints``: what print() makes of
    the result; ``raises``: an
    exception's name; ``property``: source over ``result``, ``_0``, ``_1``... that must be true; ``returns``: an
    annotation the result must conform to.
    """

    kind: Literal["value", "shows", "prints", "raises", "property", "returns"]
    text: str
    basis: Basis
    quote: str


class Call(msgspec.Struct, frozen=True):
    """One candidate: ``setup`` statements, then ``expression``, in which ``_0``, ``_1``... stand for ``args``."""

    id: int
    function: str
    expression: str
    args: tuple[Arg, ...] = ()
    setup: tuple[str, ...] = ()
    receiver: str = ""
    origin: Origin = "random"
    expect: Expectation | None = None

    def without_setup(self, at: Collection[int]) -> "Call":
        """The call without the setup statements of these numbers."""
        kept = tuple(line for number, line in enumerate(self.setup) if number not in at)
        return msgspec.structs.replace(self, setup=kept)


class Entered(msgspec.Struct, frozen=True):
    """What a function was given by other code, by parameter; those whose values have no source are left out."""

    function: str
    args: tuple[Arg, ...]


class Observed(msgspec.Struct, frozen=True):
    """What one call did.

    kind ``value``: ``text`` is source that equals the result (wrapped in list() where it was an iterator);
    ``raises``: ``text`` is the exception's qualified name; the others cannot be asserted and say why in
    ``text``. ``after`` holds what the call changed: expression -> source. ``meets``: whether the expectation
    held, None where the call had none; ``broken`` numbers the function's standing expectations that did not
    hold. ``skipped`` numbers the setup statements that raised; what was seen is the call without them. ``error_origin`` says where an error
    comes from (``worker/errors.py``). ``arcs`` are those of the target's file that the call ran, ``setup_lines`` the lines of it that its inputs and its setup ran. ``uses`` says what can be done with a
    result without source (``worker/result_uses.py``), ``entered`` what functions under test were given inside the call, ``parts`` the objects that the
    result holds where that was asked for (``worker/held_parts.py``).
    """

    id: int
    kind: Literal["value", "raises", "unusable", "timeout", "died"]
    text: str = ""
    wrap: str = ""
    output: str = ""
    after: dict[str, str] = {}
    meets: bool | None = None
    broken: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()
    error_origin: Literal["", "outside", "below", "operation", "raise"] = ""
    arcs: tuple[tuple[int, int], ...] = ()
    setup_lines: tuple[int, ...] = ()
    seconds: float = 0.0
    uses: tuple[str, ...] = ()
    entered: tuple[Entered, ...] = ()
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def same(self, other: "Observed") -> bool:
        """Whether a test that asserts this observation would pass on the other."""
        mine = (self.kind, self.text, self.wrap, self.output, self.after)
        return mine == (other.kind, other.text, other.wrap, other.output, other.after)
