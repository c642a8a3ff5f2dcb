"""What holds for every test."""

from __future__ import annotations

import functools
import gc
import os
import signal
import ssl
import threading
from collections.abc import Generator

import httpcore2
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


# Each HTTP client reads the certificates that the system trusts, 0.04 s of CPU, and the tests make thousands of clients.
_read_trusted = httpcore2.default_ssl_context


@functools.cache
def _trusted(trust_env: bool, *_named: str | None) -> ssl.SSLContext:
    return _read_trusted(_trust_env=trust_env)


def _trusted_once(*, _trust_env: bool = True) -> ssl.SSLContext:
    """One context for all clients of this process that trust the same certificates."""
    return _trusted(_trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


httpcore2.default_ssl_context = _trusted_once


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Tests and the modules they stand on stay to the end: no garbage collection goes through them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(params=["sqlite", "postgres"])
def each_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of the test on each database, where they name none: by ``pytest.mark.usefixtures``."""
    if request.param == "postgres":
        monkeypatch.setenv("KODO_DATABASE", shared_server().new_database())
