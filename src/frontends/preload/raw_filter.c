// SPDX-License-Identifier: BSD-3-Clause
/*
 * The filter:
 *
 *	number of the call ── not in the table ──> let it be
 *	  └ descriptor, command or length ── for no device ──> let it be
 *	      └ the instruction's address ── not in the client's ranges ──> let it be
 *	          └ catch
 *
 * 1. The number comes first: for numbers that are let be whatever the arguments are, the kernel
 *    (5.11 and later) does not run the filter at all.
 * 2. The addresses are a positive list in a process that installs the filter itself. A filter
 *    outlives execve(2), the code that it was made for does not. Whatever the next program calls
 *    from elsewhere is let be. A supervisor, which answers all programs that come, names the one
 *    range whose calls are let be: the agent's.
 * 3. Raw calls of this library and of libc are never caught, so the wrappers need no way around.
 * 4. Only one filter of a process may have a listener. Code that is loaded later, and a process
 *    that has one already, get a filter that raises SIGSYS.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "frontends/preload/raw.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* Linux 6.6: who calls and who answers take turns on one processor, so no other has to be woken. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

#define NR_INSNS_MAX 2048u
#define NR_CALLS_MAX 64u
#define MESSAGE_LEN  72u /* struct vhost_msg_v2, and its elder */
#define MESSAGE1_LEN 64u
#define VHOST_TYPE   (0xafu << 8) /* of an ioctl's command */
#define TYPE_MASK    0xff00u

#define OFFSET_NR     offsetof(struct seccomp_data, nr)
#define OFFSET_ARCH   offsetof(struct seccomp_data, arch)
#define OFFSET_ARG(i) (offsetof(struct seccomp_data, args) + 8 * (i))
#define OFFSET_IP     offsetof(struct seccomp_data, instruction_pointer)

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0
#endif

struct program {
	struct sock_filter insns[NR_INSNS_MAX];
	size_t len;
};

static void emit(struct program *p, unsigned int code, uint32_t k, size_t jt, size_t jf)
{
	if (p->len < NR_INSNS_MAX)
		p->insns[p->len++] = (struct sock_filter){
			.code = (uint16_t)code, .jt = (uint8_t)jt, .jf = (uint8_t)jf, .k = k};
}

static void load(struct program *p, size_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void ret(struct program *p, uint32_t action)
{
	emit(p, BPF_RET | BPF_K, action, 0, 0);
}

/* A jump to a place that is not known yet: land() is told. */
static size_t jump(struct program *p)
{
	emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
	return p->len - 1;
}

static void land(struct program *p, size_t from)
{
	p->insns[from].k = (uint32_t)(p->len - from - 1);
}

/* The jumps of the calls that may be for a device. */
struct exits {
	size_t at[4 * NR_CALLS_MAX];
	size_t nr;
};

static void leave(struct program *p, struct exits *exits)
{
	if (exits->nr < ARRAY_LEN(exits->at))
		exits->at[exits->nr++] = jump(p);
}

static void leave_if_equal(struct program *p, struct exits *exits, uint32_t value)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	leave(p, exits);
}

static void leave_if_in_window(struct program *p, struct exits *exits, unsigned int arg,
			       const struct raw_window *window)
{
	load(p, OFFSET_ARG(arg));
	emit(p, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)window->first, 0, 2);
	emit(p, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)window->last, 1, 0);
	leave(p, exits);
}

/* Addresses are compared in halves, so a range that crosses 4 GiB is two. */
static void act_on_range(struct program *p, uint64_t first, uint64_t last, uint32_t action)
{
	while (first <= last) {
		uint64_t end = (first | UINT32_MAX) < last ? first | UINT32_MAX : last;

		load(p, OFFSET_IP + 4);
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(first >> 32), 0, 4);
		load(p, OFFSET_IP);
		emit(p, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)first, 0, 2);
		emit(p, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)end, 1, 0);
		ret(p, action);
		if (end == last)
			break;
		first = end + 1;
	}
}

static void act_on_ranges(struct program *p, const struct raw_filter *f, uint32_t action)
{
	for (size_t i = 0; i < f->nr_ranges; i++)
		act_on_range(p, f->ranges[i].first, f->ranges[i].last, action);
}

static void look_at_call(struct program *p, struct exits *exits, const struct raw_call *call,
			 const struct raw_filter *f)
{
	const struct raw_window *window = f->window;

	switch (call->when) {
	case RAW_IOCTL:
		load(p, OFFSET_ARG(1));
		emit(p, BPF_ALU | BPF_AND | BPF_K, TYPE_MASK, 0, 0);
		leave_if_equal(p, exits, VHOST_TYPE);
		leave_if_in_window(p, exits, 0, window);
		break;
	case RAW_MESSAGE:
		load(p, OFFSET_ARG(2));
		leave_if_equal(p, exits, MESSAGE_LEN);
		leave_if_equal(p, exits, MESSAGE1_LEN);
		leave_if_in_window(p, exits, 0, window);
		break;
	case RAW_FD:
		leave_if_in_window(p, exits, call->fd_arg, window);
		break;
	case RAW_TWO:
		leave_if_in_window(p, exits, call->fd_arg, window);
		leave_if_in_window(p, exits, call->other_arg, window);
		break;
	case RAW_VALUE:
		load(p, OFFSET_ARG(call->fd_arg));
		leave_if_equal(p, exits, call->other_arg);
		break;
	case RAW_ALWAYS:
	case RAW_PATH:
	case RAW_LIST:
		leave(p, exits);
		break;
	case RAW_NEVER:
		act_on_ranges(p, f, SECCOMP_RET_ERRNO | ENOMEM);
		break;
	}
	ret(p, SECCOMP_RET_ALLOW);
}

static const struct raw_call *nth_call(const struct raw_filter *f, size_t i)
{
	return i < raw_nr_calls ? &raw_calls[i] : &f->also[i - raw_nr_calls];
}

static void assemble(struct program *p, const struct raw_filter *f)
{
	uint32_t catch = f->trap ? SECCOMP_RET_TRAP | RAW_TRAP_MARK : SECCOMP_RET_USER_NOTIF;
	size_t nr_calls = raw_nr_calls + f->nr_also, calls[NR_CALLS_MAX];
	struct exits exits = {.nr = 0};

	load(p, OFFSET_ARCH);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	ret(p, SECCOMP_RET_ALLOW);
	load(p, OFFSET_NR);
	for (size_t i = 0; i < nr_calls; i++) {
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nth_call(f, i)->nr, 0, 1);
		calls[i] = jump(p);
	}
	ret(p, SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < nr_calls; i++) {
		land(p, calls[i]);
		look_at_call(p, &exits, nth_call(f, i), f);
	}
	for (size_t i = 0; i < exits.nr; i++)
		land(p, exits.at[i]);
	act_on_ranges(p, f, f->from_outside ? SECCOMP_RET_ALLOW : catch);
	ret(p, f->from_outside ? catch : SECCOMP_RET_ALLOW);
}

/* Without the privilege to do so, a thread may install a filter only if it gives up the means to
 * get more privileges by execve(2). */
static long install(struct sock_fprog *program, unsigned long flags)
{
	long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);

	if (rc >= 0 || errno != EACCES)
		return rc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
}

int raw_filter_install(const struct raw_filter *filter)
{
	unsigned long flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_TSYNC |
			      SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
	struct program program = {.len = 0};
	struct sock_fprog prog = {.filter = program.insns};
	long rc;

	_Static_assert((RAW_NR_RANGES_MAX + NR_CALLS_MAX) * 12 < NR_INSNS_MAX, "all fits");
	if (raw_nr_calls + filter->nr_also > NR_CALLS_MAX)
		return -E2BIG;
	assemble(&program, filter);
	prog.len = (unsigned short)program.len;
	if (!filter->trap)
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	else
		flags &= ~SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
	rc = install(&prog, flags);
	if (rc >= 0 && !filter->trap) /* older kernels refuse */
		(void)syscall(SYS_ioctl, rc, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
			      SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	return rc < 0 ? -errno : rc > 0 && filter->trap ? -ESRCH : (int)rc;
}
