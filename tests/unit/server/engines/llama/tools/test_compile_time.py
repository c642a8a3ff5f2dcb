"""How long a grammar may take to compile: the processor's time counts, not what else the machine does."""

from __future__ import annotations

import time

import pytest

from kodo.server.engines.llama.tools.structured import (
    MAX_COMPILE_SECONDS,
    MAX_COMPILE_WAIT_SECONDS,
    TOO_LARGE,
    Grammars,
)
from kodo.server.lifecycle.errors import InvalidRequest

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def _slowly(monkeypatch: pytest.MonkeyPatch, *, waiting: float = 0, working: float = 0) -> None:
    """Compiling waits so many seconds for the processor, and then works so many."""
    fault = Grammars._fault

    def slow(self: Grammars, grammar: str) -> str | None:
        time.sleep(waiting)
        until = time.thread_time() + working
        while time.thread_time() < until:
            pass
        return fault(self, grammar)

    monkeypatch.setattr(Grammars, "_fault", slow)


async def test_a_schema_is_taken_however_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waited longer than any limit and worked for a moment."""
    _slowly(monkeypatch, waiting=MAX_COMPILE_SECONDS + MAX_COMPILE_WAIT_SECONDS)
    assert (await Grammars().for_schema(SCHEMA, "text.format.schema", 64)).text


@pytest.mark.parametrize("working", [MAX_COMPILE_SECONDS * 1.2, MAX_COMPILE_WAIT_SECONDS * 2])
async def test_one_that_keeps_the_processor_is_refused(
    working: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it ends or is left alone; the error says why."""
    _slowly(monkeypatch, working=working)
    with pytest.raises(InvalidRequest, match=TOO_LARGE) as caught:
        await Grammars().for_schema(SCHEMA, "text.format.schema", 64)
    assert caught.value.param == "text.format.schema"
