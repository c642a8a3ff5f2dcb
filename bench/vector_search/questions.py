"""Forty questions, twenty of them Japanese, each with the one document that answers it.

Written on 2026-11-29 from the documents alone, before the search was run on any of them, and in other words where that comes
naturally. ``aside``: every second one; nothing was tuned on either half so far, and these are never to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Question:
    """A question and the name of its document."""

    text: str
    document: str
    aside: bool

    @property
    def is_japanese(self) -> bool:
        """By its document."""
        return self.document.startswith("ja-")


_PAIRS: Final = (
    ("For which agent of a chain are input guardrails run?", "guardrails-1.md"),
    ("What do the yellow boxes and the dotted arrows of the drawn graph stand for?", "visualization-3.md"),
    ("How can I stop the list of tools from being fetched from the server again on each run?", "mcp-15.md"),
    ("How does a phone call get to a realtime agent?", "realtime-transport-3.md"),
    (
        "Where do I set the maximum number of seconds that one request to the model may take?",
        "models-index-7.md",
    ),
    ("I want several runs to show up as one trace. What do I wrap around them?", "tracing-4.md"),
    ("Which three methods start an agent, and which one of them is synchronous?", "running_agents-0.md"),
    ("What type comes back from a streamed run?", "results-0.md"),
    ("Which events are recorded by the built-in tracing?", "tracing-0.md"),
    ("What should I read after the first steps with agents?", "quickstart-10.md"),
    ("How do settings of a Flask application differ between environments?", "config-0.rst"),
    ("Which library helps to check submitted form data?", "patterns-wtforms-0.rst"),
    ("Where can an extension keep a connection while a request is handled?", "extensiondev-5.rst"),
    ("Why were lists at the top level not allowed in JSON answers of old versions?", "web-security-4.rst"),
    ("What causes the error 'Working outside of request context'?", "reqcontext-3.rst"),
    (
        "Which file describes a project's name, version and dependencies and how it is built?",
        "tutorial-install-1.rst",
    ),
    ("In which folder do CSS and JavaScript belong?", "quickstart-5.rst"),
    ("How do I get automatic reloading and a debugger in the browser?", "quickstart-2.rst"),
    ("How can I pretend to own a domain on my own computer?", "deploying-apache-httpd-1.rst"),
    ("How is a request ended early with an error code?", "quickstart-8.rst"),
    ("エージェントの出力が関連のある内容かどうかを審査するには何を使いますか。", "ja-agents-9.md"),
    ("複雑なフローを作るために次に何を学べばよいですか。", "ja-quickstart-10.md"),
    ("電話の通話にはどのように接続しますか。", "ja-realtime-transport-3.md"),
    ("サンドボックスの作業を実行する場所はどこで選びますか。", "ja-sandbox-clients-0.md"),
    ("フックの中でトークンの使用量を記録する方法は。", "ja-usage-7.md"),
    ("話の途中での割り込みや音声の出力を、長時間の接続で扱う部品は何ですか。", "ja-realtime-guide-1.md"),
    ("SDK の実装サンプルはどこにありますか。", "ja-examples-0.md"),
    ("グラフで灰色の長方形は何を表しますか。", "ja-visualization-3.md"),
    ("引き継ぎ先の選択肢はどう定義しますか。", "ja-quickstart-6.md"),
    ("返金担当のエージェントに渡すときのツールの名前はどうなりますか。", "ja-handoffs-0.md"),
    (
        "データベースの JSON で日本語をエスケープせず読める形で残したい。",
        "ja-sessions-sqlalchemy_session-3.md",
    ),
    ("サメは木よりも古い、という豆知識を返す関数の例はどれですか。", "ja-quickstart-4.md"),
    ("LLM から見えるコンテキストとコードだけが使うコンテキストの違いは。", "ja-context-0.md"),
    ("承認が何週間も待たされる場合、何を一緒に保存しておくべきですか。", "ja-human_in_the_loop-9.md"),
    ("MCP に関して自動で記録される情報は何ですか。", "ja-mcp-16.md"),
    ("Docker を使うときの pip のコマンドは。", "ja-sandbox_agents-2.md"),
    ("ブラウザーの WebRTC は使えますか。", "ja-realtime-transport-0.md"),
    ("会話の履歴を自分で管理せずに済ませるには。", "ja-sessions-index-0.md"),
    ("前回の実行から学んだことを次の実行で使うには。", "ja-sandbox-guide-10.md"),
    ("期限を過ぎた項目は取得時にどうなりますか。", "ja-sessions-encrypted_session-7.md"),
)
QUESTIONS: Final = tuple(Question(text, name, number % 2 == 1) for number, (text, name) in enumerate(_PAIRS))
