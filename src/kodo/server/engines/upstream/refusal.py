"""A server's error as one of kodo's: what it says why, in which of the many forms errors have.

OpenAI's envelope, FastAPI's ``detail``, a bare ``message`` (Mistral, older vLLM), a list (Gemini), a string (Ollama),
``msg`` or ``status_msg`` (GLM, MiniMax) and the error of a provider inside OpenRouter's ``metadata``. With any of them the
status may be 200: then the error's own code says what it is.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from kodo.server.engines.upstream.masking import NOTHING_HIDDEN, HiddenValues, mask
from kodo.server.engines.upstream.profile import Profile, profiles
from kodo.server.lifecycle.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    ServiceError,
)
from kodo.server.wire.foreign_json import NotJson, read_json

MAX_RETRY_SECONDS = 120.0
_OVERFLOW_CODES = {"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}
_TEXT_FIELD = re.compile(r"^(?:input|messages|prompt|instructions)$|(?:^input\[\d+\]|content|text)$")
"""Fields that hold the prompt: one whose string is too long is a prompt that does not fit, unlike an id or a name."""
_MESSAGES = (
    "message",
    "msg",
    "error_msg",
    "error_message",
    "errorMessage",
    "status_msg",
    "error_description",
)
_CODES = ("code", "status_code", "error_code", "status")
_BUSY = {"rate_limit_exceeded", "rate_limit_error", "rate_limit", "too_many_requests", "resource_exhausted", "insufficient_quota"}  # fmt: skip
_OVERLOADED = {"overloaded_error", "overloaded", "server_is_overloaded", "server_overloaded", "engine_overloaded_error"}  # fmt: skip
_STATUS_IN_WORDS = re.compile(r"(?i)\b(?:error code|status(?: code)?|http)[: ]+(?P<status>[45]\d\d)\b")
_WAIT = re.compile(
    r"(?i)\b(?:retry|try again)(?: again)? (?:in|after) (?:(?P<minutes>\d+)m(?!s) ?)?(?:(?P<number>[\d.]+) ?(?P<unit>ms|s)\w*)?"
)
_QUOTA = re.compile(r"(?i)quota|billing|credit|insufficient balance")
_PARAMETER = re.compile(
    r"(?i)(?:unsupported|unknown|unrecognized|unexpected|extra|unpermitted|not permitted|invalid)[^'\"`]{0,60}"
    r"(?:parameter|argument|field|input|key|name)s?[^'\"`]{0,40}?:?\s*['\"`](?P<name>[a-z_]+)['\"`]"
)
_NOT_SUPPORTED = re.compile(
    r"['\"`]?\b(?:body\.)?(?P<name>[a-z]+(?:_[a-z]+)+|verbosity)['\"`]?\s+(?:is|are)\s+"
    r"(?:not (?:supported|permitted|allowed|enabled)|unsupported)"
)
_IN_DETAILS = re.compile(r"extra_forbidden.{0,20}loc.{0,6}body['\"], ?['\"](?P<name>[a-z_]+)['\"]")
_SUPPLIED = re.compile(
    r"(?i)(?:unrecognized|unknown) (?:request )?(?:argument|parameter)s?(?: supplied)?: (?P<name>[a-z_]+)"
)


class UpstreamRefusal(Struct, frozen=True, kw_only=True):
    """What a server's error says."""

    status: int
    message: str = ""
    code: str = ""
    param: str | None = None
    fields: dict[str, Any] = {}
    """The error object's other fields."""

    @property
    def refused_field(self) -> str | None:
        """The field of the body that the server does not take, if that is what it says."""
        if self.status not in (400, 422):
            return None
        if self.code in ("unsupported_parameter", "unknown_parameter", "extra_forbidden") and self.param:
            return self.param.partition(".")[0]
        tried = (
            pattern.search(self.message) for pattern in (_PARAMETER, _NOT_SUPPORTED, _IN_DETAILS, _SUPPLIED)
        )
        return next((found["name"] for found in tried if found), None)


def read_refusal(status: int, body: bytes) -> UpstreamRefusal:
    """What the body of an error says, whatever its form."""
    try:
        value = read_json(body)
    except NotJson:
        return UpstreamRefusal(
            status=status, message=body[:2000].decode("utf-8", "replace") if b"<" not in body[:1] else ""
        )
    return refusal_of(status, value)


def refusal_of(status: int, value: Any) -> UpstreamRefusal:
    """What an error says that stands in a decoded body or event."""
    if isinstance(value, list):
        value = value[0] if value else {}
    error = value
    if isinstance(value, dict):
        envelopes = (value.get(name) for name in ("error", "errors", "base_resp", "fault"))
        error = next((one for one in envelopes if one), value)
    if isinstance(error, list):
        error = error[0]
    if isinstance(error, str):
        return UpstreamRefusal(status=status, message=error, code=_code(value))
    if not isinstance(error, dict):
        return UpstreamRefusal(status=status)
    message, param = next((error[name] for name in _MESSAGES if error.get(name)), None), error.get("param")
    code = _code(error)
    if not message and "detail" in error:
        message, param, code = _detail(error["detail"])
    if isinstance(message, dict | list):
        inner = refusal_of(status, {"detail": message} if isinstance(message, list) else message)
        message, param = inner.message or msgspec.json.encode(message).decode(), inner.param or param
    message = str(message or "") + _provider_words(status, error.get("metadata"))
    return UpstreamRefusal(
        status=status,
        message=message,
        code=code,
        param=param if isinstance(param, str) else None,
        fields=error,
    )


def says_error(value: dict[str, Any]) -> bool:
    """Whether an object in place of an answer is an error, and not a count or a sign of life."""
    state = value.get("base_resp")
    if isinstance(state, dict) and not value.get("error"):
        return bool(state.get("status_code"))
    return bool(value.get("error") or value.get("object") == "error" or refusal_of(500, value).message)


def _code(error: Any) -> str:
    """A word for the error, if there is one."""
    if not isinstance(error, dict):
        return ""
    found = (str(error.get(name) or "") for name in ("code", "error_code", "type", "status"))
    return next((code for code in found if code and not code.isdigit() and code != "error"), "")


def _stated_status(value: Any, refusal: UpstreamRefusal) -> int | None:
    """The status that an error inside of an answer stands for. None: it does not say."""
    for fields in (refusal.fields, value if isinstance(value, dict) else {}):
        for name in _CODES:
            number = _number(fields.get(name))
            if 400 <= number < 600:
                return number
    code = refusal.code.lower()
    if code in _BUSY or code in _OVERLOADED:
        return 429 if code in _BUSY else 529
    found = _STATUS_IN_WORDS.search(refusal.message)
    return int(found["status"]) if found else None


def _provider_words(status: int, metadata: Any) -> str:
    """What the provider behind OpenRouter says, which is the reason."""
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str):
        return ""
    return f": {read_refusal(status, raw.encode()).message or raw}"


def _detail(detail: Any) -> tuple[str, str | None, str]:
    """FastAPI's ``detail``: a text, or a list of what is wrong where."""
    if isinstance(detail, str):
        return detail, None, ""
    first = detail[0] if isinstance(detail, list) and detail else detail
    if not isinstance(first, dict):
        return str(detail), None, ""
    where = [str(part) for part in first.get("loc", ()) if part != "body"]
    words = f"{'.'.join(where)}: {first.get('msg', '')}" if where else str(first.get("msg", ""))
    return words, ".".join(where) or None, str(first.get("type", ""))


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
    status = refusal.status
    reason = mask(refusal.message, secrets)
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


def failed_in_answer(value: Any, profile: Profile, secrets: HiddenValues = NOTHING_HIDDEN) -> ServiceError:
    """An error that stands in the stream in place of the answer."""
    refusal = refusal_of(500, value)
    status = _stated_status(value, refusal)
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
    window, needed = _number(fields.get("n_ctx")), _number(fields.get("n_prompt_tokens"))
    matched = refusal.code in _OVERFLOW_CODES or (
        refusal.code == "string_above_max_length" and bool(_TEXT_FIELD.search(refusal.param or "input"))
    )
    for pattern in _patterns(profile.name):
        found = pattern.search(refusal.message)
        if found is None:
            continue
        matched = True
        groups = found.groupdict()
        window = window or _number(groups.get("window"))
        needed = needed or _number(groups.get("needed")) + _number(groups.get("output"))
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


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
