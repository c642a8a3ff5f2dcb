"""``kodo agent``: a model that calls tools until its task is done, with limits, approval and a journal.

    @tool
    def weather(city: str) -> str:
        \"\"\"The weather of a city now.\"\"\"
        return "sunny"

    with kodo.Session() as session:
        result = Agent(session, [weather]).run("Do I need an umbrella in Paris?")
    print(result.text)

The public names of this folder.
"""

from kodo.jobs.agent.approval import Approve, allow, deny_writes
from kodo.jobs.agent.journal import Journal, JournalError
from kodo.jobs.agent.loop import Agent, AgentLimits, AgentResult, Observer, Stop
from kodo.jobs.agent.tool import Effect, Tool, ToolError, tool

__all__ = [
    "Agent",
    "AgentLimits",
    "AgentResult",
    "Approve",
    "Effect",
    "Journal",
    "JournalError",
    "Observer",
    "Stop",
    "Tool",
    "ToolError",
    "allow",
    "deny_writes",
    "tool",
]
