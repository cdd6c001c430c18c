"""``longshore completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from longshore.cli.exit import USAGE, Failure
from longshore.cli.parts import COMPLETE, Command

SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    cls=Command,
    examples=(
        'eval "$(longshore completion bash)"',
        "longshore completion fish > ~/.config/fish/completions/longshore.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and names of the code in SHELL.

    Names: the jobs, schedules and queues of the application that would be used here.
    """
    found = get_completion_class(shell)
    if found is None:
        raise Failure(USAGE, f"there is no completion for {shell}; it is for {', '.join(SHELLS)}.")
    root = ctx.find_root()
    click.echo(found(root.command, {}, "longshore", COMPLETE).source())
