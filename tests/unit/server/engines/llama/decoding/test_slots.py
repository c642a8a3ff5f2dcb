"""The choice of a slot."""

from __future__ import annotations

from kodo.server.engines.llama.decoding.slots import Slots, common_prefix_length


def test_a_common_prefix_is_counted_exactly() -> None:
    """At every length of two prompts that differ in one place."""
    one = tuple(range(37))
    for place in range(37):
        other = (*one[:place], -1, *one[place + 1 :])
        assert common_prefix_length(one, other) == place
    assert common_prefix_length(one, one[:5]) == 5


async def test_a_prompt_goes_to_the_slot_of_its_owner_that_knows_it() -> None:
    """Longest prefix of the same owner first; another owner's slot is the last resort."""
    slots = Slots(2)
    async with slots.take("one", None, (1, 2, 3)) as first:
        first.owner, first.ids = "one", (1, 2, 3, 4)
    async with slots.take("two", None, (1, 2, 3)) as other:
        assert other.id != first.id
        other.owner, other.ids = "two", (1, 2, 3)
    async with slots.take("one", None, (1, 2, 3, 9)) as again:
        assert again.id == first.id
        assert slots.busy == 1
