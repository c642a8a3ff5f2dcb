"""What is decided about a request before anything is looked up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.server.lifecycle.parts import CARD

from kodo.server.config import ModelSettings
from kodo.server.engines.scripted import ScriptedEngine
from kodo.server.lifecycle.admission import Admission, Priority
from kodo.server.lifecycle.context import History
from kodo.server.lifecycle.plan import TRUNCATED, Backend, CallContext, RequestPlan
from kodo.server.lifecycle.ports import ContextItem, Sampling, Usage
from kodo.server.lifecycle.row_codec import decode_request, initial_row
from kodo.server.wire.items import Compaction, Message
from kodo.server.wire.request import CreateResponse


def planned(
    call: CallContext | None = None, *, default_output_tokens: int = 512, **fields: Any
) -> RequestPlan:
    """The plan of a request to the model ``m``."""
    backend = Backend(
        name="m",
        engine=ScriptedEngine(),
        admission=Admission(1, 1),
        settings=ModelSettings(default_output_tokens=default_output_tokens),
        card=CARD,
    )
    return RequestPlan.of(
        "resp_000a0000000f", call or CallContext(owner="ada"), CreateResponse(model="m", **fields), backend
    )


def test_the_seed_is_drawn_from_the_id_where_the_client_set_none() -> None:
    """A seed of the client's own is kept."""
    assert planned().call.sampling.seed == 15
    assert planned(CallContext(owner="ada", sampling=Sampling(seed=3))).call.sampling.seed == 3


@pytest.mark.parametrize(
    ("fields", "own", "expected"),
    [
        ({}, Priority.INTERACTIVE, Priority.INTERACTIVE),
        ({"service_tier": "flex"}, Priority.INTERACTIVE, Priority.FLEX),
        ({"background": True}, Priority.INTERACTIVE, Priority.BACKGROUND),
        ({"service_tier": "flex"}, Priority.BACKGROUND, Priority.BACKGROUND),
    ],
)
def test_flex_and_background_only_lower_the_priority(
    fields: dict[str, Any], own: Priority, expected: Priority
) -> None:
    """The least urgent of the call's class and the request's own is taken."""
    assert planned(CallContext(owner="ada", priority=own), **fields).priority is expected


def test_the_soft_limit_yields_to_the_clients_own() -> None:
    """The configured cap holds only where the request has none."""
    assert planned(default_output_tokens=9).soft_limit == 9
    assert planned(default_output_tokens=9, max_output_tokens=100).soft_limit is None


def test_the_initial_response_notes_compaction_and_truncation() -> None:
    """A compaction is the first output item; left-out items are counted in the metadata."""
    item = Compaction(id="cmp_1", encrypted_content="x")
    response = planned(metadata={"a": "b"}).initial_response(1000.0, compaction=item, dropped=2)
    assert response.output == (item,)
    assert response.metadata == {"a": "b", TRUNCATED: "2"}


def test_the_stored_request_keeps_its_field_names() -> None:
    """Rows of earlier versions are read: the names in the JSON are those of the first schema. What is not set is left out."""
    call = CallContext(owner="ada", key_id="key_1", sampling=Sampling(seed=3))
    before = ContextItem(item=Message(id="msg_1", role="user", content=()))
    plan = planned(call, input="not stored here", conversation="conv_1", temperature=1.0)
    row = initial_row(
        plan, plan.initial_response(1000.0), 1000.5, History(before=(before,)), Usage(input=7), 9
    )
    assert msgspec.json.decode(row.request) == {
        "request": {"model": "m", "conversation": "conv_1", "temperature": 1.0},
        "sampling": {"seed": 3},
        "priority": 0,
        "spent": {"input": 7},
        "stands_on": "msg_1",
        "key_id": "key_1",
        "input_tokens": 9,
    }
    assert decode_request(row).prior_usage == Usage(input=7)
    assert (row.created_at, decode_request(row).request.input) == (1000.5, None)
