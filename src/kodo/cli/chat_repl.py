"""The conversation of ``kodo chat``, a line at a time: which lines are commands, which are turns, and how each is shown.

It does not know where lines come from (a terminal, a pipe), so tests give it lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kodo.cli.failures import as_command_error
from kodo.cli.output import Output, print_note
from kodo.cli.spending import describe_estimate
from kodo.client.errors import KodoError
from kodo.client.i18n import Catalogue
from kodo.jobs.generate.chat import Chat, saved_chats

MESSAGES = Catalogue(
    {
        "help": (
            "/undo  undo the last turn\n"
            "/history  show the conversation\n"
            "/save NAME  save this chat under a name\n"
            "/chats  list the saved chats\n"
            "/quit  leave (also Ctrl-D)",
            "/undo  直前のやりとりを取り消します\n"
            "/history  これまでのやりとりを表示します\n"
            "/save 名前  この会話に名前を付けて保存します\n"
            "/chats  保存した会話を一覧表示します\n"
            "/quit  終了します（Ctrl-D も可）",
        ),
        "resume_alone": (
            "--resume cannot be combined with --name or --instructions",
            "--resume は --name や --instructions と同時に指定できません",
        ),
        "unknown": (
            "unknown command {name}; /help lists the commands",
            "{name} は不明なコマンドです。/help で一覧を表示します",
        ),
        "undone": ("undone: {said}", "取り消しました: {said}"),
        "nothing_to_undo": ("nothing to undo", "取り消すやりとりがありません"),
        "save_what": ("/save needs a name", "/save には名前を指定してください"),
        "saved": (
            "saved: {name} (kodo chat --resume {name})",
            "保存しました: {name}（kodo chat --resume {name}）",
        ),
        "no_chats": ("no saved chats", "保存された会話はありません"),
        "empty": ("the conversation is empty", "まだやりとりはありません"),
        "stopped": ("stopped; this turn was discarded", "中断しました。このやりとりは保存されません"),
        "cost": ("${usd:.6f} so far", "累計 ${usd:.6f}"),
    }
)

_SHOWN = 60


@dataclass
class ChatRepl:
    """One conversation. ``dry_run`` estimates turns instead of sending them; ``keep_going`` survives failed turns."""

    chat: Chat
    output: Output
    dry_run: bool = False
    keep_going: bool = True

    def handle(self, line: str) -> bool:
        """Take one line in: a command, a turn, or nothing. False when the user wants to leave.

        Raises:
            CommandError: a turn failed, unless the conversation is to keep going.
        """
        text = line.strip()
        if not text:
            return True
        name, _, argument = text.partition(" ")
        if name in ("/quit", "/exit"):
            return False
        if text.startswith("/"):
            self._command(name, argument.strip())
        else:
            self._turn(text)
        return True

    def _command(self, name: str, argument: str) -> None:
        commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: self.output.warn("help"),
            "/undo": lambda _: self._undo(),
            "/history": lambda _: self._history(),
            "/save": self._save,
            "/chats": lambda _: self._chats(),
        }
        if name in commands:
            commands[name](argument)
        else:
            self.output.warn("unknown", name=name)

    def _turn(self, text: str) -> None:
        try:
            if self.dry_run:
                estimate = self.chat.session.estimate(text, **self.chat.transcript.options({}))
                self.output.result(describe_estimate(estimate, self.output))
            else:
                self._stream(text)
        except KodoError as error:
            failure = as_command_error(error, self.output.lang)
            if not self.keep_going:
                raise failure from error
            print_note(failure.message)

    def _stream(self, text: str) -> None:
        """Show one answer as it is written; its line is ended also when it breaks off."""
        stopped = False
        last = ""
        try:
            for piece in self.chat.stream(text):
                self.output.result(piece, end="")
                last = piece
        except KeyboardInterrupt:
            if not self.keep_going:
                raise
            stopped = True
        finally:
            if last and not last.endswith("\n"):
                self.output.result("")
        if stopped:
            self.output.warn("stopped")
        else:
            self.output.note("cost", usd=self.chat.session.spent)

    def _undo(self) -> None:
        turn = self.chat.undo()
        if turn is None:
            self.output.warn("nothing_to_undo")
        else:
            self.output.warn("undone", said=turn.said[:_SHOWN])

    def _history(self) -> None:
        if not self.chat.turns:
            self.output.warn("empty")
        for turn in self.chat.turns:
            self.output.result(f"> {turn.said}\n{turn.answered}\n")

    def _save(self, name: str) -> None:
        if not name:
            self.output.warn("save_what")
            return
        try:
            self.chat.save(name)
        except (ValueError, OSError) as error:
            print_note(self.output.error(error))
        else:
            self.output.warn("saved", name=name)

    def _chats(self) -> None:
        names = saved_chats()
        if not names:
            self.output.warn("no_chats")
        for name in names:
            self.output.result(name)
