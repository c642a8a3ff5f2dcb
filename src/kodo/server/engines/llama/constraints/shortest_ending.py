"""The shortest way from where a text stands to a text that its grammar accepts.

The grammar's own matcher is asked byte by byte (a step takes about two microseconds). In JSON the search knows what
closes things: a bracket before a comma, a quote before another letter; and it is told the shortest values of the schema
(:mod:`kodo.server.engines.llama.constraints.shortest_values`), whose ends also end a value that has begun. Where these
do not do, and for grammars that are not JSON, it searches breadth first.

Knows bytes and llguidance; knows nothing of tokens, schemas or the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import llguidance
from msgspec import Struct

from kodo.server.engines.llama.constraints.json_position import JsonPosition

MAX_BYTES = 4_000
"""Length of an ending at most; a grammar that needs more is not ended."""
MAX_STEPS = 300
"""Bytes of what is searched breadth first, at most."""
MAX_PATHS = 12
"""Paths of one length that are followed at most."""
MAX_DETOUR_STEPS, MAX_DETOUR_PATHS = 6, 800
"""The same where no path may be left out."""
MAX_VISITS = 1_000
"""States that are visited breadth first at most: some 20 ms."""
MAX_FAILURES = 2
"""Breadth-first searches that may fail for one ending."""
MAX_LOOK_AHEAD = 4
"""Names of properties that are tried to their object's end at most."""
FEW_BYTES = 16
_TELLING = frozenset(b"aA0 -")
_QUOTE, _BACKSLASH = b'"\\'
_STRUCTURE = b"]},:"
_BYTES = [
    [[index * 8 + bit for bit in range(8) if bits >> bit & 1] for bits in range(256)] for index in range(32)
]
_Ending: TypeAlias = Callable[[bytes, bytes, bool], bytes | None]


class ShortestValues(Struct, frozen=True):
    """What a schema's values look like at their shortest, as JSON."""

    values: tuple[bytes, ...] = (b"0", b'""', b"null", b"true", b"false")
    """Values without members, shortest first."""
    names: tuple[bytes, ...] = ()
    """Names of properties, each with its closing quote, in the schema's order."""
    alphabet: bytes = b""
    """Bytes that patterns name."""


def allowed_bytes(mask: bytes) -> list[int]:
    """The bytes that a matcher's mask allows; the end token apart."""
    return [byte for index, bits in enumerate(mask[:32]) if bits for byte in _BYTES[index][bits]]


class EndingSearch:
    """Searches over one matcher, which stands where it stood when a search is over.

    ``shortest_values`` is None where the grammar's texts are not JSON.
    """

    def __init__(self, matcher: llguidance.LLMatcher, shortest_values: ShortestValues | None) -> None:
        self._matcher = matcher
        self._known = shortest_values or ShortestValues(values=())
        self._is_json = shortest_values is not None
        self._telling = _TELLING.union(self._known.alphabet)
        self._visits_left = self._failures = 0

    def shortest(self, position: JsonPosition) -> bytes | None:
        """The ending from here; empty where the text may end as it is, None where no ending was found."""
        self._failures = 0
        if self._matcher.is_error():
            return None
        if not self._is_json:
            return self._breadth_first(_text_end)
        written, complete = self._run(position, depth=0, look_ahead=True)
        self._matcher.rollback(len(written))
        return bytes(written) if complete else None

    # --- JSON ---

    def _run(self, position: JsonPosition, *, depth: int, look_ahead: bool) -> tuple[bytearray, bool]:
        """Write until the container at ``depth`` is closed (0: until the text may end), and whether that was reached.

        The matcher stays behind what was written.
        """
        written = bytearray()
        while len(written) < MAX_BYTES:
            if depth and len(position.containers) < depth:
                return written, True
            if not depth and not position.in_string and self._matcher.is_accepting():
                return written, True
            piece = self._matcher.compute_ff_bytes() or self._choice(position, look_ahead=look_ahead)
            if not piece:
                break
            if depth:  # forced bytes may run past the container's end
                piece = _until_closed(position, piece, depth)
            taken = self._matcher.try_consume_tokens(list(piece))
            written += piece[:taken]
            if taken != len(piece):
                break
            position = position.after(piece)
        return written, False

    def _choice(self, position: JsonPosition, *, look_ahead: bool) -> bytes | None:
        """What to write where the grammar leaves a choice."""
        allowed = allowed_bytes(self._matcher.compute_bitmask())
        if position.in_string:
            if position.is_key:
                return self._name(position, look_ahead=look_ahead) or self._breadth_first(_string_end)
            if _QUOTE in allowed and not position.escape:
                return b'"'
            return self._rest(position) or self._breadth_first(_string_end)
        closer = next((byte for byte in _STRUCTURE if byte in allowed), None)
        if closer is not None:
            return bytes((closer,))
        if position.in_scalar:
            return self._rest(position) or self._breadth_first(_scalar_end)
        if position.is_key:
            return b'"'
        value = self._first_fitting(self._known.values)
        return value or next((bytes((byte,)) for byte in b'"[{' if byte in allowed), bytes(allowed[:1]))

    def _name(self, position: JsonPosition, *, look_ahead: bool) -> bytes | None:
        """The rest of a property's name; of several, the one after which the object ends soonest.

        Names come in the schema's order, and the last one that is allowed leaves out the most.
        """
        begun = position.content
        rests = [name[len(begun) :] for name in self._known.names if name.startswith(begun)]
        fitting = [rest for rest in rests if self._fits(rest)]
        if not fitting:
            return b'"' if self._fits(b'"') else None
        if not look_ahead or len(fitting) == 1:
            return fitting[-1]
        depth = len(position.containers)
        best, length = fitting[-1], MAX_BYTES + 1
        for rest in fitting[-MAX_LOOK_AHEAD:]:
            self._matcher.try_consume_tokens(list(rest))
            further, complete = self._run(position.after(rest), depth=depth, look_ahead=False)
            self._matcher.rollback(len(rest) + len(further))
            if complete and len(rest) + len(further) < length:
                best, length = rest, len(rest) + len(further)
        return best

    def _rest(self, position: JsonPosition) -> bytes | None:
        """The end of a known value that also ends the one that has begun."""
        start = 1 if position.in_string else 0
        values = [value for value in self._known.values if value.startswith(b'"') == position.in_string]
        whole = [
            value[start + len(position.content) :]
            for value in values
            if value[start:].startswith(position.content)
        ]
        ends = {value[index:] for value in values for index in range(start, len(value))}
        return self._first_fitting(sorted(whole, key=_by_length) + sorted(ends, key=_by_length))

    def _first_fitting(self, pieces: Iterable[bytes]) -> bytes | None:
        return next((piece for piece in pieces if piece and self._fits(piece)), None)

    def _fits(self, piece: bytes) -> bool:
        """Whether a piece may follow, and is a whole value or name behind which the text goes on or ends."""
        taken = self._matcher.try_consume_tokens(list(piece))
        fits = taken == len(piece)
        if fits and not piece.endswith(b'"'):  # a number may need further digits
            allowed = allowed_bytes(self._matcher.compute_bitmask())
            fits = bool(self._matcher.is_accepting()) or any(byte in allowed for byte in _STRUCTURE)
        self._matcher.rollback(taken)
        return fits

    # --- without knowledge of the schema ---

    def _breadth_first(self, ending: _Ending) -> bytes | None:
        """The fewest bytes to where ``ending`` (of the path, the bytes allowed behind it, whether the text may end) is
        not None, with it.

        Of paths of one length that leave the grammar in states that look the same, one is followed; where that leads
        nowhere (``.*[.]py``: each letter looks as any other), all of them, for a few letters.
        """
        self._visits_left = MAX_VISITS if self._failures < MAX_FAILURES else 0
        found = self._search(ending, MAX_STEPS, MAX_PATHS, merge=True)
        if found is None:
            self._failures += 1
            self._visits_left = MAX_VISITS if self._failures < MAX_FAILURES else 0
            found = self._search(ending, MAX_DETOUR_STEPS, MAX_DETOUR_PATHS, merge=False)
        return found

    def _search(self, ending: _Ending, steps: int, width: int, *, merge: bool) -> bytes | None:
        layer: list[bytes] = [b""]
        for _ in range(steps):
            further: dict[object, bytes] = {}
            for path in layer[:width]:
                self._visits_left -= 1
                if self._visits_left < 0:
                    return None
                self._matcher.try_consume_tokens(list(path))
                forced = self._matcher.compute_ff_bytes()[:1]
                allowed = forced or bytes(allowed_bytes(self._matcher.compute_bitmask()))
                end = ending(path, allowed, self._matcher.is_accepting())
                if end is None:
                    for byte in self._followed(allowed):
                        further.setdefault(self._look(byte) if merge else path + byte, path + byte)
                self._matcher.rollback(len(path))
                if end is not None:
                    return path + end
            layer = list(further.values())
            if not layer:
                return None
        return None

    def _followed(self, allowed: bytes) -> Iterator[bytes]:
        """The bytes to go on with: all of a few, the telling ones of many."""
        telling = [byte for byte in allowed if byte in self._telling] if len(allowed) > FEW_BYTES else []
        for byte in telling or allowed:
            if byte != _BACKSLASH or len(allowed) == 1:
                yield bytes((byte,))

    def _look(self, byte: bytes) -> object:
        """What the grammar looks like behind a byte."""
        self._matcher.try_consume_tokens([byte[0]])
        look = self._matcher.compute_bitmask(), self._matcher.compute_ff_bytes(), self._matcher.is_accepting()
        self._matcher.rollback(1)
        return look


def _text_end(_path: bytes, _allowed: bytes, accepting: bool) -> bytes | None:
    return b"" if accepting else None


def _string_end(path: bytes, allowed: bytes, _accepting: bool) -> bytes | None:
    escaped = (len(path) - len(path.rstrip(b"\\"))) % 2
    return b'"' if path and not escaped and _QUOTE in allowed else None


def _scalar_end(path: bytes, allowed: bytes, accepting: bool) -> bytes | None:
    return b"" if path and (accepting or any(byte in allowed for byte in _STRUCTURE)) else None


def _until_closed(position: JsonPosition, piece: bytes, depth: int) -> bytes:
    """As much of a piece as belongs to the container at ``depth``."""
    for length in range(1, len(piece) + 1):
        position = position.after(piece[length - 1 : length])
        if len(position.containers) < depth:
            return piece[:length]
    return piece


def _by_length(piece: bytes) -> tuple[int, bytes]:
    return len(piece), piece
