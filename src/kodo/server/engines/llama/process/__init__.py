"""The child process that holds the model: how it is sized, started, kept alive and spoken to."""
