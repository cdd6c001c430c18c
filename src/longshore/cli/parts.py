"""What every command is made of: global options in any place, lazy groups, checked values.

Global options may stand before and after a command's name, so each command carries them; what
stands last wins, and an environment variable never wins over what was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, Final, TypeVar

import click
import msgspec

from longshore.cli.exit import UNKNOWN_COMMAND, UNKNOWN_OPTION, Failure
from longshore.core.durations import seconds
from longshore.core.options import check_priority, check_queue
from longshore.core.wording import did_you_mean, shown
from longshore.errors import InvalidOption

F = TypeVar("F", bound=Callable[..., Any])

SETTINGS: Final = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": None,
    "max_content_width": 100,
    "show_default": True,
}
#: Set by the script of a shell that asks what may come next.
COMPLETE: Final = "_LONGSHORE_COMPLETE"

FORMATS: Final = ("auto", "table", "json", "jsonl", "plain")
COLORS: Final = ("auto", "always", "never")


class Globals(msgspec.Struct):
    """The global options as they stand so far."""

    app: str | None = None
    output: str = "auto"
    color: str = "auto"
    quiet: bool = False
    verbose: int = 0
    written: set[str] = msgspec.field(default_factory=set[str])


def globals_of(ctx: click.Context) -> Globals:
    """The global options of the running command."""
    root = ctx.find_root()
    if not isinstance(root.obj, Globals):
        root.obj = Globals()
    return root.obj


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    name = param.name or ""
    source = ctx.get_parameter_source(name)
    options = globals_of(ctx)
    if source is click.core.ParameterSource.COMMANDLINE:
        options.written.add(name)
    elif source is not click.core.ParameterSource.ENVIRONMENT or name in options.written:
        return
    if name == "app" and source is click.core.ParameterSource.ENVIRONMENT:
        return  # discovery reads it itself and says so in its messages
    setattr(options, name, value)


def _global_options() -> list[click.Parameter]:
    return [
        _global("-A", "--app", metavar="MODULE:ATTRIBUTE", help="The application's object."),
        _global(
            "-o",
            "--output",
            type=click.Choice(FORMATS),
            default="auto",
            help="Form of the data: auto is a table on a terminal, else plain.",
        ),
        _global(
            "--color",
            type=click.Choice(COLORS),
            default="auto",
            help="Colour; auto heeds NO_COLOR and FORCE_COLOR.",
        ),
        _global("-q", "--quiet", is_flag=True, help="Say nothing but data and errors."),
        _global("-v", "--verbose", count=True, help="Say more; with errors, whole tracebacks."),
    ]


def _global(*names: str, **rest: Any) -> click.Option:
    variable = f"LONGSHORE_{names[-1].removeprefix('--').upper()}"
    return click.Option(
        list(names),
        envvar=variable,
        show_envvar=True,
        show_default=False,
        expose_value=False,
        callback=_remember,
        is_eager=True,
        **rest,
    )


def option(*names: str, variable: str, **rest: Any) -> Callable[[F], F]:
    """An option that an environment variable can give as well; the help shows it."""
    return click.option(*names, envvar=f"LONGSHORE_{variable}", show_envvar=True, **rest)


class _WithGlobals(click.Command):
    """Shared by commands and groups: the global options, examples first, near options."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **rest: Any) -> None:
        rest.setdefault("context_settings", SETTINGS)
        super().__init__(*args, **rest)
        self.examples = tuple(examples)
        self.params.extend(_global_options())

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
            formatter.write("\n")
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = [name for param in self.params for name in param.opts]
            raise Failure(
                UNKNOWN_OPTION,
                f"{ctx.command_path} has no option {shown(error.option_name)[1:-1]}."
                f"{did_you_mean(error.option_name, known)}",
            ) from None


class Command(_WithGlobals):
    """One command."""


class Group(_WithGlobals, click.Group):
    """Commands with a common first word."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            raise Failure(
                UNKNOWN_COMMAND,
                f"{ctx.command_path} has no command {shown(name)[1:-1]}."
                f"{did_you_mean(name, self.list_commands(ctx))}",
            )
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group whose commands are named by a table and imported when called.

    The table: command to (module, one line for the list of commands); the module holds it as
    ``command``.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.table:
            return None
        found: click.Command = import_module(self.table[cmd_name][0]).command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.table.items()])


class Whole(click.ParamType[int]):
    """A whole number in a range; the message of a wrong one gives the range."""

    name = "number"

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        return "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        digits = text.removeprefix("-")
        plain = digits.isascii() and digits.isdigit() and len(digits) <= 18
        if not plain or not self.least <= int(text) <= self.most:
            self.fail(
                f"{shown(text)} is not a whole number from {self.least} to {self.most}.", param, ctx
            )
        return int(text)


class Size(click.ParamType[int]):
    """So many bytes, written ``512M`` or ``2G``; the message of a wrong one says how."""

    name = "size"

    def __init__(self, least: int) -> None:
        self.least = least

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        return "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        digits, unit = text[:-1], _UNITS.get(text[-1:].upper(), 0)
        plain = digits.isascii() and digits.isdigit() and len(digits) <= 9
        if not (unit and plain and int(digits) * unit >= self.least):
            self.fail(
                f"{shown(text)} is not a size; write it as 512M or 2G, at least"
                f" {self.least >> 20}M.",
                param,
                ctx,
            )
        return int(digits) * unit


_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class _Checked(click.ParamType[Any]):
    """A value that one of the library's own checks reads; its refusal becomes the message."""

    def read(self, text: str, field: str) -> Any:
        raise NotImplementedError

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        return self.name.upper()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        field = (param.name if param is not None else None) or self.name
        try:
            return self.read(value, field)
        except InvalidOption as error:
            self.fail(str(error), param, ctx)


class Seconds(_Checked):
    """A duration, as seconds: ``5m``, ``1h30m``; digits alone are seconds."""

    name = "duration"

    def __init__(self, least: float = 0.0, most: float = 366 * 86_400.0) -> None:
        self.least = least
        self.most = most

    def read(self, text: str, field: str) -> float:
        number = text.removeprefix("-").replace(".", "", 1)
        plain = number.isascii() and number.isdigit() and len(text) < 16
        value = float(text) if plain else text
        return seconds(value, field=field, minimum=self.least, maximum=self.most)


class QueueName(_Checked):
    """The name of one queue."""

    name = "queue"

    def read(self, text: str, field: str) -> str:
        return check_queue(text, field=field)


class Priority(_Checked):
    """A priority; lower runs first."""

    name = "number"

    def read(self, text: str, field: str) -> int:  # noqa: ARG002
        try:
            return check_priority(int(text) if len(text) <= 6 else text)
        except ValueError:
            return check_priority(text)


class Moment(_Checked):
    """A time of day with its zone, ISO 8601."""

    name = "time"

    def read(self, text: str, field: str) -> datetime:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidOption(
                f"{field}={shown(text)} is not a time. Write ISO 8601: 2030-01-31T09:00:00+01:00."
            ) from None
        if at.utcoffset() is None:
            whole = at.isoformat()
            raise InvalidOption(
                f"{field}={shown(text)} has no time zone. Give one: {whole}Z or {whole}+01:00."
            )
        return at
