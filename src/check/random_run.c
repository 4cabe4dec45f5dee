/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running a program of random steps and writing its transcript.
 *
 * 1. A step's result is its errno or 0, what it returned, and once the device is idle what the
 *    device has written to client memory and which call eventfds it has signalled. How often is not
 *    told: that depends on how many chains the device finds at once.
 * 2. A ring must not be enabled before it has an address: at address 0 a device that translates 1:1
 *    works on whatever lies there, which on a kernel is the kernel's memory. Such a step is
 *    skipped, on every device.
 * 3. What outlives a client is put back after each program: the configuration space, ring sizes, a
 *    kick that a suspended device has been keeping.
 */
#include "check/random.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CONFIG_ROOM = 256, BAD_FD = 1000, RING_MAX = 256, LOCKABLE = 64 };

const char *const random_state_names[REACH_NR] = {
	[REACH_RUNNING] = "running",
	[REACH_DMA_MAPPED] = "dma_mapped",
	[REACH_DMA_IDENTITY] = "dma_identity",
	[REACH_FRAME] = "frame_received",
	[REACH_CONTROL] = "command_answered",
	[REACH_TWO_SPACES] = "two_spaces_mapped",
	[REACH_BATCH] = "batch_committed",
	[REACH_BATCH_DMA] = "dma_in_batch",
	[REACH_SUSPENDED] = "suspended_running",
	[REACH_RESUMED_DMA] = "dma_after_resume",
	[REACH_RESET_RUNNING] = "reset_running",
	[REACH_RESET_DMA] = "dma_after_reset",
	[REACH_REOPENED] = "reopened",
	[REACH_REOPENED_DMA] = "dma_after_reopen",
	[REACH_BOUND] = "group_bound",
	[REACH_BOUND_DMA] = "dma_group_bound",
	[REACH_CONFIG] = "config_written",
	[REACH_BASE] = "ring_at_base",
	[REACH_REFUSED_MAP] = "update_refused",
};

/* One program's world. What begins anew with each open stands in @at. */
struct run {
	struct random_mem mem;
	const char *path;
	uint8_t found[CONFIG_ROOM];  /* the configuration as the device had it */
	uint8_t config[CONFIG_ROOM]; /* with which each program begins */
	uint32_t config_size;
	int pipe[2];
	int fd; /* the device, or -1 */
	int config_fd;
	struct random_ring ring[RANDOM_RINGS];
	int kick[RANDOM_RINGS];
	int call[RANDOM_RINGS];
	bool dirty; /* the configuration was written */
	unsigned opens;
	bool reached[REACH_NR];
	struct {
		bool addr[RANDOM_RINGS]; /* given since the last reset */
		bool mapped[2];
		bool running, suspended, resumed, reset, bound, based;
		int batch; /* 0 none, 1 open, 2 with an update in it */
	} at;
	FILE *to;
	bool settle; /* the step may have made the device work */
};

static struct run run;

/* ---- results ---- */

static int done(int rc)
{
	const char *name = rc < 0 ? strerrorname_np(-rc) : NULL;

	if (name)
		fprintf(run.to, " %s", name);
	else
		fprintf(run.to, " %d", rc);
	return rc < 0 ? rc : 0;
}

static int done_value(int rc, uint64_t value)
{
	int err = done(rc);

	if (!err)
		fprintf(run.to, " %#" PRIx64, value);
	return err;
}

/* A step that is not done, on any device. */
static int skipped(const char *why)
{
	fprintf(run.to, " skipped: %s", why);
	return 1;
}

static void reach(enum random_state state)
{
	run.reached[state] = true;
}

/* ---- descriptors ---- */

static void renew(int *fd, unsigned initial)
{
	if (*fd >= 0)
		close(*fd);
	*fd = eventfd(initial, EFD_NONBLOCK | EFD_CLOEXEC);
}

/* The descriptor that @kind means; for an own one *@own is made anew. */
static int choose_fd(uint64_t kind, int *own)
{
	if (kind == FD_OWN || kind == FD_HOT) {
		renew(own, kind == FD_HOT);
		return *own;
	}
	return kind == FD_NONE ? -1 : kind == FD_BAD ? BAD_FD : run.pipe[0];
}

static bool signalled(int fd)
{
	uint64_t count;

	return fd >= 0 && read(fd, &count, sizeof(count)) == sizeof(count);
}

/* ---- steps without arguments, getters ---- */

static int step_open(const uint64_t *arg)
{
	int fd = client_open(run.path);

	if (fd >= 0 && run.fd >= 0)
		close(fd); /* a second one should be refused */
	if (fd >= 0 && run.fd < 0) {
		run.fd = fd;
		memset(&run.at, 0, sizeof(run.at));
		if (++run.opens > 1)
			reach(REACH_REOPENED);
	}
	return done(fd < 0 ? fd : 0);
}

static int step_close(const uint64_t *arg)
{
	int rc = close(run.fd) ? -errno : 0;

	run.fd = -1;
	memset(&run.at, 0, sizeof(run.at));
	return done(rc);
}

static int step_owner(const uint64_t *arg)
{
	return done(client_ioctl(run.fd, VHOST_SET_OWNER, NULL));
}

static int step_mem_table(const uint64_t *arg)
{
	return done(client_ioctl(run.fd, VHOST_SET_MEM_TABLE, NULL));
}

static int step_suspend(const uint64_t *arg)
{
	int rc = client_ioctl(run.fd, VHOST_VDPA_SUSPEND, NULL);

	if (!rc && run.at.running) {
		run.at.suspended = true;
		reach(REACH_SUSPENDED);
	}
	return done(rc);
}

static int step_resume(const uint64_t *arg)
{
	int rc = client_ioctl(run.fd, VHOST_VDPA_RESUME, NULL);

	if (!rc && run.at.suspended) {
		run.at.suspended = false;
		run.at.resumed = true;
	}
	return done(rc);
}

static int step_get(const uint64_t *arg)
{
	static const unsigned long req[GET_NR] = {
		[GET_FEATURES] = VHOST_GET_FEATURES,
		[GET_BACKEND] = VHOST_GET_BACKEND_FEATURES,
		[GET_DEVICE_ID] = VHOST_VDPA_GET_DEVICE_ID,
		[GET_STATUS] = VHOST_VDPA_GET_STATUS,
		[GET_RING_MAX] = VHOST_VDPA_GET_VRING_NUM,
		[GET_IOVA_RANGE] = VHOST_VDPA_GET_IOVA_RANGE,
		[GET_CONFIG_SIZE] = VHOST_VDPA_GET_CONFIG_SIZE,
		[GET_AS_NUM] = VHOST_VDPA_GET_AS_NUM,
		[GET_GROUP_NUM] = VHOST_VDPA_GET_GROUP_NUM,
		[GET_VQS] = VHOST_VDPA_GET_VQS_COUNT,
		[GET_FORK] = VHOST_GET_FORK_FROM_OWNER,
	};
	uint64_t value[2] = {0};
	int rc = client_ioctl(run.fd, req[arg[0]], value);

	rc = done_value(rc, value[0]);
	if (!rc && arg[0] == GET_IOVA_RANGE)
		fprintf(run.to, " %#" PRIx64, value[1]);
	return rc;
}

static int step_set_fork(const uint64_t *arg)
{
	uint8_t value = (uint8_t)arg[0];

	return done(client_ioctl(run.fd, VHOST_SET_FORK_FROM_OWNER, &value));
}

/* ---- device state ---- */

static int step_set_features(const uint64_t *arg)
{
	return done(client_set_u64(run.fd, VHOST_SET_FEATURES, arg[0]));
}

static int step_set_backend(const uint64_t *arg)
{
	return done(client_set_u64(run.fd, VHOST_SET_BACKEND_FEATURES, arg[0]));
}

static void was_reset(void)
{
	if (run.at.running)
		reach(REACH_RESET_RUNNING);
	memset(run.at.addr, 0, sizeof(run.at.addr));
	run.at.running = run.at.suspended = run.at.resumed = run.at.bound = run.at.based = false;
	run.at.reset = run.at.mapped[0] || run.at.mapped[1];
}

static int step_set_status(const uint64_t *arg)
{
	int rc = client_set_status(run.fd, (uint8_t)arg[0]);

	if (!rc && !(arg[0] & 0xff))
		was_reset();
	if (!rc && arg[0] & VIRTIO_CONFIG_S_DRIVER_OK && !run.at.running &&
	    (run.at.addr[0] || run.at.addr[1])) {
		run.at.running = true;
		reach(REACH_RUNNING);
	}
	return done(rc);
}

static int step_get_config(const uint64_t *arg)
{
	uint8_t buf[1024] = {0};
	int rc = client_get_config(run.fd, (uint32_t)arg[0], buf, (uint32_t)arg[1]);

	done(rc);
	for (size_t i = 0; !rc && i < arg[1] && i < sizeof(buf); i++)
		fprintf(run.to, "%s%02x", i ? "" : " ", buf[i]);
	return rc;
}

static int step_set_config(const uint64_t *arg)
{
	uint8_t buf[1024];
	int rc;

	memset(buf, (int)arg[2], sizeof(buf));
	rc = client_set_config(run.fd, (uint32_t)arg[0], buf, (uint32_t)arg[1]);
	if (!rc)
		reach(REACH_CONFIG);
	return done(rc);
}

static int step_config_call(const uint64_t *arg)
{
	int fd = choose_fd(arg[0], &run.config_fd);

	return done(client_ioctl(run.fd, VHOST_VDPA_SET_CONFIG_CALL, &fd));
}

static int step_group_asid(const uint64_t *arg)
{
	int rc = client_vring_set(run.fd, VHOST_VDPA_SET_GROUP_ASID, (uint32_t)arg[0],
				  (uint32_t)arg[1]);

	if (!rc && arg[0] == 1)
		run.at.bound = arg[1] == 1;
	if (!rc && run.at.bound)
		reach(REACH_BOUND);
	return done(rc);
}

/* ---- rings ---- */

static int step_num(const uint64_t *arg)
{
	return done(
		client_vring_set(run.fd, VHOST_SET_VRING_NUM, (uint32_t)arg[0], (uint32_t)arg[1]));
}

static int step_base(const uint64_t *arg)
{
	int rc = client_vring_set(run.fd, VHOST_SET_VRING_BASE, (uint32_t)arg[0], (uint32_t)arg[1]);

	if (!rc && arg[1])
		run.at.based = true;
	return done(rc);
}

static int step_addr(const uint64_t *arg)
{
	struct vhost_vring_addr addr = {.index = (uint32_t)arg[0], .flags = (uint32_t)arg[2]};
	unsigned q = arg[0] < RANDOM_RINGS ? (unsigned)arg[0] : 0;
	size_t off[3];
	int rc;

	random_ring_offsets(q, arg[1] % RANDOM_SLOTS, off);
	addr.desc_user_addr = run.mem.window + off[0];
	addr.avail_user_addr = run.mem.window + off[1] + arg[3] % 4;
	addr.used_user_addr = run.mem.window + off[2] + arg[4] % 4;
	rc = client_ioctl(run.fd, VHOST_SET_VRING_ADDR, &addr);
	if (!rc && arg[0] < RANDOM_RINGS)
		run.at.addr[q] = true;
	return done(rc);
}

static int step_get_base(const uint64_t *arg)
{
	uint32_t num = 0;
	int rc = client_vring_get(run.fd, VHOST_GET_VRING_BASE, (uint32_t)arg[0], &num);

	return done_value(rc, num);
}

static int step_enable(const uint64_t *arg)
{
	if (arg[1] && arg[0] < RANDOM_RINGS && !run.at.addr[arg[0]])
		return skipped("no address");
	return done(client_vring_set(run.fd, VHOST_VDPA_SET_VRING_ENABLE, (uint32_t)arg[0],
				     (uint32_t)arg[1]));
}

static int step_vring_get(const uint64_t *arg)
{
	static const unsigned long req[VRING_NR] = {
		[VRING_GROUP] = VHOST_VDPA_GET_VRING_GROUP,
		[VRING_DESC_GROUP] = VHOST_VDPA_GET_VRING_DESC_GROUP,
		[VRING_SIZE] = VHOST_VDPA_GET_VRING_SIZE,
		[VRING_BUSYLOOP] = VHOST_GET_VRING_BUSYLOOP_TIMEOUT,
	};
	uint32_t num = 0;
	int rc = client_vring_get(run.fd, req[arg[1]], (uint32_t)arg[0], &num);

	return done_value(rc, num);
}

static int step_busyloop(const uint64_t *arg)
{
	return done(client_vring_set(run.fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, (uint32_t)arg[0],
				     (uint32_t)arg[1]));
}

static int step_file(const uint64_t *arg)
{
	static const unsigned long req[FILE_NR] = {[FILE_KICK] = VHOST_SET_VRING_KICK,
						   [FILE_CALL] = VHOST_SET_VRING_CALL,
						   [FILE_ERR] = VHOST_SET_VRING_ERR};
	unsigned q = arg[0] < RANDOM_RINGS ? (unsigned)arg[0] : 0;
	int err_fd = -1;
	int *own = arg[1] == FILE_KICK   ? &run.kick[q]
		   : arg[1] == FILE_CALL ? &run.call[q]
					 : &err_fd;
	int old = *own;
	int rc;

	*own = -1; /* the old one stays open until the device has the new one */
	rc = client_vring_file(run.fd, req[arg[1]], (uint32_t)arg[0], choose_fd(arg[2], own));
	if (err_fd >= 0)
		close(err_fd);
	if (*own < 0)
		*own = old;
	else if (old >= 0)
		close(old);
	return done(rc);
}

static int step_ioctl(const uint64_t *arg)
{
	uint32_t buf[256] = {(uint32_t)arg[2]};
	unsigned long req = _IOC(_IOC_READ | _IOC_WRITE, VHOST_VIRTIO, arg[0] & 0xff,
				 arg[1] < sizeof(buf) ? arg[1] : sizeof(buf));

	return done(client_ioctl(run.fd, req, arg[1] ? buf : NULL));
}

/* ---- messages ---- */

static long send_message(uint64_t v, uint32_t asid, const struct vhost_iotlb_msg *body, size_t len)
{
	if (v == 1) {
		struct vhost_msg msg = {.type = VHOST_IOTLB_MSG, .iotlb = *body};
		ssize_t n = write(run.fd, &msg, sizeof(msg));

		return n < 0 ? -errno : n;
	}
	return check_msg(run.fd, (uint32_t)v, asid, body, len);
}

static int done_message(long n)
{
	return done(n == sizeof(struct vhost_msg_v2) ? 0 : (int)n);
}

static int step_update(const uint64_t *arg)
{
	struct vhost_iotlb_msg body = {.type = VHOST_IOTLB_UPDATE,
				       .iova = random_mem_iova(&run.mem, arg[2]),
				       .size = arg[3],
				       .uaddr = random_mem_uaddr(&run.mem, arg[4]),
				       .perm = (uint8_t)arg[5]};
	long n = send_message(arg[0], (uint32_t)arg[1], &body, sizeof(struct vhost_msg_v2));

	if (n < 0)
		reach(REACH_REFUSED_MAP);
	else
		run.at.mapped[arg[0] == 2 && arg[1] == 1] = true;
	if (n > 0 && run.at.batch)
		run.at.batch = 2;
	if (run.at.mapped[0] && run.at.mapped[1])
		reach(REACH_TWO_SPACES);
	return done_message(n);
}

static int step_invalidate(const uint64_t *arg)
{
	struct vhost_iotlb_msg body = {.type = VHOST_IOTLB_INVALIDATE,
				       .iova = random_mem_iova(&run.mem, arg[2]),
				       .size = arg[3]};

	return done_message(
		send_message(arg[0], (uint32_t)arg[1], &body, sizeof(struct vhost_msg_v2)));
}

static int step_begin(const uint64_t *arg)
{
	struct vhost_iotlb_msg body = {.type = VHOST_IOTLB_BATCH_BEGIN};
	long n = send_message(arg[0], (uint32_t)arg[1], &body, sizeof(struct vhost_msg_v2));

	if (n > 0 && !run.at.batch)
		run.at.batch = 1;
	return done_message(n);
}

static int step_end(const uint64_t *arg)
{
	struct vhost_iotlb_msg body = {.type = VHOST_IOTLB_BATCH_END};
	long n = send_message(arg[0], (uint32_t)arg[1], &body, sizeof(struct vhost_msg_v2));

	if (n > 0 && run.at.batch == 2)
		reach(REACH_BATCH);
	if (n > 0)
		run.at.batch = 0;
	return done_message(n);
}

static int step_message(const uint64_t *arg)
{
	struct vhost_iotlb_msg body = {.type = (uint8_t)arg[1]};
	size_t len = arg[2] > 200 ? 200 : arg[2];
	long n = check_msg(run.fd, (uint32_t)arg[0], 0, &body, len);

	return done((int)n);
}

static int step_mmap(const uint64_t *arg)
{
	void *p = mmap(NULL, arg[1], (int)arg[2] & 3, MAP_SHARED, run.fd,
		       (off_t)(arg[0] * CHECK_PAGE));
	int rc = p == MAP_FAILED ? -errno : 0;

	if (!rc)
		munmap(p, arg[1]);
	return done(rc);
}

/* ---- the driver's side ---- */

static int step_ring(const uint64_t *arg)
{
	if (arg[0] >= RANDOM_RINGS || arg[1] < 1 || arg[1] > RING_MAX)
		return skipped("no such ring");
	random_ring_reset(&run.ring[arg[0]], &run.mem, (unsigned)arg[0], arg);
	return 0;
}

static int step_post(const uint64_t *arg)
{
	if (arg[0] >= RANDOM_RINGS)
		return skipped("no such ring");
	random_ring_post(&run.ring[arg[0]], &run.mem, arg);
	return 0;
}

static int step_flags(const uint64_t *arg)
{
	if (arg[0] >= RANDOM_RINGS)
		return skipped("no such ring");
	random_ring_flags(&run.ring[arg[0]], &run.mem, (unsigned)arg[0], (uint16_t)arg[1]);
	return 0;
}

static int step_kick(const uint64_t *arg)
{
	uint64_t one = 1;

	if (arg[0] >= RANDOM_RINGS || run.kick[arg[0]] < 0)
		return skipped("no kick eventfd");
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return write(run.kick[arg[0]], &one, sizeof(one)) == sizeof(one) ? 0 : done(-errno);
}

/* ---- one step ---- */

/* Which steps do without an open device, and after which the device may have worked. */
enum { ALONE = 1, WORKS = 2 };

static const struct {
	int (*fn)(const uint64_t *arg);
	unsigned traits;
} step_table[OP_NR] = {
	[OP_OPEN] = {step_open, ALONE},
	[OP_CLOSE] = {step_close, WORKS},
	[OP_OWNER] = {step_owner, 0},
	[OP_GET] = {step_get, 0},
	[OP_SET_FEATURES] = {step_set_features, 0},
	[OP_SET_BACKEND] = {step_set_backend, 0},
	[OP_SET_STATUS] = {step_set_status, WORKS},
	[OP_GET_CONFIG] = {step_get_config, 0},
	[OP_SET_CONFIG] = {step_set_config, 0},
	[OP_CONFIG_CALL] = {step_config_call, 0},
	[OP_SUSPEND] = {step_suspend, WORKS},
	[OP_RESUME] = {step_resume, WORKS},
	[OP_NUM] = {step_num, 0},
	[OP_BASE] = {step_base, 0},
	[OP_ADDR] = {step_addr, 0},
	[OP_GET_BASE] = {step_get_base, 0},
	[OP_ENABLE] = {step_enable, WORKS},
	[OP_VRING_GET] = {step_vring_get, 0},
	[OP_GROUP_ASID] = {step_group_asid, WORKS},
	[OP_FILE] = {step_file, WORKS},
	[OP_BUSYLOOP] = {step_busyloop, 0},
	[OP_MEM_TABLE] = {step_mem_table, 0},
	[OP_SET_FORK] = {step_set_fork, 0},
	[OP_IOCTL] = {step_ioctl, 0},
	[OP_UPDATE] = {step_update, WORKS},
	[OP_INVALIDATE] = {step_invalidate, WORKS},
	[OP_BEGIN] = {step_begin, 0},
	[OP_END] = {step_end, WORKS},
	[OP_MESSAGE] = {step_message, 0},
	[OP_MMAP] = {step_mmap, 0},
	[OP_RING] = {step_ring, ALONE},
	[OP_POST] = {step_post, ALONE},
	[OP_FLAGS] = {step_flags, ALONE},
	[OP_KICK] = {step_kick, ALONE | WORKS},
};

/* What a change of memory shows: @bits are those of random_mem_changes(). */
static void note_dma(unsigned bits, bool frame, bool command)
{
	if (bits & 1)
		reach(REACH_DMA_MAPPED);
	if (bits & 2)
		reach(REACH_DMA_IDENTITY);
	if (frame)
		reach(REACH_FRAME);
	if (command)
		reach(REACH_CONTROL);
	if (command && run.at.bound)
		reach(REACH_BOUND_DMA);
	if (bits && run.at.batch)
		reach(REACH_BATCH_DMA);
	if (bits && run.at.resumed)
		reach(REACH_RESUMED_DMA);
	if (bits & 1 && run.at.reset)
		reach(REACH_RESET_DMA);
	if (bits && run.opens > 1)
		reach(REACH_REOPENED_DMA);
	if (bits && run.at.based)
		reach(REACH_BASE);
}

/* Waits for the device and tells what it did. */
static void settle(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	unsigned bits;

	if (!to)
		return;
	if (random_idle_wait())
		fprintf(run.to, " busy");
	bits = random_mem_changes(&run.mem, to);
	fclose(to);
	note_dma(bits, strstr(text, ".buf0"), strstr(text, ".buf2"));
	fputs(text, run.to);
	free(text);
	for (unsigned q = 0; q < RANDOM_RINGS; q++)
		if (signalled(run.call[q]))
			fprintf(run.to, " call%u", q);
	if (signalled(run.config_fd))
		fprintf(run.to, " config_call");
}

static void run_step(const struct random_step *step, struct random_stats *stats)
{
	unsigned traits = step_table[step->op].traits;
	char line[RANDOM_LINE];
	int rc;

	random_print(step, line);
	fprintf(run.to, "%s =", line);
	if (run.fd < 0 && !(traits & ALONE))
		rc = skipped("not open");
	else
		rc = step_table[step->op].fn(step->arg);
	if (rc <= 0 && traits & WORKS)
		settle();
	fputc('\n', run.to);
	stats->steps++;
	if (rc > 0)
		stats->skipped[step->op]++;
	else if (rc < 0)
		stats->refused[step->op]++;
	else
		stats->ok[step->op]++;
	run.dirty |= step->op == OP_SET_CONFIG || step->op == OP_POST;
}

/* ---- one program ---- */

static int restore(void)
{
	int fd = client_open(run.path);
	int rc = fd < 0 ? fd : client_ioctl(fd, VHOST_SET_OWNER, NULL);

	for (unsigned q = 0; !rc && q < RANDOM_RINGS; q++)
		rc = client_vring_set(fd, VHOST_SET_VRING_NUM, q, RING_MAX);
	if (!rc && run.dirty)
		rc = client_set_config(fd, 0, run.config, run.config_size);
	/* a kick that came while it was suspended */
	if (!rc && client_set_status(fd, CLIENT_STATUS_RUNNING) == 0)
		(void)client_ioctl(fd, VHOST_VDPA_RESUME, NULL);
	if (fd >= 0)
		close(fd);
	run.dirty = false;
	return rc;
}

static void begin(FILE *to)
{
	static const uint64_t ring[4] = {0, 16, 0, 0};

	run.to = to;
	run.opens = 0;
	memset(run.reached, 0, sizeof(run.reached));
	memset(&run.at, 0, sizeof(run.at));
	random_mem_clear(&run.mem);
	for (unsigned q = 0; q < RANDOM_RINGS; q++)
		random_ring_reset(&run.ring[q], &run.mem, q, ring);
}

static void forget(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void end(void)
{
	forget(&run.fd);
	forget(&run.config_fd);
	for (unsigned q = 0; q < RANDOM_RINGS; q++) {
		forget(&run.kick[q]);
		forget(&run.call[q]);
	}
	if (restore())
		fprintf(run.to, "the device cannot be put back\n");
}

void random_run(const struct random_program *program, FILE *to, struct random_stats *stats,
		struct random_progress *progress)
{
	begin(to);
	for (unsigned i = 0; i < program->nr; i++) {
		progress->step = i;
		progress->beats++;
		run_step(&program->step[i], stats);
	}
	end();
	stats->sequences++;
	for (unsigned i = 0; i < REACH_NR; i++)
		stats->reached[i] += run.reached[i];
}

static int read_config(void)
{
	int fd = client_open(run.path);
	int rc = fd < 0 ? fd : client_ioctl(fd, VHOST_VDPA_GET_CONFIG_SIZE, &run.config_size);

	if (!rc && run.config_size > CONFIG_ROOM)
		run.config_size = CONFIG_ROOM;
	if (!rc)
		rc = client_get_config(fd, 0, run.found, run.config_size);
	memcpy(run.config, run.found, sizeof(run.config));
	memset(run.config, 0, 6); /* the address that a simulator has when it is made */
	if (fd >= 0)
		close(fd);
	if (rc)
		fprintf(stderr, "holdfast check: cannot read the configuration of %s: %s\n",
			run.path, strerror(-rc));
	return rc;
}

int random_run_init(const struct check_device *dev)
{
	struct rlimit limit;
	int rc = random_mem_init(&run.mem, dev);

	if (rc)
		return rc;
	run.path = dev->path;
	run.fd = run.config_fd = -1;
	for (unsigned q = 0; q < RANDOM_RINGS; q++)
		run.kick[q] = run.call[q] = -1;
	if (pipe(run.pipe) || getrlimit(RLIMIT_MEMLOCK, &limit))
		return -errno;
	limit.rlim_cur = LOCKABLE * CHECK_PAGE;
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		return -errno;
	random_idle_init(dev);
	run.dirty = true;
	rc = read_config();
	return rc ? rc : restore();
}

void random_run_fini(void)
{
	memcpy(run.config, run.found, sizeof(run.config));
	run.dirty = true;
	(void)restore();
}
