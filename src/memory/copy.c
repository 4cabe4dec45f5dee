// SPDX-License-Identifier: BSD-3-Clause
/*
 * Copies on the control path go through the kernel, which answers with an error where a plain
 * access would fault. Where a sandbox forbids the call, a guarded loop does the same.
 *
 * Bytes of the calling thread's own stack, between this frame and the stack's end, are there for
 * sure and need neither. Nearly every ioctl argument lies there, and the call is the dearest part
 * of an ioctl.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/overflow.h"
#include "base/refuse.h"
#include "memory/guard.h"
#include "memory/hooks.h"
#include "memory/internal.h"

static bool without_vm; /* atomic; set for good once the kernel has refused */

static bool use_vm(void)
{
	return !memory_hooks.without_vm && !__atomic_load_n(&without_vm, __ATOMIC_RELAXED);
}

/* Byte by byte, and unseen by the sanitizers: they would end the process where the guard is to
 * act. */
__attribute__((no_sanitize("address", "undefined"))) static void
copy_bytes(volatile char *dst, const volatile char *src, size_t len)
{
	for (size_t i = 0; i < len; i++)
		dst[i] = src[i];
}

/* @client: of @dst and @src the client's */
static int copy_guarded(void *dst, const void *src, size_t len, const void *client)
{
	struct memory_guard_range range = {(uintptr_t)client, len};
	struct memory_guard guard;
	int err = memory_guard_install();

	if (err)
		return err;
	if (range.first > MEMORY_ADDR_LAST || len - 1 > MEMORY_ADDR_LAST - range.first)
		return refuse(-EFAULT, "address 0x%" PRIxPTR " is no process's", range.first);
	if (memory_guard_enter(&guard, memory_guard_range_owns, &range) == 0) {
		copy_bytes(dst, src, len);
		memory_guard_leave(&guard);
		return 0;
	}
	return refuse(-EFAULT, "address 0x%" PRIxPTR " cannot be accessed", guard.fault_addr);
}

/* A thread's stack, [base, end); both 0 if it cannot be told. */
struct stack {
	uintptr_t base, end;
	bool asked;
};

static const struct stack *own_stack(void)
{
	static __thread struct stack stack;
	pthread_attr_t attr;
	void *base;
	size_t len;

	if (stack.asked)
		return &stack;
	stack.asked = true;
	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return &stack;
	if (pthread_attr_getstack(&attr, &base, &len) == 0) {
		stack.base = (uintptr_t)base;
		stack.end = (uintptr_t)base + len;
	}
	pthread_attr_destroy(&attr);
	return &stack;
}

/*
 * Is [@first, @last] in the part of the calling thread's stack that is in use? Never, if this frame
 * is not on that stack: a coroutine has another.
 */
static bool is_on_stack(uintptr_t first, uintptr_t last)
{
	const struct stack *stack = own_stack();
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	return frame >= stack->base && first >= frame && last < stack->end;
}

/* One of @dst and @src is the client's; @to says which. */
static int copy(void *dst, const void *src, size_t len, bool to)
{
	while (len > 0 && use_vm()) {
		struct iovec mine = {to ? (void *)(uintptr_t)src : dst, len};
		struct iovec client = {to ? dst : (void *)(uintptr_t)src, len};
		ssize_t n = to ? process_vm_writev(getpid(), &mine, 1, &client, 1, 0)
			       : process_vm_readv(getpid(), &mine, 1, &client, 1, 0);

		if (n <= 0 && (errno == EPERM || errno == ENOSYS)) {
			__atomic_store_n(&without_vm, true, __ATOMIC_RELAXED);
			break;
		}
		if (n <= 0)
			return refuse(n < 0 && errno == ENOMEM ? -ENOMEM : -EFAULT,
				      "address 0x%" PRIxPTR " cannot be accessed",
				      (uintptr_t)client.iov_base);
		dst = (char *)dst + n;
		src = (const char *)src + n;
		len -= (size_t)n;
	}
	return len > 0 ? copy_guarded(dst, src, len, to ? dst : src) : 0;
}

/* @client: whichever of @dst and @src is the client's; @to says which */
static int transfer(uaddr_t client, void *dst, const void *src, size_t len, bool to)
{
	uaddr_t last;

	if (len == 0)
		return 0;
	if (!range_last(client, len, &last))
		return refuse(-EFAULT, "0x%zx bytes at 0x%" PRIx64 " are no range", len, client);
	if (is_on_stack(client, last)) {
		memcpy(dst, src, len);
		return 0;
	}
	return copy(dst, src, len, to);
}

int memory_copy_from(struct memory_space *space, void *dst, uaddr_t src, size_t len)
{
	return transfer(src, dst, (const void *)(uintptr_t)src, len, false);
}

int memory_copy_to(struct memory_space *space, uaddr_t dst, const void *src, size_t len)
{
	return transfer(dst, (void *)(uintptr_t)dst, src, len, true);
}
