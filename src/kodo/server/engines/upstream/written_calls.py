"""Calls as models write them: the text that a server without a tool parser sends in place of ``tool_calls``.

A block is one or more calls of one form and nothing else. It is read only where every name in it is one of an offered tool
and every call has an object of arguments; anything else is not a block of calls, and stays text.

Knows the marks and the reader of each form; knows nothing of streams. Sources: the chat templates of the models named at
the readers, and the tool parsers of vLLM and SGLang for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from kodo.server.engines.upstream import calls_in_json, calls_in_python
from kodo.server.engines.upstream.call_block import (
    CallBlock,
    NotCalls,
    Reader,
    Schemas,
    Undecided,
    WrittenCall,
)
from kodo.server.engines.upstream.calls_in_json import calls_before, calls_between, gemma_call
from kodo.server.engines.upstream.calls_in_nested_tags import PREFIX, minimax_m3_calls
from kodo.server.engines.upstream.calls_in_tags import (
    DSML,
    DSML_SPACED,
    GCML,
    HY3,
    HY3_OPEN,
    K2_HORIZON,
    KIMI_K3,
    LONGCAT,
    MINICPM,
    MINIMAX,
    QWEN,
    SOLAR,
    function,
    one_call,
    step_call,
    tagged_calls,
    tool_call,
    tool_calls,
)


def _bare_list(block: CallBlock) -> Iterator[WrittenCall]:
    """xLAM's list of objects, or Llama 3.2's and Llama 4's list of calls in Python."""
    block.at -= 1
    objects = block.text[block.at + 1 :].lstrip().startswith("{")
    yield from (calls_in_json.bare_objects if objects else calls_in_python.list_of_calls)(block)


def _functools(block: CallBlock) -> Iterator[WrittenCall]:
    """Phi-4-mini."""
    block.at -= 1
    yield from calls_in_json.bare_objects(block)


_BARE: Final[Mapping[str, Reader]] = {
    "{": calls_in_json.bare_object,
    "[": _bare_list,
    "functools[": _functools,
}
"""What begins a block only where it is the whole answer."""
FIRST_OF_BARE: Final = tuple(mark[0] for mark in _BARE)
"""The characters that these begin with."""
_MARKED: Final[Mapping[str, Reader]] = {
    "<tool_call>": tool_call,
    "<function=": function,
    MINICPM.call: one_call(MINICPM),  # MiniCPM5
    "<minimax:tool_call>": tagged_calls(MINIMAX, "</minimax:tool_call>"),
    f"{PREFIX}<tool_call>": minimax_m3_calls,
    "<seed:tool_call>": tagged_calls(QWEN, "</seed:tool_call>"),
    LONGCAT.call: one_call(LONGCAT),
    "[TOOL_CALLS]": calls_in_json.mistral_calls,
    "<TOOLCALL>": calls_before("</TOOLCALL>"),  # Nemotron Nano 2
    "<tool_calls>": tool_calls(
        HY3, calls_before("</tool_calls>"), "</tool_calls>"
    ),  # Hy3; Hunyuan, Jamba, Apriel
    "<tool_calls:opensource>": tagged_calls(HY3_OPEN, "</tool_calls:opensource>"),
    HY3_OPEN.call: one_call(HY3_OPEN),
    "<ifm|tool_calls>": tagged_calls(K2_HORIZON, "</ifm|tool_calls>"),
    "<dots_function_call>": tool_calls(
        MINIMAX, calls_before("</dots_function_call>"), "</dots_function_call>"
    ),
    "<|tool_call|>": calls_before("<|/tool_call|>"),  # Phi-4-mini, and Granite 3 without the end
    "<|START_ACTION|>": calls_before("<|END_ACTION|>"),  # Command
    "<|tools_prefix|>": calls_in_json.apertus_calls,
    "<|action_start|>": calls_before(
        "<|action_end|>", begin="<|plugin|>"
    ),  # InternLM 2, 2.5 and 3, Intern-S1
    "<|message_model|>": calls_in_json.inkling_message,
    "<|content_invoke_tool_json|>": calls_in_json.inkling_calls,
    "<|message_sep|>": calls_before(begin="function call<|role_sep|>"),  # GigaChat 3
    "function call<|role_sep|>": calls_before(),
    "<|python_tag|>": calls_in_json.llama_calls,
    "<|python_start|>": calls_in_python.list_before("<|python_end|>"),  # Llama 4
    "<|tool_call_start|>": calls_in_python.list_before("<|tool_call_end|>"),  # LFM2
    "<function_calls>": calls_in_python.olmo_calls,
    "<|tool_call>": gemma_call('<|"|>', "<tool_call|>"),  # Gemma 4
    "<start_function_call>": gemma_call("<escape>", "<end_function_call>"),  # FunctionGemma
    SOLAR.call: one_call(SOLAR),
    "<｜tool▁calls▁begin｜>": calls_between(
        "<｜tool▁call▁begin｜>", calls_in_json.deepseek_call, "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"
    ),
    "<｜tool_calls_begin｜>": calls_between(
        "<｜tool_call_begin｜>", step_call, "<｜tool_call_end｜>", "<｜tool_calls_end｜>"
    ),
    "<｜DSML｜function_calls>": tagged_calls(DSML, "</｜DSML｜function_calls>"),  # DeepSeek-V3.2
    "<｜DSML｜tool_calls>": tagged_calls(DSML, "</｜DSML｜tool_calls>"),  # DeepSeek-V4
    "<｜DSML｜ calls>": tagged_calls(DSML_SPACED, "</｜DSML｜ calls>"),  # DeepSeek-V4.1
    "<｜GCML｜tool_calls>": tagged_calls(GCML, "</｜GCML｜tool_calls>"),  # GigaChat 3.5
    "<|tool_calls_section_begin|>": calls_between(
        "<|tool_call_begin|>", calls_in_json.kimi_call, "<|tool_call_end|>", "<|tool_calls_section_end|>"
    ),
    "<|open|>tools<|sep|>": tagged_calls(
        KIMI_K3, "<|close|>tools<|sep|>", "<|close|>message<|sep|>", "<|end_of_msg|>"
    ),
}
_READERS: Final = {**_MARKED, **_BARE}
MARKS: Final = tuple(_MARKED)
"""What begins a block anywhere."""
WORD_MARKS: Final = (
    "<tool_call>",
    "<function=",
    "<minimax:tool_call>",
    MINICPM.call,
    "<seed:tool_call>",
    LONGCAT.call,
    "<tool_calls:opensource>",
    HY3_OPEN.call,
    "<ifm|tool_calls>",
    "<dots_function_call>",
    "function call<|role_sep|>",
    "<TOOLCALL>",
    "<tool_calls>",
    "<function_calls>",
)
"""Those that are no control tokens of their models: somebody who writes about calls may write them in a sentence."""


def bare_beginnings(names: Iterable[str]) -> tuple[str, ...]:
    """How an answer begins that may be calls without a mark, without white space. ``names``: of the offered functions."""
    objects = ('{"name":', '{"type":"function"')
    lists = [*(f"[{one}" for one in objects), *(f"[{name.replace('-', '_')}(" for name in names)]
    return (*objects, *lists, 'functools[{"name":')


def read_calls(text: str, schemas: Schemas) -> tuple[WrittenCall, ...]:
    """The calls that a whole text consists of; none if it does not consist of calls."""
    try:
        return tuple(_read(CallBlock(text, schemas, ended=True)))
    except (NotCalls, Undecided):
        return ()


def may_be_calls(text: str, schemas: Schemas) -> bool:
    """Whether a text may still become a block of calls, or is one."""
    try:
        list(_read(CallBlock(text, schemas, ended=False)))
    except NotCalls:
        return False
    except Undecided:
        return True
    return True


def _read(block: CallBlock) -> Iterator[WrittenCall]:
    while not block.skip().done:
        for mark, read in _READERS.items():
            if block.text.startswith(mark, block.at):
                block.at += len(mark)
                yield from read(block)
                break
        else:
            rest = block.text[block.at :]
            raise Undecided if any(mark.startswith(rest) for mark in _READERS) else NotCalls
