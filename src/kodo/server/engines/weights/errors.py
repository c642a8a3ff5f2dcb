"""What can go wrong with local models. Every text is one line for the user, and says what to do."""

from __future__ import annotations


class WeightsError(Exception):
    """A model cannot be listed, fetched, removed or found."""


class UnknownModelError(WeightsError):
    """No model of that name is installed."""


class BadWeightsError(WeightsError):
    """A file is not a whole GGUF, or not the one that was promised."""
