"""The suite put together: the class that a store's author subclasses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from longshore.testing.conformance.batch_keeping import BatchKeepingConformance
from longshore.testing.conformance.batching import (
    BatchConformance,
    BatchOrderConformance,
)
from longshore.testing.conformance.bench import Bench, OpenStore
from longshore.testing.conformance.catching_up import CatchUpConformance
from longshore.testing.conformance.claiming import ClaimConformance, OrderConformance
from longshore.testing.conformance.faults import FaultConformance
from longshore.testing.conformance.finishing import EndingConformance, FenceConformance
from longshore.testing.conformance.holding import HoldConformance, KeptKeyConformance
from longshore.testing.conformance.inspecting import FindConformance, QueueConformance
from longshore.testing.conformance.interrupting import InterruptionConformance
from longshore.testing.conformance.kinds import KindConformance, LimitRecordConformance
from longshore.testing.conformance.leasing import (
    BeatConformance,
    PatienceConformance,
    RescueConformance,
)
from longshore.testing.conformance.limiting import (
    BlockedConformance,
    LimitConformance,
    SettingConformance,
)
from longshore.testing.conformance.living import LifeConformance
from longshore.testing.conformance.maintaining import (
    ElectConformance,
    ParkedConformance,
    PromoteConformance,
    PruneConformance,
)
from longshore.testing.conformance.many_queues import ManyQueuesConformance
from longshore.testing.conformance.noting import (
    ExpectConformance,
    KeptNotesConformance,
    LogConformance,
    StepConformance,
)
from longshore.testing.conformance.once import (
    IdentityConformance,
    OnceConformance,
    RulesConformance,
)
from longshore.testing.conformance.ordering import VerbConformance
from longshore.testing.conformance.producing import ProducingConformance
from longshore.testing.conformance.rating import RateConformance, RateSettingConformance
from longshore.testing.conformance.replacing import ReplaceConformance
from longshore.testing.conformance.scheduling import (
    DeclareConformance,
    TickConformance,
)
from longshore.testing.conformance.scripts import ScriptConformance
from longshore.testing.conformance.slots import SlotConformance
from longshore.testing.conformance.trace import TraceConformance
from longshore.testing.conformance.turning import TurnConformance
from longshore.testing.conformance.workflows import WorkflowConformance


class StoreConformance(
    # pytest begins with the last of these: what is plain comes before what takes long.
    TraceConformance,
    ScriptConformance,
    FaultConformance,
    LifeConformance,
    WorkflowConformance,
    BatchKeepingConformance,
    BatchOrderConformance,
    BatchConformance,
    CatchUpConformance,
    TickConformance,
    DeclareConformance,
    TurnConformance,
    RateSettingConformance,
    RateConformance,
    BlockedConformance,
    LimitRecordConformance,
    SettingConformance,
    SlotConformance,
    LimitConformance,
    KindConformance,
    OnceConformance,
    IdentityConformance,
    KeptKeyConformance,
    ReplaceConformance,
    HoldConformance,
    RulesConformance,
    ExpectConformance,
    KeptNotesConformance,
    LogConformance,
    StepConformance,
    VerbConformance,
    QueueConformance,
    FindConformance,
    ElectConformance,
    PruneConformance,
    ParkedConformance,
    PromoteConformance,
    InterruptionConformance,
    RescueConformance,
    PatienceConformance,
    BeatConformance,
    FenceConformance,
    EndingConformance,
    ClaimConformance,
    ManyQueuesConformance,
    OrderConformance,
    ProducingConformance,
):
    """Every behaviour of a store; see the package for what a subclass gives."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Opens stores; a subclass gives its own."""
        raise NotImplementedError("Give a fixture `open_store` that opens an empty store.")

    @pytest.fixture(params=["blocking", "awaiting"])
    def bench(self, open_store: OpenStore, request: pytest.FixtureRequest) -> Iterator[Bench]:
        """One empty store with its clock, closed after the test."""
        bench = Bench(open_store, awaiting=request.param == "awaiting")
        yield bench
        bench.close()
