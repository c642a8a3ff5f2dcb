"""What holds for every test."""

from __future__ import annotations

import signal
import threading

import pytest
from hypothesis import settings
from tests.postgres_server import shared_server

# A busy machine makes a slow example, not a wrong one.
settings.register_profile("kodo", deadline=None)
settings.load_profile("kodo")

# A shell starts what it runs in the background with Ctrl-C ignored, and programs hand that on: those that the tests
# interrupt would never hear of it.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["sqlite", "postgres"])
def each_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of the test on each database, where they name none: by ``pytest.mark.usefixtures``."""
    if request.param == "postgres":
        monkeypatch.setenv("KODO_DATABASE", shared_server().new_database())
