"""What a job function takes: read from its code object, its annotations resolved on demand."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Collection
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, Literal, NamedTuple, cast

from longshore.errors import NotAJobFunction, UnresolvedAnnotation

MISSING: Final = object()

# The bits of `co_flags` that `inspect` documents; the module is slow to import.
_VARARGS, _VARKEYWORDS, _GENERATOR, _ASYNC_GENERATOR = 0x04, 0x08, 0x20, 0x200

How = Literal["positional-only", "either", "keyword-only", "rest", "extra"]


class Parameter(NamedTuple):
    """One parameter of a job function.

    ``how`` it is passed: ``rest`` is ``*args``, ``extra`` is ``**kwargs``. The worker fills what
    is ``filled``.
    """

    name: str
    how: How
    default: object = MISSING
    filled: bool = False

    @property
    def needed(self) -> bool:
        return self.default is MISSING and not self.filled and self.how not in ("rest", "extra")


def is_bare(func: Callable[..., Any]) -> bool:
    """Whether it is a function as it was written, with nothing around it."""
    return isinstance(func, FunctionType) and not vars(func)


def check_callable(func: Callable[..., Any], *, kind_given: bool) -> None:
    """Refuse what cannot be a job, when it is declared.

    Args:
        func: the function to declare.
        kind_given: whether the declaration names its ``kind``.

    Raises:
        NotAJobFunction: it is a generator function, or a lambda or nested function without a kind.

    >>> check_callable(print, kind_given=True)
    """
    inner = _unwrapped(func)
    code = cast("CodeType | None", getattr(inner, "__code__", None))
    name = cast("str", getattr(func, "__qualname__", None) or repr(func))
    if code is not None and code.co_flags & (_GENERATOR | _ASYNC_GENERATOR):
        raise NotAJobFunction(
            f"{name} is a generator function: calling it would run nothing. Return the values, or "
            "iterate over it inside a job."
        )
    if kind_given:
        return
    if "<lambda>" in name:
        raise NotAJobFunction(
            f"{name} has no name under which it could be stored: declare it with `kind=`."
        )
    if "<locals>" in name:
        raise NotAJobFunction(
            f"{name} is nested in a function, and a worker could not import it: move it to the top "
            "of its module, or declare it with `kind=`."
        )


def parameters_of(
    func: Callable[..., Any], *, kind: str, drop_first: bool, skip: Collection[str]
) -> tuple[Parameter, ...]:
    """The parameters of a callable, in order, without the first where that is not an argument.

    Raises:
        NotAJobFunction: it has no signature, or a parameter that the worker could not fill.
    """
    inner = _unwrapped(func)
    if isinstance(inner, MethodType):
        inner, drop_first = inner.__func__, True
    if isinstance(inner, FunctionType):
        found = _from_code(inner, skip)
    else:
        found = _from_inspect(func, kind, skip)
    if drop_first:
        if not found or found[0].how in ("keyword-only", "extra"):
            raise NotAJobFunction(f"{kind} takes no first positional parameter (self or context).")
        found = found if found[0].how == "rest" else found[1:]
    has_rest = any(parameter.how == "rest" for parameter in found)
    for parameter in found:
        by_position = parameter.how == "positional-only" or (has_rest and parameter.how == "either")
        if parameter.filled and by_position:
            raise NotAJobFunction(
                f"{kind}: `{parameter.name}` is filled by the worker, by name: make it a "
                "keyword-only parameter."
            )
    return tuple(found)


def hints_of(func: Callable[..., Any], *, kind: str, names: Collection[str]) -> dict[str, Any]:
    """The annotations of the named parameters (and ``return``), resolved.

    Raises:
        UnresolvedAnnotation: one of them names something that does not exist.
    """
    inner = _unwrapped(func)
    raw = {name: hint for name, hint in _raw_annotations(inner).items() if name in names}
    function = inner.__func__ if isinstance(inner, MethodType) else inner
    scope = cast("dict[str, Any]", getattr(function, "__globals__", {}))
    local = _closure(function)
    hints: dict[str, Any] = {}
    for name, hint in raw.items():
        try:
            hints[name] = _resolve(hint, scope, local)
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            raise unresolved(kind, name, error) from None
    return hints


def unresolved(kind: str, name: str, error: Exception) -> UnresolvedAnnotation:
    """The error for an annotation that names nothing."""
    place = "the return annotation" if name == "return" else f"the annotation of `{name}`"
    return UnresolvedAnnotation(
        f"{kind}: {place} cannot be resolved ({error}). Import what it names at run time too, not "
        "under TYPE_CHECKING alone."
    )


def _from_code(function: FunctionType, skip: Collection[str]) -> list[Parameter]:
    code = function.__code__
    names = code.co_varnames
    positional = names[: code.co_argcount]
    keyword_only = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    defaults = function.__defaults__ or ()
    first_default = len(positional) - len(defaults)
    keyword_defaults = function.__kwdefaults__ or {}
    found: list[Parameter] = []
    for index, name in enumerate(positional):
        how: How = "positional-only" if index < code.co_posonlyargcount else "either"
        default = defaults[index - first_default] if index >= first_default else MISSING
        found.append(Parameter(name, how, default, name in skip))
    after = len(positional) + len(keyword_only)
    if code.co_flags & _VARARGS:
        found.append(Parameter(names[after], "rest"))
        after += 1
    found += [
        Parameter(name, "keyword-only", keyword_defaults.get(name, MISSING), name in skip)
        for name in keyword_only
    ]
    if code.co_flags & _VARKEYWORDS:
        found.append(Parameter(names[after], "extra"))
    return found


def _from_inspect(func: Callable[..., Any], kind: str, skip: Collection[str]) -> list[Parameter]:
    import inspect  # noqa: PLC0415 - slow to import, and needed for odd callables only

    hows: dict[Any, How] = {
        inspect.Parameter.POSITIONAL_ONLY: "positional-only",
        inspect.Parameter.POSITIONAL_OR_KEYWORD: "either",
        inspect.Parameter.KEYWORD_ONLY: "keyword-only",
        inspect.Parameter.VAR_POSITIONAL: "rest",
        inspect.Parameter.VAR_KEYWORD: "extra",
    }
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        raise NotAJobFunction(f"{kind}: Python knows no signature of {func!r}.") from None
    return [
        Parameter(
            parameter.name,
            hows[parameter.kind],
            MISSING if parameter.default is inspect.Parameter.empty else parameter.default,
            parameter.name in skip,
        )
        for parameter in parameters
    ]


def _unwrapped(func: Callable[..., Any]) -> Callable[..., Any]:
    seen: set[int] = set()
    while id(func) not in seen and "__wrapped__" in getattr(func, "__dict__", ()):
        seen.add(id(func))
        func = cast("Callable[..., Any]", vars(func)["__wrapped__"])
    return func


def _raw_annotations(func: Callable[..., Any]) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        # Annotations are evaluated when asked for; this form leaves in what names nothing.
        import annotationlib  # noqa: PLC0415 - does not exist before 3.14

        return annotationlib.get_annotations(func, format=annotationlib.Format.FORWARDREF)
    if isinstance(func, type):
        return {}
    return cast("dict[str, Any]", getattr(func, "__annotations__", {}))


def _resolve(hint: Any, scope: dict[str, Any], local: dict[str, Any]) -> Any:
    # One at a time, so that the parameter can be named; `get_type_hints` wants a function.
    def holder() -> None: ...

    holder.__annotations__ = {"hint": hint}
    return typing.get_type_hints(holder, scope, local, include_extras=True)["hint"]


def _closure(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that a nested function takes from around it."""
    code = cast("CodeType | None", getattr(function, "__code__", None))
    cells = cast("tuple[Any, ...]", getattr(function, "__closure__", None) or ())
    found: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found
