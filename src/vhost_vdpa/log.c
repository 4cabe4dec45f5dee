// SPDX-License-Identifier: BSD-3-Clause
/*
 * The dirty log (D2): one bit a page of 4096 bytes of I/O virtual addresses, bit p % 8 of byte p /
 * 8, in the client's memory. The client copies pages while the device runs. It takes the bits, and
 * copies again the pages that they name.
 *
 * 1. The device sets a bit after it wrote the page (release; pairs with the client's exchange of a
 *    word of the log). So whoever takes the bit copies a page that has the write. The device sets
 *    the bit even if it is set already: looking first would need a full fence between the write
 *    and the look, which costs as much.
 * 2. Nobody tells the log's length. A write touches the byte that its bit is in and no other byte.
 * 3. The log belongs to the client, who takes it away without saying so. The device does not touch
 *    a log any more when one of these calls has returned: SET_FEATURES without LOG_ALL,
 *    SET_LOG_BASE of another log, SET_STATUS(0), close. Each of them gives the parent another log,
 *    or none, and the parent's contract is that the old log is then out of use.
 * 4. If the log's memory cannot be written, the log is given up with a message, and the client
 *    lives on. The migration under way is lost.
 * 5. A log is forgotten with LOG_ALL. Without a new SET_LOG_BASE nobody knows where the bits
 *    should go. So LOG_ALL without a log is refused while the device runs.
 */
#include <errno.h>
#include <string.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/refuse.h"
#include "memory/guard.h"
#include "vhost_vdpa/session.h"

#define LOG_PAGE 4096ULL

/*
 * These two functions may fault, and leave by a jump. ThreadSanitizer's own versions of atomics
 * hold locks, and a jump out of them would leave the locks taken. So these functions are not
 * instrumented.
 */
#if defined(__has_attribute) && __has_attribute(disable_sanitizer_instrumentation)
#define MAY_JUMP                                                                                   \
	__attribute__((noinline, disable_sanitizer_instrumentation, no_sanitize("address")))
#else
#define MAY_JUMP __attribute__((noinline, no_sanitize("address")))
#endif

/* All but @lost is const. */
struct dirty_log {
	char name[VDPA_NAME_MAX + 1];
	uintptr_t base; /* in our address space; byte 0 */
	const struct notifier
		*notifier; /* [borrowed] signalled when a clean page becomes dirty, or NULL */
	bool lost;         /* atomic: it could not be written */
};

/* ---- marking: workers ---- */

/* Set the bits of these pages. Return: was one clear? */
static MAY_JUMP bool set_bits(uintptr_t base, uint64_t page, uint64_t last)
{
	bool fresh = false;

	while (page <= last) {
		uint8_t *byte = (uint8_t *)(base + page / 8), bits = 0;

		do
			bits |= (uint8_t)(1u << (page % 8));
		while (page++ < last && page % 8);
		fresh |= (~__atomic_fetch_or(byte, bits, __ATOMIC_RELEASE) & bits) != 0;
	}
	return fresh;
}

/* Return: 1 one was clear; 0; -EFAULT */
static __attribute__((noinline)) int set_bits_guarded(uintptr_t base, uint64_t page, uint64_t last)
{
	struct memory_guard_range range = {base + page / 8, last / 8 - page / 8 + 1};
	struct memory_guard guard;
	int fresh;

	if (memory_guard_enter(&guard, memory_guard_range_owns, &range))
		return -EFAULT;
	fresh = set_bits(base, page, last);
	memory_guard_leave(&guard);
	return fresh;
}

static HF_COLD void lose(struct dirty_log *log, uint64_t page)
{
	if (__atomic_exchange_n(&log->lost, true, __ATOMIC_RELAXED))
		return;
	hf_err(log->name,
	       "the dirty log at 0x%llx cannot be written for iova 0x%llx: no more is logged, a "
	       "migration of "
	       "this client loses data",
	       (unsigned long long)log->base, (unsigned long long)(page * LOG_PAGE));
}

static void log_mark(void *arg, uint64_t first, uint64_t len)
{
	struct dirty_log *log = arg;
	uint64_t page = first / LOG_PAGE, last = (first + (len - 1)) / LOG_PAGE;
	int fresh = -EFAULT;

	if (__atomic_load_n(&log->lost, __ATOMIC_RELAXED))
		return;
	if (last / 8 <= MEMORY_ADDR_LAST - log->base)
		fresh = set_bits_guarded(log->base, page, last);
	if (fresh < 0)
		lose(log, page);
	else if (fresh && log->notifier)
		notifier_signal(log->notifier);
}

/* ---- which log: control threads ---- */

bool log_is_offered(const struct vhost_vdpa *s)
{
	return vdpa_deviates(s->dev, VDPA_D2_DIRTY_LOG) && s->dev->ops->set_dirty_log;
}

/* Make @log the log, which may be NULL, and tell the parent if LOG_ALL is acked. */
static void log_replace(struct vhost_vdpa *s, struct dirty_log *log) REQUIRES(s->dev->lock)
{
	struct dirty_log *told = s->log_all ? log : NULL;
	struct vdpa_dirty_log to_parent = {told ? log_mark : NULL, told};

	if (told != s->log_told)
		VDPA_CALL(s->dev, set_dirty_log, &to_parent);
	s->log_told = told;
	if (s->log != log)
		free(s->log);
	s->log = log;
}

static int log_create(struct vhost_vdpa *s, uintptr_t base, const struct notifier *notifier,
		      struct dirty_log **out) REQUIRES(s->dev->lock)
{
	struct dirty_log *log = calloc(1, sizeof(*log));

	if (!log)
		return refuse(-ENOMEM, "no memory for a dirty log");
	(void)snprintf(log->name, sizeof(log->name), "%s", s->dev->name);
	log->base = base;
	log->notifier = notifier;
	*out = log;
	return 0;
}

/* Not an or with 0: compilers make a load of it. */
static MAY_JUMP void write_what_is_there(uint8_t *byte)
{
	uint8_t old = __atomic_load_n(byte, __ATOMIC_RELAXED);

	(void)__atomic_compare_exchange_n(byte, &old, old, false, __ATOMIC_RELAXED,
					  __ATOMIC_RELAXED);
}

/* Byte 0 is part of any log: can it be written? Nothing changes there. */
static __attribute__((noinline)) bool can_write(uintptr_t addr)
{
	struct memory_guard_range range = {addr, 1};
	struct memory_guard guard;

	if (addr > MEMORY_ADDR_LAST || memory_guard_enter(&guard, memory_guard_range_owns, &range))
		return false;
	write_what_is_there((uint8_t *)addr);
	memory_guard_leave(&guard);
	return true;
}

static int log_set_base(struct vhost_vdpa *s, const struct ioctl_call *c, uint64_t addr)
	REQUIRES(s->dev->lock)
{
	struct memory_region *all = memory_space_identity(c->client->space);
	uintptr_t base = (uintptr_t)all->host + addr;
	struct dirty_log *log = NULL;
	int ret = memory_guard_install();

	if (ret)
		return refuse(ret, "no guard for the dirty log: %s", strerror(-ret));
	if (addr && !can_write(base))
		return refuse(-EFAULT, "the dirty log at 0x%llx cannot be written",
			      (unsigned long long)addr);
	if (addr)
		ret = log_create(s, base, s->log_call, &log);
	if (!ret)
		log_replace(s, log);
	return ret;
}

/* Without a log the command does not exist, whoever asks ([1-5]). */
static int log_command_check(const struct vhost_vdpa *s, const struct ioctl_call *c)
{
	if (!log_is_offered(s))
		return refuse(-ENOTTY, "device %s does not log dirty memory", s->dev->name);
	return session_owner_check(s, c->client);
}

int do_set_log_base(struct vhost_vdpa *s, struct ioctl_call *c)
{
	int ret = log_command_check(s, c);
	uint64_t addr;

	if (ret)
		return ret;
	if (memory_copy_from(c->client->space, &addr, c->arg, sizeof(addr)))
		return refuse(-EFAULT, "cannot read the log's address at 0x%llx",
			      (unsigned long long)c->arg);
	return log_set_base(s, c, addr);
}

/* The notifier is part of the log that workers use, so a new one makes a new log. */
static int log_set_notifier(struct vhost_vdpa *s, struct notifier *n) REQUIRES(s->dev->lock)
{
	struct dirty_log *log = NULL;
	int ret = s->log ? log_create(s, s->log->base, n, &log) : 0;

	if (ret)
		return ret;
	if (log)
		log->lost = __atomic_load_n(&s->log->lost, __ATOMIC_RELAXED);
	log_replace(s, log);
	return 0;
}

int do_set_log_fd(struct vhost_vdpa *s, struct ioctl_call *c)
{
	int ret = log_command_check(s, c), fd;
	struct notifier *n, *old = s->log_call;

	if (ret)
		return ret;
	if (memory_copy_from(c->client->space, &fd, c->arg, sizeof(fd)))
		return refuse(-EFAULT, "cannot read a file descriptor at 0x%llx",
			      (unsigned long long)c->arg);
	ret = notifier_from_client(c->client, fd, old, &n);
	if (ret || n == old)
		return ret;
	ret = log_set_notifier(s, n);
	if (ret) {
		notifier_destroy(n);
		return ret;
	}
	s->log_call = n;
	notifier_destroy(old);
	return 0;
}

/* ---- LOG_ALL ---- */

void log_set_all(struct vhost_vdpa *s, bool on)
{
	bool was = s->log_all;

	s->log_all = on;
	log_replace(s, was && !on ? NULL : s->log);
}

int log_toggle(struct vhost_vdpa *s, uint64_t features)
{
	bool on = features & FEATURE_LOG_ALL, running;
	uint8_t status = VDPA_CALL(s->dev, get_status);

	features &= ~FEATURE_LOG_ALL;
	if ((features != s->features_asked && features != s->features) || (!on && !s->log_all))
		return refuse(-EBUSY,
			      "SET_FEATURES when the status is 0x%02x, which has FEATURES_OK: only "
			      "LOG_ALL (bit 26) may change, 0x%llx is 0x%llx",
			      status, (unsigned long long)s->features_asked,
			      (unsigned long long)features);
	running = status & VIRTIO_CONFIG_S_DRIVER_OK;
	if (on && running && !s->log)
		return refuse(-EINVAL, "LOG_ALL (bit 26) without a log: SET_LOG_BASE comes first");
	log_set_all(s, on);
	return 0;
}

void log_vring_changed(struct vhost_vdpa *s, uint32_t idx)
{
	const struct vhost_vring *vr = &s->vrings[idx];

	if (log_is_offered(s))
		VDPA_CALL(s->dev, set_vq_log_addr, (uint16_t)idx, vr->log_used, vr->log);
}

void log_reset(struct vhost_vdpa *s)
{
	s->log_all = false;
	log_replace(s, NULL);
	for (uint32_t i = 0; i < s->dev->nvqs; i++)
		s->vrings[i].log_used = false;
}

void log_check_start(const struct vhost_vdpa *s)
{
	if (s->log_all && !s->log)
		hf_warn(s->dev->name,
			"the client acked VHOST_F_LOG_ALL and gave no log: nothing is logged");
}

void log_end(struct vhost_vdpa *s)
{
	notifier_destroy(s->log_call);
	s->log_call = NULL;
}
