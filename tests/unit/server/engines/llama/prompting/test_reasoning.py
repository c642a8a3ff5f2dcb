"""The template variables that carry an effort."""

from __future__ import annotations

from kodo.server.engines.llama.prompting.reasoning import template_variables


def test_an_effort_is_carried_by_the_variables_that_a_template_reads() -> None:
    """A switch, a level, both, or neither."""
    both = "{% if enable_thinking %}{{ reasoning_effort }}{% endif %}"
    assert template_variables(both, "none") == {"enable_thinking": False, "reasoning_effort": "low"}
    assert template_variables(both, "xhigh") == {"enable_thinking": True, "reasoning_effort": "high"}
    assert template_variables(both, None) == template_variables("{{ my_reasoning_efforts }}", "high") == {}
