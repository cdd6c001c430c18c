"""Limits and unique keys over shards: what shares a key is in one shard, or it is refused."""

import asyncio
from typing import Any

import msgspec
import pytest

from longshore import Concurrency, Longshore, Rate, Unique
from longshore.core.limits import (
    BLOCKED,
    Fair,
    Hold,
    Limit,
    OnConflict,
    Rules,
    SetKind,
    SetLimit,
    Setting,
    kind_key,
)
from longshore.core.model import Ending, Inserted, JobState
from longshore.core.shards import Placing, Shared, named, shard_of
from longshore.core.store import ClaimRequest, Filter, Line
from longshore.errors import CrossShard, PartlyEnqueued
from longshore.testing.conformance.bench import MINUTE, SECOND
from tests import shard_tools
from tests.shard_tools import SHARDS, Spread, key_of, leases
from tests.store_tools import EVERYTHING, job

PAYLOAD = b'{"v":1,"kwargs":{"tenant":"acme","n":7}}'


def prefix(kind: str, _arguments: Any) -> str | None:
    return "billing" if kind.startswith("billing") else None


def tenant(_kind: str, arguments: Any) -> str:
    return arguments["tenant"]


def region(_kind: str, arguments: Any) -> str:
    return f"eu-{arguments['tenant']}"


OF_THE_KIND = Shared("the limit app.job", "app.job")
OF_A_TENANT = Shared("the unique key", "app.job", {"tenant": "acme", "n": 7})
OF_NO_TENANT = Shared("the unique key", "app.job", {"n": 7})
OF_A_GROUP = Shared("the limit billing", "billing", group=True)
OF_A_GROUP_BY_TENANT = Shared(
    "the limit billing", "billing", {"tenant": "acme"}, group=True, value="acme"
)


@pytest.mark.parametrize(
    ("shard_by", "kind", "shared"),
    [
        ("kind", "app.job", OF_THE_KIND),
        ("kind", "app.job", OF_A_TENANT),
        ("kind", "app.job", OF_NO_TENANT),
        ("args.tenant", "app.job", OF_A_TENANT),
        ("args.tenant", "billing.send", OF_A_GROUP_BY_TENANT),
        ("args.other", "app.job", OF_THE_KIND),
        (tenant, "app.job", OF_A_TENANT),
        (tenant, "billing.send", OF_A_GROUP_BY_TENANT),
        (prefix, "app.job", OF_THE_KIND),
        (prefix, "app.job", OF_NO_TENANT),
        (prefix, "billing.send", OF_A_GROUP),
        (prefix, "billing.send", OF_A_GROUP_BY_TENANT),
    ],
)
def test_what_shares_a_key_is_in_one_shard(shard_by: Any, kind: str, shared: Shared) -> None:
    Placing(8, shard_by).check(job(kind=kind, queue="mail", payload=PAYLOAD), [shared])


@pytest.mark.parametrize(
    ("shard_by", "kind", "shared", "own", "home"),
    [
        ("kind", "billing.send", OF_A_GROUP, "billing.send", "billing"),
        ("kind", "billing.send", OF_A_GROUP_BY_TENANT, "billing.send", "billing"),
        ("queue", "app.job", OF_THE_KIND, "mail", "app.job"),
        ("queue", "app.job", OF_A_TENANT, "mail", "app.job"),
        ("queue", "app.job", OF_A_GROUP_BY_TENANT, "mail", "acme"),
        ("args.tenant", "app.job", OF_THE_KIND, "acme", "app.job"),
        ("args.tenant", "app.job", OF_NO_TENANT, "acme", "app.job"),
        ("args.tenant", "app.job", OF_A_GROUP, "acme", "billing"),
        (tenant, "app.job", OF_THE_KIND, "acme", "app.job"),
        (tenant, "app.job", OF_A_GROUP, "acme", "billing"),
        # Another kind of the group may call its argument something else.
        (region, "app.job", OF_A_GROUP_BY_TENANT, "eu-acme", "acme"),
        (prefix, "app.job", OF_A_GROUP, "app.job", "billing"),
    ],
)
def test_what_would_be_counted_in_two_shards_is_refused(
    shard_by: Any, kind: str, shared: Shared, own: str, home: str
) -> None:
    new = job(kind=kind, queue="mail", payload=PAYLOAD)
    # However many shards there are: not by luck today and an error with the next shard.
    for shards in (2, 3, 8):
        with pytest.raises(CrossShard, match=rf"'{own}'.*{shared.what}.*'{home}'.*nothing was"):
            Placing(shards, shard_by).check(new, [OF_A_TENANT, shared][shared != OF_A_TENANT :])
    # Said for the call it is in the right place, and said otherwise in a wrong one.
    Placing(8, shard_by).check(msgspec.structs.replace(new, shard_key=home), [shared])
    with pytest.raises(CrossShard, match=r"'elsewhere'"):
        Placing(8, shard_by).check(msgspec.structs.replace(new, shard_key="elsewhere"), [shared])


def test_every_key_of_a_job_is_looked_at() -> None:
    with pytest.raises(CrossShard, match=r"billing"):
        Placing(8).check(job(), [OF_THE_KIND, OF_A_GROUP])


# --- many shards, one store ---


spread = shard_tools.spread


def rules(*limits: Limit, **fields: Any) -> Rules:
    return Rules(limits=limits, **fields)


def test_limits_hold_in_the_shards_of_their_keys(spread: Spread) -> None:
    for shard in range(SHARDS):
        spread.insert(shard, 5, rules=rules(Limit("account", str(shard), to=2)))
    first = spread.claim(99)
    assert [named(one.id, SHARDS) for one in sorted(first, key=lambda one: one.id[21:])] == [
        *(shard for shard in range(SHARDS) for _ in range(2))
    ]
    assert spread.claim(99) == []
    done = [Ending(lease, JobState.SUCCEEDED) for lease in leases(first[:1])]
    spread.run(spread.store.finish(done))
    assert [named(one.id, SHARDS) for one in spread.claim(99)] == [named(first[0].id, SHARDS)]


def test_limits_are_one_list_over_all_shards(spread: Spread) -> None:
    for shard in range(SHARDS):
        spread.insert(shard, 3, rules=rules(Limit("account", str(shard), to=1)))
    spread.claim(99)
    spread.run(spread.store.set_limit(SetLimit("account", Setting(2))))
    spread.run(spread.store.set_limit(SetLimit("other", Setting(9))))
    found = spread.run(spread.store.limits())
    assert [(one.key, one.name, one.used, one.to) for one in found] == [
        ("", "other", 0, 9),
        *((f"c:account:{shard}", "account", 1, 2) for shard in range(SHARDS)),
    ]
    assert all(len(one.holders) == 1 for one in found[1:])
    assert [one.key for one in spread.run(spread.store.limits(["c:account:1"]))] == ["c:account:1"]
    assert len(spread.run(spread.store.limits(limit=2))) == 2
    assert len(spread.claim(99)) == SHARDS, "set in every shard"
    spread.run(spread.store.set_limit(SetLimit("account", None)))
    assert {one.to for one in spread.run(spread.store.limits()) if one.key} == {1}


def test_a_kind_is_paused_in_all_shards(spread: Spread) -> None:
    for shard in range(SHARDS):
        spread.insert(shard, 2, kind="app.sync")
    spread.insert(1, kind="app.other")
    pause = SetKind("app.sync", paused=True, reason="provider", pause_for=MINUTE)
    spread.run(spread.store.set_kind(pause))
    (paused,) = spread.run(spread.store.kinds())
    assert (paused.kind, paused.reason) == ("app.sync", "provider")
    assert paused.resumes_at == spread.clock.now() + MINUTE
    assert [one.kind for one in spread.claim(99)] == ["app.other"]
    page = spread.run(spread.store.find(Filter(kinds=("app.sync",)), limit=99))
    assert {one.blocked_by for one in page.records} == {kind_key("app.sync")}
    spread.run(spread.store.set_kind(SetKind("app.sync", paused=False)))
    assert spread.run(spread.store.kinds()) == ()
    assert len(spread.claim(99)) == 2 * SHARDS


def test_a_claim_says_when_the_first_shard_opens(spread: Spread) -> None:
    for shard in range(SHARDS):
        limit = Limit("mail", str(shard), to=1, per=(shard + 1) * SECOND)
        spread.insert(shard, 2, rules=rules(limit))
    assert len(spread.claim(99)) == SHARDS
    spread.clock.advance(SECOND // 2)
    spread.claims += 1
    claim = spread.run(spread.store.claim(ClaimRequest("p", spread.claims, 9, EVERYTHING)))
    assert (claim.jobs, claim.due_in) == ((), SECOND // 2)
    spread.clock.advance(SECOND // 2)
    assert [named(one.id, SHARDS) for one in spread.claim(99)] == [0]


def test_jobs_with_a_rate_come_for_free_slots_of_all_shards_together(spread: Spread) -> None:
    for shard in range(SHARDS):
        spread.insert(shard, 4, rules=rules(Limit("mail", str(shard), to=9, per=MINUTE)))
    claimed: list[str] = []
    for number in range(1, 7):
        request = ClaimRequest("p", number, 10, EVERYTHING, free=2)
        taken = spread.run(spread.store.claim(request)).jobs
        assert len(taken) == 2
        claimed += [one.id for one in taken]
    assert len(set(claimed)) == 4 * SHARDS
    spread.insert(0, 4)
    spread.insert(1, 4, rules=rules(Limit("late", "", to=9, per=MINUTE)))
    taken = spread.run(spread.store.claim(ClaimRequest("p", 7, 20, EVERYTHING, free=4))).jobs
    assert 4 <= len(taken) <= 8
    rated = [one for one in taken if named(one.id, SHARDS) == 1]
    assert len(rated) <= 4
    assert rated == list(taken[: len(rated)]) or not rated or len(taken) - len(rated) == 4


def test_a_line_that_has_more_at_once_keeps_the_next_one_back(spread: Spread) -> None:
    spread.insert(0, BLOCKED, queue="high", rules=rules(Limit("none", "", to=0)))
    (better,) = spread.insert(0, queue="high")
    (worse,) = spread.insert(1, queue="low")
    lines = (Line(("high",)), Line(("low",)))
    seen: list[str] = []
    for _ in range(3):
        seen += [one.id for one in spread.claim(1, lines=lines)]
    assert seen == [better, worse]


def test_turns_of_a_shard_stay_turns(spread: Spread) -> None:
    for value, count in (("a", 6), ("b", 2)):
        spread.insert(0, count, rules=Rules(fair=Fair(f"={value}")))
    claimed = spread.claim(4)
    by = {record.id: record.rules.fair.key for record in _records(spread)}
    assert [by[one.id] for one in claimed] == ["=a", "=b", "=a", "=b"]


def test_a_holder_is_the_answer_in_its_shard(spread: Spread) -> None:
    held = Rules(hold=Hold("k"))
    (first,) = spread.insert(1, rules=held)
    again = job(shard_key=key_of(1, SHARDS), rules=held)
    other = job(shard_key=key_of(2, SHARDS))
    answers = spread.run(spread.store.insert([other, again]))
    assert answers == [Inserted(other.id), Inserted(first, duplicate=True, held=True)]


def test_a_job_that_is_refused_keeps_the_others_out(spread: Spread) -> None:
    (first,) = spread.insert(2, rules=Rules(hold=Hold("k")))
    refused = Rules(hold=Hold("k", on_conflict=OnConflict.RAISE))
    others = [job(shard_key=key_of(shard, SHARDS)) for shard in (0, 1)]
    again = job(shard_key=key_of(2, SHARDS), rules=refused)
    answers = spread.run(spread.store.insert([*others, again]))
    assert answers[2] == Inserted(first, held=True, conflict=True)
    assert [record.id for record in _records(spread)] == [first]
    # Two that may be refused, in two shards: what was stored before is told.
    (second,) = spread.insert(1, rules=Rules(hold=Hold("j")))
    new = job(
        shard_key=key_of(0, SHARDS), rules=Rules(hold=Hold("i", on_conflict=OnConflict.RAISE))
    )
    late = job(
        shard_key=key_of(1, SHARDS), rules=Rules(hold=Hold("j", on_conflict=OnConflict.RAISE))
    )
    with pytest.raises(PartlyEnqueued, match=rf"1 of 2 jobs.*job {second} holds the unique key"):
        spread.run(spread.store.insert([new, late]))


def test_a_retry_that_finds_its_key_held_says_so(spread: Spread) -> None:
    held = Rules(hold=Hold("k"))
    (ended,) = spread.insert(1, rules=held)
    spread.run(spread.store.cancel([ended], "no"))
    (free,) = spread.insert(0)
    spread.run(spread.store.cancel([free], "no"))
    spread.insert(1, rules=held)
    answer = spread.run(spread.store.retry([ended, free, "unknown"]))
    assert (answer.held, answer.changed, answer.skipped) == ((ended,), (free,), ("unknown",))


def test_an_identity_is_looked_for_in_every_shard(spread: Spread) -> None:
    ids = [spread.insert(shard, identity="user-7")[0] for shard in range(SHARDS)]
    spread.insert(0, identity="user-8")
    found = spread.run(spread.store.find(Filter(identities=("user-7",)), limit=9)).records
    assert [record.id for record in found] == sorted(ids, reverse=True)


def _records(spread: Spread) -> Any:
    return spread.run(spread.store.find(Filter(), limit=99)).records


# --- an application ---


def spread_by(shard_by: Any) -> Longshore:
    return Longshore("memory://", shards=SHARDS, shard_by=shard_by)


def test_unique_keys_and_limits_of_a_kind_are_counted_in_its_shard() -> None:
    app = spread_by("kind")

    @app.job(
        kind="charge",
        unique=Unique(),
        concurrency=Concurrency(to=1, key="account"),
        rate=Rate(100, per="1s"),
    )
    def charge(account: int, n: int = 0) -> int:
        return account

    first = charge.enqueue(7)
    assert charge.enqueue(7).id == first.id
    assert charge.enqueue(7, n=0).is_duplicate
    others = app.enqueue_many(charge.bind(7, n) for n in range(1, 4))
    assert app.push({"kind": "charge", "args": [7]}).is_duplicate
    app.worker(threads=3).run(until_empty=True)
    assert [one.result(timeout=5) for one in (first, *others)] == [7] * 4
    app.close()


def test_a_limit_over_several_kinds_is_refused_however_it_is_enqueued() -> None:
    app = spread_by("kind")

    @app.job(kind="news", rate=Rate(9, per="1m", group="provider"))
    def news(n: int = 0) -> None: ...

    @app.job(kind="plain")
    def plain() -> None: ...

    refused = pytest.raises(CrossShard, match=r"'news'.*the limit provider.*'provider'")
    with refused:
        news.enqueue()
    with refused:
        asyncio.run(news.bind().aenqueue())
    with refused:
        app.enqueue_many([plain.bind(), news.bind(1)])
    with refused:
        asyncio.run(app.aenqueue_many([plain.bind(), news.bind(1)]))
    with refused:
        app.push({"kind": "news", "args": []})
    assert app.query.count() == 0
    assert named(news.using(shard_key="provider").enqueue().id, SHARDS) == shard_of("provider", 3)
    app.close()


def test_what_a_tenant_shares_is_in_its_shard() -> None:
    app = spread_by("args.tenant")

    @app.job(kind="a", identity=["tenant", "n"], unique=Unique())
    def a(tenant: str, n: int, *, how: str = "") -> None: ...

    @app.job(kind="b", unique=Unique(), concurrency=Concurrency(to=1, key="tenant", group="g"))
    def b(tenant: str) -> None: ...

    @app.job(kind="c", concurrency=Concurrency(to=1, key="customer", group="g"))
    def c(customer: str, tenant: str) -> None: ...

    @app.job(kind="d", identity="n", unique=Unique())
    def d(tenant: str, n: int) -> None: ...

    @app.job(kind="e", concurrency=Concurrency(to=1))
    def e(tenant: str) -> None: ...

    @app.job(kind="f", unique=Unique())
    def f(tenant: str = "acme") -> None: ...

    @app.job(kind="g", identity=lambda tenant: tenant.lower(), unique=Unique())
    def g(tenant: str) -> None: ...

    at = shard_of("acme", SHARDS)
    assert a.enqueue("acme", 1).id == a.enqueue("acme", 1, how="again").id
    for handle in (a.enqueue("acme", 2), b.enqueue("acme"), c.enqueue("acme", "acme")):
        assert named(handle.id, SHARDS) == at
    assert named(f.enqueue("acme").id, SHARDS) == at
    bound = [c.bind("acme", "wonka"), d.bind("acme", 1), e.bind("acme"), f.bind(), g.bind("acme")]
    for one in bound:
        with pytest.raises(CrossShard):
            one.enqueue()
    with pytest.raises(CrossShard, match=r"its unique key"):
        a.using(shard_key="wonka").enqueue("acme", 3)
    assert app.query.count() == 5
    app.close()


def test_a_pause_and_a_limit_reach_every_shard_of_an_application() -> None:
    app = spread_by("args.tenant")

    @app.job(kind="a", concurrency=Concurrency(to=1, key="tenant", group="tenant"))
    def a(tenant: str) -> None: ...

    handles = [a.enqueue(f"tenant-{n}") for n in range(9)]
    assert {named(handle.id, SHARDS) for handle in handles} == set(range(SHARDS))
    app.pause(kind=a, reason="provider")
    app.worker(threads=2).run(until_empty=True)
    assert app.query.filter(state="available").count() == 9
    assert {handle.why_waiting().reason for handle in handles} == {"paused kind"}
    app.resume(kind=a)
    app.limits.set("tenant", to=2)
    app.worker(threads=2).run(until_empty=True)
    assert app.query.filter(state="succeeded").count() == 9
    assert [(one.name, one.setting) for one in app.limits.list()] == [("tenant", Setting(2))]
    app.close()
