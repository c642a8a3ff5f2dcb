"""LangChain's ChatOpenAI on the Responses API."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool as langchain_tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from run import MODEL, run


class Palette(BaseModel):
    """A palette."""

    title: str
    dark: bool


@langchain_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "21 degrees"


def model(url: str) -> ChatOpenAI:
    """The chat model."""
    return ChatOpenAI(model=MODEL, base_url=f"{url}/v1", api_key="any", use_responses_api=True, max_tokens=64)


def text(url: str) -> Any:
    """A plain answer."""
    return model(url).invoke("Say hello.").text


def stream(url: str) -> Any:
    """A streamed answer."""
    chunks = list(model(url).stream("Say hello."))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    pieces = [chunk.text for chunk in chunks if chunk.text]
    return {"pieces": len(pieces), "same": "".join(pieces) == whole.text}


def tool(url: str) -> Any:
    """A function, called and answered: the city it was called with, and the answer."""
    bound = model(url).bind_tools([get_weather])
    asked = HumanMessage("What is the weather in Paris?")
    called = bound.invoke([asked])
    (call,) = called.tool_calls
    answer = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    return {"city": call["args"]["city"], "answer": bound.invoke([asked, called, answer]).text}


def structured(url: str) -> Any:
    """Structured output."""
    return model(url).with_structured_output(Palette).invoke("Give me a palette.").model_dump()


run(text, stream, tool, structured)
