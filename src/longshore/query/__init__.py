"""What a person asks of a store and orders: jobs by any field, queues and limits by name."""

from longshore.query.jobs import Changes, JobQuery
from longshore.query.limits import Limits
from longshore.query.queues import Queue, Queues
from longshore.query.schedules import Schedules
from longshore.query.where import AnyOf, Filters, Kind, Where

__all__ = [
    "AnyOf",
    "Changes",
    "Filters",
    "JobQuery",
    "Kind",
    "Limits",
    "Queue",
    "Queues",
    "Schedules",
    "Where",
]
