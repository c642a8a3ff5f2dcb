"""The search for tools: words in any case, Japanese by pairs of characters."""

from __future__ import annotations

import pytest

from kodo.server.tools.tool_search.ranking import rank, terms

TOOLS = [
    "get_weather Current weather of a city 現在の天気を調べる",
    "sendEmail Send an e-mail to a person メールを送信する",
    "create_calendar_event Create an event in the calendar 予定を追加する",
    "HTTPRequest Fetch a URL ウェブページを取得する",
]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("weather", 0),
        ("what is the WEATHER in the cities?", 0),
        ("send email", 1),
        ("calendars", 2),
        ("http request", 3),
        ("天気", 0),
        ("明日の予定", 2),
        ("メール送信", 1),
        ("ｗｅａｔｈｅｒ", 0),
    ],
)
def test_the_best_tool_is_first(query: str, best: int) -> None:
    """The tool that is meant has the best score."""
    assert rank(query, TOOLS)[0][0] == best


def test_nothing_in_common_is_no_result() -> None:
    """A query without a shared term finds nothing, in no documents either."""
    assert rank("submarine", TOOLS) == []
    assert rank("x", []) == []
    assert rank("", TOOLS) == []


def test_names_are_split_into_words() -> None:
    """At underscores, at case, at numbers."""
    assert terms("getHTTPStatus_code2") == ["get", "http", "status", "code", "2"]
    assert terms("天気予報") == ["天気", "気予", "予報"]
