"""Ask a model for something: code (``code``), a conversation (``chat``), many answers in parallel (``many``)."""
