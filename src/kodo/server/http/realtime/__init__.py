"""``/v1/realtime``: the Realtime API over a WebSocket, text only, as a translation of the one lifecycle."""
