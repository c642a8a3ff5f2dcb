"""The HTTP endpoints of chat completions and the older completions, one module a resource."""
