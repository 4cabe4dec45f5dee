/* SPDX-License-Identifier: BSD-3-Clause */
/* The steps of a random program that are a system call of their own: open, close, ioctls. */
#include "check/random_world.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- steps without arguments, getters ---- */

static int step_open(const uint64_t *arg)
{
	int fd = client_open(random_world.path);

	if (fd >= 0 && random_world.fd >= 0)
		close(fd); /* a second one should be refused */
	if (fd >= 0 && random_world.fd < 0) {
		random_world.fd = fd;
		memset(&random_world.at, 0, sizeof(random_world.at));
		if (++random_world.opens > 1)
			random_reach(REACH_REOPENED);
	}
	return random_done(fd < 0 ? fd : 0);
}

static int step_close(const uint64_t *arg)
{
	int rc = close(random_world.fd) ? -errno : 0;

	random_world.fd = -1;
	memset(&random_world.at, 0, sizeof(random_world.at));
	return random_done(rc);
}

static int step_owner(const uint64_t *arg)
{
	return random_done(client_ioctl(random_world.fd, VHOST_SET_OWNER, NULL));
}

static int step_mem_table(const uint64_t *arg)
{
	return random_done(client_ioctl(random_world.fd, VHOST_SET_MEM_TABLE, NULL));
}

static int step_suspend(const uint64_t *arg)
{
	int rc = client_ioctl(random_world.fd, VHOST_VDPA_SUSPEND, NULL);

	if (!rc && random_world.at.running) {
		random_world.at.suspended = true;
		random_reach(REACH_SUSPENDED);
	}
	return random_done(rc);
}

static int step_resume(const uint64_t *arg)
{
	int rc = client_ioctl(random_world.fd, VHOST_VDPA_RESUME, NULL);

	if (!rc && random_world.at.suspended) {
		random_world.at.suspended = false;
		random_world.at.resumed = true;
	}
	return random_done(rc);
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
	int rc = client_ioctl(random_world.fd, req[arg[0]], value);

	rc = random_done_value(rc, value[0]);
	if (!rc && arg[0] == GET_IOVA_RANGE)
		fprintf(random_world.to, " %#" PRIx64, value[1]);
	return rc;
}

static int step_set_fork(const uint64_t *arg)
{
	uint8_t value = (uint8_t)arg[0];

	return random_done(client_ioctl(random_world.fd, VHOST_SET_FORK_FROM_OWNER, &value));
}

/* ---- device state ---- */

static int step_set_features(const uint64_t *arg)
{
	return random_done(client_set_u64(random_world.fd, VHOST_SET_FEATURES, arg[0]));
}

static int step_set_backend(const uint64_t *arg)
{
	return random_done(client_set_u64(random_world.fd, VHOST_SET_BACKEND_FEATURES, arg[0]));
}

static void was_reset(void)
{
	if (random_world.at.running)
		random_reach(REACH_RESET_RUNNING);
	memset(random_world.at.addr, 0, sizeof(random_world.at.addr));
	random_world.at.running = random_world.at.suspended = random_world.at.resumed =
		random_world.at.bound = random_world.at.based = false;
	random_world.at.reset = random_world.at.mapped[0] || random_world.at.mapped[1];
}

static int step_set_status(const uint64_t *arg)
{
	int rc = client_set_status(random_world.fd, (uint8_t)arg[0]);

	if (!rc && !(arg[0] & 0xff))
		was_reset();
	if (!rc && arg[0] & VIRTIO_CONFIG_S_DRIVER_OK && !random_world.at.running &&
	    (random_world.at.addr[0] || random_world.at.addr[1])) {
		random_world.at.running = true;
		random_reach(REACH_RUNNING);
	}
	return random_done(rc);
}

static int step_get_config(const uint64_t *arg)
{
	uint8_t buf[1024] = {0};
	int rc = client_get_config(random_world.fd, (uint32_t)arg[0], buf, (uint32_t)arg[1]);

	random_done(rc);
	for (size_t i = 0; !rc && i < arg[1] && i < sizeof(buf); i++)
		fprintf(random_world.to, "%s%02x", i ? "" : " ", buf[i]);
	return rc;
}

static int step_set_config(const uint64_t *arg)
{
	uint8_t buf[1024];
	int rc;

	memset(buf, (int)arg[2], sizeof(buf));
	rc = client_set_config(random_world.fd, (uint32_t)arg[0], buf, (uint32_t)arg[1]);
	if (!rc)
		random_reach(REACH_CONFIG);
	return random_done(rc);
}

static int step_config_call(const uint64_t *arg)
{
	int fd = random_choose_fd(arg[0], &random_world.config_fd);

	return random_done(client_ioctl(random_world.fd, VHOST_VDPA_SET_CONFIG_CALL, &fd));
}

static int step_group_asid(const uint64_t *arg)
{
	int rc = client_vring_set(random_world.fd, VHOST_VDPA_SET_GROUP_ASID, (uint32_t)arg[0],
				  (uint32_t)arg[1]);

	if (!rc && arg[0] == 1)
		random_world.at.bound = arg[1] == 1;
	if (!rc && random_world.at.bound)
		random_reach(REACH_BOUND);
	return random_done(rc);
}

/* ---- rings ---- */

static int step_num(const uint64_t *arg)
{
	return random_done(client_vring_set(random_world.fd, VHOST_SET_VRING_NUM, (uint32_t)arg[0],
					    (uint32_t)arg[1]));
}

static int step_base(const uint64_t *arg)
{
	int rc = client_vring_set(random_world.fd, VHOST_SET_VRING_BASE, (uint32_t)arg[0],
				  (uint32_t)arg[1]);

	if (!rc && arg[1])
		random_world.at.based = true;
	return random_done(rc);
}

static int step_addr(const uint64_t *arg)
{
	struct vhost_vring_addr addr = {.index = (uint32_t)arg[0], .flags = (uint32_t)arg[2]};
	unsigned q = arg[0] < RANDOM_RINGS ? (unsigned)arg[0] : 0;
	size_t off[3];
	int rc;

	random_ring_offsets(q, arg[1] % RANDOM_SLOTS, off);
	addr.desc_user_addr = random_world.mem.window + off[0];
	addr.avail_user_addr = random_world.mem.window + off[1] + arg[3] % 4;
	addr.used_user_addr = random_world.mem.window + off[2] + arg[4] % 4;
	rc = client_ioctl(random_world.fd, VHOST_SET_VRING_ADDR, &addr);
	if (!rc && arg[0] < RANDOM_RINGS)
		random_world.at.addr[q] = true;
	return random_done(rc);
}

static int step_get_base(const uint64_t *arg)
{
	uint32_t num = 0;
	int rc = client_vring_get(random_world.fd, VHOST_GET_VRING_BASE, (uint32_t)arg[0], &num);

	return random_done_value(rc, num);
}

static int step_enable(const uint64_t *arg)
{
	if (arg[1] && arg[0] < RANDOM_RINGS && !random_world.at.addr[arg[0]])
		return random_skipped("no address");
	return random_done(client_vring_set(random_world.fd, VHOST_VDPA_SET_VRING_ENABLE,
					    (uint32_t)arg[0], (uint32_t)arg[1]));
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
	int rc = client_vring_get(random_world.fd, req[arg[1]], (uint32_t)arg[0], &num);

	return random_done_value(rc, num);
}

static int step_busyloop(const uint64_t *arg)
{
	return random_done(client_vring_set(random_world.fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT,
					    (uint32_t)arg[0], (uint32_t)arg[1]));
}

static int step_file(const uint64_t *arg)
{
	static const unsigned long req[FILE_NR] = {[FILE_KICK] = VHOST_SET_VRING_KICK,
						   [FILE_CALL] = VHOST_SET_VRING_CALL,
						   [FILE_ERR] = VHOST_SET_VRING_ERR};
	unsigned q = arg[0] < RANDOM_RINGS ? (unsigned)arg[0] : 0;
	int err_fd = -1;
	int *own = arg[1] == FILE_KICK   ? &random_world.kick[q]
		   : arg[1] == FILE_CALL ? &random_world.call[q]
					 : &err_fd;
	int old = *own;
	int rc;

	*own = -1; /* the old one stays open until the device has the new one */
	rc = client_vring_file(random_world.fd, req[arg[1]], (uint32_t)arg[0],
			       random_choose_fd(arg[2], own));
	if (err_fd >= 0)
		close(err_fd);
	if (*own < 0)
		*own = old;
	else if (old >= 0)
		close(old);
	return random_done(rc);
}

static int step_ioctl(const uint64_t *arg)
{
	uint32_t buf[256] = {(uint32_t)arg[2]};
	unsigned long req = _IOC(_IOC_READ | _IOC_WRITE, VHOST_VIRTIO, arg[0] & 0xff,
				 arg[1] < sizeof(buf) ? arg[1] : sizeof(buf));

	return random_done(client_ioctl(random_world.fd, req, arg[1] ? buf : NULL));
}

const struct random_row random_ioctl_steps[OP_NR] = {
	[OP_OPEN] = {step_open, RANDOM_ALONE},
	[OP_CLOSE] = {step_close, RANDOM_WORKS},
	[OP_OWNER] = {step_owner, 0},
	[OP_GET] = {step_get, 0},
	[OP_SET_FEATURES] = {step_set_features, 0},
	[OP_SET_BACKEND] = {step_set_backend, 0},
	[OP_SET_STATUS] = {step_set_status, RANDOM_WORKS},
	[OP_GET_CONFIG] = {step_get_config, 0},
	[OP_SET_CONFIG] = {step_set_config, 0},
	[OP_CONFIG_CALL] = {step_config_call, 0},
	[OP_SUSPEND] = {step_suspend, RANDOM_WORKS},
	[OP_RESUME] = {step_resume, RANDOM_WORKS},
	[OP_NUM] = {step_num, 0},
	[OP_BASE] = {step_base, 0},
	[OP_ADDR] = {step_addr, 0},
	[OP_GET_BASE] = {step_get_base, 0},
	[OP_ENABLE] = {step_enable, RANDOM_WORKS},
	[OP_VRING_GET] = {step_vring_get, 0},
	[OP_GROUP_ASID] = {step_group_asid, RANDOM_WORKS},
	[OP_FILE] = {step_file, RANDOM_WORKS},
	[OP_BUSYLOOP] = {step_busyloop, 0},
	[OP_MEM_TABLE] = {step_mem_table, 0},
	[OP_SET_FORK] = {step_set_fork, 0},
	[OP_IOCTL] = {step_ioctl, 0},
};
