"""The demo: its jobs as plain functions, its services, its report, and that its check can fail."""

import asyncio
import hashlib
import os
import re
import shutil
import signal
import smtplib
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from PIL import Image
from rich.console import Console

from demo import inputs, mishaps, orders
from demo.app import (
    Mail,
    WrongChecksum,
    download,
    import_orders,
    make_thumbnail,
    send_mail,
)
from demo.diary import Diary
from demo.fetch import HttpError, TryAgainLater
from demo.place import Place
from demo.report import where_to_look_next
from demo.services import Served, mail_server, web_server
from demo.worker import Worker, WorkerDied
from longshore import Discard, Longshore
from tests.places import each, place

ROOT = Path(__file__).resolve().parent.parent


def run(
    *arguments: str | Path, seconds: float = 90, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "LONGSHORE_STORE"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=kept | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def proposed(said: str) -> list[str]:
    """The commands that a run of the demo proposes."""
    lines = said.partition("Where to look next")[2].splitlines()
    return [line.strip() for line in lines if line.startswith("  ")]


def shell(*commands: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["sh", "-c", " && ".join(commands)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, (commands, done.stdout, done.stderr)
    return done


class TestThumbnail:
    def test_it_fits_the_square_and_keeps_the_proportions(self, tmp_path: Path) -> None:
        inputs.paint(2, (1000, 1600)).save(tmp_path / "tall.png")
        assert make_thumbnail(tmp_path / "tall.png", tmp_path / "small.jpg") == (200, 320)
        with Image.open(tmp_path / "small.jpg") as small:
            assert (small.format, small.size) == ("JPEG", (200, 320))

    def test_what_is_not_a_picture_is_discarded_and_leaves_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "notes.jpg").write_text("not a picture")
        with pytest.raises(Discard, match=r"notes\.jpg is not a picture"):
            make_thumbnail(tmp_path / "notes.jpg", tmp_path / "small.jpg")
        assert [file.name for file in tmp_path.iterdir()] == ["notes.jpg"]


class TestDownload:
    def test_it_verifies_what_it_stores(self, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(bytes(range(256)) * 1000)
        right = hashlib.sha256(source.read_bytes()).hexdigest()
        with web_server({"file": Served(source, refusals=2)}) as web:
            for _ in range(2):
                with pytest.raises(TryAgainLater, match="503"):
                    asyncio.run(download(web.url("file"), right, tmp_path / "copy"))
            assert asyncio.run(download(web.url("file"), right, tmp_path / "copy")) == 256_000
            with pytest.raises(WrongChecksum):
                asyncio.run(download(web.url("file"), "0" * 64, tmp_path / "other"))
            with pytest.raises(HttpError, match="404"):
                asyncio.run(download(web.url("none"), right, tmp_path / "other"))
        assert (tmp_path / "copy").read_bytes() == source.read_bytes()
        assert not (tmp_path / "other").exists()


class TestImport:
    def test_it_loads_what_is_well_formed_and_reports_the_rest(self, tmp_path: Path) -> None:
        database, file = tmp_path / "shop.db", tmp_path / "orders.csv"
        orders.create_table(database)
        file.write_text(
            "id,placed,product,quantity,cents\n"
            "1,2026-02-03,winch,2,995\n"
            "2,2026-02-30,winch,2,995\n"
            "3,2026-02-03,winch\n"
            "4,2026-02-03,winch,0,995\n"
            "5,2026-02-04,anchor,1,100000\n"
        )
        # Twice, as after an interruption.
        for imported in (import_orders(file, database), import_orders(file, database)):
            assert imported.rows == 2
            assert list(imported.malformed) == [3, 4, 5]
        assert orders.read_table(database) == [
            orders.Order(1, "2026-02-03", "winch", 2, 995),
            orders.Order(5, "2026-02-04", "anchor", 1, 100_000),
        ]

    def test_the_accident_kills_the_process_once(self, tmp_path: Path) -> None:
        victim = tmp_path / "orders.csv"
        mishaps.arrange(victim)
        script = "import sys; from pathlib import Path; from demo import mishaps\n"
        script += "mishaps.strike(Path(sys.argv[1]))"
        assert run("-c", script, victim).returncode == -signal.SIGKILL
        struck = mishaps.struck_at(victim)
        assert struck is not None
        assert run("-c", script, victim).returncode == 0
        assert mishaps.struck_at(victim) == struck


class TestMail:
    def test_it_arrives_as_it_was_written(self) -> None:
        mail = Mail("ada@port.example", "Über die Reling", "Dear Ada,\nit costs € 19.50.")
        with mail_server() as mailbox:
            send_mail(mail, mailbox.address)
        (received,) = mailbox.mails.values()
        assert received.sender == "shop@longshore.example"
        assert (received.recipient, received.subject, received.text) == (
            mail.recipient,
            mail.subject,
            mail.text,
        )

    def test_a_second_copy_is_dropped_and_counted(self) -> None:
        with mail_server() as mailbox:
            host, _, port = mailbox.address.rpartition(":")
            for _ in range(2):
                with smtplib.SMTP(host, int(port), local_hostname="localhost", timeout=5) as smtp:
                    smtp.sendmail(
                        "a@here.example", "b@there.example", "Message-ID: <1@here>\r\n\r\nhello"
                    )
        assert len(mailbox.mails) == 1
        assert mailbox.copies == 1


class TestWorker:
    def test_one_that_died_is_told_with_its_last_words(self, tmp_path: Path) -> None:
        log = tmp_path / "worker.log"
        log.write_text("starting\nno such store\n")
        with subprocess.Popen([sys.executable, "-c", "raise SystemExit(4)"]) as process:
            process.wait(timeout=30)
        with pytest.raises(WorkerDied, match=r"exit code 4; it said:\nstarting\nno such store"):
            Worker(process, log).check()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the demo ran and was checked, and what it said."""
    folder = tmp_path_factory.mktemp("demo") / "my demo"
    done = run("-m", "demo", "--check", "--keep", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


@pytest.mark.slow
@pytest.mark.timeout(120)
class TestDemo:
    def test_the_report_tells_what_happened(self, finished: tuple[Path, str]) -> None:
        folder, said = finished
        assert re.search(r"make_thumbnail +\W +24 +\W +24 +\W +0 ", said)
        assert re.search(r"import_orders +\W +1 +\W +1 +\W +0 +\W +1 ", said)
        assert re.search(r"download +\W +5 +\W +5 +\W +2 ", said)
        assert re.search(r"send_mail +\W +8 +\W +8 +\W +0 ", said)
        assert len(re.findall(r"run \d failed, ran again \d+ ms later: .*503", said)) == 2
        assert len(re.findall(r"ran again \d{1,3} ms after SIGKILL", said)) == 1
        assert "imported 39994 orders, 6 lines malformed" in said
        assert "Dear Hiro, your winch is on board." in said
        assert "ended with exit code 0" in said
        assert "38 jobs read back, everything is as it should be" in said
        assert str(folder) in said

    def test_the_commands_it_proposes_work(self, finished: tuple[Path, str]) -> None:
        folder, said = finished
        commands = proposed(said)
        assert len(commands) == 5
        for command in commands[1:]:
            shell(commands[0], command)
        listed = shell(commands[0], commands[1])
        assert Diary.load(folder / "diary.json").imported in listed.stdout

    def test_a_folder_that_is_in_use_is_refused(self, finished: tuple[Path, str]) -> None:
        folder, _ = finished
        done = run("-m", "demo", "--keep", folder)
        assert done.returncode == 2
        assert "is not empty" in done.stderr

    def test_its_check_accepts_the_kept_run_in_a_fresh_process(
        self, finished: tuple[Path, str]
    ) -> None:
        done = run("-m", "demo", "--only-check", finished[0])
        assert done.returncode == 0, done.stdout + done.stderr
        assert "38 jobs read back, everything is as it should be" in done.stdout

    def test_what_is_no_finished_run_cannot_be_checked(self, tmp_path: Path) -> None:
        done = run("-m", "demo", "--only-check", tmp_path)
        assert done.returncode == 2
        assert "does not hold a finished run" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(180)
class TestStore:
    @pytest.mark.parametrize("kind", each("postgres18", "mariadb", "redis", "valkey"))
    def test_the_whole_demo_runs_on_a_server_and_its_commands_do(
        self, kind: str, tmp_path: Path
    ) -> None:
        folder = tmp_path / "kept"
        with place(kind, tmp_path) as where:
            options = ("-m", "demo", "--check", "--store", where.url, "--keep", folder)
            done = run(*options, LONGSHORE_PREFIX=where.prefix)
            assert done.returncode == 0, done.stdout + done.stderr
            assert len(re.findall(r"ran again \d{1,3} ms after SIGKILL", done.stdout)) == 1
            assert "38 jobs read back, everything is as it should be" in done.stdout
            assert not list(folder.glob("jobs.db*"))
            commands = proposed(done.stdout)
            assert commands[0].endswith(f" LONGSHORE_PREFIX={where.prefix}")
            imported = Diary.load(folder / "diary.json").imported
            assert imported in shell(commands[0], commands[1]).stdout
            checked = shell(commands[0], commands[4])
            assert "everything is as it should be" in checked.stdout

            again = run(
                *("-m", "demo", "--store", where.url, "--keep", tmp_path / "second"),
                LONGSHORE_PREFIX=where.prefix,
            )
            assert again.returncode == 1
            assert "the store holds 38 jobs already" in again.stdout

    def test_what_an_earlier_demo_left_is_removed_and_other_jobs_stay(self, tmp_path: Path) -> None:
        store = f"sqlite:///{tmp_path}/shop.db"
        mine, earlier = Longshore(store), Longshore(store, prefix="longshore_demo_")
        with closing(mine), closing(earlier):
            for jobs in (mine, earlier):
                jobs.migrate()
                jobs.push({"kind": "demo.app.send_mail", "args": []})
            done = run("-m", "demo", "--check", "--store", store, "--keep", tmp_path / "kept")
            assert done.returncode == 0, done.stdout + done.stderr
            assert (mine.query.count(), earlier.query.count()) == (1, 38)

    def test_a_password_is_not_printed(self) -> None:
        console = Console(record=True, width=200)
        place = Place(Path("/nowhere"), "redis://me:s3cret@127.0.0.1/1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LONGSHORE_PREFIX", "longshore_demo_")
            where_to_look_next(console, place, Diary())
        said = console.export_text()
        assert "s3cret" not in said
        assert "LONGSHORE_STORE='redis://me:***@127.0.0.1/1'" in said
        assert "Write your password where *** stands." in said

    @pytest.mark.parametrize(
        ("address", "words"),
        [
            ("memory://", "seen by one process alone"),
            ("oracle://db/shop", "no store serves the scheme"),
            ("shop.db", "a store's address starts with one of"),
        ],
    )
    def test_an_address_that_cannot_work_is_refused(self, address: str, words: str) -> None:
        done = run("-m", "demo", "--store", address)
        assert done.returncode == 2
        assert words in " ".join(done.stderr.split())


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_halfway_it_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "demo", "--keep", str(tmp_path / "kept")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        # The first progress: the worker runs and so do jobs.
        assert any(re.match(r"  \w+ +[1-9]\d* %", line) for line in demo.stdout)
        started = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(number)
        said, _ = demo.communicate(timeout=40)
    assert demo.returncode == 128 + number, said
    assert len(started) >= 2
    _, alive = psutil.wait_procs(started, timeout=1)
    assert alive == []


def remove_a_thumbnail(folder: Path) -> None:
    (folder / "thumbnails" / "picture-03.jpg.jpg").unlink()


def stretch_a_thumbnail(folder: Path) -> None:
    file = folder / "thumbnails" / "picture-04.jpg.jpg"
    with Image.open(file) as image:
        wide = image.resize((320, 320))
    wide.save(file)


def lose_a_row(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "shop.db")) as shop, shop:
        shop.execute("delete from orders where id = 77")


def change_a_download(folder: Path) -> None:
    with (folder / "downloads" / "catalogue-1.bin").open("r+b") as file:
        file.write(b"?")


def lose_a_mail(folder: Path) -> None:
    diary = Diary.load(folder / "diary.json")
    diary.received = [mail for mail in diary.received if "ada@" not in mail.recipient]
    diary.save(folder / "diary.json")


def forge_the_worker_exit(folder: Path) -> None:
    diary = Diary.load(folder / "diary.json")
    diary.worker_exit = 9
    diary.save(folder / "diary.json")


def kill_earlier(folder: Path) -> None:
    file = folder / "downloads" / "orders.csv"
    died = mishaps.struck_at(file)
    assert died is not None
    mishaps.struck(file).write_text(str(died - 2_000_000))


TAMPERED_FILES = {
    remove_a_thumbnail: r"thumbnail of picture-03\.jpg cannot be read",
    stretch_a_thumbnail: r"thumbnail of picture-04\.jpg is \(320, 320\), its job said",
    lose_a_row: r"39993 rows, expected 39994; 1 missing, 0 unknown",
    change_a_download: r"catalogue-1\.bin has the wrong checksum",
    lose_a_mail: r"the mail to ada@port\.example did not arrive",
    forge_the_worker_exit: r"the worker ended with exit code 9, expected 0",
    kill_earlier: r"ran again [23]\d{3} ms after the kill",
}

TAMPERED_STORE = """
from longshore import Longshore

jobs = Longshore({store!r})
assert jobs.get({imported!r}).retry()
assert jobs.query.filter(id={thumbnail!r}).delete().changed == 1
jobs.push({{"kind": "demo.app.send_mail", "args": []}})
jobs.close()
"""


@pytest.fixture
def tampered(finished: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    folder = tmp_path / "tampered"
    shutil.copytree(finished[0], folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(120)
class TestCheck:
    def test_it_notices_each_wrong_thing_outside_the_store_and_nothing_else(
        self, tampered: Path
    ) -> None:
        for tamper in TAMPERED_FILES:
            tamper(tampered)
        done = run("-m", "demo", "--only-check", tampered)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "7 things are wrong" in done.stdout
        for complaint in TAMPERED_FILES.values():
            assert re.search(complaint, done.stdout), (complaint, done.stdout)

    def test_it_notices_jobs_that_are_not_as_they_were(self, tampered: Path) -> None:
        diary = Diary.load(tampered / "diary.json")
        thumbnail = next(iter(diary.pictures))
        refused = diary.unreliable
        diary.unreliable = next(job_id for job_id in diary.downloads if job_id != refused)
        diary.save(tampered / "diary.json")
        script = TAMPERED_STORE.format(
            store=Place(tampered).store, imported=diary.imported, thumbnail=thumbnail
        )
        changed = run("-c", script)
        assert changed.returncode == 0, changed.stderr
        done = run("-m", "demo", "--only-check", tampered)
        assert done.returncode == 1, done.stdout + done.stderr
        for complaint in (
            rf"job {diary.imported} \(demo\.app\.import_orders\) is available, expected succeeded",
            rf"there is no job {thumbnail}",
            r"is in the store and nobody asked for it",
            rf"job {refused} \(demo\.app\.download\) failed 2 times",
            rf"job {diary.unreliable} .* was to be refused twice, its history says \[\]",
        ):
            assert re.search(complaint, done.stdout), (complaint, done.stdout)
