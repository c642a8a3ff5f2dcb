"""Requests generated from the server's own OpenAPI document: whatever is sent, it answers, and as the document says.

Twice over: each operation alone, with requests that fit the document and with such that do not; and chains of them
along the document's links (create, retrieve, update, use, delete, use after that). ``make test`` has a short form, the
same on each run; ``make fuzz`` a long one, with other requests each time (``KODO_FUZZ`` is the requests an operation).
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import hypothesis
import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import FlakyFailure, FlakyStrategyDefinition
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from hypothesis.strategies import integers
from schemathesis import Case, GenerationMode, Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.e2e.conftest import Server, start

from kodo.server.http.endpoints import ENDPOINTS, openapi_document
from kodo.server.http.errors import Envelope

MODEL = "codex-mini-latest"
CONFIG = f'[models."{MODEL}"]\nengine = "scripted"\ntarget = ""\n'
LONG = int(os.environ.get("KODO_FUZZ", "0"))
SECONDS = 30
"""One request may last so long; a generated one is done in milliseconds."""
USED = (
    (("POST", "/v1/responses"), "previous_response_id", "post_v1_responses"),
    (("POST", "/v1/conversations"), "conversation", "post_v1_responses"),
    (("POST", "/v1/files"), "input_file_id", "post_v1_batches"),
    (("POST", "/v1/assistants"), "assistant_id", "post_v1_threads_runs"),
)
"""Answers whose id is a field of another request: operation, field, and whose. OpenAPI has no word for it."""
CHAINED = ("CreateResponse", "ChatRequest", "CreateThreadAndRun", "CreateRun", "CreateAssistant", "BatchBody")
PLAIN = (
    "model",
    "input",
    "messages",
    "instructions",
    "metadata",
    "store",
    "stream",
    "background",
    "assistant_id",
    "input_file_id",
    "endpoint",
    "completion_window",
)
"""The fields that the bodies named above keep in a chain."""
MESSAGES = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant"]},
            "content": {"type": "string"},
        },
        "required": ["role", "content"],
        "additionalProperties": False,
    },
}
"""Chat messages, whose parts are translated by hand and have no type."""
CHECKS = (status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all of them; at the end it still lives, and ends as it should."""
    running = start(tmp_path_factory.mktemp("fuzzed") / "home", config=CONFIG)
    yield running
    assert requests.get(f"{running.url}/health", timeout=SECONDS).status_code == 200
    code, said = running.stop()
    assert (code, "Traceback" in said) == (0, False), said


def test_described_is_what_is_served(server: Server) -> None:
    """The document that requests are made from is the one at /openapi.json."""
    assert requests.get(f"{server.url}/openapi.json", timeout=SECONDS).json() == _described()


@pytest.mark.parametrize("mode", GenerationMode, ids=str)
@pytest.mark.parametrize(
    ("method", "path"),
    [pytest.param(one.method, one.template, id=f"{one.method} {one.template}") for one in ENDPOINTS],
)
def test_an_operation_answers(server: Server, method: str, path: str, mode: GenerationMode) -> None:
    """Requests that fit the document, and such that do not: an answer of the document's form, or an error's."""
    operation = _schema(mode)[path][method]
    if mode.is_negative and not (operation.body or operation.query or operation.headers):
        mode = GenerationMode.POSITIVE  # there is nothing to get wrong but the path, which is any text

    @_settings(LONG or 3)
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers(case: Case) -> None:
        held(case, case.call(base_url=server.url, timeout=SECONDS))

    answers()


def test_chains_of_operations_answer(server: Server) -> None:
    """Along the document's links: what was created is read, changed, used, deleted, and asked for again."""

    class Chain(_schema(chained=True).as_state_machine()):  # type: ignore[misc]  # a class that is made at run time
        walked = 0

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {"base_url": server.url, "timeout": SECONDS}

        def validate_response(self, response: Response, case: Case, **_: object) -> None:
            held(case, response)

        def teardown(self) -> None:
            Chain.walked += 1

    walk_chains(Chain, 4 * LONG or 12)


def walk_chains(machine: type[Any], chains: int) -> None:
    """As many chains as asked, with a new seed after each disagreement about what can follow.

    Hypothesis asks that the same choices always lead to the same next ones. Here an answer decides what can follow,
    and a server's answer is right to depend on time: a run that is cancelled was done before, or not yet. Such a
    disagreement ends that search and says nothing about an answer; what :func:`held` finds ends the test.
    """
    first = random.randrange(1 << 32) if LONG else 0
    for seed in range(first, first + chains):
        if machine.walked >= chains:
            break
        wanted = settings(_settings(chains - machine.walked), stateful_step_count=15)
        with contextlib.suppress(FlakyStrategyDefinition):
            hypothesis.seed(seed)(machine).run(settings=wanted)
    assert machine.walked >= chains


class Late(RuleBasedStateMachine):
    """One step can be taken or not, as it was decided elsewhere: what can follow is not the same twice."""

    walked = 0
    steps = 0
    wrong = False
    run = classmethod(run_state_machine_as_test)

    @rule()
    def ask(self) -> None:
        Late.steps += 1
        assert not (Late.wrong and Late.steps > 5)

    @precondition(lambda self: Late.steps % 11 < 5)
    @rule(number=integers())
    def use(self, number: int) -> None:
        Late.steps += number % 2 + 1

    def teardown(self) -> None:
        Late.walked += 1


@pytest.mark.parametrize("wrong", [False, True])
def test_a_step_that_time_decides_is_no_failure(monkeypatch: pytest.MonkeyPatch, *, wrong: bool) -> None:
    """A search that the server's time ends is gone on with, and what is found wrong still fails."""
    monkeypatch.setattr(Late, "wrong", wrong)
    monkeypatch.setattr(Late, "steps", 0)
    monkeypatch.setattr(Late, "walked", 0)
    with pytest.raises((AssertionError, FlakyFailure)) if wrong else contextlib.nullcontext():
        walk_chains(Late, 12)
    assert wrong or Late.walked >= 12


def held(case: Case, response: Response) -> None:
    """The facts that hold for every answer."""
    assert response.status_code < 500, response.content
    assert len(response.headers["x-request-id"]) == 1
    if response.status_code >= 400:
        msgspec.json.decode(response.content, type=Envelope)
    case.validate_response(response, checks=[*CHECKS])


def _settings(examples: int) -> hypothesis.settings:
    return settings(
        max_examples=examples,
        deadline=timedelta(seconds=SECONDS),
        derandomize=not LONG,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink) if LONG else (Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


@functools.cache
def _schema(mode: GenerationMode = GenerationMode.POSITIVE, *, chained: bool = False) -> Any:
    """The document; where requests are to fit, with what its types leave open said as well.

    In a chain the bodies are plain ones, so that most steps succeed, and ids go from answers into bodies too.
    """
    described = _described()
    components = described["components"]["schemas"]
    for component in components.values():
        if "model" in component.get("properties", {}) and component.get("additionalProperties") is False:
            component["properties"]["model"] = {"const": MODEL}
    if mode.is_negative:
        return schemathesis.openapi.from_dict(described)
    components["ChatRequest"]["properties"]["messages"] = MESSAGES
    components["CreateResponse"]["required"].append("input")
    given_input = components["CreateResponse"]["properties"]["input"]
    given_input["anyOf"] = [form for form in given_input["anyOf"] if form.get("type") != "null"]
    for operation in (each for path in described["paths"].values() for each in path.values()):
        unwanted = {"Idempotency-Key", *(("after", "before", "run_id") if chained else ())}
        operation["parameters"] = [each for each in operation["parameters"] if each["name"] not in unwanted]
    if chained:
        for name in CHAINED:
            properties = components[name]["properties"]
            components[name]["properties"] = {key: properties[key] for key in PLAIN if key in properties}
        components["CreateResponse"]["properties"]["input"] = {"type": "string", "minLength": 1}
        for (method, path), field, target in USED:
            links = described["paths"][path][method.lower()]["responses"]["200"].setdefault("links", {})
            link = {"operationId": target, "requestBody": {field: "$response.body#/id"}}
            links[f"as {field} of {target}"] = link
    return schemathesis.openapi.from_dict(described)


def _described() -> Any:
    return msgspec.json.decode(msgspec.json.encode(openapi_document()))
