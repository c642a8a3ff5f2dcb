"""The child process that turns one file into text: ``PATH FILENAME MEMORY_BYTES SECONDS MAX_CHARS``.

It opens that file only, holds its limits from before the first byte is read, and writes UTF-8 to its standard output. It
ends with 3 for a format that it does not know, with 4 for a file that it cannot read; the reason is on standard error.
"""

from __future__ import annotations

import resource
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from kodo.server.http.vector_stores.formats import OFFICE, TEXT

MAX_UNPACKED: Final = 200 * 2**20
MAX_MEMBERS: Final = 10_000
MAX_PAGES: Final = 5000
MAX_CELLS: Final = 2_000_000
"""Bounds of what a compressed document may hold."""


class UnsupportedFile(Exception):
    """No reader knows the format."""


class InvalidFile(Exception):
    """The file is not what its name says, or too large inside."""


def extract(path: Path, filename: str) -> Iterator[str]:
    """The text of a file in pieces.

    Raises:
        UnsupportedFile, InvalidFile: there is none.
    """
    suffix = Path(filename).suffix.lower()
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"%PDF-") or suffix == ".pdf":
        return _pdf(path)
    if suffix in OFFICE:
        return _office(path, OFFICE[suffix])
    if suffix in (".html", ".htm", ".xhtml"):
        return iter([_html(path.read_bytes())])
    if suffix in TEXT or not suffix or _is_text(path):
        return iter([_decoded(path.read_bytes())])
    raise UnsupportedFile(f"Files of type '{suffix}' cannot be read.")


def _is_text(path: Path) -> bool:
    """Whether a file with an unknown ending is text all the same."""
    with path.open("rb") as file:
        head = file.read(4096)
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


def _decoded(data: bytes) -> str:
    for encoding in (
        ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp932", "latin-1")
    ):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            raise InvalidFile("it is not text")
        return text
    raise InvalidFile("it is not text")


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise UnsupportedFile(
            "This server cannot read such files: it was installed without the extra 'search'."
        ) from None


def _html(data: bytes) -> str:
    text = _library("trafilatura").extract(
        _decoded(data), output_format="markdown", include_comments=False, favor_recall=True
    )
    if not text:
        text = _library("trafilatura").html2txt(_decoded(data))
    return str(text or "")


def _pdf(path: Path) -> Iterator[str]:
    reader = _library("pypdf").PdfReader(str(path))
    if reader.is_encrypted and not reader.decrypt(""):
        raise InvalidFile("it is encrypted")
    for number, page in enumerate(reader.pages):
        if number >= MAX_PAGES:
            raise InvalidFile(f"it has more than {MAX_PAGES} pages")
        yield f"{page.extract_text()}\n\n"


def _office(path: Path, kind: str) -> Iterator[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile:
        raise InvalidFile(f"it is not a {kind} file") from None
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED:
        raise InvalidFile("it is too large when it is unpacked")
    readers: dict[str, Callable[[Path], Iterable[str]]] = {"docx": _docx, "pptx": _pptx, "xlsx": _xlsx}
    return (f"{line}\n" for line in readers[kind](path))


def _docx(path: Path) -> Iterator[str]:
    document = _library("docx").Document(str(path))
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            for row in block.rows:
                yield " | ".join(cell.text for cell in row.cells)
        else:
            style = str(block.style.name) if block.style is not None else ""
            yield f"\n# {block.text}" if style.startswith("Heading") else block.text


def _pptx(path: Path) -> Iterator[str]:
    for number, slide in enumerate(_library("pptx").Presentation(str(path)).slides, 1):
        yield f"\n# Slide {number}"
        for shape in slide.shapes:
            if shape.has_text_frame:
                yield shape.text_frame.text
            if getattr(shape, "has_table", False):
                for row in shape.table.rows:
                    yield " | ".join(cell.text for cell in row.cells)
        if slide.has_notes_slide:
            yield slide.notes_slide.notes_text_frame.text


def _xlsx(path: Path) -> Iterator[str]:
    # an open file: of a path, openpyxl wants a name that ends in .xlsx, and stored files have none
    book = _library("openpyxl").load_workbook(path.open("rb"), read_only=True, data_only=True)
    cells = 0
    for sheet in book.worksheets:
        yield f"\n# {sheet.title}"
        for row in sheet.iter_rows(values_only=True):
            cells += len(row)
            if cells > MAX_CELLS:
                raise InvalidFile(f"it has more than {MAX_CELLS} cells")
            if any(value is not None for value in row):
                yield " | ".join("" if value is None else str(value) for value in row)


def main(arguments: list[str]) -> int:
    """Read the file that the arguments name; returns the exit code."""
    path, filename, memory, seconds, most = arguments
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    limit = int(float(seconds)) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    left = int(most)
    try:
        for piece in extract(Path(path), filename):
            sys.stdout.buffer.write(piece[:left].encode("utf-8", "replace"))
            left -= len(piece)
            if left < 0:
                raise InvalidFile(f"it has more than {most} characters")
        sys.stdout.buffer.flush()
    except UnsupportedFile as error:
        sys.stderr.write(str(error))
        return 3
    except InvalidFile as error:
        sys.stderr.write(str(error))
        return 4
    except Exception as error:  # noqa: BLE001 - a reader of damaged files raises anything
        sys.stderr.write(f"it is damaged ({type(error).__name__})")
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
