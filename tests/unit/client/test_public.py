"""The public interface: cheap to import, complete, and what it says it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kodo


def test_importing_kodo_loads_nothing_else() -> None:
    """import kodo brings in neither the SDK nor pydantic nor any other module of kodo."""
    code = (
        "import sys; before = set(sys.modules); import kodo\n"
        "heavy = {'openai', 'pydantic', 'httpx2', 'genai_prices', 'starlette', 'msgspec'}\n"
        "print(sorted(n for n in set(sys.modules) - before if n.split('.')[0] in heavy or n.startswith('kodo.')))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_making_a_session_does_not_load_the_sdk() -> None:
    """The SDK is loaded with the first call, so a budget or a settings error comes fast."""
    code = (
        "import sys, kodo; kodo.retry_with_backoff; kodo.Session(base_url='http://x/v1').close();"
        "print('openai' in sys.modules, 'genai_prices' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "False False\n"


def test_every_public_name_is_there() -> None:
    """All names load, and each has a docstring."""
    for name in kodo.__all__:
        value = getattr(kodo, name)
        assert name == "__version__" or value.__doc__, name
    assert set(kodo.__all__) <= set(dir(kodo))


def test_the_async_names_are_the_sync_names() -> None:
    """kodo.aio has the calls of kodo, awaited."""
    for name in (
        "Session",
        "Chat",
        "generate_code",
        "generate_code_stream",
        "generate_batch",
        "retry_with_backoff",
    ):
        assert hasattr(kodo, name)
        assert hasattr(kodo.aio, name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """A misspelled name is what Python says it is."""
    with pytest.raises(AttributeError, match="no_such"):
        _ = kodo.no_such  # type: ignore[attr-defined]
