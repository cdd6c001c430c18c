"""Keys for the tests of encryption, and an application that encrypts."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from longshore import CONTEXT, JobContext, Longshore

#: What must never be found where only encrypted jobs were.
MARKER = "marker-of-the-plain-text-4711"


def key(name: str, byte: int = 1) -> str:
    """A key of one repeated byte, as the setting has it."""
    return f"{name}:{b64encode(bytes([byte]) * 32).decode()}"


OLD, NEW = key("k1", 1), key("k2", 2)


def application(store: str = "memory://", keys: list[str] | None = None, **settings: Any) -> Any:
    """An application with one job that encrypts everything it can."""
    given = [OLD] if keys is None else keys
    jobs: Any = Longshore(store, encryption_keys=given, **settings)

    @jobs.job(kind="vault", encrypt=True, identity="name")
    def vault(name: str, secret: str, ctx: JobContext = CONTEXT) -> str:
        ctx.step("saved", lambda: f"step {secret}")
        for _ in ctx.iterate("rows", lambda _: [(f"{secret} {n}", n) for n in range(3)], start=""):
            pass
        return f"{name} {secret}"

    jobs.vault = vault
    return jobs
