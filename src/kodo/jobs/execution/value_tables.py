"""A plain value of each kind, and its boundaries, as Python source."""

from kodo.jobs.execution import mocks, types_as_values

PLAIN = {
    "int": "3", "float": "2.5", "bool": "True", "str": "'abc'", "bytes": "b'abc'", "none": "None", "complex": "(1+2j)",
    "any": "1", "path": "pathlib.Path('data.txt')", "decimal": "decimal.Decimal('2.5')", "range": "range(3)",
    "fraction": "fractions.Fraction(1, 2)", "date": "datetime.date(2024, 3, 15)", "time": "datetime.time(12, 30)",
    "datetime": "datetime.datetime(2024, 3, 15, 12, 30)", "timedelta": "datetime.timedelta(hours=1)",
    "callable": "abs", "uuid": "uuid.UUID(int=1)", "file": "io.StringIO('abc')",
    "mock": mocks.SOURCE, "kind": types_as_values.SOURCES[0], "awaitable": "asyncio.sleep(0, 1)",
}  # fmt: skip
"""Of each kind, one that is nothing special."""
EDGES = {
    "int": ("0", "1", "-1", "2", "10", "100", "-100", "255", "2147483648", "10**20"),
    "float": ("0.0", "1.0", "-1.0", "0.5", "1e-09", "100.0", "-0.1", "float('inf')", "float('nan')"),
    "bool": ("False", "True"),
    "str": ("''", "' '", "'a'", "'A'", "'ab'", "'Hello, World!'", "'  x  '", "'a b c'", "'a,b'", "'123'", "'-1'", "'aa'",
            "'été 日本'", "'line\\nline'", "'x' * 50"),
    "bytes": ("b''", "b'\\x00'", "b'\\xff\\xfe'", "b'a b'"),
    "none": ("None",),
    "any": ("None", "0", "''", "'abc'", "[]", "[1, 2]", "{}", "2.5", "True", "(1, 2)"),
    "complex": ("0j", "-1j"),
    "path": ("pathlib.Path('')", "pathlib.Path('a/b.tar.gz')", "pathlib.Path('.hidden')"),
    "decimal": ("decimal.Decimal(0)", "decimal.Decimal('-1.005')", "decimal.Decimal('0.125')"),
    "fraction": ("fractions.Fraction(0)", "fractions.Fraction(-7, 3)"),
    "range": ("range(0)", "range(1, 10, 3)"),
    "date": ("datetime.date(2024, 2, 29)", "datetime.date(2023, 12, 31)", "datetime.date(2024, 1, 1)", "datetime.date(1900, 1, 1)"),
    "datetime": ("datetime.datetime(2024, 2, 29)", "datetime.datetime(2024, 3, 10, 2, 30, tzinfo=datetime.timezone.utc)",
                 "datetime.datetime(2024, 3, 10, 2, 30, tzinfo=datetime.timezone(-datetime.timedelta(hours=3, minutes=30)))",
                 "datetime.datetime(2024, 7, 4, 12, 0)", "datetime.datetime(2024, 10, 27, 1, 30)",
                 "datetime.datetime(1999, 12, 31, 23, 59, 59)", "datetime.datetime(2023, 1, 31)"),
    "time": ("datetime.time(0, 0)", "datetime.time(23, 59, 59)"),
    "timedelta": ("datetime.timedelta(0)", "datetime.timedelta(days=-1)", "datetime.timedelta(days=1, seconds=5)"),
    "callable": ("len", "str", "lambda *args: args[0] if args else None", "lambda *args: True", "'abc'.upper", "dict",
                 "types.MethodType(lambda self, a, b=1: (self, a, b), 'x')", "functools.partial(max, 1)"),
    "uuid": ("uuid.UUID(int=0)",),
    "file": ("io.BytesIO(b'abc')", "io.StringIO()", "io.BytesIO()", "io.StringIO('a b\\nc\\n')", "io.BytesIO(b'a b\\nc\\n')"),
    "kind": types_as_values.SOURCES,
    "awaitable": ("asyncio.sleep(0, 'a')", "asyncio.sleep(0)"),
}  # fmt: skip
"""Of each kind, those that code treats apart."""
