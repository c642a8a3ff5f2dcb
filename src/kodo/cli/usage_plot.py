"""The usage report as a picture. The only module that imports matplotlib, and only when a plot is asked for."""

from __future__ import annotations

from pathlib import Path

from kodo.cli.usage_report import UsageRow

_MAX_BARS = 40


def plot_usage(rows: list[UsageRow], by: str, path: Path) -> None:
    """Write a PNG: tokens by kind stacked above, dollars below, one bar a row, at most the last 40 rows.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")  # no display: a server or a container draws as well
    from matplotlib.figure import Figure

    shown = rows[-_MAX_BARS:]
    names = [row.key or "(none)" for row in shown]
    places = range(len(shown))
    figure = Figure(figsize=(max(6.4, 0.35 * len(shown)), 6.0), layout="constrained")
    tokens, dollars = figure.subplots(2, 1, sharex=True)
    floor = [0] * len(shown)
    for label, values in (
        ("cached input", [row.cached_tokens for row in shown]),
        ("input", [row.input_tokens - row.cached_tokens for row in shown]),
        ("output", [row.output_tokens for row in shown]),
    ):
        tokens.bar(places, values, bottom=floor, label=label)
        floor = [low + high for low, high in zip(floor, values, strict=True)]
    tokens.set_ylabel("tokens")
    tokens.set_title(f"kodo usage by {by}")
    tokens.legend()
    dollars.bar(places, [float(row.list_usd) for row in shown], color="lightgray", label="list price")
    dollars.bar(places, [float(row.usd) for row in shown], width=0.5, label="charged")
    dollars.set_ylabel("US dollars")
    dollars.legend()
    dollars.set_xticks(list(places), names, rotation=45, ha="right")
    figure.savefig(path, format="png", dpi=120)
