"""The embedded engine: llama.cpp through xllamacpp, in a child process.

Four folders hold its parts, and :mod:`kodo.server.engines.llama.engine` puts them together: ``process`` (the child and
the way to it), ``prompting`` (items to token ids), ``tools`` (what may be called), ``decoding`` (token ids to events).
Nothing is imported here: the child process imports this package too.
"""
