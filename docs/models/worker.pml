/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hand-off between a worker, the driver that kicks it, and a control thread that suspends and
 * resumes its queue: src/base/worker.c, and queue*.c and worker.c of src/parents/sim. Checked for all
 * interleavings of CHAINS chains and ROUNDS suspensions:
 *
 *   S1  between the reply to SUSPEND and RESUME no batch runs
 *   S2  a control thread that holds the lock finds no batch half done
 *   L1  nothing is forgotten: where nobody can move any more, a running queue has no chain left
 *   L2  (with -DENDLESS) a control thread gets the lock of a worker that always has more to do
 *
 * Each BROKEN_ variant takes one step of the protocol away. All of them must be caught:
 *
 *   BROKEN_NO_LOCK       SUSPEND does not take the worker's lock
 *   BROKEN_NO_OWED       the stop forgets what the worker has taken up and not finished
 *   BROKEN_NO_RECHECK    the worker does not look again after it has asked for kicks
 *   BROKEN_LATE_CLEAR    the worker clears wake_pending after its batch, not before
 *   BROKEN_KICK_ORDER    a kick looks whether the queue runs before it leaves its mark
 *   BROKEN_NO_HANDOVER   (with -DENDLESS) the worker does not wait for those who have asked
 *
 * The memory model is sequential consistency: the code uses full fences, or seq_cst, at each of
 * these places.
 */
#ifndef CHAINS
#ifdef ENDLESS
#define CHAINS 1
#else
#define CHAINS 3
#endif
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

bool mutex;                 /* the worker's lock */
byte asked, served;         /* handover; endless: modulo 8 */
bool wake_pending, wake_fd; /* worker_wake() */

bool live = true, kicked, pending, suppressed, owed;
bool no_kick;               /* in the ring: the driver need not kick */
byte avail, done;           /* chains */
bool in_batch, control_done, driver_done;
bool suspended;             /* SUSPEND has answered, RESUME was not called yet */

#ifdef ENDLESS
#define SPAN 8
#else
#define SPAN 128
#endif

#define LOCK   atomic { !mutex -> mutex = true }
#define UNLOCK mutex = false
#define WAKE   if :: atomic { !wake_pending -> wake_pending = true; wake_fd = true } :: else fi

inline kick()
{
#ifdef BROKEN_KICK_ORDER
	bool was_live = live;
	kicked = true;
	if :: was_live -> WAKE :: else fi
#else
	kicked = true;
	if :: live -> WAKE :: else fi
#endif
}

active proctype driver()
{
	do
	:: avail < CHAINS ->
		avail++;
		/* full fence, then the device's wish */
		if :: !no_kick -> kick() :: else fi
	:: else -> break
	od;
	driver_done = true
}

inline hand_over()
{
#ifndef BROKEN_NO_HANDOVER
	byte seen = asked;
	if
	:: seen != served ->
		UNLOCK;
		/* until as many were served as had asked; more may have come meanwhile */
		((served + SPAN - seen) % SPAN < SPAN / 2);
		LOCK
	:: else
	fi
#else
	UNLOCK;
	LOCK
#endif
}

inline batch()
{
	/* take_kicks() */
	if :: live && kicked -> kicked = false; pending = true :: else fi;
	more = false;
	if
	:: pending && live ->
		in_batch = true;
		pending = false;
		no_kick = true;
		suppressed = true;
		assert(!suspended);                      /* S1 */
		if
		:: avail > done -> done++; more = true
		:: else ->
			no_kick = false;
			suppressed = false;
#ifndef BROKEN_NO_RECHECK
			if :: avail > done -> more = true :: else fi
#endif
		fi;
		assert(!suspended);                      /* S1 */
		pending = more;
		in_batch = false
	:: pending && !live -> pending = false
	:: else
	fi;
#ifdef ENDLESS
	more = true
#endif
}

active proctype worker()
{
	bool more;

end_wait:
	do
	:: atomic { wake_fd -> wake_fd = false } ->
		LOCK;
#ifndef BROKEN_LATE_CLEAR
		wake_pending = false;
#endif
		hand_over();
again:		batch();
		if
		:: more -> hand_over(); goto again
		:: else
		fi;
#ifdef BROKEN_LATE_CLEAR
		wake_pending = false;
#endif
		UNLOCK
	od
}

inline control_lock()
{
	asked = (asked + 1) % SPAN;
	LOCK;
	served = (served + 1) % SPAN
}

inline stop()
{
	if
	:: live ->
		live = false;
		d_step { was_kicked = kicked; kicked = false };
		assert(!in_batch);                       /* S2 */
#ifdef BROKEN_NO_OWED
		owed = was_kicked;
#else
		owed = was_kicked || pending || suppressed;
#endif
		if :: suppressed -> no_kick = false; suppressed = false :: else fi;
		pending = false
	:: else
	fi
}

inline start()
{
	live = true;
	d_step { pending = kicked || owed; kicked = false };
	owed = false;
	WAKE
}

active proctype control()
{
	byte n = 0;
	bool was_kicked;

#ifdef ENDLESS
	WAKE;
	do
	:: true ->
want:		control_lock();
got:		UNLOCK
	od
#else
	do
	:: n < ROUNDS ->
		n++;
#ifdef BROKEN_NO_LOCK
		stop();
		suspended = true;
		suspended = false;
		start()
#else
		control_lock();
		stop();
		UNLOCK;
		suspended = true;
		/* the client looks at its memory here */
		suspended = false;
		control_lock();
		start();
		UNLOCK
#endif
	:: else -> break
	od;
	control_done = true
#endif
}

#ifndef ENDLESS
active proctype monitor()
{
	/* nobody else can move */
	timeout -> assert(driver_done && control_done && !mutex);
	assert(avail == done)                            /* L1 */
}
#else
ltl served { [] (control@want -> <> (control@got)) }    /* L2 */
#endif
