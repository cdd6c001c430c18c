"""What a job shares with others, as far as its declaration tells: for stores of several shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from longshore.core.codec import Signature
from longshore.core.keys import Function
from longshore.core.model import NewJob
from longshore.core.rules import Restraints
from longshore.core.shards import Shared


def shared(
    kind: str, signature: Signature, restraints: Restraints | None, job: NewJob
) -> Iterator[Shared]:
    """The unique key of a job and the keys of its limits, with the arguments they are made of."""
    rules = job.rules
    if rules is None:
        return
    if rules.hold is not None:
        identity = None if restraints is None else restraints.identity
        if isinstance(identity, Function):
            yield Shared("its unique key", kind)
        else:
            names = None if identity is None else [one.name for one in identity]
            yield Shared("its unique key", kind, _read(signature.canonical(job.payload, names)))
    declared = () if restraints is None else restraints.limits
    for one, limit in zip(declared, rules.limits, strict=True):
        asked = None if one.by is None else one.by.arguments
        yield Shared(
            f"the limit {limit.name}",
            limit.name if one.group else kind,
            {} if asked is None else _read(signature.canonical(job.payload, asked)),
            one.group,
            limit.value,
        )


def _read(canonical: bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", msgspec.json.decode(canonical))
