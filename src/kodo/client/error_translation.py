"""The one edge where exceptions of the SDK and of its transport become errors of kodo: two ordered tables.

In both, the first row that matches decides. Statuses follow the SDK's own table (openai-python 3.54, ``_exceptions.py``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from kodo.client.answer import AnswerFailedError
from kodo.client.errors import (
    AuthenticationFailedError,
    CallError,
    CallTimeoutError,
    MalformedAnswerError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRefusedError,
    ServerFailedError,
    UnreachableError,
)
from kodo.client.retry import is_out_of_quota

if TYPE_CHECKING:
    import openai

_ExceptionRow = tuple[tuple[type[Exception], ...], type[CallError], str, str]
_StatusRow = tuple[Callable[["openai.APIStatusError"], bool], type[CallError]]

_BY_STATUS: tuple[_StatusRow, ...] = (
    (lambda error: error.status_code in (401, 403), AuthenticationFailedError),
    (is_out_of_quota, QuotaExhaustedError),
    (lambda error: error.status_code == 429, RateLimitedError),
    (lambda error: error.status_code == 408, CallTimeoutError),
    (lambda error: error.status_code >= 500, ServerFailedError),
    (lambda error: True, RequestRefusedError),
)


def _by_exception() -> tuple[_ExceptionRow, ...]:
    """Exception classes, the error they become and its message in English and Japanese. A function, because importing the SDK takes a second."""
    import httpx2
    import openai

    return (
        (
            (json.JSONDecodeError, UnicodeDecodeError, openai.APIResponseValidationError),
            MalformedAnswerError,
            "the server's answer is not valid JSON: {text}",
            "サーバーの応答が正しい JSON ではありません: {text}",
        ),
        (
            (openai.APITimeoutError,),
            CallTimeoutError,
            "no answer in time from {address}: {text}",
            "{address} から時間内に応答がありませんでした: {text}",
        ),
        (
            (openai.APIConnectionError, httpx2.HTTPError),
            UnreachableError,
            "connection to {address} failed: {text}{cause}; check that the server is running (`kodo serve` starts one on this "
            "machine), and the address: --base-url, OPENAI_BASE_URL or the profile",
            "{address} に接続できませんでした: {text}{cause}。サーバーが起動しているか（このマシンでは `kodo serve` で起動）、"
            "接続先（--base-url、OPENAI_BASE_URL、プロファイル）が正しいかを確認してください",
        ),
        (
            (openai.APIError,),
            AnswerFailedError,
            "the server reported an error: {text}",
            "サーバーがエラーを返しました: {text}",
        ),
    )


def translate(error: Exception, attempts: int = 1) -> CallError:
    """The error of kodo's tree for an exception of the SDK or its transport.

    Raises:
        Exception: ``error`` itself, where neither the SDK nor the transport raised it.
    """
    import openai

    ours = error if isinstance(error, CallError) else error.__cause__  # the SDK wraps what a transport raises
    if isinstance(ours, CallError):
        ours.attempts = attempts
        return ours
    if isinstance(error, openai.APIStatusError):
        return _translate_status(error, attempts)
    for classes, kind, english, japanese in _by_exception():
        if isinstance(error, classes):
            why = reason_of(error)
            cause = "" if why is None else f" ({why})"
            text = getattr(error, "message", None) or error
            address = _address_of(error)
            found = kind(
                english.format(text=text, cause=cause, address=address),
                code=getattr(error, "code", None),
                param=getattr(error, "param", None),
                attempts=attempts,
            )
            found.ja = japanese.format(text=text, cause=cause, address=address)
            return found
    raise error


def reason_of(error: BaseException) -> BaseException | None:
    """What a failure was raised from: what the system said, where libraries put words of their own around it."""
    found = error.__cause__
    while found is not None:
        if isinstance(found, ConnectionError) and found.errno is not None:
            return OSError(found.errno, os.strerror(found.errno))  # asyncio says "connect call failed"
        found = found.__cause__ or found.__context__
    return error.__cause__


def _address_of(error: Exception) -> str:
    """The scheme, host and port that a request was for; ``?`` where the error does not know its request."""
    try:
        url = error.request.url  # type: ignore[attr-defined]  # both libraries' errors of connections have one
    except (AttributeError, RuntimeError):  # httpx2 raises the latter where no request was set
        return "?"
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _translate_status(error: openai.APIStatusError, attempts: int) -> CallError:
    kind = next(kind for matches, kind in _BY_STATUS if matches(error))
    found = kind(
        f"the server answered {error.status_code}: {_message(error)}",
        status=error.status_code,
        code=error.code,
        param=error.param,
        request_id=error.request_id,
        attempts=attempts,
    )
    found.ja = f"サーバーが {error.status_code} を返しました: {_message(error)}"
    return found


def _message(error: openai.APIStatusError) -> str:
    message = error.body.get("message") if isinstance(error.body, dict) else None
    return str(message) if message else " ".join(str(error).split())[:500]
