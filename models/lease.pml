/* Claims, leases, rescue and endings of jobs under one concurrency limit, when replies are lost.
 *
 * Processes claim jobs, beat, end runs and die at any moment; a claim or an ending whose reply is lost
 * is repeated, or forgotten. A rescuer looks first and writes later, from what it then remembers. The
 * clock lets leases grow old and go.
 *
 * Shown for every order of events: a run ends once, and only the newest (I-3, I-8, I-10); what has
 * ended stays so (I-5, I-12); no two processes with leases perform one job (I-8); no more run than the
 * limit says (I-30, I-31); in the end no job runs that nobody performs (I-15, I-19).
 *
 * python -m tools.models lease
 */
#define NOFENCE 1 /* mutant: an ending is compared by the state of the job alone */
#define NOSTATE 2 /* mutant: an ending is compared by process and run, not by the state */
#define NOGUARD 3 /* mutant: a rescue gives back what it saw before, without another look */
#define WORKERCLOCK 4 /* mutant: a rescue judges by its own clock, which is ahead */
#define RECORDFIRST 5 /* mutant: the record of a process goes before its jobs are given back */
#define BEATREVIVES 6 /* mutant: a beat renews a lease that has gone */
#define NOGIVEBACK 7 /* mutant: a beat leaves the jobs of claims that never arrived */
#define SLOTCOUNTED 8 /* mutant: free slots are counted, a refused ending frees one as well */

#define PROCESSES 2
#define JOBS 2
#define RUNS 2
#define CLAIMS 2 /* of each process */
#define LIMIT 1
#define REPLIES 1 /* that are lost */
#define STEPS 2 /* of the clock that living processes do not notice */
#define NONE 255

byte broken;

mtype = { AVAILABLE, RUNNING, SUCCEEDED };
mtype = { FRESH, OLD, GONE, REMOVED };

mtype state[JOBS] = AVAILABLE;
byte by[JOBS] = NONE;
byte runs[JOBS]; /* its token */
byte claim[JOBS];
byte ended[JOBS]; /* the newest run that has ended */

mtype lease[PROCESSES] = FRESH;
bool alive[PROCESSES] = true;
bool rescued[PROCESSES];
byte oldest[PROCESSES] = 1; /* no claim before this one is open */
byte body[PROCESSES] = NONE; /* which job it performs */

byte lost;
byte steps;
byte slots = LIMIT; /* read by a mutant alone */

#define held(p) (lease[p] == FRESH || lease[p] == OLD)
#define dead(p) (lease[p] == GONE || (broken == WORKERCLOCK && lease[p] == OLD))
#define behind(j, p) (state[j] == RUNNING && by[j] == p && claim[j] < oldest[p] \
                      && broken != NOGIVEBACK)
#define revives(p) (lease[p] == GONE && broken == BEATREVIVES)
#define free() ((broken == SLOTCOUNTED && slots > 0) || (broken != SLOTCOUNTED && used < LIMIT))
#define fenced(j, p, r) (state[j] == RUNNING && by[j] == p && runs[j] == r)
#define accepted(j, p, r) (fenced(j, p, r) || (broken == NOFENCE && state[j] == RUNNING) \
                           || (broken == NOSTATE && by[j] == p && runs[j] == r))
#define unlooked() (broken == NOGUARD || broken == RECORDFIRST)

inline give_back(j) {
  assert(state[j] == RUNNING); /* never what has ended, and nothing twice */
  state[j] = AVAILABLE;
  slots++
}

inline take(p, number) {
  used = 0;
  mine = NONE;
  for (i : 0 .. JOBS - 1) {
    if
    :: state[i] == RUNNING ->
       used++;
       if
       :: by[i] == p && claim[i] == number -> mine = i
       :: else
       fi
    :: else
    fi
  }
  if
  :: mine != NONE || !held(p)
  :: else ->
     for (i : 0 .. JOBS - 1) {
       if
       :: mine == NONE && state[i] == AVAILABLE && runs[i] < RUNS && free() ->
          mine = i;
          state[i] = RUNNING;
          by[i] = p;
          runs[i]++;
          claim[i] = number;
          slots--;
          assert(used + 1 <= LIMIT);
          for (q : 0 .. PROCESSES - 1) {
            assert(!(q != p && body[q] == i && held(q)))
          }
       :: else
       fi
     }
  fi;
  q = 0;
  i = 0;
  used = 0;
  r = 0;
  if
  :: mine != NONE -> r = runs[mine]
  :: else
  fi
}

inline finish(p) {
  if
  :: accepted(mine, p, r) ->
     assert(state[mine] == RUNNING && runs[mine] == r && ended[mine] < r);
     ended[mine] = r;
     slots++;
     if
     :: state[mine] = SUCCEEDED
     :: state[mine] = AVAILABLE /* failed, or released */
     fi
  :: else ->
     if
     :: broken == SLOTCOUNTED && slots < LIMIT -> slots++
     :: else
     fi
  fi
}

proctype Process(byte p) {
  byte number, mine, r, used, i, q;
  for (number : 1 .. CLAIMS) {
again:
    atomic { take(p, number); body[p] = mine }
    if
    :: atomic { lost < REPLIES -> lost++; body[p] = NONE; mine = NONE; r = 0 }
       if
       :: goto again
       :: skip /* forgotten: the next beat says so */
       fi
    :: skip
    fi;
    if
    :: atomic { alive[p] = false; body[p] = NONE; number = 0; mine = 0; r = 0; goto over }
    :: skip
    fi;
    if
    :: mine != NONE ->
report:
       atomic { finish(p); body[p] = NONE }
       if
       :: atomic { lost < REPLIES -> lost++ }
          if
          :: goto report
          :: skip
          fi
       :: skip
       fi
    :: else
    fi;
    atomic { mine = NONE; r = 0; oldest[p] = number + 1 }
  }
over:
  skip
}

/* Beats for one process, whoever performs what in it. */
proctype Supervisor(byte p) {
  byte i;
end:
  do
  :: atomic {
       alive[p] && (lease[p] == OLD || behind(0, p) || behind(1, p) || revives(p)) ->
       if
       :: held(p) || revives(p) ->
          assert(!rescued[p]); /* what was given away is held by others */
          lease[p] = FRESH;
          for (i : 0 .. JOBS - 1) {
            if
            :: behind(i, p) -> give_back(i)
            :: else
            fi
          }
          i = 0
       :: else -> break
       fi
     }
  :: !alive[p] || !held(p) && broken != BEATREVIVES -> break
  od
}

proctype Clock(byte p) {
end:
  do
  :: atomic {
       held(p) && (!alive[p] || steps < STEPS) ->
       if
       :: alive[p] -> steps++
       :: else
       fi;
       if
       :: lease[p] == FRESH -> lease[p] = OLD
       :: else -> lease[p] = GONE
       fi
     }
  od
}

inline look(j) {
  state[j] == RUNNING && dead(by[j]) ->
  job = j;
  process = by[j];
  number = runs[j]
}

/* Looks first, writes later, from what it then remembers. */
proctype Rescuer() {
  byte job, process, number;
end:
  do
  :: atomic { look(0) } goto write
  :: atomic { look(1) }
write:
     if
     :: broken == RECORDFIRST ->
        lease[process] = REMOVED;
        if
        :: goto gone /* it dies here */
        :: skip
        fi
     :: else
     fi;
     atomic {
       if
       :: unlooked() || (fenced(job, process, number) && dead(process)) ->
          give_back(job);
          rescued[process] = true
       :: else
       fi;
       job = 0;
       process = 0;
       number = 0
     }
  od;
gone:
  skip
}

proctype Witness() {
  byte i;
  timeout ->
  for (i : 0 .. JOBS - 1) {
    assert(state[i] != RUNNING)
  }
}

init {
  byte i;
  c_code { now.broken = getenv("BROKEN") ? atoi(getenv("BROKEN")) : 0; };
  atomic {
    for (i : 0 .. PROCESSES - 1) {
      run Process(i);
      run Supervisor(i);
      run Clock(i)
    }
    run Rescuer();
    run Witness()
  }
}
