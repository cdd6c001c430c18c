"""What plain ``redis-py`` can do with this server: the limits of W1, W1b, W2 on Redis and Valkey.

One connection with hiredis, durability as the server has it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from redis import Redis

from bench.sample import Sample, Stopwatch, exactly_once, percentiles, same
from bench.workloads.stores import chunks

# What has ended goes from the hash of running jobs, the next hundred moves there from the list.
_STEP = """
if #ARGV > 0 then redis.call('hdel', KEYS[2], unpack(ARGV)) end
local entries = redis.call('rpop', KEYS[1], 100)
if not entries then return {} end
local fields = {}
for i, entry in ipairs(entries) do
  fields[2 * i - 1], fields[2 * i] = string.sub(entry, 1, 36), entry
end
redis.call('hset', KEYS[2], unpack(fields))
return entries
"""
_READY, _RUNNING = "raw:ready", "raw:running"


def one_by_one(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """One `LPUSH` of the payload for each job."""
    with Redis.from_url(os.environ["BENCH_URL"]) as redis:
        payloads = [_payload(number) for number in range(jobs)]
        redis.ping()
        with Stopwatch() as watch:
            for payload in payloads:
                redis.lpush(_READY, payload)
        same("entries", redis.llen(_READY), jobs)
    return watch.rate(jobs)


def in_bulk(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """An `LPUSH` for each job, a thousand in each pipeline."""
    with Redis.from_url(os.environ["BENCH_URL"]) as redis:
        payloads = [_payload(number) for number in range(jobs)]
        redis.ping()
        with Stopwatch() as watch:
            for chunk in chunks(range(jobs)):
                with redis.pipeline(transaction=False) as pipeline:
                    for number in chunk:
                        pipeline.lpush(_READY, payloads[number])
                    pipeline.execute()
        same("entries", redis.llen(_READY), jobs)
    return watch.rate(jobs)


def drain(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """Remove a hundred and claim the next hundred with one call of one script, in one thread.

    Jobs wait in a list, their ids before their payloads, and run in a hash. Nothing is decoded,
    called or kept.
    """
    taken: list[int] = []
    with Redis.from_url(os.environ["BENCH_URL"]) as redis:
        for chunk in chunks(range(jobs)):
            redis.lpush(_READY, *(_id(number).encode() + _payload(number) for number in chunk))
        script = redis.script_load(_STEP)
        ids: list[bytes] = []
        with Stopwatch() as watch:
            while entries := redis.evalsha(script, 2, _READY, _RUNNING, *ids):
                ids = [entry[:36] for entry in entries]
                taken += [int(each[-12:], 16) for each in ids]
        same("entries", redis.llen(_READY) + redis.hlen(_RUNNING), 0)
    exactly_once(taken, jobs)
    return watch.rate(jobs)


def awaited(home: Path, *, jobs: int) -> Sample:  # noqa: ARG001 - called as all are
    """A `HSET` and an `LPUSH` in one go; a second connection, blocked by `BLPOP`, reads the value.

    All in one thread, so that nobody has to be woken. It rests between values as the bodies do.
    """
    waits: list[int] = []
    url = os.environ["BENCH_URL"]
    with Redis.from_url(url) as ends, Redis.from_url(url) as reads:
        blocked = Redis.from_url(url).connection_pool.get_connection()
        with Stopwatch() as watch:
            for number in range(jobs):
                blocked.send_command("BLPOP", "raw:ear", 0)
                time.sleep(number % 3 / 100)
                start = time.monotonic_ns()
                with ends.pipeline() as pipeline:
                    pipeline.hset(_RUNNING, str(number), "7").lpush("raw:ear", "1").execute()
                blocked.read_response()
                value = reads.hget(_RUNNING, str(number))
                waits.append(time.monotonic_ns() - start)
                same("the value", int(value or 0), 7)
        blocked.disconnect()
    return Sample(percentiles(waits, (50, 95, 99)), watch.seconds)


def _id(number: int) -> str:
    return f"0197f1c0-6a00-7000-8000-{number:012x}"


def _payload(number: int) -> bytes:
    return b'{"v":1,"args":[],"kwargs":{"number":%d}}' % number
