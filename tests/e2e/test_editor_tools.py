"""Where people work: the MCP server with the official client, and the pre-commit hook on a real repository."""

from __future__ import annotations

import resource
import sys
import tomllib
from pathlib import Path

import yaml
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import TextContent
from tests.ci.pipeline import BAD_CART, MAIN, Shop, kodo
from tests.paths import REPOSITORY

HOOK = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())[0]


def answer(result: object) -> str:
    """The text of a tool's answer."""
    content = getattr(result, "content")  # noqa: B009 - mypy does not check tests, and the result has variants
    assert isinstance(content[0], TextContent)
    return content[0].text


async def test_the_jobs_are_mcp_tools(tmp_path: Path) -> None:
    """Listed as read-only; a review, a difference, tests and usage come back; a path outside is refused; secrets are masked."""
    shop = Shop.create(tmp_path / "shop")
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    text = (
        BAD_CART.replace("price * amount", "price + amount")
        + f'\n\ndef key(x=[]):\n    """{token}"""\n    return x\n'
    )
    shop.commit("change", {"shop/cart.py": text})
    command = str(Path(sys.executable).with_name("kodo"))
    server = StdioServerParameters(
        command=command, args=["mcp", "--folder", str(shop.root)], env={"KODO_HOME": str(tmp_path / "home")}
    )
    async with Client(stdio_client(server)) as client:
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == ["review", "what_changed", "tests", "usage"]
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in listed)
        found = answer(await client.call_tool("review", {"base": "main", "run": False}))
        assert "`shop/cart.py:11`" in found
        assert token not in found
        changed = answer(await client.call_tool("what_changed", {"base": "main"}))
        assert "For `total(" in changed or "total" in changed
        assert "B006" not in changed
        tests = answer(await client.call_tool("tests", {"target": "shop/text.py"}))
        assert "def test_" in tests
        assert answer(await client.call_tool("usage", {})) == "[]"
        outside = await client.call_tool("tests", {"target": "../../etc/x.py"})
        assert outside.is_error
    assert shop.git("status", "--porcelain") == "", "nothing was written"


def test_the_hook_reviews_what_is_staged(tmp_path: Path) -> None:
    """By the entry that pre-commit runs: findings fail the commit, a clean change passes."""
    shop = Shop.create(tmp_path / "shop")
    (shop.root / "shop/cart.py").write_text(BAD_CART)
    shop.git("add", "-A")
    name, *arguments = HOOK["entry"].split()
    assert name == "kodo"
    bad = kodo(shop.root, {}, *arguments)
    assert (bad.returncode, "shop/cart.py:11" in bad.stdout) == (1, True)
    (shop.root / "shop/cart.py").write_text(MAIN["shop/cart.py"] + "\n\nLIMIT = 3\n")
    shop.git("add", "-A")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert kodo(shop.root, {}, *arguments).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 10, "of CPU, whatever else runs; it is under 2 s"


def test_the_hook_installs_what_the_review_needs() -> None:
    """pre-commit installs the package without extras, so the hook names them."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert HOOK["additional_dependencies"] == project["optional-dependencies"]["review"]
