"""What others call a module: the script that runs is ``__main__`` only in its own process."""

from __future__ import annotations

from typing import Final

#: What a script is called where it runs, and in the processes that `multiprocessing` starts.
MAIN: Final = ("__main__", "__mp_main__")


def importable(module: str, spec: object, file: str | None) -> str:
    """The dotted name under which others import a module.

    Args:
        module: its ``__name__``.
        spec: its ``__spec__``, which under ``python -m`` has the name that was asked for.
        file: its ``__file__``; of a script, the packages that it lies in belong to its name.

    Example:
        >>> importable("__main__", None, "/srv/shop-nightly.py")
        'shop-nightly'
        >>> importable("shop.jobs", None, None)
        'shop.jobs'
    """
    if module not in MAIN:
        return module
    asked: object = getattr(spec, "name", None)
    if isinstance(asked, str) and asked not in MAIN:
        return asked
    if not file:
        return module
    from pathlib import Path  # noqa: PLC0415 - 5 ms that only scripts pay

    path = Path(file).absolute()
    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names)
