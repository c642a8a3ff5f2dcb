"""openai-agents: the runner, streamed, with a function tool, with an output type, and its conversation session."""

from __future__ import annotations

from typing import Any

from agents import (
    Agent,
    HostedMCPTool,
    MCPToolApprovalFunctionResult,
    MCPToolApprovalRequest,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel
from run import MODEL, run

set_tracing_disabled(disabled=True)


class Palette(BaseModel):
    """A palette."""

    title: str
    dark: bool


def agent(url: str, **options: Any) -> Agent[Any]:
    """An agent on our server."""
    sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key="any")
    model = OpenAIResponsesModel(model=MODEL, openai_client=sdk)
    return Agent(name="agent", model=model, **options)


async def text(url: str) -> Any:
    """A run."""
    return (await Runner.run(agent(url), "Say hello.")).final_output


async def stream(url: str) -> Any:
    """A streamed run."""
    result = Runner.run_streamed(agent(url), "Say hello.")
    pieces = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    return {"pieces": len(pieces), "same": "".join(pieces) == result.final_output}


async def hosted_mcp(url: str) -> Any:
    """A tool of an MCP server that kodo runs, approved by the program."""
    asked: list[str] = []

    def approve(request: MCPToolApprovalRequest) -> MCPToolApprovalFunctionResult:
        asked.append(request.data.name)
        return {"approve": True}

    server: Any = {"type": "mcp", "server_label": "calc", "require_approval": "always"}
    calculator = HostedMCPTool(tool_config=server, on_approval_request=approve)
    result = await Runner.run(agent(url, tools=[calculator]), "What is the sum?")
    return {"asked": asked, "answer": result.final_output}


async def tool(url: str) -> Any:
    """A function, called and answered: the cities it was called with, and the answer."""
    cities: list[str] = []

    @function_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return "21 degrees"

    result = await Runner.run(agent(url, tools=[get_weather]), "What is the weather in Paris?")
    return {"city": "; ".join(cities), "answer": result.final_output}


async def structured(url: str) -> Any:
    """An output type."""
    result = await Runner.run(agent(url, output_type=Palette), "Give me a palette.")
    return result.final_output.model_dump()


async def session(url: str) -> Any:
    """Two turns of a session on the Conversations API."""
    sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key="any")
    kept = OpenAIConversationsSession(openai_client=sdk)
    for said in ("Say hello.", "Say it again."):
        await Runner.run(agent(url), said, session=kept)
    return [item["role"] for item in await kept.get_items()]


run(text, stream, tool, structured, session, hosted_mcp)
