"""A claim that stands with the server: who has nothing to do has new jobs with the word of them."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from longshore import StoreBusy
from longshore.core.model import JobState, Lease
from longshore.core.standing import StandingWatch
from longshore.core.store import Beat, Claim, ClaimRequest, ProcessBeat
from longshore.stores.redis.store import RedisStore
from longshore.stores.redis.watch import RedisWatch
from longshore.stores.redis.wire import Lost
from longshore.worker.claims import Claims
from longshore.worker.failpoints import Failpoint, Points
from longshore.worker.looks import Looks
from longshore.worker.standing import Standing
from tests import redis_tools
from tests.harbour_tools import eventually
from tests.places import Place
from tests.redis_tools import PLENTY, kill
from tests.store_tools import EVERYTHING, LEASE, claim, job, register

pytestmark = pytest.mark.servers

where, store, client = redis_tools.where, redis_tools.store, redis_tools.client


def request(claim_id: int, wanted: int = 5, process: str = "p") -> ClaimRequest:
    return ClaimRequest(process, claim_id, wanted, EVERYTHING)


@pytest.fixture
def watch(store: RedisStore) -> Iterator[RedisWatch]:
    """Of a process that just found nothing."""
    register(store)
    assert claim(store, 1) == []
    with contextlib.closing(store.watch()) as watch:
        assert isinstance(watch, StandingWatch)
        watch.wait(0)
        yield watch


def standing(store: RedisStore, watch: RedisWatch, claim_id: int = 2) -> None:
    assert watch.ask(store.claim(request(claim_id)))
    assert watch.asked


def is_connected(client: Any, address: tuple[str, int]) -> bool:
    """Whether the server knows this end of a connection yet."""
    host, port = address
    return any(one["addr"] == f"{host}:{port}" for one in client.client_list())


def ids(claim: Claim | None) -> list[str]:
    assert claim is not None
    assert claim.live
    return [one.id for one in claim.jobs]


def test_a_claim_is_carried_out_when_a_job_arrives(store: RedisStore, watch: RedisWatch) -> None:
    standing(store, watch)
    assert not watch.wait(0.2)
    assert watch.asked
    one, two = job(), job()
    store.run(store.insert([one]))
    assert watch.wait(PLENTY)
    assert not watch.asked
    assert ids(watch.brought()) == [one.id]
    assert watch.brought() is None, "once"
    # It told the server of this watch, as every claim does that finds little.
    standing(store, watch, 3)
    store.run(store.insert([two]))
    assert watch.wait(PLENTY)
    assert ids(watch.brought()) == [two.id]
    states = {record.state for record in store.run(store.get([one.id, two.id])).values()}
    assert states == {JobState.RUNNING}


def test_a_claim_may_be_left_while_the_server_is_listened_to_already(
    store: RedisStore, watch: RedisWatch
) -> None:
    assert not watch.wait(0.1)
    standing(store, watch)
    new = job()
    store.run(store.insert([new]))
    assert watch.wait(PLENTY)
    assert ids(watch.brought()) == [new.id]


def test_of_two_that_wait_one_has_the_job(store: RedisStore, watch: RedisWatch) -> None:
    register(store, "q")
    with contextlib.closing(store.watch()) as other:
        other.wait(0)
        standing(store, watch)
        assert other.ask(store.claim(request(1, process="q")))
        new = job()
        store.run(store.insert([new]))
        assert watch.wait(PLENTY)
        assert other.wait(PLENTY)
        brought = [ids(one.brought()) for one in (watch, other)]
    assert sorted(brought) == [[], [new.id]]


@pytest.mark.parametrize("there", [False, True])
def test_a_claim_is_called_back(store: RedisStore, watch: RedisWatch, *, there: bool) -> None:
    """Whatever it brings, it has been carried out then, and no other after it before that."""
    standing(store, watch)
    new = job()
    if there:
        store.run(store.insert([new]))
    watch.recall()
    assert not watch.asked
    assert ids(watch.brought()) == ([new.id] if there else [])
    watch.recall()  # nothing stands
    assert watch.brought() is None
    late = job()
    store.run(store.insert([late]))
    assert claim(store, 3) == [late.id]


def test_the_time_after_which_a_server_lets_nobody_wait_ends_it_too(
    store: RedisStore, watch: RedisWatch
) -> None:
    watch._blpop = watch._blpop.replace(b"$1\r\n2\r\n", b"$1\r\n1\r\n")
    standing(store, watch)
    began = time.monotonic()
    assert watch.wait(PLENTY)
    assert 0.5 < time.monotonic() - began < PLENTY
    assert ids(watch.brought()) == []


def test_what_was_lost_is_known_and_was_not_claimed(
    store: RedisStore, watch: RedisWatch, client: Any
) -> None:
    standing(store, watch)
    kill(client, watch._link)
    assert watch.wait(PLENTY)
    assert not watch.asked
    assert watch.brought() is None
    new = job()
    store.run(store.insert([new]))
    assert claim(store, 3) == [new.id]
    standing(store, watch, 4)
    kill(client, watch._link)
    watch.recall()
    assert not watch.asked


def test_what_an_answer_that_was_lost_has_claimed_goes_back_with_the_next_beat(
    store: RedisStore, watch: RedisWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing(store, watch)
    new = job()
    store.run(store.insert([new]))
    eventually(lambda: store.run(store.get([new.id]))[new.id].state is JobState.RUNNING)

    def cut() -> Any:
        raise Lost("cut", sent=True)

    monkeypatch.setattr(type(watch._link), "reply", lambda _link: cut())
    assert watch.wait(PLENTY)
    assert watch.brought() is None
    monkeypatch.undo()
    store.run(store.beat(Beat((ProcessBeat("p", 3),), LEASE)))
    assert store.run(store.get([new.id]))[new.id].state is JobState.AVAILABLE


def test_what_is_given_up_is_not_carried_out(
    store: RedisStore, watch: RedisWatch, client: Any
) -> None:
    standing(store, watch)
    address = watch._link._socket.getsockname()
    watch.drop()
    assert not watch.asked
    # Until the server has heard of it, it may be carried out: then the next beat gives back.
    eventually(lambda: not is_connected(client, address))
    new = job()
    store.run(store.insert([new]))
    assert claim(store, 3) == [new.id]
    standing(store, watch, 4)
    address = watch._link._socket.getsockname()
    watch.close()
    eventually(lambda: not is_connected(client, address))
    other = job()
    store.run(store.insert([other]))
    assert claim(store, 5) == [other.id]
    assert not watch.ask(store.claim(request(6))), "it is closed"


def test_a_process_whose_lease_is_gone_is_told_so(
    store: RedisStore, watch: RedisWatch, client: Any, where: Place
) -> None:
    standing(store, watch)
    client.delete(f"{{{where.prefix}}}process:p")
    store.run(store.insert([job()]))
    assert watch.wait(PLENTY)
    brought = watch.brought()
    assert brought is not None
    assert not brought.live


def test_scripts_that_were_flushed_are_no_claim(
    store: RedisStore, watch: RedisWatch, flushing: Any
) -> None:
    standing(store, watch)
    flushing.script_flush()
    watch.recall()
    assert (watch.asked, watch.brought()) == (False, None)
    new = job()
    store.run(store.insert([new]))
    assert claim(store, 3) == [new.id]


flushing = redis_tools.flushing


def test_failpoints_are_met_by_it(store: RedisStore, watch: RedisWatch) -> None:
    points = Points((Failpoint("after_claim", "hang"),))
    points.on(watch)
    standing(store, watch)
    assert points._met == {"before_claim": 1}
    watch.recall()
    assert ids(watch.brought()) == []
    assert points._met == {"before_claim": 1}, "it brought nothing"


def test_a_server_that_refuses_to_let_anybody_wait_is_left_alone(
    store: RedisStore, watch: RedisWatch, client: Any, where: Place
) -> None:
    """As one that takes no writes: a claim that finds nothing is answered all the same."""
    watch.close()
    with contextlib.closing(store.watch()) as other:
        client.set(f"{{{where.prefix}}}wake:{other.id}", "no list")
        standing(store, other)
        assert other.wait(PLENTY)
        assert (other.asked, other.brought()) == (False, None)
        assert not other.ask(store.claim(request(3)))
        began = time.monotonic()
        assert not other.wait(0.2)
        assert time.monotonic() - began > 0.1
        client.delete(f"{{{where.prefix}}}wake:{other.id}")


def test_a_claim_that_is_given_up_is_open_no_more(store: RedisStore, watch: RedisWatch) -> None:
    """Else the beats would not give back what it took all the same."""
    claims = Claims()
    kept = Standing(store, watch, claims, Looks(1.0))
    kept.place(request(claims.begin()))
    assert (kept.possible, claims.oldest) == (False, 1)
    kept.forget()
    assert (kept.possible, claims.oldest) == (True, 2)
    kept.place(request(claims.begin()))
    watch.recall()
    came = kept.came(again=True)
    assert came is not None
    assert ids(came[1]) == []
    assert kept.came(again=True) is None


@pytest.mark.parametrize("again", [False, True])
def test_a_claim_whose_answer_was_lost_is_asked_for_again(
    store: RedisStore, watch: RedisWatch, client: Any, *, again: bool
) -> None:
    claims, looks, (new,) = Claims(), Looks(1.0), [job()]
    claims.begin()
    kept = Standing(store, watch, claims, looks)
    kept.place(request(claims.begin()))
    kill(client, watch._link)
    store.run(store.insert([new]))
    watch.wait(PLENTY)
    came = kept.came(again=again)
    assert came is not None
    assert (came[1] is not None) is again
    assert not again or ids(came[1]) == [new.id]


def test_trouble_in_asking_again_is_told(
    store: RedisStore, watch: RedisWatch, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_op: Any) -> Any:
        raise StoreBusy("the store is busy, for a test")

    claims, looks = Claims(), Looks(1.0)
    claims.begin()
    kept = Standing(store, watch, claims, looks)
    kept.place(request(claims.begin()))
    kill(client, watch._link)
    watch.wait(PLENTY)
    monkeypatch.setattr(store, "run", fails)
    came = kept.came(again=True)
    assert came is not None
    assert (came[1], looks.trouble) == (None, 1)
    assert looks.again_at > time.monotonic()


def test_what_it_brought_is_reported_as_what_any_claim_did(
    store: RedisStore, watch: RedisWatch
) -> None:
    standing(store, watch)
    new = job()
    store.run(store.insert([new]))
    assert watch.wait(PLENTY)
    assert ids(watch.brought()) == [new.id]
    lease = Lease(new.id, "p", 1)
    assert store.run(store.finish([redis_tools.succeeded(new.id)])) == {lease}
