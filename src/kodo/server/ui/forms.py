"""The forms of the dashboard's pages, read within limits: they come before anybody is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import parse_qsl

from starlette.requests import Request

from kodo.server.http.bodies import read_raw_body
from kodo.server.lifecycle.errors import InvalidRequest

MAX_FORM_BYTES: Final = 64 * 2**10
MAX_FIELDS: Final = 200
MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_READ: Final = "kodo.ui.form"


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form, of each name the last; none where the body is no form. May be called again.

    Raises:
        TooLarge: it has more than :data:`MAX_FORM_BYTES`, whether it says so or not.
        InvalidRequest: it has more than :data:`MAX_FIELDS` fields, or is no text.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        return {}
    if _READ not in request.scope:
        body = await read_raw_body(request, MAX_FORM_BYTES)
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
        except ValueError:
            raise InvalidRequest("The form cannot be read.") from None
        request.scope[_READ] = dict(fields)
    return cast(Mapping[str, str], request.scope[_READ])
