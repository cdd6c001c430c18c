"""Every fault of the programme by number, with what it is on: what the page lists, run or not."""

from __future__ import annotations

from typing import Final

#: Rows without a function yet: what they are, and on which stores (S, P, Y, R; A is all four).
UNWRITTEN: Final = {
    "F18": ("a worker is told to stop while its store does not answer", "P Y R"),
    "F26": ("PostgreSQL crashes ten times under load", "P"),
    "F27": ("the store is away for three leases while workers live", "P Y R"),
    "F28": ("sessions are killed, twenty a second", "P"),
    "F29": ("the store becomes read-only", "P Y R"),
    "F30": ("no connections are left", "P Y"),
    "F31": ("a table is locked for two leases", "P"),
    "F32": ("an idle transaction holds back the clean-up", "P"),
    "F33": ("another isolation level is the default", "P Y"),
    "F34": ("PgBouncer in transaction mode", "P"),
    "F35": ("the listening connection dies silently", "P R"),
    "F36": ("a storm of notifications", "P"),
    "F37": ("MariaDB is killed ten times under load", "Y"),
    "F38": ("deadlocks and lock waits", "Y"),
    "F39": ("the server has gone away", "Y"),
    "F40": ("a packet that is too large", "Y"),
    "F41": ("Redis crashes and comes back", "R"),
    "F42": ("Redis does not answer for two leases", "R"),
    "F43": ("connections are killed, ten a second", "R"),
    "F44": ("the memory of Redis is full", "R"),
    "F45": ("scripts are flushed", "R"),
    "F46": ("all data is gone", "R"),
    "F47": ("a failover loses the tail", "R"),
    "F48": ("odd replies", "R"),
    "F49": ("unsafe settings", "R"),
    "F50": ("all keys of a store lie in one slot", "R"),
    "F51": ("eight processes contend for one file", "S"),
    "F52": ("a writer is stopped while it holds the lock", "S"),
    "F53": ("any process is killed, again and again", "S"),
    "F54": ("the disk is full, or cannot be written", "S"),
    "F55": ("the file is replaced or deleted", "S"),
    "F56": ("the write-ahead log cannot be folded in", "S"),
    "F57": ("connections are half open", "P Y R"),
    "F57a": ("the file lies on a network file system", "S"),
    "F58": ("connections are reset", "P Y R"),
    "F59": ("the network is slow", "P Y R"),
    "F60": ("the reply to every operation is lost", "P Y R"),
    "F61": ("a reply is torn", "P Y R"),
    "F62": ("the store is not there when workers start", "A"),
    "F63": ("the clock of one worker is an hour off", "A"),
    "F64": ("the clock of the store jumps by an hour", "P Y R"),
    "F65": ("everything is suspended for ten leases", "A"),
    "F66": ("summer time begins and ends", "A"),
    "F67": ("nobody fires for 24 ticks", "A"),
    "F68": ("who fires is stopped past its lease", "A"),
    "F69": ("100 000 jobs fall due in the same second", "A"),
    "F70": ("a poison job among innocent ones", "A"),
    "F71": ("old and new code side by side", "A"),
    "F72": ("huge payloads, results, logs and errors", "A"),
    "F73": ("exceptions that misbehave", "A"),
    "F74": ("awaited calls are cancelled", "P Y R"),
    "F75": ("everything fails", "A"),
    "F76": ("holders of unique keys die", "A"),
    "F77": ("a limit and a stopped machine", "A"),
    "F78": ("batches at their edges", "A"),
    "F79": ("cancel, complete, retry and pause race", "A"),
    "F80": ("hours of random faults", "A"),
    "F81": ("power is lost with unsynced writes", "A"),
}

#: Why some will not run where the programme runs.
IMPOSSIBLE: Final = {
    "F81": (
        "the loss of unsynced writes needs a file system that forgets them; of a lost power supply"
        " only the settings (full synchronisation, append-only file) are checked; C1 and C2 show"
        " what is lost without them"
    ),
}

LETTERS: Final = {"S": "sqlite", "P": "postgres18", "Y": "mariadb", "R": "redis"}


def stores(letters: str) -> tuple[str, ...]:
    """The stores that these letters stand for."""
    return tuple(LETTERS[one] for one in ("S P Y R" if letters == "A" else letters).split())
