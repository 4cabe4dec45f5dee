/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs one check in a child with a time limit.
 *
 * 1. The child is the leader of its own process group and the runner is a subreaper, so
 *    whatever a check forked ends with it and is reaped before the next check starts.
 * 2. The result travels in a shared mapping; a child that dies on the way leaves CHECK_DIED.
 * 3. The runner itself never opens the device: what a process keeps per open device, on
 *    either side, lives and dies with the child.
 */
#include "check/check.h"

#include <linux/virtio_blk.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

static const struct {
	unsigned need;
	const char *reason;
} reasons[] = {
	{CHECK_NET, "no network device"},
	{CHECK_BLK, "no block device"},
	{CHECK_PINNED, "device does not pin memory"},
	{CHECK_VA, "device pins memory"},
	{CHECK_SET_MAP, "parent has no set_map"},
	{CHECK_DMA_MAP, "parent has no dma_map"},
	{CHECK_COMPAT, "parent has no compat_reset"},
	{CHECK_NO_COMPAT, "parent has compat_reset"},
	{CHECK_TWO_AS, "device has one address space"},
	{CHECK_TWO_GROUPS, "control queue has no group and address space of its own"},
	{CHECK_CTRL, "device has no control queue"},
	{CHECK_SUSPEND, "device does not offer SUSPEND"},
	{CHECK_RESUME, "device does not offer RESUME"},
	{CHECK_PERSIST, "device does not offer IOTLB_PERSIST"},
	{CHECK_KERNEL, "has no counterpart in userspace"},
	{CHECK_BIND, "parent has no set_group_asid"},
	{CHECK_NO_BIND, "parent has set_group_asid"},
	{CHECK_IDENTITY, "device reaches nothing while nothing is mapped"},
	{CHECK_NO_IDENTITY, "device translates 1:1 while nothing is mapped"},
	{CHECK_LOG, "device does not offer VHOST_F_LOG_ALL"},
	{CHECK_NO_LOG, "device offers VHOST_F_LOG_ALL"},
	{CHECK_FULL_RANGE, "iova range is not the full 64 bits"},
	{CHECK_FORK, "a device inside its client's process has no client in a forked child"},
	{CHECK_PACKED, "device does not offer packed rings"},
	{CHECK_READ_ONLY, "the disk is not read only"},
	{CHECK_DISCARD, "device does not offer DISCARD"},
	{CHECK_ZEROES, "device does not offer WRITE_ZEROES"},
	{CHECK_OVERWRITE,
	 "would overwrite the disk, which is read only or not given with --overwrite"},
};

static unsigned provided_blk(const struct check_device *dev)
{
	bool read_only = dev->features & CLIENT_BIT(VIRTIO_BLK_F_RO);

	return CHECK_BLK | (read_only ? CHECK_READ_ONLY : 0) |
	       (dev->overwrite && !read_only ? CHECK_OVERWRITE : 0) |
	       (dev->features & CLIENT_BIT(VIRTIO_BLK_F_DISCARD) ? CHECK_DISCARD : 0) |
	       (dev->features & CLIENT_BIT(VIRTIO_BLK_F_WRITE_ZEROES) ? CHECK_ZEROES : 0);
}

static unsigned provided(const struct check_device *dev)
{
	bool net = dev->device_id == VIRTIO_ID_NET;
	bool ctrl = net && dev->features & CLIENT_BIT(VIRTIO_NET_F_CTRL_VQ) && dev->nr_vqs > 2;
	bool log = dev->features & CLIENT_FEATURE_LOG_ALL;

	return (dev->pinned ? CHECK_PINNED : CHECK_VA) | (dev->set_map ? CHECK_SET_MAP : 0) |
	       (dev->set_map || dev->platform ? 0 : CHECK_DMA_MAP) |
	       (dev->binds ? CHECK_BIND : CHECK_NO_BIND) |
	       (dev->platform ? CHECK_NO_IDENTITY : CHECK_IDENTITY) |
	       (dev->compat_reset ? CHECK_COMPAT : CHECK_NO_COMPAT) |
	       (dev->nr_as > 1 ? CHECK_TWO_AS : 0) |
	       (ctrl && dev->nr_as > 1 && dev->ctrl_group > 0 ? CHECK_TWO_GROUPS : 0) |
	       (ctrl ? CHECK_CTRL : 0) | (log ? CHECK_LOG : CHECK_NO_LOG) |
	       (dev->backend & CLIENT_BACKEND_SUSPEND ? CHECK_SUSPEND : 0) |
	       (dev->backend & CLIENT_BACKEND_RESUME ? CHECK_RESUME : 0) |
	       (dev->backend & CLIENT_BACKEND_PERSIST ? CHECK_PERSIST : 0) |
	       (dev->holdfast ? 0 : CHECK_KERNEL) | (dev->forks ? CHECK_FORK : 0) |
	       (dev->features & CLIENT_BIT(VIRTIO_F_RING_PACKED) ? CHECK_PACKED : 0) |
	       (dev->iova_first == 0 && dev->iova_last == UINT64_MAX ? CHECK_FULL_RANGE : 0) |
	       (net ? CHECK_NET : provided_blk(dev)) | CHECK_SLOW;
}

void check_shown_by(uint64_t needs, char *text, size_t len)
{
	size_t at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < PROFILE_NR && at < len; i++)
		if (needs & CHECK_SHOWN_BY(i))
			at += (size_t)snprintf(text + at, len - at, "%s%s", at ? ", " : "",
					       profile_name((enum profile)i));
}

/* Why a check that other profiles show is none for @dev's. */
static const char *other_profile(uint64_t needs)
{
	static char text[120];
	char words[100];

	if ((needs & CHECK_PROFILES) == CHECK_RELAXED)
		return "only in default mode";
	if ((needs & CHECK_PROFILES) == CHECK_STRICT)
		return "only in strict mode";
	check_shown_by(needs, words, sizeof(words));
	snprintf(text, sizeof(text), "only with %s", words);
	return text;
}

const char *check_missing(const struct check_device *dev, uint64_t needs)
{
	uint64_t lacks = needs & ~CHECK_PROFILES & ~(uint64_t)provided(dev);
	bool other = needs & CHECK_PROFILES && !(needs & CHECK_SHOWN_BY(dev->profile));

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (lacks & reasons[i].need)
			return reasons[i].reason;
	if (other)
		return other_profile(needs);
	return lacks ? "needs something unknown" : NULL;
}

/* Leaves the child; the buffers of stdio belong to the parent. */
static _Noreturn void finish(struct check_ctx *t, enum check_outcome outcome)
{
	t->res->outcome = outcome;
	_exit(outcome == CHECK_FAILED);
}

void check_fail(struct check_ctx *t, const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char what[360];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(t->res->text, sizeof(t->res->text), "%s:%d: %s", base ? base + 1 : file, line,
		 what);
	finish(t, CHECK_FAILED);
}

void check_skip(struct check_ctx *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->res->text, sizeof(t->res->text), fmt, ap);
	va_end(ap);
	finish(t, CHECK_SKIPPED);
}

static const char *rc_name(long rc, char *buf, size_t len)
{
	const char *name = rc < 0 ? strerrorname_np((int)-rc) : NULL;

	if (name)
		snprintf(buf, len, "%s", name);
	else
		snprintf(buf, len, "%ld", rc < 0 ? -rc : rc);
	return buf;
}

void check_expect_rc(struct check_ctx *t, const char *file, int line, const char *what, long want,
		     long got)
{
	char w[32], g[32];

	if (want != got)
		check_fail(t, file, line, "%s: want %s%s, got %s%s", what, want < 0 ? "errno " : "",
			   rc_name(want, w, sizeof(w)), got < 0 ? "errno " : "",
			   rc_name(got, g, sizeof(g)));
}

void check_expect_eq(struct check_ctx *t, const char *file, int line, const char *what,
		     uint64_t want, uint64_t got)
{
	if (want != got)
		check_fail(t, file, line, "%s: want %#llx, got %#llx", what,
			   (unsigned long long)want, (unsigned long long)got);
}

static _Noreturn void child_main(const struct check_device *dev, const struct check *check,
				 struct check_result *res)
{
	struct check_ctx t = {.dev = dev, .check = check, .res = res};

	setpgid(0, 0);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	check->fn(&t);
	finish(&t, CHECK_OK);
}

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

void check_catch_signals(void)
{
	const struct sigaction act = {.sa_handler = on_signal};

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
}

bool check_interrupted(void)
{
	return interrupted;
}

/* Waits for @pid to end, no longer than until a signal if @wakeful. Returns 0, or -ETIMEDOUT with
 * the child still there. */
static int wait_deadline(int pid, int timeout_ms, bool wakeful, int *status)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
	int64_t end = clock_now_ms() + timeout_ms;
	int n = 0;

	while (n <= 0) {
		int64_t left = end - clock_now_ms();

		n = poll(&pfd, 1, left < 0 ? 0 : left < 250 ? (int)left : 250);
		if (n <= 0 && (left <= 0 || (wakeful && interrupted)))
			break;
	}
	close(pidfd);
	if (n <= 0)
		return -ETIMEDOUT;
	return waitpid(pid, status, 0) == pid ? 0 : -errno;
}

int check_run(const struct check_device *dev, const struct check *check, struct check_result *res)
{
	int limit = dev->deadline_ms * (check->needs & CHECK_SLOW ? CHECK_SLOW_TIMES : 1);
	int64_t start = clock_now_ms();
	int pid;
	int rc;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	*res = (struct check_result){.outcome = CHECK_DIED};
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child_main(dev, check, res);
	setpgid(pid, pid);
	rc = wait_deadline(pid, limit, true, &res->status);
	kill(-pid, SIGKILL);
	if (rc == -ETIMEDOUT) {
		kill(pid, SIGKILL);
		res->outcome = CHECK_TIMED_OUT;
		rc = wait_deadline(pid, CHECK_WAIT, false, &res->status) ? -EBUSY : 0;
	}
	while (rc == 0 && waitpid(-1, NULL, 0) > 0)
		;
	res->ms = (unsigned)(clock_now_ms() - start);
	return rc == 0 && interrupted ? -EINTR : rc;
}

int check_in_child(struct check_ctx *t, int (*fn)(int fd, const void *arg), int fd, const void *arg)
{
	int *rc = mmap(NULL, CHECK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int pid;
	int value;

	EXPECT(t, rc != MAP_FAILED);
	pid = fork();
	EXPECT(t, pid >= 0);
	if (pid == 0) {
		*rc = fn(fd, arg);
		_exit(0);
	}
	check_wait_child(t, pid);
	value = *rc;
	munmap(rc, CHECK_PAGE);
	return value;
}

void check_wait_child(struct check_ctx *t, int pid)
{
	int status = 0;

	EXPECT(t, waitpid(pid, &status, 0) == pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		FAIL(t, "forked child ended with wait status %#x", (unsigned)status);
}

struct child_call {
	unsigned long req;
	void *arg;
};

static int child_ioctl(int fd, const void *arg)
{
	const struct child_call *call = arg;

	return client_ioctl(fd, call->req, call->arg);
}

int check_child_ioctl(struct check_ctx *t, int fd, unsigned long req, void *arg)
{
	struct child_call call = {.req = req, .arg = arg};

	return check_in_child(t, child_ioctl, fd, &call);
}
