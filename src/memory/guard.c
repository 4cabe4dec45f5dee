// SPDX-License-Identifier: BSD-3-Clause
/*
 * One handler for SIGSEGV and SIGBUS serves the process. A guarded thread's fault becomes a jump to
 * the innermost of its guards that owns the address; anything else goes on to the next action, as
 * if the handler were not there.
 *
 *  (1) The handler is installed with an empty mask and SA_NODEFER, so it does not change the
 *	thread's signal mask, and the jump need not restore it.
 *  (2) A signal that somebody sent (kill, sigqueue) is never taken for a fault, guarded or not.
 *  (3) The next action is seen whole or not at all by a handler that runs while another thread
 *	changes it: it is written to a fresh slot of a ring, and published by the slot's ticket. A
 *	reader could be overtaken only by 64 changes during one copy of three words. No lock, thus
 *	nothing that fork could leave locked and nothing that a signal could deadlock on.
 *
 * The C library's own sigaction is looked up as the next definition after this object's: a
 * frontend that wraps sigaction is for the client's calls, not for ours.
 */
#include "memory/guard.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mutex.h"

enum { NR_SLOTS = 64 };

/* A struct sigaction in three words; Linux has 64 signals, which fill the first word of a
 * sigset_t. */
struct action_slot {
	uintptr_t handler; /* atomic */
	uint64_t mask;     /* atomic */
	int flags;         /* atomic */
};

struct next_action {
	struct action_slot slots[NR_SLOTS];
	unsigned int nr_taken; /* tickets given out; atomic */
	unsigned int current;  /* published ticket; its slot is current % NR_SLOTS; atomic */
};

static struct next_action next_segv, next_bus, next_sys;
static bool (*sigsys_fn)(const siginfo_t *info, void *context); /* atomic; set once */
static __thread struct memory_guard *innermost;
static struct mutex install_lock = MUTEX_INIT;
static bool installed, has_sigsys; /* atomic; set once */

typedef int (*sigaction_fn)(int sig, const struct sigaction *act, struct sigaction *old);

static int libc_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	static sigaction_fn found; /* atomic */
	sigaction_fn fn = __atomic_load_n(&found, __ATOMIC_ACQUIRE);

	if (!fn) {
		void *symbol = dlsym(RTLD_NEXT, "sigaction");

		if (symbol)
			memcpy(&fn, &symbol, sizeof(fn));
		else
			fn = sigaction; /* a static program has no next definition */
		__atomic_store_n(&found, fn, __ATOMIC_RELEASE);
	}
	return fn(sig, act, old) < 0 ? -errno : 0;
}

static struct next_action *next_of(int sig)
{
	switch (sig) {
	case SIGSEGV:
		return &next_segv;
	case SIGBUS:
		return &next_bus;
	case SIGSYS:
		return &next_sys;
	default:
		return NULL;
	}
}

static void slot_load(const struct action_slot *slot, struct sigaction *act)
{
	uintptr_t handler = __atomic_load_n(&slot->handler, __ATOMIC_RELAXED);
	uint64_t mask = __atomic_load_n(&slot->mask, __ATOMIC_RELAXED);

	memset(act, 0, sizeof(*act));
	memcpy(&act->sa_sigaction, &handler, sizeof(handler));
	memcpy(&act->sa_mask, &mask, sizeof(mask));
	act->sa_flags = __atomic_load_n(&slot->flags, __ATOMIC_RELAXED);
}

static void slot_store(struct action_slot *slot, const struct sigaction *act)
{
	uintptr_t handler;
	uint64_t mask;

	memcpy(&handler, &act->sa_sigaction, sizeof(handler));
	memcpy(&mask, &act->sa_mask, sizeof(mask));
	__atomic_store_n(&slot->handler, handler, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->mask, mask, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->flags, act->sa_flags, __ATOMIC_RELAXED);
}

static void next_load(struct next_action *next, struct sigaction *act)
{
	/* Acquire pairs with the exchange that published the slot. */
	unsigned int ticket = __atomic_load_n(&next->current, __ATOMIC_ACQUIRE);

	slot_load(&next->slots[ticket % NR_SLOTS], act);
}

static void next_store(struct next_action *next, const struct sigaction *act, struct sigaction *old)
{
	unsigned int ticket = __atomic_add_fetch(&next->nr_taken, 1, __ATOMIC_RELAXED);
	unsigned int before;

	slot_store(&next->slots[ticket % NR_SLOTS], act);
	before = __atomic_exchange_n(&next->current, ticket, __ATOMIC_ACQ_REL);
	if (old)
		slot_load(&next->slots[before % NR_SLOTS], old);
}

/* What the kernel does on SIG_DFL. A fault happens again on return; a sent signal is sent again. */
static void default_action(int sig, siginfo_t *info, bool sent)
{
	struct sigaction act = {.sa_handler = SIG_DFL};

	(void)!libc_sigaction(sig, &act, NULL);
	if (sent)
		(void)syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), sig, info);
}

/* Call the client's handler under the mask that the kernel would have given it. */
static void handler_call(const struct sigaction *act, int sig, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;
	uint64_t mask, more;
	sigset_t set;

	memcpy(&mask, &interrupted->uc_sigmask, sizeof(mask));
	memcpy(&more, &act->sa_mask, sizeof(more));
	mask |= more;
	if (!(act->sa_flags & SA_NODEFER))
		mask |= UINT64_C(1) << (sig - 1);
	sigemptyset(&set);
	memcpy(&set, &mask, sizeof(mask));
	pthread_sigmask(SIG_SETMASK, &set, NULL); /* undone by the return from our handler */
	if (act->sa_flags & SA_SIGINFO)
		act->sa_sigaction(sig, info, context);
	else
		act->sa_handler(sig);
}

static void pass_on(int sig, siginfo_t *info, void *context, bool sent)
{
	struct next_action *next = next_of(sig);
	struct sigaction act;

	next_load(next, &act);
	if (act.sa_handler == SIG_IGN && sent)
		return;
	if (act.sa_handler == SIG_DFL || act.sa_handler == SIG_IGN) {
		default_action(sig, info, sent); /* a fault cannot be ignored */
		return;
	}
	if (act.sa_flags & (int)SA_RESETHAND) {
		struct sigaction reset = act;

		reset.sa_handler = SIG_DFL;
		next_store(next, &reset, NULL);
	}
	handler_call(&act, sig, info, context);
}

/* The guard that a fault at @addr is for, or NULL. A jump of the processor to a bad address, and an
 * address that it cannot form, are nobody's: both come without the client's address. */
static struct memory_guard *guard_of(uintptr_t addr)
{
	struct memory_guard *guard = innermost;

	while (guard && !guard->owns(guard->arg, addr))
		guard = guard->prev;
	return guard;
}

static void handle_signal(int sig, siginfo_t *info, void *context)
{
	struct memory_guard *guard = NULL;
	bool sent = info->si_code <= 0;
	/* A memory error found in the background is no fault of this thread's. */
	bool background = sig == SIGBUS && info->si_code == BUS_MCEERR_AO;
	int saved = errno;

	if (sig == SIGSYS && sigsys_fn(info, context))
		goto out;
	if (sig != SIGSYS && !sent && !background)
		guard = guard_of((uintptr_t)info->si_addr);
	if (guard) {
		innermost = guard->prev;
		guard->fault_addr = (uintptr_t)info->si_addr;
		_longjmp(guard->env, 1);
	}
	/* a filter's SIGSYS is of a call that was left out: it does not come again by itself */
	pass_on(sig, info, context, sent || background || sig == SIGSYS);
out:
	errno = saved;
}

/* The next action is recorded first, so that no fault finds the handler without it. */
static int signal_take(int sig)
{
	struct sigaction act = {.sa_sigaction = handle_signal,
				.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	struct sigaction before;
	int err = libc_sigaction(sig, NULL, &before);

	if (err)
		return err;
	sigemptyset(&act.sa_mask);
	next_store(next_of(sig), &before, NULL);
	return libc_sigaction(sig, &act, NULL);
}

int memory_guard_install(void)
{
	int err = 0;

	if (__atomic_load_n(&installed, __ATOMIC_ACQUIRE))
		return 0;
	mutex_lock(&install_lock);
	if (!__atomic_load_n(&installed, __ATOMIC_RELAXED)) {
		err = signal_take(SIGSEGV);
		if (!err)
			err = signal_take(SIGBUS);
		if (!err)
			__atomic_store_n(&installed, true, __ATOMIC_RELEASE);
	}
	mutex_unlock(&install_lock);
	return err;
}

int memory_guard_take_sigsys(bool (*fn)(const siginfo_t *info, void *context))
{
	int err = 0;

	mutex_lock(&install_lock);
	if (!has_sigsys) {
		__atomic_store_n(&sigsys_fn, fn, __ATOMIC_RELEASE);
		err = signal_take(SIGSYS);
		__atomic_store_n(&has_sigsys, !err, __ATOMIC_RELEASE);
	}
	mutex_unlock(&install_lock);
	return err;
}

int memory_guard_set_next(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct next_action *next = next_of(sig);

	if (!next)
		return -EINVAL;
	if (!__atomic_load_n(sig == SIGSYS ? &has_sigsys : &installed, __ATOMIC_ACQUIRE))
		return libc_sigaction(sig, act, old);
	if (act)
		next_store(next, act, old);
	else if (old)
		next_load(next, old);
	return 0;
}

bool memory_guard_range_owns(void *range, uintptr_t addr)
{
	const struct memory_guard_range *r = range;

	return addr - r->first < r->len;
}

void memory_guard_push(struct memory_guard *guard, memory_guard_owns_fn owns, void *arg)
{
	guard->owns = owns;
	guard->arg = arg;
	guard->prev = innermost;
	guard->fault_addr = 0;
	innermost = guard;
}

void memory_guard_pop(struct memory_guard *guard)
{
	innermost = guard->prev;
}
