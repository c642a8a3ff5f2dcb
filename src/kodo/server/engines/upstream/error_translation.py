"""A server's error as one of kodo's: whose fault it is, when a retry helps, and whether the prompt does not fit."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from kodo.server.engines.upstream.masking import NOTHING_HIDDEN, HiddenValues, mask
from kodo.server.engines.upstream.profile import Profile, profiles
from kodo.server.engines.upstream.refusal import (
    UpstreamRefusal,
    read_refusal,
    refusal_of,
    stated_status,
    to_number,
)
from kodo.server.lifecycle.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    ServiceError,
)

MAX_RETRY_SECONDS = 120.0
_OVERFLOW_CODES = {"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}
_TEXT_FIELD = re.compile(r"^(?:input|messages|prompt|instructions)$|(?:^input\[\d+\]|content|text)$")
"""Fields that hold the prompt: one whose string is too long is a prompt that does not fit, unlike an id or a name."""
_WAIT = re.compile(
    r"(?i)\b(?:retry|try again)(?: again)? (?:in|after) (?:(?P<minutes>\d+)m(?!s) ?)?(?:(?P<number>[\d.]+) ?(?P<unit>ms|s)\w*)?"
)
_WRONG_KEY = re.compile(
    r"(?i)api.?key.{0,20}(?:invalid|expired|not valid)|(?:invalid|incorrect|expired) api.?key"
)
_NO_MODEL = {"model_not_found", "model_not_exist", "invalid_model", "model_not_supported"}
_QUOTA = re.compile(r"(?i)quota|billing|credit|insufficient balance")


def translate(
    refusal: UpstreamRefusal,
    headers: Mapping[str, str],
    profile: Profile,
    secrets: HiddenValues = NOTHING_HIDDEN,
) -> ServiceError:
    """A refusal as one of kodo's errors, with the server's reason where it is the caller's to know."""
    overflow = _overflow(refusal, profile, secrets)
    if overflow is not None:
        return overflow
    status = _meant_status(refusal)
    reason = mask(refusal.message, secrets)
    if status < 400:
        words = f"The model's server answered with status {status}; the URL in this server's settings may be wrong"
        return EngineUnavailable(_with(words, reason))
    if status in (429, 529):
        stated = _stated_wait(refusal)
        waits = stated is not None or "retry-after" in headers or "retry-after-ms" in headers
        if not waits and (_QUOTA.search(refusal.code) or _QUOTA.search(reason)):
            return EngineUnavailable(f"The model's server refuses: {reason or 'its quota is used up'}")
        wait = retry_after(headers) if stated is None else stated
        return Overloaded(_with("The model's server is busy", reason), retry_after=wait)
    if status in (401, 403):
        return EngineUnavailable(
            _with("The model's server does not accept the key in this server's settings", reason)
        )
    if status == 402:
        return EngineUnavailable(_with("The model's server wants to be paid", reason))
    if status == 404:
        return EngineUnavailable(
            _with("The model's server does not know the model in this server's settings", reason)
        )
    if status in (408, 409, 425) or status >= 500:
        error = EngineUnavailable(_with("The model's server has an error", reason))
        if "retry-after" in headers:
            error.retry_after = retry_after(headers)
        return error
    return InvalidRequest(
        _with("The model's server refuses the request", reason), code=_public_code(refusal.code)
    )


def _meant_status(refusal: UpstreamRefusal) -> int:
    """The status, but for servers that answer 400 for what is not the request's fault: a wrong key, an unknown model."""
    if refusal.status == 400 and (
        _WRONG_KEY.search(refusal.message) or "API_KEY_INVALID" in str(refusal.fields)
    ):
        return 401
    if refusal.status == 400 and refusal.code in _NO_MODEL:
        return 404
    return refusal.status


def failed_in_answer(value: Any, profile: Profile, secrets: HiddenValues = NOTHING_HIDDEN) -> ServiceError:
    """An error that stands in the stream in place of the answer."""
    refusal = refusal_of(500, value)
    status = stated_status(value, refusal)
    overflow = _overflow(refusal, profile, secrets)
    if overflow is None and status is not None and (status < 500 or status == 529):
        return translate(msgspec.structs.replace(refusal, status=status), {}, profile, secrets)
    if overflow is not None:
        return overflow
    reason = mask(refusal.message, secrets)
    return EngineFailed(_with("The model's server reported an error in the middle of the answer", reason))


def not_an_answer(data: bytes, secrets: HiddenValues = NOTHING_HIDDEN) -> EngineFailed:
    """An event that cannot be read, with its words if it has any."""
    words = mask(read_refusal(500, data[:2000]).message, secrets)
    return EngineFailed(_with("The model's server sent something that is not an answer", words))


def _stated_wait(refusal: UpstreamRefusal) -> float | None:
    """Seconds to wait that the error itself names: Google's ``RetryInfo``, or its words."""
    details = refusal.fields.get("details")
    delays = (
        [one.get("retryDelay") for one in details if isinstance(one, dict)]
        if isinstance(details, list)
        else []
    )
    words = next((f"retry in {delay}" for delay in delays if isinstance(delay, str)), refusal.message)
    found = _WAIT.search(words)
    if found is None or not (found["minutes"] or found["number"]):
        return None
    try:
        number = float(found["number"] or 0)
    except ValueError:
        return None
    seconds = number / 1000 if found["unit"] == "ms" else number
    return min(seconds + 60 * int(found["minutes"] or 0), MAX_RETRY_SECONDS)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait: ``retry-after-ms``, or ``retry-after`` in seconds or as an HTTP date (RFC 9110, 10.2.3)."""
    wait = 1.0
    try:
        if "retry-after-ms" in headers:
            wait = float(headers["retry-after-ms"]) / 1000
        elif "retry-after" in headers:
            wait = float(headers["retry-after"])
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time()
        except (KeyError, ValueError):
            wait = 1.0
    return min(max(wait, 0.0), MAX_RETRY_SECONDS) if wait == wait else 1.0


def _with(words: str, reason: str) -> str:
    return f"{words}: {reason}" if reason else f"{words}."


def _public_code(code: str) -> str | None:
    """The server's code, if it is one: letters and underscores."""
    return code if re.fullmatch(r"[a-z][a-z_]{2,63}", code) else None


def _overflow(refusal: UpstreamRefusal, profile: Profile, secrets: HiddenValues) -> InvalidRequest | None:
    """The error for a prompt that does not fit, with both numbers where the server gives them."""
    if refusal.status not in (400, 413, 422, 500):
        return None
    fields = refusal.fields
    window, needed = to_number(fields.get("n_ctx")), to_number(fields.get("n_prompt_tokens"))
    matched = refusal.code in _OVERFLOW_CODES or (
        refusal.code == "string_above_max_length" and bool(_TEXT_FIELD.search(refusal.param or "input"))
    )
    for pattern in _patterns(profile.name):
        found = pattern.search(refusal.message)
        if found is None:
            continue
        matched = True
        groups = found.groupdict()
        window = window or to_number(groups.get("window"))
        needed = needed or to_number(groups.get("needed")) + to_number(groups.get("output"))
        if window and needed:
            break
    if not matched:
        return None
    if window and needed:
        return ContextLengthExceeded(window=window, needed=needed)
    reason = mask(refusal.message, secrets)
    return InvalidRequest(
        _with("The request does not fit the model's context window", reason),
        param="input",
        code="context_length_exceeded",
    )


@lru_cache
def _patterns(first: str) -> tuple[re.Pattern[str], ...]:
    """All servers' patterns, that of the profile first: a proxy may hand on the words of another server."""
    known = sorted(profiles().values(), key=lambda profile: profile.name != first)
    return tuple(
        re.compile(pattern, re.IGNORECASE | re.DOTALL) for profile in known for pattern in profile.overflow
    )
