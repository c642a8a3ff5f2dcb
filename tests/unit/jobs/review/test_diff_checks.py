"""The checks that compare a function with what it was: each speaks of what was lost, and of no rewrite or repair."""

import tomllib
from importlib.resources import files

import pytest

from kodo.jobs.review import VersionsSource
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks import diff_checks
from kodo.jobs.review.languages import is_test
from kodo.jobs.review.reading import read

CHANGES: list[tuple[str, str, str, str]] = [
    # (rule, before, after with the loss, after without it)
    (
        "none-check-removed",
        "def f(user):\n    if user is None:\n        return ''\n    return user.name\n",
        "def f(user):\n    return user.name\n",
        "def f(user):\n    if not user:\n        return ''\n    return user.name\n",
    ),
    (
        "none-check-removed",
        "def f(user):\n    log = []\n    if user is not None:\n        log.append(user.name)\n    return log\n",
        "def f(user):\n    log = []\n    log.append(user.name)\n    return log\n",
        "def f(user):\n    log = []\n    if user:\n        log.append(user.name)\n    return log\n",
    ),
    (
        "guard-removed",
        "def f(amount, account):\n    if amount <= 0:\n        raise ValueError('amount')\n    account.balance -= amount\n    account.save()\n",
        "def f(amount, account):\n    account.balance -= amount\n    account.save()\n",
        "def f(amount, account):\n    check_amount(amount)\n    account.balance -= amount\n    account.save()\n",
    ),
    (
        "await-removed",
        "async def f(db):\n    await db.save()\n    return 1\n",
        "async def f(db):\n    db.save()\n    return 1\n",
        "async def f(db):\n    await gather(db.save())\n    return 1\n",
    ),
    (
        "argument-removed-performance",
        "import requests\n\ndef f(url):\n    return requests.get(url, timeout=5)\n",
        "import requests\n\ndef f(url):\n    return requests.get(url)\n",
        "import requests\n\ndef f(url):\n    return requests.get(url, timeout=9)\n",
    ),
    (
        "argument-removed-bug",
        "import subprocess\n\ndef f(c):\n    subprocess.run(c, check=True)\n",
        "import subprocess\n\ndef f(c):\n    subprocess.run(c)\n",
        "import subprocess\n\ndef f(c):\n    subprocess.run(c, check=True, cwd='/')\n",
    ),
    (
        "argument-removed-security",
        "def f(tar, to):\n    tar.extractall(to, filter='data')\n",
        "def f(tar, to):\n    tar.extractall(to)\n",
        "def f(tar, to):\n    tar.extractall(to, filter='tar')\n",
    ),
    (
        "lock-removed",
        "class A:\n    def f(self):\n        with self.lock:\n            self.n += 1\n        return self.n\n",
        "class A:\n    def f(self):\n        self.n += 1\n        return self.n\n",
        "class A:\n    def f(self):\n        with self.mutex:\n            self.n += 1\n        return self.n\n",
    ),
    (
        "closing-removed",
        "def f(p):\n    with open(p) as h:\n        return h.read()\n",
        "def f(p):\n    h = open(p)\n    return h.read()\n",
        "def f(p):\n    h = open(p)\n    try:\n        return h.read()\n    finally:\n        h.close()\n",
    ),
    (
        "cleanup-removed",
        "def f(c):\n    c.start()\n    try:\n        c.work()\n        c.more()\n    finally:\n        c.stop()\n",
        "def f(c):\n    c.start()\n    c.work()\n    c.more()\n    c.stop()\n",
        "def f(c):\n    with c.running():\n        c.work()\n        c.more()\n",
    ),
    (
        "raise-removed",
        "def f(s):\n    try:\n        s.save()\n    except OSError:\n        log('x')\n        raise\n",
        "def f(s):\n    try:\n        s.save()\n    except OSError:\n        log('x')\n",
        "def f(s):\n    try:\n        s.save()\n    except OSError as e:\n        log('y')\n        raise Error from e\n",
    ),
    (
        "check-call-removed",
        "import html\n\ndef f(name):\n    name = html.escape(name)\n    return '<b>' + name + '</b>'\n",
        "import html\n\ndef f(name):\n    return '<b>' + name + '</b>'\n",
        "import html\n\ndef f(name):\n    return '<b>' + html.escape(name) + '</b>'\n",
    ),
    (
        "access-check-removed",
        "@login_required\n@route('/x')\ndef f(r):\n    return r\n",
        "@route('/x')\ndef f(r):\n    return r\n",
        "@admin_required\n@route('/x')\ndef f(r):\n    return r\n",
    ),
    (
        "decorator-removed",
        "class A:\n    @staticmethod\n    def f(x):\n        return x\n",
        "class A:\n    def f(x):\n        return x\n",
        "class A:\n    @classmethod\n    def f(x):\n        return x\n",
    ),
    (
        "return-removed",
        "def f(x):\n    y = x + 1\n    print(y)\n    if x:\n        return y\n    return 0\n",
        "def f(x):\n    y = x + 1\n    print(y)\n    if x:\n        return y\n",
        "def f(x):\n    y = x + 1\n    print(y)\n    if x:\n        return y\n    return -1\n",
    ),
    (
        "super-removed",
        "class A(B):\n    def close(self):\n        self.x = 1\n        self.y = 2\n        super().close()\n",
        "class A(B):\n    def close(self):\n        self.x = 1\n        self.y = 2\n",
        "class A(B):\n    def close(self):\n        self.x = 1\n        super().close()\n",
    ),
    (
        "turned-round",
        "def adult(age):\n    return age >= 18\n",
        "def adult(age):\n    return age > 18\n",
        "def adult(age, limit):\n    return age >= limit\n",
    ),
]


def rules_of(before: str, after: str, **more: str) -> list[str]:
    return [candidate.rule.removeprefix("kodo/") for candidate in candidates(before, after, **more)]


def candidates(before: str, after: str, **more: str) -> list[Candidate]:
    """What the checks and kodo's checks of a text say of a change; without the other analysers, which are slow."""
    old = {"m.py": before, **{f"{name}.py": "" for name in more}}
    new = {"m.py": after, **{f"{name}.py": text for name, text in more.items()}}
    files = read(VersionsSource(old, new), 1_000_000).files
    (file,) = [item for item in files if item.path == "m.py"]
    found = diff_checks.run(file, tested=any(is_test(item.path) for item in files))
    assert all(
        1 <= candidate.line <= len(file.lines) and candidate.line in file.touched for candidate in found
    )
    return found


@pytest.mark.parametrize(("rule", "before", "lost", "kept"), CHANGES)
def test_a_loss_is_reported_and_its_replacement_is_not(rule: str, before: str, lost: str, kept: str) -> None:
    """What the change took away is named; the same protection in another form is seen as such."""
    assert rule in rules_of(before, lost)
    assert rule not in rules_of(before, kept)


@pytest.mark.parametrize(("rule", "before", "lost", "kept"), CHANGES)
def test_putting_it_back_is_no_loss(rule: str, before: str, lost: str, kept: str) -> None:
    """The opposite change, which repairs, is not reported (but for the question which way round is meant)."""
    if rule != "turned-round":
        assert rule not in rules_of(lost, before)


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("a < b", "a <= b", "comparison"),
        ("a and b", "a or b", "and/or"),
        ("not a", "a", "condition"),
        ("a + b", "a - b", "sign"),
        ("a[1:b]", "a[1:b - 1]", "bound"),
        ("g(a, b)", "g(b, a)", "order of arguments"),
        ("max(a, b)", "min(a, b)", "function"),
        ("g(a, flag=True)", "g(a, flag=False)", "truth value"),
    ],
)
def test_what_was_turned_round_is_asked_about(before: str, after: str, what: str) -> None:
    """One thing turned round in an otherwise unchanged function is an opinion, never more."""
    form = "def f(a, b):\n    x = {}\n    return x\n"
    (found,) = [
        candidate
        for candidate in candidates(form.format(before), form.format(after))
        if candidate.rule == "kodo/turned-round"
    ]
    assert what in found.message
    assert found.kind == "opinion"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a and b or g(a)", "a and b"),
        ("a or b", "a and g(b)"),
        ("a + b", "a - g(b)"),
    ],
)
def test_what_lost_an_operand_or_got_another_one_was_not_turned_round(before: str, after: str) -> None:
    """To say that ``and`` was inverted where a condition was taken away is untrue."""
    form = "def f(a, b):\n    x = {}\n    return x\n"
    assert "turned-round" not in rules_of(form.format(before), form.format(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "def f(key):\n    found = of(key)\n    if not found:\n        return ()\n    return found[0]\n",
            "def f(key):\n    if not applies(key):\n        return ()\n    found = of(key)\n    return found[0]\n",
        ),
        (
            "def f(body):\n    with paused():\n        return read(body)\n",
            "def f(body):\n    with nothing if small(body) else paused():\n        return read(body)\n",
        ),
        (
            "@contextmanager\ndef f(ticket):\n    yield ticket\n    ticket.close()\n",
            "def f(ticket):\n    return Closing(ticket)\n",
        ),
    ],
)
def test_what_stands_there_in_another_form_was_not_removed(before: str, after: str) -> None:
    """An early exit by another condition, a manager chosen by a condition, a manager that is an object: seen on kodo itself."""
    assert not [one for one in rules_of(before, after) if one.endswith("-removed")]


def test_long_conditions_are_shown_where_they_differ() -> None:
    """Their beginnings alone would be one and the same text."""
    long = " or ".join(f"a.part{number} == b.part{number}" for number in range(9))
    form = "def f(a, b):\n    return a.last {} 0 and ({})\n"
    (found,) = [
        one
        for one in candidates(
            form.format("!=", long), form.format("!=", long.replace("part8 ==", "part8 !="))
        )
        if one.rule == "kodo/turned-round"
    ]
    shown = found.message.split("`")[1::2]
    assert shown[0] != shown[1] and "part8" in shown[0]


def test_a_changed_test_or_docstring_answers_the_question() -> None:
    """Where the change says what is meant, nothing is asked."""
    before, after = CHANGES[-1][1], CHANGES[-1][2]
    assert "turned-round" not in rules_of(before, after, test_m="assert adult(19)\n")
    documented = after.replace(":\n    return", ":\n    '''Over 18.'''\n    return", 1)
    assert "turned-round" not in rules_of(before, documented)


@pytest.mark.parametrize(
    "after",
    [
        "def f(key):\n    user = find_or_raise(key)\n    return user.name\n",
        "def f(key):\n    user = find(key) or Guest()\n    return user.name\n",
    ],
)
def test_a_value_from_elsewhere_needs_no_old_check(after: str) -> None:
    """Where the change also altered what the name can be, the check that went with it is not missed."""
    before = "def f(key):\n    user = find(key)\n    if user is None:\n        raise KeyError(key)\n    return user.name\n"
    assert "none-check-removed" not in rules_of(before, after)
    assert "none-check-removed" in rules_of(
        before, before.replace("    if user is None:\n        raise KeyError(key)\n", "")
    )


def test_a_parameter_that_may_no_longer_be_none_needs_no_check() -> None:
    """The annotation says so."""
    before = "def f(user: User | None):\n    if user is None:\n        return ''\n    return user.name\n"
    assert "none-check-removed" not in rules_of(before, "def f(user: User):\n    return user.name\n")


def test_every_rule_of_two_texts_has_an_example() -> None:
    """No rule about what was removed is without a case here."""
    text = files("kodo.jobs.review.checks").joinpath("rules.toml").read_text(encoding="utf-8")
    removed = {name for name in tomllib.loads(text) if "removed" in name}
    assert removed | {"turned-round"} == {rule for rule, *_ in CHANGES}


def test_a_rewritten_function_is_not_compared() -> None:
    """Where little of the old function is left, what it lost says nothing."""
    before = CHANGES[0][1]
    after = "def f(user):\n    table = load()\n    for row in table:\n        if row:\n            return row\n    return user.name\n"
    assert "none-check-removed" not in rules_of(before, after)
