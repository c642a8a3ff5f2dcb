"""What a server's error says, in which of the many forms errors have.

OpenAI's envelope, FastAPI's ``detail``, a bare ``message`` (Mistral, older vLLM), a list (Gemini), a string (Ollama),
``msg`` or ``status_msg`` (GLM, MiniMax) and the error of a provider inside OpenRouter's ``metadata``. With any of them the
status may be 200: then the error's own code says what it is.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from kodo.server.wire.foreign_json import NotJson, read_json

_MESSAGES = (
    "message",
    "Message",
    "Message",
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
_TITLE = re.compile(r"(?is)<title[^>]*>(?P<words>[^<]{1,200})</title>")
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
        return UpstreamRefusal(status=status, message=_page_words(body[:4000].decode("utf-8", "replace")))
    return refusal_of(status, value)


def _page_words(text: str) -> str:
    """What a text says; of a web page (a proxy's), its title."""
    if not text.lstrip().startswith("<"):
        return text
    title = _TITLE.search(text)
    return title["words"] if title else ""


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


def stated_status(value: Any, refusal: UpstreamRefusal) -> int | None:
    """The status that an error inside of an answer stands for. None: it does not say."""
    for fields in (refusal.fields, value if isinstance(value, dict) else {}):
        for name in _CODES:
            number = to_number(fields.get(name))
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
    if isinstance(raw, dict | list):
        words = refusal_of(status, raw).message
    else:
        words = read_refusal(status, raw.encode()).message or raw if isinstance(raw, str) else ""
    return f": {words}" if words else ""


def _detail(detail: Any) -> tuple[str, str | None, str]:
    """FastAPI's ``detail``: a text, or a list of what is wrong where."""
    if isinstance(detail, str):
        return detail, None, ""
    first = detail[0] if isinstance(detail, list) and detail else detail
    if not isinstance(first, dict):
        return str(detail), None, ""
    if "msg" not in first:
        inner = refusal_of(0, first)
        return inner.message, inner.param, inner.code
    where = [str(part) for part in first.get("loc", ()) if part != "body"]
    words = f"{'.'.join(where)}: {first.get('msg', '')}" if where else str(first.get("msg", ""))
    return words, ".".join(where) or None, str(first.get("type", ""))


def to_number(value: Any) -> int:
    """A number that a server wrote; 0 where it is none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
