"""One call in a container: files go in, code or a command runs, files come out.

What the container says is a stranger's word: paths, sizes and numbers are checked before anything is kept.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from kodo.server.config import CodeInterpreterSettings
from kodo.server.http.containers.documents import StoredContainerFile
from kodo.server.http.containers.files import ContainerFiles, is_name
from kodo.server.http.containers.process import ContainerDied, ContainerProcess, Reply
from kodo.server.http.containers.runtime import RunningContainer
from kodo.server.lifecycle.blobs import BlobMissing
from kodo.server.lifecycle.containers import CodeResult, ContainerImage, Ended
from kodo.server.lifecycle.errors import NotFound, Overloaded
from kodo.server.wire.containers import FOLDER, ContainerFile

FILE_SECONDS: Final = 20.0
"""Handing one file in or out, or listing them."""
MAX_IMAGE_BYTES: Final = 2**20
"""An image that is shown as a data URL; a larger one is a file only."""
IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MAX_PATH: Final = 1024
NOT_STARTED: Final = 126
"""The exit code by which shells say that a command cannot be run."""
LOST: Final = "The container was started anew: the variables and imports of earlier calls are lost, the files are there."


async def run_code(
    entry: RunningContainer,
    files: ContainerFiles,
    settings: CodeInterpreterSettings,
    owner: str,
    container_id: str,
    code: str,
) -> CodeResult:
    """Run Python in a container whose turn it is."""
    call = _Call(entry, files, settings, owner, container_id)
    request = {"do": "run", "seconds": settings.run_seconds, "most": settings.max_log_chars}
    return await call.run(request, code)


async def run_command(
    entry: RunningContainer,
    files: ContainerFiles,
    settings: CodeInterpreterSettings,
    owner: str,
    container_id: str,
    command: str,
    *,
    seconds: float | None,
    max_chars: int | None,
) -> CodeResult:
    """Run a shell command in a container whose turn it is."""
    call = _Call(entry, files, settings, owner, container_id)
    time = settings.run_seconds if seconds is None else min(seconds, settings.run_seconds)
    most = settings.max_log_chars if max_chars is None else min(max_chars, settings.max_log_chars)
    return await call.run({"do": "shell", "seconds": max(time, 0.1), "most": max(most, 1)}, command)


class _Call:
    def __init__(
        self,
        entry: RunningContainer,
        files: ContainerFiles,
        settings: CodeInterpreterSettings,
        owner: str,
        container_id: str,
    ) -> None:
        self._entry = entry
        self._files = files
        self._settings = settings
        self._owner = owner
        self._container_id = container_id
        self._notes: list[str] = []

    async def run(self, request: dict[str, object], text: str) -> CodeResult:
        """Hand files in, run something, and hand files out."""
        if self._entry.fresh and self._entry.has_run:
            self._notes.append(LOST)
        self._entry.fresh, self._entry.has_run = False, True
        try:
            await self._hand_in()
        except ContainerDied as error:
            raise Overloaded("The container could not be used.") from error
        try:
            reply, output = await self._process.request(
                request,
                text.encode(errors="replace"),
                seconds=float(str(request["seconds"])),
                most=2 * self._settings.max_log_chars,
            )
        except ContainerDied:
            note = "The container stopped: it used too much time or memory. Its variables are lost."
            return CodeResult(ended="died", stdout="", notes=(*self._notes, note))
        return await self._result(reply, output, is_command=request["do"] == "shell")

    async def _result(self, reply: Reply, output: bytes, *, is_command: bool) -> CodeResult:
        if reply.error:  # nothing was run
            return _not_started(reply.error, is_command=is_command, notes=self._notes)
        ended, lost = _ended(reply.ended)
        if reply.cut:
            self._notes.append("The output was cut: there was more of it.")
        if lost:
            self._notes.append("Python was started anew: the variables are lost, the files are there.")
        made: Sequence[ContainerFile] = ()
        images: Sequence[ContainerImage] = ()
        try:
            made, images = await self._hand_out()
        except (ContainerDied, NotFound, msgspec.MsgspecError):  # died, was deleted, or says nonsense
            self._notes.append("The files of this call could not be kept.")
        if not reply.clean:
            await self._process.end()
        cut = reply.out if is_command else len(output)
        return CodeResult(
            ended=ended,
            stdout=_text(output[:cut]),
            stderr=_text(output[cut:]),
            exit_code=reply.code if is_command and ended == "ok" else None,
            files=made,
            images=images,
            notes=tuple(self._notes),
        )

    @property
    def _process(self) -> ContainerProcess:
        if self._entry.process is None:
            raise ContainerDied("it was ended")
        return self._entry.process

    # --- files ---

    async def _hand_in(self) -> None:
        """Bring the working folder to what the documents say: new files, and those that the client deleted or replaced."""
        inside = self._entry.inside
        stored = {one.file.path: one for one in await self._files.all(self._owner, self._container_id)}
        for path in set(inside) - set(stored):
            await self._ask({"do": "remove", "path": _relative(path)})
            del inside[path]
        for path, one in stored.items():
            if inside.get(path, ("", 0, (0, 0)))[:2] == (one.file.id, one.changed):
                continue
            try:
                data = await self._files.bytes_of(one.file.id)
            except BlobMissing:  # deleted at this moment
                continue
            reply, _ = await self._ask({"do": "put", "path": _relative(path)}, data)
            if reply.error:
                self._notes.append(f"{path} could not be put into the container: {reply.error}.")
                continue
            inside[path] = (one.file.id, one.changed, (len(data), reply.stamp))

    async def _hand_out(self) -> tuple[list[ContainerFile], list[ContainerImage]]:
        """Keep what is new or changed in the working folder, and forget what is gone from it."""
        reply, listing = await self._ask(
            {"do": "list", "most": self._settings.max_files}, most=self._settings.max_files * 4 * MAX_PATH
        )
        seen = [
            (f"{FOLDER}/{path}", size, stamp)
            for path, size, stamp in msgspec.json.decode(listing, type=list[tuple[str, int, int]])
            if _is_path(path)
        ]
        stored = {one.file.path: one for one in await self._files.all(self._owner, self._container_id)}
        if reply.more:
            self._notes.append(
                f"The number of files that are kept is limited to {self._settings.max_files}; the others are not."
            )
        else:
            await self._forget({path for path, _, _ in seen}, stored)
        used = sum(one.file.bytes for one in stored.values())
        made: list[ContainerFile] = []
        images: list[ContainerImage] = []
        for path, size, stamp in seen[: self._settings.max_files]:
            before = stored.get(path)
            known = self._entry.inside.get(path)
            if known is not None and known[2] == (size, stamp):
                continue
            used += size - (before.file.bytes if before else 0)
            if size > self._settings.max_file_bytes or used > self._settings.disk_bytes:
                self._notes.append(f"{path} is too large to be kept.")
                continue
            got, data = await self._ask(
                {"do": "get", "path": _relative(path), "most": self._settings.max_file_bytes},
                most=self._settings.max_file_bytes,
            )
            if got.error:
                continue
            kept = await self._files.save(self._owner, self._container_id, path, data, before)
            self._entry.inside[path] = (kept.file.id, kept.changed, (size, stamp))
            made.append(kept.file)
            images += _image(kept.file, data)
        return made, images

    async def _forget(self, seen: Collection[str], stored: Mapping[str, StoredContainerFile]) -> None:
        gone = [path for path in self._entry.inside if path not in seen]
        await self._files.delete_all(self._owner, [stored[path] for path in gone if path in stored])
        for path in gone:
            del self._entry.inside[path]

    async def _ask(
        self, request: dict[str, object], body: bytes = b"", most: int = 4096
    ) -> tuple[Reply, bytes]:
        return await self._process.request(request, body, seconds=FILE_SECONDS, most=most)


def _not_started(error: str, *, is_command: bool, notes: Sequence[str]) -> CodeResult:
    """The result of what the system refuses to start: a command that is too long or has a NUL, no process left."""
    if is_command:
        words = f"The command could not be started: {error}.\n"
        return CodeResult(ended="ok", exit_code=NOT_STARTED, stdout="", stderr=words, notes=tuple(notes))
    return CodeResult(ended="error", stdout=f"Python could not be started: {error}.\n", notes=tuple(notes))


def _ended(word: str) -> tuple[Ended, bool]:
    """How a call ended, from what the agent says, and whether the variables were lost by it."""
    bare = word.removesuffix("_killed")
    ended: Mapping[str, Ended] = {"ok": "ok", "error": "error", "timeout": "timeout", "flood": "flood"}
    return ended.get(bare, "died"), bare != word or bare not in ended


def _image(file: ContainerFile, data: bytes) -> list[ContainerImage]:
    kind, _ = mimetypes.guess_type(file.path)
    if kind not in IMAGES or not data:
        return []
    url = None
    if len(data) <= MAX_IMAGE_BYTES:
        url = f"data:{kind};name={file.id};base64,{base64.b64encode(data).decode()}"
    return [ContainerImage(file=file, url=url)]


def _is_path(path: str) -> bool:
    """Whether a path is one that a file of the working folder can have."""
    return len(path) <= MAX_PATH and all(map(is_name, path.split("/")))


def _relative(path: str) -> str:
    return path.removeprefix(f"{FOLDER}/")


def _text(data: bytes) -> str:
    """Output as text that JSON and a store can hold."""
    return data.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
