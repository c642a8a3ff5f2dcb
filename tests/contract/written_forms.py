"""Calls as the models write them, each with what it is: made up after the models' chat templates and parsers."""

from __future__ import annotations

import json

PARIS, TWO_DAYS, NONE = '{"city":"Paris"}', '{"city":"Paris","days":2}', "{}"
FENCE = "```"
M3 = "]<]minimax[>["

K3 = '<|open|>tools<|sep|><|open|>call tool="get_weather" index="1"<|sep|>'
K3_CITY = '<|open|>argument key="city" type="string"<|sep|>Paris<|close|>argument<|sep|>'
K3_END = "<|close|>call<|sep|><|close|>tools<|sep|>"
LONG = "<longcat_arg_key>city</longcat_arg_key>\n<longcat_arg_value>Paris</longcat_arg_value>\n"
HY3 = "<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n"
NESTED = "if a < b:\n    print(\"{'x': [1]}\")\n# ünïcödé 漢字 🙂 </x>"
"""What an argument may hold: quotes within quotes, brackets, lines, and letters of all kinds."""
NESTED_CALL = [("get_weather", json.dumps({"city": NESTED}, ensure_ascii=False, separators=(",", ":")))]
QUOTED = json.dumps(NESTED)

CALLS = {
    "Hermes and Qwen3": (
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>',
        [("get_weather", PARIS)],
    ),
    "two of them": (
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>\n<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "the mark inside of an argument": (
        '<tool_call>{"name": "get_weather", "arguments": {"city": "</tool_call> {\\"a\\"}"}}</tool_call>',
        [("get_weather", '{"city":"</tool_call> {\\"a\\"}"}')],
    ),
    "arguments as a text, the end left out": (
        '<tool_call>\n{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}',
        [("get_weather", PARIS)],
    ),
    "Qwen3-Coder": (
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
        [("get_weather", TWO_DAYS)],
    ),
    "Qwen3-Coder without the outer mark": (
        "<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
        [("get_weather", PARIS)],
    ),
    "Qwen3-Coder, values by their schema": (
        '<tool_call>\n<function=get_weather>\n<parameter=city>\n2\n</parameter>\n<parameter=details>\n{"a": [1]}\n</parameter>\n<parameter=unit>\nc\n</parameter>\n<parameter=note>\nnull\n</parameter>\n<parameter=other>\nTrue\n</parameter>\n</function>\n</tool_call>',
        [("get_weather", '{"city":"2","details":{"a":[1]},"unit":"c","note":null,"other":true}')],
    ),
    "Qwen3-Coder, code with such marks": (
        "<tool_call>\n<function=patch>\n<parameter=input>\nif a:\n    b = '</parameter>'\n\n</parameter>\n</function>\n</tool_call>",
        [("patch", "if a:\n    b = '</parameter>'\n")],
    ),
    "GLM": (
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
        [("get_weather", TWO_DAYS)],
    ),
    "GLM without arguments": ("<tool_call>get_time</tool_call>", [("get_time", NONE)]),
    "Mistral, a list": (
        '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_time", "arguments": {}, "id": "abcdefghi"}]',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "Mistral, names": (
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}[TOOL_CALLS]get_time[CALL_ID]abcdefghi[ARGS]{}',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "Mistral, the inner marks left out": ('[TOOL_CALLS]get_weather{"city": "Paris"}', [("get_weather", PARIS)]),
    "Llama 3": (
        '<|python_tag|>{"type": "function", "name": "get_weather", "parameters": {"city": "Paris"}}; {"name": "get_time", "parameters": {}}',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "Llama 3 without its mark": ('{"name": "get_weather", "parameters": {"city": "Paris"}}', [("get_weather", PARIS)]),
    "Llama 3.1's functions": ('<function=get_weather>{"city": "Paris"}</function>', [("get_weather", PARIS)]),
    "DeepSeek-V3 and R1": (
        f'<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n{FENCE}json\n{{"city": "Paris"}}\n{FENCE}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        [("get_weather", PARIS)],
    ),
    "DeepSeek-V3.1": (
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "DeepSeek-V3.2": (
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n<｜DSML｜invoke name="get_time">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
        [("get_weather", TWO_DAYS), ("get_time", NONE)],
    ),
    "Kimi-K2": (
        '<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|><|tool_calls_section_end|>',
        [("get_weather", PARIS)],
    ),
    "MiniMax-M2": (
        '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n<parameter name="days">2</parameter>\n</invoke>\n</minimax:tool_call>',
        [("get_weather", TWO_DAYS)],
    ),
    "Seed-OSS": (
        "<seed:tool_call>\n<function=get_weather>\n<parameter=city>Paris</parameter>\n</function>\n</seed:tool_call>",
        [("get_weather", PARIS)],
    ),
    "MiniMax-M3": (
        f'{M3}<tool_call>\n{M3}<invoke name="get_weather">{M3}<city>Paris{M3}</city>{M3}<days>2{M3}</days>{M3}</invoke>\n{M3}<invoke name="get_time">{M3}</invoke>\n{M3}</tool_call>',
        [("get_weather", TWO_DAYS), ("get_time", NONE)],
    ),
    "MiniMax-M3, values within values": (
        f'{M3}<tool_call>{M3}<invoke name="get_weather">{M3}<details>{M3}<a>{M3}<b> 1 {M3}</b>{M3}</a>{M3}<list>{M3}<item>x{M3}</item>{M3}<item>y{M3}</item>{M3}</list>{M3}<none>{M3}</none>{M3}</details>{M3}<city>{M3}</city>{M3}</invoke>{M3}</tool_call>',
        [("get_weather", '{"details":{"a":{"b":1},"list":["x","y"],"none":[]},"city":""}')],
    ),
    "Granite 3": ('<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Paris"}}]', [("get_weather", PARIS)]),
    "Granite 3.1": ('<tool_call>[{"name": "get_weather", "arguments": {"city": "Paris"}}]', [("get_weather", PARIS)]),
    "Phi-4-mini": (
        '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_time", "arguments": {}}]<|/tool_call|>',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "Phi-4-mini without its mark": (
        'functools[{"name": "get_weather", "arguments": {"city": "Paris"}}]',
        [("get_weather", PARIS)],
    ),
    "Nemotron Nano 2": (
        '<TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_time", "arguments": {}}]</TOOLCALL>',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "Hunyuan": (
        '<tool_calls>\n[{"name": "get_weather", "arguments": {"city": "Paris"}}]\n</tool_calls>',
        [("get_weather", PARIS)],
    ),
    "Command": (
        '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Paris"}},\n    {"tool_call_id": "1", "tool_name": "get_time", "parameters": {}}\n]<|END_ACTION|>',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "xLAM": (
        '[{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_time", "arguments": {}}]',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "Gemma 4": (
        '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>,days:2}<tool_call|><|tool_call>call:get_time{}<tool_call|>',
        [("get_weather", TWO_DAYS), ("get_time", NONE)],
    ),
    "Gemma 4, values of every kind": (
        '<|tool_call>call:get_weather{city:<|"|>{a: "b"}, [c]\n<|"|>,details:{deep-er:{x:[1,-2.5,true,<|"|>y<|"|>]},z:null}}<tool_call|>',
        [("get_weather", r'{"city":"{a: \"b\"}, [c]\n","details":{"deep-er":{"x":[1,-2.5,true,"y"]},"z":null}}')],
    ),
    "FunctionGemma": (
        "<start_function_call>call:get_weather{city:<escape>Paris<escape>}<end_function_call>",
        [("get_weather", PARIS)],
    ),
    "Llama 3.2 and Llama 4, Python": (
        "[get_weather(city='Paris'), get_time()]",
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "Llama 4 with its marks": (
        "<|python_start|>[get_weather(city='Paris', days=2)]<|python_end|>",
        [("get_weather", TWO_DAYS)],
    ),
    "LFM2": (
        "<|tool_call_start|>[get_weather(city='Paris'), get_time()]<|tool_call_end|>",
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "Olmo 3": (
        '<function_calls>\nget_weather(city="Paris", days=2)\nget_time()\n</function_calls>',
        [("get_weather", TWO_DAYS), ("get_time", NONE)],
    ),
    "Python over several lines, the end left out": (
        "<function_calls>\n  get_weather(\n    city='Paris',\n    days=2,\n  )\n",
        [("get_weather", TWO_DAYS)],
    ),
    "Python, literals of every kind": (
        r"""[get_weather(city='it\'s \d) # [\n', days=-2, details={'a': [1.5, None, True], "b": (null, true, false)})]""",
        [("get_weather", r"""{"city":"it's \\d) # [\n","days":-2,"details":{"a":[1.5,null,true],"b":[null,true,false]}}""")],
    ),
    "Python, strings of every kind": (
        """<function_calls>\nget_weather(city='''Pa"r'is\n\\''' ''' "joined", note='', unit=r"\\c")\n</function_calls>""",
        [("get_weather", r"""{"city":"Pa\"r'is\n''' joined","note":"","unit":"\\c"}""")],
    ),
    "Kimi-K3": (
        f'{K3}{K3_CITY}<|open|>argument key="days" type="number"<|sep|>2<|close|>argument<|sep|><|close|>call<|sep|><|open|>call tool="get_time" index="2"<|sep|>{K3_END}<|close|>message<|sep|>',
        [("get_weather", TWO_DAYS), ("get_time", NONE)],
    ),
    "Kimi-K3, JSON": (
        f'{K3}<|open|>json type="object"<|sep|>{{"city": "Paris"}}<|close|>json<|sep|>{K3_END}',
        [("get_weather", PARIS)],
    ),
    "Kimi-K3, a key with a quote": (
        f'{K3}<|open|>argument key="a &quot;b&quot; &amp;amp;" type="null"<|sep|>null<|close|>argument<|sep|>{K3_END}',
        [("get_weather", '{"a \\"b\\" &amp;":null}')],
    ),
    "Kimi-K3, nested": (
        f'{K3}<|open|>argument key="city" type="string"<|sep|>{NESTED}<|close|>argument<|sep|>{K3_END}', NESTED_CALL
    ),
    "Apertus": (
        '<|tools_prefix|>[{"get_weather": {"city": "Paris"}}, {"get_time": {}}]<|tools_suffix|>',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "Apertus, nested, the end left out": (f'<|tools_prefix|>[{{"get_weather": {{"city": {QUOTED}}}}}]', NESTED_CALL),
    "InternLM 2.5": (
        '<|action_start|><|plugin|>\n{"name": "get_weather", "parameters": {"city": "Paris"}}<|action_end|>',
        [("get_weather", PARIS)],
    ),
    "Intern-S1, two": (
        '<|action_start|> <|plugin|>\n{"name": "get_weather", "parameters": {"city": "Paris"}}<|action_end|>\n<|action_start|> <|plugin|>\n{"name": "get_time"}<|action_end|>',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "InternLM, nested": (
        f'<|action_start|><|plugin|>{{"name": "get_weather", "parameters": {{"city": {QUOTED}}}}}<|action_end|>', NESTED_CALL
    ),
    "LongCat-Flash": (
        '<longcat_tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</longcat_tool_call><longcat_tool_call>\n{"name": "get_time", "arguments": {}}\n</longcat_tool_call>',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "LongCat-Flash-Thinking and Lite": (
        f"<longcat_tool_call>functions.get_weather\n{LONG}</longcat_tool_call>\n<longcat_tool_call>get_time</longcat_tool_call>",
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "LongCat, nested": (
        f"<longcat_tool_call>get_weather\n<longcat_arg_key>city</longcat_arg_key>\n<longcat_arg_value>{NESTED}</longcat_arg_value>\n</longcat_tool_call>",
        NESTED_CALL,
    ),
    "Step-3": (
        '<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="get_weather"><steptml:parameter name="city">Paris</steptml:parameter><steptml:parameter name="days">2</steptml:parameter></steptml:invoke><｜tool_call_end｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="get_time"></steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>',
        [("get_weather", TWO_DAYS), ("get_time", NONE)],
    ),
    "Step-3, nested": (
        f'<｜tool_calls_begin｜>\n<｜tool_call_begin｜>function<｜tool_sep｜>\n<steptml:invoke name="get_weather">\n<steptml:parameter name="city">{NESTED}</steptml:parameter>\n</steptml:invoke>\n<｜tool_call_end｜>\n<｜tool_calls_end｜>',
        NESTED_CALL,
    ),
    "Hy3": (
        f"<tool_calls>\n<tool_call>get_weather<tool_sep>\n{HY3}</tool_call>\n<tool_call>get_time<tool_sep>\n</tool_call>\n</tool_calls>",
        [("get_weather", TWO_DAYS), ("get_time", NONE)],
    ),
    "Hy3, its open tokens, the separator left out": (
        "<tool_calls:opensource>\n<tool_call:opensource>get_weather\n<arg_key:opensource>city</arg_key:opensource>\n<arg_value:opensource>Paris</arg_value:opensource>\n</tool_call:opensource>\n</tool_calls:opensource>",
        [("get_weather", PARIS)],
    ),
    "K2 Horizon": (
        "<ifm|tool_calls>\n<ifm|tool_call>get_weather\n<ifm|arg_key>city</ifm|arg_key>\n<ifm|arg_value>Paris</ifm|arg_value>\n</ifm|tool_call>\n</ifm|tool_calls>",
        [("get_weather", PARIS)],
    ),
    "Solar Open 2": (
        "<|tool_call:start|>get_weather\n<|tool_arg:start|>city<|tool_arg:value|>Paris<|tool_arg:end|>\n<|tool_arg:start|>days<|tool_arg:value|>2<|tool_arg:end|>\n<|tool_call:end|>\n<|tool_call:start|>get_time\n<|tool_call:end|>",
        [("get_weather", TWO_DAYS), ("get_time", NONE)],
    ),
    "MiniCPM5": (
        '<function name="get_weather"><param name="city">Paris</param><param name="days">2</param></function>\n<function name="get_time"></function>',
        [("get_weather", TWO_DAYS), ("get_time", NONE)],
    ),
    "MiniCPM5, nested": (
        f'<function name="get_weather"><param name="city"><![CDATA[{NESTED}]]></param></function>', NESTED_CALL
    ),
    "dots": (
        '<dots_function_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n</invoke>\n</dots_function_call>',
        [("get_weather", PARIS)],
    ),
    "dots, JSON": (
        '<dots_function_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</dots_function_call>',
        [("get_weather", PARIS)],
    ),
    "Inkling": (
        '<|message_model|>get_weather<|content_invoke_tool_json|>{"name":"get_weather","args":{"city":"Paris"}}<|end_message|><|message_model|>get_time<|content_invoke_tool_json|>{"name":"get_time","args":{}}<|end_message|><|content_model_end_sampling|>',
        [("get_weather", PARIS), ("get_time", NONE)],
    ),
    "GigaChat 3": (
        '<|message_sep|>\n\nfunction call<|role_sep|>\n{"name": "get_weather", "arguments": {"city": "Paris"}}',
        [("get_weather", PARIS)],
    ),
    "GigaChat 3.5": (
        '<｜GCML｜tool_calls>\n<｜GCML｜invoke name="get_weather">\n<｜GCML｜parameter name="city" string="true">Paris</｜GCML｜parameter>\n</｜GCML｜invoke>\n</｜GCML｜tool_calls>',
        [("get_weather", PARIS)],
    ),
    "DeepSeek-V4.1": (
        '<｜DSML｜ calls>\n<｜DSML｜ invoke name="get_weather">\n<｜DSML｜ parameter name="city" string="true">Paris</｜DSML｜ parameter>\n<｜DSML｜ parameter name="days" string="false">2</｜DSML｜ parameter>\n</｜DSML｜ invoke>\n</｜DSML｜ calls>',
        [("get_weather", TWO_DAYS)],
    ),
    "DeepSeek-V4, JSON within": (
        '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="get_weather">{"city": "Paris"}</｜DSML｜invoke>\n</｜DSML｜tool_calls>',
        [("get_weather", PARIS)],
    ),
}  # fmt: skip
