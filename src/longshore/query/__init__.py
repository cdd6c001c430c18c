"""What a person asks of a store and orders: jobs by any field, and queues by name."""

from longshore.query.jobs import Changes, JobQuery
from longshore.query.queues import Queue, Queues
from longshore.query.where import AnyOf, Filters, Kind, Where

__all__ = ["AnyOf", "Changes", "Filters", "JobQuery", "Kind", "Queue", "Queues", "Where"]
