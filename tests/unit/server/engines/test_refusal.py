"""What servers and the proxies in front of them say in an error, in which of its many forms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kodo.server.engines.upstream.error_translation import translate
from kodo.server.engines.upstream.profile import profile_named
from kodo.server.engines.upstream.refusal import read_refusal
from kodo.server.engines.upstream.usage import read_usage
from kodo.server.lifecycle.errors import EngineUnavailable, InvalidRequest, Overloaded, ServiceError


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", "502 Bad Gateway"),
        (b"<html><body>x</body></html>", ""),
        (b"404 page not found", "404 page not found"),
        ({"error": "model is loading"}, "model is loading"),
        ({"error": [{"message": "first"}]}, "first"),
        ({"errors": [{"code": 7003, "message": "no route"}], "success": False}, "no route"),
        ({"error": {"message": {"type": "x", "message": "inner"}}}, "inner"),
        ({"detail": {"error": "boom"}}, "boom"),
        ({"detail": [{"loc": ["body", "x"], "msg": "bad", "type": "t"}]}, "x: bad"),
        ({"error_code": 1, "error_msg": "boo"}, "boo"),
        ({"code": 500, "msg": "gone"}, "gone"),
        ({"Message": "of a cloud"}, "of a cloud"),
        ({"base_resp": {"status_code": 1008, "status_msg": "no balance"}}, "no balance"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": {"error": {"message": "why"}}}}}, "Provider returned error: why"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": "plain words"}}}, "Provider returned error: plain words"),
        ([], ""),
        (None, ""),
    ],
)  # fmt: skip
def test_the_reason_is_found(body: Any, words: str) -> None:
    """In OpenAI's envelope, another one, a list, a text or a page."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert read_refusal(400, sent).message == words


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "temperature must be below 2"}, InvalidRequest),
        (400, {"message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}, EngineUnavailable),
        (400, {"message": "Incorrect API key provided: ab***"}, EngineUnavailable),
        (400, {"message": "refused", "details": [{"reason": "API_KEY_INVALID"}]}, EngineUnavailable),
        (400, {"message": "The model `x` does not exist", "code": "model_not_found"}, EngineUnavailable),
        (301, {}, EngineUnavailable),
        (204, {}, EngineUnavailable),
        (529, {"type": "overloaded_error", "message": "Overloaded"}, Overloaded),
        (503, {"message": "Loading model", "code": 503}, EngineUnavailable),
    ],
)  # fmt: skip
def test_whose_fault_it_is(status: int, error: dict[str, Any], kind: type[ServiceError]) -> None:
    """What the caller cannot help is not told as a fault of the request: some servers answer 400 for it."""
    refusal = read_refusal(status, json.dumps({"error": error}).encode())
    assert type(translate(refusal, {}, profile_named("generic"))) is kind


def test_counts_that_are_texts_are_read() -> None:
    """A gateway in between made texts of them."""
    usage = read_usage({"prompt_tokens": "9", "completion_tokens": "3", "prompt_tokens_details": []})
    assert usage is not None
    assert (usage.input, usage.output, usage.cached) == (9, 3, 0)
