"""The llama engine: prompts in, events out, over one supervised child.

Puts the parts of this package together; each knows one thing. See docs/explanation/engine.md for the whole picture.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from kodo.server.engines.llama.decoding.answer import Answer
from kodo.server.engines.llama.decoding.embedding import Embedder
from kodo.server.engines.llama.decoding.kv_cache import DiskKVCache, model_fingerprint
from kodo.server.engines.llama.decoding.min_output import min_output_tokens
from kodo.server.engines.llama.decoding.prefill_pacer import PrefillPacer
from kodo.server.engines.llama.decoding.replay import replay
from kodo.server.engines.llama.decoding.slots import Slot, Slots, common_prefix_length
from kodo.server.engines.llama.decoding.turn import TurnDecoder, TurnPlan
from kodo.server.engines.llama.options import LlamaOptions
from kodo.server.engines.llama.process.client import ChildClient
from kodo.server.engines.llama.process.supervisor import Supervisor
from kodo.server.engines.llama.prompting import reasoning
from kodo.server.engines.llama.prompting.content import TokenIds
from kodo.server.engines.llama.prompting.images import ImageReader, PromptImages, defuse
from kodo.server.engines.llama.prompting.prompt import build_turns, user_question
from kodo.server.engines.llama.prompting.template import RenderedPrompt, Template
from kodo.server.engines.llama.prompting.tool_call_format import CHANNELS, HERMES, ToolCallFormat
from kodo.server.engines.llama.tools.narrowed_offers import best_fitting, narrow_offers
from kodo.server.engines.llama.tools.structured import Grammars, format_schema
from kodo.server.engines.llama.tools.tool_ranking import rank_tools
from kodo.server.engines.llama.tools.tools import (
    OfferedTool,
    ResolvedChoice,
    resolve_choice,
    shown_at_start,
    tool_specs,
    tools_prompt,
)
from kodo.server.lifecycle.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    ServiceError,
)
from kodo.server.lifecycle.ports import (
    CachePolicy,
    CallDelta,
    CallStart,
    EngineEvent,
    Finished,
    ModelCard,
    Prepared,
    Prompt,
    ReasoningDelta,
    TextDelta,
    Usage,
    is_small,
)
from kodo.server.wire.items import Call, CallOutput

logger = logging.getLogger(__name__)

REASONING_SHARE = 4
"""Times the server's own cap on an answer that the reasoning before it may take, where that cap always holds."""
EVICTED_SECONDS = 3600.0
"""How long the state of a cache key is kept on disk after its slot was needed for something else."""


class LlamaEngine:
    """An :class:`~kodo.server.lifecycle.ports.Engine` over a GGUF file."""

    def __init__(self, model: Path, options: LlamaOptions, supervisor: Supervisor | None = None) -> None:
        """``supervisor`` of its child, where that is being started already."""
        self._options = options
        self._model = model
        self._supervisor = supervisor or Supervisor(options.child(model))
        self._embedder = Embedder(model, options.threads, options.runtime_dir)
        self._kv_cache: DiskKVCache | None = None
        self._client = ChildClient(self._supervisor)
        self._template = Template(self._client)
        self._chat_template = ""
        """The template as the model's file has it."""
        self._templates: dict[str, Template] = {}
        self._images = ImageReader(self._client)
        self._template_lock = asyncio.Lock()
        self._grammars = Grammars()
        self._reasons = False
        self._slots = Slots(options.parallel)
        self._pacer = PrefillPacer()
        self._window = options.context
        self._parameters: int | None = None
        self._generation = 0

    @property
    def restarts(self) -> int:
        """Times the child had to be started again."""
        return self._supervisor.restarts

    @property
    def ready(self) -> bool:
        """Whether the child is up and answers."""
        return self._supervisor.ready

    @property
    def child_pid(self) -> int | None:
        """The child's process id while it is up."""
        return self._supervisor.pid

    async def start(self) -> None:
        """Load the model and learn its template.

        Raises:
            EngineUnavailable: the model cannot be loaded, or the folder for saved state cannot be used.
        """
        options = self._options
        if options.kv_cache_dir is not None and options.disk_bytes > 0:
            identity = f"{version('xllamacpp')}:{options.context}"
            try:
                files = [self._model, *([options.projector] if options.projector is not None else [])]
                for file in files:
                    identity += ":" + await asyncio.to_thread(model_fingerprint, file)
                self._kv_cache = DiskKVCache(
                    options.kv_cache_dir,
                    identity,
                    max_bytes=options.disk_bytes,
                    min_tokens=options.minimum_tokens,
                )
            except OSError as error:
                raise EngineUnavailable(f"Saved prompt state cannot be used: {error.strerror}.") from error
        await self._supervisor.start()
        slots = await self._client.slots()
        trained, self._parameters = await self._client.model_size()
        self._window = min([slot.n_ctx for slot in slots] + ([trained] if trained else []))
        self._chat_template = (await self._client.props()).chat_template
        self._reasons = reasoning.supports_reasoning(self._chat_template)
        await self._template.tokens.protect(self._chat_template, reasoning.CHANNEL_MARKS)
        await self._template.learn()

    async def stop(self) -> None:
        """End the children."""
        await self._embedder.stop()
        await self._supervisor.stop()

    async def card(self) -> ModelCard:
        """The model's limits."""
        return ModelCard(
            name=self._options.name,
            engine="llama",
            context_window=self._window,
            max_output_tokens=self._window,
            parallel=self._options.parallel,
            temperature=self._options.temperature,
            top_p=self._options.top_p,
            top_k=True,
            images=self._options.projector is not None,
            reasoning=self._reasons,
            lands=True,
            parameters=self._parameters,
            source=self._model.name,
        )

    async def prepare(self, prompt: Prompt) -> Prepared:
        """Count the prompt, turn it into ids, and see what its turn may do.

        Raises:
            InvalidRequest: a schema, a grammar or the tool choice cannot be honoured.
        """
        budget = prompt.max_output_tokens or prompt.soft_output_tokens or self._window
        budget = min(budget, self._window)
        grammar = await self._grammars.for_format(prompt.format, budget)
        choice = await resolve_choice(prompt.tools, prompt.tool_choice, self._grammars, budget)
        offers = () if choice.mode == "none" else choice.offers
        template = await self._template_for(prompt.reasoning_effort)
        shown = _without_ids(prompt) if reasoning.uses_channels(self._chat_template) else prompt
        images = await self._images.read(shown) if self._options.projector is not None else PromptImages()
        rendered, call_format = await self._render(
            template, shown, shown_at_start(offers), images, has_to_call=choice.mode == "required"
        )
        asked = user_question(prompt)
        is_free = (
            call_format.from_template and grammar is None
        )  # a model that was trained to choose does so in its own words
        clearly = grammar is not None and choice.mode == "auto"
        meant = () if is_free else rank_tools(asked, offers, clearly=clearly)
        if grammar is None and self._is_small and not call_format.from_template:
            grammar = await self._grammars.for_texts(prompt.quotes)
        plan = TurnPlan(
            ids=rendered.ids,
            tools=offers,
            required_tools=self._required_tools(choice, offers, meant, asked, call_format),
            further_tools=offers if call_format.from_template else meant,
            call_format=call_format,
            question=None if call_format.from_template else asked,
            images=images.data,
            grammar=grammar,
            schema=format_schema(prompt.format),
            notice_loops=self._notices_loops(prompt),
            reasons=self._reasons,
            starts_in_reasoning=self._reasons and rendered.suffix.rstrip().endswith(reasoning.OPEN_TAG),
            channels=reasoning.uses_channels(self._chat_template),
            reasoning_tokens=self._reasoning_tokens(prompt),
        )
        plan, least = await self._with_question_values(plan, prompt, budget)
        return Prepared(
            prompt=prompt,
            input_tokens=len(rendered.ids),
            item_tokens=tuple(rendered.by_source.get(source, 0) for source in range(len(prompt.items))),
            unenforced=tuple(
                sorted({key for offer in offers if offer.grammar for key in offer.grammar.unenforced})
            ),
            min_output_tokens=None if prompt.max_output_tokens is None else least,
            payload=plan,
        )

    def _required_tools(
        self,
        choice: ResolvedChoice,
        offers: tuple[OfferedTool, ...],
        meant: tuple[OfferedTool, ...],
        asked: str,
        call_format: ToolCallFormat,
    ) -> tuple[OfferedTool, ...]:
        """The tools of which one must be called: those that are meant; else any, where there has to be a call."""
        required = offers if choice.mode == "required" and not meant else meant
        is_helped = self._is_small and not call_format.from_template
        return best_fitting(required, asked) if is_helped else required

    async def _with_question_values(
        self, plan: TurnPlan, prompt: Prompt, budget: int
    ) -> tuple[TurnPlan, int | None]:
        """A plan whose calls take their values from the question, where they fit the budget, and its shortest answer.

        For small models that kodo chooses the tools of.
        """
        least = await self._min_output_tokens(plan, prompt)
        if plan.question is None or not plan.required_tools or not self._is_small:
            return plan, least
        narrowed = await narrow_offers(plan.required_tools, plan.question, self._grammars, budget)
        by_name = {offer.qualified_name: offer for offer in narrowed}
        further = tuple(by_name.get(offer.qualified_name, offer) for offer in plan.further_tools)
        narrow_plan = msgspec.structs.replace(plan, required_tools=narrowed, further_tools=further)
        narrow_least = await self._min_output_tokens(narrow_plan, prompt)
        if narrow_least is None or narrow_least > budget:
            return plan, least
        return narrow_plan, narrow_least

    async def _min_output_tokens(self, plan: TurnPlan, prompt: Prompt) -> int | None:
        return await min_output_tokens(plan, prompt.cache.owner, self._template.tokens, self._grammars)

    @property
    def _is_small(self) -> bool:
        return is_small(self._parameters)

    def _notices_loops(self, prompt: Prompt) -> bool:
        """Whether loops are ended: as the settings say, and not where the client steers repetition itself."""
        sampling = prompt.sampling
        if sampling.presence_penalty or sampling.frequency_penalty:
            return False
        if self._options.end_loops is not None:
            return self._options.end_loops
        return self._is_small

    def _reasoning_tokens(self, prompt: Prompt) -> int | None:
        """Tokens of reasoning that the prompt allows: the client's own number, that of its effort, or a few times the answer's."""
        asked = prompt.sampling.reasoning_tokens
        if asked is not None:
            return asked
        budget = reasoning.reasoning_budget(self._chat_template, prompt.reasoning_effort)
        if budget is None and prompt.soft_output_tokens is not None:
            return REASONING_SHARE * prompt.soft_output_tokens
        return budget

    async def _template_for(self, effort: str | None) -> Template:
        """The template with the variables that carry an effort; learnt when it is first asked for."""
        variables = reasoning.template_variables(self._chat_template, effort)
        if not variables:
            return self._template
        key = repr(variables)
        async with self._template_lock:
            if key not in self._templates:
                template = Template(self._client, tokens=self._template.tokens, variables=variables)
                await template.learn()
                self._templates[key] = template
            return self._templates[key]

    async def _render(
        self,
        template: Template,
        prompt: Prompt,
        offers: Sequence[OfferedTool],
        images: PromptImages,
        *,
        has_to_call: bool,
    ) -> tuple[RenderedPrompt, ToolCallFormat]:
        """The prompt with its tools as the template has them, where it knows tools and can render these turns."""
        owner, tools = prompt.cache.owner, tool_specs(offers)
        extra = tools_prompt(offers, has_to_call=has_to_call) if offers else ""
        if images.data:
            turns = build_turns(prompt, HERMES, extra, images=images.ids)
            turns = await defuse(turns, owner, self._template.tokens)
            return await template.render(turns, owner), HERMES
        if template.knows_channel_tools and tools is not None and (tools or _has_calls(prompt)):
            try:
                return await template.render_channels(prompt, tools), CHANNELS
            except InvalidRequest:
                logger.debug("the template cannot render these calls; kodo's own form is used")
        if template.call_format is not None and tools is not None:
            try:
                rendered = await template.render(build_turns(prompt, template.call_format), owner, tools)
            except InvalidRequest:
                logger.debug("the template cannot render these calls; kodo's own form is used")
            else:
                return rendered, template.call_format
        return await template.render(build_turns(prompt, HERMES, extra), owner), HERMES

    async def generate(
        self, prepared: Prepared, *, events_so_far: Sequence[EngineEvent] = (), limit: int | None = None
    ) -> AsyncGenerator[EngineEvent, None]:
        """Answer; see the port. Free text continues from its ids; constrained text is repeated from its seed."""
        plan, prompt = prepared.payload, prepared.prompt
        if not isinstance(plan, TurnPlan):
            raise InvalidRequest("The prompt was prepared by another engine.")
        if len(plan.ids) >= self._window:
            raise ContextLengthExceeded(window=self._window, needed=len(plan.ids) + 1)
        again = bool(events_so_far) and not (
            plan.is_resumable and not any(isinstance(event, CallStart) for event in events_so_far)
        )
        before = () if again else _generated_ids(events_so_far)
        caps = [cap for cap in (limit, prompt.max_output_tokens) if cap is not None]
        max_tokens = min([self._window - len(plan.ids), *caps]) - len(before)
        if max_tokens <= 0:
            yield Finished(reason="length", usage=Usage(input=len(plan.ids), output=len(before)))
            return
        cache = prompt.cache
        async with self._slots.take(cache.owner, cache.key, plan.ids) as slot:
            self._forget_after_restart()
            await self._load_state(slot, cache, plan.ids)
            settings = self._settings(prompt, slot)
            in_slot = common_prefix_length(slot.ids, plan.ids) if settings["cache_prompt"] else 0
            answer = Answer(
                self._client,
                self._template.tokens,
                settings,
                plan.ids,
                before=before,
                max_tokens=max_tokens,
                pacer=self._pacer,
                images=plan.images,
                unread_tokens=max(len(plan.ids) + len(before) - in_slot, 1),
            )
            slot.owner, slot.key, slot.ids = cache.owner, cache.key, ()
            turn = TurnDecoder(plan, prompt, answer, self._template.tokens, self._grammars)
            events = turn.events(begun=() if again else events_so_far)
            try:
                async for event in replay(events, events_so_far) if again else events:
                    if not isinstance(event, Finished):
                        yield event
                        continue
                    slot.ids = tuple(answer.ids[:-1])
                    written = await self._save_answer(slot, cache, plan.ids)
                    usage = event.usage
                    yield msgspec.structs.replace(
                        event,
                        usage=msgspec.structs.replace(
                            usage, cache_write=usage.input - usage.cached if written else 0
                        ),
                    )
                    return
            finally:
                answer.close()
                slot.ids = tuple(answer.ids[:-1])  # the last id drawn has not been read by the model

    async def embed(self, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """One vector a text, and the tokens read; see :mod:`kodo.server.engines.llama.decoding.embedding`."""
        return await self._embedder.embed(texts)

    # --- saved state ---

    def _forget_after_restart(self) -> None:
        """A new child holds nothing."""
        if self._generation != self._supervisor.generation:
            self._slots.forget()
            self._generation = self._supervisor.generation

    async def _load_state(self, slot: Slot, cache: CachePolicy, ids: TokenIds) -> None:
        """Before a slot is used: save what it holds under another key, read what is saved under this one."""
        if self._kv_cache is None:
            return
        other = (slot.owner, slot.key) != (cache.owner, cache.key)
        if other and slot.owner is not None and slot.key is not None:
            await self._save_state(slot, slot.owner, slot.key, slot.ids, EVICTED_SECONDS)
        if cache.key is None:
            return
        name = self._kv_cache.entry_name(cache.owner, cache.key)
        saved = self._kv_cache.find(name, ids)
        in_slot = 0 if other else common_prefix_length(slot.ids, ids)
        if not saved or common_prefix_length(saved, ids) <= in_slot:
            return
        try:
            await self._client.restore_slot(slot.id, f"{name}.kv")
        except (InvalidRequest, EngineFailed):
            self._kv_cache.remove(name)  # damaged: the prompt is read anew
            slot.owner = None
            return
        slot.owner, slot.key, slot.ids = cache.owner, cache.key, saved

    async def _save_answer(self, slot: Slot, cache: CachePolicy, prompt: TokenIds) -> bool:
        """After an answer: save the slot, if its owner wants that; whether it was saved."""
        if cache.seconds <= 0 or cache.key is None or len(prompt) < self._options.minimum_tokens:
            return False
        return await self._save_state(slot, cache.owner, cache.key, slot.ids, cache.seconds)

    async def _save_state(self, slot: Slot, owner: str, key: str, ids: TokenIds, seconds: float) -> bool:
        if self._kv_cache is None:
            return False
        name = self._kv_cache.entry_name(owner, key)
        if not self._kv_cache.should_save(name, ids):
            return False
        try:
            await self._client.save_slot(slot.id, self._kv_cache.begin_save(name))
            return self._kv_cache.commit_save(name, ids, seconds)
        except (ServiceError, OSError):  # a cache that cannot be written costs time later, not the answer
            logger.warning("the state of a prompt could not be saved")
            return False

    def _settings(self, prompt: Prompt, slot: Slot) -> dict[str, Any]:
        """A completion's settings, all of them: nothing that a client sends gets here unless it is named here."""
        sampling, options = prompt.sampling, self._options
        temperature = options.temperature if sampling.temperature is None else sampling.temperature
        settings: dict[str, Any] = {
            "id_slot": slot.id,
            "cache_prompt": slot.owner == prompt.cache.owner,
            "stream": True,
            "return_tokens": True,
            "return_progress": True,
            "temperature": temperature,
            "top_p": options.top_p if sampling.top_p is None else sampling.top_p,
            # The likeliest token is found without sorting the vocabulary.
            "top_k": 1 if temperature == 0 else sampling.top_k or 0,
            "min_p": 0.0,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "response_fields": ["content", "tokens", "stop", "tokens_predicted", "stop_type", "timings"],
        }
        if sampling.presence_penalty or sampling.frequency_penalty:
            settings["repeat_last_n"] = self._window
        if sampling.seed is not None:
            settings["seed"] = sampling.seed % 2**32
        if sampling.logit_bias:
            settings["logit_bias"] = sampling.logit_bias
        return settings


def _without_ids(prompt: Prompt) -> Prompt:
    """The prompt with its answers as text: their ids hold the channels of the whole turn, where a template of this kind
    shows the final one only."""
    items = tuple(msgspec.structs.replace(context, tokens=None) for context in prompt.items)
    return msgspec.structs.replace(prompt, items=items)


def _has_calls(prompt: Prompt) -> bool:
    return any(isinstance(context.item, Call | CallOutput) for context in prompt.items)


def _generated_ids(events: Sequence[EngineEvent]) -> TokenIds:
    """The ids of an earlier run's events."""
    return tuple(
        token
        for event in events
        if isinstance(event, TextDelta | ReasoningDelta | CallStart | CallDelta)
        for token in event.tokens
    )
