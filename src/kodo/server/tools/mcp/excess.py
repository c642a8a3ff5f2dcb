"""The error for a server that says more than the settings take."""

from __future__ import annotations

import httpx2


class TooMuch(httpx2.TransportError):
    """The server's answer was too large."""
