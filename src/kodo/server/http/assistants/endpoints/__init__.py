"""The HTTP endpoints of assistants, threads, messages, runs and steps, one module a resource."""
