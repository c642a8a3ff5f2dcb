"""Every error of the client and the jobs, in one tree; ``kodo.client.error_translation`` makes them of foreign ones.

::

    KodoError
    ├── SettingsError            a setting has the wrong type, or names a profile that is not there
    ├── EndpointError            no Responses API was given, none runs, none could be started
    ├── BudgetExceededError      the worst case of the call does not fit a limit; nothing was sent
    ├── UnknownPriceError        no price is known and the policy says refuse; nothing was sent
    ├── ChatNotFoundError        no chat was saved under this name
    └── CallError                the call was made and did not give an answer
        ├── RequestRefusedError      4xx that another try would not change
        ├── AuthenticationFailedError  401, 403
        ├── QuotaExhaustedError      429 with code insufficient_quota
        ├── RateLimitedError         429, retries used up
        ├── ServerFailedError        5xx, retries used up
        ├── UnreachableError         no connection, or it broke before an answer
        ├── CallTimeoutError         no answer in time
        ├── StreamCutError           a stream ended without its last event
        ├── AnswerFailedError        the response's own status is failed or cancelled (``kodo.client.answer``)
        ├── MalformedAnswerError     what came back is not a Response
        └── ReplayError              the cassette lacks this request, or cannot be read or written
"""

from __future__ import annotations

from decimal import Decimal


class KodoError(Exception):
    """Base of everything raised on purpose. ``str(error)`` is one line for the user, in English.

    Attributes:
        ja: the same line in Japanese; None where there is none.
    """

    ja: str | None = None


class SettingsError(KodoError):
    """A setting is wrong; the message names it."""


class EndpointError(KodoError):
    """No Responses API can be reached or started."""


class BudgetExceededError(KodoError):
    """A call's worst case does not fit what is left of a limit. Nothing was sent.

    Amounts are US dollars. ``spent`` counts settled calls and open reservations.
    """

    def __init__(self, scope: str, key: str, limit: Decimal, spent: Decimal, wanted: Decimal) -> None:
        self.scope, self.key, self.limit, self.spent, self.wanted = scope, key, limit, spent, wanted
        super().__init__(
            f"budget per {scope} ({key}): limit ${limit:.6f}, used or reserved ${spent:.6f}, "
            f"this call may cost ${wanted:.6f}"
        )
        self.ja = (
            f"{scope} の予算（{key}）: 上限 ${limit:.6f}、使用済みまたは予約済み ${spent:.6f}、"
            f"この呼び出しの最大費用 ${wanted:.6f}"
        )

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Errors cross process borders whole."""
        return type(self), (self.scope, self.key, self.limit, self.spent, self.wanted)


class UnknownPriceError(KodoError):
    """No price is known for the model and the policy is to refuse. Nothing was sent."""


class ChatNotFoundError(KodoError):
    """No chat is saved under this name."""


class CallError(KodoError):
    """A call that was made and did not give an answer.

    Attributes:
        status: HTTP status, None where no answer came.
        code: the API's error code, such as ``model_not_found``.
        param: the request's field the server blames.
        request_id: the server's ``x-request-id``.
        attempts: requests that were sent for this call.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.request_id, self.attempts = request_id, attempts


class RequestRefusedError(CallError):
    """The server refuses this request (400, 404, 409, 413, 422 …); sending it again would not help."""


class AuthenticationFailedError(CallError):
    """The key is missing, wrong or not allowed (401, 403)."""


class QuotaExhaustedError(CallError):
    """The account has no quota left (``insufficient_quota``); waiting would not help."""


class RateLimitedError(CallError):
    """Rate limited (429) and the retries are used up."""


class ServerFailedError(CallError):
    """The server failed (5xx) and the retries are used up."""


class UnreachableError(CallError):
    """No connection, or it broke before the answer was whole."""


class CallTimeoutError(CallError):
    """No answer in the time allowed."""


class StreamCutError(CallError):
    """A stream ended without its last event. ``text`` is what had arrived."""

    text: str = ""


class MalformedAnswerError(CallError):
    """The server answered 200 with something that is not a Response."""


class ReplayError(CallError):
    """A request is not in the cassette, or the cassette cannot be read or written."""
