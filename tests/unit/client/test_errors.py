"""The error tree and the edge where foreign errors become ours."""

from __future__ import annotations

import inspect
import json
import pickle
from decimal import Decimal

import httpx2
import openai
import pytest

from kodo.client import errors
from kodo.client.answer import AnswerFailedError
from kodo.client.error_translation import translate
from kodo.client.errors import CallError, KodoError

REQUEST = httpx2.Request("POST", "http://server/v1/responses")


def status_error(status: int, body: object) -> openai.APIStatusError:
    response = httpx2.Response(
        status, request=REQUEST, headers={"x-request-id": "req_1"}, text=json.dumps(body)
    )
    return openai.OpenAI(api_key="x", base_url="http://server/v1")._make_status_error_from_response(response)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (openai.APITimeoutError(request=REQUEST), errors.CallTimeoutError),
        (openai.APIConnectionError(request=REQUEST), errors.UnreachableError),
        (openai.APIError("in the stream", REQUEST, body={"code": "server_error"}), AnswerFailedError),
        (httpx2.ReadError("cut"), errors.UnreachableError),
        (json.JSONDecodeError("no", "x", 0), errors.MalformedAnswerError),
    ],
)
def test_every_foreign_error_becomes_one_of_ours(error: Exception, kind: type[CallError]) -> None:
    """Errors of the SDK and the transport are translated and keep the number of attempts."""
    translated = translate(error, 3)
    assert type(translated) is kind
    assert translated.attempts == 3


def test_a_fault_of_the_program_stays_what_it_is() -> None:
    """A TypeError is not made to look like a failed connection."""
    with pytest.raises(TypeError, match="mine"):
        translate(TypeError("mine"))


def test_what_the_server_said_is_in_the_error() -> None:
    """Message, code, param, status and request id; one line, also for a body that is not the API's envelope."""
    envelope = {
        "error": {"message": "No such model", "type": "x", "param": "model", "code": "model_not_found"}
    }
    error = translate(status_error(404, envelope))
    assert str(error) == "the server answered 404: No such model"
    assert (error.code, error.param, error.status, error.request_id) == (
        "model_not_found",
        "model",
        404,
        "req_1",
    )
    strange = translate(status_error(502, "<html>\nbad\n gateway</html>"))
    assert "\n" not in str(strange)


def test_a_quota_is_told_by_code_or_by_type() -> None:
    """Older servers say it in type only."""
    for fields in ({"code": "insufficient_quota"}, {"type": "insufficient_quota"}):
        assert (
            type(translate(status_error(429, {"error": {"message": "m", **fields}})))
            is errors.QuotaExhaustedError
        )


def test_errors_cross_process_borders() -> None:
    """They can be pickled with what they carry."""
    spent = errors.BudgetExceededError("run", "r", Decimal(1), Decimal("0.5"), Decimal("0.7"))
    assert pickle.loads(pickle.dumps(spent)).limit == Decimal(1)
    refused = translate(status_error(404, {"error": {"message": "m", "code": "c"}}), 2)
    copy = pickle.loads(pickle.dumps(refused))
    assert (type(copy), copy.code, copy.attempts) == (type(refused), "c", 2)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Every error class of the module is drawn in its docstring."""
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, KodoError):
            assert name in str(errors.__doc__), name
