"""Record and replay: the same run again, offline, with no key in the file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from kodo.client.async_session import AsyncSession
from kodo.client.cassette import Cassette, RecordedResponse
from kodo.client.errors import RateLimitedError, ReplayError
from kodo.client.event_redaction import mask_events
from kodo.client.retry import RetryPolicy
from kodo.client.session import Session
from kodo.client.testing import FakeResponses, Reply, refusal

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def run(session: Session) -> list[str]:
    """A job of three calls: one that is retried, one twice the same, one streamed."""
    first = session.respond("same words").text
    second = session.respond("same words").text
    return [first, second, *session.stream("a stream of words")]


def test_a_recorded_run_replays_without_a_server(tmp_path: Path, quick: RetryPolicy) -> None:
    """Retries, equal requests in their order, and streams come back the same with nobody to ask."""
    tape = tmp_path / "run.jsonl"
    script = [refusal(503), Reply(text="first"), Reply(text="second"), Reply(text="one two three")]
    with FakeResponses(script) as server:
        with Session(base_url=server.base_url, api_key="sesame-key", record=tape, retry=quick) as session:
            live = run(session)
    assert live == ["first", "second", "one", " two", " three"]
    with Session(replay=tape, retry=quick) as session:
        assert run(session) == live
        with pytest.raises(ReplayError, match="no \\(further\\) recorded response"):
            session.respond("same words")


async def test_an_async_run_replays_a_sync_recording_and_the_other_way(tmp_path: Path) -> None:
    """The file is the same for both kinds of session."""
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    with FakeResponses() as server:
        with Session(base_url=server.base_url, record=one) as session:
            session.respond("hello")
        async with AsyncSession(base_url=server.base_url, record=other) as asession:
            stream = await asession.stream("hello there")
            assert [piece async for piece in stream] == ["hello", " there"]
    async with AsyncSession(replay=one) as asession:
        assert (await asession.respond("hello")).text == "hello"
    with Session(replay=other) as session:
        assert list(session.stream("hello there")) == ["hello", " there"]


@contextmanager
def proxy_to(base_url: str, asked: list[str]) -> Iterator[str]:
    """An HTTP proxy that sends everything to one server, and notes the addresses it was asked for."""
    server = urlsplit(base_url)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            body = self.rfile.read(int(self.headers["content-length"]))
            to = f"http://{server.netloc}{urlsplit(self.path).path}"
            got = httpx2.post(to, content=body, headers={"content-type": "application/json"}, trust_env=False)
            self.send_response(got.status_code)
            self.send_header("content-type", got.headers["content-type"])
            self.send_header("content-length", str(len(got.content)))
            self.end_headers()
            self.wfile.write(got.content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


async def test_what_is_recorded_goes_through_the_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without a recording; a replay asks for no proxy, and one that cannot be used is no matter to it."""
    one, other, asked = tmp_path / "one.jsonl", tmp_path / "other.jsonl", list[str]()
    with FakeResponses() as server, proxy_to(server.base_url, asked) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        url = "http://kodo.example/v1"
        with Session(base_url=url, record=one) as session:
            assert session.respond("hello").text == "hello"
        async with AsyncSession(base_url=url, record=other) as asession:
            assert (await asession.respond("hello")).text == "hello"
    assert asked == ["http://kodo.example/v1/responses"] * 2
    monkeypatch.setenv("http_proxy", "nonsense://x")
    with Session(replay=one) as session:
        assert session.respond("hello").text == "hello"


def test_keys_and_secrets_are_not_in_the_file(tmp_path: Path) -> None:
    """Neither the key, nor a secret sent or answered, nor the server's address is recorded."""
    tape = tmp_path / "run.jsonl"
    with FakeResponses([Reply(text=f"your token is {TOKEN}")]) as server:
        with Session(base_url=server.base_url, api_key="sesame-key", record=tape) as session:
            session.respond(f"look at {TOKEN}")
    text = tape.read_text()
    assert "sesame-key" not in text
    assert TOKEN not in text
    assert "authorization" not in text.lower()
    assert "127.0.0.1" not in text
    assert text.count("[masked github token]") == 2


def test_a_recorded_failure_fails_again(tmp_path: Path) -> None:
    """Errors are recorded with the headers that retries look at."""
    tape = tmp_path / "run.jsonl"
    no_retry = RetryPolicy(max_retries=0)
    with FakeResponses([refusal(429, "rate_limit_exceeded", retry_after="7")]) as server:
        with Session(base_url=server.base_url, record=tape, retry=no_retry) as session:
            with pytest.raises(RateLimitedError):
                session.respond("hi")
    with Session(replay=tape, retry=no_retry) as session, pytest.raises(RateLimitedError) as caught:
        session.respond("hi")
    assert caught.value.__cause__.response.headers["retry-after"] == "7"  # type: ignore[union-attr]


def test_a_changed_request_is_a_miss(tmp_path: Path) -> None:
    """Only the recorded body is answered; another is an error that names the file."""
    tape = tmp_path / "run.jsonl"
    with FakeResponses() as server, Session(base_url=server.base_url, record=tape) as session:
        session.respond("hello", temperature=0)
    with Session(replay=tape) as session, pytest.raises(ReplayError, match=r"run\.jsonl"):
        session.respond("hello", temperature=1)


@pytest.mark.parametrize(
    "content",
    [None, "", "not: [a cassette", '{"kodo_cassette": 1}\n', '{"kodo_cassette": 1}\n{"request": {}}\n'],
)
def test_a_missing_or_broken_recording_is_one_error(tmp_path: Path, content: str | None) -> None:
    """Replaying from nothing says so at once."""
    tape = tmp_path / "run.jsonl"
    if content is not None:
        tape.write_text(content)
    with pytest.raises(ReplayError, match=r"run\.jsonl"):
        Session(replay=tape)


def test_recording_passes_pieces_on_as_they_come(tmp_path: Path) -> None:
    """A stream is not held back by being recorded: a break after two pieces shows both."""
    tape = tmp_path / "run.jsonl"
    seen: list[str] = []
    with FakeResponses([Reply(text="one two three", cut_after=3)]) as server:
        with Session(base_url=server.base_url, record=tape, retry=RetryPolicy(0)) as session:
            with pytest.raises(Exception, match="last event"):
                seen.extend(session.stream("hi"))
    assert seen == ["one", " two"]


def test_a_recording_is_on_disk_before_the_session_is_closed(tmp_path: Path) -> None:
    """A process that is killed leaves the exchanges it had finished, one line each after the header."""
    tape = tmp_path / "run.jsonl"
    with FakeResponses() as server, Session(base_url=server.base_url, record=tape) as session:
        session.respond("hello")
        lines = [json.loads(line) for line in tape.read_text().splitlines()]
        assert lines[0] == {"kodo_cassette": 1}
        assert [line["request"]["path"] for line in lines[1:]] == ["/v1/responses"]
        assert json.loads(lines[1]["request"]["body"])["input"] == "hello"


def test_bodies_that_are_not_text_come_back_unchanged(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 survive the file, and a gateway's path prefix is not part of the match."""
    data = b"\xff\x00\xfe"
    tape = Cassette.create(tmp_path / "run.jsonl")
    tape.add("GET", "/proxy/v1/files/f?x=1", {}, b"", RecordedResponse(200, {"content-type": "a/b"}, data))
    replayed = Cassette.load(tape.path).play("GET", "/v1/files/f?x=1", b"")
    assert (replayed.body, replayed.headers) == (data, {"content-type": "a/b"})


def test_a_recording_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    """The path is checked before anything is sent."""
    with pytest.raises(ReplayError, match="cannot be written"):
        Session(record=tmp_path)


def test_a_line_that_was_cut_off_does_not_spoil_a_recording(tmp_path: Path) -> None:
    """What a killed process was about to append is left out; a Unicode line separator does not end a line."""
    tape = Cassette.create(tmp_path / "run.jsonl")
    tape.add("POST", "/v1/responses", {}, b"{}", RecordedResponse(200, {}, "one\u2028two".encode()))
    with tape.path.open("a") as file:
        file.write('{"request": {"met')
    replayed = Cassette.load(tape.path).play("POST", "/v1/responses", b"{}")
    assert replayed.body.decode() == "one\u2028two"


def test_a_secret_split_over_the_events_of_a_stream_is_not_in_the_file(tmp_path: Path) -> None:
    """Each delta alone is harmless; together they are a key. The recorded events are as many as before."""
    text = f"your token is {TOKEN} and some more words"
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    stream = "".join(
        f"event: response.output_text.delta\ndata: {json.dumps({'type': 'response.output_text.delta', 'item_id': 'm', 'delta': piece})}\n\n"
        for piece in pieces
    )
    cassette = Cassette.create(tmp_path / "run.jsonl")
    answer = RecordedResponse(200, {"content-type": "text/event-stream; charset=utf-8"}, stream.encode())
    cassette.add("POST", "/v1/responses", {}, b"{}", answer)
    recorded = Cassette.load(tmp_path / "run.jsonl").play("POST", "/v1/responses", b"{}").body.decode()
    deltas = [json.loads(line[5:])["delta"] for line in recorded.split("\n") if line.startswith("data:")]
    assert len(deltas) == len(pieces)
    assert "".join(deltas) == "your token is [masked github token] and some more words"
    assert deltas[0] == pieces[0]


def test_a_stream_of_chat_completions_is_masked_too() -> None:
    """Deltas deeper in an event are joined by their place; tool arguments are another text than the answer."""
    chunks = [
        {
            "id": "c",
            "choices": [
                {"index": 0, "delta": {"content": part, "tool_calls": [{"function": {"arguments": other}}]}}
            ],
        }
        for part, other in [("key ", "{"), (TOKEN[:7], TOKEN[:20]), (TOKEN[7:], TOKEN[20:]), ("!", "}")]
    ]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + f": {TOKEN}\n\ndata: [DONE]\n\n"
    masked = mask_events(stream)
    assert TOKEN[:7] not in masked
    assert TOKEN[7:] not in masked
    assert masked.count("[masked github token]") == 3
    assert masked.count("\n") == stream.count("\n")
    assert mask_events(masked) == masked


def test_a_masked_json_body_stays_json(tmp_path: Path) -> None:
    """A private key that is cut off takes the rest of its string, not of the body."""
    cassette = Cassette.create(tmp_path / "run.jsonl")
    key = "-----BEGIN " + "PRIVATE KEY-----\n" + "A1b2" * 20
    body = json.dumps({"input": key, "model": "m"}).encode()
    cassette.add("POST", "/v1/responses", {}, body, RecordedResponse(200, {}, b"{}"))
    line = json.loads((tmp_path / "run.jsonl").read_text("utf-8").splitlines()[1])
    assert json.loads(line["request"]["body"]) == {"input": "[masked private key]\n", "model": "m"}
    assert Cassette.load(tmp_path / "run.jsonl").play("POST", "/v1/responses", body).body == b"{}"
