"""What can answer: llama (embedded), upstream (any OpenAI-compatible server), scripted (tests, replay)."""
