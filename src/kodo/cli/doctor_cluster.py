"""The checks of ``kodo doctor`` for several servers on one PostgreSQL: the database, the servers, the folder they share.

Nothing where the settings name no database.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kodo.cli.doctor_model import Check
from kodo.cli.error_words import in_lang
from kodo.cli.exit_codes import ExitCode
from kodo.cli.output import Output
from kodo.client.i18n import Catalogue

if TYPE_CHECKING:
    from kodo.server.http.admin import ClusterReport, PlaceReport

MAX_SKEW: Final = 1.0
"""Seconds that this machine's clock may differ from the database's without a warning."""
_SHOWN: Final = 8
"""Servers that are listed."""

CLUSTER_MESSAGES = Catalogue(
    {
        "database": ("PostgreSQL {version}, {place}", "PostgreSQL {version}、{place}"),
        "schema_new": (
            "empty; the first server makes the tables",
            "空です。最初のサーバーが表を作成します",
        ),
        "schema": ("version {found} of {newest}", "版 {found} / {newest}"),
        "schema_behind": (
            "version {found} of {newest}; the first server of this version migrates it",
            "版 {found} / {newest}。この版の最初のサーバーが移行します",
        ),
        "schema_ahead": (
            "version {found}, and this kodo knows {newest}: upgrade it soon",
            "版 {found}。この kodo が知るのは {newest} までです。早めに更新してください",
        ),
        "schema_too_new": (
            "version {found}, and this kodo knows {newest}: it would not start",
            "版 {found}。この kodo が知るのは {newest} までなので、起動できません",
        ),
        "connections": (
            "{used} of {most} in use; a server takes up to {each}",
            "{most} 件中 {used} 件使用中。サーバー一台につき最大 {each} 件",
        ),
        "connections_few": (
            "{used} of {most} in use, and {servers} servers take up to {each} each: raise max_connections",
            "{most} 件中 {used} 件使用中。サーバー {servers} 台は一台につき最大 {each} 件使います。max_connections を増やしてください",
        ),
        "clock": ("{seconds:+.2f} s from the database's", "データベースの時計との差 {seconds:+.2f} 秒"),
        "clock_off": (
            "{seconds:+.1f} s from the database's; leases do not mind, but times that are shown do",
            "データベースの時計との差 {seconds:+.1f} 秒。リースには影響しませんが、表示される時刻がずれます",
        ),
        "pgvector": ("pgvector {version}", "pgvector {version}"),
        "pgvector_available": (
            "pgvector is installed but not in this database: CREATE EXTENSION vector",
            "pgvector は導入済みですが、このデータベースにはありません: CREATE EXTENSION vector",
        ),
        "pgvector_none": (
            "no pgvector; large vector stores are searched slowly",
            "pgvector はありません。大きなベクトルストアの検索は遅くなります",
        ),
        "no_servers": ("none is running", "起動中のサーバーはありません"),
        "server": (
            "{name} ({role}, kodo {version}), up {age:.0f} s, lease {lease:.1f} s",
            "{name}（{role}、kodo {version}）、起動から {age:.0f} 秒、リース残り {lease:.1f} 秒",
        ),
        "server_silent": (
            "{name} ({role}, kodo {version}): its lease was over {late:.1f} s ago; others take its work",
            "{name}（{role}、kodo {version}）: リースは {late:.1f} 秒前に切れました。他のサーバーが仕事を引き継ぎます",
        ),
        "servers_more": ("… and {count} more", "…ほか {count} 台"),
        "folder": ("{path}, the same for all {servers} servers", "{path}（{servers} 台すべて同じ）"),
        "folder_new": (
            "{path}: no server has used it yet",
            "{path}: まだどのサーバーも使っていません",
        ),
        "folder_alone": ("{path}, writable", "{path}（書き込み可能）"),
        "folder_closed": ("{path} cannot be written: {why}", "{path} に書き込めません: {why}"),
        "folder_differs": (
            "{path} is not what {names} use: set shared_folder or files to the same everywhere",
            "{path} は {names} が使うものと異なります。すべてのサーバーで同じ shared_folder または files を指定してください",
        ),
    }
)


def cluster_checks(say: Output) -> Iterator[Check]:
    """Checks of the database that the settings name, of who uses it, and of the shared folder."""
    try:
        from kodo.server.http import admin
    except ModuleNotFoundError:
        return  # the check of the models says so
    say = say.using(CLUSTER_MESSAGES)
    try:
        report = admin.inspect_cluster()
    except admin.StoreFailed as error:
        yield Check("database", "failed", say.error(error), ExitCode.BAD_INPUT)
        return
    if report is None:
        yield from _files_alone(say)
        return
    database = report.database
    yield Check("database", "ok", say.say("database", version=database.version, place=database.place))
    yield _schema(report, say)
    yield _connections(report, say)
    off = abs(database.clock_ahead) > MAX_SKEW
    said = say.say("clock_off" if off else "clock", seconds=-database.clock_ahead)
    yield Check("clock", "warning" if off else "ok", said)
    yield _pgvector(report, say)
    yield from _servers(report, say)
    yield _folder(report, say)


def _schema(report: ClusterReport, say: Output) -> Check:
    found, newest = report.database.schema, report.database.newest
    if found > newest + report.database.ahead:
        said = say.say("schema_too_new", found=found, newest=newest)
        return Check("schema", "failed", said, ExitCode.BAD_INPUT)
    if found > newest:
        return Check("schema", "warning", say.say("schema_ahead", found=found, newest=newest))
    name = "schema_new" if not found else "schema_behind" if found < newest else "schema"
    return Check("schema", "ok", say.say(name, found=found, newest=newest))


def _connections(report: ClusterReport, say: Output) -> Check:
    database, servers = report.database, max(1, len(report.database.servers))
    few = database.max_connections < servers * database.connections_each
    said = say.say(
        "connections_few" if few else "connections",
        used=database.connections,
        most=database.max_connections,
        each=database.connections_each,
        servers=servers,
    )
    return Check("connections", "warning" if few else "ok", said)


def _pgvector(report: ClusterReport, say: Output) -> Check:
    version = report.database.pgvector
    if version:
        return Check("pgvector", "ok", say.say("pgvector", version=version))
    return Check("pgvector", "warning", say.say("pgvector_none" if version is None else "pgvector_available"))


def _servers(report: ClusterReport, say: Output) -> Iterator[Check]:
    servers = report.database.servers
    if not servers:
        yield Check("node", "warning", say.say("no_servers"))
    for one in servers[:_SHOWN]:
        names = {"name": one.name, "role": one.role, "version": one.version}
        if one.lease < 0:
            yield Check("node", "warning", say.say("server_silent", late=-one.lease, **names))
        else:
            yield Check("node", "ok", say.say("server", age=one.age, lease=one.lease, **names))
    if len(servers) > _SHOWN:
        yield Check("node", "ok", say.say("servers_more", count=len(servers) - _SHOWN))


def _files_alone(say: Output) -> Iterator[Check]:
    """The place of files of a server that shares its store with no other, where the settings name one."""
    from kodo.server.http import admin

    try:
        place = admin.inspect_files()
    except admin.StoreFailed as error:
        yield Check("folder", "failed", say.error(error), ExitCode.BAD_INPUT)
        return
    if place is not None:
        yield _closed(place, say) or Check("folder", "ok", say.say("folder_alone", path=place.name))


def _closed(place: PlaceReport, say: Output) -> Check | None:
    if place.problem is None:
        return None
    said = say.say("folder_closed", path=place.name, why=in_lang(place.problem, say.lang))
    return Check("folder", "failed", said, ExitCode.BAD_INPUT)


def _folder(report: ClusterReport, say: Output) -> Check:
    place = report.place
    if (closed := _closed(place, say)) is not None:
        return closed
    others = [one for one in report.database.servers if one.folder is not None]
    if differing := [one.name for one in others if one.folder != place.id]:
        said = say.say("folder_differs", path=place.name, names=", ".join(differing[:_SHOWN]))
        return Check("folder", "failed", said, ExitCode.BAD_INPUT)
    if place.id is None:
        return Check("folder", "warning", say.say("folder_new", path=place.name))
    return Check("folder", "ok", say.say("folder", path=place.name, servers=len(others)))
