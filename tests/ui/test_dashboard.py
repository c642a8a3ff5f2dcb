"""The dashboard in a real browser: every page, live streams, forms, hostile texts, both languages, dark, 360 px, axe.

The pictures of docs/guides/dashboard.md are made here.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving import MODEL, Served, script, served, settings
from tests.ui.conftest import AXE, SCREENSHOTS, NewContext
from tests.unit.server.ui.hostile import CASES

from kodo.server.config import Settings
from kodo.server.http import admin
from kodo.server.http.state import State
from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.records import Timing
from kodo.server.store import activity
from kodo.server.ui.app import build_pages
from kodo.server.ui.context import LedgerLimit, LedgerRow, Lent

if TYPE_CHECKING:
    from playwright.async_api import Page

PAGES = {
    "overview": "/ui",
    "requests": "/ui/requests",
    "live": "/ui/live",
    "batches": "/ui/batches",
    "files": "/ui/files",
    "vector-stores": "/ui/vector-stores",
    "conversations": "/ui/conversations",
    "playground": "/ui/playground",
    "keys": "/ui/keys",
    "models": "/ui/models",
    "ledger": "/ui/ledger",
    "reports": "/ui/reports",
}


class Book:
    """A ledger and list prices to look at."""

    def rows(self, by: str, since: float | None) -> list[LedgerRow]:
        names = {
            "day": [f"2026-11-{day}" for day in range(18, 30)],
            "model": [MODEL],
            "job": ["review", "tests"],
        }
        return [
            LedgerRow(
                key, 40 + 7 * n, n % 3, 90_000 + 9_000 * n, 30_000, 12_000 + 900 * n, 0.0, 0.21 + 0.03 * n
            )
            for n, key in enumerate(names.get(by, ["kodo", "warehouse"]))
        ]

    def limits(self) -> list[LedgerLimit]:
        return [LedgerLimit("day", 5.0, 1.32), LedgerLimit("month", 60.0, 21.5)]

    def list_cost(self, model: str, usage: Usage) -> float | None:
        return ((usage.input - usage.cached) * 1.5 + usage.cached * 0.375 + usage.output * 6) / 1e6


def pages(state: State) -> Any:
    book = Book()
    return build_pages(state, Lent(ledger=book, prices=book))


def scripted(
    home: Path, pace: float = 0.0, sentences: int = 2, wait: float = 0.0, **options: Any
) -> Settings:
    """A server of two models that answer in words, after ``wait`` seconds and with ``pace`` seconds a token; asked to read
    a file, they call a tool; asked to judge, they answer in JSON."""
    answer = (
        "The loop ends when the budget is spent: `attempt` grows by one, and the pause doubles up to 30 seconds. "
        * sentences
    )
    call = {"type": "call", "name": "read_file", "arguments": {"path": "src/<b>retry</b>.py"}}
    words = [{"type": "delay", "seconds": wait}, {"type": "text", "text": answer}]
    model = script(
        home,
        {"match": "^read", "steps": [call]},
        {"match": "^judge", "steps": [{"type": "text", "text": '{"verdict": "sound"}'}]},
        {"match": "", "steps": words},
        pace=pace,
    ).model_copy(update={"price_input": 0.9, "price_cached_input": 0.1, "price_output": 3.5})
    given = settings(home, model, **options)
    return given.model_copy(update={"models": {**given.models, "qwen2.5-coder-7b": model}})


async def populate(server: Served, home: Path) -> dict[str, str]:
    """Something on every page; ids by kind. The sums of a day are written as the store would have."""
    sdk = server.sdk()
    now = time.time()

    def history(connection: Any) -> None:
        for minute in range(0, 24 * 60, 7):
            at = now - minute * 60
            busy = 2 + (minute // 60 * 5) % 9
            for number in range(busy):
                usage = Usage(
                    input=900 + 40 * number, cached=500 + 20 * (minute % 11), output=160 + 9 * number
                )
                first = 0.12 + 0.02 * (minute % 13) + 0.01 * number
                timing = Timing(
                    queued=0.01, first_token=first, total=first + usage.output / (96 + minute % 23)
                )
                status = "failed" if number == 0 and minute % 49 == 0 else "completed"
                model = MODEL if number % 3 else "qwen2.5-coder-7b"
                activity.count(connection, "default", model, status, at, usage, timing)

    await server.state.store._run(history)  # type: ignore[attr-defined]  # as the writer does
    tool: Any = {
        "type": "function",
        "name": "read_file",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
    }
    previous = None
    titles = [
        "Why does the retry loop stop after three attempts?",
        "Write a test for parse_since",
        "この関数の戻り値を説明して",
        "Refactor the batch worker",
        "Which calls can raise here?",
    ]
    for number in range(18):
        made = await sdk.responses.create(
            model=MODEL, input=titles[number % 5], instructions="You review Python code. Be brief.",
            metadata={"job": "review", "repository": "kodo"}, tools=[tool], previous_response_id=previous if number % 3 else None,
        )  # fmt: skip
        previous = made.id
    conversation = await sdk.conversations.create(
        metadata={"topic": "retries"}, items=[{"role": "user", "content": "Is the pause bounded?"}]
    )
    lines = [
        {
            "custom_id": str(n),
            "method": "POST",
            "url": "/v1/responses",
            "body": {"model": MODEL, "input": f"file {n}"},
        }
        for n in range(4)
    ]
    file = await sdk.files.create(
        file=("nightly.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch"
    )
    batch = await sdk.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
    store = await sdk.vector_stores.create(name="Handbook")
    (home / "reports").mkdir()
    name = "20261129T100000-review-0a1b2c3d"
    finding = {
        "rule": "kodo/removed-guard",
        "class": "bug",
        "severity": "error",
        "place": {"path": "src/app/pay.py", "line": 41},
        "message": "The check of a negative amount is gone: charge(-1) returns -100 instead of raising ValueError.",
        "code": "def charge(amount):\n    return amount * 100",
    }
    (home / "reports" / f"{name}.json").write_text(
        json.dumps(
            {
                "job": "review",
                "made_at": now,
                "subject": "main..HEAD",
                "report": {"state": "findings", "findings": [finding]},
            }
        )
    )
    return {
        "request": f"requests/{previous}",
        "conversation": f"conversations/{conversation.id}",
        "file": f"files/{file.id}",
        "batch": f"batches/{batch.id}",
        "store": f"vector-stores/{store.id}",
        "report": f"reports/{name}",
    }


async def serious(page: Page) -> list[str]:
    """What axe finds that is serious or critical."""
    await page.evaluate(AXE.read_text("utf-8"))
    found = await page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
    )
    return [
        f"{page.url} {violation['id']}: {node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "locale": "en-GB", "timezone_id": "UTC"},
    "dark": {"color_scheme": "dark", "locale": "ja-JP", "timezone_id": "UTC"},
    "phone": {
        "color_scheme": "light",
        "locale": "en-GB",
        "timezone_id": "UTC",
        "viewport": {"width": 360, "height": 740},
    },
}
TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("main *")].filter((part) => part.getBoundingClientRect().right > innerWidth
        && !part.closest(".table-wrap table")).slice(0, 3).map((part) => part.outerHTML.slice(0, 160)).concat("the page")"""
"""What reaches beyond the window's right edge; nothing where the page cannot be scrolled sideways."""
PICTURED = {"overview", "requests", "request", "ledger", "report", "batch"}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_is_accessible_fits_and_has_its_picture(
    tmp_path: Path, new_context: NewContext, look: str
) -> None:
    """Light in English, dark in Japanese, 360 px wide: no serious finding of axe, no sideways scrolling."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    async with served(scripted(tmp_path, pace=0.008, wait=0.25), pages=pages) as server:
        ids = await populate(server, tmp_path)
        every = {**PAGES, **{kind: f"/ui/{path}" for kind, path in ids.items()}}
        findings: list[str] = []
        page = await (await new_context(**LOOKS[look])).new_page()
        for name, path in every.items():
            await page.goto(server.url + path)
            if name == "overview":
                await page.wait_for_selector(".drawn .u-over")
            if name in PICTURED and (look == "light" or name == "overview"):
                await page.screenshot(path=SCREENSHOTS / f"{name}-{look}.png")
            findings += [f"{name} is wider than its window: {part}" for part in await page.evaluate(TOO_WIDE)]
            findings += await serious(page)
        assert findings == []


async def test_the_keyboard_is_enough(tmp_path: Path, new_context: NewContext) -> None:
    """The first Tab skips the navigation; / searches, j and Enter open a response, g p goes to the playground."""
    async with served(scripted(tmp_path), pages=pages) as server:
        made = await server.sdk().responses.create(model=MODEL, input="by keyboard")
        page = await (await new_context()).new_page()
        await page.goto(f"{server.url}/ui/requests")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.id") == "q"
        await page.keyboard.type("keyboard")
        await page.wait_for_url("**q=keyboard**")
        await page.evaluate("document.activeElement.blur()")
        for _ in range(60):  # the rows that the search finds may still come, under the focus
            await page.keyboard.press("j")
            await page.keyboard.press("Enter")
            await asyncio.sleep(0.25)
            if page.url.endswith(made.id):
                break
        await page.wait_for_url(f"**/{made.id}")
        await page.keyboard.press("g")
        await page.keyboard.press("p")
        await page.wait_for_url("**/ui/playground")


async def test_a_live_stream_is_seen_as_it_is_made(tmp_path: Path, new_context: NewContext) -> None:
    """The text grows while the response runs, and the page shows its end."""
    async with served(scripted(tmp_path, pace=0.05, sentences=30), pages=pages) as server:
        made = await server.sdk().responses.create(model=MODEL, input="slowly", background=True)
        page = await (await new_context()).new_page()
        await page.goto(f"{server.url}/ui/live")
        await page.wait_for_selector(f"a[href='/ui/requests/{made.id}']")
        await page.goto(f"{server.url}/ui/requests/{made.id}")
        shown = page.locator("[data-stream] .prose")
        await shown.wait_for()
        lengths = [len(await shown.inner_text())]
        await asyncio.sleep(0.6)
        lengths.append(len(await shown.inner_text()))
        assert lengths[0] < lengths[1]
        await page.wait_for_selector(".pill-completed", timeout=180_000)


async def test_a_batch_shows_its_progress_until_it_is_cancelled(
    tmp_path: Path, new_context: NewContext
) -> None:
    """The bar moves without a reload; the button ends the batch."""
    async with served(scripted(tmp_path, pace=0.02), pages=pages) as server:
        sdk = server.sdk()
        lines = [
            {
                "custom_id": str(n),
                "method": "POST",
                "url": "/v1/responses",
                "body": {"model": MODEL, "input": f"{n}"},
            }
            for n in range(3000)
        ]
        file = await sdk.files.create(
            file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch"
        )
        batch = await sdk.batches.create(
            input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
        )
        page = await (await new_context()).new_page()
        page.on("dialog", lambda dialog: dialog.accept())
        await page.goto(f"{server.url}/ui/batches/{batch.id}")
        await page.wait_for_function("() => document.querySelector('#progress progress').value > 0")
        before = await page.locator("#progress progress").get_attribute("value")
        await page.wait_for_function(f"() => document.querySelector('#progress progress').value > {before}")
        await page.locator(".actions button").click()
        await page.wait_for_selector("[data-status='cancelled'], [data-status='cancelling']")
        assert (await sdk.batches.retrieve(batch.id)).status in ("cancelling", "cancelled")


async def test_keys_are_made_used_and_revoked(tmp_path: Path, new_context: NewContext) -> None:
    """The first key closes the server and keeps this browser in; another browser signs in with it, and is out once it is revoked."""
    async with served(scripted(tmp_path), pages=pages) as server:
        page = await (await new_context()).new_page()
        page.on("dialog", lambda dialog: dialog.accept())
        await page.goto(f"{server.url}/ui/keys")
        await page.fill("#name", "laptop")
        await page.fill("#tokens_per_day", "100000")
        await page.fill("#usd_per_month", "0.01")
        await page.click("button.primary")
        key = await page.locator("#made-key").inner_text()
        for _ in range(8):
            await server.sdk(key).responses.create(model=MODEL, input="What does this loop do? " * 20)
        other = await (await new_context()).new_page()
        await other.goto(f"{server.url}/ui/requests")
        assert other.url.endswith("/ui/login")
        await other.fill("#key", "sk-kodo-wrong")
        await other.click("button.primary")
        await other.wait_for_selector("[role=alert]")
        await other.fill("#key", key)
        await other.click("button.primary")
        await other.wait_for_url("**/ui")
        assert key not in str(await other.context.cookies())
        await page.goto(f"{server.url}/ui/keys")
        assert "/ 100,000" in await page.locator("tbody").inner_text()
        assert "/ $0.0100" in await page.locator("tbody").inner_text()
        await page.screenshot(path=SCREENSHOTS / "keys-light.png")
        await page.locator("form[action$='/revoke'] button").click()
        await page.wait_for_url("**/ui/login")
        await other.reload()
        assert other.url.endswith("/ui/login")


async def test_a_model_is_pulled_with_its_progress(
    tmp_path: Path, new_context: NewContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar moves without a reload, and the page says when the model is there."""
    steps = threading.Semaphore(0)

    def pull(home: Path, source: str, name: None, progress: Any) -> None:
        for done in (1, 2, 3):
            progress(done * 10**9, 4 * 10**9)
            steps.acquire(timeout=60)

    monkeypatch.setattr(admin, "pull_model", pull)
    async with served(scripted(tmp_path), pages=pages) as server:
        page = await (await new_context()).new_page()
        await page.goto(f"{server.url}/ui/models")
        await page.locator("form[action='/ui/models/pull'] button").first.click()
        for shown in ("1.0 GB / 4.0 GB", "2.0 GB / 4.0 GB", "3.0 GB / 4.0 GB"):
            await page.locator("#pull", has_text=shown).wait_for()
            steps.release()
        await page.locator("#pull .good").wait_for()


async def test_the_playground_streams_compares_and_follows_up(
    tmp_path: Path, new_context: NewContext
) -> None:
    """Two models side by side, the same call as code, and a second call that continues the first."""
    async with served(scripted(tmp_path, pace=0.01, wait=0.2), pages=pages) as server:
        page = await (await new_context(locale="en-GB")).new_page()
        await page.goto(f"{server.url}/ui/playground")
        await page.fill("#play-instructions", "You are a reviewer.")
        await page.fill("#play-input", "It's a 'quoted' question")
        await page.select_option("#play-compare", "qwen2.5-coder-7b")
        await page.locator("details > summary", has_text="All parameters").click()
        await page.fill("#play-temperature", "0.5")
        code = page.locator("#code")
        assert '"temperature": 0.5' in await code.inner_text()
        await page.get_by_role("tab", name="Python").click()
        assert "client.responses.create(" in await code.inner_text()
        await page.get_by_role("tab", name="CLI").click()
        assert "kodo ask 'It'\\''s a '\\''quoted'\\'' question'" in await code.inner_text()
        await page.locator("details > summary", has_text="All parameters").click()
        await page.click("[data-play-run]")
        for side in "ab":
            await page.wait_for_selector(f"[data-answer={side}][data-response]")
            assert "budget is spent" in await page.locator(f"[data-answer={side}]").inner_text()
        await page.screenshot(path=SCREENSHOTS / "playground-light.png")
        first = await page.locator("[data-answer=a]").get_attribute("data-response")
        await page.locator("[data-answer=a] [data-play-continue]").click()
        await page.fill("#play-input", "and then?")
        await page.select_option("#play-compare", "")
        await page.click("[data-play-run]")
        await page.wait_for_function(
            f"() => document.querySelector('[data-answer=a]').dataset.response !== '{first}'"
        )
        second = await page.locator("[data-answer=a]").get_attribute("data-response")
        assert (await server.sdk().responses.retrieve(str(second))).previous_response_id == first


async def test_the_playground_calls_a_tool_and_takes_its_output(
    tmp_path: Path, new_context: NewContext
) -> None:
    """The call is shown, a field takes its output, and the next call sends it; the code says all of it. Then with a schema."""
    async with served(scripted(tmp_path), pages=pages) as server:
        page = await (await new_context(locale="en-GB")).new_page()
        await page.goto(f"{server.url}/ui/playground")
        await page.fill("#play-input", "read the file")
        await page.locator("details > summary", has_text="All parameters").click()
        tool = {"type": "function", "name": "read_file", "parameters": {"type": "object", "properties": {}}}
        await page.fill("#play-tools", json.dumps([tool]))
        await page.get_by_role("tab", name="CLI").click()
        assert "--set 'tools=[{" in await page.locator("#code").inner_text()
        await page.locator("details > summary", has_text="All parameters").click()
        await page.click("[data-play-run]")
        await page.wait_for_selector("[data-answer=a][data-response]")
        shown = await page.locator("[data-answer=a]").inner_text()
        assert "function_call read_file" in shown
        assert "src/<b>retry</b>.py" in shown
        first = await page.locator("[data-answer=a]").get_attribute("data-response")
        await page.locator("[data-answer=a] [data-play-continue]").click()
        await page.get_by_label("Output of read_file").fill("for attempt in range(3): ...")
        await page.get_by_role("tab", name="curl").click()
        assert "function_call_output" in await page.locator("#code").inner_text()
        await page.click("[data-play-run]")
        await page.wait_for_function(
            f"() => (document.querySelector('[data-answer=a]').dataset.response ?? '{first}') !== '{first}'"
        )
        second = str(await page.locator("[data-answer=a]").get_attribute("data-response"))
        items = [item async for item in server.sdk().responses.input_items.list(second)]
        outputs = [item for item in items if item.type == "function_call_output"]
        assert [each.output for each in outputs] == ["for attempt in range(3): ..."]
        assert "budget is spent" in await page.locator("[data-answer=a]").inner_text()
        await page.fill("#play-previous", "")
        assert await page.get_by_label("Output of read_file").count() == 0
        await page.fill("#play-input", "judge it")
        await page.locator("details > summary", has_text="All parameters").click()
        schema = {
            "type": "object",
            "properties": {"verdict": {"type": "string"}},
            "required": ["verdict"],
            "additionalProperties": False,
        }
        await page.fill("#play-schema", json.dumps(schema))
        await page.click("[data-play-run]")
        await page.wait_for_function(
            f"() => document.querySelector('[data-answer=a]').dataset.response !== '{second}'"
        )
        assert '{"verdict": "sound"}' in await page.locator("[data-answer=a]").inner_text()
        third = str(await page.locator("[data-answer=a]").get_attribute("data-response"))
        made = await server.sdk().responses.retrieve(third)
        assert made.text is not None
        assert made.text.format is not None
        assert made.text.format.type == "json_schema"


async def test_fifty_hostile_texts_run_nothing(tmp_path: Path, new_context: NewContext) -> None:
    """From a client, from a model, in metadata and names: no script runs, nothing else is asked for, no policy is broken."""
    async with served(settings(tmp_path), pages=pages) as server:
        sdk = server.sdk()
        made = []
        for case in CASES:
            made.append(
                await sdk.responses.create(
                    model=MODEL, input=case, instructions=case, metadata={"m": case[:500]}
                )
            )
            await sdk.files.create(
                file=(re.sub(r"[\r\n\t\"]", "_", case)[:200], case.encode()), purpose="user_data"
            )
        page = await (await new_context()).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        paths = ["/ui/requests", "/ui/files", *(f"/ui/requests/{each.id}" for each in made)]
        for path in paths:
            await page.goto(server.url + path)
            assert await page.evaluate("window.hit") is None, path
        assert [url for url in asked if not url.startswith(server.url)] == []
        assert len(CASES) == 50
        # and as a model's stream, in the live view's and the playground's own code
        await page.goto(f"{server.url}/ui/playground")
        for case in CASES[::7]:
            await page.fill("#play-input", case)
            await page.click("[data-play-run]")
            await page.wait_for_selector("[data-answer=a] .prose")
            await page.wait_for_function(
                "() => document.querySelector('[data-answer=a] [data-answer-numbers]').textContent"
            )
            assert case.split()[0][:20] in await page.locator("[data-answer=a]").inner_text()
            assert await page.evaluate("window.hit") is None, case


async def test_another_origin_cannot_use_it(tmp_path: Path, new_context: NewContext) -> None:
    """A page on another port posts a form, fetches and frames: refused, with the browser's own cookies and headers."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        served(settings(tmp_path / "one"), pages=pages) as target,
        served(settings(tmp_path / "two"), pages=pages) as evil,
    ):
        page = await (await new_context(bypass_csp=True)).new_page()
        await page.goto(f"{target.url}/ui")
        await page.goto(f"{evil.url}/ui/login?", wait_until="load")
        reached = await page.evaluate(
            """async (url) => {
                const tries = [];
                for (const [path, options] of [["/ui", {}], ["/ui/keys", {method: "POST", body: new URLSearchParams({name: "x"})}]]) {
                    tries.push(await fetch(url + path, {credentials: "include", ...options}).then((got) => `${got.type} ${got.status}`, () => "refused"));
                }
                return tries;
            }""",
            target.url,
        )
        assert reached == ["refused", "refused"]
        await page.evaluate(
            """(url) => {
                const form = Object.assign(document.createElement("form"), {method: "post", action: url + "/ui/keys"});
                document.body.append(form);
                form.submit();
            }""",
            target.url,
        )
        await page.wait_for_load_state()
        assert await target.state.store.keys() == []


async def test_hostile_names_in_every_other_field_run_nothing(
    tmp_path: Path, new_context: NewContext
) -> None:
    """Tools, calls and their outputs, users, stores, conversations, batches, keys, reports, the browser's own name: as texts."""
    async with served(scripted(tmp_path), pages=pages) as server:
        sdk = server.sdk()
        (tmp_path / "reports").mkdir()
        paths = [
            "/ui",
            "/ui/requests",
            "/ui/vector-stores",
            "/ui/conversations",
            "/ui/batches",
            "/ui/reports",
        ]
        for number, case in enumerate(CASES[::6]):
            tool: Any = {
                "type": "function", "name": f"f{number}", "description": case,
                "parameters": {"type": "object", "properties": {case[:60]: {"type": "string", "description": case}}},
            }  # fmt: skip
            call: Any = {
                "type": "function_call",
                "call_id": f"c{number}",
                "name": f"f{number}",
                "arguments": json.dumps({"x": case}),
            }
            output: Any = {"type": "function_call_output", "call_id": f"c{number}", "output": case}
            asked: Any = {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": case},
                    {"type": "input_file", "filename": case[:60], "file_data": "data:text/plain;base64,aGk="},
                ],
            }
            body: dict[str, Any] = {
                "user": case[:60],
                "safety_identifier": case[:60],
                "prompt_cache_key": case[:60],
            }
            kept = await server.http().post("/v1/responses", json={"model": MODEL, "input": [call, output], "tools": [tool], "metadata": {case[:60]: case[:500]}, **body})  # fmt: skip
            if kept.status_code == 200:
                paths.append(f"/ui/requests/{kept.json()['id']}")
            with_file = await server.http().post("/v1/responses", json={"model": MODEL, "input": [asked]})
            if with_file.status_code == 200:
                paths.append(f"/ui/requests/{with_file.json()['id']}")
            store = await sdk.vector_stores.create(name=case[:200], metadata={"m": case[:500]})
            talk = await sdk.conversations.create(metadata={case[:60]: case[:500]}, items=[call, output])
            paths += [f"/ui/vector-stores/{store.id}", f"/ui/conversations/{talk.id}"]
            finding = {
                "rule": case,
                "class": case,
                "severity": "error",
                "place": {"path": case, "line": 1},
                "message": case,
                "code": case,
            }
            name = f"20261129T10000{number % 10}-review-0a1b2c3d"
            report = {
                "job": "review",
                "made_at": time.time(),
                "subject": case,
                "report": {"state": "findings", "findings": [finding]},
            }
            (tmp_path / "reports" / f"{name}.json").write_text(json.dumps(report))
            paths.append(f"/ui/reports/{name}")
        assert sum(path.startswith("/ui/requests/") for path in paths) >= 9, "the calls were refused"
        page = await (await new_context(user_agent=CASES[0])).new_page()
        asked_for: list[str] = []
        page.on("request", lambda request: asked_for.append(request.url))
        for path in paths:
            await page.goto(server.url + path)
            assert await page.evaluate("window.hit") is None, path
        await page.goto(f"{server.url}/ui/keys")
        await page.fill("#name", CASES[0][:60])
        await page.fill("#project", CASES[1][:60])
        await page.click("button.primary")
        await page.wait_for_selector("#made-key")
        assert await page.evaluate("window.hit") is None
        assert CASES[0][:60] in await page.locator("tbody").inner_text()
        await page.goto(f"{server.url}/ui")
        assert await page.evaluate("window.hit") is None
        assert [url for url in asked_for if not url.startswith(server.url)] == []
