"""A conversation with a model: turns that continue each other, saved by name and resumed.

The server keeps the history (``previous_response_id``), so a turn sends only what is new. What was said is also kept
here: if the server has forgotten a turn (retention, another server), the next one sends the whole history instead.
The async twin is ``aio.Chat``.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, Unpack

from kodo.client.answer import Answer
from kodo.client.errors import ChatNotFoundError, RequestRefusedError
from kodo.client.redaction import mask_text
from kodo.client.request_plan import CallOptions, Input
from kodo.client.session import Session
from kodo.home import kodo_home

_NAME = re.compile(r"(?!\.)[\w.-]{1,64}")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """The user's text, the answer, and the response's id."""

    said: str
    answered: str
    response_id: str


@dataclass
class Transcript:
    """The turns of a chat and where they are kept. No calls here, so the sync and the async chat share it.

    Raises:
        ValueError: a name with anything but letters, digits, ``_``, ``.`` and ``-``, or longer than 64.
    """

    name: str | None = None
    instructions: str | None = None
    model: str | None = None
    turns: list[Turn] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.name is not None:
            self._path()

    def _path(self) -> Path:
        if self.name is None or not _NAME.fullmatch(self.name):
            raise ValueError(f"chat name: {self.name!r} is not 1 to 64 letters, digits, '_', '.' or '-'")
        return folder() / f"{self.name}.json"

    @classmethod
    def load(cls, name: str) -> Self:
        """The chat that was saved under a name.

        Raises:
            ChatNotFoundError: no chat has that name, or its file cannot be read.
        """
        path = cls(name)._path()
        try:
            data = json.loads(path.read_text("utf-8"))
            turns = [Turn(**turn) for turn in data["turns"]]
            return cls(name, data["instructions"], data["model"], turns)
        except FileNotFoundError:
            raise ChatNotFoundError(f"no chat is saved under {name!r}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ChatNotFoundError(f"chat {name!r} cannot be read: {error}") from error

    def save(self) -> None:
        """Write the chat, if it has a name: whole or not at all, readable by its owner only."""
        if self.name is None:
            return
        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True)
        data: dict[str, Any] = {
            "format": _FORMAT,
            "instructions": self.instructions,
            "model": self.model,
            "turns": [asdict(turn) for turn in self.turns],
        }
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, ensure_ascii=False, indent=1)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def options(self, given: CallOptions) -> CallOptions:
        """The options of the next turn. The API does not carry instructions over, so they go with each turn."""
        options: CallOptions = {
            "job": "chat",
            "store": True,
            "instructions": self.instructions,
            "model": self.model,
        }
        if self.turns:
            options["previous_response_id"] = self.turns[-1].response_id
        return {**options, **given}

    def history(self, text: str) -> Input:
        """The whole conversation and a new turn, as input items."""
        items: list[dict[str, str]] = []
        for turn in self.turns:
            items.append({"role": "user", "content": turn.said})
            items.append({"role": "assistant", "content": turn.answered})
        return [*items, {"role": "user", "content": text}]

    def forgotten(self, error: RequestRefusedError) -> bool:
        """Whether the server refused because it does not have the last turn any more."""
        lost = error.code == "previous_response_not_found" or error.param == "previous_response_id"
        return bool(self.turns) and lost

    def add(self, text: str, answer: Answer) -> None:
        """Keep a turn, with its secrets masked, and save."""
        self.turns.append(Turn(mask_text(text)[0], answer.text, answer.response_id))
        self.save()

    def undo(self) -> Turn | None:
        """Take the last turn back and save; None if the chat is empty. The next turn continues the one before."""
        if not self.turns:
            return None
        turn = self.turns.pop()
        self.save()
        return turn


def folder() -> Path:
    """Where chats are kept."""
    return kodo_home() / "chats"


def saved_chats() -> list[str]:
    """Names of the saved chats, the one last used first."""
    files = sorted(folder().glob("[!.]*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.stem for path in files]


class Chat:
    """A conversation.

    Args:
        session: where to talk.
        name: keep it under this name, saved after each turn. A chat saved before under it is replaced; to go on
            with one, use :meth:`resume`.
        instructions: a system prompt for every turn.
        model: default: the session's.
    """

    def __init__(
        self,
        session: Session,
        *,
        name: str | None = None,
        instructions: str | None = None,
        model: str | None = None,
    ) -> None:
        self.session = session
        self.transcript = Transcript(name, instructions, model)

    @classmethod
    def resume(cls, session: Session, name: str) -> Self:
        """Go on with a saved chat.

        Raises:
            ChatNotFoundError: none is saved under this name.
        """
        chat = cls(session)
        chat.transcript = Transcript.load(name)
        return chat

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What has been said."""
        return tuple(self.transcript.turns)

    def say(self, text: str, **options: Unpack[CallOptions]) -> Answer:
        """One turn, answered whole. Errors are those of ``Session.respond``; a failed turn is not kept."""
        asked = self.transcript.options(options)
        try:
            answer = self.session.respond(text, **asked)
        except RequestRefusedError as error:
            if not self.transcript.forgotten(error):
                raise
            answer = self.session.respond(self.transcript.history(text), **without_previous(asked))
        self.transcript.add(text, answer)
        return answer

    def stream(self, text: str, **options: Unpack[CallOptions]) -> Iterator[str]:
        """One turn in pieces as it is written. A turn that is left early or breaks is not kept."""
        return self._stream(text, self.transcript.options(options))

    def _stream(self, text: str, asked: CallOptions) -> Generator[str, None, None]:
        try:
            stream = self.session.stream(text, **asked)
        except RequestRefusedError as error:
            if not self.transcript.forgotten(error):
                raise
            stream = self.session.stream(self.transcript.history(text), **without_previous(asked))
        with stream:
            yield from stream
            self.transcript.add(text, stream.answer)

    def undo(self) -> Turn | None:
        """Take the last turn back; None if the chat is empty."""
        return self.transcript.undo()

    def save(self, name: str) -> None:
        """Keep the chat under a name from now on.

        Raises:
            ValueError: a name that cannot be a file's.
        """
        kept = self.transcript
        self.transcript = Transcript(name, kept.instructions, kept.model, kept.turns)
        self.transcript.save()


def without_previous(options: CallOptions) -> CallOptions:
    """The same options for a turn that brings its history along."""
    rest = options.copy()
    rest.pop("previous_response_id", None)
    return rest
