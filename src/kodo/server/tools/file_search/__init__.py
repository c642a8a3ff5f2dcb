"""The search in vector stores as a tool of the model."""
