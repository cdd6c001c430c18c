"""The codec: a job's arguments and its result as JSON, each way by the annotations.

``Signature`` is built per job; ``encode_literal`` serves ``push``, which has no code of the job.
"""

from __future__ import annotations

from longshore.core.codec.callables import check_callable
from longshore.core.codec.references import References
from longshore.core.codec.signature import Signature
from longshore.core.codec.text import encode_literal

__all__ = ["References", "Signature", "check_callable", "encode_literal"]
