"""Which exit code an error of the client or of a job stands for. Total over ``KodoError``."""

from __future__ import annotations

from kodo.cli.error_words import describe_error
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.client.errors import (
    AuthenticationFailedError,
    BudgetExceededError,
    CallError,
    EndpointError,
    KodoError,
    ReplayError,
    RequestRefusedError,
)
from kodo.client.i18n import Lang


def code_of(error: KodoError) -> ExitCode:
    """Budget for our own limits; bad input for what only the user can change; server for the rest of the calls."""
    match error:
        case BudgetExceededError():
            return ExitCode.BUDGET
        case RequestRefusedError() | AuthenticationFailedError() | ReplayError():
            return ExitCode.BAD_INPUT
        case CallError() | EndpointError():
            return ExitCode.SERVER
        case _:  # settings, prices, names of chats: nothing was sent
            return ExitCode.BAD_INPUT


def as_command_error(error: KodoError, lang: Lang) -> CommandError:
    """The same error as a line for the user, with the request id where the server gave one."""
    request_id = error.request_id if isinstance(error, CallError) else None
    named = "リクエスト" if lang == "ja" else "request"
    words = describe_error(error, lang)
    return CommandError(f"{words}{f' ({named} {request_id})' if request_id else ''}", code_of(error))
