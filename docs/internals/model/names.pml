/* The name on a cluster: how launchers that share nothing but the engine get one pod
 * of a name (Starter.OneName of examples/nomad, name.go). README.md says what it proves;
 * `check` runs it.
 *
 * A step that another process can observe is one atomic statement. Between two of them
 * anything may happen: another launcher gets on, one is killed, a job ends, a lease runs
 * out. The engine does each call whole or not at all.
 */

#ifndef NL
#define NL 3            /* launchers, each with a base of its own and one launch */
#endif
#ifndef KILLS
#define KILLS 1         /* launchers that get SIGKILL, at any step */
#endif
#ifndef EXITS
#define EXITS 1         /* pods that end by themselves */
#endif
#ifndef EARLY
#define EARLY 0         /* 1: a lease may run out while its launcher is still about to register */
#endif
#ifndef STRONG
#define STRONG (!EARLY) /* 1: no two jobs run at once, believed or not */
#endif

/* WITHOUT_CAS:     a stale claim is taken over whatever its index is by now.
 * WITHOUT_JOB:     a claim is stale as soon as its lease is over, job or not.
 * WITHOUT_CONFIRM: nobody looks, once his job runs, whether he still has the claim.
 * WITHOUT_DROPCAS: who has ended removes the claim, whosever it is by now.
 */
#ifdef WITHOUT_CAS
#define CAS(i) true
#else
#define CAS(i) (index == i)
#endif

#define NONE 7
byte owner = NONE;      /* of the variable; NONE: there is none */
bit confirmed = 0;
byte index = 0;         /* of the last write of it; each write is another */
byte writes = 0;

/* The job of each launch: it is registered once at most, and a job that has ended does
 * not run again (the binding to its node sees to that). */
mtype = { unborn, runs, over };
mtype job[NL] = unborn;
bit dead[NL];           /* the launcher is */
bit pending[NL];        /* it has the claim, and may still register its job */
bit believed[NL];       /* its Launch has returned the pod */
byte kills = KILLS, exits = EXITS;

inline write(who, is) {
	writes++;
	index = writes;
	owner = who;
	confirmed = is
}

/* S1: no two launchers have a pod that runs. STRONG: no two jobs run. */
inline check() {
	n = 0; m = 0; k = 0;
	do
	:: k < NL ->
		if
		:: job[k] == runs -> m++; n = n + believed[k]
		:: else
		fi;
		k++
	:: else -> break
	od;
	assert(n <= 1);
	assert(!STRONG || m <= 1)
}

/* A lease is over only if its launcher is dead, or, with EARLY, at any time. */
#define LEASEOVER(o) (EARLY || !pending[o])

proctype Launcher(byte me) {
	byte seen, mine, o, n, m, k;
claim:
	atomic {
		if
		:: dead[me] -> goto gone
		:: owner == NONE -> write(me, 0); mine = index; pending[me] = 1; goto register
		:: else -> seen = index; o = owner
		fi
	}
	/* isStale: the job of the claim that was seen. */
	atomic {
		if
		:: dead[me] -> goto gone
#ifndef WITHOUT_JOB
		:: !dead[me] && job[o] == runs -> goto taken
		:: !dead[me] && job[o] == over
#endif
		:: !dead[me] && job[o] == unborn && LEASEOVER(o)
#ifdef WITHOUT_JOB
		:: !dead[me] && job[o] != unborn
#endif
		:: !dead[me] && index != seen -> goto claim /* it was waited for, and has changed */
		fi
	}
	atomic {
		if
		:: dead[me] -> goto gone
		:: !dead[me] && CAS(seen) -> write(me, 0); mine = index; pending[me] = 1
		:: !dead[me] && !CAS(seen) -> goto claim
		fi
	}
register:
	atomic {
		if
		:: dead[me] -> pending[me] = 0; goto gone
		:: else -> job[me] = runs; pending[me] = 0; check()
		fi
	}
	/* confirm */
	atomic {
		if
		:: dead[me] -> goto gone
#ifndef WITHOUT_CONFIRM
		:: !dead[me] && index != mine -> job[me] = over; goto taken
#endif
		:: !dead[me] && (index == mine) -> write(me, 1); mine = index
#ifdef WITHOUT_CONFIRM
		:: !dead[me] && index != mine
#endif
		fi
	}
	atomic {
		if
		:: dead[me] -> goto gone
		:: else -> believed[me] = 1; check()
		fi
	}
	/* the pod is stopped, or has ended */
	atomic {
		if
		:: dead[me] -> goto gone
		:: else -> job[me] = over
		fi
	}
	/* dropClaim */
	atomic {
		if
		:: dead[me] -> goto gone
#ifdef WITHOUT_DROPCAS
		:: !dead[me] -> owner = NONE; writes++; index = writes
#else
		:: !dead[me] && index == mine -> owner = NONE; writes++; index = writes
		:: !dead[me] && index != mine
#endif
		fi
	}
gone:
taken:
	skip
}

/* The world kills launchers and ends pods. A killed launcher registers nothing more. */
active proctype World() {
	byte i;
end:
	do
	:: atomic { kills > 0 -> kills--; select(i : 0 .. NL-1); dead[i] = 1; pending[i] = 0; i = 0 }
	:: atomic { exits > 0 -> exits--; select(i : 0 .. NL-1); if :: job[i] == runs -> job[i] = over :: else fi; i = 0 }
	:: kills == 0 && exits == 0 -> break
	od
}

init {
	byte i;
	atomic {
		do
		:: i < NL -> run Launcher(i); i++
		:: else -> break
		od
	}
}
