"""pydantic-ai: an agent on the Responses API."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from run import MODEL, run


class Palette(BaseModel):
    """A palette."""

    title: str
    dark: bool


def agent(url: str, **options: Any) -> Agent[None, Any]:
    """An agent on our server."""
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key="any")
    model = OpenAIResponsesModel(MODEL, provider=provider)
    return Agent(model, model_settings={"max_tokens": 64}, **options)


async def text(url: str) -> Any:
    """A run."""
    return (await agent(url).run("Say hello.")).output


async def stream(url: str) -> Any:
    """A streamed run."""
    async with agent(url).run_stream("Say hello.") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    return {"pieces": len(pieces), "same": "".join(pieces) == await result.get_output()}


async def tool(url: str) -> Any:
    """A function, called and answered: the cities it was called with, and the answer."""
    cities: list[str] = []
    weather = agent(url)

    @weather.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return "21 degrees"

    answer = (await weather.run("What is the weather in Paris?")).output
    return {"city": "; ".join(cities), "answer": answer}


async def structured(url: str) -> Any:
    """Structured output, by the format of the answer."""
    return (await agent(url, output_type=NativeOutput(Palette)).run("Give me a palette.")).output.model_dump()


run(text, stream, tool, structured)
