"""``longshore enqueue``: store one job, and wait for it if asked to."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, Final, cast

import click
import msgspec

from longshore.app import Longshore
from longshore.cli import completing
from longshore.cli.exit import BAD_INPUT, Failure
from longshore.cli.job_input import JobInput, Readable, read_input
from longshore.cli.output import Out, out_of
from longshore.cli.parts import Command, Moment, Priority, QueueName, Seconds, option
from longshore.cli.session import application
from longshore.cli.views import returned, whole
from longshore.core.codec import encode_literal
from longshore.core.durations import describe
from longshore.core.keys import key_of
from longshore.core.limits import Hold, Rules
from longshore.core.model import JobRecord, JobState, NewJob
from longshore.core.registry import Declaration
from longshore.core.sealing import Sealer
from longshore.core.shards import Placing, Shared
from longshore.core.wording import did_you_mean, shown
from longshore.declare import CallOptions, Options, new_job, read_options
from longshore.errors import PayloadMismatch, UnknownJob
from longshore.handle import JobHandle


@click.command(
    "enqueue",
    cls=Command,
    examples=(
        "longshore enqueue send_welcome user_id=42 locale=fr",
        "longshore enqueue app.jobs.resize path=cat.png size:=[640,480] --in 5m",
        "longshore enqueue report month=2030-01 --unique-key report-2030-01",
        'longshore enqueue report \'{"month": "2030-01"}\' --wait --timeout 30',
        "generate | longshore enqueue report -",
    ),
)
@click.argument("job", metavar="JOB", shell_complete=completing.kinds)
@click.argument("words", nargs=-1, metavar="[KEY=TEXT | KEY:=JSON | JSON | -]...")
@option("--in", "delay", variable="ENQUEUE_IN", type=Seconds(), help="Run it after this time.")
@option("--at", variable="ENQUEUE_AT", type=Moment(), help="Run it at this time (ISO 8601).")
@option(
    "--queue",
    variable="ENQUEUE_QUEUE",
    type=QueueName(),
    help="Another queue.",
    shell_complete=completing.queues,
)
@option("--priority", variable="ENQUEUE_PRIORITY", type=Priority(), help="Lower runs first.")
@option(
    "--unique-key",
    variable="ENQUEUE_UNIQUE_KEY",
    metavar="KEY",
    help="Not while a job of this kind that has not ended was stored with this key.",
)
@option("--tag", "tags", variable="ENQUEUE_TAG", multiple=True, help="Mark it; may be repeated.")
@option("--wait", variable="ENQUEUE_WAIT", is_flag=True, help="Wait for its end and print it.")
@option(
    "--timeout",
    variable="ENQUEUE_TIMEOUT",
    type=Seconds(),
    help="With --wait: give up waiting after this time; the job goes on.",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    job: str,
    words: tuple[str, ...],
    *,
    unique_key: str | None,
    wait: bool,
    timeout: float | None,
    **options: Any,
) -> None:
    """Store a job of kind JOB and print its id.

    JOB is a kind, or its last part where only one job has it. user_id=42 is the number where the
    job wants a number; KEY:=JSON says so exactly. Where a unique key is held, the id is the
    holder's.
    """
    if unique_key == "":
        raise click.UsageError("--unique-key: give a text.", ctx)
    if timeout is not None and not wait:
        raise click.UsageError("--timeout is for --wait.", ctx)
    if options["delay"] is not None and options["at"] is not None:
        raise click.UsageError("--in and --at: give one of them.", ctx)
    out = out_of(ctx)
    with application(ctx) as app:
        declaration = _resolve(app, job)
        arguments = read_input(words, _stdin, app.settings.max_payload)
        payload = payload_of(app, declaration, arguments)
        base, given = Options.of(declaration), _call_options(**options)
        stored = read_options(declaration.kind, base, given, declaration.signature, app.sealer)
        new = new_job(declaration.kind, stored, payload)
        if unique_key is not None:
            new = _held(app, new, unique_key, stored.sealer)
        handle = app.enqueue_one(declaration, new)
        if handle.is_duplicate:
            out.say(f"{handle.id} holds the unique key; no other job was stored")
            handle.refresh()  # it is another one than what was asked for
        if wait:
            out.say(f"{handle.id} stored; waiting (Ctrl-C stops the waiting, not the job)")
            handle.wait(timeout)
        _tell(out, handle, waited=wait)


def _stdin() -> Readable:
    return sys.stdin.buffer


def _resolve(app: Longshore, job: str) -> Declaration:
    """The job of this kind, or the only one whose kind ends in this name."""
    found = app.registry.find(job)
    if found is not None:
        return found
    match app.registry.ending_in(job):
        case [kind]:
            return app.registry.resolve(kind)
        case []:
            names = app.registry.names()
            near = did_you_mean(job, {*names, *(name.rpartition(".")[2] for name in names)})
            raise UnknownJob(
                f"no job {shown(job)} is declared in this application.{near}"
                " `longshore check` lists them."
            )
        case several:
            raise UnknownJob(f"{shown(job)} may be {' or '.join(several)}. Write the whole kind.")


#: What is said of a stored job, and what it means for one that is not.
_SAID_HERE: Final = {
    "the stored arguments": "the call",
    "The job waits for a worker whose code fits it.": "Nothing was enqueued.",
}


def payload_of(app: Longshore, declaration: Declaration, given: JobInput) -> bytes:
    """The arguments as they are stored; :class:`Failure` where a worker could not read them."""
    signature = declaration.signature
    fitted = given.fitted(signature.accepts)
    payload = encode_literal(
        fitted.args, fitted.kwargs, limit=app.settings.max_payload, kind=declaration.kind
    )
    try:
        # Read back as a worker will: what does not fit is refused here and not there.
        signature.decode(payload)
    except PayloadMismatch as error:
        told = str(error)
        for stored, here in _SAID_HERE.items():
            told = told.replace(stored, here)
        raise Failure(BAD_INPUT, told) from None
    return payload


def _held(app: Longshore, job: NewJob, key: str, sealer: Sealer | None) -> NewJob:
    """The job with a unique key of the caller's own words."""
    rules = job.rules or Rules()
    hold = rules.hold or Hold("")
    hold = msgspec.structs.replace(hold, key=key_of(job.kind, msgspec.json.encode(key), sealer))
    placing: Placing | None = getattr(app.store, "placing", None)
    if placing is not None:  # such a key says nothing of the arguments that may decide the shard
        placing.check(job, [Shared("its unique key", job.kind)])
    return msgspec.structs.replace(job, rules=msgspec.structs.replace(rules, hold=hold))


def _call_options(
    *,
    delay: float | None,
    at: datetime | None,
    queue: str | None,
    priority: int | None,
    tags: tuple[str, ...],
) -> CallOptions:
    given = {"delay": delay, "at": at, "queue": queue, "priority": priority, "tags": tags or None}
    return cast("CallOptions", {name: value for name, value in given.items() if value is not None})


def _tell(out: Out, handle: JobHandle[Any], *, waited: bool) -> None:
    job = handle.record
    if waited and job.state is not JobState.SUCCEEDED:
        handle.result(timeout=0)  # raises what the job ended as
    match out.form:
        case "json" | "jsonl":
            out.fields({"job": whole(job)}, ())
        case "table" if waited:
            click.echo(f"{out.mark} {job.id} succeeded{_times(job)} {out.arrow} {returned(job)}")
        case "plain" if waited:
            click.echo(f"{job.id}\t{job.state}\t{returned(job)}")
        case _:
            click.echo(job.id)


def _times(job: JobRecord) -> str:
    if job.claimed_at is None or job.finalized_at is None:
        return ""
    ran = describe(max(0, job.finalized_at - job.claimed_at))
    waited = describe(max(0, job.claimed_at - job.scheduled_at))
    return f" in {ran} (waited {waited})"
