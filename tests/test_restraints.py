"""Unique, concurrency, rate, turns and identity as they are declared, and what follows from them.

What is wrong is refused when it is declared, B22 among it: the message names the job, the option
and the value. What is right becomes the rules of each job, by whatever way it is enqueued.
"""

from __future__ import annotations

import enum
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from longshore import (
    CONTEXT,
    ArgsMismatch,
    Concurrency,
    InvalidOption,
    Job,
    JobContext,
    Longshore,
    Rate,
    Unique,
    UnstorableArgument,
)
from longshore.core.limits import Fair, Hold, Limit, OnConflict, Rules
from longshore.declare import new_job

TENANT = UUID("0193ab5c-0000-7000-8000-00000000abcd")


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


def sync(account_id: int, region: str = "eu", *, when: date | None = None) -> None: ...


def made(job: Any, *args: Any, **kwargs: Any) -> tuple[str | None, Rules | None]:
    """What a job of this call is stored with."""
    bound = job.bind(*args, **kwargs)
    new = new_job(bound.declaration.kind, bound.options, bound.payload)
    return new.identity, new.rules


def rules(job: Any, *args: Any, **kwargs: Any) -> Rules:
    found = made(job, *args, **kwargs)[1]
    assert found is not None
    return found


def expected_key(kind: str, **arguments: object) -> str:
    text = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    readable = f"{kind} {text}"
    if len(readable) <= 64 and readable.isascii():
        return readable
    return hashlib.sha256(readable.encode()).hexdigest()


# --- refused when made --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Unique(until="start"), r"until='start'.*mean started\?"),
        (lambda: Unique(until=None), r"until=None is unknown"),
        (lambda: Unique(on_conflict="replce"), r"on_conflict='replce'.*mean replace\?"),
        (lambda: Unique(ttl=0), r"Unique: ttl=0 is out of range"),
        (lambda: Unique(ttl=-1), r"ttl=-1"),
        (lambda: Unique(ttl="5"), r"ttl='5'.*not a duration"),
        (lambda: Unique(ttl=math.nan), r"ttl=nan"),
        (lambda: Concurrency(to=0), r"Concurrency: to=0 must be a whole number from 1"),
        (lambda: Concurrency(to=-1), r"to=-1"),
        (lambda: Concurrency(to=True), r"to=True"),
        (lambda: Concurrency(to="3"), r"to='3'"),
        (lambda: Concurrency(to=2.0), r"to=2\.0"),
        (lambda: Concurrency(to=10**10), r"to=10000000000 .*1000000000"),
        (lambda: Concurrency(to=1, key=""), r"key='' is neither"),
        (lambda: Concurrency(to=1, key=5), r"key=5 is neither"),
        (lambda: Concurrency(to=1, group=""), r"group='' is not a name"),
        (lambda: Concurrency(to=1, group="a:b"), r"group='a:b' is not a name"),
        (lambda: Concurrency(to=1, group="x" * 65), r"group=.*65 long.* is not a name"),
        (lambda: Concurrency(to=1, group=5), r"group=5"),
        (lambda: Rate(0, per="1m"), r"Rate: to=0"),
        (lambda: Rate(1, per=0), r"Rate: per=0 is out of range"),
        (lambda: Rate(1, per="1"), r"per='1'.*not a duration"),
        (lambda: Rate(1, per=True), r"per=True"),
        (lambda: Rate(1, per="400d"), r"per='400d' is out of range"),
    ],
)
def test_a_limit_that_is_refused_when_made(make: Callable[[], object], told: str) -> None:
    with pytest.raises(InvalidOption, match=told) as raised:
        make()
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    "make",
    [
        lambda: Unique(until="finished", unit=1),
        lambda: Concurrency(to=1, kye="a"),
        lambda: Concurrency(1, "account_id"),
        lambda: Concurrency(key="account_id"),
        lambda: Rate(10),
        lambda: Rate(10, "1m"),
    ],
)
def test_arguments_that_do_not_exist(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        make()


def test_what_was_made_cannot_be_changed() -> None:
    for limit in (Unique(), Concurrency(to=1), Rate(1, per=1)):
        with pytest.raises(AttributeError):
            limit.to = 5
    assert Concurrency(to=1) == Concurrency(to=1)
    assert Rate(10, per="1m") != Rate(10, per="1h")
    assert Unique(ttl=timedelta(minutes=1)).hold_for == 60_000_000


# --- refused when declared ----------------------------------------------------------------------


async def later(account_id: int) -> int:
    return account_id


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"unique": True}, r"unique=True is not a rule. Give Unique\(\)"),
        ({"unique": Unique}, r"unique=<class.*Unique'> is not a rule"),
        ({"unique": {"until": "started"}}, r"unique=.*not a rule"),
        ({"at_most_once": 1}, r"at_most_once=1 must be True or False"),
        ({"at_most_once": None}, r"at_most_once=None"),
        ({"identity": "acount_id"}, r"identity='acount_id'.*mean account_id\?.*region, when"),
        ({"identity": ["account_id", "id"]}, r"identity='id'"),
        ({"identity": ()}, r"identity=\(\) names no argument"),
        ({"identity": 5}, r"identity=5 names no argument"),
        ({"identity": ["region", "region"]}, r"twice"),
        ({"identity": [5]}, r"identity=5"),
        ({"identity": lambda acount_id: 1}, r"identity.*`acount_id`.*mean account_id\?"),
        ({"identity": later}, r"identity is a coroutine function"),
        ({"identity": lambda region, /: 1}, r"`region` by position"),
        ({"identity": max}, r"Python knows no signature"),
        ({"concurrency": 3}, r"concurrency=3 is not a limit. Give Concurrency"),
        ({"concurrency": [Rate(1, per=1)]}, r"concurrency=.*not a limit"),
        ({"rate": Concurrency(to=1)}, r"rate=.*not a limit. Give Rate"),
        ({"concurrency": Concurrency(to=1, key="acount_id")}, r"key='acount_id'.*account_id\?"),
        ({"rate": Rate(1, per=1, key=lambda tenant: 1)}, r"key.*`tenant`"),
        (
            {"concurrency": [Concurrency(to=1), Concurrency(to=2)]},
            r"two of its limits are called 'app.sync'.*group=",
        ),
        (
            {"concurrency": Concurrency(to=1, key="region"), "rate": Rate(1, per=1, key="region")},
            r"'app.sync.region'.*group=",
        ),
        (
            {"rate": [Rate(1, per=1, group="a"), Rate(1, per=2, group="a")]},
            r"two of its limits are called 'a'",
        ),
        (
            {"rate": [Rate(1, per=1, key=lambda region: region), Rate(1, per=2)]},
            r"cannot be named after it. Give it group=",
        ),
        ({"fair_by": "tenant"}, r"fair_by='tenant'.*takes account_id"),
        ({"fair_by": 5}, r"fair_by=5"),
        ({"fair_weight": 2}, r"none without fair_by="),
        ({"fair_by": "region", "fair_weight": 0}, r"fair_weight=0 is not a weight"),
        ({"fair_by": "region", "fair_weight": -1}, r"fair_weight=-1"),
        ({"fair_by": "region", "fair_weight": True}, r"fair_weight=True"),
        ({"fair_by": "region", "fair_weight": "2"}, r"fair_weight='2'"),
        ({"fair_by": "region", "fair_weight": math.nan}, r"fair_weight=nan"),
        ({"fair_by": "region", "fair_weight": 1e9}, r"fair_weight=1000000000.0"),
        ({"fair_by": "region", "fair_weight": {"eu": 0}}, r"fair_weight=0"),
        ({"fair_by": "region", "fair_weight": {object(): 1}}, r"fair_weight.*cannot be a key"),
        ({"fair_by": "region", "fair_weight": lambda tenant: 1}, r"fair_weight.*`tenant`"),
        ({"uniqe": Unique()}, r"'uniqe'.*mean unique\?"),
    ],
)
def test_an_option_that_is_refused_when_declared(
    jobs: Longshore, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidOption, match=told) as raised:
        jobs.job(kind="app.sync", **options)(sync)
    assert "app.sync" in str(raised.value)
    assert len(str(raised.value)) < 500
    assert len(jobs.registry) == 0


def test_a_kind_with_a_colon_needs_a_group(jobs: Longshore) -> None:
    with pytest.raises(InvalidOption, match=r"cannot be named after it.*group="):
        jobs.job(kind="app:sync", concurrency=Concurrency(to=1))(sync)
    jobs.job(kind="app:sync", concurrency=Concurrency(to=1, group="sync"))(sync)


def test_a_parameter_that_the_worker_fills_is_no_key(jobs: Longshore) -> None:
    def with_context(user_id: int, ctx: JobContext = CONTEXT) -> None: ...

    with pytest.raises(InvalidOption, match=r"identity='ctx'.*It takes user_id\."):
        jobs.job(kind="x", identity="ctx")(with_context)
    with pytest.raises(InvalidOption, match=r"identity='self'"):

        class Sync(Job, app=jobs):
            kind = "y"
            identity = "self"

            def perform(self, user_id: int) -> None: ...


# --- what follows for a job ---------------------------------------------------------------------


def test_a_job_without_such_options_has_no_rules(jobs: Longshore) -> None:
    job = jobs.job(kind="app.sync", unique=None, concurrency=(), rate=[], identity=None)(sync)
    assert job.declaration.restraints is None
    assert made(job, 7) == (None, None)
    assert made(job.using(unique=None, at_most_once=False), 7) == (None, None)


def test_a_unique_key_is_all_arguments_with_defaults_applied(jobs: Longshore) -> None:
    job = jobs.job(kind="app.sync", unique=Unique(until="started", ttl="1m"))(sync)
    key = expected_key("app.sync", account_id=7, region="eu", when=None)
    expected = Hold(key, until_started=True, ttl=60_000_000)
    assert made(job, 7) == (None, Rules(expected))
    assert rules(job, account_id=7, region="eu").hold == expected
    assert rules(job, 7, when=None).hold == expected
    assert rules(job, 8).hold != expected
    other = jobs.job(kind="app.other", unique=Unique(until="started", ttl="1m"))(sync)
    assert rules(other, 7).hold != expected


def test_a_unique_key_is_the_identity_where_there_is_one(jobs: Longshore) -> None:
    job = jobs.job(
        kind="app.sync",
        identity=["region", "account_id"],
        unique=Unique(on_conflict="replace"),
    )(sync)
    key = expected_key("app.sync", account_id=7, region="eu")
    assert made(job, 7, when=date(2030, 1, 1)) == (
        key,
        Rules(Hold(key, on_conflict=OnConflict.REPLACE)),
    )


def test_identity_alone_makes_no_rules(jobs: Longshore) -> None:
    job = jobs.job(kind="app.sync", identity="account_id")(sync)
    assert made(job, 7) == (expected_key("app.sync", account_id=7), None)


def test_using_decides_for_one_job(jobs: Longshore) -> None:
    plain = jobs.job(kind="app.sync")(sync)
    hold = Hold(expected_key("app.sync", account_id=7, region="eu", when=None))
    assert rules(plain.using(unique=Unique()), 7) == Rules(hold)
    assert rules(plain.using(at_most_once=True), 7) == Rules(at_most_once=True)
    declared = jobs.job(
        kind="app.other", unique=Unique(), at_most_once=True, concurrency=Concurrency(to=1)
    )(sync)
    limits = (Limit("app.other", "", 1),)
    changed = declared.using(unique=None, at_most_once=False)
    assert rules(changed, 7) == Rules(limits=limits)
    assert rules(declared.using(queue="low"), 7).hold is not None
    with pytest.raises(InvalidOption, match=r"app.sync: unique=True"):
        plain.using(unique=True)
    with pytest.raises(InvalidOption, match=r"app.sync: at_most_once='yes'"):
        plain.using(at_most_once="yes")
    for option in ("identity", "concurrency", "rate", "fair_by", "fair_weight"):
        with pytest.raises(InvalidOption, match=option):
            plain.using(**{option: "account_id"})


@pytest.mark.parametrize(
    ("concurrency", "rate", "names"),
    [
        (Concurrency(to=1, key="region"), (), ["app.sync"]),
        ((), Rate(1, per=1, key="region"), ["app.sync"]),
        (Concurrency(to=1), Rate(1, per=1, key="region"), ["app.sync", "app.sync.region"]),
        (
            [Concurrency(to=1, key="region"), Concurrency(to=5, group="all")],
            Rate(1, per=1, key="account_id"),
            ["app.sync.region", "all", "app.sync.account_id"],
        ),
    ],
)
def test_a_limit_has_a_name(jobs: Longshore, concurrency: Any, rate: Any, names: list[str]) -> None:
    job = jobs.job(kind="app.sync", concurrency=concurrency, rate=rate)(sync)
    assert [limit.name for limit in rules(job, 7).limits] == names


def test_a_function_with_a_name_names_its_limit(jobs: Longshore) -> None:
    def continent(region: str) -> str:
        return region[:1]

    job = jobs.job(
        kind="app.sync",
        concurrency=[Concurrency(to=1, key=continent), Concurrency(to=9)],
    )(sync)
    assert rules(job, 7).limits == (
        Limit("app.sync.continent", "e", 1),
        Limit("app.sync", "", 9),
    )


class Plan(enum.Enum):
    FREE = "free"
    PAID = 2


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (str, "acme", "acme"),
        (str, "", ""),
        (str, "ünï", "ünï"),
        (str, "x" * 128, "x" * 128),
        (str, "x" * 129, hashlib.sha256(b"x" * 129).hexdigest()),
        (int, 7, "7"),
        (bool, True, "true"),
        (int | None, None, "null"),
        (float, 1.5, "1.5"),
        (UUID, TENANT, str(TENANT)),
        (date, date(2030, 1, 2), "2030-01-02"),
        (Plan, Plan.FREE, "free"),
        (Plan, Plan.PAID, "2"),
        (dict[str, int], {"b": 1, "a": 2}, '{"a":2,"b":1}'),
        (list[int], [3, 1], "[3,1]"),
    ],
)
def test_values_of_keys_as_text(jobs: Longshore, annotation: Any, value: Any, text: str) -> None:
    def run(key: Any) -> None: ...

    run.__annotations__["key"] = annotation
    options = {"concurrency": Concurrency(to=2, key="key"), "fair_by": "key"}
    by_name = rules(jobs.job(kind="n", **options)(run), value)
    assert by_name.limits == (Limit("n", text, 2),)
    assert by_name.fair == Fair(f"={text}")
    by_function = jobs.job(kind="f", concurrency=Concurrency(to=2, key=lambda key: key))(run)
    assert rules(by_function, value).limits == (Limit("f", text, 2),)


def test_functions_get_the_arguments_that_they_name_as_annotated(jobs: Longshore) -> None:
    seen: list[dict[str, Any]] = []

    def key(when: date | None, region: str, **rest: Any) -> tuple[str, int]:
        seen.append({"when": when, "region": region, **rest})
        return region, 0 if when is None else when.year

    job = jobs.job(kind="app.sync", identity=key)(sync)
    year = date(2030, 1, 1)
    assert made(job, 7, when=year)[0] == 'app.sync ["eu",2030]'
    assert seen == [{"account_id": 7, "region": "eu", "when": year}]


@pytest.mark.parametrize("bad", [object(), math.nan, [math.inf], "a\0b", "\ud800", {1: object()}])
def test_what_a_function_gives_must_be_a_value(jobs: Longshore, bad: object) -> None:
    """B22: a key that nobody could compare is refused, and nothing is written."""
    job = jobs.job(kind="app.sync", identity=lambda region: bad, unique=Unique())(sync)
    with pytest.raises(UnstorableArgument, match=r"app.sync: identity: .* cannot be a key"):
        job.enqueue(7)
    with pytest.raises(UnstorableArgument, match=r"item 1: .*nothing of the batch"):
        jobs.enqueue_many([jobs.job(kind="plain")(sync).bind(1), job.bind(7)])
    assert jobs.query.count() == 0


def test_a_huge_key_is_a_digest(jobs: Longshore) -> None:
    """B22."""

    def run(text: str) -> None: ...

    job = jobs.job(kind="x", unique=Unique(), concurrency=Concurrency(to=1, key="text"))(run)
    found = rules(job, "x" * 60_000)
    assert found.hold is not None
    assert len(found.hold.key) == 64
    assert len(found.limits[0].value) == 64


def test_what_a_function_raises_is_raised_unchanged(jobs: Longshore) -> None:
    def key(region: str) -> str:
        raise KeyError(region)

    job = jobs.job(kind="app.sync", rate=Rate(1, per=1, key=key))(sync)
    with pytest.raises(KeyError) as raised:
        job.enqueue(7)
    assert raised.value.__notes__ == ["Raised by job app.sync: key; nothing was enqueued."]
    assert jobs.query.count() == 0


@pytest.mark.parametrize(
    ("weight", "step"),
    [
        (1, 1_000_000),
        (2, 500_000),
        (0.5, 2_000_000),
        ({"eu": 4}, 250_000),
        ({"us": 4}, 1_000_000),
        (lambda region: {"eu": 8}[region], 125_000),
        (lambda account_id: account_id, 142_857),
        (1000, 1000),
    ],
)
def test_weights(jobs: Longshore, weight: Any, step: int) -> None:
    job = jobs.job(kind="app.sync", fair_by="region", fair_weight=weight)(sync)
    assert rules(job, 7).fair == Fair("=eu", step)


def test_weights_of_numbers_are_looked_up_by_their_text(jobs: Longshore) -> None:
    job = jobs.job(kind="app.sync", fair_by="account_id", fair_weight={7: 2})(sync)
    assert rules(job, 7).fair == Fair("=7", 500_000)


def test_a_function_that_gives_no_weight(jobs: Longshore) -> None:
    job = jobs.job(kind="app.sync", fair_by="region", fair_weight=lambda region: 0)(sync)
    with pytest.raises(InvalidOption, match=r"app.sync: fair_weight\(\)=0 is not a weight"):
        job.bind(7).enqueue()


def test_everything_at_once_in_the_class_form(jobs: Longshore) -> None:
    class Sync(Job, app=jobs):
        kind = "app.sync"
        identity = ("account_id",)
        unique = Unique(on_conflict="raise")
        concurrency = [Concurrency(to=3, key="account_id", group="account"), Concurrency(to=50)]  # noqa: RUF012
        rate = Rate(10, per="1m", key="region")
        fair_by = "region"
        fair_weight = {"eu": 2}  # noqa: RUF012
        at_most_once = True

        def perform(self, account_id: int, region: str = "eu") -> None: ...

    key = expected_key("app.sync", account_id=7)
    assert made(Sync, 7) == (
        key,
        Rules(
            Hold(key, on_conflict=OnConflict.RAISE),
            (
                Limit("account", "7", 3),
                Limit("app.sync", "", 50),
                Limit("app.sync.region", "eu", 10, 60_000_000),
            ),
            Fair("=eu", 500_000),
            at_most_once=True,
        ),
    )


def test_arguments_without_a_name(jobs: Longshore) -> None:
    def send(user_id: int, /, *copies: str, **flags: bool) -> None: ...

    job = jobs.job(
        kind="send",
        identity="user_id",
        unique=Unique(),
        concurrency=[Concurrency(to=1, key="copies"), Concurrency(to=2, key="urgent")],
    )(send)
    identity, found = made(job, 7, "a", "b", urgent=True)
    assert identity == expected_key("send", user_id=7)
    assert found is not None
    assert [limit.value for limit in found.limits] == ['["a","b"]', "true"]
    assert [limit.value for limit in rules(job, 7).limits] == ["[]", "null"]


def test_pushed_jobs_go_by_the_declaration(jobs: Longshore) -> None:
    job = jobs.job(
        kind="app.sync",
        aliases=["app.old"],
        unique=Unique(),
        concurrency=Concurrency(to=2, key="region"),
    )(sync)
    expected = rules(job, 7)
    for kind in ("app.sync", "app.old"):
        _, new = jobs._pushed({"kind": kind, "args": [7]})
        assert (new.kind, new.rules) == (kind, expected)
    _, new = jobs._pushed({"kind": "app.sync", "kwargs": {"account_id": 7}, "unique": None})
    assert new.rules == Rules(limits=expected.limits)
    with pytest.raises(ArgsMismatch, match=r"app.sync: its keys.*do not fit.*enqueued"):
        jobs.push({"kind": "app.sync", "args": [7, 8, 9, 10]})


def test_what_is_pushed_of_unknown_kinds_has_no_keys(jobs: Longshore) -> None:
    _, new = jobs._pushed({"kind": "elsewhere", "args": [7], "at_most_once": True})
    assert new.rules == Rules(at_most_once=True)
    with pytest.raises(ArgsMismatch, match=r"elsewhere: its unique key.*no such job is declared"):
        jobs.push({"kind": "elsewhere", "args": [7], "unique": Unique()})
