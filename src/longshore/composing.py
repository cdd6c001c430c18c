"""Batches, workflows and chains, as the application's object makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from longshore.core.sealing import is_box
from longshore.core.shards import named, with_shard
from longshore.errors import CrossShard, EnqueueError
from longshore.job import BoundJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from longshore.core.model import NewJob
    from longshore.core.registry import Declaration
    from longshore.core.sealing import Sealer
    from longshore.core.shards import Placing
    from longshore.joining.through import Through
    from longshore.query.batches import Batch, Batches
    from longshore.query.bundled import Composer
    from longshore.query.workflows import Chain, OnDead, Workflow, Workflows

R = TypeVar("R")


class Composing:
    """The part of :class:`Longshore` that puts jobs together; what it makes is imported with it."""

    def batch(
        self: Composer,
        name: str,
        *,
        on_success: BoundJob[Any] | None = None,
        on_complete: BoundJob[Any] | None = None,
        on_death: BoundJob[Any] | None = None,
        shard_key: str | None = None,
    ) -> Batch:
        """A batch, to be filled in a block: many jobs, then callbacks, which are jobs themselves.

        Parameters: ``on_success`` comes when all have succeeded, ``on_complete`` when all have
        ended (cancelled is an end), ``on_death`` at the first death; each exactly once, whatever is
        retried later. ``shard_key`` says in which shard it lies, where there are several; by
        default its name does. An exception in the block stores nothing; a batch without jobs
        completes at once. Raises :class:`InvalidOption`, and on leaving what ``enqueue`` raises.

        Example: ``with jobs.batch("import", on_success=report.bind("ok")) as batch: ...``
        """
        from longshore.query.batches import make_batch  # noqa: PLC0415 - only who has some pays

        callbacks = {"on_success": on_success, "on_complete": on_complete, "on_death": on_death}
        return make_batch(self, name, callbacks, shard_key=shard_key)

    def workflow(
        self: Composer, name: str, *, on_dead: OnDead = "wait", shard_key: str | None = None
    ) -> Workflow:
        """A workflow, to be filled in a block: any graph of jobs, each with what it waits for.

        Parameters: ``on_dead``, what becomes of jobs that wait for one that dies or is cancelled:
        ``"wait"`` until it is retried, or ``"cancel"``; ``shard_key`` as for :meth:`batch`. Leaving
        the block stores all or nothing and raises :class:`CyclicWorkflow` where jobs wait for each
        other.

        Example: ``with jobs.workflow("order") as flow: paid = flow.add(charge.bind(order_id))``
        """
        from longshore.query.workflows import make_workflow  # noqa: PLC0415 - only who has some

        return make_workflow(self, name, on_dead=on_dead, shard_key=shard_key)

    def chain(
        self: Composer,
        first: BoundJob[R],
        *,
        name: str | None = None,
        on_dead: OnDead = "wait",
        shard_key: str | None = None,
    ) -> Chain[R]:
        """Jobs one after the other, each of which takes what the one before returned.

        Parameters: ``name``, by default the kind of the first; the others as for :meth:`workflow`.

        Example: ``jobs.chain(fetch.bind(url)).then(parse).then(save).enqueue()``
        """
        from longshore.query.workflows import make_chain  # noqa: PLC0415 - only who has some pays

        return make_chain(self, first, name=name, on_dead=on_dead, shard_key=shard_key)

    @property
    def batches(self: Composer) -> Batches:
        """The batches of the store by their ids: ``jobs.batches.get(batch_id)``."""
        from longshore.query.batches import Batches  # noqa: PLC0415 - only who asks pays for it

        return Batches(self)

    @property
    def workflows(self: Composer) -> Workflows:
        """The workflows and chains of the store by their ids."""
        from longshore.query.workflows import Workflows  # noqa: PLC0415 - only who asks

        return Workflows(self)


def one_for_all(through: Through | None, item: BoundJob[Any], *, first: bool) -> Through | None:
    own = item.options.through
    if first or (own is not None and through is not None and own.given is through.given):
        return own
    msg = (
        f"job {item.declaration.kind} was bound to another connection than those before it, so they"
        " cannot be stored all or none; use one, or jobs.transaction(connection)"
    )
    raise EnqueueError(msg)


def place(
    sealer: Sealer | None, placing: Placing, declaration: Declaration | None, job: NewJob
) -> NewJob:
    """A job with its shard in its id, where that is ours to make.

    Raises:
        CrossShard: what it shares with others lies in another one.
    """
    payload = job.payload
    if sealer is not None and is_box(payload):
        job = msgspec.structs.replace(job, payload=sealer.opened_call(job.id, job.kind, payload))
    placed = placing.placed(job)
    if placed.rules is not None and declaration is not None:
        from longshore.core.sharing import shared  # noqa: PLC0415 - only with shards

        signature, restraints = declaration.signature, declaration.restraints
        placing.check(placed, shared(declaration.kind, signature, restraints, placed))
    if sealer is None or payload is job.payload:
        return placed
    # The store cannot look at the arguments that may have decided.
    key, payload = placing.decided(job), sealer.moved(payload, job, placed)
    return msgspec.structs.replace(placed, payload=payload, shard_key=key)


def together_in(
    placing: Placing | None,
    place: Callable[[Placing, Declaration | None, NewJob], NewJob],
    declaration: Declaration | None,
    job: NewJob,
    shard_key: str | None,
) -> NewJob:
    """A job in the shard of what it belongs to, which a ``shard_key`` decides, or its id.

    Raises:
        CrossShard: it has to be in another one, for a key that it shares, or as it was told.
    """
    if placing is None:
        return job
    bundle = job.rules.bundles[0] if job.rules is not None and job.rules.bundles else None
    if job.shard_key is not None and shard_key is not None and job.shard_key != shard_key:
        raise CrossShard(
            f"job {job.kind} ({job.id}) has shard_key={job.shard_key!r}, and what it belongs to"
            f" lies in the shard of {shard_key!r}; nothing was enqueued. Give both one shard_key=."
        )
    if shard_key is not None:
        return place(placing, declaration, msgspec.structs.replace(job, shard_key=shard_key))
    if bundle is None:
        return place(placing, declaration, job)
    home = named(bundle, placing.shards)
    if home is None or not job.fresh:
        return job
    own = placing.shard(job)
    shares = job.rules is not None and (job.rules.hold is not None or job.rules.limits)
    if shares and own != home:
        raise CrossShard(
            f"job {job.kind} ({job.id}) belongs to shard {own:02d} for what it shares,"
            f" its batch to shard {home:02d}; nothing was enqueued. Give the batch a shard_key="
            " that brings both into one."
        )
    return msgspec.structs.replace(job, id=with_shard(job.id, home))
