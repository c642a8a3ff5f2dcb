"""The fake server is product code: what it does not expect is a failure."""

from __future__ import annotations

import httpx2
import pytest

from kodo.client.session import Session
from kodo.client.testing import FakeResponses, Reply


def test_more_requests_than_the_script_has_is_a_failure() -> None:
    """A request beyond the script is refused, and leaving the block raises."""
    with pytest.raises(AssertionError, match="unexpected request"):
        with FakeResponses([Reply()]) as server, Session(base_url=server.base_url) as session:
            session.respond("one")
            with pytest.raises(Exception, match=r"unexpected|400"):
                session.respond("two")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/responses/nobody"])
def test_a_path_it_does_not_have_is_a_failure(path: str) -> None:
    """Anything but the paths it has is a problem."""
    with pytest.raises(AssertionError, match=path):
        with FakeResponses() as server:
            assert httpx2.get(server.base_url.removesuffix("/v1") + path).status_code == 400


def test_a_body_without_model_or_input_is_a_failure() -> None:
    """A request the real API would refuse is not answered here either."""
    with pytest.raises(AssertionError, match="POST"):
        with FakeResponses() as server:
            assert httpx2.post(f"{server.base_url}/responses", json={"model": "m"}).status_code == 400


def test_a_failure_of_the_test_is_not_hidden_by_a_problem() -> None:
    """An exception inside the block comes out as itself."""
    with pytest.raises(ZeroDivisionError):
        with FakeResponses() as server:
            httpx2.get(f"{server.base_url}/nowhere")
            raise ZeroDivisionError
