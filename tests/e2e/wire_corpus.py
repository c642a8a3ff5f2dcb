"""The wire corpus: HTTP requests and WebSocket sessions with their answers, as the installed command gives them.

``python -m tests.e2e.wire_corpus --record`` writes ``tests/data/wire_corpus/`` anew, one file a family; without
``--record`` it prints how today's answers differ. ``tests/e2e/test_wire_corpus.py`` does the same as a test.

It knows the server by its command, its settings and its wire only, so it holds across any change of the tree. What
differs from run to run is masked, and the same id has the same placeholder all through a file. A body that is compact
JSON is kept as JSON, in the order of its keys; anything else is kept as its lines. Nothing else of a body is lost.

The scenarios are in ``tests/e2e/wire_families.py``.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import httpx2
import websockets.sync.client

DATA = Path(__file__).parents[1] / "data" / "wire_corpus"
FROZEN = DATA / "kodo.db.sql"
KODO = str(Path(sys.executable).with_name("kodo"))
WIDTH = 150
PATIENCE = 60

_DROPPED = ("date", "sec-websocket-accept")
_NUMBERS = ("content-length", "openai-processing-ms", "retry-after", "retry-after-ms")
_ID = re.compile(r"(?<![A-Za-z0-9])([a-z]+[_-])([0-9a-f]{48}|[0-9a-f]{32}|[0-9a-f]{24}|[0-9a-f]{16})")
_TIME = re.compile(r"(?<=:)(?:1[7-9]|2\d)\d{8}(\.\d+)?(?=[,}\]])")
_SECRET = re.compile(r"(?<![A-Za-z0-9])(ek_|sk-kodo-)[A-Za-z0-9_-]{20,}")
_SEALED = re.compile(r'"(encrypted_content|signature)":"[^"]+"')
_VERSION = re.compile(r'"version":"\d+\.\d+\.\d+[^"]*"')


class Masks:
    """Takes out what differs between two runs. One for each file, so that files do not depend on each other."""

    def __init__(self, *, fixed: tuple[tuple[str, str], ...] = ()) -> None:
        self._fixed = fixed
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """The text with placeholders: ``resp_<1>``, ``"<time>"``, ``ek_<secret>``, ``<sealed>``."""
        for found, shown in self._fixed:
            text = text.replace(found, shown)
        text = _SECRET.sub(r"\1<secret>", text)
        text = _SEALED.sub(r'"\1":"<sealed>"', text)
        text = _VERSION.sub('"version":"<version>"', text)
        text = _TIME.sub(lambda match: '"<time with fraction>"' if match[1] else '"<time>"', text)
        return _ID.sub(self._number, text)

    def _number(self, match: re.Match[str]) -> str:
        number = self._numbers.setdefault(match[2], len(self._numbers) + 1)
        return f"{match[1]}<{number}>"


def compact(value: Any) -> str:
    """JSON as the server writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def shortened(value: Any) -> Any:
    """A request's body without its longest texts: the scenario has them."""
    if isinstance(value, str):
        return value if len(value) <= 1000 else f"<{len(value)} characters>"
    if isinstance(value, dict):
        return {key: shortened(one) for key, one in value.items()}
    return [shortened(one) for one in value] if isinstance(value, list) else value


def lossless(text: str) -> Any:
    """The JSON in a text, or the text itself where writing it again would give another text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if compact(value) == text else text


def pretty(value: Any, indent: str = "", room: int = WIDTH) -> str:
    """JSON for people: what fits on a line is on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, dict | list) or len(line) + len(indent) <= room:
        return line
    inner = indent + " "
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}: {pretty(one, inner, room)}" for key, one in value.items()
        ]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + pretty(one, inner, room) for one in value) + f"\n{indent}]"


class Server:
    """A ``kodo serve`` of its own, with a home of its own."""

    def __init__(self, home: Path, config: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        (home / "config.toml").write_text(config, encoding="utf-8")
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("KODO_", "OPENAI_"))
        }
        self._env = {**kept, "KODO_HOME": str(home)}
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def kodo(self, *arguments: str) -> str:
        """What a command prints."""
        done = subprocess.run([KODO, *arguments], env=self._env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def start(self) -> None:
        """Start it, and wait until it says where it is."""
        note = self.home / "server.json"
        note.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [KODO, "serve", "--port", "0"],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.home / "stderr").open("wb"),
        )
        deadline = time.monotonic() + PATIENCE
        while not note.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"kodo serve did not start: {(self.home / 'stderr').read_text()}")
            time.sleep(0.02)
        self.url = json.loads(note.read_text())["url"]

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextlib.contextmanager
def serving(home: Path, config: str, prepare: Callable[[Server], None] | None = None) -> Iterator[Server]:
    """A server for the length of a block."""
    server = Server(home, config)
    if prepare is not None:
        prepare(server)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Recording:
    """Asks a server and keeps what was asked and answered: one family of the corpus."""

    def __init__(self, server: Server, *, key: str | None = None) -> None:
        self.server = server
        self._key = key
        address = server.url.removeprefix("http://")
        self._masks = Masks(
            fixed=((server.url, "<server>"), (address, "<address>"), (str(server.home), "<home>"))
        )
        self._http = httpx2.Client(base_url=server.url, timeout=PATIENCE)
        self._exchanges: list[dict[str, Any]] = []

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def text(self) -> str:
        """The family's file."""
        return pretty(self._exchanges) + "\n"

    def ask(
        self,
        name: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: str | None = None,
        headers: dict[str, str] | None = None,
        form: dict[str, str] | None = None,
        file: tuple[str, str, str] | None = None,
        shown: Callable[[str], Any] | None = None,
    ) -> httpx2.Response:
        """A request, recorded. ``file``: the form's field, the file's name and its text."""
        given = dict(headers or {})
        request: dict[str, Any] = {"method": method, "path": self._masks(path), "headers": given}
        options: dict[str, Any] = {}
        if raw is not None:
            request["raw"] = self._masks(raw) if len(raw) < 1000 else f"<{len(raw)} bytes>"
            options["content"] = raw.encode()
        elif form is not None or file is not None:
            request["form"], request["file"] = form or {}, file
            options["data"] = form or {}
            if file is not None:
                options["files"] = {file[0]: (file[1], file[2].encode())}
        elif body is not None:
            request["body"] = shortened(json.loads(self._masks(compact(body))))
            options["content"] = compact(body).encode()
            given = {"content-type": "application/json", **given}
        answer = self._http.request(method, path, headers=self._authorized(given), **options)
        request["headers"] = {key: self._masks(value) for key, value in request["headers"].items()}
        self._exchanges.append(
            {
                "name": name,
                "request": {key: value for key, value in request.items() if value},
                "response": {
                    "status": answer.status_code,
                    "headers": self._headers(
                        [(key.decode(), value.decode()) for key, value in answer.headers.raw]
                    ),
                    **self._body(answer, shown),
                },
            }
        )
        return answer

    def peek(self, path: str) -> Any:
        """JSON from the server, not recorded."""
        return self._http.get(path, headers=self._authorized({})).json()

    def until(self, path: str, *statuses: str) -> None:
        """Wait, unrecorded, until an object has one of these statuses."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.peek(path)).get("status") not in statuses:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path} is still {found}")
            time.sleep(0.02)

    @contextlib.contextmanager
    def socket(
        self, name: str, path: str, *, headers: dict[str, str] | None = None, subprotocol: str | None = None
    ) -> Iterator[Socket]:
        """A WebSocket session, recorded frame by frame."""
        frames: list[dict[str, Any]] = []
        with websockets.sync.client.connect(
            self.server.url.replace("http", "ws", 1) + path,
            additional_headers=self._authorized(headers or {}),
            subprotocols=[websockets.Subprotocol(subprotocol)] if subprotocol else None,
            open_timeout=PATIENCE,
        ) as connection:
            yield Socket(connection, frames, self._masks)
            self._exchanges.append(
                {
                    "name": name,
                    "websocket": self._masks(path),
                    "response": {
                        "status": connection.response.status_code,
                        "headers": self._headers(list(connection.response.headers.raw_items())),
                    },
                    "frames": frames,
                }
            )

    def refused_socket(self, name: str, path: str, *, headers: dict[str, str] | None = None) -> None:
        """A WebSocket's upgrade that is answered with an error, recorded."""
        try:
            with websockets.sync.client.connect(
                self.server.url.replace("http", "ws", 1) + path,
                additional_headers=self._authorized(headers or {}),
            ):
                raise RuntimeError(f"{path} was accepted")
        except websockets.InvalidStatus as refused:
            answer = refused.response
            self._exchanges.append(
                {
                    "name": name,
                    "websocket": path,
                    "headers": {key: self._masks(value) for key, value in (headers or {}).items()},
                    "response": {
                        "status": answer.status_code,
                        "headers": self._headers(list(answer.headers.raw_items())),
                        "body": lossless(self._masks((answer.body or b"").decode())),
                    },
                }
            )

    def _authorized(self, headers: dict[str, str]) -> dict[str, str]:
        return {"authorization": f"Bearer {self._key}", **headers} if self._key else headers

    def _headers(self, given: list[tuple[str, str]]) -> list[str]:
        shown = []
        for name, value in given:
            plain = name.lower()
            if plain in _DROPPED:
                continue
            if plain == "x-request-id":
                value = re.sub("[0-9a-f]{32}", "<id>", value)
            elif plain == "allow":  # a set, in the order of the process
                value = ", ".join(sorted(value.split(", ")))
            elif plain in _NUMBERS or plain.startswith("x-ratelimit-reset-"):
                value = re.sub(r"\d+(\.\d+)?", "<number>", value)
            shown.append(f"{name}: {self._masks(value)}")
        return shown

    def _body(self, answer: httpx2.Response, shown: Callable[[str], Any] | None) -> dict[str, Any]:
        text = answer.content.decode()
        if shown is not None:
            return {"shown": shown(text)}
        text = self._masks(text)
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return {"events": [self._event(block) for block in text.split("\n\n")]}
        value = lossless(text)
        return (
            {"json": value}
            if not isinstance(value, str)
            else {"lines": [lossless(one) for one in text.split("\n")]}
        )

    def _event(self, block: str) -> Any:
        """An event as ``{field: value}`` in its order, where that says all of it."""
        fields = {}
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            fields[name] = lossless(value)
        again = "\n".join(
            f"{name}: {value if isinstance(value, str) else compact(value)}" for name, value in fields.items()
        )
        return fields if again == block else block


class Socket:
    """A WebSocket that remembers its frames."""

    def __init__(
        self,
        connection: websockets.sync.client.ClientConnection,
        frames: list[dict[str, Any]],
        masks: Masks,
    ) -> None:
        self._connection = connection
        self._frames = frames
        self._masks = masks

    def send(self, frame: Any) -> None:
        """Send a frame: a value as JSON, or a text as it is."""
        text = frame if isinstance(frame, str) else compact(frame)
        self._frames.append(
            {"sent": lossless(self._masks(text)) if len(text) < 10_000 else f"<{len(text)} characters>"}
        )
        self._connection.send(text)

    def read(self, *last: str) -> dict[str, Any]:
        """Read frames up to the first of one of these types, and give that."""
        while True:
            text = self._connection.recv(timeout=PATIENCE)
            if isinstance(text, bytes):
                raise RuntimeError("a frame of bytes")
            self._frames.append({"received": lossless(self._masks(text))})
            frame: dict[str, Any] = json.loads(text)
            if frame["type"] in last:
                return frame

    def closed(self) -> None:
        """Read up to the end of the connection, and keep how the server ended it."""
        try:
            self.read()
        except websockets.ConnectionClosed as error:
            if error.rcvd is None:
                raise
            self._frames.append({"closed": error.rcvd.code, "reason": error.rcvd.reason})


def restore(home: Path, more: str) -> str:
    """Put the frozen database into a home, then run some more SQL; its first line, which says what is in it."""
    script = FROZEN.read_text(encoding="utf-8")
    with contextlib.closing(sqlite3.connect(home / "kodo.db", isolation_level=None)) as connection:
        connection.executescript(script + more)
    return script.partition("\n")[0]


def dump(home: Path) -> str:
    """A database as SQL, with the numbers in its head."""
    with contextlib.closing(sqlite3.connect(home / "kodo.db", isolation_level=None)) as connection:
        pragmas = [
            f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};"
            for name in ("application_id", "user_version")
        ]
        return "\n".join(["PRAGMA foreign_keys = OFF;", *connection.iterdump(), *pragmas]) + "\n"


def differences(kept: str, now: str, name: str, most: int = 60) -> str:
    """How a file differs; long lines are cut around the first place where they do."""
    lines = list(
        difflib.unified_diff(
            kept.splitlines(), now.splitlines(), f"{name}, kept", f"{name}, now", lineterm=""
        )
    )
    for index, (before, after) in enumerate(pairwise(lines)):
        if before.startswith("-") and after.startswith("+"):
            pairs = zip(before[1:], after[1:], strict=False)
            place = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            start = max(0, place - 80)
            if start:
                lines[index] = f"-…{before[1 + start : place + 120]}"
                lines[index + 1] = f"+…{after[1 + start : place + 120]}"
    shown = [line[:400] for line in lines[:most]]
    return "\n".join([*shown, *([f"… and {len(lines) - most} lines more"] if len(lines) > most else [])])


def kept() -> dict[str, str]:
    """The corpus in the tree: a file's name and its text."""
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted(DATA.glob("*.json"))}


def main() -> int:
    """Record, or say what differs."""
    from tests.e2e import wire_families

    where = Path(tempfile.mkdtemp(prefix="kodo-wire-"))
    try:
        if "--freeze" in sys.argv:
            FROZEN.write_text(wire_families.freeze(where / "frozen"), encoding="utf-8")
        now = wire_families.record(where)
    finally:
        shutil.rmtree(where)
    if "--record" in sys.argv:
        for file in DATA.glob("*.json"):
            file.unlink()
        for name, text in now.items():
            (DATA / f"{name}.json").write_text(text, encoding="utf-8")
        return 0
    before = kept()
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    for name in changed:
        print(differences(before.get(name, ""), now.get(name, ""), name))
    return 1 if changed else 0


if __name__ == "__main__":
    raise SystemExit(main())
