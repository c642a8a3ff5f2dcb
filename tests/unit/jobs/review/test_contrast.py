"""Two outcomes of one call in few words: what is shown differs, whatever they have in common."""

import pytest

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.difference import Difference
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.review.behaviour_remarks import contrast, is_of_kind


def _raised(message: str = "", **parts: str) -> Outcome:
    return Outcome(1, "raises", {"raises": "Abort", "message": message, **parts})


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (
            _raised(output="'name: '"),
            _raised(output="'name'"),
            ("Abort; output = 'name: '", "Abort; output = 'name'"),
        ),
        (_raised("no"), _raised("never"), ("Abort: no", "Abort: never")),
        (_raised(), Outcome(1, "value", {"result": "3"}), ("Abort", "3")),
        (
            _raised(**{"after: stream": "'a'"}),
            _raised(),
            ("Abort; stream = 'a'", "Abort; stream = as it was"),
        ),
    ],
)
def test_two_errors_are_told_apart(before: Outcome, after: Outcome, shown: tuple[str, str]) -> None:
    """By their texts, and where these are alike by what was printed or changed, which is no result: the error stands before it."""
    assert contrast(before, after) == shown


def test_long_messages_are_cut_around_the_place_where_they_differ() -> None:
    """Their beginnings alone would be one and the same text."""
    one, other = contrast(_raised("x" * 300 + "1" * 9), _raised("x" * 300 + "2" * 9))
    assert one != other and "1" in one and "2" in other and max(map(len, (one, other))) < 140


def _value(result: str, **parts: str) -> Outcome:
    return Outcome(1, "value", {"result": result, **{f"result.{name}": text for name, text in parts.items()}})


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (
            _value("<Page 210 bytes>", data="b'" + "x" * 90 + "'", place="'./'"),
            _value("<Page 208 bytes>", data="b'" + "y" * 90 + "'", place="'/'"),
            ("place = './'", "place = '/'"),
        ),
        (_value("<Page 'a'>", place="1"), _value("<Page 'b'>", place="2"), ("<Page 'a'>", "<Page 'b'>")),
        (_value("210", place="1"), _value("208", place="2"), ("210", "208")),
        (_value("<Page 210 bytes>"), _value("<Page 208 bytes>"), ("<Page 210 bytes>", "<Page 208 bytes>")),
    ],
)
def test_a_number_in_the_text_of_an_object_gives_way_to_what_it_counts(
    before: Outcome, after: Outcome, shown: tuple[str, str]
) -> None:
    """That a page is two bytes shorter says less than which of its attributes is another one."""
    assert contrast(before, after) == shown


def _differs(before: Outcome, after: Outcome) -> Difference:
    call = Call(1, "f", "f(_0)")
    return Difference(call, before, after, call)


class TestWhatAStatedOutcomeCovers:
    """Documentation that states one new result says nothing of a difference of another kind."""

    stated = _differs(_value("'-1 x'"), _value("'1 x~'"))

    def test_the_same_done_to_another_text_is_covered(self) -> None:
        """Other digits and letters are its content."""
        assert is_of_kind(_differs(_value("'-27 yards'"), _value("'27 yards~'")), [self.stated])

    def test_another_mark_is_not(self) -> None:
        """It comes into none of the texts that are stated."""
        assert not is_of_kind(_differs(_value("'1 x'"), _value("'1+ x'")), [self.stated])

    def test_an_error_that_is_raised_now_is_not(self) -> None:
        """Unless it is an accident of a made-up value."""
        raised = Outcome(1, "raises", {"raises": "ValueError"}, deliberate=True)
        accident = Outcome(1, "raises", {"raises": "TypeError"}, accident=True)
        assert not is_of_kind(_differs(_value("'1'"), raised), [self.stated])
        assert is_of_kind(_differs(_value("'1'"), accident), [self.stated])

    def test_numbers_are_covered(self) -> None:
        """Where the result is no text, one number is like another."""
        assert is_of_kind(_differs(_value("2"), _value("-3")), [_differs(_value("1"), _value("5"))])
