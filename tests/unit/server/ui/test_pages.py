"""Every page over HTTP, without a browser: what it shows, what its forms do, and that nothing in it is markup."""

from __future__ import annotations

import asyncio
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, Served, script
from tests.unit.server.ui.hostile import CASES
from tests.unit.server.ui.pages import dashboard, make_key

from kodo.server.config import ModelSettings, UiSettings
from kodo.server.http.keys import Caller
from kodo.server.ui.context import LedgerLimit, LedgerRow, Lent
from kodo.server.ui.views import batches
from kodo.server.ui.views.playground import PARAMETERS
from kodo.server.wire.request import CreateResponse


class Markup(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def shape(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Tags with the names of their attributes: what a page is made of, whatever its texts are."""
    return [(tag, tuple(sorted(attributes))) for tag, attributes in Markup(text).found]


async def lines_of_batch(server: Served, count: int, text: str = "hello") -> str:
    """A batch of so many requests; its id."""
    sdk = server.sdk()
    lines = [
        {
            "custom_id": str(n),
            "method": "POST",
            "url": "/v1/responses",
            "body": {"model": MODEL, "input": text},
        }
        for n in range(count)
    ]
    data = "\n".join(map(json.dumps, lines)).encode()
    file = await sdk.files.create(file=("in.jsonl", data), purpose="batch")
    batch = await sdk.batches.create(
        input_file_id=file.id, endpoint="/v1/responses", completion_window="24h", metadata={"why": text}
    )
    return batch.id


async def test_fifty_hostile_texts_are_shown_as_texts(tmp_path: Path) -> None:
    """As input, output, instructions, metadata, names of files and keys: every page has the tags it has without them."""
    async with dashboard(tmp_path) as (server, browser):
        sdk = server.sdk()

        async def pages(text: str) -> dict[str, str]:
            made = await sdk.responses.create(
                model=MODEL, input=text, instructions=text, metadata={"m": text[:500], text[:60]: "x"}
            )
            conversation = await sdk.conversations.create(
                metadata={"topic": text[:500]}, items=[{"role": "user", "content": text}]
            )
            file = await sdk.files.create(
                file=(re.sub(r"[\r\n\t\"]", "_", text)[:200], text.encode()), purpose="user_data"
            )
            paths = {
                "list": "/ui/requests",
                "one": f"/ui/requests/{made.id}",
                "conversations": "/ui/conversations",
                "conversation": f"/ui/conversations/{conversation.id}",
                "files": "/ui/files",
                "file": f"/ui/files/{file.id}",
            }
            shown = {name: (await browser.get(path)).text for name, path in paths.items()}
            await sdk.responses.delete(made.id)
            await sdk.conversations.delete(conversation.id)
            await sdk.files.delete(file.id)
            return shown

        plain = await pages("words")
        assert len(CASES) == 50
        for number, case in enumerate(CASES):
            for name, text in (await pages(case)).items():
                assert "<" not in case or case not in text, (name, case)
                if name != "one":  # a page whose tags depend on its texts' number of events only
                    assert shape(text) == shape(plain[name]), (name, case)
                tags = {tag for tag, _ in Markup(text).found}
                assert not tags & {
                    "iframe",
                    "object",
                    "embed",
                    "base",
                    "style",
                    "math",
                    "marquee",
                    "img",
                    "video",
                }, case
                for tag, attributes in Markup(text).found:
                    assert not any(
                        attribute.startswith(("on", "style", "srcdoc")) for attribute in attributes
                    ), case
                    assert not str(attributes.get("href") or "").lower().startswith("javascript"), case
                    assert tag != "script" or str(attributes.get("src")).startswith("/ui/static/"), case
            if number == 0:
                one = (await pages(case))["one"]
                assert html.escape(case, quote=False).replace("'", "&#39;") in one or html.escape(case) in one


async def test_a_hostile_query_is_shown_as_text(tmp_path: Path) -> None:
    """What the address says is in the page's fields and links, never in its markup."""
    async with dashboard(tmp_path) as (_, browser):
        for path in (
            "/ui/requests?q={}&status={}&model={}",
            "/ui/playground?previous={}",
            "/ui/requests/{}",
            "/ui/batches/{}",
        ):
            plain = shape((await browser.get(path.replace("{}", "x"))).text)
            for case in CASES:
                answer = await browser.http.get(
                    path.split("?")[0].replace("{}", "x"),
                    params={"q": case, "status": case, "model": case, "previous": case},
                )
                assert shape(answer.text) == plain, case


async def test_a_response_page_shows_what_was_asked_and_answered(tmp_path: Path) -> None:
    """Items, tokens, times, parameters, tools, events, its JSON; its chain up and down."""
    async with dashboard(tmp_path) as (server, browser):
        sdk = server.sdk()
        tool: Any = {"type": "function", "name": "look_up", "parameters": {"type": "object"}}
        first = await sdk.responses.create(
            model=MODEL, input="first words", metadata={"ticket": "K-1"}, tools=[tool]
        )
        second = await sdk.responses.create(model=MODEL, input="second words", previous_response_id=first.id)
        page = (await browser.get(f"/ui/requests/{first.id}")).text
        for text in ("first words", "K-1", "look_up", "response.output_text.delta", "temperature", second.id):
            assert text in page
        assert 'class="timeline"' in page
        below = (await browser.get(f"/ui/requests/{second.id}")).text
        assert f'href="/ui/requests/{first.id}"' in below
        listed = (await browser.get("/ui/requests?q=second")).text
        assert "second words" in listed
        assert "first words" not in listed
        assert (await browser.get("/ui/requests/resp_none")).status_code == 404
        answer = await browser.post(f"/ui/requests/{second.id}/delete")
        assert answer.headers["location"] == "/ui/requests"
        assert (await browser.get(f"/ui/requests/{second.id}")).status_code == 404


async def test_prompts_are_hidden_where_the_setting_says_so(tmp_path: Path) -> None:
    """No page has a word of them, the search finds none, and the stream of events is not there; numbers are."""
    async with dashboard(tmp_path, ui=UiSettings(show_prompts=False)) as (server, browser):
        sdk = server.sdk()
        conversation = await sdk.conversations.create(
            items=[{"role": "user", "content": "sesame"}], metadata={"a": "sesame"}
        )
        made = await sdk.responses.create(
            model=MODEL, input="open sesame", instructions="sesame", metadata={"a": "sesame"}
        )
        file = await sdk.files.create(file=("sesame.txt", b"sesame"), purpose="user_data")
        for path in (
            "/ui", "/ui/requests", f"/ui/requests/{made.id}", "/ui/live", "/ui/conversations",
            f"/ui/conversations/{conversation.id}", "/ui/files", f"/ui/files/{file.id}",
        ):  # fmt: skip
            page = await browser.get(path)
            assert page.status_code == 200
            assert "sesame" not in page.text, path
        assert made.id in (await browser.get("/ui/requests")).text
        assert made.id not in (await browser.get("/ui/requests?q=open")).text
        assert (await browser.get(f"/ui/requests/{made.id}/events")).status_code == 404


async def test_the_overview_counts_what_ended(tmp_path: Path) -> None:
    """Requests, tokens and list price of the range; the plots' points add up to the same."""

    class Prices:
        def list_cost(self, model: str, usage: Any) -> float | None:
            return 2.0

    async with dashboard(tmp_path, lent=Lent(prices=Prices())) as (server, browser):
        for _ in range(3):
            await server.sdk().responses.create(model=MODEL, input="count me")
        page = (await browser.get("/ui?range=1h")).text
        assert '<span class="kpi-value">3</span>' in page
        assert "list price $" in page
        series = (await browser.get("/ui/overview/series?range=1h")).json()
        assert sum(series["ok"]) == 3
        assert len({len(column) for column in series.values()}) == 1
        assert [value for value in series["first_token_median"] if value is not None]


async def test_live_numbers_come_as_events(tmp_path: Path) -> None:
    """The first one at once."""
    async with dashboard(tmp_path) as (server, browser):
        async with browser.http.stream("GET", "/ui/overview/live") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                numbers = json.loads(line.removeprefix("data: "))
                assert numbers["running"] == 0
                assert MODEL in numbers["engines"]
                break
        assert server.state.started


async def test_a_running_response_is_followed_and_cancelled(tmp_path: Path) -> None:
    """It is in the live view, its events are streamed, and its form ends it."""
    slow = script(tmp_path, {"steps": [{"type": "text", "text": "word " * 400}]}, pace=0.05)
    async with dashboard(tmp_path, model=slow) as (server, browser):
        made = await server.sdk().responses.create(model=MODEL, input="go on", background=True)
        while (await server.sdk().responses.retrieve(made.id)).status != "in_progress":
            await asyncio.sleep(0.02)
        assert made.id in (await browser.get("/ui/live")).text
        assert "data-stream" in (await browser.get(f"/ui/requests/{made.id}")).text
        async with browser.http.stream("GET", f"/ui/requests/{made.id}/events") as answer:
            seen = ""
            async for text in answer.aiter_text():
                seen += text
                if seen.count("response.output_text.delta") > 3:
                    break
        await browser.post(f"/ui/requests/{made.id}/cancel")
        assert (await server.sdk().responses.retrieve(made.id)).status == "cancelled"


async def test_batches_show_their_progress_and_are_cancelled(tmp_path: Path) -> None:
    """Counts while it runs; its files when it is over."""
    async with dashboard(tmp_path, model=script(tmp_path, pace=0.05)) as (server, browser):
        done = await lines_of_batch(server, 2)
        while (await server.sdk().batches.retrieve(done)).status != "completed":
            await asyncio.sleep(0.05)
        page = (await browser.get(f"/ui/batches/{done}")).text
        assert "2 of 2" in page
        assert "/ui/files/file-" in page
        long = await lines_of_batch(server, 300, "many words of text " * 5)
        assert "hx-trigger" in (await browser.get("/ui/batches")).text
        answer = await browser.post(f"/ui/batches/{long}/cancel", f"/ui/batches/{long}")
        assert answer.status_code == 303
        assert (await server.sdk().batches.retrieve(long)).status in ("cancelling", "cancelled")


async def test_a_key_is_shown_once_and_ends_when_it_is_revoked(tmp_path: Path) -> None:
    """With its limits and role; the first one closes the server and signs this browser in."""
    async with dashboard(tmp_path) as (server, browser):
        bad = await browser.post("/ui/keys", "/ui/keys", name="n", requests_per_minute="-1")
        assert bad.status_code == 400
        assert await server.state.store.keys() == []
        page = await browser.post(
            "/ui/keys", "/ui/keys", name="first", project="mine", requests_per_minute="60"
        )
        found = re.search(r"sk-kodo-[\w-]{40,}", page.text)
        assert found is not None
        (row,) = await server.state.store.keys()
        assert (row.name, row.project, row.role, row.requests_per_minute) == ("first", "mine", "admin", 60)
        assert (tmp_path / "keys-exist").exists()
        assert found[0] not in (await browser.get("/ui/keys")).text
        assert (await server.sdk(found[0]).models.list()).data
        second = await browser.post("/ui/keys", "/ui/keys", name="second", role="project")
        key = re.search(r"sk-kodo-[\w-]{40,}", second.text)
        assert key is not None
        row = next(row for row in await server.state.store.keys() if row.name == "second")
        assert row.role == "project"
        await browser.post(f"/ui/keys/{row.id}/revoke", "/ui/keys")
        assert (
            await server.http().get("/v1/models", headers={"authorization": f"Bearer {key[0]}"})
        ).status_code == 401
        assert "revoked" in (await browser.get("/ui/keys")).text


async def test_a_keys_budgets_are_set_and_seen(tmp_path: Path) -> None:
    """What it has spent of them stands beside them; nonsense is refused, and a revoked key shows none."""
    async with dashboard(tmp_path) as (server, browser):
        for wrong in ("0", "1.5", "１２", "9" * 16):
            bad = await browser.post("/ui/keys", "/ui/keys", tokens_per_month=wrong)
            assert bad.status_code == 400
            assert "tokens_per_month" in bad.text
        made = await browser.post(
            "/ui/keys", "/ui/keys", name="n", tokens_per_day="123000", tokens_per_month="999999999999999"
        )
        found = re.search(r"sk-kodo-[\w-]{40,}", made.text)
        assert found is not None
        (row,) = await server.state.store.keys()
        assert (row.tokens_per_day, row.tokens_per_month) == (123_000, 999_999_999_999_999)
        answer = await server.sdk(found[0]).responses.create(model=MODEL, input="what does it cost?")
        assert answer.usage is not None
        assert f"{answer.usage.total_tokens} / 123,000" in (await browser.get("/ui/keys")).text
        ran = await browser.http.post(
            "/ui/playground/run",
            json={"model": MODEL, "input": "here too"},
            headers={"x-csrf-token": await browser.token("/ui/playground")},
        )
        assert ran.status_code == 200
        (day, month) = await server.state.limits.budgets.of(row)
        assert day.spent == month.spent > answer.usage.total_tokens
        refused = await browser.post("/ui/keys", "/ui/keys", usd_per_day="5")
        assert (refused.status_code, "usd_per_day: a budget in dollars needs a price" in refused.text) == (
            400,
            True,
        )
        assert 'name="usd_per_day"' not in refused.text


async def test_a_budget_in_dollars_is_set_and_seen(tmp_path: Path) -> None:
    """Where a model has a price; what was spent is shown in dollars."""
    priced = ModelSettings(engine="scripted", target="", price_input=1000.0, price_output=1000.0)
    async with dashboard(tmp_path, model=priced) as (server, browser):
        for wrong in ("0", "-1", "1e3", "nan", "1000000", "0.0000001"):
            bad = await browser.post("/ui/keys", "/ui/keys", usd_per_day=wrong)
            assert (bad.status_code, "usd_per_day" in bad.text) == (400, True)
        made = await browser.post("/ui/keys", "/ui/keys", usd_per_day="2.50", usd_per_month="$40")
        found = re.search(r"sk-kodo-[\w-]{40,}", made.text)
        assert found is not None
        (row,) = await server.state.store.keys()
        assert (row.usd_per_day, row.usd_per_month) == (2.5, 40.0)
        answer = await server.sdk(found[0]).responses.create(model=MODEL, input="what does it cost?")
        assert answer.usage is not None
        dollars = f"${answer.usage.total_tokens / 1000:.4f}"
        page = (await browser.get("/ui/keys")).text
        assert f"{dollars} / $2.50" in page
        assert f"{dollars} / $40.00" in page


async def test_what_is_no_page_is_said_on_one(tmp_path: Path) -> None:
    """With the navigation, not as the API says it; a slash too many is taken off."""
    async with dashboard(tmp_path) as (_, browser):
        missing = await browser.get("/ui/nothing/here")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "There is no such page." in missing.text and 'href="/ui/requests"' in missing.text
        for path in ("/ui", "/ui/requests"):
            moved = await browser.get(f"{path}/")
            assert (moved.status_code, moved.headers["location"]) == (303, path)
        assert (await browser.get("/ui/static/nothing.js")).status_code == 404
        assert (await browser.http.post("/ui/nothing")).status_code == 405


@pytest.mark.parametrize("path", ["/ui/keys", "/ui/models", "/ui/ledger", "/ui/reports"])
async def test_a_projects_key_does_not_manage_the_server(tmp_path: Path, path: str) -> None:
    """These pages are a 404 for it, and so is making a key."""
    async with dashboard(tmp_path) as (server, browser):
        await browser.sign_in(await make_key(server))
        assert (await browser.get(path)).status_code == 404
        assert path not in (await browser.get("/ui")).text
        assert (await browser.post("/ui/keys", name="mine", role="admin")).status_code == 404
        assert len(await server.state.store.keys()) == 1


async def test_a_background_run_of_the_playground_is_paid_when_its_page_is_left(tmp_path: Path) -> None:
    """It goes on, counts among the key's requests at once, and is charged when it ends."""
    async with dashboard(tmp_path) as (server, browser):
        await browser.sign_in(await make_key(server, role="admin", tokens_per_day=1000))
        token = await browser.token("/ui/playground")
        async with browser.http.stream(
            "POST",
            "/ui/playground/run",
            json={"model": MODEL, "input": "echo this", "background": True},
            headers={"x-csrf-token": token},
        ) as answer:
            await anext(answer.aiter_bytes())
        (row,) = await server.state.store.keys()
        async with asyncio.timeout(60):
            while not (await server.state.limits.budgets.of(row))[0].spent:
                await asyncio.sleep(0.02)


def test_only_batches_that_can_be_cancelled_have_the_button() -> None:
    """One whose files are being made cannot."""
    assert set(batches.CANCELLABLE) == {"validating", "in_progress"}
    assert set(batches.CANCELLABLE) < set(batches.RUNNING)


async def test_a_playground_that_is_left_keeps_no_place_of_its_key(tmp_path: Path) -> None:
    """What still runs is stopped, charged, and no longer one of the requests that the key may have at once."""
    slow = script(
        tmp_path, {"match": ".*", "steps": [{"type": "text", "text": "one two three " * 400}]}, pace=0.05
    )
    async with dashboard(tmp_path, model=slow) as (server, browser):
        await browser.sign_in(await make_key(server, role="admin", tokens_per_day=100_000))
        token = await browser.token("/ui/playground")
        async with browser.http.stream(
            "POST",
            "/ui/playground/run",
            json={"model": MODEL, "input": "count"},
            headers={"x-csrf-token": token},
        ) as answer:
            await anext(answer.aiter_bytes())
            (run,) = server.state.service.runs(None)
        (row,) = await server.state.store.keys()
        account = server.state.limits._account(Caller(owner=row.project, key=row))
        async with asyncio.timeout(10):
            while account.running:
                await asyncio.sleep(0.02)
        assert run.response.status == "cancelled"
        assert (await server.state.limits.budgets.of(row))[0].spent


@pytest.mark.parametrize("project", ["経理部", "équipe", 'a; b=c, "d"', "tab\there"])
async def test_a_project_of_any_name_can_be_looked_at(tmp_path: Path, project: str) -> None:
    """Its name is kept in a cookie, which holds only ASCII."""
    async with dashboard(tmp_path) as (_, browser):
        chosen = await browser.post("/ui/preferences", project=project, back="/ui")
        assert (chosen.status_code, chosen.headers["location"]) == (303, "/ui")
        page = (await browser.get("/ui")).text
        (shown,) = re.findall(r'name="project" value="([^"]*)"', page)
        assert html.unescape(shown) == project


async def test_the_playground_runs_a_call_as_the_api_does(tmp_path: Path) -> None:
    """Its events are those of the API; a bad parameter is named; without the token nothing runs."""
    async with dashboard(tmp_path) as (server, browser):
        token = await browser.token("/ui/playground")
        body = {"model": MODEL, "input": "echo this", "metadata": {"from": "playground"}}
        answer = await browser.http.post("/ui/playground/run", json=body, headers={"x-csrf-token": token})
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "response.completed" in answer.text
        (line,) = re.findall(r"^data: (.*response.completed.*)$", answer.text, re.MULTILINE)
        made = await server.sdk().responses.retrieve(json.loads(line)["response"]["id"])
        assert made.metadata == {"from": "playground"}
        bad = await browser.http.post(
            "/ui/playground/run", json={**body, "temperature": 9}, headers={"x-csrf-token": token}
        )
        assert (bad.status_code, bad.json()["error"]["param"]) == (400, "temperature")
        for headers in ({}, {"x-csrf-token": "0" * 64}):
            assert (
                await browser.http.post("/ui/playground/run", json=body, headers=headers)
            ).status_code == 403


def test_the_playground_has_every_parameter() -> None:
    """Those of the wire type, each once; ``stream`` is always on, and the client's own telemetry is nobody's business."""
    own = {
        "model",
        "input",
        "instructions",
        "previous_response_id",
        "text",
        "tools",
        "stream",
        "stream_options",
    }
    names = [name for name, *_ in (*PARAMETERS["numbers"], *PARAMETERS["choices"])]
    names = [*names, *PARAMETERS["texts"], *PARAMETERS["json"]]
    assert len(names) == len(set(names))
    fields = set(CreateResponse.__struct_fields__) - own - {"client_metadata"}
    assert {name.partition(".")[0] for name in names} - {"text"} == fields


@pytest.mark.parametrize("manifest", [b"{broken", b'{"name": "\xff"}'], ids=["cut", "no text"])
async def test_a_local_model_that_cannot_be_read_is_named(tmp_path: Path, manifest: bytes) -> None:
    """The page about models says which file it is, and what to do."""
    async with dashboard(tmp_path) as (_, browser):
        (tmp_path / "models" / "mine").mkdir(parents=True)
        (tmp_path / "models" / "mine" / "manifest.json").write_bytes(manifest)
        page = await browser.get("/ui/models")
    assert (page.status_code, "pull the model again" in page.text) == (500, True)
    assert "mine/manifest.json" in page.text


async def test_the_ledger_and_reports_are_shown(tmp_path: Path) -> None:
    """What start-up lends, and what the commands kept; a file that is none of theirs is left out."""

    class Book:
        def rows(self, by: str, since: float | None) -> list[LedgerRow]:
            return [LedgerRow(f"{by} <b>", 3, 1, 1000, 10, 500, 0.0, 1.25)]

        def limits(self) -> list[LedgerLimit]:
            return [LedgerLimit("day", 5.0, 1.0)]

    reports = tmp_path / "reports"
    reports.mkdir()
    report = {
        "state": "findings",
        "findings": [
            {
                "rule": "r1",
                "severity": "error",
                "class": "bug",
                "message": "<i>gone</i>",
                "place": {"path": "a.py", "line": 4},
            }
        ],
    }
    name = "20261129T100000-review-0a1b2c3d"
    (reports / f"{name}.json").write_text(
        json.dumps({"job": "review", "made_at": 1.0, "subject": "main..HEAD", "report": report})
    )
    for number, broken in enumerate((b"{broken", b'{"job": "\xff"}', b'{"report": ' + b"[" * 100_000)):
        (reports / f"20261129T10000{number}-review-ffffffff.json").write_bytes(broken)
    async with dashboard(tmp_path, lent=Lent(ledger=Book())) as (_, browser):
        for by in ("day", "model", "job", "repository"):
            page = (await browser.get(f"/ui/ledger?by={by}")).text
            assert f"{by} &lt;b&gt;" in page
            assert "$1.25" in page
        listed = (await browser.get("/ui/reports")).text
        assert listed.count('href="/ui/reports/2026') == 1
        shown = (await browser.get(f"/ui/reports/{name}")).text
        assert "a.py:4" in shown
        assert "&lt;i&gt;gone" in shown
        for other in ("20261129T100001-review-ffffffff", "..%2f..%2fseal", "x"):
            assert (await browser.get(f"/ui/reports/{other}")).status_code == 404


async def test_the_models_page_fetches_only_what_the_catalogue_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its progress is shown while it comes, then that it is there."""
    from kodo.server.http import admin

    asked: list[str] = []
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def pull(home: Path, source: str, name: None, progress: Any) -> None:
        asked.append(source)
        progress(40, 100)
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(20)

    monkeypatch.setattr(admin, "pull_model", pull)
    entry = admin.catalogue_entries()[0].name
    async with dashboard(tmp_path) as (_, browser):
        await browser.post("/ui/models/pull", source="hf:evil/model")
        assert asked == []
        await browser.post("/ui/models/pull", source=entry)
        await browser.post("/ui/models/pull", source=entry)  # one at a time
        while not asked:
            await asyncio.sleep(0.01)
        assert 'value="40"' in (await browser.get("/ui/models", hx_request="true")).text
        gate.set()
        while 'class="good"' not in (await browser.get("/ui/models", hx_request="true")).text:
            await asyncio.sleep(0.01)
        assert asked == [entry]


async def test_pages_are_in_both_languages(tmp_path: Path) -> None:
    """Every page that is not about one object, in Japanese: no English heading is left."""
    async with dashboard(tmp_path) as (_, browser):
        for path in (
            "/ui",
            "/ui/requests",
            "/ui/live",
            "/ui/batches",
            "/ui/files",
            "/ui/vector-stores",
            "/ui/conversations",
            "/ui/playground",
            "/ui/keys",
            "/ui/models",
            "/ui/ledger",
            "/ui/reports",
        ):
            english = (await browser.get(path, accept_language="en")).text
            japanese = (await browser.get(path, accept_language="ja")).text
            headings = [re.findall(r"<h[12][^>]*>([^<]+)", text) for text in (english, japanese)]
            assert headings[0], path
            assert not set(headings[0]) & set(headings[1]), path
