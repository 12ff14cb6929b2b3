/* The ownership protocol: how a name has one pod, whatever dies and whatever
 * somebody deletes. README.md says which function each step is, what the
 * assertions S1 to S6 promise and what is left out; `check` runs the model.
 *
 * A step that another process can observe is one atomic statement. Between two
 * of them anything may happen: another launcher gets on, a launcher is killed, a
 * pod ends, a file is deleted. Waiting is a guard: a launcher that waits for ever
 * is an invalid end state (S4).
 */

/* ---- What a configuration sets with -D ---------------------------------- */
#ifndef NL
#define NL 2            /* launching programs: 1 to 3; 1 with REM alone */
#endif
#ifndef REM
#define REM 0           /* calls of Remove, each by a program of its own; NL+REM is 2 or 3 */
#endif
#ifndef RECLAIM
#define RECLAIM 0       /* 1: each launch ends whom a ready pod has left behind; 2: launcher 0 alone */
#endif
#ifndef NP
#define NP 2            /* pods that may ever start: 2 or 3 */
#endif
#ifndef CALLS
#define CALLS 1         /* calls of Ensure that each program makes, one after another */
#endif
#ifndef ONEPROGRAM
#define ONEPROGRAM 0    /* 1: the launchers are goroutines of one program */
#endif
#ifndef KILLS
#define KILLS 1         /* programs that get SIGKILL, at any step */
#endif
#ifndef EXITS
#define EXITS 1         /* pods that end by themselves, at any step */
#endif
#ifndef FAILS
#define FAILS 1         /* launches that run out of time */
#endif
#ifndef KIDS
#define KIDS 0          /* children of pods; they inherit descriptor 20 */
#endif
#ifndef CLOSES
#define CLOSES 0        /* pods that close descriptor 20 */
#endif
#ifndef FORKS
#define FORKS 0         /* forks by other code in the launching programs */
#endif
#ifndef STUBBORN
#define STUBBORN 0      /* launches that give up on a pod which does not notice SIGKILL */
#endif
#ifndef ATT
#define ATT 0           /* 1: an Attach; 2: an Attach, then a Stop */
#endif
#ifndef DELL
#define DELL 0          /* deletions of .NAME.launch */
#endif
#ifndef DELP
#define DELP 0          /* deletions of .NAME.pod */
#endif
#ifndef DELR
#define DELR 0          /* deletions of .NAME.json */
#endif
#ifndef FOREIGN
#define FOREIGN 0       /* 1: Ensure must not report a stranger (S5) */
#endif
#ifndef STRONG
#define STRONG 0        /* 1: no two pods are even alive at once, believed or not */
#endif

/* ---- What -DWITHOUT_… takes out again ------------------------------------ */
/* Where it says "It holds", no search has found a counterexample. */
/* WITHOUT_B1:     a failing launch gives up the pod lock, and ends everybody who
 *                 holds the file of that name.
 * WITHOUT_B2:     the record is not read again before its process is ended.
 * WITHOUT_B3:     a stranger on the socket is final, also if the pod has ended.
 * WITHOUT_B5:     a copy of the pod lock that exec will close counts, too.
 * WITHOUT_INTENT: the record is written after the fork, and names no launcher.
 * WITHOUT_ALIVE:  nobody asks whether the launcher on record is alive.
 * WITHOUT_EXCL:   an intent replaces a record that has appeared meanwhile.
 * WITHOUT_ORDER:  a failing launch removes its record before it ends the heirs.
 * WITHOUT_MARK:   a launch that cannot end its pod does not mark the record.
 * WITHOUT_SAME:   for what a ready pod left behind, the record is not read again.
 * WITHOUT_TAKER:  … and nobody asks whether a launcher holds the lock. It holds.
 * WITHOUT_HELD:   Remove releases the locks before it deletes their files.
 * WITHOUT_RECORDFIRST: Remove deletes the files of the locks before the record.
 * WITHOUT_LAUNCHLAST:  Remove deletes .NAME.launch before .NAME.pod. It holds.
 */
#ifdef WITHOUT_INTENT
#define INTENT 0
#else
#define INTENT 1
#endif

/* ---- Who holds what -------------------------------------------------------- */
/* A set of processes is a mask: launchers, pods, children of pods, children
 * that other code of a launcher has forked. */
#define LB(i) (1<<(i))
#define PB(j) (1<<(3+(j)))
#define KB(j) (1<<(7+(j)))
#define UB(i) (1<<(11+(i)))
#define LMASK 7
#define UMASK (7<<11)
#if ONEPROGRAM
#define PROGRAM(i) LMASK     /* who has one pid with launcher i */
#else
#define PROGRAM(i) LB(i)
#endif

/* Open files of the pod lock: who has a copy, whether it is locked, which file it
 * is, and which launcher took the lock (the pid in /proc/locks). */
#define NT (NL+REM)          /* who may take a lock: the launchers, then the removers */
#define NO (NP+NT)
int  prefs[NO]; bit pex[NO]; byte pino[NO]; byte ptk[NO];
/* Open files of the launch lock, one for each launcher. */
int  lrefs[NT]; bit lex[NT]; byte lino[NT];
byte sh = 0, shino = 0;      /* a shared lock of the launch lock, of who only asks */
byte lcur = 0, pcur = 0;     /* the files that have the names now; 0: none */
byte lnext = 0, pnext = 0;

/* The record. With the intent, the launcher is there before the pod is. */
byte recl = 0;               /* its launcher+1; 0: no record */
byte recn = 0;               /* which launch of that launcher's (the launch id) */
byte rec = 0;                /* its pod+1; 0: none was started yet */
bit  recr = 0;               /* the pod was ready */
bit  reca = 0;               /* the launch is over, and could not end the pod */

byte pst[NP];                /* 0 none, 1 forked, 2 runs, 3 gone, 4 was sent SIGKILL */
byte podfile[NP];            /* the open file that it inherits as descriptor 20 */
bit  pann[NP];               /* it listens, and has said so */
byte kid[NP];                /* a child: 0 none, 1 in the group, 2 has left it */
bit  bel[NP];                /* somebody believes, or believed, in it */
bit  ret[NP];                /* a caller got it from Launch, Ensure or Attach */
byte sock = 0;               /* who bound the socket last: pod+1 */
bit  dead[NT];
byte ust[NT];                /* a child of other code: 0 none, 1 before its exec, 2 after */
byte kills = KILLS, exits = EXITS, fails = FAILS, forks = FORKS, stubborn = STUBBORN;
byte dell = DELL, delp = DELP, delr = DELR, closes = CLOSES, kids = KIDS;
byte nfork = 0;
hidden byte x, y;

#define ALIVE(j) (pst[j]==1 || pst[j]==2 || pst[j]==4)
#define PH(o,f) (prefs[o]!=0 && pex[o] && pino[o]==(f))
#define HO(o,f) (PH(o,f) -> prefs[o] : 0)
#define TAKER(o,f) (PH(o,f) && (prefs[o] & PROGRAM(ptk[o])))
#if NO==4
#define PODHELD(f) (PH(0,f)||PH(1,f)||PH(2,f)||PH(3,f))
#define HOLDERS(f) (HO(0,f)|HO(1,f)|HO(2,f)|HO(3,f))
#define TAKERLIVES(f) (TAKER(0,f)||TAKER(1,f)||TAKER(2,f)||TAKER(3,f))
#define HAVE (prefs[0]|prefs[1]|prefs[2]|prefs[3])
#elif NO==5
#define PODHELD(f) (PH(0,f)||PH(1,f)||PH(2,f)||PH(3,f)||PH(4,f))
#define HOLDERS(f) (HO(0,f)|HO(1,f)|HO(2,f)|HO(3,f)|HO(4,f))
#define TAKERLIVES(f) (TAKER(0,f)||TAKER(1,f)||TAKER(2,f)||TAKER(3,f)||TAKER(4,f))
#define HAVE (prefs[0]|prefs[1]|prefs[2]|prefs[3]|prefs[4])
#elif NO==6
#define PODHELD(f) (PH(0,f)||PH(1,f)||PH(2,f)||PH(3,f)||PH(4,f)||PH(5,f))
#define HOLDERS(f) (HO(0,f)|HO(1,f)|HO(2,f)|HO(3,f)|HO(4,f)|HO(5,f))
#define TAKERLIVES(f) (TAKER(0,f)||TAKER(1,f)||TAKER(2,f)||TAKER(3,f)||TAKER(4,f)||TAKER(5,f))
#define HAVE (prefs[0]|prefs[1]|prefs[2]|prefs[3]|prefs[4]|prefs[5])
#endif
#define LH(i,f) (lrefs[i]!=0 && lex[i] && lino[i]==(f))
#if NT==2
#define LAUNCHHELD(f) (LH(0,f)||LH(1,f))
#else
#define LAUNCHHELD(f) (LH(0,f)||LH(1,f)||LH(2,f))
#endif

/* ---- What the kernel does --------------------------------------------------- */
inline closelaunch(m) {      /* the processes in m close their copies of the launch lock */
	x = 0;
	do
	:: x < NT -> lrefs[x] = lrefs[x] & ~(m);
		if :: lrefs[x]==0 -> lex[x]=0; lino[x]=0 :: else fi;
		x++
	:: else -> break
	od;
	x = 0
}

inline closeall(m) {         /* … and of the pod lock */
	x = 0;
	do
	:: x < NO -> prefs[x] = prefs[x] & ~(m);
		if :: prefs[x]==0 -> pex[x]=0; pino[x]=0; ptk[x]=0 :: else fi;
		x++
	:: else -> break
	od;
	closelaunch(m)
}

inline copyall(p, c) {       /* c is forked from p */
	x = 0;
	do
	:: x < NO -> if :: (prefs[x] & (p)) -> prefs[x] = prefs[x] | (c) :: else fi; x++
	:: else -> break
	od;
	x = 0;
	do
	:: x < NT -> if :: (lrefs[x] & (p)) -> lrefs[x] = lrefs[x] | (c) :: else fi; x++
	:: else -> break
	od;
	x = 0
}

inline exec(j) {             /* pod j keeps descriptor 20 alone */
	closelaunch(PB(j));
	x = 0;
	do
	:: x < NO ->
		if
		:: x!=podfile[j] && (prefs[x] & PB(j)) -> prefs[x] = prefs[x] & ~PB(j);
			if :: prefs[x]==0 -> pex[x]=0; pino[x]=0; ptk[x]=0 :: else fi
		:: else
		fi;
		x++
	:: else -> break
	od;
	x = 0
}

inline podgone(j) {
	pst[j] = 3; pann[j] = 0;
	if :: sock==j+1 -> sock = 0 :: else fi;
	closeall(PB(j))
}

inline freelaunch() { lex[i]=0; lrefs[i]=0; lino[i]=0; hl=0 }      /* LOCK_UN, close */
inline freepod() { prefs[o]=0; pex[o]=0; pino[o]=0; ptk[o]=0 }     /* LOCK_UN, close */
inline droppod() {                                                 /* close alone */
	prefs[o] = prefs[o] & ~LB(i);
	if :: prefs[o]==0 -> pex[o]=0; pino[o]=0; ptk[o]=0 :: else fi
}

/* ---- What must never happen -------------------------------------------------- */
/* SIGKILL to the group of pod j. The pod notices at once or later. */
inline killgroup(j) {
	if :: kid[j]==1 -> kid[j]=0; closeall(KB(j)) :: else fi;
	if :: pst[j]==1 || pst[j]==2 -> pst[j] = 4 :: else fi
}

/* SIGKILL to the holders in m. */
inline killholders(m) {
	assert(((m) & LMASK)==0);                /* S2: no launcher */
	assert(((m) & UMASK)==0);                /* S2: no unrelated child */
	y = 0;
	do
	:: y < NP ->
		if
		:: ((m) & PB(y)) ->
			assert(!(rec==y+1 && recr));     /* S3 */
			assert(!ret[y]);                 /* S3 */
			if :: pst[y]==1 || pst[y]==2 -> pst[y] = 4 :: else fi
		:: else
		fi;
		if :: ((m) & KB(y)) -> kid[y] = 0; closeall(KB(y)) :: else fi;
		y++
	:: else -> break
	od;
	y = 0
}

/* From now on somebody believes that pod j is the name's. S1 */
inline believe(j) {
	bel[j] = 1;
	if
	:: ALIVE(j) ->
		y = 0;
		do
		:: y < NP -> assert(!(y!=j && bel[y] && ALIVE(y) && pst[y]!=4)); y++
		:: else -> break
		od;
		y = 0
	:: else
	fi
}

/* The record becomes that of launch n by l, with pod p. S6: it was not that of a pod that a caller has. */
inline setrec(l, n, p, r) {
	if
	:: rec!=0 && rec!=(p) -> assert(!(ret[rec-1] && (pst[rec-1]==1 || pst[rec-1]==2)))
	:: else
	fi;
	recl = (l); recn = (n); rec = (p); recr = (r); reca = 0
}

/* ---- What a launcher sees ----------------------------------------------------- */
#define RUN 0
#define NOTREADY 1
#define NONE 2
#define GONE 3

inline readrecord() { rl = recl; rn = recn; rp = rec; rr = recr; ra = reca }
#define SAME (recl==rl && recn==rn && rec==rp && recr==rr && reca==ra)

inline check() {             /* what the record that was read is worth: /proc/PID/stat */
	if
	:: rl==0 -> st = NONE
	:: rl!=0 && rp==0 -> st = GONE         /* an intent: no process is known */
	:: else ->
		if
		:: ALIVE(rp-1) -> st = (rr -> RUN : NOTREADY)
		:: else -> st = GONE
		fi
	fi
}

/* The record that was read is of a launch that goes on: the launcher that it names is
 * proven alive. */
#if INTENT && !defined(WITHOUT_ALIVE)
#define UNDERWAY (rl!=0 && !rr && !ra && !dead[rl-1])
#else
#define UNDERWAY false
#endif
/* For descendants of a pod that was ready, the two looks that can be left out. */
#ifdef WITHOUT_TAKER
#define UNTAKEN (rr)
#else
#define UNTAKEN false
#endif
#ifdef WITHOUT_SAME
#define UNREAD (rr)
#else
#define UNREAD false
#endif
#define MINE (recl==i+1 && recn==calls && !recr)                      /* the open record has its name still */
#define LOCKED (lino[i]==lcur || own==pcur)            /* Claim.check: either lock's file has its name still */

/* Heirs: who has the pod lock from a launch, for sure (isHeir). An open file of the
 * lock has come down to its pod and to the pod's children; a copy that exec closes,
 * in a child of other code, is none. The lock must have been taken by the launcher
 * on record, or by one that is dead: the kernel does not say which. */
#ifdef WITHOUT_B5
#define GIVEN(o) (prefs[o] & ~LMASK)
#else
#define GIVEN(o) (prefs[o] & ((15<<7) | PB(0)*(podfile[0]==(o)) | PB(1)*(podfile[1]==(o)) GIVEN2(o)))
#if NP>2
#define GIVEN2(o) | PB(2)*(podfile[2]==(o))
#else
#define GIVEN2(o)
#endif
#endif
#if INTENT
#define TOOK(o) (rl!=0 && (dead[ptk[o]] || (LB(ptk[o]) & PROGRAM(rl-1))))
#else
#define TOOK(o) true
#endif
#define HEIR(o,f) (PH(o,f) && TOOK(o) -> GIVEN(o) : 0)
#if NO==4
#define HEIRS(f) (HEIR(0,f)|HEIR(1,f)|HEIR(2,f)|HEIR(3,f))
#elif NO==5
#define HEIRS(f) (HEIR(0,f)|HEIR(1,f)|HEIR(2,f)|HEIR(3,f)|HEIR(4,f))
#elif NO==6
#define HEIRS(f) (HEIR(0,f)|HEIR(1,f)|HEIR(2,f)|HEIR(3,f)|HEIR(4,f)|HEIR(5,f))
#endif
#define OURHEIRS (GIVEN(o))
/* Who has the pod lock from any launch: a pod, or who comes of one. */
#define HG(o,f) (PH(o,f) -> GIVEN(o) : 0)
#if NO==4
#define LEFT(f) (HG(0,f)|HG(1,f)|HG(2,f)|HG(3,f))
#elif NO==5
#define LEFT(f) (HG(0,f)|HG(1,f)|HG(2,f)|HG(3,f)|HG(4,f))
#elif NO==6
#define LEFT(f) (HG(0,f)|HG(1,f)|HG(2,f)|HG(3,f)|HG(4,f)|HG(5,f))
#endif

/* What launcher i is for: it removes the name; it ends whom a ready pod has left behind. */
#define REMOVES (REM && i>=NL)
#define RECLAIMS (RECLAIM==1 || (RECLAIM==2 && i==0) || REMOVES)

/* ---- Ensure: it attaches, and launches if there is nothing ---------------------- */
/* A remover claims the name as a launch does, and so is one up to there. */
proctype Launcher(byte i) {
	byte rl = 0, rn = 0, rp = 0, st = 0, o = 0, j = 0, lf = 0, calls = CALLS, own = 0;
	bit rr = 0, ra = 0, hl = 0, ok = 0, held = 0;
	int cur = 0;
	{
	skip;
start:	calls--;
#if REM
	if :: REMOVES -> calls = 0; goto cl :: else fi;
#endif
ens:	atomic { readrecord() };
	d_step { check() };
#if REM
	if
	:: REMOVES && st!=RUN -> goto cl
	:: REMOVES && st==RUN ->
		d_step { check() };                    /* pidfd_open, then the proof */
		if
		:: st==RUN -> d_step { killgroup(rp-1) };
			if
			:: (!ALIVE(rp-1)) -> goto cl
			:: goto done                   /* it has no more time */
			fi
		:: else -> goto cl
		fi
	:: else
	fi;
#endif
	if
	:: st==RUN ->
		/* readiness.Verify: who answers on the socket? */
		if
		:: d_step { sock!=0 && sock!=rp -> skip };
#ifndef WITHOUT_B3
			d_step { check() };            /* B3: a stranger; is the pod still there? */
			if :: st==RUN -> goto notours :: else -> goto cl fi;
#endif
notours:		atomic { if :: FOREIGN -> assert(0) :: else fi };      /* S5 */
			goto done
		:: d_step { sock==0 || sock==rp -> skip }
		fi;
		d_step { check() };                    /* pidfd_open, then the proof */
		if
		:: st==RUN -> d_step { believe(rp-1); ret[rp-1] = 1 }; goto done
		:: else
		fi
	:: else
	fi;

	/* Launch: Place.Claim. First the launch lock. */
cl:	if
	:: hl -> goto tp
	:: else
	fi;
tl:	atomic { if :: lcur==0 -> lnext++; lcur = lnext :: else fi; lf = lcur };
	if
	:: d_step { LAUNCHHELD(lf) || (sh>0 && shino==lf) -> skip };
		d_step { readrecord() };
		d_step { check() };
		if :: st==RUN -> goto ens :: else fi;          /* RunningError: Ensure asks again */
		( !(LAUNCHHELD(lf) || (sh>0 && shino==lf)) || lcur!=lf ||
		  (rec!=0 && recr && ALIVE(rec-1)) );
		goto cl
	:: d_step { !(LAUNCHHELD(lf) || (sh>0 && shino==lf)) -> lrefs[i]=LB(i); lex[i]=1; lino[i]=lf };
	fi;
	if
	:: d_step { lcur!=lf -> freelaunch() }; goto tl        /* it was deleted: again */
	:: d_step { lcur==lf -> hl = 1 }
	fi;
	/* Then the pod lock. */
tp:	atomic { if :: pcur==0 -> pnext++; pcur = pnext :: else fi; lf = pcur };
	if
	:: d_step { PODHELD(lf) -> skip }; goto wait
	:: d_step { !PODHELD(lf) ->
			x = 0;
			do :: prefs[x]!=0 -> x++ :: else -> break od;
			o = x; x = 0;
			prefs[o]=LB(i); pex[o]=1; pino[o]=lf; ptk[o]=i }
	fi;
	if
	:: d_step { pcur!=lf -> freepod() }; goto tp               /* it was deleted: again */
	:: d_step { pcur==lf -> own = lf }; goto take
	fi;

wait:	skip;
	/* Somebody holds the pod lock. The record is read before and after the look. */
	d_step { readrecord() };
	d_step { check() };
	if :: st==RUN -> d_step { freelaunch() }; goto ens :: else fi;
	if
	:: d_step { TAKERLIVES(pcur) && !UNTAKEN -> skip };        /* a launcher: .launch was deleted */
		(!TAKERLIVES(pcur));
		goto tp
	:: d_step { !TAKERLIVES(pcur) || UNTAKEN -> cur = HEIRS(pcur); held = rr && (LEFT(pcur)!=0) }
	fi;
	if
	:: d_step { UNDERWAY -> assert(rl!=i+1) };                 /* both locks were deleted */
		(!SAME || dead[rl-1]);
		goto tp
	:: d_step { !(UNDERWAY) -> skip }
	fi;
#ifndef WITHOUT_B2
	if
	:: d_step { !(SAME || UNREAD) -> skip }; goto tp           /* B2 */
	:: d_step { SAME || UNREAD -> skip }
	fi;
#endif
	if
	:: st==NOTREADY -> goto endpod
	:: st!=NOTREADY && rr -> goto left                         /* descendants of a pod that was ready */
#if INTENT
	:: st==NONE ->                                             /* somebody deleted the record */
#if !DELR && !DELP && !DELL
		d_step { assert((HOLDERS(pcur) & ~(LMASK | UMASK))==0 || !SAME) };    /* S4: that takes a deletion */
#endif
		goto leave
	:: st==GONE && !rr ->
#else
	:: st!=NOTREADY && !rr ->
#endif
		/* left by a launcher that died, which is the one on record */
		if
		:: cur!=0 -> d_step { killholders(cur) }
		:: else ->
			d_step { freelaunch() };                   /* others are about to exec: wait */
			(!PODHELD(pcur) || !SAME || (HEIRS(pcur))!=0)
		fi;
		d_step { cur = 0; held = 0 };
		goto cl
	fi;
left:	skip;
	if
	:: RECLAIMS && cur!=0 ->
		d_step { killholders(cur); cur = 0; held = 0 };    /* with the launch lock in hand */
		goto cl
	:: !(RECLAIMS && cur!=0) && held ->
#if !DELR && !DELP && !DELL
		d_step { assert(!RECLAIMS) };              /* S4: that takes a deletion */
#endif
		d_step { freelaunch(); cur = 0 };
		goto done                                  /* ErrHeld, at once */
	:: !(RECLAIMS && cur!=0) && !held ->
		d_step { freelaunch() };                   /* others are about to exec: wait */
		(!PODHELD(pcur) || !SAME || (LEFT(pcur))!=0);
		goto cl
	fi;
leave:	skip;
	d_step { freelaunch(); cur = 0; held = 0 };
	if
	:: (!PODHELD(pcur) || !SAME) -> goto cl
	:: (PODHELD(pcur) && (DELR || DELP || DELL)) -> goto done          /* ErrHeld */
	fi;

take:	skip;
	/* Both locks are ours, and it may run all the same: it has closed descriptor 20. */
	d_step { readrecord() };
	d_step { check() };
	if :: st==RUN -> d_step { freepod() }; d_step { freelaunch() }; goto ens :: else fi;
	if
	:: rl!=0 && !rr ->
		/* a launch that is over, or one whose locks were both deleted */
		if
		:: d_step { UNDERWAY -> assert(rl!=i+1); freepod() };
			(!SAME || dead[rl-1]);
			goto cl
		:: d_step { !(UNDERWAY) -> skip }
		fi;
#ifndef WITHOUT_B2
		if
		:: d_step { !SAME -> freepod() }; goto cl          /* B2 */
		:: d_step { SAME -> skip }
		fi
#endif
	:: else
	fi;
	if
	:: st==NOTREADY -> d_step { freepod() }; goto endpod
	:: else
	fi;
#if REM
	if :: REMOVES -> goto remove :: else fi;
#endif
	/* The old record goes, and ours begins. */
	if
	:: rl!=0 -> d_step { setrec(0, 0, 0, 0) }
	:: else
	fi;
	d_step { rl = 0; rn = 0; rp = 0; rr = 0; ra = 0; st = 0; cur = 0; lf = 0 };
#if INTENT
	d_step { ok = LOCKED };                        /* Claim.Intend */
	if :: !ok -> goto unstarted :: else fi;
#ifdef WITHOUT_EXCL
	d_step { setrec(i+1, calls, 0, 0) };
#else
	if
	:: d_step { recl!=0 -> skip }; goto unstarted  /* O_EXCL: another's is there by now */
	:: d_step { recl==0 -> setrec(i+1, calls, 0, 0) }
	fi;
#endif
#endif
	/* fork. The child has copies of everything until its exec. */
	if
	:: nfork < NP ->
		d_step {
			j = nfork; nfork++;
#if STRONG
			y = 0;
			do :: y < NP -> assert(!(pst[y]==1 || pst[y]==2)); y++ :: else -> break od;
			y = 0;
#endif
			pst[j] = 1; podfile[j] = o; copyall(PROGRAM(i), PB(j))
		}
	:: else -> goto unstarted                      /* this model has no more pods */
	fi;
	(pst[j]!=1);                                   /* it has come to its exec, or is gone */
	/* recordStart: not of one that is gone */
	if
	:: (pst[j]==3) -> goto fail
	:: (pst[j]!=3)
	fi;
	d_step { ok = MINE };                          /* Claim.Start: fstat of the open record */
	if
	:: ok -> d_step { if :: MINE -> setrec(i+1, calls, j+1, 0) :: else fi }    /* an unlinked file gets it, else */
	:: else ->
		d_step { ok = LOCKED };
		if :: !ok -> goto fail :: else fi;
		d_step { setrec(i+1, calls, j+1, 0) }         /* written anew */
	fi;
	/* awaitReady */
	if
	:: (pst[j]==2 && pann[j]) -> skip
	:: (pst[j]==3 || pst[j]==4) -> goto fail
	:: d_step { fails>0 -> fails-- }; goto fail
	fi;
	if :: (pst[j]==3) -> goto fail :: (pst[j]!=3) fi;
	/* settle: Claim.Ready, and from here on the launch has succeeded */
	d_step { ok = MINE };
	if
	:: ok -> d_step { if :: MINE -> setrec(i+1, calls, j+1, 1); believe(j) :: else fi }
	:: else ->
		d_step { ok = LOCKED };
		if :: !ok -> goto fail :: else fi;
		d_step { setrec(i+1, calls, j+1, 1); believe(j) }
	fi;
	d_step { droppod() };                          /* Claim.Settle */
	d_step { freelaunch() };
	d_step { believe(j); ret[j] = 1 };
	goto done;

endpod:	skip;  /* Place.end: pidfd_open and the proof, then the signal */
	d_step { check() };
	if
	:: st==NOTREADY ->
		d_step {
			assert(!(rec==rp && recr && ALIVE(rp-1)));       /* S3 */
			assert(!ret[rp-1] || !ALIVE(rp-1));              /* S3 */
			killgroup(rp-1)
		};
		(!ALIVE(rp-1))
	:: else
	fi;
	goto cl;

fail:	/* Pod.kill: the group, and wait for the process */
	atomic { killgroup(j) };
	if
	:: (pst[j]==3)
	:: d_step { stubborn>0 && pst[j]==4 -> stubborn-- };
		/* it does not notice: the next launch has to see to it */
#ifndef WITHOUT_MARK
		d_step { if :: MINE -> reca = 1 :: else fi };
#endif
		d_step { droppod() };
		goto un
	fi;
#ifdef WITHOUT_ORDER
	d_step { ok = MINE };
	if :: ok -> d_step { setrec(0, 0, 0, 0) } :: else fi;
#endif
#ifdef WITHOUT_B1
	d_step { droppod() };
eh:	if
	:: (pcur!=0 && PODHELD(pcur)) ->
		d_step { cur = HOLDERS(pcur) & ~PROGRAM(i) };
		d_step { if :: cur!=0 -> killholders(cur) :: else fi; cur = 0 };
		goto eh
	:: (pcur==0 || !PODHELD(pcur))
	fi;
	goto rm;
#endif
	/* Claim.Abandon: the lock stays ours until who has it from us is gone */
heirs:	skip;
	d_step { cur = OURHEIRS };
	if
	:: cur!=0 -> d_step { killholders(cur) };
		(pst[j]==3 && (OURHEIRS)!=cur || (OURHEIRS)==0);
		goto heirs
	:: else
	fi;
	goto rm;
unstarted:
	skip;
rm:	skip;
	d_step { ok = MINE };
	if :: ok -> d_step { setrec(0, 0, 0, 0) } :: else fi;
	d_step { if :: (prefs[o] & LB(i)) -> freepod() :: else fi };   /* LOCK_UN: for all copies */
un:	atomic { freelaunch() };
	goto done;
#if REM
	/* Claim.Remove */
remove:	skip;
#ifndef WITHOUT_RECORDFIRST
	if :: rl!=0 -> d_step { setrec(0, 0, 0, 0) } :: else fi;
#endif
#ifdef WITHOUT_HELD
	d_step { freepod() };
	d_step { freelaunch() };
#endif
#ifdef WITHOUT_LAUNCHLAST
	d_step { lcur = 0 };                           /* unlink: whatever has the name */
	d_step { pcur = 0 };
#else
	d_step { pcur = 0 };                           /* unlink: whatever has the name */
	d_step { lcur = 0 };
#endif
#ifdef WITHOUT_RECORDFIRST
	if :: rl!=0 -> d_step { setrec(0, 0, 0, 0) } :: else fi;
#endif
#ifndef WITHOUT_HELD
	d_step { freepod() };
	d_step { freelaunch() };
#endif
#endif
done:	atomic { rl=0; rn=0; rp=0; rr=0; ra=0; st=0; cur=0; lf=0; o=0; j=0; own=0; ok=0; hl=0; held=0 };
	if
	:: calls>0 -> goto start
	:: else
	fi
	} unless { dead[i] -> skip }
}

/* ---- Attach, and Stop ------------------------------------------------------------ */
proctype Attacher() {
	byte rl = 0, rn = 0, rp = 0, st = 0; bit rr = 0, ra = 0, launching = 0;
at:	skip;
	/* Place.Launching: a shared lock for a moment */
	if
	:: d_step { lcur==0 -> launching = 0 }
	:: d_step { lcur!=0 && LAUNCHHELD(lcur) -> launching = 1 }
	:: d_step { lcur!=0 && !LAUNCHHELD(lcur) -> launching = 0; sh = 1; shino = lcur };
		d_step { sh = 0; shino = 0 }
	fi;
	d_step { readrecord() };
	d_step { check() };
	if
	:: st==RUN ->
		if
		:: d_step { sock!=0 && sock!=rp -> skip }; goto out      /* ErrNotOurs, or another look */
		:: d_step { sock==0 || sock==rp -> skip }
		fi;
		d_step { check() };
		if
		:: st==RUN -> d_step { believe(rp-1); ret[rp-1] = 1 };
#if ATT==2
			d_step { killgroup(rp-1) };                       /* Stop, by the pidfd */
#endif
			goto out
		:: else -> goto out
		fi
	:: st!=RUN && launching ->
		( !LAUNCHHELD(lcur) || (rec!=0 && recr) );
		goto at
	:: else -> goto out                                              /* fs.ErrNotExist */
	fi;
out:	atomic { rl=0; rn=0; rp=0; st=0; rr=0; ra=0; launching=0 }
}

/* ---- What happens by itself, at any time ------------------------------------------ */
active proctype World() {
end:
	do
#if ONEPROGRAM
	:: d_step { kills>0 && !dead[0] -> kills--; dead[0]=1; dead[1]=1;
#if NT>2
		dead[2]=1;
#endif
		closeall(LMASK) }
#else
	:: d_step { kills>0 && !dead[0] -> kills--; dead[0]=1; closeall(LB(0)) }
	:: d_step { kills>0 && !dead[1] -> kills--; dead[1]=1; closeall(LB(1)) }
#if NT>2
	:: d_step { kills>0 && !dead[2] -> kills--; dead[2]=1; closeall(LB(2)) }
#endif
#endif
#if FORKS
	:: d_step { forks>0 && !dead[0] && ust[0]!=1 -> forks--; ust[0]=1; copyall(PROGRAM(0), UB(0)) }
	:: d_step { ust[0]==1 -> ust[0]=2; closeall(UB(0)) }
	:: d_step { forks>0 && !dead[1] && ust[1]!=1 -> forks--; ust[1]=1; copyall(PROGRAM(1), UB(1)) }
	:: d_step { ust[1]==1 -> ust[1]=2; closeall(UB(1)) }
#endif
#define POD(p) \
	:: d_step { pst[p]==1 -> pst[p]=2; exec(p) } \
	:: d_step { pst[p]==2 && !pann[p] -> pann[p]=1; sock=p+1 } \
	:: d_step { closes>0 && pst[p]==2 && (HAVE & PB(p)) -> closes--; closeall(PB(p)) } \
	:: d_step { kids>0 && pst[p]==2 && kid[p]==0 -> kids--; kid[p]=1; copyall(PB(p), KB(p)) } \
	:: d_step { kids>0 && pst[p]==2 && kid[p]==0 -> kids--; kid[p]=2; copyall(PB(p), KB(p)) } \
	:: d_step { kid[p]!=0 -> kid[p]=0; closeall(KB(p)) } \
	:: d_step { exits>0 && (pst[p]==1 || pst[p]==2) -> exits--; podgone(p) } \
	:: d_step { pst[p]==4 -> podgone(p) }
	POD(0)
	POD(1)
#if NP>2
	POD(2)
#endif
#if DELL
	:: d_step { dell>0 && lcur!=0 -> dell--; lcur=0 }
#endif
#if DELP
	:: d_step { delp>0 && pcur!=0 -> delp--; pcur=0 }
#endif
#if DELR
	:: d_step { delr>0 && recl!=0 -> delr--; recl=0; recn=0; rec=0; recr=0; reca=0 }
#endif
	od
}

init {
	atomic {
		run Launcher(0);
		run Launcher(1);           /* or the remover, with NL=1 */
#if NT>2
		run Launcher(2);
#endif
#if ATT
		run Attacher();
#endif
	}
}
