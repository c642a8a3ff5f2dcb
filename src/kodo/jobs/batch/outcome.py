"""An answer or an error of the client as a line of a result file. Pure."""

from __future__ import annotations

import re
import uuid

from kodo.client.answer import Answer, AnswerFailedError
from kodo.client.errors import CallError
from kodo.jobs.batch.lines import Answered, ResultLine, Unanswered


def answered(custom_id: str, answer: Answer) -> ResultLine:
    """The line for an answer: the Response with the fields the server sent."""
    return ResultLine(_name(), custom_id, Answered(200, answer.request_id, answer.raw.to_dict(mode="json")))


def failed(custom_id: str, error: CallError) -> ResultLine:
    """The line for an error: an HTTP answer where there was one, else what happened."""
    if isinstance(error, AnswerFailedError) and error.answer is not None:
        return answered(custom_id, error.answer)
    kind = _snake(type(error).__name__.removesuffix("Error"))
    if error.status is None or error.status < 400:
        return ResultLine(_name(), custom_id, error=Unanswered(error.code or kind, str(error)))
    body = {"error": {"message": str(error), "type": kind, "param": error.param, "code": error.code}}
    return ResultLine(_name(), custom_id, Answered(error.status, error.request_id, body))


def _name() -> str:
    return f"batch_req_{uuid.uuid4().hex}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
