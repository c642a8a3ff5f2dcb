"""Any OpenAI-compatible server as an engine, through its Chat Completions API."""
