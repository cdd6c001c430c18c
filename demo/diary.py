"""What the web side asked for and what the outside world saw: the report is checked against it.

It holds no outcome of a job: those are read from the store.
"""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from demo.app import Mail
from demo.services import Received


@dataclass(frozen=True)
class Wanted:
    """A file to download and the checksum it must have."""

    name: str
    sha256: str


@dataclass
class Diary:
    """One run of the demo. The keys are the ids of the jobs."""

    pictures: dict[str, Path] = field(default_factory=dict[str, Path])
    downloads: dict[str, Wanted] = field(default_factory=dict[str, Wanted])
    mails: dict[str, Mail] = field(default_factory=dict[str, Mail])
    unreliable: str = ""  # the download that the server refuses twice
    imported: str = ""  # the import whose process is killed
    received: list[Received] = field(default_factory=list[Received])
    copies: int = 0  # mails that arrived a second time and were dropped
    worker_exit: int | None = None

    @property
    def job_ids(self) -> set[str]:
        return {*self.pictures, *self.downloads, *self.mails, self.imported} - {""}

    def save(self, file: Path) -> None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self, enc_hook=str)))

    @classmethod
    def load(cls, file: Path) -> "Diary":
        return msgspec.json.decode(
            file.read_bytes(), type=cls, dec_hook=lambda kind, value: kind(value)
        )
