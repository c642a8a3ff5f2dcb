"""openai-agents: a tool loop of three turns, two calls at the same time in the first."""

from __future__ import annotations

from typing import Any

from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from run import MODEL, run

set_tracing_disabled(disabled=True)
CALLED: list[str] = []


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    CALLED.append(city)
    return f"sunny in {city}"


@function_tool
def get_time() -> str:
    """The time."""
    CALLED.append("time")
    return "noon"


async def loop(url: str) -> Any:
    """The calls that were made, and the answer."""
    sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key="any")
    model = OpenAIResponsesModel(model=MODEL, openai_client=sdk)
    agent = Agent(
        name="agent",
        instructions="Use your tools.",
        model=model,
        tools=[get_weather, get_time],
        model_settings=ModelSettings(parallel_tool_calls=True),
    )
    result = await Runner.run(agent, "What is the weather in Paris and Tokyo?")
    return {"called": sorted(CALLED), "answer": result.final_output}


run(loop)
