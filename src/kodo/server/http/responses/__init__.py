"""The Responses API: its HTTP endpoints, and the same over a WebSocket."""
