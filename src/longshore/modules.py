"""What others call a module: the script that runs is ``__main__`` only in its own process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

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

    return ".".join(packaged(Path(file).absolute())[1])


def packaged(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder to import a file from, and its name there, by the packages that it lies in."""
    folder = path.parent
    names = () if path.stem == "__init__" else (path.stem,)
    while (folder / "__init__.py").is_file():
        folder, names = folder.parent, (folder.name, *names)
    return folder, names
