"""Which of ruff's rules a review uses, and what each is about.

The selection is by hand: rules whose remark a reviewer would make. Left out are matters of layout, of taste
(quotes, commas, docstrings), and rules that are right less often than not in ordinary code (S311, S603, S608, PLR2004).
Codes were checked against ruff 0.17.6, whose version is pinned; a test compares the table with `ruff rule --all`.
"""

from kodo.toolkit.report.model import Category, Severity

_TABLE = """
bug error: F501 F502 F503 F505 F506 F507 F508 F509 F521 F524 F525 F621 F622 F631 F633 F634 F701 F702 F704 F706 F707
bug error: F821 F822 F823 F901 B002 B012 B016 B020 B029 B030 B032 B035 B039 PLE0100 PLE0101 PLE0115 PLE0116 PLE0117
bug error: PLE0118 PLE0237 PLE0241 PLE0302 PLE0303 PLE0304 PLE0305 PLE0307 PLE0308 PLE0309 PLE0604 PLE0605 PLE0643
bug error: PLE0704 PLE1132 PLE1142 PLE1205 PLE1206 PLE1300 PLE1307 PLE1507 PLE1519 PLE1520 PLE1700 PLW2101 PLW1501
bug error: RUF016 RUF024 RUF008 RUF026 RUF063 G101 B031 PLW0711 PLW0245
bug warning: B003 B004 B005 B006 B008 B015 B018 B021 B022 B023 B025 B033 B034 B909 E721 F402 F404 F406 F504 F522 F523
bug warning: F601 F602 F632 F702 F811 F841 W605 PIE794 PIE796 PLE1310 PLE4703 PLR0124 PLR0133 PLR0206 PLR1708 PLW0127 PLW0128
bug warning: PLW0129 PLW0131 PLW0133 PLW0177 PLW0211 PLW0406 PLW0602 PLW0604 PLW0642 PLW1507 PLW1508 PLW1509 PLW1641
bug warning: RUF006 RUF009 RUF018 RUF032 RUF033 RUF034 RUF040 RUF048 RUF049 RUF060 RUF064 RUF071 SIM107 SIM115
bug warning: SIM220 SIM221 SIM222 SIM223 ISC004 INT001 INT002 INT003 LOG014 YTT101 YTT102 YTT103 YTT201 YTT203
bug warning: YTT204 YTT301 YTT302 YTT303 DTZ003 DTZ004 DTZ005 DTZ006 C415 ASYNC100 ASYNC105
bug info: DTZ001 DTZ007 DTZ011 DTZ012 RUF012 RUF027 RUF069 RUF059
security error: S102 S201 S202 S307 S323 S501 S502 S506 S507 S602 S604 S605 S609
security warning: S103 S105 S106 S107 S108 S113 S301 S302 S304 S305 S306 S308 S312 S313 S314 S315 S316 S317 S318 S319
security warning: S321 S324 S503 S504 S505 S601 S610 S611 S612 S701 S702 S704 PLE2502 PLE2510 PLE2512 PLE2513 PLE2514
security warning: PLE2515
security info: S104 S508 S509
performance warning: ASYNC115 ASYNC210 ASYNC212 ASYNC220 ASYNC221 ASYNC222 ASYNC230 ASYNC250 ASYNC251 B019 RUF017
performance info: ASYNC110 ASYNC116 PERF101 PERF102 PERF401 PERF402 PERF403 C400 C401 C402 C403 C404 C411 C414 C419
performance info: FURB129 FURB192 RUF015 PLR1733 PLR1736 C413
practice warning: B011 B017 B026 BLE001 E711 E712 E722 F403 S110 S112 T100 B904 PLW0120 PLR1704 LOG009 G010
practice info: B024 B028 B905 PLW0603 PLW1510 PLR1722 RUF013 RUF043 TRY002 TRY203 TRY400 TRY401 LOG002 LOG007 PLC0414
readability info: F401 F541 A001 A002 B007 B013 B014 C405 C406 C409 C410 C416 C417 C418 C901 E713 E714 E731 E741 E742
readability info: E743 N801 N802 N804 N805 PIE804 PIE810 PLC0206 PLC0208 PLC3002 PLR0402 PLR1711 PLR1714 PLR1716 PLR1730
readability info: PLR5501 PLW0108 PLW2901 PLW3301 RET501 RET502 RET503 RUF005 RUF007 RUF010 RUF019 RUF020 RUF021 RUF030
readability info: RUF046 RUF057 SIM101 SIM102 SIM103 SIM109 SIM113 SIM114 SIM118 SIM201 SIM202 SIM208 SIM210 SIM211 SIM212
readability info: SIM401 SIM910 SIM911 TRY201 FURB105 FURB136 FURB168 FURB169 FURB187 FURB188
"""


def _read(table: str) -> dict[str, tuple[Category, Severity]]:
    rules: dict[str, tuple[Category, Severity]] = {}
    for row in table.strip().splitlines():
        head, codes = row.split(": ")
        category, severity = head.split()
        for code in codes.split():
            rules.setdefault(code, (Category(category), Severity(severity)))
    return rules


RULES = _read(_TABLE)
IN_TESTS_IGNORED = frozenset(
    """
    B011 B015 B017 B018 BLE001 DTZ001 DTZ005 DTZ007 DTZ011 E712 PLR0124 PLR0133 PLW1510 S104 S105 S106 S107 S108 S110
    S113 S301 S306 S324 SIM115
    """.split()  # noqa: SIM905 -- a table of codes reads better as words
)
"""Rules that say nothing about a test: fixed passwords, comparisons made on purpose, local files."""
FRAMEWORK_DEFAULTS = frozenset(
    {
        "Depends",
        "Query",
        "Body",
        "Header",
        "Path",
        "Form",
        "File",
        "Cookie",
        "Security",
        "Option",
        "Argument",
        "Field",
    }
    | {"Inject", "Provide", "Injected"}
)
"""Calls that are made to stand in a default (FastAPI, typer, pydantic, injectors), which B008 would report."""
