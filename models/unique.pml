/* One unique key: who holds it while jobs are enqueued, run, fail, die, are retried and reported twice.
 *
 * Every job wants the same key. The key is held by the live row itself; in the model it is a variable
 * beside the rows, so that a mutant can set it wrongly. Writers die between two writes at any moment.
 *
 * Shown for every order of events: at most one live job of the key (I-26); it is freed by the write
 * that ends its holder, and by nothing else (I-27); an insert against it is answered with its holder
 * (I-28); when all is quiet the key is held if and only if its job lives (I-29).
 *
 * python -m tools.models unique
 */
#define LOOKFIRST 1 /* mutant: an insert looks in one transaction and writes in another */
#define FREEDATRETRY 2 /* mutant: the key is free when a failed job starts again */
#define FREEDLATER 3 /* mutant: the key is freed in a write of its own, after the end */
#define FREEDBYALL 4 /* mutant: a report that is refused frees the key as well */
#define RETRYTAKES 5 /* mutant: a dead job that a person retries does not ask who holds its key */

#define JOBS 3
#define RUNS 2
#define REPLIES 1
#define NONE 255

byte broken;

mtype = { ABSENT, AVAILABLE, RUNNING, ENDED };
mtype state[JOBS] = ABSENT;
byte runs[JOBS];
byte holder = NONE;
bool retried;
byte lost;

#define live(j) (state[j] == AVAILABLE || state[j] == RUNNING)
#define alone() ((live(0) + live(1) + live(2)) <= 1)

inline store(j) {
  state[j] = AVAILABLE;
  holder = j;
  assert(alone())
}

proctype Producer(byte me) {
  bool free;
  if
  :: broken == LOOKFIRST ->
     free = (holder == NONE);
     if
     :: atomic { free -> store(me) }
     :: else
     fi
  :: else ->
     atomic {
       if
       :: holder == NONE -> store(me)
       :: else -> assert(live(holder)) /* the answer names a job that lives */
       fi
     }
  fi
}

inline take(j) {
  state[j] == AVAILABLE && runs[j] < RUNS ->
  job = j;
  state[job] = RUNNING;
  runs[job]++;
  mine = runs[job];
  if
  :: broken == FREEDATRETRY && mine > 1 -> holder = NONE
  :: else
  fi
}

/* Runs jobs; its reports may come late, after others have begun the next run, and twice. */
proctype Worker() {
  byte job = NONE, mine;
end:
  do
  :: atomic { take(0) } goto report
  :: atomic { take(1) } goto report
  :: atomic { take(2) }
report:
     atomic {
       if
       :: state[job] == RUNNING && runs[job] == mine ->
          if
          :: mine < RUNS -> state[job] = AVAILABLE /* failed: it keeps its key */
          :: state[job] = ENDED;
             if
             :: broken != FREEDLATER -> assert(holder == job || broken); holder = NONE
             :: else
             fi
          fi
       :: else ->
          if
          :: broken == FREEDBYALL -> holder = NONE
          :: else
          fi
       fi
     }
     if
     :: broken == FREEDLATER && state[job] == ENDED ->
        if
        :: goto gone /* it dies here */
        :: holder = NONE
        fi
     :: else
     fi;
     if
     :: atomic { lost < REPLIES -> lost++; goto report }
     :: skip
     fi;
     atomic { job = NONE; mine = 0 }
  od;
gone:
  skip
}

/* A run that its worker does not end is given back. */
proctype Rescuer() {
end:
  do
  :: atomic { state[0] == RUNNING -> state[0] = AVAILABLE }
  :: atomic { state[1] == RUNNING -> state[1] = AVAILABLE }
  od
}

proctype Person() {
end:
  do
  :: atomic {
       !retried && state[0] == ENDED ->
       retried = true;
       if
       :: holder == NONE || broken == RETRYTAKES -> runs[0]--; store(0)
       :: else
       fi
     }
  od
}

proctype Witness() {
  byte i;
  timeout ->
  assert((holder != NONE) == (live(0) || live(1) || live(2)));
  if
  :: holder != NONE -> assert(live(holder))
  :: else
  fi
}

init {
  byte i;
  c_code { now.broken = getenv("BROKEN") ? atoi(getenv("BROKEN")) : 0; };
  atomic {
    for (i : 0 .. JOBS - 1) {
      run Producer(i)
    }
    run Worker();
    run Worker();
    run Rescuer();
    run Person();
    run Witness()
  }
}
