"""A stand-in for other people's model servers, for tests: one table of behaviour a server."""
