"""HTTP and WebSocket in front of the lifecycle: one folder per API family."""
