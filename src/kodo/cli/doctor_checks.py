"""The checks of ``kodo doctor``, one function each. A problem is a check's result, never an exception."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator

from kodo import __version__
from kodo.cli.doctor_cluster import cluster_checks
from kodo.cli.doctor_model import Check
from kodo.cli.error_words import in_lang
from kodo.cli.exit_codes import ExitCode
from kodo.cli.extras import explain
from kodo.cli.failures import code_of
from kodo.cli.output import Output
from kodo.client.error_translation import translate
from kodo.client.errors import EndpointError, KodoError, SettingsError
from kodo.client.i18n import Catalogue
from kodo.client.ledger import Ledger
from kodo.client.session import Session
from kodo.home import kodo_home
from kodo.sandbox import Sandbox, SandboxError

MESSAGES = Catalogue(
    {
        "settings": ("profile {profile}, model {model}", "プロファイル {profile}、モデル {model}"),
        "home_new": ("{path} (created when needed)", "{path}（必要になったときに作成されます）"),
        "home_impossible": (
            "{path} cannot be created: {parent} is not a folder that can be written to",
            "{path} を作成できません。{parent} は書き込み可能なフォルダーではありません",
        ),
        "home_closed": ("{path} is not writable", "{path} に書き込めません"),
        "configured": ("{url} (configured), key: {api_key}", "{url}（設定済み）、キー: {api_key}"),
        "running": ("{url} (kodo running on this machine)", "{url}（このマシンで起動中の kodo）"),
        "would_start": (
            "none configured or running; each command starts a local kodo for itself",
            "設定済みまたは起動中のサーバーはありません。コマンドの実行中だけローカルの kodo を起動します",
        ),
        "key_set": ("set", "あり"),
        "key_none": ("none", "なし"),
        "answers": (
            "responds; {count} models, including {model}",
            "応答あり（{model} を含むモデル {count} 件）",
        ),
        "no_model": (
            "responds, but has no model {model} (available: {names})",
            "応答はありますが、モデル {model} がありません（利用可能: {names}）",
        ),
        "not_asked": ("skipped: no server is running", "未確認（起動中のサーバーがありません）"),
        "ledger": (
            "{path}: {calls:,} calls, limits: {limits}",
            "{path}: 呼び出し {calls:,} 件、上限: {limits}",
        ),
        "no_limits": ("none", "なし"),
        "could_run": (
            "{memory:.1f} GB of memory; kodo model pull could fetch {models}",
            "メモリー {memory:.1f} GB。kodo model pull で取得できるモデル: {models}",
        ),
        "no_fitting_model": ("none of the catalogue", "カタログにはありません"),
        "no_git": (
            "git not found; kodo review needs it",
            "git が見つかりません。kodo review には git が必要です",
        ),
    }
)

_NAMES_SHOWN = 5


def all_checks(
    base_url: str | None, profile: str | None, model: str | None, output: Output
) -> Iterator[Check]:
    """Every check in turn; later ones are left out where an earlier one leaves nothing to look at."""
    say = output.using(MESSAGES)
    yield Check(
        "kodo",
        "ok",
        f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )
    yield _home(say)
    try:
        with Session(base_url=base_url, profile=profile, model=model, job="doctor") as session:
            yield Check(
                "settings",
                "ok",
                say.say("settings", profile=session.settings.profile or "-", model=session.settings.model),
            )
            yield from _server(session, say)
            yield _ledger(session.ledger, say)
    except SettingsError as error:
        yield Check("settings", "failed", say.error(error), code_of(error))
    yield _models(say)
    yield from cluster_checks(output)
    yield _sandbox(say)
    yield _git(say)


def _home(say: Output) -> Check:
    path = kodo_home()
    if not path.exists():
        parent = next(one for one in path.absolute().parents if one.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
            text = say.say("home_impossible", path=path, parent=parent)
            return Check("home", "failed", text, ExitCode.BAD_INPUT)
        return Check("home", "ok", say.say("home_new", path=path))
    if not os.access(path, os.W_OK | os.X_OK):
        return Check("home", "failed", say.say("home_closed", path=path), ExitCode.BAD_INPUT)
    return Check("home", "ok", str(path))


def _server(session: Session, say: Output) -> Iterator[Check]:
    """Where calls would go, and whether something answers there. Starts nothing."""
    try:
        endpoint = session.endpoint(start=False)
    except EndpointError:
        yield Check("endpoint", "warning", say.say("would_start"))
        yield Check("server", "warning", say.say("not_asked"))
        return
    except KodoError as error:
        yield Check("endpoint", "failed", say.error(error), code_of(error))
        return
    key = say.say("key_set" if endpoint.api_key else "key_none")
    yield Check("endpoint", "ok", say.say(endpoint.source, url=endpoint.base_url, api_key=key))
    yield _answers(session, say)


def _answers(session: Session, say: Output) -> Check:
    import openai

    model = session.settings.model
    try:
        names = [listed.id for listed in session.client().with_options(timeout=10.0).models.list()]
    except openai.OpenAIError as error:
        failure = translate(error)
        return Check("server", "failed", say.error(failure), code_of(failure))
    if model in names:
        return Check("server", "ok", say.say("answers", count=len(names), model=model))
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
    return Check("server", "warning", say.say("no_model", model=model, names=shown))


def _ledger(ledger: Ledger, say: Output) -> Check:
    ((calls,),) = ledger.query("SELECT count(*) FROM calls")
    limits = ", ".join(f"${usd} / {scope}" for scope, usd in ledger.limits().limits())
    return Check(
        "ledger",
        "ok",
        say.say("ledger", path=ledger.path, calls=calls, limits=limits or say.say("no_limits")),
    )


def _models(say: Output) -> Check:
    """Which models of the catalogue this machine's memory is enough for."""
    try:
        from kodo.server.http import admin
    except ModuleNotFoundError as error:
        return Check("models", "warning", in_lang(explain(error) or str(error), say.lang))
    memory = admin.available_memory()
    fitting = []
    for use in admin.USES:
        try:
            entry = admin.find_in_catalogue(use)
        except admin.WeightsError:
            continue
        if entry is not None:
            fitting.append(f"{use}: {entry.name} ({entry.download_bytes / 1e9:.1f} GB)")
    shown = ", ".join(fitting) or say.say("no_fitting_model")
    return Check("models", "ok", say.say("could_run", memory=memory / 1e9, models=shown))


def _sandbox(say: Output) -> Check:
    """How well generated code would be locked in, found out by trying to get out."""
    try:
        isolation = Sandbox().probe()
    except SandboxError as error:
        return Check("sandbox", "warning", say.error(error))
    words = in_lang(isolation.line(), say.lang)
    return Check("sandbox", "ok" if isolation.level == "full" else "warning", words)


def _git(say: Output) -> Check:
    path = shutil.which("git")
    return Check("git", "ok", path) if path else Check("git", "warning", say.say("no_git"))
