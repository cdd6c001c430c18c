"""``longshore keys``: keys to encrypt jobs with."""

from __future__ import annotations

import secrets
import time

import click

from longshore.cli.output import out_of
from longshore.cli.parts import Group
from longshore.core.keyring import KEY_BYTES, written
from longshore.errors import ConfigurationError


@click.group("keys", cls=Group, examples=("longshore keys new", "longshore keys new k2"))
def command() -> None:
    """Make keys that jobs are encrypted with."""


@command.command("new", examples=("longshore keys new", "longshore keys new 2027-01"))
@click.argument("name", metavar="[NAME]", required=False)
@click.pass_context
def new(ctx: click.Context, name: str | None) -> None:
    """Print a new key, to be kept where secrets are kept.

    NAME is stored with every job that it encrypts, and no other key may ever have it; by default it
    is today's date. The key is printed and kept nowhere: not in a file, nor in the store.
    """
    out = out_of(ctx)
    kid = name or time.strftime("%Y-%m-%d", time.gmtime())
    try:
        key = written(kid, secrets.token_bytes(KEY_BYTES))
    except ConfigurationError as error:
        raise click.BadParameter(str(error), ctx, param_hint="NAME") from None
    if out.form in ("table", "plain"):
        click.echo(key)
    else:
        out.fields({"name": kid, "key": key}, ())
    out.say(
        "Put it in front of the keys in LONGSHORE_ENCRYPTION_KEYS of every process; the first"
        " encrypts, all decrypt."
    )
