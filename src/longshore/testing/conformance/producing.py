"""Producing: jobs go in whole, once, and come out as they went in."""

from __future__ import annotations

import msgspec

from longshore.core.model import Inserted, JobState
from longshore.testing.conformance.bench import MINUTE, PAYLOAD, SECOND, Bench, succeeded


class ProducingConformance:
    """What ``insert`` does."""

    def test_an_inserted_job_is_stored_as_given(self, bench: Bench) -> None:
        new = bench.new(
            kind="app.tidy",
            queue="low-1.x",
            priority=-32768,
            max_attempts=3,
            timeout=5 * SECOND,
            expires_at=bench.now + MINUTE,
            keep_result=None,
            tags=("a", "ü"),
            meta={"tenant": "t1", "trace": {"id": [1, 2]}},
        )
        assert list(bench.do(bench.store.insert([new]))) == [Inserted(new.id)]
        record = bench.job(new.id)
        for field in msgspec.structs.fields(new):
            if field.name in {"fresh", "shard_key"}:
                continue  # of the request, not of the job
            assert getattr(record, field.name) == getattr(new, field.name), field.name
        assert (record.run, record.failures, record.interruptions) == (0, 0, 0)
        assert (record.attempted_at, record.claimed_at, record.finalized_at) == (None, None, None)
        assert (record.claimed_by, record.cancel_requested, record.parked) == (None, False, None)
        assert (record.reason, record.result, record.result_error) == (None, None, None)
        assert (record.progress, record.runs) == (None, ())

    def test_defaults_are_stored_too(self, bench: Bench) -> None:
        new = bench.new()
        bench.do(bench.store.insert([new]))
        record = bench.job(new.id)
        assert (record.tags, record.meta, record.max_attempts) == ((), {}, 25)
        assert (record.timeout, record.expires_at, record.keep_result) == (
            None,
            None,
            new.keep_result,
        )

    def test_a_scheduled_job_waits_for_its_time(self, bench: Bench) -> None:
        (job,) = bench.add(scheduled_at=bench.now + MINUTE)
        record = bench.job(job)
        assert (record.state, record.scheduled_at) == (JobState.SCHEDULED, bench.now + MINUTE)

    def test_an_empty_request_is_answered(self, bench: Bench) -> None:
        assert list(bench.do(bench.store.insert([]))) == []

    def test_thousands_of_jobs_go_in_one_request(self, bench: Bench) -> None:
        new = [bench.new() for _ in range(3000)]
        answers = bench.do(bench.store.insert(new))
        assert [answer.id for answer in answers] == [job.id for job in new]
        assert not any(answer.duplicate or answer.conflict for answer in answers)
        assert len(bench.look()) == 3000

    def test_a_repeated_request_is_answered_and_stores_nothing(self, bench: Bench) -> None:
        new = [bench.new(), bench.new()]
        bench.do(bench.store.insert(new))
        before = bench.look()
        answers = bench.do(bench.store.insert([*new, bench.new()]))
        assert [answer.duplicate for answer in answers] == [True, True, False]
        assert not any(answer.conflict for answer in answers)
        after = bench.look()
        assert len(after) == 3
        assert before.items() <= after.items()

    def test_a_duplicate_changes_nothing_of_the_stored_job(self, bench: Bench) -> None:
        new = bench.new(priority=1)
        bench.do(bench.store.insert([new]))
        other = msgspec.structs.replace(new, queue="other", priority=9, tags=("x",))
        (answer,) = bench.do(bench.store.insert([other]))
        assert answer == Inserted(new.id, duplicate=True)
        record = bench.job(new.id)
        assert (record.queue, record.priority, record.tags) == ("default", 1, ())

    def test_a_running_or_ended_job_is_a_duplicate_too(self, bench: Bench) -> None:
        new = bench.new()
        bench.do(bench.store.insert([new]))
        bench.process()
        lease = bench.lease()
        assert list(bench.do(bench.store.insert([new]))) == [Inserted(new.id, duplicate=True)]
        assert bench.state(new.id) is JobState.RUNNING
        bench.finish(succeeded(lease, b"1"))
        assert list(bench.do(bench.store.insert([new]))) == [Inserted(new.id, duplicate=True)]
        assert bench.state(new.id) is JobState.SUCCEEDED
        assert bench.taken("p1") == []

    def test_another_payload_under_a_known_id_writes_nothing(self, bench: Bench) -> None:
        known, first, last = bench.new(), bench.new(), bench.new()
        bench.do(bench.store.insert([known]))
        other = msgspec.structs.replace(known, payload=PAYLOAD + b" ")
        answers = bench.do(bench.store.insert([first, other, last]))
        assert answers[1] == Inserted(known.id, conflict=True)
        assert [answer.conflict for answer in answers] == [False, True, False]
        assert set(bench.look()) == {known.id}
        assert bench.job(known.id).payload == PAYLOAD

    def test_another_kind_under_a_known_id_writes_nothing(self, bench: Bench) -> None:
        known, fresh = bench.new(), bench.new()
        bench.do(bench.store.insert([known]))
        other = msgspec.structs.replace(known, kind="app.other")
        answers = bench.do(bench.store.insert([other, fresh]))
        assert [answer.conflict for answer in answers] == [True, False]
        assert set(bench.look()) == {known.id}

    def test_another_payload_under_an_ended_id_is_a_conflict(self, bench: Bench) -> None:
        known = bench.new()
        bench.do(bench.store.insert([known]))
        bench.process()
        bench.finish(succeeded(bench.lease()))
        other = msgspec.structs.replace(known, payload=b"{}")
        (answer,) = bench.do(bench.store.insert([other]))
        assert answer.conflict
        assert bench.state(known.id) is JobState.SUCCEEDED

    def test_an_id_twice_in_one_request_is_stored_once(self, bench: Bench) -> None:
        new = bench.new()
        answers = bench.do(bench.store.insert([new, new]))
        assert list(answers) == [Inserted(new.id), Inserted(new.id, duplicate=True)]
        assert set(bench.look()) == {new.id}

    def test_an_id_twice_with_two_payloads_writes_nothing(self, bench: Bench) -> None:
        new, fresh = bench.new(), bench.new()
        other = msgspec.structs.replace(new, payload=b"{}")
        answers = bench.do(bench.store.insert([fresh, new, other]))
        assert [answer.conflict for answer in answers] == [False, False, True]
        assert bench.look() == {}

    def test_a_deleted_id_may_be_stored_again(self, bench: Bench) -> None:
        new = bench.new()
        bench.do(bench.store.insert([new]))
        bench.do(bench.store.delete([new.id]))
        assert list(bench.do(bench.store.insert([new]))) == [Inserted(new.id)]
        assert bench.state(new.id) is JobState.AVAILABLE
