"""Arguments of a payload in one form: the quick way reads what the careful one reads."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from longshore.core.codec import Signature

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


def take(a: Any, b: Any = (1, 2), *, c: Any = object, d: dict[str, Any] | None = None) -> None: ...


SIGNATURE = Signature.of(take, kind="take")
SELECTIONS = [(names, SIGNATURE.selection(names)) for names in (None, ["a"], ["d", "b"], ["c"], [])]


@given(st.fixed_dictionaries({"a": VALUES}, optional={"b": VALUES, "c": VALUES}))
def test_the_quick_way_reads_what_the_careful_one_reads(arguments: dict[str, Any]) -> None:
    payload = SIGNATURE.encode((), arguments, limit=100_000)
    for names, selection in SELECTIONS:
        canonical = SIGNATURE.canonical(payload, names)
        assert selection.canonical(payload) == canonical
        assert selection.values(payload) == json.loads(canonical)
