"""Processes that are killed, by others or at an exact instant: F01 to F04 and F06."""

from __future__ import annotations

from collections import Counter

from faults.frame import row
from faults.trial import Trial
from tests.checker_tools import Account, runs_of
from tests.ledger_tools import Word

THREADS = 4
#: A word in the ledger: from here on the doomed worker ends as any other.
DOOMED = "the doomed worker ends"
#: The death of a child, seen by its supervisor.
CHILD = 1.0


def host(lease: float) -> float:
    """The death of a whole machine, seen by nobody: what is promised for it."""
    return 1.5 * lease + 0.5


@row("F01", "a child is killed in the middle of jobs, again and again")
def killed_children(trial: Trial) -> None:
    workers = [trial.worker(threads=THREADS) for _ in range(2)]
    trial.ready(4)
    load = trial.load(endless=True, ms=(20, 120))
    kills = trial.scaled(200, least=4)
    for _ in range(kills):
        # The promise is about one death among others that live, so each is waited for.
        trial.ready(4)
        before = trial.started()
        worker = trial.random.choice(workers)
        victim = trial.random.choice(worker.children())
        worker.kill(victim)
        trial.gone(victim)
        trial.until(lambda before=before: trial.started() >= before + 20, 60, "work after a kill")
    load.stop()
    # Minutes of jobs at that rate, which four processes that are killed do not keep up with.
    account = trial.settle(within=600)
    trial.figures["kills"] = kills
    cut = account.duplicated - account.redone
    trial.at_most("bodies cut off and run again, kills by slots", cut, kills * THREADS)
    trial.recovers(CHILD)


@row("F02", "killed after the claim, before any body began")
def killed_after_claim(trial: Trial) -> None:
    account = _doomed(trial, "after_claim:kill@4")
    # It dies with the answer of a claim in its hand. Bodies of claims before it run, and one that
    # has begun and has not come to its first line yet is rightly counted.
    trial.exactly("interruptions counted of what had just come", account.last_claimed, 0)
    trial.recovers_unstarted(CHILD)


@row("F03", "killed after the body, before its ending was stored")
def killed_before_complete(trial: Trial) -> None:
    account = _doomed(trial, "before_complete:kill@5")
    trial.at_least("duplicated, which is documented", account.duplicated, 1)
    # Its neighbours may be anywhere in their bodies: only what was to be reported is whole.
    whole, killed = _killed_with_a_whole_body(trial)
    trial.at_least("killed as they were to report", killed, 2)
    trial.exactly("of them without a whole body that ran again", killed - whole, 0)
    trial.recovers(CHILD)


def _killed_with_a_whole_body(trial: Trial) -> tuple[int, int]:
    """How many were killed with a body that had ended and ran again, and how many at all."""
    runs, died = runs_of(trial.lines), _dead_before_the_end(trial)
    # Who had only one job is no victim: it was the process of a job that runs alone.
    killed = {pid for pid, count in Counter(run.pid for run in runs).items() if count > 1} & died
    last = {run.job_id: run for run in runs}
    again = {run.pid for run in runs if run.finished and last[run.job_id] is not run}
    return len(killed & again), len(killed)


def _dead_before_the_end(trial: Trial) -> set[int]:
    """Whose death was noted before the doomed worker was asked to end."""
    end = next(line.at for line in trial.lines if line.note == DOOMED)
    return {line.pid for line in trial.lines if line.word is Word.DIED and line.at < end}


@row("F04", "killed after the ending was stored")
def killed_after_complete(trial: Trial) -> None:
    # One job at a time, so long that none is claimed ahead: a neighbour that runs is rightly
    # interrupted, and runs again.
    account = _doomed(trial, "complete_sent:kill@5", threads=1, ms=(80, 150))
    trial.exactly("duplicated", account.duplicated, 0)


def _doomed(
    trial: Trial, failpoints: str, threads: int = THREADS, ms: tuple[int, int] = (1, 40)
) -> Account:
    """A worker whose children die at an exact instant, again and again, beside a healthy one."""
    doomed = trial.worker(threads=threads, failpoints=failpoints)
    trial.worker(threads=4 * THREADS)
    trial.ready(4)
    load = trial.load(kinds=("work",), ms=ms, endless=True)
    wanted = trial.scaled(20)
    trial.until(lambda: _deaths(trial) >= wanted and load.acked >= trial.jobs, 300, "deaths")
    load.stop()
    trial.figures["deaths"] = _deaths(trial)
    trial.note(DOOMED)
    doomed.end()
    account = trial.settle()
    trial.at_least("deaths", trial.figures["deaths"], 2)
    return account


@row("F06", "a whole machine is lost while another goes on")
def lost_machine(trial: Trial) -> None:
    lost = trial.worker(threads=THREADS)
    trial.worker(threads=THREADS)
    trial.ready(4)
    trial.load(ms=(50, 200))
    for _ in trial.meanwhile(1):
        trial.busy(lost)
        lost.lose()
    account = trial.settle()
    cut = account.duplicated - account.redone
    trial.at_most("bodies cut off and run again, slots", cut, 2 * THREADS)
    trial.recovers(host(trial.lease))


def _deaths(trial: Trial) -> int:
    return len({line.pid for line in trial.lines if line.word is Word.DIED})
