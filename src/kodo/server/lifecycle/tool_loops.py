"""Makes the toolset of a request, and the loop over the tools that this server runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kodo.server.config import ToolSettings
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.hosted.ports import HostedTool, ToolContext
from kodo.server.lifecycle.hosted.steps import StepObserver, ToolLoop
from kodo.server.lifecycle.hosted.toolset import Toolset
from kodo.server.lifecycle.plan import RequestPlan
from kodo.server.lifecycle.ports import ContextItem, Prepared, Prompt
from kodo.server.lifecycle.prompt_builder import PromptBuilder
from kodo.server.lifecycle.run import Run
from kodo.server.wire.items import InputText, Message
from kodo.server.wire.request import CreateResponse


@dataclass(frozen=True)
class ToolLoops:
    """Toolsets and loops of all requests. ``tools``: by the type of their entries."""

    tools: Mapping[str, HostedTool]
    prompts: PromptBuilder
    limits: ToolSettings
    observer: StepObserver

    def toolset(self, plan: RequestPlan) -> Toolset:
        """The tools of a request."""
        request = plan.request
        context = ToolContext(
            owner=plan.call.owner,
            key_id=plan.call.key_id,
            response_id=plan.response_id,
            include=frozenset(request.include or ()),
            max_output_chars=self.limits.max_output_chars,
        )
        return Toolset(self.tools, request, context)

    def loop(
        self,
        run: Run,
        plan: RequestPlan,
        toolset: Toolset,
        *,
        history: tuple[ContextItem, ...],
        items: tuple[ContextItem, ...],
    ) -> ToolLoop | None:
        """The loop over the tools of a response that this server runs, where there are any.

        ``items``: what the prompt begins with, the ``history`` or what it was compacted into.
        """
        toolset.adopt_search(history)
        if not toolset.is_hosted or not plan.generates:
            return None

        async def prepare(
            request: CreateResponse, items: tuple[ContextItem, ...], quotes: tuple[str, ...]
        ) -> Prepared:
            prepared, _ = await self.prompts.prepare(plan.call, request, plan.backend, items, quotes=quotes)
            return prepared

        async def count(text: str) -> int:
            message = Message(role="user", content=(InputText(text=text),))
            try:
                prepared = await plan.backend.engine.prepare(Prompt(items=(ContextItem(item=message),)))
            except ServiceError:  # an engine that cannot count it alone
                return len(text.encode())
            return prepared.input_tokens

        return ToolLoop(
            run=run,
            toolset=toolset,
            history=history,
            base=items,
            prepare=prepare,
            count=count,
            window=plan.backend.card.context_window,
            quotes=plan.backend.is_small,
            ends_repeats=plan.backend.ends_loops,
            limits=self.limits,
            observer=self.observer,
        )
