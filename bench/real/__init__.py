"""Both jobs on code that nobody here wrote; nothing of that code is in the repository."""
