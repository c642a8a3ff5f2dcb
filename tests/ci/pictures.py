"""``python -m tests.ci.pictures FOLDER``: pictures of the comments for the guides, in English and Japanese.

Both jobs run on a small change, on the fake GitHub; the comments' Markdown becomes HTML by markdown-it (GitHub's rules: tables, raw
HTML) and a picture by a headless Chromium. It is not GitHub's own page.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt
from tests.ci.pipeline import MAIN, Pipeline, Shop

from kodo.ci.testing.github import FakeGitHub
from kodo.ci.testing.server import GitTree

CART = (
    MAIN["shop/cart.py"]
    .replace("if not prices:\n        return 0\n    ", "")
    .replace("price * amount", "price + amount")
)
CHANGE = {
    "shop/cart.py": CART
    + '\n\ndef add(item, cart=[]):\n    """Put an item in."""\n    cart.append(item)\n    return cart\n',
    "shop/text.py": MAIN["shop/text.py"] + '\n\ndef run(text):\n    """Evaluate."""\n    return eval(text)\n',
}
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ font: 14px/1.5 "Noto Sans", "Noto Sans CJK JP", "DejaVu Sans", sans-serif; color: #1f2328; margin: 16px; width: 860px; background: #fff }}
.comment {{ border: 1px solid #d1d9e0; border-radius: 6px; margin-bottom: 16px }}
.head {{ background: #f6f8fa; border-bottom: 1px solid #d1d9e0; padding: 8px 16px; font-weight: 600; border-radius: 6px 6px 0 0 }}
.head span {{ color: #59636e; font-weight: 400 }}
.body {{ padding: 16px }} h2 {{ border-bottom: 1px solid #d1d9e0; padding-bottom: .3em; margin-top: 0 }}
table {{ border-collapse: collapse }} th, td {{ border: 1px solid #d1d9e0; padding: 6px 13px }} tr:nth-child(2n) {{ background: #f6f8fa }}
code {{ background: #818b981f; border-radius: 6px; padding: .2em .4em; font: 85% "DejaVu Sans Mono", "Noto Sans Mono CJK JP", monospace }}
pre {{ background: #f6f8fa; border-radius: 6px; padding: 16px; overflow: auto }} pre code {{ background: none; padding: 0 }}
blockquote {{ border-left: .25em solid #d1d9e0; color: #59636e; margin: 0; padding: 0 1em }} sub {{ color: #59636e }}
</style>{comments}"""
COMMENT = '<div class="comment"><div class="head">github-actions <span>bot · {where}</span></div><div class="body">{body}</div></div>'


def comments(folder: Path, lang: str) -> list[tuple[str, str]]:
    """The comments of one change: where each is, and its Markdown."""
    shop = Shop.create(folder / "shop")
    shop.git("checkout", "-q", "main")
    shop.commit("policy", {"pyproject.toml": MAIN["pyproject.toml"] + f'\n[tool.kodo.ci]\nlang = "{lang}"\n'})
    shop.git("checkout", "-q", "-B", "work", "main")
    shop.commit("Add a cart", dict(CHANGE))
    with FakeGitHub(GitTree(shop.root)) as github:
        pipeline = Pipeline(shop, github, folder)
        pipeline.push()
        pipeline.review()
        pipeline.report()
        lines = [(f"{row['path']}:{row['line']}", row["body"]) for row in github.rows.line_comments]
        lines.sort(key=lambda line: "suggestion" not in line[1])
        return [("commented", pipeline.sticky), *lines[:1]]


def main() -> None:
    """Write comment.png and comment.ja.png."""
    target = Path(sys.argv[1]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    for lang, name in (("en", "comment.png"), ("ja", "comment.ja.png")):
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            shown = [
                COMMENT.format(
                    where=where, body=markdown.render(body.replace("<details>", "<details open>", 1))
                )
                for where, body in comments(folder, lang)
            ]
            page = folder / "page.html"
            page.write_text(PAGE.format(comments="".join(shown)))
            size = "--window-size=900,1390"
            command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size,
                       f"--screenshot={target / name}", page.as_uri()]  # fmt: skip  # one row
            subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main()
