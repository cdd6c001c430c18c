"""The graph of a workflow: who waits for whom, what is a cycle, and how it looks as text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence


def cycle(after: Mapping[str, Collection[str]]) -> list[str] | None:
    """A way round in a graph, its first node again at the end; ``None`` where there is none.

    ``after`` gives for each node those that come before it.

    Example:
        >>> cycle({"a": ["b"], "b": ["c"], "c": ["a"]})
        ['a', 'b', 'c', 'a']
        >>> cycle({"a": [], "b": ["a"]}) is None
        True
    """
    done: set[str] = set()
    for start in after:
        path: list[str] = []
        on_path: dict[str, None] = {}
        stack: list[tuple[str, list[str]]] = [(start, list(after.get(start, ())))]
        if start in done:
            continue
        path.append(start)
        on_path[start] = None
        while stack:
            node, left = stack[-1]
            if not left:
                stack.pop()
                path.pop()
                del on_path[node]
                done.add(node)
                continue
            other = left.pop(0)
            if other in on_path:
                return [*path[path.index(other) :], other]
            if other not in done:
                stack.append((other, list(after.get(other, ()))))
                path.append(other)
                on_path[other] = None
    return None


def layers(after: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The nodes of a graph without cycles, each behind all that come before it.

    Example:
        >>> layers({"a": [], "b": ["a"], "c": ["a", "b"], "d": []})
        [['a', 'd'], ['b'], ['c']]
    """
    behind: dict[str, list[str]] = {}
    missing: dict[str, int] = {}
    for node, before in after.items():
        known = {one for one in before if one in after}
        missing[node] = len(known)
        for one in known:
            behind.setdefault(one, []).append(node)
    place = {node: number for number, node in enumerate(after)}
    found: list[list[str]] = []
    ready = [node for node, left in missing.items() if not left]
    while ready:
        found.append(ready)
        following: list[str] = []
        for one in ready:
            for node in behind.get(one, ()):
                missing[node] -= 1
                if not missing[node]:
                    following.append(node)
        ready = sorted(following, key=place.__getitem__)
    return found


def drawn(
    after: Mapping[str, Collection[str]], labels: Mapping[str, str], most: int = 1_000_000
) -> Sequence[str]:
    """A graph as lines of text, at most so many: a tree of who follows whom.

    A node that follows several is drawn below the last of them in the order of the graph, the
    others point at it.

    Example:
        >>> after = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
        >>> for line in drawn(after, {name: name.upper() for name in after}):
        ...     print(line)
        A
        ├─ B
        │  └─ (D)
        └─ C
           └─ D
    """
    order = [node for layer in layers(after) for node in layer]
    place = {node: number for number, node in enumerate(order)}
    home: dict[str, str] = {}
    children: dict[str, list[str]] = {node: [] for node in order}
    for node in order:
        before = [one for one in after[node] if one in place]
        for one in before:
            children[one].append(node)
        if before:
            home[node] = max(before, key=lambda one: place[one])
    lines: list[str] = []

    # Not by calling itself: a chain may be longer than Python's stack.
    roots = [node for node in order if node not in home]
    todo = [(root, "", "", True) for root in reversed(roots)]
    while todo and len(lines) < most:
        node, lead, below, here = todo.pop()
        label = labels.get(node, node)
        lines.append(f"{lead}{label}" if here else f"{lead}({label})")
        if here:
            todo += reversed(list(_branches(node, children[node], home, below)))
    return lines


def _branches(
    node: str, children: Sequence[str], home: Mapping[str, str], below: str
) -> Iterable[tuple[str, str, str, bool]]:
    for number, child in enumerate(children):
        last = number == len(children) - 1
        arm, gap = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield child, below + arm, below + gap, home[child] == node
