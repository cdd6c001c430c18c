"""Queries of named jobs, queries of what no job has, and who hears of a verb."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from longshore import Longshore
from longshore.core.store import Filter
from longshore.errors import InvalidOption
from longshore.query import jobs as walking


@pytest.fixture
def jobs() -> Iterator[Longshore]:
    app = Longshore("memory://")
    yield app
    app.close()


def ids(found: Any) -> list[str]:
    return [handle.id for handle in found]


def declare(app: Longshore) -> Any:
    @app.job(kind="mail.send")
    def send(user_id: int) -> None: ...

    return send


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("limit", [None, 5, 6])
def test_jobs_that_are_named_are_asked_for_in_parts(
    jobs: Longshore,
    order: Literal["newest", "oldest"],
    limit: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(walking, "CHUNK", 3)
    send = declare(jobs)
    made = ids([send.enqueue(i) for i in range(11)])
    asked = list[int]()
    find = jobs.client.store.find

    def counted(where: Filter, **page: Any) -> Any:
        asked.append(len(where.ids))
        return find(where, **page)

    monkeypatch.setattr(jobs.client.store, "find", counted)
    query = jobs.query.filter(id=[*made[:10], "0" * 8 + made[10][8:]]).order(order)
    found = ids(query if limit is None else query.limit(limit))
    assert found == (made[:10] if order == "oldest" else made[9::-1])[:limit]
    assert max(asked) <= 3


def test_what_lies_too_deep_for_any_job_is_refused() -> None:
    deep: dict[str, object] = {"a": 1}
    for _ in range(3000):
        deep = {"a": deep}
    with pytest.raises(InvalidOption, match="deeper than 64 levels"):
        Longshore("memory://").query.filter(args=deep)


@pytest.mark.parametrize("way", ["handle", "query"])
def test_listeners_hear_why_a_job_was_cancelled(jobs: Longshore, way: str) -> None:
    heard = list[tuple[str | None, str | None]]()
    jobs.on("job.cancelled")(lambda event: heard.append((event.job_id, event.reason)))
    handle = declare(jobs).enqueue(1)
    assert handle.cancel("too late") if way == "handle" else jobs.query.cancel("too late").changed
    assert heard == [(handle.id, "too late")]
