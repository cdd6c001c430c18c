/* Ticks of one schedule, fired by every worker, each after a look that may be old by then.
 *
 * A worker looks at the watermark, takes the next tick that is due and asks to fire it; it may be
 * paused in between while others go on, its own clock may be ahead, and the reply may be lost, after
 * which it asks again. Jobs of ticks end and are pruned while the watermark stays.
 *
 * Shown for every order of events: at most one job for a tick, whatever became of that job (I-25);
 * every tick up to the watermark was fired or is recorded as missed (I-25b); none is fired before its
 * time by the store's clock (I-22).
 *
 * python -m tools.models tick
 */
#define NOCOMPARE 1 /* mutant: a tick is fired without a look at the watermark */
#define JOBISLOCK 2 /* mutant: a tick is taken as long as its job lives, and free when that has ended */
#define SWALLOWED 3 /* mutant: after a lost reply the job is enqueued without asking */
#define UNRECORDED 4 /* mutant: ticks that are jumped over leave no record */
#define OWNCLOCK 5 /* mutant: the clock of the worker says what is due */

#define WORKERS 2
#define TICKS 4 /* numbered from 1 */
#define REPLIES 2

byte broken;

byte clock; /* the store's, in ticks */
byte watermark;
byte jobs[TICKS + 1]; /* enqueued ever, for each tick */
bool lives[TICKS + 1]; /* its job has not ended */
bool missed[TICKS + 1];
byte lost;

#define unsettled(t, seen) ((broken == NOCOMPARE) || (broken == JOBISLOCK && !lives[t]) \
                            || (broken != JOBISLOCK && watermark == seen))
#define due(t) (t <= clock || broken == OWNCLOCK)

/* Fires `tick` and records what lies before it, unless somebody has settled since. */
inline fire(seen, tick) {
  if
  :: tick <= TICKS && unsettled(tick, seen) && due(tick) ->
     assert(tick <= clock);
     if
     :: watermark < tick ->
        for (i : watermark + 1 .. tick - 1) {
          missed[i] = (broken != UNRECORDED)
        }
        i = 0;
        watermark = tick
     :: else
     fi;
     jobs[tick]++;
     lives[tick] = true;
     assert(jobs[tick] == 1)
  :: else
  fi
}

proctype Worker() {
  byte seen, tick, i;
  do
  :: atomic { watermark < TICKS && watermark < clock + (broken == OWNCLOCK) ->
       seen = watermark;
       tick = seen + 1; /* catches up one by one, or jumps to the latest */
       if
       :: clock > tick -> tick = clock
       :: skip
       fi
     }
     atomic { fire(seen, tick) }
     do
     :: atomic { lost < REPLIES -> lost++ }
        if
        :: broken == SWALLOWED -> atomic { jobs[tick]++; assert(jobs[tick] == 1) }
        :: else -> atomic { fire(seen, tick) }
        fi
     :: break
     od;
     atomic { seen = 0; tick = 0 }
  :: watermark >= TICKS -> break
  od
}

proctype Time() {
  do
  :: clock < TICKS -> clock++
  :: else -> break
  od
}

/* A job ends, and is pruned. */
proctype Ending() {
  byte i;
end:
  do
  :: atomic { lives[1] -> lives[1] = false }
  :: atomic { lives[2] -> lives[2] = false }
  :: atomic { lives[3] -> lives[3] = false }
  od
}

proctype Witness() {
  byte i;
  timeout ->
  assert(watermark == TICKS);
  for (i : 1 .. TICKS) {
    assert(jobs[i] + missed[i] == 1)
  }
}

init {
  byte i;
  c_code { now.broken = getenv("BROKEN") ? atoi(getenv("BROKEN")) : 0; };
  atomic {
    for (i : 1 .. WORKERS) {
      run Worker()
    }
    run Time();
    run Ending();
    run Witness()
  }
}
