"""The catalogue of models worth having: which of them a machine can run, and which is the best for a use.

The data is in ``catalogue.toml``. This module fetches nothing and looks at no machine: memory is given in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import msgspec

from kodo.server.engines.weights.errors import WeightsError
from kodo.server.engines.weights.sources import HubSource

USES = ("coder", "small", "vision")
_SLOTS = 4
"""Contexts that are kept at the same time; :mod:`kodo.server.engines.llama.process.memory_fit` takes no fewer."""
_OVERHEAD = 0.1
"""Of the file's size, for what the engine allocates besides the weights."""
_USABLE = 0.85
"""The part of a machine's memory that a model may take."""


class CatalogueEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model of the catalogue; ``catalogue.toml`` describes the fields."""

    name: str
    uses: tuple[str, ...]
    repo: str
    file: str
    bytes: int
    token_bytes: int
    licence: str
    quirks: str
    temperature: float
    top_p: float
    projector: str | None = None
    projector_bytes: int = 0
    experts: bool = False

    @property
    def download_bytes(self) -> int:
        """Bytes of all its files."""
        return self.bytes + self.projector_bytes

    @property
    def source(self) -> HubSource:
        """Where it is fetched from."""
        return HubSource(
            self.repo, self.file, projector=self.projector, temperature=self.temperature, top_p=self.top_p
        )

    def memory(self, context: int) -> int:
        """Bytes of memory that it takes with ``context`` tokens a slot."""
        return int(self.bytes * (1 + _OVERHEAD)) + self.projector_bytes + _SLOTS * context * self.token_bytes

    def fits(self, memory: int, context: int) -> bool:
        """Whether a machine with ``memory`` bytes can run it."""
        return self.memory(context) <= memory * _USABLE


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: tuple[CatalogueEntry, ...]


@cache
def entries() -> Sequence[CatalogueEntry]:
    """Every model of the catalogue, in order of preference."""
    data = (files(__package__) / "catalogue.toml").read_bytes()
    return msgspec.toml.decode(data, type=_Catalogue).model


def choose(word: str, memory: int, context: int) -> CatalogueEntry | None:
    """The model of that name, or the best of that use that fits; None: the catalogue does not know the word.

    Raises:
        WeightsError: no model of that use fits into ``memory`` bytes with ``context`` tokens a slot.
    """
    named = next((entry for entry in entries() if entry.name == word), None)
    if named is not None or word not in USES:
        return named
    of_use = [entry for entry in entries() if word in entry.uses]
    best = next((entry for entry in of_use if entry.fits(memory, context)), None)
    if best is None:
        least = min(entry.memory(context) for entry in of_use)
        raise WeightsError(
            f"no {word} model fits: the smallest needs {least / 1e9:.1f} GB of {memory * _USABLE / 1e9:.1f} GB usable; "
            "an upstream server can answer instead (docs/guides/upstream.md)"
        )
    return best
