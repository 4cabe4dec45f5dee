/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ownership, dispatch order, and the commands that vhost-vdpa does not have.
 */
#include "check/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNKNOWN_COMMAND       _IOW(VHOST_VIRTIO, 0xee, uint64_t)
#define SMALL_GET_FEATURES    _IOR(VHOST_VIRTIO, 0x00, uint32_t)
#define REVERSED_SET_FEATURES _IOWR(VHOST_VIRTIO, 0x00, uint64_t)
#define FOREIGN_COMMAND       0x5401UL /* a terminal's */

/* Rows: req is a command that ends as a per-ring one. */

static void unowned_eperm(struct check_ctx *t)
{
	uint64_t arg[8] = {0};

	EXPECT_RC(t, -EPERM, client_ioctl(check_open(t), t->check->req, arg));
}

static void unowned_null_eperm(struct check_ctx *t)
{
	EXPECT_RC(t, -EPERM, client_ioctl(check_open(t), t->check->req, NULL));
}

static void null_efault(struct check_ctx *t)
{
	EXPECT_RC(t, -EFAULT, client_ioctl(check_open_owned(t), t->check->req, NULL));
}

static void index_enobufs(struct check_ctx *t)
{
	uint32_t arg[16] = {t->dev->nr_vqs};
	int fd = check_open_owned(t);

	EXPECT_RC(t, -ENOBUFS, client_ioctl(fd, t->check->req, arg));
	arg[0] = UINT32_MAX;
	EXPECT_RC(t, -ENOBUFS, client_ioctl(fd, t->check->req, arg));
}

static void unknown_enotty(struct check_ctx *t)
{
	uint64_t arg[8] = {0};

	EXPECT_RC(t, -ENOTTY, client_ioctl(check_open_owned(t), t->check->req, arg));
}

/* Only the index is fetched before the command is looked at. */
static void unknown_short_enotty(struct check_ctx *t)
{
	uint8_t *arg = check_guarded(t, 4);

	EXPECT_RC(t, -ENOTTY, client_ioctl(check_open_owned(t), t->check->req, arg));
}

/* vhost-net has these two, vhost-vdpa of no kernel: the count of words, which comes first, is taken
 * as the index of a ring. */
static void features_array(struct check_ctx *t)
{
	uint64_t arg[9] = {1};
	int fd = check_open_owned(t);

	if (t->dev->nr_vqs > 1) {
		EXPECT_RC(t, -ENOTTY, client_ioctl(fd, VHOST_GET_FEATURES_ARRAY, arg));
		EXPECT_RC(t, -ENOTTY, client_ioctl(fd, VHOST_SET_FEATURES_ARRAY, arg));
	}
	arg[0] = 1000; /* no device of a check has so many */
	EXPECT_RC(t, -ENOBUFS, client_ioctl(fd, VHOST_GET_FEATURES_ARRAY, arg));
	EXPECT_RC(t, -ENOBUFS, client_ioctl(fd, VHOST_SET_FEATURES_ARRAY, arg));
	arg[0] = 1ULL << 32; /* a low half of 0 */
	EXPECT_RC(t, -ENOTTY, client_ioctl(fd, VHOST_GET_FEATURES_ARRAY, arg));
	EXPECT_RC(t, -ENOTTY, client_ioctl(fd, VHOST_SET_FEATURES_ARRAY, arg));
}

static void log_refused(struct check_ctx *t)
{
	int fd = t->check->a ? check_open_owned(t) : check_open(t);
	uint64_t arg = 0;

	EXPECT_RC(t, -ENOTTY, client_ioctl(fd, t->check->req, &arg));
	EXPECT_RC(t, -ENOTTY, client_ioctl(fd, t->check->req, NULL));
}

static void log_base_accepted(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint64_t base = (uintptr_t)check_pages(t, 16);

	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_LOG_BASE, &base));
	EXPECT_RC(t, -EFAULT, client_ioctl(fd, VHOST_SET_LOG_BASE, NULL));
}

static void mem_table(struct check_ctx *t)
{
	struct vhost_memory none = {0};

	EXPECT_RC(t, 0, client_ioctl(check_open_owned(t), VHOST_SET_MEM_TABLE, &none));
}

static void mem_table_unowned(struct check_ctx *t)
{
	struct vhost_memory none = {0};

	EXPECT_RC(t, -EPERM, client_ioctl(check_open(t), VHOST_SET_MEM_TABLE, &none));
}

/* ---- SET_OWNER ---- */

static void owner_ok(struct check_ctx *t)
{
	(void)check_open_owned(t);
}

static void owner_twice(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, -EBUSY, client_ioctl(fd, VHOST_SET_OWNER, NULL));
}

static void owner_from_child(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, -EBUSY, check_child_ioctl(t, fd, VHOST_SET_OWNER, NULL));
}

/* A child that became the owner and ended leaves the parent without access. */
static void owner_is_child(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, 0, check_child_ioctl(t, fd, VHOST_SET_OWNER, NULL));
	EXPECT_RC(t, -EBUSY, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	EXPECT_RC(t, -EPERM, client_vring_set(fd, VHOST_SET_VRING_NUM, 0, 16));
}

static void owner_kept_by_reset(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, -EBUSY, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_NUM, 0, 16));
}

static void reset_owner_refused(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint64_t arg = 0;

	EXPECT_RC(t, -ENOTTY, client_ioctl(fd, VHOST_RESET_OWNER, &arg));
	EXPECT_RC(t, -EBUSY, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_NUM, 0, 16));
}

static void owner_lost_by_close(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_close(t, fd);
	fd = check_open(t);
	EXPECT_RC(t, -EPERM, client_vring_set(fd, VHOST_SET_VRING_NUM, 0, 16));
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_OWNER, NULL));
}

static void owner_ignores_argument(struct check_ctx *t)
{
	EXPECT_RC(t, 0, client_ioctl(check_open(t), VHOST_SET_OWNER, check_unmapped()));
}

/* The owner is an address space, not a descriptor: a duplicate serves as well. */
static void owner_through_dup(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	int copy = dup(fd);

	EXPECT(t, copy >= 0);
	EXPECT_RC(t, 0, client_vring_set(copy, VHOST_SET_VRING_NUM, 0, 16));
	check_close(t, fd);
	EXPECT_RC(t, 0, client_vring_set(copy, VHOST_SET_VRING_NUM, 0, 32));
	EXPECT_RC(t, 0, client_get_status(copy));
}

struct thread_call {
	int fd;
	int rc;
};

static void *thread_main(void *arg)
{
	struct thread_call *call = arg;

	call->rc = client_vring_set(call->fd, VHOST_SET_VRING_NUM, 0, 16);
	return NULL;
}

/* The owner is an address space, not a thread. */
static void owner_in_thread(struct check_ctx *t)
{
	struct thread_call call = {.fd = check_open_owned(t), .rc = -1};
	pthread_t thread;

	EXPECT_RC(t, 0, pthread_create(&thread, NULL, thread_main, &call));
	EXPECT_RC(t, 0, pthread_join(thread, NULL));
	EXPECT_RC(t, 0, call.rc);
}

/* A request that came through an int: the upper half repeats the sign bit and means nothing. */
static void sign_extended(struct check_ctx *t)
{
	uint64_t features = 0;
	int fd = check_open(t);

	EXPECT_RC(t, 0, client_ioctl(fd, (unsigned long)(long)(int)VHOST_GET_FEATURES, &features));
	EXPECT_EQ(t, t->dev->features, features);
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_OWNER | 0xabcd00000000UL, NULL));
}

/* ---- FORK_FROM_OWNER ---- */

static void fork_default(struct check_ctx *t)
{
	uint8_t v = 0xee;

	EXPECT_RC(t, 0, client_ioctl(check_open(t), VHOST_GET_FORK_FROM_OWNER, &v));
	EXPECT_EQ(t, 1, v);
}

static void fork_set(struct check_ctx *t)
{
	int fd = check_open(t);
	uint8_t v = 0;

	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_FORK_FROM_OWNER, &v));
	v = 0xee;
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_GET_FORK_FROM_OWNER, &v));
	EXPECT_EQ(t, 0, v);
}

static void fork_bad_value(struct check_ctx *t)
{
	uint8_t v = 2;

	EXPECT_RC(t, -EINVAL, client_ioctl(check_open(t), VHOST_SET_FORK_FROM_OWNER, &v));
}

static void fork_owned(struct check_ctx *t)
{
	uint8_t v = 1;
	int fd = check_open_owned(t);

	EXPECT_RC(t, -EBUSY, client_ioctl(fd, VHOST_SET_FORK_FROM_OWNER, &v));
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_GET_FORK_FROM_OWNER, &v));
}

static void fork_null(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, -EFAULT, client_ioctl(fd, VHOST_SET_FORK_FROM_OWNER, NULL));
	EXPECT_RC(t, -EFAULT, client_ioctl(fd, VHOST_GET_FORK_FROM_OWNER, NULL));
}

#define ABSENT(name_, req_)                                                                          \
	{"ioctl.dispatch." name_ "_without_owner_eperm", "1-4", unowned_eperm, 0, req_, 0, 0},       \
		{"ioctl.dispatch." name_ "_null_without_owner_eperm",                                \
		 "1-4",                                                                              \
		 unowned_null_eperm,                                                                 \
		 0,                                                                                  \
		 req_,                                                                               \
		 0,                                                                                  \
		 0},                                                                                 \
		{"ioctl.dispatch." name_ "_null_efault", "1-5", null_efault, 0, req_, 0, 0},         \
		{"ioctl.dispatch." name_ "_bad_index_enobufs", "1-5", index_enobufs, 0, req_, 0, 0}, \
		{"ioctl.dispatch." name_ "_enotty", "1-5", unknown_enotty, 0, req_, 0, 0},           \
	{                                                                                            \
		"ioctl.dispatch." name_ "_fetches_index_only", "1-5", unknown_short_enotty, 0,       \
			req_, 0, 0                                                                   \
	}

static const struct check rows[] = {
	ABSENT("unknown", UNKNOWN_COMMAND),
	ABSENT("foreign_type", FOREIGN_COMMAND),
	ABSENT("get_features_wrong_size", SMALL_GET_FEATURES),
	ABSENT("set_features_wrong_direction", REVERSED_SET_FEATURES),
	ABSENT("reset_owner", VHOST_RESET_OWNER),
	ABSENT("new_worker", VHOST_NEW_WORKER),
	ABSENT("free_worker", VHOST_FREE_WORKER),
	ABSENT("attach_vring_worker", VHOST_ATTACH_VRING_WORKER),
	ABSENT("get_vring_worker", VHOST_GET_VRING_WORKER),
	ABSENT("set_vring_endian", VHOST_SET_VRING_ENDIAN),
	ABSENT("get_vring_endian", VHOST_GET_VRING_ENDIAN),
	ABSENT("get_features_array", VHOST_GET_FEATURES_ARRAY),
	ABSENT("set_features_array", VHOST_SET_FEATURES_ARRAY),
	{"ioctl.dispatch.features_array_count_is_an_index", "1-5", features_array, 0, 0, 0, 0},
	{"ioctl.set_log_base.without_owner_enotty", "1-5", log_refused, CHECK_NO_LOG,
	 VHOST_SET_LOG_BASE, 0, 0},
	{"ioctl.set_log_base.with_owner_enotty", "1-5", log_refused, CHECK_NO_LOG,
	 VHOST_SET_LOG_BASE, 1, 0},
	{"ioctl.set_log_base.log_all_offered_ok", "1-5", log_base_accepted, CHECK_LOG, 0, 0, 0},
	{"ioctl.set_log_fd.without_owner_enotty", "1-5", log_refused, CHECK_NO_LOG,
	 VHOST_SET_LOG_FD, 0, 0},
	{"ioctl.set_log_fd.with_owner_enotty", "1-5", log_refused, CHECK_NO_LOG, VHOST_SET_LOG_FD,
	 1, 0},
	{"ioctl.set_mem_table.owner_ok", "1-26", mem_table, 0, 0, 0, 0},
	{"ioctl.set_mem_table.without_owner_eperm", "1-4", mem_table_unowned, 0, 0, 0, 0},
	{"ioctl.set_owner.first_ok", "1-24", owner_ok, 0, 0, 0, 0},
	{"ioctl.set_owner.twice_ebusy", "1-24", owner_twice, 0, 0, 0, 0},
	{"ioctl.set_owner.from_forked_child_ebusy", "1-24", owner_from_child, 0, 0, 0, 0},
	{"ioctl.set_owner.taken_by_child_parent_eperm", "1-4", owner_is_child, CHECK_FORK, 0, 0, 0},
	{"ioctl.set_owner.survives_reset", "4-7", owner_kept_by_reset, 0, 0, 0, 0},
	{"ioctl.set_owner.reset_owner_refused_owner_stays", "1-25", reset_owner_refused, 0, 0, 0,
	 0},
	{"ioctl.set_owner.lost_by_close", "4-4", owner_lost_by_close, 0, 0, 0, 0},
	{"ioctl.set_owner.ignores_argument", "1-24", owner_ignores_argument, 0, 0, 0, 0},
	{"ioctl.set_owner.valid_through_dup", "1-4", owner_through_dup, 0, 0, 0, 0},
	{"ioctl.set_owner.other_thread_ok", "1-4", owner_in_thread, 0, 0, 0, 0},
	{"ioctl.dispatch.upper_half_of_request_ignored", "1-5", sign_extended, 0, 0, 0, 0},
	{"ioctl.fork_from_owner.default_one", "1-27", fork_default, 0, 0, 0, 0},
	{"ioctl.fork_from_owner.set_before_owner_ok", "1-27", fork_set, 0, 0, 0, 0},
	{"ioctl.fork_from_owner.value_two_einval", "1-27", fork_bad_value, 0, 0, 0, 0},
	{"ioctl.fork_from_owner.set_after_owner_ebusy", "1-27", fork_owned, 0, 0, 0, 0},
	{"ioctl.fork_from_owner.null_pointer_efault", "1-27", fork_null, 0, 0, 0, 0},
};

const struct check_set check_set_owner = CHECK_SET(rows);
