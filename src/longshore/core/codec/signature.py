"""A job's signature: calls become payloads at enqueue, payloads become calls in the worker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import asdict, astuple

from longshore.core.codec.callables import Parameter, parameters_of
from longshore.core.codec.references import References
from longshore.core.codec.refusals import DECLINED, TooLarge
from longshore.core.codec.selection import Selection
from longshore.core.codec.text import EMPTY, MAX_RESULT, enqueue_error
from longshore.errors import PayloadMismatch

if TYPE_CHECKING:
    from longshore.core.codec.lane import Envelope, Lane
    from longshore.core.codec.plan import Call, Plan

_NULL: Final = b"null"
_NO_ARGS: Final[tuple[Any, ...]] = ()


class Signature:
    """What a job takes and returns, as it is stored.

    Built when a job is declared, which costs next to nothing; the annotations are resolved at first
    use, when the names in them exist.

    >>> def send(user_id: int, *, locale: str = "en") -> str: ...
    >>> signature = Signature.of(send, kind="app.send")
    >>> signature.encode((42,), {"locale": "fr"}, limit=1024)
    b'{"v":1,"args":[],"kwargs":{"user_id":42,"locale":"fr"}}'
    >>> signature.decode(b'{"v":1,"args":[42]}')
    ((), {'user_id': 42})
    """

    __slots__ = (
        "_by_place",
        "_drop_first",
        "_func",
        "_lane",
        "_plain",
        "_plan",
        "_references",
        "_skip",
        "_takes_nothing",
        "kind",
        "null",
    )

    def __init__(
        self,
        func: Callable[..., Any],
        *,
        kind: str,
        drop_first: bool,
        skip: Collection[str],
        references: References | None,
    ) -> None:
        self.kind = kind
        self._func = func
        self._drop_first = drop_first
        self._skip = skip
        self._references = references
        self._plan: Plan | None = None
        self._lane: Lane | None = None
        self._plain: Callable[[bytes], Envelope] | None = None
        self._by_place: Callable[[bytes], Envelope] | None = None
        self._takes_nothing = False
        #: The result of a body that returns ``None``, where the annotation allows it.
        self.null: bytes | None = None

    @classmethod
    def of(
        cls,
        func: Callable[..., Any],
        *,
        kind: str,
        drop_first: bool = False,
        skip: Collection[str] = (),
        references: References | None = None,
    ) -> Signature:
        """The signature of a job function.

        Args:
            func: the function, or the ``perform`` of a job class.
            kind: the job's kind, for the messages.
            drop_first: the first positional parameter is no argument (``self``, or the context).
            skip: names of parameters that the worker fills.
            references: the types that are stored by reference.
        """
        return cls(func, kind=kind, drop_first=drop_first, skip=skip, references=references)

    def resolve(self) -> None:
        """Resolve the annotations now rather than at first use.

        Raises:
            UnresolvedAnnotation: one of them names something that does not exist.
            AmbiguousAnnotation: JSON cannot tell apart what one of them allows.
            NotAJobFunction: the worker could not fill a parameter that is left to it.
        """
        if self._plan is None:
            self._resolve()

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, limit: int) -> bytes:
        """The payload of a call, checked against the annotations.

        Args:
            args: positional arguments of the call.
            kwargs: its arguments by name.
            limit: the most bytes the payload may take.

        Raises:
            ArgsMismatch: the call or the type of an argument does not fit the signature.
            UnstorableArgument: a value cannot be stored; the message gives its path.
            PayloadTooLarge: the payload takes more than ``limit`` bytes.
        """
        plan = self._plan or self._resolve()
        if not args and not kwargs and self._takes_nothing:
            return EMPTY
        if self._lane is not None:
            try:
                payload = self._lane.encode(args, kwargs, limit)
            except TooLarge as refusal:
                raise enqueue_error(self.kind, refusal, limit) from None
            if payload is not None:
                return payload
        return plan.encode(args, kwargs, limit)

    def decode(self, payload: bytes, *, limit: int | None = None) -> Call:
        """What to call the function with; arguments that were not given stay out.

        Args:
            payload: what ``encode``, or ``encode_literal``, wrote.
            limit: the most bytes it may have; not checked if ``None``.

        Raises:
            PayloadMismatch: it does not fit the signature (any more), or passes a limit.
            UnknownPayloadVersion: a newer release wrote it.
        """
        if self._plain is None or limit is not None:
            return self._decode(payload, limit)
        try:  # nearly always, in a worker
            return _NO_ARGS, asdict(self._plain(payload).kwargs)
        except DECLINED:
            return self._decode(payload, None)

    def decode_call(self, payload: bytes) -> Call:
        """As :meth:`decode`, by position where the function cannot tell: that is quicker."""
        if self._by_place is None:
            return self.decode(payload)
        try:  # nearly always
            return astuple(self._by_place(payload).kwargs), {}
        except DECLINED:
            return self._decode(payload, None)

    def accepts(self, name: str, raw: object) -> bool:
        """Whether a plain JSON value fits the parameter of this name."""
        plan = self._plan or self._resolve()
        return plan.accepts(name, raw)

    def misfit(self, payload: bytes, mark: str, source: Signature) -> str | None:
        """Which parameter can never take what another job returns, and why.

        Args:
            payload: a payload of this job.
            mark: the text that stands in it for that output.
            source: the signature of the other job.
        """
        other = source._plan or source._resolve()
        return (self._plan or self._resolve()).misfit(payload, mark, other)

    def encode_result(self, value: Any, *, limit: int = MAX_RESULT) -> bytes:
        """A return value as JSON.

        Raises:
            UnstorableResult: it cannot be stored, or takes more than ``limit`` bytes.
        """
        plan = self._plan or self._resolve()
        if value is None and plan.returns_null:
            return _NULL
        return plan.encode_result(value, limit)

    def decode_result(self, data: bytes) -> Any:
        """The return value that ``encode_result`` wrote.

        Raises:
            PayloadMismatch: it does not fit the return annotation (any more).
        """
        plan = self._plan or self._resolve()
        return plan.decode_result(data)

    def canonical(self, payload: bytes, names: Collection[str] | None = None) -> bytes:
        """The arguments of a payload in one form: by name, sorted, defaults applied.

        Args:
            payload: a payload of this job.
            names: only these parameters; all if ``None``. ``*args`` is named as declared.

        Raises:
            PayloadMismatch: the payload does not fit the signature.
            UnknownPayloadVersion: a newer release wrote it.
        """
        plan = self._plan or self._resolve()
        return plan.canonical(payload, names)

    def parameters(self) -> tuple[Parameter, ...]:
        """What the function takes, known before its annotations can be resolved.

        Raises:
            NotAJobFunction: it has no signature, or a parameter that the worker could not fill.
        """
        return parameters_of(
            self._func, kind=self.kind, drop_first=self._drop_first, skip=self._skip
        )

    def named(self, payload: bytes) -> dict[str, Any]:
        """What a call with this payload binds by name, as annotated, defaults applied.

        Raises:
            PayloadMismatch: the payload does not fit the signature.
            UnknownPayloadVersion: a newer release wrote it.
        """
        args, kwargs = self.decode(payload)
        return (self._plan or self._resolve()).named(args, kwargs)

    def dumped(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Some arguments by name as plain JSON values.

        Raises:
            ArgsMismatch: one has not the type that is annotated.
            UnstorableArgument: one cannot be stored.
        """
        return (self._plan or self._resolve()).dumped(values)

    def loaded(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The way back from :meth:`dumped`: values as annotated.

        Raises:
            PayloadMismatch: one does not fit.
        """
        return (self._plan or self._resolve()).loaded(raw)

    def defaults(self, names: Collection[str]) -> dict[str, Any]:
        """The defaults of these parameters as plain JSON values, where they have such."""
        return (self._plan or self._resolve()).defaults(names)

    def selection(self, names: Collection[str] | None) -> Selection:
        """A reader of some arguments; of all if ``None``."""
        return Selection(self, names)

    def short_reader(self, names: Collection[str] | None) -> Callable[[bytes], Any] | None:
        """What reads most payloads of this job the quick way; see :class:`Selection`."""
        return (self._plan or self._resolve()).short_reader(names)

    def _decode(self, payload: bytes, limit: int | None) -> Call:
        plan = self._plan or self._resolve()
        if limit is not None and len(payload) > limit:
            raise PayloadMismatch(
                f"{self.kind}: the payload has {len(payload)} bytes, the limit is {limit}."
            )
        if self._takes_nothing and payload == EMPTY:
            return _NO_ARGS, {}
        if self._lane is not None:
            kwargs = self._lane.decode(payload)
            if kwargs is not None:
                return _NO_ARGS, kwargs
        return plan.decode(payload)

    def _resolve(self) -> Plan:
        # What builds nodes takes milliseconds to import; they are paid at first use.
        from longshore.core.codec.plan import Plan  # noqa: PLC0415

        plan = Plan(
            self._func,
            kind=self.kind,
            drop_first=self._drop_first,
            skip=self._skip,
            references=self._references,
        )
        self._takes_nothing = plan.takes_nothing
        self._lane = plan.lane
        self._plain = None if plan.lane is None or plan.takes_nothing else plan.lane.plain
        self._by_place = self._plain if plan.by_place else None
        self.null = _NULL if plan.returns_null else None
        # Last: another thread that sees it set must find the rest in place.
        self._plan = plan
        return plan
