"""The worlds that stores of the state machine live in: their queues, and rules of their jobs."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from longshore.core.limits import TURN, Fair, Hold, Limit, OnConflict
from longshore.core.store import Line
from longshore.testing.conformance.bench import SECOND

QUEUES: Final = ("a", "b")
LIMITS: Final = (
    Limit("account", "1", 1),
    Limit("account", "2", 2),
    Limit("host", "", 2),
    Limit("mail", "", 2, 10 * SECOND),
    Limit("mail", "b", 3, 20 * SECOND),
)
LINES: Final = st.sampled_from(
    (
        (Line(("*",)),),
        (Line(("b",)), Line(("a",))),
        (Line(("a*",)),),
        (Line(("*",), excludes=("a",)),),
    )
)
KINDS: Final = ("app.job", "app.two")
RULES: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {},
    optional={
        "hold": st.builds(
            Hold,
            st.sampled_from(("k", "l")),
            until_started=st.booleans(),
            on_conflict=st.sampled_from(OnConflict),
            ttl=st.sampled_from((None, 10 * SECOND + 3)),
        ),
        "limits": st.lists(st.sampled_from(LIMITS), min_size=1, max_size=3, unique=True).map(tuple),
        "fair": st.sampled_from((Fair("=x"), Fair("=y", TURN // 2), Fair("=z", TURN // 3))),
        "at_most_once": st.just(value=True),
    },
)
FIELDS: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {
        "queue": st.sampled_from(QUEUES),
        "priority": st.integers(0, 1),
        "kind": st.sampled_from(KINDS),
        # Each world takes of it what it has.
        "rules": RULES,
    },
    optional={
        "delay": st.sampled_from((1, 7, 40)),
        "expires": st.sampled_from((5, 25)),
        "keep_result": st.sampled_from((0, 40 * SECOND + 3, None)),
        "identity": st.sampled_from(("me", "you")),
    },
)


class World(msgspec.Struct, frozen=True):
    """Which rules jobs have here, and what people do with limits and kinds."""

    rules: frozenset[str]
    limits: bool = False
    all_fair: bool = False
    #: One queue a line, so that no queue's next is held against another's.
    single: bool = False


WORLDS: Final = (
    World(frozenset()),
    World(frozenset({"hold", "limits", "at_most_once"}), limits=True),
    World(frozenset({"hold", "fair", "at_most_once"})),
    World(frozenset({"hold", "limits", "fair"}), limits=True, all_fair=True, single=True),
)
