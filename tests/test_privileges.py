"""Workers and enqueuing programs under exactly the rights that the documentation gives them."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore import JobContext, Longshore, cli
from longshore.core.batches import Bundle
from longshore.core.fitness import store_findings
from longshore.core.model import JobState
from longshore.core.schedules import Declare, Schedule, SetSchedule
from longshore.core.store import ClaimRequest, Filter, Retention, SetQueue, Store
from longshore.core.store_url import Password, StoreURL, parse_url
from longshore.core.ticks import planned
from longshore.errors import (
    BatchFinished,
    LongshoreError,
    SchemaMismatch,
    StoreError,
    StoreUnwritable,
)
from longshore.ids import new_id
from longshore.stores import connect
from longshore.stores.clock import ManualClock
from longshore.testing.conformance.trace import RETENTION, Script, Stage
from longshore.worker.arrival import arrive
from tests.harbour_tools import eventually
from tests.places import mysql, new_name, place, postgres
from tests.servers import Server, shared
from tests.store_tools import EVERYTHING, job, migrations, register

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "least-privilege.md"

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


def blocks(heading: str) -> list[str]:
    """What the page tells to run under a heading."""
    _, _, rest = PAGE.read_text().partition(f"## {heading}\n")
    section = rest.partition("\n## ")[0]
    return re.findall(r"```(?:sql|text)\n(.*?)```", section, re.DOTALL)


class Roles:
    """The three roles of the page, under names of their own, on one database."""

    def __init__(self, address: StoreURL, token: str) -> None:
        self.address = address
        self.token = token

    def name(self, role: str) -> str:
        return f"{self.token}_{role}"

    def url(self, role: str) -> str:
        password = {"owner": "one", "worker": "two", "web": "three"}[role]
        return msgspec.structs.replace(
            self.address, user=self.name(role), password=Password(password)
        ).reveal()

    def text(self, block: str) -> str:
        """A block of the page for these roles and this database."""
        named = re.sub(r"\bjobs_(owner|worker|web)\b", lambda found: self.name(found[1]), block)
        named = named.replace("database app ", f"database {self.address.path} ")
        return named.replace("app.", f"{self.address.path}.")

    def open(self, role: str, **given: Any) -> Store:
        return connect(
            self.url(role),
            **{"retention": Retention(), "prefix": "longshore_", "durability": "full", **given},
        )


@pytest.fixture(params=["postgres16", "postgres18", "mariadb"])
def roles(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Roles]:
    kind = request.param
    heading = "MariaDB and MySQL" if kind == "mariadb" else "PostgreSQL"
    first, second = blocks(heading)
    with place(kind, tmp_path) as where:
        address = parse_url(where.url)
        made = Roles(address, new_name())
        connection: Any = mysql(address) if kind == "mariadb" else postgres(address)
        with contextlib.closing(connection):
            _run(connection, made.text(first))
            made.grant = lambda: _granted(made, connection, made.text(second), kind)
            if kind == "mariadb":  # lets nobody in who has no right on any table
                _run(connection, f"create table {address.path}.orders (id int)")
                for role in ("worker", "web"):
                    _run(
                        connection,
                        f"grant select on {address.path}.orders to {made.name(role)}@'%'",
                    )
            try:
                yield made
            finally:
                _forget(made, connection, kind)


def _run(connection: Any, text: str) -> None:
    cursor = connection.cursor()
    for statement in text.split(";\n"):
        if statement.strip():
            cursor.execute(statement.strip())
    cursor.close()


def _granted(roles: Roles, admin: Any, text: str, kind: str) -> None:
    if kind == "mariadb":
        _run(admin, text)
        return
    with contextlib.closing(postgres(parse_url(roles.url("owner")))) as connection:
        _run(connection, text)


def _forget(roles: Roles, connection: Any, kind: str) -> None:
    for role in ("owner", "worker", "web"):
        name = roles.name(role)
        if kind == "mariadb":
            _run(connection, f"drop user if exists {name}@'%'")
        else:
            _run(connection, f"drop owned by {name} cascade")
            _run(connection, f"drop role {name}")


def migrated(roles: Roles) -> None:
    """What the owner does, then who gives the others their rights."""
    owner = roles.open("owner")
    assert owner.migrate() == migrations()
    assert owner.verify() == ()
    owner.close()
    roles.grant()


def fires(store: Store, clock: ManualClock) -> None:
    """A schedule is declared, fired, paused and removed."""
    first, second = (
        Schedule(name=name, when="* * * * *", job=job(id="", scheduled_at=0)) for name in "st"
    )
    store.run(store.declare(Declare("app", (first,), fresh=True)))
    store.run(store.set_schedule(SetSchedule(name="t", verb="add", schedule=second)))
    clock.advance(60_000_000)
    for record in store.run(store.schedules(["s", "t"])):
        firing = planned(record, clock.now(), new_id)
        assert firing is not None
        assert store.run(store.fire([firing]))[0].held
        assert len(store.run(store.ticks(record.name, limit=9))) == 1
    assert store.run(store.set_schedule(SetSchedule(name="s", verb="pause"))) == "done"
    assert store.run(store.set_schedule(SetSchedule(name="t", verb="remove"))) == "done"


def test_a_worker_does_all_it_does_with_its_rights(roles: Roles) -> None:
    migrated(roles)
    clock = ManualClock()
    worker = roles.open("worker", clock=clock, retention=RETENTION)
    Script(1, Stage(worker, clock, worker.run)).play(every=3)
    fires(worker, clock)
    watch = worker.watch()
    watch.wait(0)
    watch.close()
    assert worker.run(worker.identity())
    assert worker.schema().pending == ()
    worker.close()


def test_an_application_runs_jobs_with_the_rights_of_a_worker(roles: Roles) -> None:
    migrated(roles)
    app = Longshore(roles.url("worker"))

    @app.job(kind="add")
    def add(a: int, b: int) -> int:
        return a + b

    handles = app.enqueue_many(add.bind(n, 1) for n in range(30))
    app.worker(threads=2).run(until_empty=True)
    assert [handle.result(timeout=20) for handle in handles] == list(range(1, 31))
    assert app.query.filter(state="succeeded").delete().changed == 30
    app.close()


def test_who_only_enqueues_can_do_no_more(roles: Roles) -> None:
    migrated(roles)
    web = Longshore(roles.url("web"))

    @web.job(kind="add")
    def add(a: int, b: int = 1) -> int:
        return a + b

    given = new_id()
    first = add.using(id=given, tags=["t"], expires="1h").enqueue(1)
    assert not first.is_duplicate
    assert add.using(id=given).enqueue(1).is_duplicate
    assert len(web.enqueue_many(add.bind(n) for n in range(50))) == 50
    later = add.using(delay="1h", timeout="5s").enqueue(3)
    assert later.id
    store = web.store
    for op in (
        store.claim(ClaimRequest("p", 1, 1, EVERYTHING)),
        store.cancel([given], None),
        store.delete([given]),
        store.prune(10),
        store.get([given]),
        store.find(Filter(), limit=1),
        store.queues(),
        store.processes(),
    ):
        with pytest.raises(StoreError):
            store.run(op)
    with pytest.raises(StoreError):
        register(store)
    looked_at(roles, "web")
    web.close()
    worker = roles.open("worker")
    assert len(worker.run(worker.find(Filter(), limit=100)).records) == 52
    # An id that is kept after its job's end is known too.
    register(worker)
    worker.run(worker.cancel([given], "stop"))
    again = Longshore(roles.url("web"))
    assert again.push({"kind": "add", "kwargs": {"a": 1}, "id": given}).is_duplicate, (
        "of a job that has ended"
    )
    again.close()
    worker.close()
    looked_at(roles, "worker")


def looked_at(roles: Roles, role: str) -> None:
    """What doctor sees with the rights of a role: all but what the page of doctor says."""
    store = roles.open(role)
    (facts,) = store.facts()
    unseen = "grant process" if facts.store == "mysql" else "grant pg_read_all_stats"
    assert all(unseen in one for one in facts.unseen)
    assert len(facts.unseen) == 1 or facts.store == "postgres"
    lacking = [one for one in store_findings(facts) if one.about == "rights"]
    if role == "worker":
        assert not lacking
        assert not [warning for warning in arrive(store) if "could not look" in warning]
        assert store.run(store.demand()).parked == {}
    elif facts.store == "postgres":
        assert "delete on longshore_job" in lacking[0].found
    store.close()


class Shop:
    """An application that composes jobs, for either role; ``said`` is what its callbacks said."""

    def __init__(self, roles: Roles, role: str, prefix: str = "longshore_") -> None:
        self.app = app = Longshore(roles.url(role), prefix=prefix)
        self.said: list[str] = []

        @app.job(kind="part")
        def part(number: int) -> int:
            return number + 1

        @app.job(kind="tell")
        def tell(what: str) -> None:
            self.said.append(what)

        @app.job(kind="split", context=True)
        def split(ctx: JobContext, parts: int) -> int:
            assert ctx.batch is not None
            ctx.log.info("splitting")
            ctx.progress(1, 2)
            for number in ctx.iterate(
                "parts", lambda at: ((n + 1, n) for n in range(at, parts)), start=0
            ):
                ctx.batch.add(part.bind(number))
            ctx.checkpoint()
            return ctx.step("sum", lambda: parts)

        self.part, self.tell, self.split = part, tell, split

    def compose(self) -> list[str]:
        """A batch with one inside, an empty one, a workflow and a chain; their ids."""
        app, tell, part = self.app, self.tell, self.part
        with app.batch("b", on_success=tell.bind("s"), on_complete=tell.bind("c")) as batch:
            batch.add(self.split.bind(3))
            with batch.batch("inside", on_complete=tell.bind("i")) as inside:
                inside.add(part.bind(1))
        with app.batch("empty", on_success=tell.bind("es"), on_complete=tell.bind("ec")) as empty:
            pass
        with app.workflow("w") as flow:
            first = flow.add(part.bind(1))
            flow.add(part.bind(first.output), after=[first])
        chain = app.chain(part.bind(1)).then(part).then(part)
        chain.enqueue()
        return [batch.id, inside.id, empty.id, flow.id, chain.workflow.id]

    def settle(self, ids: list[str]) -> None:
        """Run all of it and look; with the rights of a worker."""
        app = self.app

        def bundles() -> tuple[Bundle, ...]:
            return app.store.run(app.store.bundles(ids))

        app.schedules.add("every-second", self.part.bind(7), "* * * * * *")
        with app.worker(threads=2).running():
            eventually(lambda: app.schedules.ticks("every-second"), 20, "a tick")
            app.schedules.pause("every-second")
            app.schedules.run_now("every-second").result(timeout=20)
            app.schedules.remove("every-second")
            eventually(lambda: len(self.said) == 5, 20, "the callbacks")
            eventually(lambda: all(one.finished_at for one in bundles()), 20, "the last end")
        found = bundles()
        assert {one.id: (one.total, one.succeeded) for one in found} == dict(
            zip(ids, [(5, 5), (1, 1), (0, 0), (2, 2), (3, 3)], strict=True)
        )
        assert sorted(self.said) == ["c", "ec", "es", "i", "s"]
        (split,) = app.query.filter(kind="split")
        assert [line.message for line in split.logs()] == ["splitting"]
        with pytest.raises(BatchFinished):
            app.batches.get(ids[0]).add(self.part.bind(1))
        assert app.batches.get(ids[0]).cancel() == 0


@pytest.mark.parametrize("role", ["worker", "web"])
def test_either_role_composes_what_a_worker_runs(roles: Roles, role: str) -> None:
    migrated(roles)
    composing, working = Shop(roles, role), Shop(roles, "worker")
    working.settle(composing.compose())
    for one in (composing, working):
        one.app.close()


@pytest.mark.parametrize("role", ["worker", "web"])
def test_tables_that_are_missing_are_told_to_who_may_not_make_them(roles: Roles, role: str) -> None:
    store = roles.open(role)
    for attempt in (store.migrate, lambda: store.run(store.insert([job()]))):
        with pytest.raises(StoreError, match=r"(?s)longshore db up.*(own|make tables)") as refused:
            attempt()
        assert "two" not in str(refused.value)
        assert "three" not in str(refused.value)
    store.close()


def test_a_migration_that_is_due_is_told_to_who_may_not_run_it(roles: Roles) -> None:
    migrated(roles)
    store = roles.open("worker")
    known = store._migrations["001_jobs"]
    later = msgspec.structs.replace(
        known, name="900_later", text="create table longshore_later (id int);"
    )
    store._migrations = {**store._migrations, "900_later": later}
    with pytest.raises(SchemaMismatch, match=r"missing: 900_later.*longshore db up"):
        store.run(store.insert([job()]))
    with pytest.raises(LongshoreError, match=r"longshore.* db up|owns the tables"):
        store.migrate()
    assert store.schema().pending == ("900_later",)
    store.close()


def test_the_command_says_what_is_missing_and_who_may_help(
    roles: Roles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shop_of_roles.py").write_text(
        "from longshore import Longshore\njobs = Longshore()\n"
    )
    monkeypatch.chdir(tmp_path)

    def longshore(role: str, *command: str) -> tuple[int, str]:
        sys.modules.pop("shop_of_roles", None)
        monkeypatch.setenv("LONGSHORE_STORE", roles.url(role))
        code = cli.main(["-A", "shop_of_roles:jobs", *command])
        return code, capfd.readouterr().err

    for role in ("worker", "web"):
        code, said = longshore(role, "db", "up")
        assert code in (5, 6), said
        assert "longshore db up" in said
        assert "two" not in said
    assert longshore("owner", "db", "up")[0] == 0
    assert longshore("owner", "db", "verify")[0] == 0
    assert longshore("owner", "db", "status")[0] == 0
    sys.modules.pop("shop_of_roles", None)


def test_verify_says_what_it_lacks(roles: Roles) -> None:
    migrated(roles)
    worker = roles.open("worker")
    with pytest.raises(StoreError, match="owner"):
        worker.verify()
    worker.close()


# --- Redis and Valkey ---


@pytest.fixture(params=["redis", "valkey"])
def acl(request: pytest.FixtureRequest) -> Iterator[Roles]:
    import redis

    server: Server = shared(request.param)
    address = parse_url(server.url)
    made = Roles(address, new_name())
    prefix = new_name() + "_"
    client = redis.Redis(host=address.host, port=address.port or 6379)
    for line in blocks("Redis and Valkey")[0].splitlines():
        words = made.text(line).replace("longshore_", prefix).split()
        assert client.execute_command(*words) == b"OK"
    made.prefix = prefix
    try:
        yield made
    finally:
        client.execute_command("ACL", "DELUSER", made.name("worker"), made.name("web"))
        for key in client.scan_iter(match=f"*{prefix}*"):
            client.delete(key)
        client.close()


def opened(acl: Roles, role: str, **given: Any) -> Store:
    return acl.open(role, **{"prefix": acl.prefix, **given})


def test_a_worker_does_all_it_does_with_its_rights_on_redis(acl: Roles) -> None:
    clock = ManualClock()
    worker = opened(acl, "worker", clock=clock, retention=RETENTION)
    Script(1, Stage(worker, clock, worker.run)).play(every=3)
    fires(worker, clock)
    watch = worker.watch()
    assert not watch.wait(0)
    watch.close()
    assert worker.run(worker.identity())
    (facts,) = worker.facts()
    assert facts.values["maxmemory_policy"] == "noeviction"
    assert [one.split(" (")[0] for one in facts.unseen] == ["appendfsync"]
    arrive(worker)
    worker.close()


def test_who_only_enqueues_on_redis_can_do_no_more(acl: Roles) -> None:
    worker = opened(acl, "worker")
    worker.run(worker.insert([job()]))
    web = Longshore(acl.url("web"), prefix=acl.prefix)

    @web.job(kind="add")
    def add(a: int, b: int = 1) -> int:
        return a + b

    given = new_id()
    assert not add.using(id=given, tags=["t"], expires="1h").enqueue(1).is_duplicate
    assert add.using(id=given).enqueue(1).is_duplicate
    assert len(web.enqueue_many(add.bind(n) for n in range(50))) == 50
    assert add.using(delay="1h").enqueue(3).id
    store = web.store
    for op in (
        store.claim(ClaimRequest("p", 1, 1, EVERYTHING)),
        store.cancel([given], None),
        store.delete([given]),
        store.prune(10),
        store.set_queue(SetQueue("default", paused=True)),
    ):
        with pytest.raises(StoreUnwritable, match="access list"):
            store.run(op)
    web.close()
    found = worker.run(worker.find(Filter(), limit=100)).records
    assert len(found) == 53
    assert {record.state for record in found} == {JobState.AVAILABLE, JobState.SCHEDULED}
    worker.close()


@pytest.mark.parametrize("role", ["worker", "web"])
def test_either_role_composes_what_a_worker_runs_on_redis(acl: Roles, role: str) -> None:
    composing, working = Shop(acl, role, acl.prefix), Shop(acl, "worker", acl.prefix)
    working.settle(composing.compose())
    for one in (composing, working):
        one.app.close()


def test_nobody_reaches_the_keys_of_others_on_redis(acl: Roles) -> None:
    for role in ("worker", "web"):
        store = acl.open(role, prefix="other_")
        with pytest.raises(StoreError):
            store.run(store.insert([job()]))
        store.close()
