"""The tools that a text asks for."""

from __future__ import annotations

import pytest

from kodo.server.engines.llama.tools.tool_ranking import has_unused_words, rank_tools
from kodo.server.engines.llama.tools.tools import OfferedTool


def test_a_model_is_asked_for_a_further_call_only_where_words_are_left() -> None:
    """Nothing is left of the first question once Paris was called for; Tokyo is, of the second."""
    offer = OfferedTool(kind="function", name="get_weather", description="The weather in a city")
    said = ['{"city": "Paris"}']
    assert not has_unused_words("What is the weather in Paris?", offer, said)
    assert has_unused_words("What is the weather in Paris and in Tokyo?", offer, said)
    assert not has_unused_words(
        "What is the weather in Paris and in Tokyo?", offer, [*said, '{"city": "Tokyo"}']
    )


def test_the_tool_that_is_spoken_of_is_likely() -> None:
    """Words in common decide; small talk is no call."""
    offers = (
        OfferedTool(kind="function", name="get_weather", description="The weather in a city"),
        OfferedTool(kind="function", name="send_mail", description="Send an e-mail to a person"),
    )
    assert [offer.name for offer in rank_tools("What is the weather in Paris?", offers)] == ["get_weather"]
    assert rank_tools("Tell me a joke about cats", offers) == ()
    assert rank_tools("", offers) == ()


def test_a_turn_with_a_format_calls_only_what_is_clearly_meant() -> None:
    """A word in common is not enough there; a message that is about the tool is."""
    offers = (
        OfferedTool(kind="function", name="ask_user", description="Ask the user whether a number is even"),
    )
    text = "Summarise this report about numbers in the third quarter"
    assert rank_tools("Compute whether seven plus nine stays even", offers) != ()
    assert rank_tools("Compute whether seven plus nine stays even", offers, clearly=True) == ()
    assert rank_tools(text, offers, clearly=True) == ()
    assert rank_tools("Ask the user whether the number is even", offers, clearly=True) != ()


@pytest.mark.parametrize(
    ("text", "tools"),
    [
        (
            "What is the weather in Paris right now, please?",
            ["get_weather"],
        ),  # words that no tool has do not dilute it
        ("Let bob@example.com know by mail.", ["send_email"]),  # an address is one word; mail is in email
        (
            "東京の天気を教えてください。",
            ["get_weather"],
        ),  # what tools are called in English, said in Japanese
        ("田中さんにメールを送って。", ["send_email"]),
        ("How does a weather radar work?", []),  # a question about the world
        ("こんにちは。自己紹介をしてください。", []),
        ("再帰とは何ですか。", []),
    ],
)
def test_what_is_asked_for_in_other_words(text: str, tools: list[str]) -> None:
    """Paraphrases that overlap has to stand, and questions that only sound like a tool."""
    offers = (
        OfferedTool(kind="function", name="get_weather", description="The weather in a city"),
        OfferedTool(kind="function", name="send_email", description="Send an email to a person"),
    )
    assert [offer.name for offer in rank_tools(text, offers)] == tools


def test_tools_described_in_japanese_are_found_in_both_languages() -> None:
    """The same words, whichever side says them in Japanese."""
    offers = (
        OfferedTool(kind="function", name="f1", description="都市の天気を調べる"),
        OfferedTool(kind="function", name="f2", description="在庫を確認する"),
    )
    assert [offer.name for offer in rank_tools("What is the weather?", offers)] == ["f1"]
    assert [offer.name for offer in rank_tools("商品の在庫は？", offers)] == ["f2"]
