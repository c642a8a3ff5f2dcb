"""Through the whole server to each kind of upstream: what it wants back comes back, from the store or from the client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, served, settings
from tests.standin.app import KEY, StandIn, serve
from tests.standin.app import MODEL as THEIR_MODEL
from tests.standin.servers import SERVERS

from kodo.server.config import ModelSettings

TOOLS: Any = [
    {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}, "strict": False},
    {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}, "strict": False},
]  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def model_for(standin: StandIn) -> ModelSettings:
    """The settings of a model behind it."""
    return ModelSettings(
        engine="upstream",
        base_url=standin.url,
        target=THEIR_MODEL,
        api_key=KEY,  # type: ignore[arg-type]  # pydantic wraps it
        profile=standin.behaviour.name,
        context_window=100_000,
    )


def outputs(response: Any) -> list[Any]:
    """An output for each call of a response."""
    return [
        {"type": "function_call_output", "call_id": item.call_id, "output": f"{item.name}: fine"}
        for item in response.output
        if item.type == "function_call"
    ]


@pytest.mark.parametrize("name", sorted(SERVERS))
async def test_a_loop_on_the_servers_chain(name: str, tmp_path: Path) -> None:
    """With `previous_response_id`, each server gets its ids, signatures and reasoning back from the store."""
    async with serve(SERVERS[name]) as standin, served(settings(tmp_path, model_for(standin))) as server:
        sdk = server.sdk()
        last = await sdk.responses.create(model=MODEL, input="The weather in Paris and Tokyo?", tools=TOOLS)
        for _ in range(2):
            last = await sdk.responses.create(
                model=MODEL, input=outputs(last), previous_response_id=last.id, tools=TOOLS
            )
    assert last.output_text == "It is sunny in Paris and Tokyo, at noon."


@pytest.mark.parametrize("name", sorted(SERVERS))
async def test_a_loop_that_the_client_keeps(name: str, tmp_path: Path) -> None:
    """With `store: false` the client sends its history, reasoning sealed: enough for every server."""
    async with serve(SERVERS[name]) as standin, served(settings(tmp_path, model_for(standin))) as server:
        sdk = server.sdk()
        history: list[Any] = [{"role": "user", "content": "The weather in Paris and Tokyo?"}]
        for _ in range(3):
            last = await sdk.responses.create(
                model=MODEL, input=history, store=False, tools=TOOLS, include=["reasoning.encrypted_content"]
            )
            history += [item.to_dict() for item in last.output] + outputs(last)
    assert last.output_text == "It is sunny in Paris and Tokyo, at noon."


async def test_signed_reasoning_goes_through_the_clients_seal(tmp_path: Path) -> None:
    """OpenRouter's signatures are inside `encrypted_content`, and reach it again from a client that keeps the state."""
    async with (
        serve(SERVERS["openrouter"]) as standin,
        served(settings(tmp_path, model_for(standin))) as server,
    ):
        sdk = server.sdk()
        history: list[Any] = [{"role": "user", "content": "The weather in Paris and Tokyo?"}]
        for _ in range(2):
            last = await sdk.responses.create(
                model=MODEL, input=history, store=False, tools=TOOLS, include=["reasoning.encrypted_content"]
            )
            history += [item.to_dict() for item in last.output] + outputs(last)
        sent = next(message for message in standin.bodies[-1]["messages"] if message.get("tool_calls"))
        assert "signed:" not in str(history)
    assert sent["reasoning_details"][0]["signature"] == "signed:I need both cities."


async def test_another_servers_reasoning_is_not_sent(tmp_path: Path) -> None:
    """A chain that goes on with another model leaves the first one's reasoning out; Gemini gets its placeholder."""
    async with serve(SERVERS["deepseek"]) as one, serve(SERVERS["gemini"]) as two:
        models = {"first": model_for(one), "second": model_for(two)}
        async with served(settings(tmp_path, models=models)) as server:
            sdk = server.sdk()
            first = await sdk.responses.create(
                model="first", input="The weather in Paris and Tokyo?", tools=TOOLS
            )
            await sdk.responses.create(
                model="second", input=outputs(first), previous_response_id=first.id, tools=TOOLS
            )
    assert "I need both cities." not in str(two.bodies[0])
    assert "skip_thought_signature_validator" in str(two.bodies[0])


async def test_images_by_id_and_by_data_reach_the_model(tmp_path: Path) -> None:
    """`file_id` and a data URL, in a message and in a tool's output; a file that is no image is refused."""
    async with serve(SERVERS["vllm"]) as standin, served(settings(tmp_path, model_for(standin))) as server:
        sdk = server.sdk()
        file = await sdk.files.create(file=("a.png", PNG), purpose="vision")
        text = await sdk.files.create(file=("a.txt", b"words"), purpose="user_data")
        part: Any = {"type": "input_image", "file_id": file.id, "detail": "auto"}
        question: Any = [{"role": "user", "content": [{"type": "input_text", "text": "What is it?"}, part]}]
        seen = await sdk.responses.create(model=MODEL, input=question)
        assert seen.output_text == "I see an image of 86 characters."
        again = await sdk.responses.create(model=MODEL, input="And now?", previous_response_id=seen.id)
        assert "an image of 86 characters" in again.output_text  # the chain keeps it
        call: Any = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
        output: Any = {"type": "function_call_output", "call_id": "c", "output": [part]}
        looked = await sdk.responses.create(model=MODEL, input=[*question[:1], call, output])
        assert looked.output_text == "I see an image of 86 characters and an image of 86 characters."
        wrong: Any = [
            {"role": "user", "content": [{"type": "input_image", "file_id": text.id, "detail": "auto"}]}
        ]
        refused = await server.http().post("/v1/responses", json={"model": MODEL, "input": wrong})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "input[0].content[0].file_id"


async def test_a_pdf_goes_to_a_server_that_reads_it(tmp_path: Path) -> None:
    """OpenAI's form of a file; a server that takes none gets a 400 that says so."""
    pdf = b"%PDF-1.7\n\xff\xfe"
    for name, status in (("openai", 200), ("vllm", 400)):
        home = tmp_path / name
        async with serve(SERVERS[name]) as standin, served(settings(home, model_for(standin))) as server:
            file = await server.sdk().files.create(file=("a.pdf", pdf), purpose="user_data")
            part = {"type": "input_file", "file_id": file.id}
            body = {"model": MODEL, "input": [{"role": "user", "content": [part]}]}
            got = await server.http().post("/v1/responses", json=body)
        assert got.status_code == status, got.text
        if status == 200:
            assert got.json()["output"][-1]["content"][0]["text"] == "I see the file a.pdf."


async def test_reasoning_that_a_client_sends_back_by_its_id_is_completed_from_the_store(
    tmp_path: Path,
) -> None:
    """openai-agents keeps the history and asks for no sealed reasoning: the signature is found by the item's id."""
    async with (
        serve(SERVERS["openrouter"]) as standin,
        served(settings(tmp_path, model_for(standin))) as server,
    ):
        sdk = server.sdk()
        history: list[Any] = [{"role": "user", "content": "The weather in Paris and Tokyo?"}]
        for _ in range(3):
            last = await sdk.responses.create(model=MODEL, input=history, tools=TOOLS)
            history += [item.to_dict() for item in last.output] + outputs(last)
    assert last.output_text == "It is sunny in Paris and Tokyo, at noon."
