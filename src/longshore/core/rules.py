"""What a declaration says of limits, turns and identity, and the rules of each of its jobs.

``Restraints`` is made once, when a job is declared, and refuses what cannot work. A job that has
none costs nothing; the rules of one that has some are read from its payload when it is enqueued.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from longshore.core.codec import Signature
from longshore.core.codec.callables import MISSING, Parameter
from longshore.core.codec.selection import Selection
from longshore.core.codec.text import to_canonical_json
from longshore.core.keys import (
    Argument,
    Call,
    Function,
    Source,
    argument,
    key_of,
    known_names,
    needed,
    plain,
    source,
    text_of,
)
from longshore.core.limits import TURN, Fair, Hold, Limit, OnConflict, Rules
from longshore.core.restraints import LONGEST_NAME, Concurrency, Rate, Unique
from longshore.core.sealing import Sealer
from longshore.core.wording import did_you_mean, shown
from longshore.errors import ArgsMismatch, InvalidOption, PayloadError, UnstorableArgument

#: The options of a declaration that make restraints.
OPTIONS: Final = (
    "identity",
    "unique",
    "concurrency",
    "rate",
    "fair_by",
    "fair_weight",
    "at_most_once",
)
LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0


class Declared(NamedTuple):
    """One limit of a declaration under its name; ``by`` gives the value that it is counted by."""

    name: str
    to: int
    per: int | None
    by: Source | None
    group: bool


class Restraints:
    """All of it for one declared job. ``using`` gives a job another one; it never changes.

    With a ``sealer`` the job is encrypted: what identifies it tells nothing of its arguments.
    """

    __slots__ = (
        "_all",
        "_by_identity",
        "_fixed",
        "_how",
        "_values",
        "at_most_once",
        "fair",
        "identity",
        "kind",
        "limits",
        "sealer",
        "signature",
        "unique",
        "weight",
    )

    def __init__(
        self,
        kind: str,
        signature: Signature | None,
        *,
        identity: tuple[Argument, ...] | Function | None = None,
        unique: Unique | None = None,
        limits: tuple[Declared, ...] = (),
        fair: Source | None = None,
        weight: Weight | None = None,
        at_most_once: bool = False,
        sealer: Sealer | None = None,
    ) -> None:
        self.kind = kind
        self.sealer = sealer
        self.signature = signature
        self.identity = identity
        self.unique = unique
        self.limits = limits
        self.fair = fair
        self.weight = weight
        self.at_most_once = at_most_once
        sources = [limit.by for limit in limits if limit.by is not None]
        sources += [] if fair is None else [fair]
        #: What :meth:`read` gives for every job, where no argument decides it.
        self._fixed: tuple[str | None, Rules | None] | None = None
        if identity is None and unique is None and not sources:
            fixed = tuple(Limit(limit.name, "", limit.to, limit.per) for limit in limits)
            self._fixed = (None, _rules(None, fixed, None, at_most_once=at_most_once))
        #: How a unique key is held, as it is stored.
        self._how: tuple[bool, OnConflict, int | None] | None = None
        if unique is not None:
            self._how = (unique.until == "started", unique.conflict, unique.hold_for)
        if signature is None:
            return
        names = [one.name for one in identity] if isinstance(identity, tuple) else ()
        self._by_identity = signature.selection(names)
        self._all: Selection = signature.selection(None)
        self._values = signature.selection(needed(sources)) if needed(sources) else None

    def changed(self, given: Mapping[str, Any]) -> Restraints:
        """These with what ``using`` says of them: ``unique``, ``at_most_once``, the ``sealer``."""
        return Restraints(
            self.kind,
            self.signature,
            identity=self.identity,
            unique=given.get("unique", self.unique),
            limits=self.limits,
            fair=self.fair,
            weight=self.weight,
            at_most_once=given.get("at_most_once", self.at_most_once),
            sealer=given.get("sealer", self.sealer),
        )

    def read(self, payload: bytes) -> tuple[str | None, Rules | None]:
        """What identifies a job, digested, and its rules.

        Raises:
            ArgsMismatch: the payload was pushed and does not fit, so nobody can tell its keys.
            InvalidOption: a function of the declaration gave no weight.
            UnstorableArgument: one gave what cannot be a key.
        """
        if self._fixed is not None:
            return self._fixed
        signature = self.signature
        if signature is None:
            raise ArgsMismatch(
                f"job {self.kind}: its unique key is made of its arguments, and no such job is"
                " declared in this application; nothing was enqueued. Push it from where it is"
                " declared."
            )
        try:
            values = {} if self._values is None else self._values.values(payload)
            call = Call(signature, payload, values)
            identity = self._identified(call)
            hold = self._hold(identity, payload)
            limits = tuple([_limit(limit, call) for limit in self.limits])
            rules = _rules(hold, limits, self._fair(call), at_most_once=self.at_most_once)
        except PayloadError as error:
            raise ArgsMismatch(
                f"job {self.kind}: its keys are made of its arguments, and they do not fit:"
                f" {error} Nothing was enqueued."
            ) from None
        return identity, rules

    def reads(self, places: Collection[str]) -> bool:
        """Whether a key of a job is made of one of these arguments; ``*``: of one by position."""
        if self._fixed is not None:
            return False
        names: set[str] = set()
        sources: list[Source] = [limit.by for limit in self.limits if limit.by is not None]
        sources += [] if self.fair is None else [self.fair]
        sources += self.identity if isinstance(self.identity, tuple) else ()
        for one in sources:
            if one.arguments is None:
                return True
            names.update(one.arguments)
        if isinstance(self.identity, Function) or (self.unique and self.identity is None):
            return True
        return bool(names) and ("*" in places or not names.isdisjoint(places))

    def identity_of(self, given: Mapping[str, Any]) -> str:
        """What identifies the jobs of these arguments, as :meth:`read` would say.

        Raises:
            InvalidOption: the declaration says of nothing that it identifies the job.
            ArgsMismatch: the arguments are not those that do, or have another type.
        """
        identity, signature = self.identity, self.signature
        if identity is None or signature is None:
            raise InvalidOption(
                f"job {self.kind} has no identity, so it cannot be looked for by its arguments."
                ' Declare it with identity=, such as identity="user_id", or use'
                " jobs.query.filter(kind=..., args=...)."
            )
        if isinstance(identity, tuple):
            names: tuple[str, ...] | None = tuple(one.name for one in identity)
        else:
            names = identity.names
        parameters = signature.parameters()
        asked = known_names(parameters) if names is None else names
        raw = signature.defaults(asked) | signature.dumped(_checked(self.kind, given, asked))
        needs = {one.name for one in parameters if one.needed}
        missing = [name for name in asked if name in needs and name not in raw]
        if missing:
            raise ArgsMismatch(
                f"job {self.kind}: {', '.join(missing)} of its identity is not given. It is"
                f" identified by {', '.join(asked)}."
            )
        if isinstance(identity, tuple):
            return self._key(to_canonical_json(raw))
        named = _defaults(parameters) | signature.loaded(signature.dumped(given))
        return self._key(to_canonical_json(identity.made(named)))

    def _identified(self, call: Call) -> str | None:
        identity = self.identity
        if identity is None:
            return None
        if isinstance(identity, tuple):
            return self._key(self._by_identity.canonical(call.payload))
        return self._key(to_canonical_json(identity.value(call)))

    def _hold(self, identity: str | None, payload: bytes) -> Hold | None:
        how = self._how
        if how is None:
            return None
        return Hold(identity or self._key(self._all.canonical(payload)), *how)

    def _key(self, canonical: bytes) -> str:
        return key_of(self.kind, canonical, self.sealer)

    def _fair(self, call: Call) -> Fair | None:
        if self.fair is None:
            return None
        text = text_of(self.fair.value(call))
        # Jobs without fair_by take their turns as the empty value, so no value may be empty.
        return Fair(f"={text}", TURN if self.weight is None else self.weight.step(text, call))


class Weight:
    """How long the steps of a value are: a number, by value, or by a function of arguments."""

    __slots__ = ("_by_value", "_kind", "_step", "function")

    def __init__(
        self, kind: str, step: int, by_value: Mapping[str, int], function: Function | None
    ) -> None:
        self._kind = kind
        self._step = step
        self._by_value = by_value
        self.function = function

    def step(self, text: str, call: Call) -> int:
        """One turn of this value."""
        if self.function is None:
            return self._by_value.get(text, self._step)
        return _step(self.function.called(call.named), f"job {self._kind}: fair_weight()")


def restraints_of(
    kind: str, signature: Signature, options: Mapping[str, Any], sealer: Sealer | None = None
) -> Restraints | None:
    """What the options of a declaration say; ``None`` if they say nothing.

    Raises:
        InvalidOption: they cannot work; the message names the option and what to do.
    """
    given = {name: options[name] for name in OPTIONS if name in options}
    if not given:
        return None
    parameters = signature.parameters()
    unique = check_unique(given.get("unique"), kind)
    at_most_once = check_at_most_once(given.get("at_most_once", False), kind)
    identity = _identity(given.get("identity"), parameters, kind)
    limits = _limits(kind, given.get("concurrency", ()), given.get("rate", ()), parameters)
    fair = given.get("fair_by")
    by = None if fair is None else source(fair, parameters, what=f"job {kind}: fair_by")
    weight = _weight(given.get("fair_weight", 1), kind, by, parameters)
    if not (unique or at_most_once or identity or limits or by):
        return None
    return Restraints(
        kind,
        signature,
        identity=identity,
        unique=unique,
        limits=limits,
        fair=by,
        weight=weight,
        at_most_once=at_most_once,
        sealer=sealer,
    )


def check_unique(value: object, kind: str) -> Unique | None:
    """``Unique(...)`` or nothing.

    Raises:
        InvalidOption: something else.
    """
    if value is None or isinstance(value, Unique):
        return value
    raise InvalidOption(
        f"job {kind}: unique={shown(value)} is not a rule. Give Unique(), with until=, ttl= and"
        " on_conflict= as needed, or None."
    )


def check_at_most_once(value: object, kind: str) -> bool:
    """True or false.

    Raises:
        InvalidOption: something else.
    """
    if isinstance(value, bool):
        return value
    raise InvalidOption(f"job {kind}: at_most_once={shown(value)} must be True or False.")


def _rules(
    hold: Hold | None, limits: tuple[Limit, ...], fair: Fair | None, *, at_most_once: bool
) -> Rules | None:
    """The rules, or ``None`` for a job that has none: stores then pay nothing for it."""
    if hold is None and not limits and fair is None and not at_most_once:
        return None
    return Rules(hold, limits, fair, at_most_once)


def _limit(limit: Declared, call: Call) -> Limit:
    value = "" if limit.by is None else text_of(limit.by.value(call))
    return Limit(limit.name, value, limit.to, limit.per)


def _identity(
    given: object, parameters: Sequence[Parameter], kind: str
) -> tuple[Argument, ...] | Function | None:
    what = f"job {kind}: identity"
    if given is None:
        return None
    if callable(given):
        return cast("Function", source(given, parameters, what=what))
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not names:
        raise InvalidOption(
            f"{what}={shown(given)} names no argument. Give the name of an argument, a list of"
            " them, or a function of arguments."
        )
    found = tuple(argument(one, parameters, what=what) for one in cast("Sequence[object]", names))
    if len({one.name for one in found}) < len(found):
        raise InvalidOption(f"{what}={shown(given)} names an argument twice. Name each once.")
    return found


def _limits(
    kind: str, concurrency: object, rate: object, parameters: Sequence[Parameter]
) -> tuple[Declared, ...]:
    given = [*_several(kind, "concurrency", concurrency, Concurrency)]
    given += _several(kind, "rate", rate, Rate)
    limits: list[Declared] = []
    for one in given:
        what = f"job {kind}: key"
        by = None if one.key is None else source(one.key, parameters, what=what)
        name = one.group or _name(kind, one, several=len(given) > 1)
        if any(name == other.name for other in limits):
            raise InvalidOption(
                f"job {kind}: two of its limits are called {name!r}, so neither could be changed"
                " alone. Give one of them group=, a name of its own."
            )
        limits.append(Declared(name, one.to, one.window, by, one.group is not None))
    return tuple(limits)


def _several(
    kind: str, field: str, given: object, wanted: type[Concurrency | Rate]
) -> Iterable[Concurrency | Rate]:
    if given is None:
        return ()
    several = cast("Sequence[object]", given) if isinstance(given, list | tuple) else (given,)
    for one in several:
        if not isinstance(one, wanted):
            raise InvalidOption(
                f"job {kind}: {field}={shown(one)} is not a limit. Give"
                f" {wanted.__name__}(...), or a list of them."
            )
    return cast("Sequence[Concurrency | Rate]", several)


def _name(kind: str, limit: Concurrency | Rate, *, several: bool) -> str:
    name = kind
    if several and limit.key is not None:
        key = limit.key if isinstance(limit.key, str) else getattr(limit.key, "__name__", "<")
        name = f"{kind}.{key}"
    if "<" not in name.removeprefix(kind) and ":" not in name and len(name) <= LONGEST_NAME:
        return name
    raise InvalidOption(
        f"job {kind}: its limit {shown(limit)} cannot be named after it. Give it group=, a name of"
        " its own."
    )


def _weight(
    given: object, kind: str, fair: Source | None, parameters: Sequence[Parameter]
) -> Weight | None:
    what = f"job {kind}: fair_weight"
    if fair is None:
        if given in (1, None):
            return None
        raise InvalidOption(f"{what} is the weight of a turn, and there are none without fair_by=.")
    if isinstance(given, Mapping):
        weights = cast("Mapping[object, object]", given)
        try:
            by_value = {
                text_of(plain(value, what)): _step(one, what) for value, one in weights.items()
            }
        except UnstorableArgument as error:
            raise InvalidOption(str(error)) from None
        return Weight(kind, TURN, by_value, None)
    if callable(given):
        function = source(given, parameters, what=what)
        return Weight(kind, TURN, {}, cast("Function", function))
    return Weight(kind, _step(given, what), {}, None)


def _step(weight: object, what: str) -> int:
    if (
        isinstance(weight, int | float)
        and not isinstance(weight, bool)
        and LEAST_WEIGHT <= weight <= MOST_WEIGHT
    ):
        return max(1, round(TURN / weight))
    raise InvalidOption(
        f"{what}={shown(weight)} is not a weight. Give a number from {LEAST_WEIGHT} to"
        f" {MOST_WEIGHT:g}: twice the weight is twice as many turns."
    )


def _defaults(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """What a call gets that gives none of these."""
    rest = {one.name: () for one in parameters if one.how == "rest"}
    return rest | {
        one.name: one.default for one in parameters if one.default is not MISSING and not one.filled
    }


def _checked(kind: str, given: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    for name in given:
        if name not in names:
            raise ArgsMismatch(
                f"job {kind} is not identified by {shown(name)}.{did_you_mean(name, names)} It is"
                f" identified by {', '.join(names)}."
            )
    return given
