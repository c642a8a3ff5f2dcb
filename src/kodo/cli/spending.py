"""How jobs tell what a call will cost (--dry-run) and what it has cost. Both for people; figures are the client's."""

from __future__ import annotations

from kodo.cli.output import Output
from kodo.client.answer import Answer
from kodo.client.estimate import Estimate
from kodo.client.i18n import Catalogue

MESSAGES = Catalogue(
    {
        "input_server": (
            "input: {tokens:,} tokens (counted by the server)",
            "入力: {tokens:,} トークン（サーバーで計算）",
        ),
        "input_guess": (
            "input: about {tokens:,} tokens (at most {bound:,})",
            "入力: 約 {tokens:,} トークン（最大 {bound:,}）",
        ),
        "output_capped": ("output: at most {tokens:,} tokens", "出力: 最大 {tokens:,} トークン"),
        "output_open": ("output: no limit", "出力: 上限なし"),
        "cost": ("cost: at most ${usd:.6f}", "費用: 最大 ${usd:.6f}"),
        "cost_free": (
            "cost: $0, local model (list price: at most ${usd:.6f})",
            "費用: $0、ローカルモデル（定価の場合は最大 ${usd:.6f}）",
        ),
        "cost_unknown": (
            "cost: unknown, no price for {model}",
            "費用: 不明（{model} の価格が登録されていません）",
        ),
        "input_only": (
            "input only, because the output has no limit",
            "出力に上限がないため、入力のみの金額です",
        ),
        "spent": (
            "{model}: {input:,} + {output:,} tokens, ${usd:.6f}, {seconds:.1f} s",
            "{model}: {input:,} + {output:,} トークン、${usd:.6f}、{seconds:.1f} 秒",
        ),
        "spent_free": (
            "{model}: {input:,} + {output:,} tokens, $0 (list price ${usd:.6f}), {seconds:.1f} s",
            "{model}: {input:,} + {output:,} トークン、$0（定価 ${usd:.6f}）、{seconds:.1f} 秒",
        ),
        "incomplete": ("the answer is incomplete: {reason}", "回答は途中で終わっています: {reason}"),
    }
)


def describe_estimate(estimate: Estimate, output: Output) -> str:
    """A dry run in a few lines: what would be read, written and paid at most."""
    say, worst = output.using(MESSAGES).say, estimate.worst
    lines = [f"model: {estimate.model}"]
    if estimate.method == "server":
        lines.append(say("input_server", tokens=estimate.input_tokens))
    else:
        lines.append(say("input_guess", tokens=estimate.input_tokens, bound=estimate.input_bound))
    if estimate.output_bound is None:
        lines.append(say("output_open"))
    else:
        lines.append(say("output_capped", tokens=estimate.output_bound))
    if worst.list_usd is None:
        lines.append(say("cost_unknown", model=estimate.model))
    elif worst.usd == 0 and worst.list_usd:
        lines.append(say("cost_free", usd=worst.list_usd))
    else:
        lines.append(say("cost", usd=worst.usd))
    if estimate.output_bound is None and worst.list_usd is not None:
        lines.append(say("input_only"))
    return "\n".join(lines)


def print_spending(answer: Answer, output: Output) -> None:
    """One note on stderr after an answer: tokens, dollars, seconds; a warning where a limit cut the answer."""
    notes = output.using(MESSAGES)
    free = answer.usd == 0 and answer.cost.list_usd
    notes.note(
        "spent_free" if free else "spent",
        model=answer.model,
        input=answer.usage.input_tokens,
        output=answer.usage.output_tokens,
        usd=answer.cost.list_usd if free else answer.usd,
        seconds=answer.latency,
    )
    if answer.status == "incomplete":
        notes.warn("incomplete", reason=answer.incomplete_reason)
