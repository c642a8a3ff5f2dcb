"""Every finding stands on a line of the change: shown on random edits of code that is full of defects."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kodo.jobs.report.model import ReviewReport
from kodo.jobs.review import PathsSource, ReviewOptions, VersionsSource, review
from kodo.jobs.review.changes import hunks_of, split_lines, unified

BLOCKS = [
    "import os\n",
    "import pickle, json\n",
    "def load(path, cache={}):\n    if path is None:\n        return None\n    return pickle.loads(path.read_bytes())\n",
    "def find(xs):\n    for i in range(len(xs) + 1):\n        print(xs[i])\n    return xs[0] == None\n",
    "async def fetch(u):\n    return u\n\n\nasync def go(u):\n    await fetch(u)\n    data = await fetch(u)\n    return data\n",
    "def bad(d):\n    for k in d.keys():\n        del d[k]\n    return\n    print('é', d)\n",
    "password = 'hunter2hunter2'\n",
    "def q(cur, name):\n    cur.execute(f\"SELECT * FROM t WHERE n = '{name}'\")\n",
    "def r(n):\n    try:\n        return n / 2\n    except:\n        pass\n",
    "class A:\n    def m(self, a, b):\n        return a - b\n\n    def n(self, a, b):\n        return self.m(b, a)\n",
    "x = (\n",
    "\tif x:\n",
    "",
]


def positions_right(report: ReviewReport, before: dict[str, str], after: dict[str, str]) -> None:
    """Each place is in a hunk, each column in its line, each quoted code is that line's."""
    for finding in report.findings:
        place = finding.place
        lines = split_lines(after[place.path])
        assert 1 <= place.line <= place.end_line <= len(lines)
        hunks = hunks_of(unified(before.get(place.path, ""), after[place.path]), len(lines))
        touched = {line for hunk in hunks for line in hunk.added}
        touched |= {removal.anchor for hunk in hunks for removal in hunk.removals}
        assert place.line in touched, finding
        assert place.end_line in touched, finding
        assert place.column <= len(lines[place.line - 1]) + 1
        assert place.end_column <= len(lines[place.end_line - 1]) + 1
        assert finding.code.split("\n")[0] == lines[place.line - 1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(BLOCKS), max_size=8), st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=8)
)
def test_every_position_is_in_the_change(before: list[str], after: list[str]) -> None:
    """Whatever was changed into whatever, no finding is outside of it."""
    old, new = {"pkg/m.py": "\n".join(before)}, {"pkg/m.py": "\n".join(after)}
    report = review(VersionsSource(old, new), ReviewOptions(), None)
    positions_right(report, old, new)
    assert len({finding.fingerprint for finding in report.findings}) == len(report.findings)


def test_columns_count_characters(tmp_path) -> None:
    """A finding after wide letters on its line points at the right one."""
    (tmp_path / "m.py").write_text("名前 = '値'; print(undefined_name)\n", encoding="utf-8")
    report = review(PathsSource((tmp_path,), tmp_path), ReviewOptions(), None)
    (finding,) = [item for item in report.findings if item.rule == "F821"]
    line = finding.code
    assert line[finding.place.column - 1 : finding.place.end_column - 1] == "undefined_name"


def test_a_use_far_from_the_change_is_shown_where_its_cause_was_removed() -> None:
    """A removed import is reported where it stood, with the use as a related place."""
    body = "".join(f"\n\ndef f{n}():\n    return {n}\n" for n in range(10))
    old = {
        "m.py": f"import os\nimport sys\n\nprint(sys.argv)\n{body}\n\ndef last():\n    return os.getcwd()\n"
    }
    new = {"m.py": old["m.py"].replace("import os\n", "")}
    report = review(VersionsSource(old, new), ReviewOptions(), None)
    (finding,) = [item for item in report.findings if item.rule == "F821"]
    assert finding.place.line == 1
    assert finding.related[0].line == new["m.py"].split("\n").index("    return os.getcwd()") + 1
