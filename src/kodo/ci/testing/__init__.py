"""Fakes of the forges for tests, over real sockets: strict about requests, and remembering every call.

A request that a fake does not expect (another path, a field that the forge does not know, a token that may not) is
answered as the forge would *and* kept in ``problems``, which leaving the ``with`` block raises. They need the extra
``server``.
"""
