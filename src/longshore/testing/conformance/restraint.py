"""What tests of limits, holds and turns have in common: short ways to write rules, and recounts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import msgspec

from longshore.core.limits import (
    TURN,
    Fair,
    Hold,
    KindRecord,
    Limit,
    LimitRecord,
    OnConflict,
    Rules,
    SetKind,
    SetLimit,
    Setting,
)
from longshore.core.model import Ending, Inserted, JobRecord, JobState, Lease
from longshore.core.store import Filter, Operation
from longshore.testing.conformance.bench import (
    HOUR,
    LEASE,
    SECOND,
    Bench,
    cancelled,
    died,
    failed,
    interrupted,
    parked,
    released,
    snoozed,
    succeeded,
)

T = TypeVar("T")

#: Longer than anything that is waited for takes, seconds.
PLENTY: Final = 20.0

OTHER: Final = b'{"v":1,"args":["other"]}'

#: A job that waits, in each way that there is.
WAITING: Final = (
    *("available", "scheduled", "retrying", "snoozed", "parked", "blocked", "kind paused"),
)

#: For a claim of parked jobs that were parked under another list of kinds.
PARKED: Final[Mapping[str, Any]] = {"parked_kinds": ("app.new",), "kinds_digest": "d2"}

#: At most one running job for this account.
ACCOUNT: Final = Limit("account", "7", to=1)
OTHER_ACCOUNT: Final = Limit("account", "8", to=1)
HOST: Final = Limit("host", "", to=1)


def unique(key: str = "key", **fields: Any) -> Rules:
    """Rules of a job that holds a key; ``fields`` as in :class:`Hold`."""
    return Rules(hold=Hold(key, **fields))


def replacing(key: str = "key", **fields: Any) -> Rules:
    """Rules of a job that replaces the holder of its key."""
    return unique(key, on_conflict=OnConflict.REPLACE, **fields)


def limited(*limits: Limit) -> Rules:
    """Rules of a job under limits."""
    return Rules(limits=limits)


def rated(to: int, per: int = 10 * SECOND, name: str = "mail", value: str = "") -> Rules:
    """Rules of a job of which ``to`` may start in ``per``."""
    return limited(Limit(name, value, to, per))


def fair(tenant: str, weight: int = 1, *limits: Limit) -> Rules:
    """Rules of a job of one tenant."""
    return Rules(limits=limits, fair=Fair(f"={tenant}", TURN // weight))


def offer(bench: Bench, **fields: Any) -> Inserted:
    """Insert one job and return the answer."""
    (answer,) = bench.do(bench.store.insert([bench.new(**fields)]))
    return answer


def limits(bench: Bench, keys: Sequence[str] | None = None) -> dict[str, LimitRecord]:
    """Records of limits by key; those without a key by their name and a colon."""
    found = bench.do(bench.store.limits(keys))
    return {record.key or f"{record.name}:": record for record in found}


def used(bench: Bench, limit: Limit = ACCOUNT) -> int:
    """How much of a limit is used, as people see it."""
    record = limits(bench, [limit.key]).get(limit.key)
    return 0 if record is None else record.used


def pause(bench: Bench, kind: str = "app.job", **fields: Any) -> None:
    """Pause a kind."""
    bench.do(bench.store.set_kind(SetKind(kind, paused=True, **fields)))


def resume(bench: Bench, kind: str = "app.job") -> None:
    """Resume a kind."""
    bench.do(bench.store.set_kind(SetKind(kind, paused=False)))


def set_limit(bench: Bench, name: str, to: int, per: int | None = None) -> None:
    """Set a limit at run time."""
    bench.do(bench.store.set_limit(SetLimit(name, Setting(to, per))))


def kinds(bench: Bench) -> tuple[KindRecord, ...]:
    """Paused kinds as people see them."""
    return bench.do(bench.store.kinds())


def count_slots(bench: Bench, jobs: Mapping[str, JobRecord]) -> None:
    """Slots in use against the running jobs themselves; nobody is over what was declared."""
    running: dict[str, list[str]] = {}
    for job in jobs.values():
        if job.state is JobState.RUNNING and job.rules is not None:
            for limit in job.rules.limits:
                if limit.per is None:
                    running.setdefault(limit.key, []).append(job.id)
    found = {key: one for key, one in limits(bench).items() if key.startswith("c:") and one.used}
    assert {key: one.used for key, one in found.items()} == {
        key: len(ids) for key, ids in running.items()
    }
    for key, record in found.items():
        assert list(record.holders) == sorted(running[key])[:10]


def found(bench: Bench, *identities: str) -> list[str]:
    """Jobs of these identities, the newest first."""
    page = bench.do(bench.store.find(Filter(identities=identities), limit=100))
    assert page.cursor is None
    return [record.id for record in page.records]


def waiting(bench: Bench, way: str, rules: Rules, kind: str = "app.job") -> str:
    """A job of these rules that waits in one of the :data:`WAITING` ways; ``p1`` lives an hour."""
    bench.process(lease=HOUR)
    fields: dict[str, Any] = {"kind": kind, "identity": "mine", "priority": 1}
    if way == "scheduled":
        fields["scheduled_at"] = bench.now + HOUR
    if way == "blocked":
        bench.add(rules=limited(ACCOUNT))
        bench.lease()
        rules = msgspec.structs.replace(rules, limits=(ACCOUNT,))
    (job,) = bench.add(rules=rules, **fields)
    match way:
        case "retrying":
            bench.finish(failed(bench.lease(), bench.now + HOUR))
        case "snoozed":
            bench.finish(snoozed(bench.lease(), bench.now + HOUR))
        case "parked":
            bench.finish(parked(bench.lease(), "d1"))
        case "kind paused":
            pause(bench, kind)
            assert bench.taken("p1") == []
        case "blocked":
            assert bench.taken("p1") == []
        case _:
            pass
    return job


def at_once(ops: Sequence[Operation[T]], run: Callable[[Operation[T]], T]) -> list[T]:
    """Drive operations in threads that begin together; their answers."""
    begin = threading.Barrier(len(ops), timeout=PLENTY)

    def drive(op: Operation[T]) -> T:
        begin.wait()
        return run(op)

    with ThreadPoolExecutor(len(ops)) as threads:
        return [future.result(PLENTY) for future in [threads.submit(drive, op) for op in ops]]


# --- every way in which a run ends --------------------------------------------------------------


def _tell(make: Callable[[Lease], Ending]) -> Callable[[Bench, Lease], None]:
    def end(bench: Bench, lease: Lease) -> None:
        assert bench.finish(make(lease)) == {lease}

    return end


def _fail(bench: Bench, lease: Lease) -> None:
    bench.finish(failed(lease, bench.now + HOUR))


def _snooze(bench: Bench, lease: Lease) -> None:
    bench.finish(snoozed(lease, bench.now + HOUR))


def _rescue_started(bench: Bench, lease: Lease) -> None:
    bench.rescue(lease.process_id, [lease])


def _rescue_unseen(bench: Bench, lease: Lease) -> None:
    bench.rescue(lease.process_id, [])


def _rescue_lost(bench: Bench, lease: Lease) -> None:
    bench.beat("p2", lease=HOUR)
    bench.pass_time(LEASE + 1)
    bench.rescue()
    assert bench.job(lease.job_id).claimed_by is None


def _never_reached(bench: Bench, lease: Lease) -> None:
    bench.beat(lease.process_id, oldest=1_000)


def _asked(bench: Bench, lease: Lease) -> None:
    bench.do(bench.store.cancel([lease.job_id], "stop"))
    bench.finish(released(lease))


def _asked_and_died(bench: Bench, lease: Lease) -> None:
    bench.do(bench.store.cancel([lease.job_id], "stop"))
    bench.rescue(lease.process_id, [lease])


def _exchanged(bench: Bench, lease: Lease) -> None:
    request = bench.request(lease.process_id, 0)
    bench.do(bench.store.exchange([succeeded(lease)], request))


#: How a run may end that leaves its job where others are now before it, or ends it.
GONE: Final[Mapping[str, Callable[[Bench, Lease], None]]] = {
    "succeeded": _tell(succeeded),
    "failed": _fail,
    "snoozed": _snooze,
    "dead": _tell(died),
    "cancelled": _tell(cancelled),
    "parked": _tell(lambda lease: parked(lease, "d1")),
    "asked to end": _asked,
    "asked to end, process dead": _asked_and_died,
    "exchanged": _exchanged,
}

#: How a run may end after which its job is the first again.
BACK: Final[Mapping[str, Callable[[Bench, Lease], None]]] = {
    "released": _tell(released),
    "interrupted": _tell(interrupted),
    "process dead, started": _rescue_started,
    "process dead, not started": _rescue_unseen,
    "lease lost": _rescue_lost,
    "claim not reached": _never_reached,
}
