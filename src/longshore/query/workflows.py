"""Workflows and chains: jobs that wait for others and take what those return."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, cast

import msgspec

from longshore.client import Plan
from longshore.core.batches import Bundle, NewBundle, Sort, Together, marker, marks
from longshore.core.codec.outputs import Placeholder
from longshore.core.limits import After, OnConflict, Rules
from longshore.core.model import JobState, NewJob
from longshore.core.registry import Declaration
from longshore.core.sealing import is_box
from longshore.core.wording import shown
from longshore.core.workflow import cycle
from longshore.errors import ArgsMismatch, CyclicWorkflow, EnqueueError, InvalidOption
from longshore.handle import JobHandle
from longshore.job import BoundJob, member_job
from longshore.query.bundled import (
    Bundled,
    Composer,
    check_bound,
    find,
    key_of,
    make_bundle,
    newest,
)

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)

OnDead: TypeAlias = Literal["wait", "cancel"]

_SORTS: Final = (Sort.WORKFLOW, Sort.CHAIN)


class Node(Generic[R_co]):
    """A job of a workflow; ``output`` is what it will return, to be given to another job."""

    def __init__(
        self, flow: Workflow, declaration: Declaration, new: NewJob, after: Iterable[Node[Any]]
    ) -> None:
        self._flow = flow
        #: What it is made of; it is stored with the workflow.
        self.declaration = declaration
        self.new = new
        self.cascade = False
        self.takes = frozenset[str]()
        self.waits_for: dict[str, None] = {}
        self.after(*after)

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.new.id

    @property
    def kind(self) -> str:
        """The stored name of the job."""
        return self.new.kind

    @property
    def output(self) -> R_co:
        """What the job will return, as an argument of another job of the same workflow.

        It is no value yet: it has no attributes and no items. A store copies it into the arguments
        when the other job is let go on.

        Example: ``flow.add(ship.bind(order_id, receipt=paid.output))``
        """
        return cast("R_co", Placeholder(marker(self.id)))

    @property
    def handle(self) -> JobHandle[R_co]:
        """A handle on the job, of use once the workflow is stored."""
        return JobHandle(self._flow.app, self.id, self.declaration, new=self.new)

    def after(self, *others: Node[Any]) -> Node[R_co]:
        """Let this job wait for others too, inside the block of the workflow.

        Raises :class:`ArgsMismatch` for strangers.

        Example: ``shipped.after(paid, packed)``
        """
        self._flow.check_open()
        for other in others:
            self._flow.check_own(other, self.kind)
            self.waits_for[other.id] = None
        return self

    def __repr__(self) -> str:
        return f"<node {self.kind} {self.id}>"


class Workflow(Bundled):
    """A graph of jobs; see ``jobs.workflow``.

    In its block :meth:`add` collects; all of it is stored when the block ends, or nothing if that
    raises.
    """

    def __init__(
        self,
        app: Composer,
        new: NewBundle,
        read: Bundle | None = None,
        *,
        shard_key: str | None = None,
        on_dead: OnDead = "wait",
    ) -> None:
        super().__init__(app, new, read)
        self._shard_key = shard_key
        self._on_dead: OnDead = _on_dead(on_dead, new.name)
        self._open = False
        self._entered = False
        self._nodes: dict[str, Node[Any]] = {}

    @property
    def app(self) -> Composer:
        """The application whose jobs these are."""
        return self._app

    def add(
        self,
        job: BoundJob[R],
        *,
        after: Iterable[Node[Any]] = (),
        on_dead: OnDead | None = None,
    ) -> Node[R]:
        """Add a job, which waits for those whose output it takes and those it comes ``after``.

        Parameters: ``on_dead``, what becomes of it when one of these dies or is cancelled: it
        waits, visibly, until that one is retried, or is cancelled with it; by default what the
        workflow says. Raises :class:`ArgsMismatch` for nodes of another workflow, and for an output
        whose type the parameter that it is given to can never take.

        Example: ``flow.add(thank.bind(order_id), after=[paid])``
        """
        self.check_open()
        if isinstance(after, Node):
            raise ArgsMismatch(
                f"{self}: after={shown(after)} is one node. Give a list of nodes: after=[...]"
            )
        check_bound(self._app, job, self)
        declaration = job.declaration
        new = member_job(declaration.kind, job.options, job.payload, (self.id,))
        new = self._app.placed_with(declaration, new, self._shard_key)
        if new.id in self._nodes:
            raise EnqueueError(f"{self}: two of its jobs have the id {new.id}; give each its own")
        takes = marks(new.payload)
        self._check_outputs(declaration, new, job.payload, takes)
        node: Node[R] = Node(self, declaration, new, [*(self._nodes[one] for one in takes), *after])
        node.takes = frozenset(takes)
        node.cascade = _on_dead(on_dead or self._on_dead, self.name) == "cancel"
        self._nodes[node.id] = node
        return node

    def _check_outputs(
        self, declaration: Declaration, new: NewJob, call: bytes, takes: Iterable[str]
    ) -> None:
        for taken in takes:
            if taken not in self._nodes:
                raise ArgsMismatch(
                    f"job {new.kind} takes the output of job {taken}, which is not of {self};"
                    " nothing was enqueued. Add both to one workflow."
                )
            source = self._nodes[taken].declaration.signature
            why = declaration.signature.misfit(call, marker(taken), source)
            if why is not None:
                raise ArgsMismatch(f"job {new.kind}: {why}; nothing was enqueued.")
            if is_box(self._nodes[taken].new.payload) and not is_box(new.payload):
                raise EnqueueError(
                    f"job {new.kind} takes the output of job {self._nodes[taken].kind}, which is"
                    " encrypted, and is not encrypted itself, so it could not read it; nothing was"
                    " enqueued. Give it encrypt=True."
                )

    def check_open(self) -> None:
        """Refuse what comes before or behind its block."""
        if not self._open:
            raise EnqueueError(f"{self}: jobs are added and ordered inside its `with` block")

    def check_own(self, node: object, kind: str) -> None:
        """Refuse a node of another workflow."""
        if self._nodes.get(getattr(node, "id", "")) is not node:
            raise ArgsMismatch(
                f"job {kind} cannot wait for {shown(node)}, which is no job of {self};"
                " give what flow.add(...) of the same workflow returned."
            )

    def __enter__(self) -> Self:
        self._enter()
        return self

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        if error is None:
            self._app.enqueue_together(self.made(), Together((self._new,)))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        if error is None:
            await self._app.aenqueue_together(self.made(), Together((self._new,)))

    def made(self) -> list[tuple[Declaration | None, NewJob]]:
        """The jobs to store; raises :class:`CyclicWorkflow`."""
        graph = {one: tuple(node.waits_for) for one, node in self._nodes.items()}
        circle = cycle(graph)
        if circle is not None:
            names = " waits for ".join(f"{self._nodes[one].kind} ({one})" for one in circle)
            raise CyclicWorkflow(f"{self} never ends: {names}; nothing was enqueued.")
        return [(node.declaration, _stored(node)) for node in self._nodes.values()]

    def _gathered(self) -> int:
        return len(self._nodes)

    def _enter(self) -> None:
        if self._entered or self._read is not None:
            raise EnqueueError(f"{self} was entered before; make another workflow.")
        self._entered = self._open = True


class Follows(Protocol[T_contra, S_co]):
    """A job that takes one value."""

    def bind(self, value: T_contra, /) -> BoundJob[S_co]: ...


class Chain(Generic[R]):
    """Jobs one after the other, each of which takes what the one before returned."""

    def __init__(self, flow: Workflow, last: Node[R]) -> None:
        self._flow = flow
        self._last = last
        self._open = True

    def then(self, job: Follows[R, S]) -> Chain[S]:
        """Go on with a job that takes what comes before as its only argument.

        Example: ``jobs.chain(fetch.bind(url)).then(parse).then(save.using(queue="disk"))``
        """
        self._check_open()
        added = self._flow.add(job.bind(self._last.output), after=[self._last])
        self._open = False
        return Chain(self._flow, added)

    def enqueue(self) -> JobHandle[R]:
        """Store the chain, all or none; the handle of its last job."""
        self._close()
        self._flow.__exit__(None, None, None)
        return self._last.handle

    async def aenqueue(self) -> JobHandle[R]:
        """The awaitable twin of :meth:`enqueue`."""
        self._close()
        await self._flow.__aexit__(None, None, None)
        return self._last.handle

    @property
    def workflow(self) -> Workflow:
        """The chain as the workflow that it is, to refresh and to cancel."""
        return self._flow

    def _check_open(self) -> None:
        if not self._open:
            raise EnqueueError(f"{self._flow}: this part of it has gone on already; begin another.")

    def _close(self) -> None:
        self._check_open()
        self._open = False


_WorkflowList: TypeAlias = "list[Workflow]"


class Workflows:
    """The workflows and chains of a store, by their ids."""

    def __init__(self, app: Composer) -> None:
        self._app = app

    def get(self, workflow_id: str) -> Workflow:
        """The workflow of this id; raises :class:`BatchNotFound`."""
        return self._app.client.follow(self._get(workflow_id))

    async def aget(self, workflow_id: str) -> Workflow:
        """The awaitable twin of :meth:`get`."""
        return await self._app.client.afollow(self._get(workflow_id))

    def list(self, *, limit: int = 100) -> list[Workflow]:
        """The newest workflows and chains, at most ``limit``."""
        return self._app.client.follow(self._list(limit))

    async def alist(self, *, limit: int = 100) -> _WorkflowList:
        """The awaitable twin of :meth:`list`."""
        return await self._app.client.afollow(self._list(limit))

    def _get(self, workflow_id: str) -> Plan[Workflow]:
        found = yield from find(self._app, workflow_id, _SORTS, "workflow")
        return Workflow(self._app, found.new, found)

    def _list(self, limit: int) -> Plan[_WorkflowList]:
        found = yield from newest(self._app, limit, _SORTS)
        return [Workflow(self._app, one.new, one) for one in found]


def make_workflow(
    app: Composer, name: str, *, on_dead: OnDead, shard_key: str | None, sort: Sort = Sort.WORKFLOW
) -> Workflow:
    """A workflow that is not stored yet."""
    key = key_of(name, shard_key, sort.value)
    return Workflow(app, make_bundle(app, name, sort, key), shard_key=key, on_dead=on_dead)


def make_chain(
    app: Composer, first: BoundJob[R], *, name: str | None, on_dead: OnDead, shard_key: str | None
) -> Chain[R]:
    """A chain with its first job."""
    check_bound(app, first, "a chain")
    name = name or first.declaration.kind
    flow = make_workflow(app, name, on_dead=on_dead, shard_key=shard_key, sort=Sort.CHAIN)
    flow.__enter__()
    return Chain(flow, flow.add(first))


def _on_dead(given: OnDead, name: str) -> OnDead:
    if given in {"wait", "cancel"}:
        return given
    raise InvalidOption(
        f"workflow {name}: on_dead={shown(given)} is unknown. Give 'wait' or 'cancel'."
    )


def _stored(node: Node[Any]) -> NewJob:
    """The job of a node with what it waits for."""
    new, rules = node.new, node.new.rules or Rules()
    hold = rules.hold
    if hold is not None:
        # Another job in its place would return something else, or nothing.
        hold = msgspec.structs.replace(hold, on_conflict=OnConflict.RAISE)
    after = tuple(After(one, takes=one in node.takes) for one in node.waits_for)
    changed = msgspec.structs.replace(rules, hold=hold, after=after, cascade=node.cascade)
    state = JobState.WAITING if after else new.state
    return msgspec.structs.replace(new, rules=changed, state=state, payload=bytes(new.payload))
