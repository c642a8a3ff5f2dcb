"""The installed command, the real model, the real SDK: sync, async, streamed, errors, crashes, shutdown."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import trustme
from tests.e2e.conftest import KODO, Server
from tests.hostile import bodies

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("real model")]
MODEL = "codex-mini-latest"


def test_the_sdk_gets_an_answer_plain_and_streamed(real: Server) -> None:
    """The same question at temperature 0 is answered alike plain, streamed and through the SDK's stream helper."""
    sdk = real.sdk()
    asked = {"model": MODEL, "input": "Name three colours.", "temperature": 0, "max_output_tokens": 24}
    plain = sdk.responses.create(**asked)
    assert plain.output_text
    assert plain._request_id.startswith("req_")
    events = list(sdk.responses.create(**asked, stream=True))
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta")
        == plain.output_text
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    with sdk.responses.stream(**asked) as stream:  # the helper itself refuses a final response that was cut
        helped = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
    assert helped[-1] == plain.output_text


def test_anthropics_top_k_limits_what_is_drawn(real: Server) -> None:
    """Of one token, any temperature gives what temperature 0 does; the header calls nothing ignored."""
    body = {
        "model": MODEL,
        "max_tokens": 24,
        "messages": [{"role": "user", "content": "Tell me of the sea."}],
    }
    said = []
    for settings in ({"temperature": 0}, {"temperature": 1, "top_k": 1}, {"temperature": 1, "top_k": 1}):
        answer = httpx2.post(f"{real.url}/v1/messages", json={**body, **settings}, timeout=60)
        assert "x-kodo-ignored-parameters" not in answer.headers
        said.append(answer.json()["content"][0]["text"])
    assert len(set(said)) == 1


async def test_the_async_sdk_gets_an_answer(real: Server) -> None:
    """Several at once, each its own."""
    sdk = real.async_sdk()
    answers = await asyncio.gather(
        *(sdk.responses.create(model=MODEL, input=f"Say {n}.", max_output_tokens=8) for n in range(6))
    )
    assert len({answer.id for answer in answers}) == 6
    assert all(answer.output_text for answer in answers)


def test_usage_is_the_engines_count_and_says_what_was_cached(real: Server) -> None:
    """A repeated prefix is served from the cache, and only then; cut answers are counted too."""
    sdk = real.sdk()
    text = f"{time.time_ns()} " + "The quick brown fox jumps over the lazy dog. " * 30
    key = {"prompt_cache_key": "fox"}
    first = sdk.responses.create(model=MODEL, input=text + "One.", max_output_tokens=4, extra_body=key)
    again = sdk.responses.create(model=MODEL, input=text + "Two.", max_output_tokens=4, extra_body=key)
    assert first.usage is not None
    assert again.usage is not None
    counted = sdk.responses.input_tokens.count(model=MODEL, input=text + "One.")
    assert first.usage.input_tokens == counted.input_tokens
    assert first.usage.output_tokens == 4
    assert (first.status, first.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert again.usage.input_tokens_details.cached_tokens > 250
    assert first.usage.input_tokens_details.cached_tokens < 100
    assert first.usage.total_tokens == first.usage.input_tokens + 4


def test_japanese_and_emoji_come_out_whole(real: Server) -> None:
    """No delta carries half a character: they join to the text, and none holds a replacement character."""
    sdk = real.sdk()
    events = list(
        sdk.responses.create(
            model=MODEL,
            input="次の文を繰り返して: こんにちは世界 🎉👩‍💻 鼓動",
            stream=True,
            temperature=0,  # drawn at random, a model may write bytes that form no character
            max_output_tokens=60,
        )
    )
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == events[-1].response.output_text
    assert "🎉" in "".join(deltas)
    assert not any("\ufffd" in delta for delta in deltas[:-1])


def test_errors_come_as_the_sdk_expects_them(real: Server) -> None:
    """Class, code and param of each."""
    sdk = real.sdk()
    with pytest.raises(openai.NotFoundError) as unknown:
        sdk.responses.create(model="gpt-9", input="x")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as long:
        sdk.responses.create(model=MODEL, input="word " * 9000)
    assert long.value.code == "context_length_exceeded"
    assert "8192" in long.value.message
    with pytest.raises(openai.BadRequestError) as hot:
        sdk.responses.create(model=MODEL, input="x", temperature=3)
    assert hot.value.param == "temperature"
    with pytest.raises(openai.NotFoundError) as gone:
        sdk.responses.retrieve("resp_none")
    assert gone.value.code == "response_not_found"


def test_logprobs_are_reported_where_asked_for(real: Server) -> None:
    """Each token with its bytes and alternatives, the likeliest first."""
    response = real.sdk().responses.create(
        model=MODEL,
        input="Say yes.",
        max_output_tokens=4,
        temperature=0,
        top_logprobs=3,
        include=["message.output_text.logprobs"],
    )
    part = response.output[0].content[0]
    assert "".join(entry.token for entry in part.logprobs) == part.text
    for entry in part.logprobs:
        assert bytes(entry.bytes).decode() == entry.token
        assert len(entry.top_logprobs) == 3
        values = [alternative.logprob for alternative in entry.top_logprobs]
        assert values == sorted(values, reverse=True)


def test_a_completions_stream_has_its_logprobs_where_the_whole_answer_has_them(real: Server) -> None:
    """``text_offset`` counts from the beginning of the text, not of the piece."""
    body: Any = {
        "model": MODEL,
        "prompt": "Count to five.",
        "echo": True,
        "logprobs": 1,
        "max_tokens": 12,
        "temperature": 0,
    }
    whole = real.sdk().completions.create(**body).choices[0].logprobs
    pieces = [piece.choices[0].logprobs for piece in real.sdk().completions.create(**body, stream=True)]
    offsets = [offset for logprobs in pieces if logprobs for offset in logprobs.text_offset]
    assert offsets == whole.text_offset
    assert len(offsets) > 5


def test_seventeen_uncapped_questions_are_all_answered_soon(serve: Callable[..., Server]) -> None:
    """None waits for a rambling one: an answer ends at the server's own cap, or where its code block is closed."""
    cap = 64  # a quarter of the default, and of the time
    sdk = serve(config=f'[models."{MODEL}"]\ndefault_output_tokens = {cap}\n').sdk()
    began = time.monotonic()

    def ask(number: int) -> tuple[int, float]:
        response = sdk.responses.create(model=MODEL, input=f"Tell me a long story about the number {number}.")
        return response.usage.output_tokens, time.monotonic() - began

    with ThreadPoolExecutor(17) as pool:
        answers = list(pool.map(ask, range(17)))
    longest = 2 * cap + cap // 8 + 8  # what an open code block may take, and a piece of text
    assert all(tokens <= longest for tokens, _ in answers), answers


def test_a_client_that_leaves_frees_its_slot_also_in_the_prefill(real: Server) -> None:
    """Four long prefills are left at once; the next question is answered before any of them could have ended."""
    for _ in range(4):
        body = {"model": MODEL, "input": f"{time.time_ns()} " + "word " * 7000, "stream": True}
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{real.url}/v1/responses", json=body, timeout=httpx2.Timeout(5, read=0.3)).read()
    deadline = time.monotonic() + 20
    while "kodo_running_requests" in (text := httpx2.get(f"{real.url}/metrics").text):
        running = [line for line in text.splitlines() if line.startswith("kodo_running_requests{")]
        if all(line.endswith(" 0.0") for line in running):
            break
        assert time.monotonic() < deadline, "the slots were not freed"
        time.sleep(0.1)
    assert real.sdk().responses.create(model=MODEL, input="Still there?", max_output_tokens=4).output_text


def test_hostile_bodies_get_a_4xx_or_a_valid_answer_and_stall_nobody(real: Server) -> None:
    """Over 200 of them, while another client keeps asking; the server lives."""
    stop = threading.Event()
    failures: list[str] = []

    def keep_asking() -> None:
        with httpx2.Client(base_url=real.url, timeout=60) as http:
            while not stop.wait(0.02):
                answer = http.get("/v1/models")
                if answer.status_code != 200:
                    failures.append(answer.text)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    count = 0
    try:
        with httpx2.Client(base_url=real.url, timeout=120) as http:
            for name, body in bodies():
                count += 1
                answer = http.post(
                    "/v1/responses", content=body, headers={"content-type": "application/json"}
                )
                if answer.status_code == 200:
                    if answer.json()["status"] not in ("completed", "incomplete"):
                        failures.append(f"{name}: {answer.text[:300]}")
                elif not 400 <= answer.status_code < 500 or set(answer.json()["error"]) != {
                    "message",
                    "type",
                    "param",
                    "code",
                }:
                    failures.append(f"{name}: {answer.status_code} {answer.text[:300]}")
                if any(secret in answer.text for secret in ("Traceback", "site-packages", str(real.home))):
                    failures.append(f"{name}: leaks {answer.text[:300]}")
    finally:
        stop.set()
        asking.join()
    assert not failures
    assert count >= 200
    assert real.process.poll() is None
    assert real.sdk().responses.create(model=MODEL, input="Alive?", max_output_tokens=4).output_text


def test_a_killed_engine_is_replaced(serve: Callable[..., Server]) -> None:
    """What was in flight fails as such; the next request succeeds; the restart is counted."""
    server = serve()
    sdk = server.sdk()
    stream = sdk.responses.create(model=MODEL, input="Tell a very long story.", stream=True)
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    (engine,) = server.children()
    os.kill(engine, signal.SIGKILL)
    last = list(stream)[-1]
    assert last.type == "response.failed"
    assert last.response.error.code == "server_error"
    assert (
        sdk.with_options(max_retries=2)
        .responses.create(model=MODEL, input="Hi", max_output_tokens=4)
        .output_text
    )
    assert server.children() != [engine]
    metrics = httpx2.get(f"{server.url}/metrics").text
    assert f'kodo_engine_restarts_total{{model="{MODEL}"}} 1.0' in metrics


def test_sigterm_finishes_what_is_in_flight_and_exits(serve: Callable[..., Server]) -> None:
    """The answer that runs comes whole; new ones are refused; the exit code is 0 and the engine is gone."""
    server = serve()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(
            server.sdk().responses.create, model=MODEL, input="Tell a story.", max_output_tokens=150
        )
        while f'kodo_running_requests{{model="{MODEL}"}} 1.0' not in httpx2.get(f"{server.url}/metrics").text:
            assert not running.done()
            time.sleep(0.02)
        engines = server.children()
        code, _ = server.stop()
        assert running.result().status in ("completed", "incomplete")
    assert code == 0
    for engine in engines:
        with pytest.raises(ProcessLookupError):
            os.kill(engine, 0)
    assert not (server.home / "server.json").exists()


def test_killing_the_server_kills_its_engine(serve: Callable[..., Server]) -> None:
    """`kill -9` leaves no engine behind."""
    server = serve()
    engines = server.children()
    server.stop(signal.SIGKILL)
    deadline = time.monotonic() + 60
    for engine in engines:
        while time.monotonic() < deadline:
            try:
                os.kill(engine, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the engine outlived its server")


def test_a_second_server_on_the_same_home_is_refused(serve: Callable[..., Server], tmp_path: Path) -> None:
    """One home, one server; the message says so in one line."""
    server = serve()
    second = subprocess.run(
        [KODO, "serve", "--port", "0"],
        env={**os.environ, "KODO_HOME": str(server.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    assert "Traceback" not in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """One line, no traceback."""
    (tmp_path / "config.toml").write_text('[models."codex-mini-latest"]\nengine = "scripted"\n')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = subprocess.run(
            [KODO, "serve", "--port", port],
            env={**os.environ, "KODO_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert answer.returncode == 2
    assert port in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_tls_serves_https(serve: Callable[..., Server], tmp_path: Path) -> None:
    """With a certificate and its key the SDK speaks https."""
    authority = trustme.CA()
    identity = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    identity.private_key_pem.write_to_path(str(key))
    cert.write_bytes(b"".join(pem.bytes() for pem in identity.cert_chain_pems))
    server = serve("--tls-cert", str(cert), "--tls-key", str(key))
    assert server.url.startswith("https://")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with httpx2.Client(verify=context) as http:
        sdk = server.sdk(http_client=http)
        assert sdk.responses.create(model=MODEL, input="Hi", max_output_tokens=4).output_text


def test_keys_made_while_the_server_runs_count_at_once(serve: Callable[..., Server]) -> None:
    """`kodo keys create` in another process closes the open server, and its key opens it."""
    server = serve()
    env = {**os.environ, "KODO_HOME": str(server.home)}
    made = subprocess.run(
        [KODO, "keys", "create", "--name", "ci"], env=env, capture_output=True, text=True, check=True
    )
    key = next(word for word in made.stdout.split() if word.startswith("sk-kodo-"))
    with pytest.raises(openai.AuthenticationError):
        server.sdk("wrong").models.list()
    assert server.sdk(key).models.list().data
    listed = subprocess.run(
        [KODO, "keys", "list"], env=env, capture_output=True, text=True, check=True
    ).stdout
    assert key not in listed


def test_models_say_what_stands_behind_them(real: Server) -> None:
    """Window, output limit, prices, engine; and no path of the machine."""
    text = json.dumps(httpx2.get(f"{real.url}/v1/models/{MODEL}").json())
    value = json.loads(text)
    assert (value["context_window"], value["backing"]["engine"]) == (8192, "llama")
    assert {"input", "cached_input", "output"} <= set(value["pricing"])
    assert str(Path.home()) not in text
