"""llm: a model of extra-openai-models.yaml, over the Responses API."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from run import MODEL, run


class Palette(BaseModel):
    """A palette."""

    title: str
    dark: bool


def model(url: str) -> Any:
    """The model, as a user configures it."""
    folder = Path(os.environ["LLM_USER_PATH"])
    (folder / "extra-openai-models.yaml").write_text(
        f"- model_id: kodo\n  model_name: {MODEL}\n  api_base: {url}/v1\n  api_key_name: kodo\n"
        "  responses: true\n  supports_tools: true\n  supports_schema: true\n"
    )
    import llm  # reads the file above when it is imported

    found = llm.get_model("kodo")
    found.key = "any"
    return found


def text(url: str) -> Any:
    """A plain answer."""
    return model(url).prompt("Say hello.", stream=False).text()


def stream(url: str) -> Any:
    """A streamed answer."""
    response = model(url).prompt("Say hello.", stream=True)
    pieces = list(response)
    return {"pieces": len(pieces), "same": "".join(pieces) == response.text()}


def tool(url: str) -> Any:
    """A function, called and answered: the cities it was called with, and the answer."""
    cities: list[str] = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return "21 degrees"

    answer = model(url).chain("What is the weather in Paris?", tools=[get_weather]).text()
    return {"city": "; ".join(cities), "answer": answer}


def structured(url: str) -> Any:
    """A schema."""
    return model(url).prompt("Give me a palette.", schema=Palette, stream=False).text()


run(text, stream, tool, structured)
