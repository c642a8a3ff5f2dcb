"""Ask a model for something: code (``code``), a conversation (``chat``), many answers at once (``many``)."""
