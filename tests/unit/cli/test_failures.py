"""Every error of the client's tree has its exit code."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kodo.cli.exit_codes import ExitCode
from kodo.cli.failures import as_command_error, code_of
from kodo.client import errors


def every_kind() -> list[type[errors.KodoError]]:
    """The whole tree, as the module defines it."""
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.KodoError)
    ]


CODES = {
    "BudgetExceededError": ExitCode.BUDGET,
    "SettingsError": ExitCode.BAD_INPUT,
    "UnknownPriceError": ExitCode.BAD_INPUT,
    "ChatNotFoundError": ExitCode.BAD_INPUT,
    "ReplayError": ExitCode.BAD_INPUT,
    "RequestRefusedError": ExitCode.BAD_INPUT,
    "AuthenticationFailedError": ExitCode.BAD_INPUT,
    "KodoError": ExitCode.BAD_INPUT,
}
"""Those not named here are the server's."""


@pytest.mark.parametrize("kind", every_kind(), ids=lambda kind: kind.__name__)
def test_every_kind_of_error_has_the_code_that_is_documented(kind: type[errors.KodoError]) -> None:
    """Budgets stop with 4; what only the user can change is 2; the rest is the server's, 5."""
    arguments = (
        ("run", "x", Decimal(1), Decimal(1), Decimal(1)) if kind is errors.BudgetExceededError else ("no",)
    )
    assert code_of(kind(*arguments)) is CODES.get(kind.__name__, ExitCode.SERVER)


def test_the_line_for_the_user_carries_the_request_id() -> None:
    """What an operator of the server asks for."""
    line = as_command_error(
        errors.ServerFailedError("the server answered 500", status=500, request_id="req_1"), "en"
    )
    assert (line.message, line.code) == ("the server answered 500 (request req_1)", ExitCode.SERVER)
