// SPDX-License-Identifier: BSD-3-Clause
/*
 * A session on a simulated card against a reference state machine. Every ioctl of the uAPI in
 * random order, with good and bad arguments, from the owner and from another process, with and
 * without an owner; resets and reopenings in between. The machine is written from
 * docs/spec/vhost-vdpa.md (the clauses stand at its rules), docs/deviations.md and
 * docs/dirty-log.md, and knows nothing of the code. Each call must have the errno that the machine
 * says, and each answer its value.
 *
 * No ring is ever mapped, so nothing moves, and each position stays where the client has put it.
 * HOLDFAST_TEST_STEPS sets the number of steps of each device, HOLDFAST_TEST_SEED repeats a run.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/refuse.h"
#include "parents/sim/simnet.h"
#include "vdpa/mgmt.h"
#include "vhost_vdpa/uapi.h"
#include "vhost_vdpa/vhost_vdpa.h"

#define NVQS        3
#define CONFIG_SIZE 24
#define MAC_LEN     6
#define BIT(n)      (1ULL << (n))
#define PLATFORM    BIT(VIRTIO_F_ACCESS_PLATFORM)
#define LOG_ALL     BIT(26)
#define FOK         VIRTIO_CONFIG_S_FEATURES_OK
#define DOK         VIRTIO_CONFIG_S_DRIVER_OK
#define LEN(a)      (sizeof(a) / sizeof((a)[0]))

union argument {
	struct vhost_vring_state state;
	struct vhost_vring_file file;
	struct vhost_vring_addr addr;
	struct {
		uint32_t off, len;
		uint8_t buf[64];
	} config;
	uint64_t u64, range[2], zeros[8];
	uint32_t u32;
	uint16_t u16;
	uint8_t u8;
	int fd;
};

/* ---- the machine ---- */

struct ring {
	uint32_t num;
	uint64_t desc, avail, used;
	bool logged, ready, base_set, ran, kept;
	uint32_t position, kept_position;
	uint32_t timeout;
};

struct machine {
	bool strict, dma_map;
	uint64_t offered; /* by the parent */
	unsigned int max; /* entries */

	uint8_t status;
	bool suspended;
	uint64_t asked, taken; /* features */
	uint64_t backend;
	unsigned int owner; /* 0: none */
	uint8_t fork_from_owner;
	bool log, log_all;
	uint8_t mac[MAC_LEN];
	struct ring ring[NVQS];
};

static bool runs(const struct machine *m)
{
	return m->status & DOK && !m->suspended;
}

/* D1: what was kept goes where a ring may run. */
static void started(struct machine *m)
{
	if (!runs(m))
		return;
	for (unsigned int i = 0; i < NVQS; i++) {
		m->ring[i].kept = false;
		m->ring[i].ran |= m->ring[i].ready;
	}
}

/* [4-7], [4-8], D1 */
static void machine_reset(struct machine *m, bool keep)
{
	for (unsigned int i = 0; i < NVQS; i++) {
		struct ring *r = &m->ring[i];

		if (keep && !m->strict && (r->ran || r->base_set)) {
			r->kept = true;
			r->kept_position = r->position;
		}
		r->ran = r->base_set = r->ready = r->logged = false;
		r->position = 0;
	}
	m->status = 0;
	m->suspended = m->log = m->log_all = false;
}

/* [4-1], [4-3]: of a session nothing stays but sizes and what was written to the config */
static void machine_reopen(struct machine *m)
{
	machine_reset(m, false);
	m->asked = m->taken = m->backend = 0;
	m->owner = 0;
	m->fork_from_owner = 1;
	for (unsigned int i = 0; i < NVQS; i++)
		m->ring[i] = (struct ring){.num = m->ring[i].num};
}

/* What a call gives. @who: 1 or 2. @arg: NULL is a bad pointer. @out: a getter's value */
typedef int (*rule_fn)(struct machine *m, unsigned int who, const union argument *arg,
		       uint64_t *out);

static int get_features(struct machine *m, unsigned int who, const union argument *arg,
			uint64_t *out)
{
	*out = m->offered | (m->strict ? 0 : LOG_ALL);
	return arg ? 0 : -EFAULT;
}

/* docs/dirty-log.md, "The calls" */
static int toggle_log(struct machine *m, uint64_t features)
{
	bool on = features & LOG_ALL;

	features &= ~LOG_ALL;
	if ((features != m->asked && features != m->taken) || (!on && !m->log_all))
		return -EBUSY;
	if (on && m->status & DOK && !m->log)
		return -EINVAL;
	m->log &= on;
	m->log_all = on;
	return 0;
}

static int set_features(struct machine *m, unsigned int who, const union argument *arg,
			uint64_t *out)
{
	uint64_t features;

	if (m->status & FOK && (m->strict || !arg)) /* [1-7]: before the argument is read */
		return -EBUSY;
	if (!arg)
		return -EFAULT;
	features = arg->u64;
	if (m->status & FOK)
		return toggle_log(m, features);
	if (!(features & PLATFORM)) /* [7-9] */
		return -EINVAL;
	if (!m->strict) {
		if (m->log_all && !(features & LOG_ALL))
			m->log = false;
		m->log_all = features & LOG_ALL;
		features &= ~LOG_ALL;
	}
	m->asked = features;
	m->taken = features & m->offered;
	return 0;
}

static int get_backend(struct machine *m, unsigned int who, const union argument *arg,
		       uint64_t *out)
{
	*out = m->strict ? 0x17e : 0x1fe; /* [5-9]; D9: descriptor groups */
	return arg ? 0 : -EFAULT;
}

static int set_backend(struct machine *m, unsigned int who, const union argument *arg,
		       uint64_t *out)
{
	if (!arg)
		return -EFAULT;
	if (arg->u64 & ~0x1feULL) /* [5-9] */
		return -EOPNOTSUPP;
	if (arg->u64 & BIT(7) && !(arg->u64 & BIT(3))) /* [5-7] */
		return -EINVAL;
	if (arg->u64 & BIT(7) && m->strict)
		return -EOPNOTSUPP;
	m->backend = arg->u64;
	return 0;
}

static int get_status(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	*out = m->status;
	return arg ? 0 : -EFAULT;
}

static int set_status(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	if (!arg)
		return -EFAULT;
	if (arg->u8 && m->status & ~arg->u8) /* [1-12] */
		return -EINVAL;
	if (arg->u8 == 0)
		machine_reset(m, true);
	m->status = arg->u8;
	started(m);
	return 0;
}

static int check_config(const union argument *arg)
{
	if (!arg)
		return -EFAULT;
	return arg->config.len == 0 || arg->config.off > CONFIG_SIZE ||
			       arg->config.len > CONFIG_SIZE - arg->config.off
		       ? -EINVAL
		       : 0; /* [1-13] */
}

/* The value is that of the first byte, if it is one of the address. */
static int get_config(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	int err = check_config(arg);

	if (!err && arg->config.off < MAC_LEN)
		*out = m->mac[arg->config.off];
	return err;
}

static int set_config(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	int err = check_config(arg);

	for (uint32_t i = 0; !err && i < arg->config.len; i++)
		if (arg->config.off + i < MAC_LEN)
			m->mac[arg->config.off + i] = arg->config.buf[i];
	return err;
}

/* @fd: -1 none, -2 not open, -3 no eventfd; [1-16], [1-32] */
static int check_fd(int fd)
{
	return fd == -2 ? -EBADF : fd == -3 ? -EINVAL : 0;
}

static int set_config_call(struct machine *m, unsigned int who, const union argument *arg,
			   uint64_t *out)
{
	return arg ? check_fd(arg->fd) : -EFAULT;
}

static int get_num_max(struct machine *m, unsigned int who, const union argument *arg,
		       uint64_t *out)
{
	*out = m->max;
	return arg ? 0 : -EFAULT;
}

static int get_device_id(struct machine *m, unsigned int who, const union argument *arg,
			 uint64_t *out)
{
	*out = 1;
	return arg ? 0 : -EFAULT;
}

static int get_range(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	*out = 0; /* first; the last is looked at where the answer is */
	return arg ? 0 : -EFAULT;
}

static int get_config_size(struct machine *m, unsigned int who, const union argument *arg,
			   uint64_t *out)
{
	*out = CONFIG_SIZE;
	return arg ? 0 : -EFAULT;
}

static int get_as_num(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	*out = 2;
	return arg ? 0 : -EFAULT;
}

static unsigned int ngroups(const struct machine *m)
{
	return m->strict ? 2 : 3;
}

static int get_group_num(struct machine *m, unsigned int who, const union argument *arg,
			 uint64_t *out)
{
	*out = ngroups(m);
	return arg ? 0 : -EFAULT;
}

static int get_vqs_count(struct machine *m, unsigned int who, const union argument *arg,
			 uint64_t *out)
{
	*out = NVQS;
	return arg ? 0 : -EFAULT;
}

/* [1-22] */
static int suspend(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	m->suspended |= (m->status & DOK) != 0;
	return 0;
}

static int resume(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	if (!(m->status & DOK))
		return 0;
	m->suspended = false;
	started(m);
	return 0;
}

/* ---- its generic half ---- */

static int set_owner(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	if (m->owner)
		return -EBUSY; /* [1-24] */
	m->owner = who;
	return 0;
}

static int get_fork(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	*out = m->fork_from_owner;
	return arg ? 0 : -EFAULT;
}

static int set_fork(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	if (m->owner) /* [1-27] */
		return -EBUSY;
	if (!arg)
		return -EFAULT;
	if (arg->u8 > 1)
		return -EINVAL;
	m->fork_from_owner = arg->u8;
	return 0;
}

static int check_owner(const struct machine *m, unsigned int who)
{
	return m->owner == who ? 0 : -EPERM; /* [1-4] */
}

static int set_mem_table(struct machine *m, unsigned int who, const union argument *arg,
			 uint64_t *out)
{
	int err = check_owner(m, who);

	return err ? err : arg ? 0 : -EFAULT; /* [1-26] */
}

static int check_log(const struct machine *m, unsigned int who, const union argument *arg)
{
	int err = m->strict ? -ENOTTY : check_owner(m, who); /* [1-5], D2 */

	return err ? err : arg ? 0 : -EFAULT;
}

static int set_log_base(struct machine *m, unsigned int who, const union argument *arg,
			uint64_t *out)
{
	int err = check_log(m, who, arg);

	if (!err && arg->u64 == 16) /* nothing is there */
		err = -EFAULT;
	if (!err)
		m->log = arg->u64 != 0;
	return err;
}

static int set_log_fd(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	int err = check_log(m, who, arg);

	return err ? err : check_fd(arg->fd);
}

/* ---- its rings: [1-3], [1-5] ---- */

static int check_ring(struct machine *m, unsigned int who, const union argument *arg,
		      struct ring **r)
{
	int err = check_owner(m, who);

	if (!err && !arg)
		err = -EFAULT;
	if (!err && arg->state.index >= NVQS)
		err = -ENOBUFS;
	*r = err ? NULL : &m->ring[arg->state.index];
	return err;
}

static int set_num(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);
	uint32_t num = err ? 0 : arg->state.num;

	if (!err && (num == 0 || num > m->max || num & (num - 1))) /* [1-28] */
		err = -EINVAL;
	if (!err)
		r->num = num;
	return err;
}

static int set_addr(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	const struct vhost_vring_addr *a;
	struct ring *r;
	int err = check_ring(m, who, arg, &r);
	bool same;

	if (err)
		return err;
	a = &arg->addr;     /* only a ring that is there has an argument */
	if (a->flags & ~1u) /* [1-29] */
		return -EOPNOTSUPP;
	if (a->avail_user_addr & 1 || a->used_user_addr & 3 || a->log_guest_addr & 3)
		return -EINVAL;
	same = r->desc == a->desc_user_addr && r->avail == a->avail_user_addr &&
	       r->used == a->used_user_addr && (r->logged || a->flags);
	if (runs(m) && (m->strict || !same)) {
		if (m->strict) { /* stored anyway */
			r->desc = a->desc_user_addr;
			r->avail = a->avail_user_addr;
			r->used = a->used_user_addr;
		}
		return -EINVAL;
	}
	r->desc = a->desc_user_addr;
	r->avail = a->avail_user_addr;
	r->used = a->used_user_addr;
	r->logged = a->flags;
	return 0;
}

static int set_base(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	if (!err && (arg->state.num > 0xffff || runs(m))) /* [1-30] */
		err = -EINVAL;
	if (err)
		return err;
	r->position = arg->state.num;
	r->base_set = true;
	r->kept = false;
	return 0;
}

static int get_base(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	if (!err)
		*out = r->kept ? r->kept_position : r->position;
	return err;
}

static int set_file(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	return err ? err : check_fd(arg->file.fd);
}

static int set_timeout(struct machine *m, unsigned int who, const union argument *arg,
		       uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	if (!err)
		r->timeout = arg->state.num;
	return err;
}

static int get_timeout(struct machine *m, unsigned int who, const union argument *arg,
		       uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	if (!err)
		*out = r->timeout;
	return err;
}

static int set_enable(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	if (err)
		return err;
	r->ready = arg->state.num != 0;
	started(m);
	return 0;
}

static int get_group(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	if (!err)
		*out = r == &m->ring[2]; /* [7-10] */
	return err;
}

static int get_desc_group(struct machine *m, unsigned int who, const union argument *arg,
			  uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	if (!err && m->strict)
		err = -EOPNOTSUPP; /* [1-38] */
	if (!err)
		*out = r == &m->ring[2] ? 1 : 2;
	return err;
}

static int set_asid(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	if (!err && (arg->state.index >= ngroups(m) || arg->state.num >= 2)) /* [1-39] */
		err = -EINVAL;
	if (!err && !m->strict && m->status & DOK) /* D7 */
		err = -EBUSY;
	return err;
}

static int get_size(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	if (!err && m->strict && !m->dma_map) /* [1-40] */
		err = -EOPNOTSUPP;
	if (!err)
		*out = m->status & DOK ? r->num : m->max;
	return err;
}

static int no_such(struct machine *m, unsigned int who, const union argument *arg, uint64_t *out)
{
	struct ring *r;
	int err = check_ring(m, who, arg, &r);

	return err ? err : -ENOTTY;
}

/* ---- calls ---- */

enum kind { NONE, U8, U16, U32, U64, STATE, FD, FILE_FD, ADDR, CONFIG, BACKEND, STATUS, FEATURES };

static const struct call {
	unsigned int cmd;
	enum kind kind;
	bool gets;
	unsigned int weight;
	rule_fn rule;
} calls[] = {
	{VHOST_GET_FEATURES, U64, true, 1, get_features},
	{VHOST_SET_FEATURES, FEATURES, false, 6, set_features},
	{VHOST_GET_BACKEND_FEATURES, U64, true, 1, get_backend},
	{VHOST_SET_BACKEND_FEATURES, BACKEND, false, 2, set_backend},
	{VHOST_VDPA_GET_STATUS, U8, true, 6, get_status},
	{VHOST_VDPA_SET_STATUS, STATUS, false, 12, set_status},
	{VHOST_VDPA_GET_CONFIG, CONFIG, true, 2, get_config},
	{VHOST_VDPA_SET_CONFIG, CONFIG, false, 2, set_config},
	{VHOST_VDPA_SET_CONFIG_CALL, FD, false, 2, set_config_call},
	{VHOST_VDPA_GET_VRING_NUM, U16, true, 1, get_num_max},
	{VHOST_VDPA_GET_DEVICE_ID, U32, true, 1, get_device_id},
	{VHOST_VDPA_GET_IOVA_RANGE, U64, true, 1, get_range},
	{VHOST_VDPA_GET_CONFIG_SIZE, U32, true, 1, get_config_size},
	{VHOST_VDPA_GET_AS_NUM, U32, true, 1, get_as_num},
	{VHOST_VDPA_GET_GROUP_NUM, U32, true, 1, get_group_num},
	{VHOST_VDPA_GET_VQS_COUNT, U32, true, 1, get_vqs_count},
	{VHOST_VDPA_SUSPEND, NONE, false, 3, suspend},
	{VHOST_VDPA_RESUME, NONE, false, 4, resume},
	{VHOST_SET_OWNER, NONE, false, 3, set_owner},
	{VHOST_GET_FORK_FROM_OWNER, U8, true, 1, get_fork},
	{VHOST_SET_FORK_FROM_OWNER, U8, false, 1, set_fork},
	{VHOST_SET_MEM_TABLE, U64, false, 1, set_mem_table},
	{VHOST_SET_LOG_BASE, U64, false, 4, set_log_base},
	{VHOST_SET_LOG_FD, FD, false, 2, set_log_fd},
	{VHOST_SET_VRING_NUM, STATE, false, 4, set_num},
	{VHOST_SET_VRING_ADDR, ADDR, false, 6, set_addr},
	{VHOST_SET_VRING_BASE, STATE, false, 6, set_base},
	{VHOST_GET_VRING_BASE, STATE, true, 8, get_base},
	{VHOST_SET_VRING_KICK, FILE_FD, false, 2, set_file},
	{VHOST_SET_VRING_CALL, FILE_FD, false, 2, set_file},
	{VHOST_SET_VRING_ERR, FILE_FD, false, 1, set_file},
	{VHOST_SET_VRING_BUSYLOOP_TIMEOUT, STATE, false, 1, set_timeout},
	{VHOST_GET_VRING_BUSYLOOP_TIMEOUT, STATE, true, 1, get_timeout},
	{VHOST_VDPA_SET_VRING_ENABLE, STATE, false, 6, set_enable},
	{VHOST_VDPA_GET_VRING_GROUP, STATE, true, 1, get_group},
	{VHOST_VDPA_GET_VRING_DESC_GROUP, STATE, true, 1, get_desc_group},
	{VHOST_VDPA_SET_GROUP_ASID, STATE, false, 3, set_asid},
	{VHOST_VDPA_GET_VRING_SIZE, STATE, true, 3, get_size},
	{VHOST_RESET_OWNER, STATE, false, 1, no_such},
	{VHOST_NEW_WORKER, STATE, false, 1, no_such},
	{_IOW(VHOST_VIRTIO, 0x6f, uint64_t), STATE, false, 1, no_such},
};

static struct {
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct vdpa_device *dev;
	struct vhost_vdpa *s;
	struct vhost_vdpa_client client[2];
	int good_fd, bad_fd; /* an eventfd; none */
	uint8_t log[64];
} env;

static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static int get_fd(const struct vhost_vdpa_client *client, int fd)
{
	(void)client;
	return fd_dup(fd);
}

static int any_fd(void)
{
	static const int fds[] = {0, 0, 0, -1, -1, -2, -3};

	return fds[rnd(LEN(fds))];
}

static int real_fd(int fd)
{
	return fd == 0 ? env.good_fd : fd == -1 ? -1 : fd == -2 ? 9999 : env.bad_fd;
}

static uint8_t any_status(void)
{
	static const uint8_t some[] = {0, 1, 3, 0xb, 0xf, 0xf, 0xf, 4, 8, 0xfb};

	return rnd(10) ? some[rnd(LEN(some))] : (uint8_t)(rnd(256) & ~0x40u);
}

static uint32_t any_num(void)
{
	static const uint32_t some[] = {0,   1,    2,    3,      64,     256,
					512, 1024, 2048, 0x8000, 0xffff, 0x10000};

	return rnd(3) ? some[rnd(LEN(some))] : (uint32_t)rnd(0x20000);
}

static uint64_t any_features(const struct machine *m)
{
	uint64_t some[] = {0, m->asked, m->taken, PLATFORM, PLATFORM | BIT(32), m->offered, ~0ULL};

	return (some[rnd(LEN(some))] & ~LOG_ALL & ~BIT(VIRTIO_F_RING_PACKED)) |
	       (rnd(2) ? LOG_ALL : 0);
}

static uint64_t any_area(void)
{
	return 0x10000 * (1 + rnd(3)) + (rnd(12) ? 0 : rnd(8));
}

static void fill(const struct machine *m, const struct call *c, union argument *arg)
{
	memset(arg, 0, sizeof(*arg));
	switch (c->kind) {
	case NONE:
		break;
	case U8:
	case U16:
	case U32:
		arg->u8 = (uint8_t)rnd(3);
		break;
	case U64: /* of the setters, a log, or a memory table without regions */
		arg->u64 = c->gets || c->cmd == VHOST_SET_MEM_TABLE ? 0
			   : rnd(4)                                 ? (uintptr_t)env.log
								    : rnd(2) * 16;
		break;
	case STATE:
		arg->state.index = (uint32_t)rnd(NVQS + (rnd(20) == 0));
		arg->state.num =
			c->cmd == VHOST_VDPA_SET_VRING_ENABLE || c->cmd == VHOST_VDPA_SET_GROUP_ASID
				? (uint32_t)rnd(3)
				: any_num();
		break;
	case FD:
		arg->fd = any_fd();
		break;
	case FILE_FD:
		arg->file.index = (uint32_t)rnd(NVQS + (rnd(20) == 0));
		arg->file.fd = any_fd();
		break;
	case ADDR:
		arg->addr = (struct vhost_vring_addr){.index = (uint32_t)rnd(NVQS),
						      .flags = (uint32_t)rnd(2 + (rnd(20) == 0)),
						      .desc_user_addr = any_area(),
						      .avail_user_addr = any_area(),
						      .used_user_addr = any_area(),
						      .log_guest_addr = any_area()};
		break;
	case CONFIG:
		arg->config.off = (uint32_t)rnd(rnd(4) ? MAC_LEN : 30);
		arg->config.len =
			(uint32_t)rnd(rnd(4) ? MAC_LEN - arg->config.off % MAC_LEN + 1 : 30);
		for (size_t i = 0; i < sizeof(arg->config.buf); i++)
			arg->config.buf[i] = (uint8_t)rnd(256);
		break;
	case BACKEND:
		arg->u64 = rnd(0x200) & (rnd(4) ? 0x1fe : ~0ULL);
		break;
	case STATUS:
		arg->u8 = any_status();
		break;
	case FEATURES:
		arg->u64 = any_features(m);
		break;
	}
}

/* More than the address would make the model know the whole configuration space. */
static bool writes_beyond_mac(const struct call *c, const union argument *arg)
{
	return c->cmd == VHOST_VDPA_SET_CONFIG && arg->config.off + arg->config.len > MAC_LEN &&
	       check_config(arg) == 0;
}

static uint64_t value_of(const struct call *c, const union argument *arg)
{
	switch (c->kind) {
	case U8:
		return arg->u8;
	case U16:
		return arg->u16;
	case U32:
		return arg->u32;
	case STATE:
		return arg->state.num;
	case CONFIG:
		return arg->config.buf[0];
	default:
		return arg->u64;
	}
}

static const struct call *any_call(void)
{
	uint64_t sum = 0, at;
	size_t i = 0;

	for (size_t n = 0; n < LEN(calls); n++)
		sum += calls[n].weight;
	for (at = rnd(sum); at >= calls[i].weight; i++)
		at -= calls[i].weight;
	return &calls[i];
}

/* An empty map instead of 1:1, so that no ring is reached. */
static void unreach(const struct machine *m)
{
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2};
	uint64_t acked = m->backend, both = acked | BIT(3);
	const struct vhost_vdpa_client *owner;

	if (!m->owner)
		return;
	owner = &env.client[m->owner - 1];
	/* a group may be in the second address space also if the client cannot name that one */
	assert_int_equal(
		vhost_vdpa_ioctl(env.s, owner, VHOST_SET_BACKEND_FEATURES, (uintptr_t)&both), 0);
	for (uint32_t asid = 0; asid < 2; asid++) {
		msg.asid = asid;
		msg.iotlb = (struct vhost_iotlb_msg){.iova = 1ULL << 40,
						     .size = 4096,
						     .uaddr = (uintptr_t)env.log & ~4095ULL,
						     .perm = VHOST_ACCESS_RO,
						     .type = VHOST_IOTLB_UPDATE};
		assert_int_equal(vhost_vdpa_write(env.s, owner, (uintptr_t)&msg, sizeof(msg)), 72);
		msg.iotlb.type = VHOST_IOTLB_INVALIDATE;
		assert_int_equal(vhost_vdpa_write(env.s, owner, (uintptr_t)&msg, sizeof(msg)), 72);
	}
	assert_int_equal(
		vhost_vdpa_ioctl(env.s, owner, VHOST_SET_BACKEND_FEATURES, (uintptr_t)&acked), 0);
}

static void differ(const struct call *c, uint64_t step, const char *what, long long want,
		   long long got)
{
	print_message("step %" PRIu64 ", %s: %s: want %lld, got %lld (%s)\n", step,
		      vhost_vdpa_ioctl_name(c->cmd) ? vhost_vdpa_ioctl_name(c->cmd) : "unknown",
		      what, want, got, refuse_reason());
	fail();
}

static void step(struct machine *m, uint64_t nr)
{
	const struct call *c = any_call();
	unsigned int who = rnd(16) == 0 ? 2 : 1;
	bool bad = c->kind != NONE && rnd(24) == 0;
	uint64_t out = UINT64_MAX;
	union argument arg, real;
	int want, got;

	fill(m, c, &arg);
	if (writes_beyond_mac(c, &arg))
		return;
	real = arg;
	if (c->kind == FD)
		real.fd = real_fd(arg.fd);
	else if (c->kind == FILE_FD)
		real.file.fd = real_fd(arg.file.fd);
	want = c->rule(m, who, bad ? NULL : &arg, &out);
	got = vhost_vdpa_ioctl(env.s, &env.client[who - 1], c->cmd, bad ? 0 : (uintptr_t)&real);
	if (got != want)
		differ(c, nr, "errno", -want, -got);
	if (!want && c->gets && out != UINT64_MAX && value_of(c, &real) != out)
		differ(c, nr, "value", (long long)out, (long long)value_of(c, &real));
	if (!want && c->cmd == VHOST_VDPA_GET_IOVA_RANGE)
		assert_true(real.range[1] == UINT64_MAX);
	if (!want && (c->cmd == VHOST_SET_OWNER || c->cmd == VHOST_SET_BACKEND_FEATURES ||
		      (c->cmd == VHOST_VDPA_SET_STATUS && arg.u8 == 0)))
		unreach(m);
}

/* ---- devices ---- */

static void make(const char *spec, struct machine *m)
{
	static const struct vdpa_mgmt_dev *const parents[] = {&simnet_mgmt_dev};
	struct vdpa_dev_config config;
	const struct vdpa_mgmt_dev *mgmt;

	assert_int_equal(memory_space_create_own(&env.space), 0);
	assert_int_equal(vdpa_bus_create(env.space, &env.bus), 0);
	assert_int_equal(vdpa_driver_register(env.bus, &vhost_vdpa_driver), 0);
	assert_int_equal(vdpa_spec_parse(parents, 1, spec, 0, &config, &mgmt), 0);
	assert_int_equal(mgmt->dev_add(mgmt, env.bus, &config), 0);
	env.dev = vdpa_bus_find(env.bus, config.name);
	assert_non_null(env.dev);
	assert_int_equal(vhost_vdpa_open(env.dev, &env.s), 0);
	for (unsigned int i = 0; i < 2; i++)
		env.client[i] = (struct vhost_vdpa_client){
			.mm_id = 1 + i, .space = env.space, .get_fd = get_fd};
	*m = (struct machine){.strict = strstr(spec, "quirks"), .dma_map = strstr(spec, "dma_map")};
	m->max = m->strict ? 256 : 1024;
	mutex_lock(&env.dev->lock);
	m->offered = VDPA_CALL(env.dev, get_device_features);
	mutex_unlock(&env.dev->lock);
	for (unsigned int i = 0; i < NVQS; i++)
		m->ring[i].num = m->max;
	memcpy(m->mac, (uint8_t[]){0x52, 0x54, 0, 1, 2, 3}, MAC_LEN);
	machine_reopen(m);
}

static void unmake(void)
{
	vhost_vdpa_release(env.s);
	vdpa_device_unregister(env.dev);
	vdpa_device_put(env.dev);
	vdpa_bus_destroy(env.bus);
	memory_space_put(env.space);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static void run(const char *spec)
{
	uint64_t steps = env_number("HOLDFAST_TEST_STEPS", 20000);
	struct machine m;

	rng = env_number("HOLDFAST_TEST_SEED", 88172645463325252ULL);
	make(spec, &m);
	for (uint64_t i = 0; i < steps; i++) {
		if (rnd(400) == 0) {
			vhost_vdpa_release(env.s);
			assert_int_equal(vhost_vdpa_open(env.dev, &env.s), 0);
			machine_reopen(&m);
		}
		step(&m, i);
	}
	unmake();
	print_message("%" PRIu64 " calls, %s: no divergence\n", steps, spec);
}

static void states_random_calls_agree_with_the_machine(void **state)
{
	static const char strict_dma_map[] =
		"name a mgmtdev vdpasim_net mac 52:54:00:01:02:03 quirks linux-6.12 "
		"mapping dma_map";
	static const char *const specs[] = {
		"name a mgmtdev vdpasim_net mac 52:54:00:01:02:03",
		"name a mgmtdev vdpasim_net mac 52:54:00:01:02:03 mapping dma_map",
		"name a mgmtdev vdpasim_net mac 52:54:00:01:02:03 compat_reset on",
		"name a mgmtdev vdpasim_net mac 52:54:00:01:02:03 quirks linux-6.12",
		strict_dma_map,
	};

	(void)state;
	env.good_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	env.bad_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < LEN(specs); i++)
		run(specs[i]);
	close(env.good_fd);
	close(env.bad_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_random_calls_agree_with_the_machine),
	};

	return cmocka_run_group_tests_name("vhost_vdpa-states", tests, NULL, NULL);
}
