// SPDX-License-Identifier: BSD-3-Clause
/*
 * The masks of threads and handlers that are there already when SIGSYS is to stay unblocked. A
 * thread's mask is its own to change, so each thread that blocks SIGSYS is sent the signal with
 * which libc itself reaches all threads for setuid(2). No client can block it by libc. The handler
 * changes the mask that the thread returns to. Whatever else comes by that signal goes on to libc.
 */
#include "real.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

#include "frontends/preload/mask.h"
#include "memory/guard.h"

#define SIG_SETXID    33 /* libc's own */
#define NR_SIGNALS    64
#define NR_PASSES_MAX 8 /* a thread may start another one while it is looked for */
#define NAME_OF_OURS  "holdfast-"

bool mask_is_kept;

/* As the kernel has it. */
struct kernel_action {
	void (*handler)(int sig, siginfo_t *info, void *context);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static struct kernel_action setxid_next; /* const once our handler is there */
static uint32_t nr_answers;              /* atomic, a futex */
static bool sigsys_waits;                /* atomic */

/* ---- translation ---- */

static uint64_t replace(uint64_t mask, uint64_t from, uint64_t to)
{
	return (mask & ~(from | to)) | (mask & from ? to : 0);
}

uint64_t mask_to_kernel(uint64_t mask)
{
	return replace(mask, MASK_BIT(SIGSYS), MASK_BIT(SIGSTKFLT));
}

uint64_t mask_to_client(uint64_t mask)
{
	return mask & MASK_BIT(SIGSTKFLT) ? mask | MASK_BIT(SIGSYS) : mask;
}

void mask_set_to_kernel(sigset_t *set)
{
	uint64_t word;

	memcpy(&word, set, sizeof(word));
	word = mask_to_kernel(word);
	memcpy(set, &word, sizeof(word));
}

/* Unseen by the sanitizers: they would end the process where the guard is to act. */
__attribute__((no_sanitize("address", "undefined"))) static bool
copy_bytes(volatile char *to, const volatile char *from, size_t len, uintptr_t client)
{
	struct memory_guard_range range = {client, len};
	struct memory_guard guard;

	if (memory_guard_enter(&guard, memory_guard_range_owns, &range) != 0)
		return false;
	for (size_t i = 0; i < len; i++)
		to[i] = from[i];
	memory_guard_leave(&guard);
	return true;
}

bool mask_read(void *to, const void *from, size_t len)
{
	return copy_bytes(to, from, len, (uintptr_t)from);
}

bool mask_write(void *to, const void *from, size_t len)
{
	return copy_bytes(to, from, len, (uintptr_t)to);
}

const sigset_t *mask_copy(const sigset_t *set, sigset_t *copy)
{
	uint64_t word;

	if (!set || !mask_is_translated() || !mask_read(&word, set, sizeof(word)))
		return set;
	word = mask_to_kernel(word);
	memset(copy, 0, sizeof(*copy));
	memcpy(copy, &word, sizeof(word));
	return copy;
}

bool mask_hold_sigsys(uint64_t mask)
{
	if (!(mask & MASK_BIT(SIGSTKFLT)))
		return false;
	__atomic_store_n(&sigsys_waits, true, __ATOMIC_RELAXED);
	return true;
}

void mask_done(int how, const sigset_t *set, void *old)
{
	uint64_t word;

	if (!mask_is_translated())
		return;
	if (old && mask_read(&word, old, sizeof(word))) {
		word = mask_to_client(word);
		(void)mask_write(old, &word, sizeof(word));
	}
	if (set &&
	    (how == SIG_UNBLOCK ? sigismember(set, SIGSTKFLT) == 1
				: how == SIG_SETMASK && sigismember(set, SIGSTKFLT) == 0) &&
	    __atomic_exchange_n(&sigsys_waits, false, __ATOMIC_RELAXED))
		(void)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSYS);
}

/* ---- threads ---- */

static void answer(int sig, siginfo_t *info, void *context)
{
	if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &nr_answers) {
		if (setxid_next.handler)
			setxid_next.handler(sig, info, context);
		return;
	}
	if (!thread_is_ours())
		mask_set_to_kernel(&((ucontext_t *)context)->uc_sigmask);
	__atomic_add_fetch(&nr_answers, 1, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, &nr_answers, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static int take_setxid(void)
{
	struct kernel_action act;

	if (syscall(SYS_rt_sigaction, SIG_SETXID, NULL, &setxid_next, sizeof(act.mask)) < 0 ||
	    syscall(SYS_rt_sigaction, SIGSEGV, NULL, &act, sizeof(act.mask)) < 0)
		return -errno;
	act.handler = answer; /* flags and the return are libc's, as with the guard's handler */
	act.flags |= SA_RESTART;
	return syscall(SYS_rt_sigaction, SIG_SETXID, &act, NULL, sizeof(act.mask)) < 0 ? -errno : 0;
}

/* Does thread @tid, none of the library's, block SIGSYS, and can it be reached? */
static bool has_to_be_asked(pid_t tid)
{
	char path[64], line[256];
	unsigned long long blocked = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = real()->fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Name:\t" NAME_OF_OURS, strlen("Name:\t" NAME_OF_OURS)) == 0)
			break;
		if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
			break;
	}
	real()->fclose(f);
	return (blocked & MASK_BIT(SIGSYS)) && !(blocked & MASK_BIT(SIG_SETXID));
}

static bool ask(pid_t tid)
{
	siginfo_t info = {.si_code = SI_QUEUE};

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = &nr_answers;
	return syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIG_SETXID, &info) == 0;
}

/* A thread that sleeps in the kernel may take long: it changes its mask before it comes back. */
static void wait_for_answers(uint32_t nr)
{
	const struct timespec patience = {.tv_sec = 1};
	uint32_t now;

	while ((int32_t)((now = __atomic_load_n(&nr_answers, __ATOMIC_ACQUIRE)) - nr) < 0)
		if (syscall(SYS_futex, &nr_answers, FUTEX_WAIT_PRIVATE, now, &patience, NULL, 0) <
			    0 &&
		    errno == ETIMEDOUT)
			return;
}

/* Return: how many threads were asked */
static uint32_t ask_threads(void)
{
	uint32_t before = __atomic_load_n(&nr_answers, __ATOMIC_ACQUIRE), nr = 0;
	DIR *dir = real()->opendir("/proc/self/task");
	const struct dirent *entry;
	pid_t self = (pid_t)syscall(SYS_gettid);

	while (dir && (entry = real()->readdir(dir))) {
		pid_t tid = (pid_t)atoi(entry->d_name);

		if (tid > 0 && tid != self && has_to_be_asked(tid) && ask(tid))
			nr++;
	}
	if (dir)
		real()->closedir(dir);
	wait_for_answers(before + nr);
	return nr;
}

static void mend_handlers(void)
{
	struct sigaction act;

	for (int sig = 1; sig <= NR_SIGNALS; sig++) {
		if (real()->sigaction(sig, NULL, &act) < 0 || act.sa_handler == SIG_DFL ||
		    act.sa_handler == SIG_IGN || sigismember(&act.sa_mask, SIGSYS) != 1)
			continue;
		mask_set_to_kernel(&act.sa_mask);
		(void)real()->sigaction(sig, &act, NULL);
	}
}

static void mend_own_mask(void)
{
	sigset_t mask;

	real()->pthread_sigmask(SIG_SETMASK, NULL, &mask);
	if (sigismember(&mask, SIGSYS) != 1)
		return;
	mask_set_to_kernel(&mask);
	real()->pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

int mask_keep_sigsys(void)
{
	int rc = memory_guard_install(); /* for mask_read() */

	if (rc)
		return rc;
	mend_own_mask(); /* in a forked child, too */
	if (__atomic_load_n(&mask_is_kept, __ATOMIC_RELAXED))
		return 0;
	rc = take_setxid();
	if (rc)
		return rc;
	__atomic_store_n(&mask_is_kept, true, __ATOMIC_SEQ_CST);
	mend_handlers();
	for (int i = 0; i < NR_PASSES_MAX && ask_threads() > 0; i++)
		;
	return 0;
}
