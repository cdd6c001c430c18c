"""Runs one workload in this fresh process and writes its sample: ``child.py NAME PARAMS HOME``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.pinning import pin
from bench.sample import Invalid, Sample

RESULT = "sample.json"


def main(name: str, params: str, home: str) -> None:
    """``name`` is ``module.function`` below ``bench.workloads``; ``BENCH_CORE``: where to run."""
    if core := os.environ.get("BENCH_CORE"):
        pin(int(core))
    sample = measured(function(name), Path(home), msgspec.json.decode(params, type=dict))
    (Path(home) / RESULT).write_bytes(msgspec.json.encode(sample))


def function(name: str) -> Callable[..., Sample]:
    """The workload of that name."""
    module, _, attribute = name.rpartition(".")
    found: Callable[..., Sample] = getattr(
        importlib.import_module(f"bench.workloads.{module}"), attribute
    )
    return found


def measured(workload: Callable[..., Sample], home: Path, params: dict[str, object]) -> Sample:
    """Its sample; a run that lost or repeated a job gives one that says so and has no figure."""
    try:
        return workload(home, **params)
    except Invalid as fault:
        return Sample(invalid=str(fault))


if __name__ == "__main__":
    main(*sys.argv[1:])
