"""Where one demo run keeps what: a folder, and the store of the jobs."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class Place:
    """Everything a run reads or writes lies in `folder`, but for pictures of your own.

    The jobs lie there too, in a file of SQLite, unless `address` names another store.
    """

    folder: Path
    address: str | None = None

    @property
    def store(self) -> str:
        """The address of the jobs' store."""
        return self.address or f"sqlite:///{quote(str(self.folder / 'jobs.db'))}"

    @property
    def shop(self) -> Path:
        """The application's own database."""
        return self.folder / "shop.db"

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"

    @property
    def thumbnails(self) -> Path:
        return self.folder / "thumbnails"

    @property
    def served(self) -> Path:
        """What the web server has to offer."""
        return self.folder / "served"

    @property
    def downloads(self) -> Path:
        return self.folder / "downloads"

    @property
    def orders(self) -> Path:
        """The file that is downloaded, then imported."""
        return self.downloads / "orders.csv"

    @property
    def diary(self) -> Path:
        """What the web side asked for and what the outside world saw."""
        return self.folder / "diary.json"

    @property
    def log(self) -> Path:
        """What the worker said."""
        return self.folder / "worker.log"

    def make(self) -> None:
        for folder in (self.pictures, self.thumbnails, self.served, self.downloads):
            folder.mkdir(parents=True, exist_ok=True)
