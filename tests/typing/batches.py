"""Batches, chains and workflows as a type checker sees them; wrong uses are marked."""

from typing import assert_type

from longshore import Batch, Chain, JobHandle, Longshore, Node, Workflow, current

jobs = Longshore("memory://")


@jobs.job
def fetch(url: str) -> bytes:
    return url.encode()


@jobs.job
async def parse(page: bytes, *, strict: bool = True) -> dict[str, int]:
    return {str(page): int(strict)}


@jobs.job
def save(found: dict[str, int]) -> None: ...


chain = jobs.chain(fetch.bind("u")).then(parse)
assert_type(chain, Chain[dict[str, int]])
assert_type(chain.enqueue(), JobHandle[dict[str, int]])
assert_type(chain.then(save).enqueue(), JobHandle[None])
jobs.chain(fetch.bind("u")).then(parse.using(queue="low")).then(save)
jobs.chain(fetch.bind("u")).then(save)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with jobs.workflow("order") as flow:
    assert_type(flow, Workflow)
    page = flow.add(fetch.bind("u"))
    assert_type(page, Node[bytes])
    assert_type(page.output, bytes)
    parsed = flow.add(parse.bind(page.output), after=[page], on_dead="cancel")
    assert_type(parsed.output, dict[str, int])
    assert_type(parsed.handle, JobHandle[dict[str, int]])
    flow.add(save.bind(page.output))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    flow.add(save.bind(parsed.output), on_dead="die")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with jobs.batch("import", on_success=save.bind({}), on_death=fetch.bind("x")) as batch:
    assert_type(batch, Batch)
    assert_type(batch.add(fetch.bind("u")), JobHandle[bytes])
    with batch.batch("inner") as inner:
        inner.add(parse.bind(b""))
jobs.batch("import", on_success=save)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@jobs.job
def split() -> None:
    own = current().batch
    if own is not None:
        assert_type(own.add(fetch.bind("u")), JobHandle[bytes])
