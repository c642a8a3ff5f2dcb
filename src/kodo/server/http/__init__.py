"""HTTP and WebSocket in front of the lifecycle: one file per endpoint family."""
