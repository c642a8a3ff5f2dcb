"""The embedded engine: llama.cpp through xllamacpp, in a child process.

Nothing is imported here; :mod:`kodo.server.engines.llama.engine` holds the engine itself.
"""
