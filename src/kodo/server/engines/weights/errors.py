"""Errors about local models. Every message is one line for the user that says what to do."""

from __future__ import annotations


class WeightsError(Exception):
    """A model cannot be listed, fetched, removed or found."""


class UnknownModelError(WeightsError):
    """No installed model has this name."""


class BadWeightsError(WeightsError):
    """A file is not a complete GGUF, or not the expected one."""
