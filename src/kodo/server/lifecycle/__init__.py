"""How a request becomes a response. Knows no HTTP, no SQL and no llama."""
