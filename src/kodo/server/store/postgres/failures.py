"""PostgreSQL's errors, translated at one edge: whatever psycopg raises leaves the store as ``StoreFailed``."""

from __future__ import annotations

import re
from typing import Final

import psycopg
from psycopg import errors

from kodo.server.lifecycle.errors import StoreFailed

_MESSAGES: Final = {
    "53100": "The database's disk is full.",
    "53200": "The database is out of memory.",
    "53300": "The database takes no more connections.",
    "54000": "The object is too large to be stored.",
    "57014": "The database took too long.",
    "55P03": "The database took too long: a row is locked.",
    "25006": "The database is read-only.",
    "XX001": "The database is damaged.",
    "XX002": "The database is damaged.",
    "28P01": "The database does not accept this user or password.",
    "28000": "The database does not accept this user.",
    "3D000": "The database does not exist.",
    "42501": "The database's user may not do that.",
    "25P03": "The database took too long.",
}


def translate(error: psycopg.Error) -> StoreFailed:
    """The ``StoreFailed`` for an error of psycopg. Its message contains no SQL, address, password or value."""
    code = error.sqlstate
    if code is None:
        lost = isinstance(error, psycopg.OperationalError)
        return StoreFailed(
            "The database cannot be reached."
            if lost
            else f"The server's database failed ({type(error).__name__})."
        )
    if code.startswith(("57P", "08")):
        return StoreFailed("The database cannot be reached.")
    return StoreFailed(_MESSAGES.get(code, f"The server's database failed ({code})."))


def refusal(error: psycopg.Error) -> str:
    """Why a connection was not to be had, in the server's own words; they name the user, never the password."""
    said = re.search(r"FATAL:\s+([^\n]+)", str(error))
    return f"The database refused: {said[1]}" if said else translate(error).message


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection is gone, so that another one may do what this one did not."""
    code = error.sqlstate
    if code is None:
        return isinstance(error, psycopg.OperationalError)
    return code.startswith(("57P", "08")) or code in ("25P03", "53300")


def collisions_allowed(error: psycopg.Error) -> int:
    """How often a transaction may begin again after this error, because another one was in its way; 0: it was not that."""
    if isinstance(error, errors.DeadlockDetected | errors.SerializationFailure):
        return 20
    if isinstance(error, errors.UniqueViolation | errors.ForeignKeyViolation):
        return 3  # the row that was in the way is seen now, and refused in words
    return 0
