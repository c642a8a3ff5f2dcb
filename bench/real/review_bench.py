"""Score ``kodo review --no-model`` on commits of well-known repositories.

    python -m bench.real reviews CLONES             review each commit and print the figures
    python -m bench.real reviews CLONES --cohort 2  those of the repositories added later, which are only scored
    python -m bench.real reviews CLONES --select    print commits.toml as the written rule gives it
    python -m bench.real reviews CLONES --venv ENV --dated FOLDER    with libraries of the commit's day where today's do not do

CLONES holds git directories: OWNER+NAME/repo, OWNER/NAME or NAME, a clone of each repository in repositories.toml.
"""

from __future__ import annotations

import argparse
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench.real.cases import Case, Kind, clone, make_case
from bench.real.environments import IMPORT_FAILED, NoEnvironment, dated
from bench.real.review_report import Row, report
from bench.real.review_score import review_case
from bench.real.selection import Commit, git, select

HERE = Path(__file__).parent


def main(arguments: Sequence[str]) -> int:
    """Run the bench; exit status 1 where a review ended in an exception."""
    parser = argparse.ArgumentParser(prog="python -m bench.real reviews", description=__doc__)
    parser.add_argument(
        "--select", action="store_true", help="print the commits that the rule gives; review nothing"
    )
    parser.add_argument("clones", type=Path)
    parser.add_argument(
        "--set", choices=["aside", "open", "all"], default="all", help="which half of the repositories"
    )
    parser.add_argument(
        "--cohort", type=int, help="only repositories that were added together, by this number"
    )
    parser.add_argument("--repository", action="append", default=[], help="only these (part of a name)")
    parser.add_argument("--kinds", default="bug,fix,clean")
    parser.add_argument("--count", type=int, default=4, help="select: commits of each kind a repository")
    parser.add_argument("--limit", type=int, default=0, help="at most this many cases of a kind a repository")
    parser.add_argument(
        "--skip", type=int, default=0, help="leave out the first cases of a kind a repository"
    )
    parser.add_argument("--venv", type=Path, help="an environment with what the projects import")
    parser.add_argument(
        "--dated",
        type=Path,
        help="review what does not import in VENV with libraries of its day, kept in this folder",
    )
    parser.add_argument(
        "--rows", type=Path, help="append each case's row here, and go on after those that are in it"
    )
    parser.add_argument("--types", action="store_true", help="run mypy beside ruff and bandit")
    parser.add_argument("--seconds", type=float, default=20.0, help="budget of a review for running code")
    args = parser.parse_args(arguments)
    repositories = _wanted(args, tomllib.loads((HERE / "repositories.toml").read_text()))
    if args.select:
        for name, listed in repositories.items():
            head, since = str(listed["head"]), str(listed.get("since", ""))
            found = select(find(args.clones, name), head, args.count, since)
            _print_selection(name, *found)
        return 0
    done = _read_rows(args.rows)
    with tempfile.TemporaryDirectory(prefix="kodo-real-clones-") as folder:
        for case in cases(args, repositories, Path(folder)):
            if any(row.name == case.name for row in done):
                continue
            row = review_case(case, args.seconds, types=args.types)
            if args.dated and args.venv and any(map(IMPORT_FAILED.search, row.not_run)):
                row = _of_its_day(case, row, args)
            done.append(row)
            print(row.line(), flush=True)
            if args.rows:
                with args.rows.open("ab") as file:
                    file.write(msgspec.json.encode(row) + b"\n")
    wanted = [row for row in done if args.set == "all" or row.aside == (args.set == "aside")]
    print(report(wanted))
    return int(any(row.crash for row in wanted))


def _of_its_day(case: Case, row: Row, args: argparse.Namespace) -> Row:
    """What a review says with the libraries of the day of the commit; ``row`` with the reason where there are none, or where they are of no
    use.
    """
    link = case.root / ".venv"
    try:
        environment = dated(case.root, case.commit, args.venv, args.dated)
        link.unlink()
        link.symlink_to(environment.resolve())
        again = review_case(case, args.seconds, types=args.types)
    except NoEnvironment as error:
        return msgspec.structs.replace(row, environment=str(error))
    finally:
        link.unlink(missing_ok=True)
        link.symlink_to(args.venv.resolve())
    if again.inputs < row.inputs:
        return msgspec.structs.replace(row, environment="less could be run with the libraries of its day")
    return msgspec.structs.replace(
        again, environment=git(case.root, "log", "-1", "--format=%cs", case.commit).strip()
    )


def _wanted(
    args: argparse.Namespace, repositories: dict[str, dict[str, object]]
) -> dict[str, dict[str, object]]:
    """The repositories that the command line names: by half, cohort and parts of their names."""
    return {
        name: row
        for name, row in repositories.items()
        if (args.set == "all" or bool(row["aside"]) == (args.set == "aside"))
        and args.cohort in (None, row.get("cohort", 1))
        and (not args.repository or any(part in name for part in args.repository))
    }


def cases(
    args: argparse.Namespace, repositories: dict[str, dict[str, object]], folder: Path
) -> Iterator[Case]:
    """The cases that are wanted, repository by repository."""
    listed = tomllib.loads((HERE / "commits.toml").read_text())
    for name, row in repositories.items():
        aside = bool(row["aside"])
        root = folder / name.replace("/", "+")
        clone(find(args.clones, name), root, args.venv)
        kinds: dict[Kind, list[str]] = {
            "bug": listed[name]["bugs"],
            "fix": listed[name]["bugs"],
            "clean": listed[name]["clean"],
        }
        for kind, commits in kinds.items():
            if kind in args.kinds.split(","):
                for sha in commits[args.skip :][: args.limit or None]:
                    subject = git(root, "log", "-1", "--format=%s", sha).strip()
                    yield make_case(name, root, Commit(sha, subject, (), ()), kind, aside)


def find(clones: Path, name: str) -> Path:
    """The git directory of a repository below the folder of clones. Raises SystemExit where it is not there."""
    owner, _, last = name.partition("/")
    for path in (clones / f"{owner}+{last}" / "repo", clones / owner / last, clones / last):
        if path.is_dir():
            return path
    raise SystemExit(f"{clones}: no clone of {name}")


def _print_selection(name: str, bugs: Sequence[Commit], clean: Sequence[Commit]) -> None:
    print(f'\n["{name}"]')
    for kind, found in (("bugs", bugs), ("clean", clean)):
        print(f"{kind} = [")
        for commit in found:
            print(f'  "{commit.id}",')
        print("]")


def _read_rows(path: Path | None) -> list[Row]:
    if path is None or not path.exists():
        return []
    return [msgspec.json.decode(line, type=Row) for line in path.read_bytes().splitlines()]
