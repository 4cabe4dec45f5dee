/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 4.1 and 4.2: exclusive open, release, clients that die.
 */
#include "check/kit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define IOVA 0x100000UL
#define P    CHECK_PAGE

static int try_open(const struct check_ctx *t, int flags)
{
	int fd = open(t->dev->path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void second_open(struct check_ctx *t)
{
	(void)check_open(t);
	EXPECT_RC(t, -EBUSY, try_open(t, (int)t->check->a));
	EXPECT_RC(t, -EBUSY, try_open(t, (int)t->check->a));
}

static void after_close(struct check_ctx *t)
{
	for (int i = 0; i < 20; i++) {
		int fd = check_open(t);

		EXPECT_RC(t, -EBUSY, try_open(t, O_RDWR));
		check_close(t, fd);
	}
}

/* A refused open leaves the first client untouched. */
static void second_open_harmless(struct check_ctx *t)
{
	struct check_kit kit;

	(void)check_kit_run(t, &kit, IOVA);
	EXPECT_RC(t, -EBUSY, try_open(t, O_RDWR));
	check_work_once(t, &kit);
}

static void dup_keeps_open(struct check_ctx *t)
{
	int fd = check_open(t);
	int copy = dup(fd);

	EXPECT(t, copy >= 0);
	EXPECT_RC(t, 0, client_set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	check_close(t, fd);
	EXPECT_RC(t, -EBUSY, try_open(t, O_RDWR));
	EXPECT_RC(t, VIRTIO_CONFIG_S_ACKNOWLEDGE, client_get_status(copy));
	check_close(t, copy);
	EXPECT_RC(t, 0, client_get_status(check_open(t)));
}

static int open_in_child(int fd, const void *arg)
{
	(void)fd;
	return try_open(arg, O_RDWR);
}

static void child_open(struct check_ctx *t)
{
	(void)check_open(t);
	EXPECT_RC(t, -EBUSY, check_in_child(t, open_in_child, -1, t));
}

/* Forks a child that holds the descriptor until @release is closed. */
static int holding_child(struct check_ctx *t, int fd, int *release)
{
	int pipes[2];
	int pid;
	char c;

	EXPECT(t, pipe(pipes) == 0);
	pid = fork();
	EXPECT(t, pid >= 0);
	if (pid == 0) {
		close(pipes[1]);
		_exit(read(pipes[0], &c, 1) != 0 || fcntl(fd, F_GETFD) < 0);
	}
	close(pipes[0]);
	*release = pipes[1];
	return pid;
}

static void child_keeps_open(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	int release;
	int pid = holding_child(t, fd, &release);

	check_close(t, fd);
	EXPECT_RC(t, -EBUSY, try_open(t, O_RDWR));
	close(release);
	check_wait_child(t, pid);
	EXPECT_RC(t, 0, client_get_status(check_open(t)));
}

/* The end of a child that shares the descriptor releases nothing. */
static void child_end_harmless(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);
	int release;
	int pid;

	pid = holding_child(t, fd, &release);
	close(release);
	check_wait_child(t, pid);
	EXPECT_RC(t, CLIENT_STATUS_RUNNING, client_get_status(fd));
	check_work_once(t, &kit);
}

/* ---- what release loses ---- */

static void release_state(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	check_close(t, fd);
	fd = check_open(t);
	EXPECT_RC(t, 0, client_get_status(fd));
	EXPECT_RC(t, -EPERM, client_vring_set(fd, VHOST_SET_VRING_NUM, 0, 16));
	EXPECT_RC(t, 0, client_set_u64(fd, VHOST_SET_FEATURES, check_features(t)));
}

static void release_entries(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	if (t->check->a)
		check_ack_backend(t, fd, (uint64_t)t->check->a);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	check_close(t, fd);
	fd = check_open_owned(t);
	EXPECT_RC(t, -EFAULT, client_iotlb_unmap(fd, 0, IOVA, P));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
}

/*
 * After close the device is back at 1:1, or at nothing: [4-15]. Row: a are backend features to ack,
 * b whether the client had emptied the space, for release restores it, and a reset does not.
 */
static void release_unmapped(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	if (t->check->a)
		check_ack_backend(t, fd, (uint64_t)t->check->a);
	check_pair_map(t, fd, &pair, 0);
	if (t->check->b)
		EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, pair.iova, P));
	check_close(t, fd);
	fd = check_open_owned(t);
	EXPECT_STARTS(t, check_where_unmapped(t), fd, &pair, KIT_WORK);
}

#define PERSIST CLIENT_BACKEND_PERSIST
#define RELEASED(what, needs, ack, empty)                                                          \
	{                                                                                          \
		"lifecycle.release." what, "4-15", release_unmapped, needs, 0, ack, empty          \
	}

/* The rings of the last client are not served any more, whoever kicks. */
static void release_stops_rings(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	check_close(t, fd);
	check_work_kick(t, &kit);
	check_work_quiet(t, &kit, 0);
	fd = check_open_owned(t);
	check_work_kick(t, &kit);
	check_work_quiet(t, &kit, 0);
}

/* ---- clients that die; row's a says at which point ---- */

enum {
	DIE_OPEN = 1,
	DIE_OWNED,
	DIE_BATCH,
	DIE_MAPPED,
	DIE_TWO_SPACES,
	DIE_RUNNING,
	DIE_PERSIST,
	DIE_SUSPENDED,
	DIE_RESET
};

static _Noreturn void live_and_die(struct check_ctx *t, struct check_pair *pair)
{
	long point = t->check->a;
	int fd = check_open(t);

	if (point >= DIE_OWNED)
		EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	if (point == DIE_PERSIST)
		check_ack_backend(t, fd, CLIENT_BACKEND_PERSIST);
	if (point == DIE_TWO_SPACES)
		check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	if (point >= DIE_BATCH)
		EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	if (point >= DIE_MAPPED) {
		check_pair_map(t, fd, pair, 0);
		EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	}
	if (point == DIE_TWO_SPACES)
		check_pair_map(t, fd, pair, 1);
	if (point >= DIE_RUNNING) {
		check_pair_start(t, fd, pair);
		check_kit_kick(t, &pair->kit, KIT_WORK);
	}
	if (point == DIE_SUSPENDED)
		EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SUSPEND, NULL));
	if (point == DIE_RESET)
		EXPECT_RC(t, 0, client_set_status(fd, 0));
	raise(SIGKILL);
	_exit(1);
}

static void client_dies(struct check_ctx *t)
{
	struct check_pair pair;
	int status = 0;
	int pid, fd;

	check_pair_init(t, &pair);
	pid = fork();
	EXPECT(t, pid >= 0);
	if (pid == 0)
		live_and_die(t, &pair);
	EXPECT(t, waitpid(pid, &status, 0) == pid);
	if (!WIFSIGNALED(status))
		FAIL(t, "%s", t->res->text[0] ? t->res->text : "the client did not die");
	fd = check_open(t);
	EXPECT_RC(t, 0, client_get_status(fd));
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	EXPECT_RC(t, -EFAULT, client_iotlb_unmap(fd, 0, 0, 1));
	EXPECT_STARTS(t, check_where_unmapped(t), fd, &pair, KIT_WORK);
}

/* The owner ends while another process still holds the descriptor. */
static int own_and_map(int fd, const void *arg)
{
	int rc = client_ioctl(fd, VHOST_SET_OWNER, NULL);

	return rc ? rc : check_map(fd, 0, IOVA, P, arg);
}

static void owner_ends_first(struct check_ctx *t)
{
	uint8_t *page = check_pages(t, 1);
	int fd = check_open(t);

	EXPECT_RC(t, 0, check_in_child(t, own_and_map, fd, page));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + P, P, page));
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	check_close(t, fd);
	fd = check_open_owned(t);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
}

static const struct check rows[] = {
	{"lifecycle.open.second_ebusy", "4-1", second_open, 0, 0, O_RDWR, 0},
	{"lifecycle.open.second_read_only_ebusy", "4-1", second_open, 0, 0, O_RDONLY, 0},
	{"lifecycle.open.after_close_ok", "4-1", after_close, 0, 0, 0, 0},
	{"lifecycle.open.refused_open_harmless", "4-1", second_open_harmless, 0, 0, 0, 0},
	{"lifecycle.open.duplicate_keeps_it_busy", "4-1", dup_keeps_open, 0, 0, 0, 0},
	{"lifecycle.open.from_forked_child_ebusy", "4-1", child_open, 0, 0, 0, 0},
	{"lifecycle.open.forked_child_keeps_it_busy", "4-1", child_keeps_open, 0, 0, 0, 0},
	{"lifecycle.open.end_of_forked_child_harmless", "4-1", child_end_harmless, 0, 0, 0, 0},
	{"lifecycle.release.status_owner_features_gone", "4-4", release_state, 0, 0, 0, 0},
	{"lifecycle.release.entries_gone", "4-4", release_entries, 0, 0, 0, 0},
	{"lifecycle.release.entries_gone_with_persist", "4-5", release_entries, CHECK_PERSIST, 0,
	 CLIENT_BACKEND_PERSIST, 0},
	RELEASED("identity_restored", CHECK_IDENTITY, 0, 0),
	RELEASED("identity_restored_with_persist", CHECK_IDENTITY | CHECK_PERSIST, PERSIST, 0),
	RELEASED("identity_restored_from_empty", CHECK_IDENTITY, 0, 1),
	RELEASED("identity_restored_from_empty_with_persist", CHECK_IDENTITY | CHECK_PERSIST,
		 PERSIST, 1),
	RELEASED("nothing_left", CHECK_NO_IDENTITY, 0, 0),
	RELEASED("nothing_left_with_persist", CHECK_NO_IDENTITY | CHECK_PERSIST, PERSIST, 0),
	RELEASED("nothing_left_from_empty", CHECK_NO_IDENTITY, 0, 1),
	{"lifecycle.release.rings_not_served", "4-3", release_stops_rings, 0, 0, 0, 0},
	{"lifecycle.death.after_open", "4-4", client_dies, 0, 0, DIE_OPEN, 0},
	{"lifecycle.death.as_owner", "4-4", client_dies, 0, 0, DIE_OWNED, 0},
	{"lifecycle.death.inside_batch", "2-21", client_dies, 0, 0, DIE_BATCH, 0},
	{"lifecycle.death.with_mappings", "4-4", client_dies, 0, 0, DIE_MAPPED, 0},
	{"lifecycle.death.with_two_address_spaces", "4-3", client_dies, CHECK_TWO_AS, 0,
	 DIE_TWO_SPACES, 0},
	{"lifecycle.death.while_suspended", "4-3", client_dies, CHECK_SUSPEND, 0, DIE_SUSPENDED, 0},
	{"lifecycle.death.after_reset", "4-7", client_dies, 0, 0, DIE_RESET, 0},
	{"lifecycle.death.while_running", "4-4", client_dies, 0, 0, DIE_RUNNING, 0},
	{"lifecycle.death.while_running_with_persist", "4-5", client_dies, CHECK_PERSIST, 0,
	 DIE_PERSIST, 0},
	{"lifecycle.death.owner_before_descriptor", "4-3", owner_ends_first, CHECK_FORK, 0, 0, 0},
};

const struct check_set check_set_open = CHECK_SET(rows);
