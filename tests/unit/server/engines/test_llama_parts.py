"""The parts of the llama engine that need no engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from kodo.server.engines.llama.decoding.answer import StopBuffer, longest_partial_match
from kodo.server.engines.llama.decoding.kv_cache import DiskKVCache
from kodo.server.engines.llama.decoding.replay import replay
from kodo.server.engines.llama.decoding.slots import Slots, common_prefix_length
from kodo.server.engines.llama.prompting.reasoning import ReasoningSplitter, template_variables
from kodo.server.engines.llama.tools.call_dedup import CallDedup
from kodo.server.engines.llama.tools.schema_limits import check_pattern, check_schema
from kodo.server.engines.llama.tools.tool_ranking import has_unused_words, rank_tools
from kodo.server.engines.llama.tools.tools import OfferedTool
from kodo.server.lifecycle.errors import EngineFailed, InvalidRequest
from kodo.server.lifecycle.ports import EngineEvent, Finished, ReasoningDelta, TextDelta, Usage


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_reasoning_is_split_wherever_the_pieces_are_cut(size: int) -> None:
    """The marks are found across deltas, no id is lost, and no mark is in any text."""
    text = "<think>\nLet me see.\n</think>\n\nYes <b>."
    splitter = ReasoningSplitter()
    events: list[ReasoningDelta | TextDelta] = []
    for start in range(0, len(text), size):
        events += splitter.add(TextDelta(text=text[start : start + size], tokens=(start,)))
    events += splitter.flush()
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "Let me see."
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Yes <b>."
    assert [token for event in events for token in event.tokens] == list(range(0, len(text), size))


def test_text_without_marks_is_left_alone() -> None:
    """A model that does not think this time just answers."""
    splitter = ReasoningSplitter()
    events = [*splitter.add(TextDelta(text="<b>Hi", tokens=(1,))), *splitter.flush()]
    assert events == [TextDelta(text="<b>Hi", tokens=(1,))]


@pytest.mark.parametrize(("text", "size"), [("abc<th", 3), ("abc", 0), ("<", 1), ("<think>", 0), ("<<", 1)])
def test_the_longest_beginning_of_a_mark_is_found(text: str, size: int) -> None:
    """Only what may still become the mark is held back."""
    assert longest_partial_match(text, ("<think>",)) == size


@pytest.mark.parametrize(
    ("pieces", "said", "stopped"),
    [
        ((' {"na', 'me": "f'), "", '{"name": "'),
        (("As JSON: ", '{"name": "f"}'), 'As JSON: {"name": "f"}', None),
        (('{"age', '": 1} {"name": "'), '{"age": 1} {"name": "', None),
        (('{"name" ', "and so STOP on"), '{"name" and so ', "STOP"),
    ],
)
def test_a_mark_that_is_no_word_counts_only_where_a_text_begins(
    pieces: tuple[str, ...], said: str, stopped: str | None
) -> None:
    """Bare JSON begins a call at the start of an answer; behind words it is an example."""
    buffer = StopBuffer(("STOP",), ('{"name": "',))
    ready: list[TextDelta] = []
    for piece in pieces:
        if buffer.stopped_by is None:
            ready += buffer.add(TextDelta(text=piece))
    assert "".join(delta.text for delta in [*ready, *buffer.flush((1,))]) == said
    assert buffer.stopped_by == stopped


def test_a_further_call_says_something_new() -> None:
    """Never the same twice, whatever its spaces; a small model's takes up what was asked, and was not yet."""
    free = CallDedup(None)
    assert [free.add("f", text) for text in ('{"a": 1}', '{"a":1}', '{"a": 2}')] == [True, False, True]
    assert free.add("g", '{"a": 1}')
    asked = CallDedup("The weather in Paris, Tokyo and 東京の天気?")
    said = [
        ("Oslo", True),
        ("Rome", False),
        ("tokyo", True),
        ("Paris", True),
        ("paris", False),
        ("Par", False),
    ]
    assert [asked.add("f", f'{{"city": "{city}", "days": 3}}') for city, _ in said] == [
        new for _, new in said
    ]
    assert asked.add("f", '{"city": "東京"}')
    assert not asked.add("f", '{"city": "東京", "unit"')


def test_a_model_is_asked_for_a_further_call_only_where_words_are_left() -> None:
    """Nothing is left of the first question once Paris was called for; Tokyo is, of the second."""
    offer = OfferedTool(kind="function", name="get_weather", description="The weather in a city")
    said = ['{"city": "Paris"}']
    assert not has_unused_words("What is the weather in Paris?", offer, said)
    assert has_unused_words("What is the weather in Paris and in Tokyo?", offer, said)
    assert not has_unused_words(
        "What is the weather in Paris and in Tokyo?", offer, [*said, '{"city": "Tokyo"}']
    )


def test_an_effort_is_carried_by_the_variables_that_a_template_reads() -> None:
    """A switch, a level, both, or neither."""
    both = "{% if enable_thinking %}{{ reasoning_effort }}{% endif %}"
    assert template_variables(both, "none") == {"enable_thinking": False, "reasoning_effort": "low"}
    assert template_variables(both, "xhigh") == {"enable_thinking": True, "reasoning_effort": "high"}
    assert template_variables(both, None) == template_variables("{{ my_reasoning_efforts }}", "high") == {}


def test_a_common_prefix_is_counted_exactly() -> None:
    """At every length of two prompts that differ in one place."""
    one = tuple(range(37))
    for place in range(37):
        other = (*one[:place], -1, *one[place + 1 :])
        assert common_prefix_length(one, other) == place
    assert common_prefix_length(one, one[:5]) == 5


async def test_a_prompt_goes_to_the_slot_of_its_owner_that_knows_it() -> None:
    """Longest prefix of the same owner first; another owner's slot is the last resort."""
    slots = Slots(2)
    async with slots.take("one", None, (1, 2, 3)) as first:
        first.owner, first.ids = "one", (1, 2, 3, 4)
    async with slots.take("two", None, (1, 2, 3)) as other:
        assert other.id != first.id
        other.owner, other.ids = "two", (1, 2, 3)
    async with slots.take("one", None, (1, 2, 3, 9)) as again:
        assert again.id == first.id
        assert slots.busy == 1


def test_saved_states_go_over_quota_and_time(tmp_path: Path) -> None:
    """The least recently used go first, expired ones always, and a state without its meta is not whole."""
    now = [1000.0]
    cache = DiskKVCache(tmp_path / "cache", "model", max_bytes=25, min_tokens=2, now=lambda: now[0])
    names = [cache.entry_name("owner", key) for key in "abc"]
    assert len(set(names)) == 3
    for name in names:
        (tmp_path / "cache" / cache.begin_save(name)).write_bytes(b"x" * 10)
        cache.commit_save(name, (1, 2, 3), 60)
    assert sum(bool(cache.find(name, (1, 2, 3, 4))) for name in names) == 2
    assert not cache.find(names[2], (9, 9, 9))
    now[0] += 61
    cache.prune()
    (tmp_path / "cache" / "torn.kv").write_bytes(b"x")
    DiskKVCache(tmp_path / "cache", "model", max_bytes=25, min_tokens=2, now=lambda: now[0])
    assert not list((tmp_path / "cache").glob("*.kv"))
    assert (
        DiskKVCache(tmp_path / "cache", "another model", max_bytes=1, min_tokens=2).entry_name("owner", "a")
        != names[0]
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


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"properties": {"a": {"not": {}}}}, "s.properties.a.not"),
        ({"anyOf": [{}, {"$ref": "http://x/y"}]}, "s.anyOf[1].$ref"),
        ({"items": {"minItems": -1}}, "s.items.minItems"),
        ({"items": [{"uniqueItems": True}]}, "s.items[0].uniqueItems"),
        ({"pattern": "a{2001}"}, "s.pattern"),
        ({"multipleOf": 0}, "s.multipleOf"),
    ],
)
def test_the_place_at_fault_is_named(schema: dict[str, object], path: str) -> None:
    """The error's param is the path of the keyword."""
    with pytest.raises(InvalidRequest) as caught:
        check_schema(schema, "s")
    assert caught.value.param == path


def test_counted_repetitions_multiply() -> None:
    """Two nested counts of 100 are over the cap, though each is under it."""
    assert check_pattern("a{100}", "p") == 100
    with pytest.raises(InvalidRequest):
        check_pattern("(a{100}){100}", "p")


async def test_a_repetition_that_says_something_else_is_an_error() -> None:
    """Never a second version of an answer."""

    async def events(*texts: str) -> object:
        for text in texts:
            yield TextDelta(text=text)
        yield Finished(reason="stop", usage=Usage())

    said: list[EngineEvent] = [TextDelta(text="ab"), TextDelta(text="c")]
    rest = [event async for event in replay(events("a", "bcd", "e"), said)]  # type: ignore[arg-type]  # a plain generator will do
    assert [getattr(event, "text", "") for event in rest] == ["d", "e", ""]
    for other in (("a", "x"), ("ab",)):
        with pytest.raises(EngineFailed):
            [event async for event in replay(events(*other), said)]  # type: ignore[arg-type]  # as above
