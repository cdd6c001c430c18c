/* The end of a batch: its members end at the same moment, in transactions that do not see each other.
 *
 * Members run, end, are reported twice or by a run that was taken away, and one of them adds another
 * while it runs. A report locks the batch before it looks; who finds no live member left enqueues
 * `on_complete`, in the same write.
 *
 * Shown for every order of events: `on_complete` exactly once and never while a member lives (I-34,
 * I-35); `on_success` if and only if all succeeded, `on_death` at the first death alone; a member
 * that is added is counted before the one that added it can end the batch (I-37).
 *
 * python -m tools.models batch
 */
#define NOLOCK 1 /* mutant: a report looks at the others without having locked the batch */
#define COUNTED 2 /* mutant: a counter of members goes down with a refused report as well */
#define LATE 3 /* mutant: members may be added by a run that has ended */
#define ASKTHENTELL 4 /* mutant: the callback is enqueued in a write of its own, after the end */
#define DEATHAGAIN 5 /* mutant: every death is told */

#define MEMBERS 3 /* the last one is added by another */
#define TAKEN 1 /* runs that are taken away */
#define REPLIES 1 /* that are lost */
#define LOCKED (broken != NOLOCK)

byte broken;

mtype = { ABSENT, RUNNING, SUCCEEDED, DEAD };
mtype state[MEMBERS] = ABSENT;
byte token[MEMBERS] = 1; /* the run that counts */

bool lock;
byte pending = 2; /* read by a mutant alone */
byte completed, succeeded, deaths;
bool added;
byte lost, taken;

inline count() {
  live = 0;
  dead = 0;
  for (i : 0 .. MEMBERS - 1) {
    if
    :: state[i] == RUNNING -> live++
    :: state[i] == DEAD -> dead++
    :: else
    fi
  }
  i = 0
}

inline tell() {
  assert(state[0] != RUNNING && state[1] != RUNNING && state[2] != RUNNING);
  assert(completed == 0);
  completed++;
  if
  :: dead == 0 -> succeeded++
  :: else
  fi
}

/* One run of one member, and its report. */
proctype Run(byte me; byte mine) {
  byte live, dead, i;
  bool held;
  /* Perhaps its process is thought dead, and the next run begins beside it. */
  if
  :: atomic { state[me] == RUNNING && token[me] == mine && taken < TAKEN ->
       taken++;
       token[me]++;
       run Run(me, mine + 1)
     }
  :: skip
  fi;
  /* Perhaps it adds a member: fenced as every write of a run is. */
  if
  :: atomic { !added && (broken == LATE || (state[me] == RUNNING && token[me] == mine)) ->
       assert(completed == 0);
       added = true;
       state[2] = RUNNING;
       pending++;
       run Run(2, 1)
     }
  :: skip
  fi;
report:
  /* The transaction begins: what it saw without a lock does not change any more. */
  atomic {
    !lock -> lock = LOCKED;
    held = (state[me] == RUNNING && token[me] == mine);
    count();
    if
    :: held && live > 0 -> live--
    :: else
    fi
  }
  atomic {
    if
    :: broken == COUNTED && state[me] != ABSENT && pending > 0 -> pending--; live = pending
    :: else
    fi;
    if
    :: held || broken == COUNTED ->
       if
       :: held ->
          if
          :: state[me] = SUCCEEDED
          :: state[me] = DEAD;
             dead++;
             if
             :: dead == 1 || broken == DEATHAGAIN -> deaths++; assert(deaths == 1)
             :: else
             fi
          fi
       :: else
       fi;
       if
       :: live == 0 && broken != ASKTHENTELL && completed == 0 -> tell()
       :: else
       fi
    :: else
    fi;
    lock = false
  }
  if
  :: broken == ASKTHENTELL && held && live == 0 ->
     if
     :: skip /* it dies here */
     :: atomic { completed == 0 -> tell() }
     fi
  :: else
  fi;
  if
  :: atomic { lost < REPLIES -> lost++; live = 0; dead = 0; held = false; goto report }
  :: skip
  fi;
  atomic { live = 0; dead = 0; held = false }
}

proctype Witness() {
  byte live, dead, i;
  timeout ->
  count();
  assert(live == 0);
  assert(completed == 1);
  assert(succeeded == (dead == 0));
  assert(deaths == (dead > 0))
}

init {
  c_code { now.broken = getenv("BROKEN") ? atoi(getenv("BROKEN")) : 0; };
  atomic {
    state[0] = RUNNING;
    state[1] = RUNNING;
    run Run(0, 1);
    run Run(1, 1);
    run Witness()
  }
}
