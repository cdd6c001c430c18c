"""``longshore config``: the settings as they are, and where each came from."""

from __future__ import annotations

import os

import click
import msgspec

from longshore import config
from longshore.cli.folder import current_folder
from longshore.cli.output import Columns, out_of
from longshore.cli.parts import Group, globals_of, option
from longshore.cli.session import application
from longshore.core.settings import Settings
from longshore.errors import AppNotFound


@click.group("config", cls=Group, examples=("longshore config show --resolved",))
def command() -> None:
    """Show settings and where they come from."""


class _Row(msgspec.Struct, frozen=True):
    name: str
    value: str
    source: str


_PLAIN: Columns = {"setting": lambda row: row.name, "value": lambda row: row.value}
_RESOLVED: Columns = {**_PLAIN, "source": lambda row: row.source}


@command.command(
    "show", examples=("longshore config show", "longshore config show --resolved -o json")
)
@option(
    "--resolved",
    variable="CONFIG_RESOLVED",
    is_flag=True,
    help="Say where each value comes from.",
)
@click.pass_context
def show(ctx: click.Context, *, resolved: bool) -> None:
    """Print the settings; passwords are shown as ***."""
    out = out_of(ctx)
    try:
        with application(ctx, shared=False) as app:
            settings = app.settings
    except AppNotFound:
        if globals_of(ctx).app is not None:
            raise
        settings = settings_without_app()
        out.say("no application found: these are the settings of the environment and files")
    rows = [_Row(*row) for row in settings.rows()]
    if out.form == "json":
        whole = {row.name: {"value": row.value, "source": row.source} for row in rows}
        short = {row.name: row.value for row in rows}
        out.document({"settings": whole if resolved else short})
        return
    out.rows("settings", rows, _RESOLVED if resolved else _PLAIN)


def settings_without_app() -> Settings:
    """What environment and ``pyproject.toml`` say here, for commands that import no application."""
    return config.read({}, os.path.join(current_folder(), "-"), os.environ)  # noqa: PTH118
