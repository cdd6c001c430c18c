"""What makes each store fit or unfit to keep jobs; :mod:`longshore.core.fitness` asks for these."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import Final

from longshore.core.facts import NETWORK, Facts
from longshore.core.findings import Finding, minutes, ok, only_reads

#: How old the oldest open transaction may be, seconds.
LONG: Final = 300
#: The part of its memory that a server may have in use.
NEARLY: Final = 0.9
#: The least free space of a disk with a SQLite file, bytes.
SPACE: Final = 256 * 1024 * 1024


# --- PostgreSQL -------------------------------------------------------------------------------


def postgres(facts: Facts) -> Iterator[Finding]:
    """What is peculiar to it."""
    if facts.on("in_recovery"):
        yield only_reads("a standby, which only reads")
    elif facts.on("default_transaction_read_only"):
        yield only_reads("default_transaction_read_only is on")
    if facts.values.get("schema") == "":
        yield Finding(
            result="fail",
            about="schema",
            found=f"search_path is {facts.values.get('search_path')}: this user has none of these",
            why="no table can be found or made",
            do="`create schema`, `grant usage on schema`, or set search_path to one that exists",
            refuses=True,
        )
    yield _postgres_durability(facts)
    if facts.on("pooled"):
        yield ok("pooler", "connections are shared in between; workers look often, none listens")
    isolation = facts.values.get("default_transaction_isolation", "read committed")
    if isolation != "read committed":
        yield Finding(
            result="warn",
            about="isolation",
            found=f"default_transaction_isolation is {isolation}",
            why="operations of a pooled connection are repeated more often under load",
            do="`alter role ... set default_transaction_isolation = 'read committed'`",
            at_start=False,
        )
    if facts.on("autovacuum") is False:
        yield Finding(
            result="warn",
            about="vacuum",
            found="autovacuum is off",
            why="rows of ended jobs are never cleared away and claims become slower and slower",
            do="Set autovacuum = on",
        )
    yield from _postgres_horizon(facts)
    rights = facts.values.get("missing_rights")
    if rights:
        yield Finding(
            result="fail",
            about="rights",
            found=f"this user lacks {rights}",
            why="a worker needs them",
            do="Grant them as docs/how-to/least-privilege.md lists, or name another user",
        )


def _postgres_durability(facts: Facts) -> Finding:
    told = ", ".join(
        f"{name} {facts.values[name]}"
        for name in ("fsync", "synchronous_commit", "full_page_writes")
        if name in facts.values
    )
    off = [name for name in ("fsync", "full_page_writes") if facts.on(name) is False]
    relaxed = facts.values.get("synchronous_commit") == "off" and facts.keeps
    if not (off or relaxed):
        return ok("durability", told or "not told")
    names = " and ".join([*off, *(["synchronous_commit"] if relaxed else [])])
    return Finding(
        result="fail" if off else "warn",
        about="durability",
        found=f"{names} is off",
        why=(
            "a power cut may destroy the whole database"
            if off
            else "a crash of the server loses jobs that were acknowledged in its last moments"
        ),
        do=f"Set {names} = on" + ("" if off else ', or durability = "normal" to accept it'),
    )


def _postgres_horizon(facts: Facts) -> Iterator[Finding]:
    for name, what, ends in (
        ("oldest_transaction", "a transaction has been open", "`select pg_terminate_backend(PID)`"),
        ("oldest_prepared", "a prepared transaction has been there", "`rollback prepared`"),
    ):
        seconds = facts.number(name)
        if seconds is not None and seconds > LONG:
            yield Finding(
                result="warn",
                about="old rows",
                found=f"{what} for {minutes(seconds)}",
                why="no row that has ended since then can be cleared away; claims become slower",
                do=f"Find it in pg_stat_activity or pg_prepared_xacts, end it: {ends}",
                at_start=False,
            )


# --- MariaDB and MySQL ------------------------------------------------------------------------


def mysql(facts: Facts) -> Iterator[Finding]:
    """What is peculiar to it."""
    for name in ("read_only", "super_read_only", "innodb_read_only"):
        if facts.values.get(name, "off").lower() not in ("off", "0"):
            yield only_reads(f"{name} is on")
            break
    if facts.on("wsrep_on"):
        yield Finding(
            result="fail",
            about="cluster",
            found="a Galera cluster (wsrep_on)",
            why="its nodes do not see each other's locks, so that two could start one job",
            do="Use a server that is not replicated in this way",
            refuses=True,
        )
    if facts.values.get("binlog_format", "").upper() == "STATEMENT" and facts.on("log_bin"):
        yield Finding(
            result="fail",
            about="binary log",
            found="binlog_format is STATEMENT",
            why="the server refuses what a worker writes at READ COMMITTED",
            do="Set binlog_format to ROW or MIXED",
            refuses=True,
        )
    yield from _mysql_durability(facts)
    yield from _mysql_sizes(facts)
    seconds = facts.number("oldest_transaction")
    if seconds is not None and seconds > LONG:
        yield Finding(
            result="warn",
            about="old rows",
            found=f"a transaction has been open for {minutes(seconds)}",
            why="no row that has ended since then can be cleared away; claims become slower",
            do="Find it in information_schema.innodb_trx and `kill` its thread",
            at_start=False,
        )


def _mysql_durability(facts: Facts) -> Iterator[Finding]:
    flush = facts.values.get("innodb_flush_log_at_trx_commit")
    if flush in (None, "1"):
        if flush:
            yield ok("durability", "innodb_flush_log_at_trx_commit 1")
        return
    lost = "a crash of the server" if flush == "0" else "a power cut"
    yield Finding(
        result="warn",
        about="durability",
        found=f"innodb_flush_log_at_trx_commit is {flush}",
        why=f"{lost} loses jobs that were acknowledged within the last second",
        do="Set innodb_flush_log_at_trx_commit = 1",
    )


def _mysql_sizes(facts: Facts) -> Iterator[Finding]:
    packet = facts.number("max_allowed_packet")
    if packet is not None and packet < 4 * 2**20:
        yield Finding(
            result="warn",
            about="packets",
            found=f"max_allowed_packet is {packet}",
            why="a job that takes more bytes with all that goes with it is refused",
            do="Set max_allowed_packet = 16M",
            at_start=False,
        )
    idle = facts.number("wait_timeout")
    if idle is not None and idle < 60:
        yield Finding(
            result="warn",
            about="idle connections",
            found=f"wait_timeout is {idle}",
            why="the server hangs up on connections that are about to be used again",
            do="Set wait_timeout = 600",
            at_start=False,
        )
    wait = facts.number("innodb_lock_wait_timeout")
    isolation = facts.values.get("transaction_isolation") or facts.values.get("tx_isolation")
    if wait is not None:
        told = f"innodb_lock_wait_timeout {wait}, isolation {isolation or 'not told'}"
        yield ok("sessions", f"{told}; each connection sets its own")


# --- Redis and Valkey -------------------------------------------------------------------------


def redis(facts: Facts) -> Iterator[Finding]:
    """What is peculiar to it."""
    if facts.values.get("role") in ("slave", "replica"):
        primary = facts.values.get("master_host", "another server")
        yield only_reads(f"a replica of {primary}, which only reads")
    yield _redis_eviction(facts)
    yield _redis_durability(facts)
    yield from _redis_memory(facts)
    if facts.on("aof_enabled") and facts.values.get("aof_last_write_status", "ok") != "ok":
        yield _redis_disk("the last write to the append-only file failed")
    elif facts.values.get("rdb_last_bgsave_status", "ok") != "ok":
        yield _redis_disk("the last snapshot failed")
    if facts.address.startswith("redis+cluster:") and facts.on("cluster_enabled") is False:
        yield Finding(
            result="fail",
            about="cluster",
            found="redis+cluster:// names a server that is not one of a cluster",
            why="which server has a key cannot be asked there",
            do="Write redis:// in the address, or set cluster-enabled yes",
            refuses=True,
        )
    state = facts.values.get("cluster_state")
    if state not in (None, "ok"):
        yield Finding(
            result="fail",
            about="cluster",
            found=f"cluster_state is {state}, {facts.values.get('cluster_slots_ok', '?')} slots ok",
            why="keys of a slot that nobody serves cannot be used",
            do="Look at `CLUSTER INFO` and `redis-cli --cluster check`",
        )


def _redis_eviction(facts: Facts) -> Finding:
    policy = facts.values.get("maxmemory_policy")
    if policy in (None, "noeviction"):
        return ok("eviction", f"maxmemory-policy {policy or 'not told'}")
    every = policy.startswith("allkeys")
    accepted = every and facts.forced
    return Finding(
        result="fail" if every and not accepted else "warn",
        about="eviction",
        found=f"maxmemory-policy is {policy}" + (", accepted by ?evicting=yes" * accepted),
        why=(
            "when its memory is full the server throws away keys, and jobs with them"
            if every
            else "it throws away keys that end by themselves, and hints to idle workers are such"
        ),
        do=(
            "Set maxmemory-policy noeviction, and use another server for a cache"
            + (". To accept it all the same: ?evicting=yes" * (every and not accepted))
        ),
        refuses=every and not accepted,
    )


def _redis_durability(facts: Facts) -> Finding:
    fsync = facts.values.get("appendfsync")
    if facts.on("aof_enabled"):
        told = f"appendonly yes, appendfsync {fsync or 'not told'}"
        if fsync != "no":
            return ok("durability", told)
        return Finding(
            result="warn",
            about="durability",
            found=told,
            why="a power cut loses what the system had not yet written, often half a minute",
            do="Set appendfsync everysec",
        )
    if not facts.keeps:
        return ok("durability", "appendonly no, accepted by the setting durability")
    return Finding(
        result="fail",
        about="durability",
        found="appendonly is no",
        why="when the server ends, jobs enqueued since its last snapshot are lost",
        do='Set appendonly yes, or durability = "normal" to accept it',
    )


def _redis_memory(facts: Facts) -> Iterator[Finding]:
    most, used = facts.number("maxmemory"), facts.number("used_memory")
    if not most:
        yield Finding(
            result="warn",
            about="memory",
            found="maxmemory is not set",
            why="a server that fills its machine's memory is killed; with a limit enqueue is"
            " refused and jobs still run",
            do="Set maxmemory to what the machine can spare",
            at_start=False,
        )
    elif used is not None and used > NEARLY * most:
        yield Finding(
            result="warn",
            about="memory",
            found=f"{100 * used // most} % of maxmemory is in use",
            why="when it is full nothing can be enqueued",
            do="Start workers, shorten the retention, or raise maxmemory",
        )
    else:
        yield ok("memory", f"{used or 0} of {most} bytes in use")


def _redis_disk(found: str) -> Finding:
    return Finding(
        result="fail",
        about="disk",
        found=found,
        why="the server refuses writes until it can save again (MISCONF)",
        do="Look at its log and its disk",
    )


# --- SQLite -----------------------------------------------------------------------------------


def sqlite(facts: Facts) -> Iterator[Finding]:
    """What is peculiar to it."""
    missing = facts.values.get("folder_missing")
    if missing:
        yield Finding(
            result="fail",
            about="folder",
            found=f"there is no folder {missing}",
            why="the first program that stores a job makes the file, and no folder",
            do=f"`mkdir -p {quote(missing)}`, or correct the address",
        )
        return
    others = facts.values.get("other_names")
    if others:
        yield Finding(
            result="fail",
            about="file",
            found=f"{facts.address}: {others}",
            why="SQLite keeps its log beside the file, by its name: under two names jobs are lost",
            do="Give the file one name; to share it with a container, mount its folder",
            refuses=True,
        )
    yield _sqlite_place(facts)
    for what in ("folder", "file"):
        if facts.on(f"{what}_writable") is False:
            yield Finding(
                result="fail",
                about="writes",
                found=f"this user may not write to the {what} of {facts.address}",
                why="every change of the file also writes files beside it",
                do="Give the user who runs this the right to write the folder and what is in it",
                refuses=True,
            )
    mode = facts.values.get("journal_mode")
    if mode not in (None, "wal"):
        yield Finding(
            result="warn",
            about="journal",
            found=f"journal_mode is {mode}",
            why="readers and writers keep each other waiting",
            do="It is changed to wal when no other program holds the file: end those and try again",
        )
    synchronous = facts.values.get("synchronous", "full")
    if synchronous == "full":
        yield ok("durability", "synchronous full")
    else:
        yield Finding(
            result="warn",
            about="durability",
            found=f"synchronous is {synchronous}",
            why="a power cut may lose jobs that were acknowledged in the last moments",
            do="Leave out ?synchronous=normal where that matters",
            at_start=False,
        )
    yield from _sqlite_space(facts)


def _sqlite_place(facts: Facts) -> Finding:
    kind = facts.values.get("file_system", "")
    if kind in NETWORK and not facts.forced:
        return Finding(
            result="fail",
            about="file system",
            found=f"{facts.address} is on a network file system ({kind})",
            why="locks do not hold there, so that SQLite loses data",
            do="Put the file on a local disk, or use a database server."
            " To accept it all the same: ?network=yes",
            refuses=True,
        )
    if kind in NETWORK or kind.startswith("fuse"):
        return Finding(
            result="warn",
            about="file system",
            found=f"{facts.address} is on {kind}",
            why="whether locks and shared memory work there is up to that file system",
            do="Put the file on a local disk",
        )
    if kind in ("tmpfs", "ramfs"):
        return Finding(
            result="warn",
            about="file system",
            found=f"{facts.address} is in memory ({kind})",
            why="it is gone when the machine starts anew",
            do="Put the file on a disk",
            at_start=False,
        )
    return ok("file system", kind or "not told")


def _sqlite_space(facts: Facts) -> Iterator[Finding]:
    free = facts.number("free")
    if free is None:
        return
    told = f"{free // 2**20} MiB free"
    if free >= SPACE:
        yield ok("disk", told)
        return
    yield Finding(
        result="warn",
        about="disk",
        found=told,
        why="when it is full nothing can be enqueued or finished",
        do="Make room, or shorten the retention of ended jobs",
    )
