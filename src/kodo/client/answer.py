"""What a call gives back, and how it is read from an SDK response."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kodo.client.errors import CallError, MalformedAnswerError
from kodo.client.prices import Cost
from kodo.client.usage import Usage

if TYPE_CHECKING:
    from openai.types.responses import Response

TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""Response statuses after which nothing more comes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a model.

    Attributes:
        text: the output text, all text parts joined.
        status: ``completed``, or ``incomplete`` when a limit stopped it (``incomplete_reason`` says which).
        usage: tokens as the server counted them; zeros where it sent none (``usage_known`` is then False).
        cost: what was charged and the list price, in US dollars.
        latency: seconds from the first attempt to the last byte.
        attempts: requests sent.
        masked: kinds of secrets that were masked in the request.
        raw: the SDK's Response, for everything else (``raw.model_dump()`` is its JSON).
    """

    text: str
    usage: Usage
    response_id: str
    model: str
    status: str
    request_id: str | None
    latency: float
    cost: Cost
    raw: Response = field(repr=False)
    incomplete_reason: str | None = None
    usage_known: bool = True
    attempts: int = 1
    masked: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text

    @property
    def output_text(self) -> str:
        """The output text, under the name that the SDK's Response has for it."""
        return self.text

    @property
    def usd(self) -> Decimal:
        """US dollars charged."""
        return self.cost.usd

    @property
    def tool_calls(self) -> list[Any]:
        """The output items of type ``function_call``, as SDK objects."""
        return [item for item in self.raw.output if item.type == "function_call"]


class AnswerFailedError(CallError):
    """The response arrived and its status is ``failed`` or ``cancelled``. ``answer`` is that response."""

    answer: Answer | None = None


def text_of(raw: Response) -> str:
    """The output text, all text parts joined. Parts that are not what they should be have none."""
    parts = (part for item in raw.output for part in _list(getattr(item, "content", None)))
    texts = (getattr(part, "text", None) for part in parts if getattr(part, "type", None) == "output_text")
    return "".join(text for text in texts if isinstance(text, str))


def field_of(part: object, name: str) -> str | None:
    """A string field of a part of a response, such as the message of its error; None if absent."""
    value = getattr(part, name, None)
    return value if isinstance(value, str) else None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def ensure_response(response: object) -> Response:
    """The response itself, if it is one.

    The SDK builds its types without validating, and hands a body that is not JSON on as a string, so the few fields
    that everything rests on are looked at here.

    Raises:
        MalformedAnswerError: no object with an id, a known status and a list of output.
    """
    from openai.types.responses import Response

    if (
        isinstance(response, Response)
        and isinstance(getattr(response, "id", None), str)
        and isinstance(getattr(response, "output", None), list)
        and isinstance(getattr(response, "status", None), str)
    ):
        return response
    raise MalformedAnswerError(
        f"the server answered with something that is not a Response: {str(response)[:120]!r}",
        status=200,
        request_id=getattr(response, "_request_id", None),
    )
