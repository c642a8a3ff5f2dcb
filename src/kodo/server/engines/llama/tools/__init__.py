"""The tools of a prompt: what may be called, the grammar that enforces it, and which tool a question asks for."""
