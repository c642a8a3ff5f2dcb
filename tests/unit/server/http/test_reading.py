"""Files are read in a child with limits: hostile ones end as errors, in their time, and good ones give their text."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from tests.serving import served, settings
from tests.unit.server.http.test_vector_stores import names, settled, upload

from kodo.server.config import FileSearchSettings
from kodo.server.http.vector_stores.reading import read_text
from kodo.server.lifecycle.retrieval.ports import Unreadable

LIMITS = FileSearchSettings(read_seconds=4, read_bytes=512 * 2**20, max_text_chars=200_000)


def pdf(*objects: bytes) -> bytes:
    """A PDF of these objects, numbered from 1; the first is its root."""
    body, places = bytearray(b"%PDF-1.7\n"), []
    for number, one in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    start = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(body) + b"trailer <</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        start,
    )


def page_with(stream: bytes, filters: bytes = b"/FlateDecode") -> bytes:
    """A PDF with one page, of this content."""
    return pdf(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
        b"<</Length %d/Filter %s>>\nstream\n%s\nendstream" % (len(stream), filters, stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )


def bomb() -> bytes:
    """A content stream that becomes 512 MiB."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b" " * 2**24) for _ in range(32)) + packer.flush()
    return page_with(packed)


def bomb_in_bomb() -> bytes:
    """Packed twice."""
    return page_with(zlib.compress(zlib.compress(b"\0" * 2**28, 9), 9), b"[/FlateDecode/FlateDecode]")


def endless_pages() -> bytes:
    """A tree of pages that is its own child."""
    return pdf(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 99999999>>")


def slow_text() -> bytes:
    """Millions of operators for one page."""
    return page_with(zlib.compress(b"BT /F 9 Tf (tea) Tj ET\n" * 3_000_000, 9))


def laughs() -> bytes:
    """A Word file whose XML grows by entities."""
    names = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    xml = f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY e0 "tea">{names}]><d>&e9;</d>'
    source, target = io.BytesIO(), io.BytesIO()
    docx.Document().save(source)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, xml if name == "word/document.xml" else old.read(name))
    return target.getvalue()


def many_members() -> bytes:
    """More members than a document has."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as new:
        for number in range(10_001):
            new.writestr(str(number), b"")
    return target.getvalue()


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a bomb": ("x.pdf", bomb),
    "a bomb in a bomb": ("x.pdf", bomb_in_bomb),
    "endless pages": ("x.pdf", endless_pages),
    "a slow page": ("x.pdf", slow_text),
    "half a file": ("x.pdf", lambda: page_with(zlib.compress(b"BT (tea) Tj ET"))[:200]),
    "entities": ("x.docx", laughs),
    "many members": ("x.xlsx", many_members),
    "deep tags": ("x.html", lambda: b"<div>" * 500_000),
    "long text": ("x.txt", lambda: b"x" * 300_000),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_file_ends_as_an_error(name: str, tmp_path: Path) -> None:
    """With a reason for the client, which names no path and no trace; the limits of the child hold."""
    filename, make = HOSTILE[name]
    path = tmp_path / "secret-place"
    path.write_bytes(make())
    with pytest.raises(Unreadable) as caught:
        await read_text(path, filename, LIMITS)
    assert caught.value.error.code == "invalid_file"
    assert "secret-place" not in caught.value.error.message and "Traceback" not in caught.value.error.message


def saved(document: docx.document.Document | openpyxl.Workbook | pptx.presentation.Presentation) -> bytes:
    """A document's bytes."""
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def word() -> bytes:
    """A heading, a paragraph, a table."""
    document = docx.Document()
    document.add_heading("お茶", 1)
    document.add_paragraph("Steep it for two minutes.")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "green", "70"
    return saved(document)


def slides() -> bytes:
    """A slide with a title, a text and a note."""
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "Steeping", "Two minutes"
    slide.notes_slide.notes_text_frame.text = "Say it slowly"
    return saved(show)


def sheet() -> bytes:
    """Two rows of a named sheet."""
    book = openpyxl.Workbook()
    book.active.title = "Teas"
    book.active.append(["green", 70, None, True])
    book.active.append(["抹茶", 80.5])
    return saved(book)


@pytest.mark.parametrize(
    ("filename", "make", "parts"),
    [
        ("a.docx", word, ["# お茶", "Steep it for two minutes.", "green | 70"]),
        ("a.pptx", slides, ["Slide 1", "Steeping", "Two minutes", "Say it slowly"]),
        ("a.xlsx", sheet, ["# Teas", "green | 70", "抹茶 | 80.5"]),
        ("a.pdf", lambda: page_with(zlib.compress(b"BT /F 9 Tf (Steep tea) Tj ET")), ["Steep tea"]),
        (
            "a.html",
            lambda: (
                "<html><body><nav>menu</nav><article><p>緑茶は二分です。</p></article></body></html>".encode()
            ),
            ["緑茶は二分です。"],
        ),
    ],
)
async def test_documents_give_their_text(
    filename: str, make: Callable[[], bytes], parts: list[str], tmp_path: Path
) -> None:
    """Each format, with what a reader could lose: headings, tables, notes, names of sheets, Japanese."""
    path = tmp_path / "file"
    path.write_bytes(make())
    text = await read_text(path, filename, FileSearchSettings())
    assert [part for part in parts if part not in text] == []


async def test_hostile_files_hold_up_no_other(tmp_path: Path) -> None:
    """More of them than are read at once, before a good one: each fails with its reason, and the good one is found."""
    limits = {"file_search": {"read_seconds": 2, "read_bytes": 512 * 2**20, "parallel": 2}}
    async with served(settings(tmp_path, tools=limits)) as server:
        sdk = server.sdk()
        store = (await sdk.vector_stores.create()).id
        hostile = {await upload(sdk, "x.pdf", make()) for make in (slow_text, endless_pages, bomb_in_bomb)}
        for file in hostile:
            await sdk.vector_stores.files.create(store, file_id=file)
        good = await upload(sdk, "tea.md", "Green tea is steeped for two minutes.")
        await sdk.vector_stores.files.create(store, file_id=good)
        await settled(sdk, store)
        files = {file.id: file async for file in sdk.vector_stores.files.list(store)}
        assert {name: file.status for name, file in files.items()} == {
            good: "completed",
            **dict.fromkeys(hostile, "failed"),
        }
        assert all((error := files[name].last_error) and error.code == "invalid_file" for name in hostile)
        assert await names(sdk, store, "green tea") == ["tea.md"]


async def test_a_name_that_lies_ends_as_an_error_or_as_text(tmp_path: Path) -> None:
    """A PDF named as text is read as what it is; office files under a wrong or no ending are not guessed at."""
    path = tmp_path / "file"
    path.write_bytes(page_with(zlib.compress(b"BT /F 9 Tf (Steep tea) Tj ET")))
    assert "Steep tea" in await read_text(path, "notes.txt", FileSearchSettings())
    for name, code in (("a.pptx", "invalid_file"), ("a.pdf", "invalid_file"), ("a.bin", "unsupported_file")):
        path.write_bytes(sheet())
        with pytest.raises(Unreadable) as caught:
            await read_text(path, name, FileSearchSettings())
        assert caught.value.error.code == code
