"""Models whose messages are divided by control tokens, behind servers that send the tokens as text."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract.test_upstream_unparsed import calls, hears
from tests.contract.written_forms import CALLS, FENCE, NESTED, PARIS

K3_CALL, K3_TWO = CALLS["Kimi-K3, nested"][0], CALLS["Kimi-K3"][0]
HM = "Hm, the user\nwants it."
MESSAGES: dict[str, tuple[str, str, str, str]] = {
    "Kimi-K3": (
        f"<|open|>think<|sep|>{HM}<|close|>think<|sep|><|open|>response<|sep|>I look it up.<|close|>response<|sep|>{K3_CALL}<|close|>message<|sep|>",
        HM, "I look it up.", "Kimi-K3, nested",
    ),
    "Kimi-K3, an empty answer": (
        f"<|open|>think<|sep|>{HM}<|close|>think<|sep|><|open|>response<|sep|><|close|>response<|sep|>{K3_TWO}",
        HM, "", "Kimi-K3",
    ),
    "Kimi-K3, thoughts that a call ends": (f"<|open|>think<|sep|>{HM}{K3_TWO}", HM, "", "Kimi-K3"),
    "Kimi-K3, no thoughts": (
        f"<|open|>response<|sep|>a < b\n\n{NESTED}\n<|close|>response<|sep|><|close|>message<|sep|>", "", f"a < b\n\n{NESTED}", "",
    ),
    "Command": (
        f"<|START_THINKING|>{HM}<|END_THINKING|><|START_RESPONSE|>Yes <b>.<|END_RESPONSE|>", HM, "Yes <b>.", "",
    ),
    "Command A+": (f"<|START_THINKING|>{HM}<|END_THINKING|>\n<|START_TEXT|>Yes.<|END_TEXT|>", HM, "Yes.", ""),
    "Command, a call": (f"<|START_THINKING|>{HM}<|END_THINKING|>{CALLS['Command'][0]}", HM, "", "Command"),
    "Inkling": (
        f"<|message_model|><|content_thinking|>{HM}<|end_message|><|message_model|><|content_text|>I look it up.<|end_message|>{CALLS['Inkling'][0]}",
        HM, "I look it up.", "Inkling",
    ),
    "Inkling, an answer": (
        f"<|content_thinking|>{HM}<|end_message|><|message_model|><|content_text|>Yes.<|end_message|><|content_model_end_sampling|>",
        HM, "Yes.", "",
    ),
    "Gemma 4": (f"<|channel>thought\n{HM}\n<channel|>Yes.", HM, "Yes.", ""),
    "Gemma 4, a call": (f"<|channel>thought\n{HM}<channel|>{CALLS['Gemma 4'][0]}", HM, "", "Gemma 4"),
    "Apertus": (f"<|inner_prefix|>{HM}<|inner_suffix|>Yes.", HM, "Yes.", ""),
    "Apertus, a call": (
        f"<|inner_prefix|>{HM}<|inner_suffix|>I look it up. {CALLS['Apertus'][0]}", HM, "I look it up.", "Apertus",
    ),
    "LongCat": (f"<longcat_think>\n{HM}\n</longcat_think>\n\n{CALLS['LongCat-Flash'][0]}", HM, "", "LongCat-Flash"),
    "MiniMax-M3": (f"<mm:think>{HM}</mm:think>\n\nYes.", HM, "Yes.", ""),
    "Hy3": (f"<think:opensource>{HM}</think:opensource>{CALLS['Hy3'][0]}", HM, "", "Hy3"),
    "K2 Horizon": (f"<ifm|think_fast>{HM}</ifm|think_fast>\nYes.", HM, "Yes.", ""),
    "Solar Open 2": (f"<|think:start|>{HM}<|think:end|>{CALLS['Solar Open 2'][0]}", HM, "", "Solar Open 2"),
}  # fmt: skip
"""Each text with its thoughts, its answer, and the name of its calls."""


@pytest.mark.parametrize("size", [None, 1, 7, 1000])
@pytest.mark.parametrize("form", MESSAGES)
async def test_a_message_is_divided_by_its_marks(form: str, size: int | None) -> None:
    """Thoughts are thoughts, calls are calls, and no mark is left in the answer."""
    text, reasoning, answer, name = MESSAGES[form]
    got = await hears(text, size=size)
    expected = CALLS[name][1] if name else []
    assert (got.reasoning, got.text, calls(got)) == (reasoning, answer, expected)


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        ("moonshotai/Kimi-K3", f"{HM}<|close|>think<|sep|><|open|>response<|sep|>Yes.<|close|>response<|sep|>", []),
        ("moonshotai/Kimi-K3", f"{HM}<|close|>think<|sep|><|open|>response<|sep|>Yes.<|close|>response<|sep|>{K3_CALL}", CALLS["Kimi-K3, nested"][1]),
        ("command-a-reasoning", f"{HM}<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>", []),
        ("Step-3.5-Flash", f"{HM}\n</think>\nYes.", []),
        ("step3", f"{HM}\n</think>\nYes.\n\n{CALLS['Step-3'][0]}", CALLS["Step-3"][1]),
        ("ERNIE-4.5-21B-A3B-Thinking", f"{HM}\n</think>\n\n<response>\nYes.\n</response>\n", []),
        ("ERNIE-4.5-21B-A3B-Thinking", f"{HM}\n</think>\n\n\nYes.\n<tool_call>\n{{\"name\": \"get_weather\", \"arguments\": {PARIS}}}\n</tool_call>\n", [("get_weather", PARIS)]),
        ("ERNIE-4.5-VL", f"<think>\n{HM}\n</think>\n\n<response>\nYes.\n</response>\n", []),
        ("Hunyuan-A13B-Instruct", f"<think>\n{HM}\n</think>\n<answer>\nYes.\n</answer>", []),
    ],
    ids=["Kimi-K3", "Kimi-K3 calls", "Command", "Step-3.5", "Step-3 calls", "Ernie", "Ernie calls", "Ernie VL", "Hunyuan"],
)  # fmt: skip
async def test_models_that_are_told_by_their_name(
    model: str, text: str, expected: list[tuple[str, str]], size: int | None
) -> None:
    """Their prompts open the thoughts, or words stand around their answers."""
    got = await hears(text, model=model, size=size)
    assert (got.reasoning, got.text, calls(got)) == (HM, "Yes.", expected)


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize(
    "text",
    [
        f"Kimi-K3 writes:\n\n{FENCE}\n{MESSAGES['Kimi-K3'][0]}\n{FENCE}\n\nThat is all.",
        "Thoughts begin with <|open|>think<|sep|>, and end with <|close|>think<|sep|>.",
        "`<|START_RESPONSE|>` begins an answer, `<|END_RESPONSE|>` ends it.",
        "Tool calls stand between `<|tools_prefix|>[` and `]<|tools_suffix|>` there.",
        "<response>\nAs you asked for.\n</response>",
        "<think>Hm.</think><answer>42</answer>",
    ],
)
async def test_marks_that_are_written_about_stay(text: str, size: int | None) -> None:
    """A text that does not begin with a mark has none; and words are marks of those models alone that write them unasked."""
    got = await hears(text, size=size)
    said = text.removeprefix("<think>Hm.</think>")
    assert (got.text, got.calls) == (said, [])


@pytest.mark.parametrize("cut", ["<|close|>", "<|close|>response", "<|open|>", "<|open|>too"])
async def test_half_a_mark_at_a_limit_is_no_text(cut: str) -> None:
    """The limit ended the answer between two of its control tokens."""
    got = await hears(f"<|open|>response<|sep|>Yes, a <{cut}", reason="length")
    assert (got.text, got.end.reason) == ("Yes, a <", "length")


async def test_a_call_that_a_limit_cut_stays_behind_its_mark() -> None:
    """Half a call is said as it is, and not made."""
    half = K3_TWO[: len(K3_TWO) // 2]
    got = await hears(f"<|open|>response<|sep|>Yes.<|close|>response<|sep|>{half}", reason="length")
    assert (got.text, got.calls) == (f"Yes.{half}", [])


async def test_a_long_message_costs_linear_time() -> None:
    """200 kB full of what may begin a mark, in small deltas."""
    code = "if a < b and c <|open| d: print('<|close|>x')\n\n\n" * 4000
    async with asyncio.timeout(30):
        got = await hears(f"<|open|>response<|sep|>{code}x<|close|>response<|sep|>", size=16)
    assert got.text == f"{code}x"
