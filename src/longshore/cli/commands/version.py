"""``longshore version``."""

from __future__ import annotations

import platform

import click

import longshore
from longshore.cli.output import out_of
from longshore.cli.parts import Command


@click.command("version", cls=Command, examples=("longshore version", "longshore version -o json"))
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print the version of Longshore and of Python."""
    out = out_of(ctx)
    if out.form in ("table", "plain"):
        click.echo(f"longshore {longshore.__version__}")
        return
    versions = {"version": longshore.__version__, "python": platform.python_version()}
    out.fields(versions, versions.items())
