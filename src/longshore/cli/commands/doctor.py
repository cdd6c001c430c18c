"""``longshore doctor``: is the store fit, are the tables, does somebody look after the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import click
import msgspec

from longshore.app import Longshore
from longshore.cli.exit import DEGRADED, Failure, kind_of
from longshore.cli.output import Columns, Out, clean, out_of
from longshore.cli.parts import Command, option
from longshore.cli.session import application, is_missing
from longshore.cli.shards import troubles
from longshore.core.attendance import attendance
from longshore.core.findings import Finding, Result
from longshore.core.fitness import outbox_finding, store_findings, table_findings
from longshore.core.outbox import Outbox
from longshore.core.store import Store
from longshore.core.wording import many
from longshore.errors import StoreError, StoreUnavailable, StoreUnfit
from longshore.version import __version__


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as it is shown; ``store`` tells shards apart."""

    result: Result
    about: str
    found: str
    why: str
    do: str
    store: str = ""


class Report:
    """What was found so far, and how that ends the command."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.unfit = 0
        self.unattended = 0
        self.error: StoreError | None = None

    def add(self, found: Sequence[Finding], store: str = "", *, jobs: bool = False) -> None:
        """Take findings of a store, or of who looks after the jobs in it."""
        for one in found:
            line = Line(
                result=one.result,
                about=one.about,
                found=one.found,
                why=one.why,
                do=one.do,
                store=store,
            )
            self.lines.append(line)
        failed = sum(one.result == "fail" for one in found)
        if jobs:
            self.unattended += failed
        else:
            self.unfit += failed

    def stop(self, error: StoreError, about: str) -> None:
        """It goes no further."""
        self.error = self.error or error
        do = "Correct that, then run doctor again"
        self.add([Finding(result="fail", about=about, found=str(error), do=do)])

    def end(self) -> None:
        """Raise what is wrong, if something is."""
        if self.error is not None:
            raise Failure(kind_of(self.error), "the store could not be looked at.")
        if self.unfit:
            raise Failure(kind_of(StoreUnfit()), f"{many(self.unfit, 'finding')} to act on.")
        if self.unattended:
            raise Failure(DEGRADED, f"{many(self.unattended, 'finding')} to act on.")


@click.command(
    "doctor",
    cls=Command,
    examples=("longshore doctor", "longshore doctor -o json", "longshore doctor --fix"),
)
@option(
    "--processes",
    variable="PROCESSES",
    type=click.IntRange(1, 1000),
    default=1,
    help="Of the worker to be: how many connections it needs.",
)
@option("--fix", variable="DOCTOR_FIX", is_flag=True, help="Bring the tables up to date first.")
@click.pass_context
def command(ctx: click.Context, *, processes: int, fix: bool) -> None:
    """Look at the store, its tables, clocks, workers, queues and schedules.

    Each finding says what was found, why it matters and what to do; nothing is changed without
    --fix. Exit code 0 when all is well or only to be warned of, 1 when jobs wait for nobody, 4 when
    the store is out of reach, 5 when it or its tables are not fit for jobs.
    """
    out = out_of(ctx)
    with application(ctx) as app:
        report = Report()
        _look(app, report, processes, fix=fix)
        _show(out, str(app.settings.store), report)
    report.end()
    out.say("nothing that must be done")


def _look(app: Longshore, report: Report, processes: int, *, fix: bool) -> None:
    store = app.store
    try:
        facts = store.facts()
    except StoreUnavailable as error:
        report.stop(error, "store")
        return
    except StoreError as error:
        # What cannot be asked of one server says nothing of its tables.
        report.stop(error, "server")
        facts = ()
    for one in facts:
        report.add(store_findings(one, processes=processes), one.address if len(facts) > 1 else "")
    if not fix and any(is_missing(part.path) for part in app.settings.store.parts):
        if not report.unfit:
            nothing = "there is no file yet; the first program that stores a job makes it"
            report.add([Finding(result="ok", about="tables", found=nothing)])
        return
    try:
        status = store.schema()
        if fix and status.pending and not status.breaking:
            app.migrate()
            status = store.schema()
        report.add(list(table_findings(status)))
        if not (status.pending or status.breaking):
            _look_at_jobs(app, report)
    except StoreError as error:
        if not report.unfit:  # else what was found says it better
            report.stop(error, "tables")


def _look_at_jobs(app: Longshore, report: Report) -> None:
    store = app.store
    found = attendance(
        store.run(store.processes()),
        store.run(store.schedules()),
        store.run(store.demand()),
        version=__version__,
    )
    report.add(found, jobs=True)
    for trouble in troubles(store):
        away = Finding(
            result="fail",
            about="shard",
            found=trouble,
            why="the other shards are served; jobs of this one wait",
            do="Bring it back",
        )
        report.add([away], jobs=True)
    if app.outbox is not None and not is_missing(app.outbox.store.address):
        _look_at_outbox(store, app.outbox.store, report)


def _look_at_outbox(store: Store, outbox: Store, report: Report) -> None:
    try:
        status = outbox.schema()
        if status.pending or status.breaking:
            pending = "its tables are not up to date; the first use, or `longshore db up`, does it"
            report.add([Finding(result="ok", about="outbox", found=pending)])
            return
        to = str(store.run(store.identity()))
        rows = cast("Outbox", outbox)
        found = outbox.run(rows.outbox_waiting(to)), outbox.run(rows.outbox_elsewhere(to))
        report.add([outbox_finding(*found)])
    except StoreError as error:
        away = Finding(
            result="fail",
            about="outbox",
            found=str(error),
            why="what waits there is not relayed",
            do="Correct that, then run doctor again",
        )
        report.add([away], jobs=True)


_COLUMNS: Columns = {
    "result": lambda line: line.result,
    "about": lambda line: line.about,
    "found": lambda line: line.found,
    "why": lambda line: line.why,
    "do": lambda line: line.do,
    "store": lambda line: line.store,
}


def _show(out: Out, address: str, report: Report) -> None:
    if out.form != "table":
        extra = {
            "store": address,
            "release": __version__,
            "fit": not (report.unfit or report.error),
            "attended": not report.unattended,
        }
        out.rows("findings", report.lines, _COLUMNS, extra=extra)
        return
    # A table would cut what must be read whole.
    click.echo(f"store {address}")
    store = ""
    width = max(len(line.about) for line in report.lines)
    for line in report.lines:
        if line.store != store:
            store = line.store
            click.echo(store or "all shards")
        why = f": {line.why}" if line.why else ""
        click.echo(clean(f"  {line.result:<4}  {line.about:<{width}}  {line.found}{why}"))
        if line.do:
            click.echo(clean(f"  {'':<4}  {'':<{width}}  -> {line.do}"))
