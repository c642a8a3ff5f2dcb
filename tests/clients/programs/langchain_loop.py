"""LangChain's ChatOpenAI on the Responses API: a tool loop of three turns, two calls at the same time in the first."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool as langchain_tool
from langchain_openai import ChatOpenAI
from run import MODEL, run


@langchain_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@langchain_tool
def get_time() -> str:
    """The time."""
    return "noon"


def loop(url: str) -> Any:
    """The calls that were made, and the answer."""
    tools = {"get_weather": get_weather, "get_time": get_time}
    model = ChatOpenAI(model=MODEL, base_url=f"{url}/v1", api_key="any", use_responses_api=True)
    bound = model.bind_tools(list(tools.values()))
    messages: list[BaseMessage] = [
        SystemMessage("Use your tools."),
        HumanMessage("What is the weather in Paris and Tokyo?"),
    ]
    called = []
    for _ in range(5):
        answer = bound.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return {"called": sorted(called), "answer": answer.text}
        for call in answer.tool_calls:
            called.append(call["args"].get("city", "time"))
            messages.append(ToolMessage(tools[call["name"]].invoke(call["args"]), tool_call_id=call["id"]))
    return {"called": called, "answer": None}


run(loop)
