"""Runs one request of a batch with the function behind its endpoint, and retries while the engine is unavailable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from kodo.server.http.errors import internal_error, translate
from kodo.server.http.limits import Count
from kodo.server.lifecycle.errors import EngineFailed, Overloaded, ServiceError, StoreFailed
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.service import Service
from kodo.server.wire.decode import BadBody, json_object

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Service, CallContext, Mapping[str, object]], Awaitable[Any]]
"""The function behind an endpoint: takes a body and returns the complete answer."""

MAX_ATTEMPTS: Final = 3
"""Attempts of a request whose engine fails, before the failure becomes its result."""
_UNSUPPORTED_FIELDS = ("stream", "background")


async def run_request(
    service: Service, call: CallContext, handler: Handler, raw: bytes, *, count: Count
) -> tuple[int, bytes]:
    """Run a request; return the status and body that its endpoint would answer.

    ``count`` is called with what it used.

    While the engine is overloaded it waits and tries again.

    Raises:
        StoreFailed: the store cannot be written.
    """
    failures = 0
    while True:
        try:
            answer = await handler(service, call, _body(raw))
            count(answer.usage)
            return 200, msgspec.json.encode(answer)
        except Overloaded as error:
            await asyncio.sleep(error.retry_after)
        except StoreFailed:
            raise
        except (ServiceError, BadBody) as error:
            failures += 1
            if not isinstance(error, EngineFailed) or failures >= MAX_ATTEMPTS:
                status, envelope = translate(error)
                return status, msgspec.json.encode(envelope)
            await asyncio.sleep(failures)
        except Exception:
            logger.exception("a batch request failed unexpectedly")
            return 500, msgspec.json.encode(internal_error())


def _body(raw: bytes) -> dict[str, Any]:
    body = json_object(raw)
    for name in _UNSUPPORTED_FIELDS:
        if body.get(name):
            raise BadBody(f"'{name}' is not supported in a batch.", name, "unsupported_parameter")
    return body
