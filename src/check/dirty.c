/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log of the default mode (D2): which pages of a looping network device or of a disk are
 * marked, and when the log is left alone. Rings and buffers lie on pages of their own, so that each
 * tells for itself.
 */
#include "check/kit.h"

#include <linux/virtio_blk.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define P       CHECK_PAGE
#define PAGE_0  64UL /* of the client's memory, in iova */
#define IOVA    (PAGE_0 * P)
#define NUM     16
#define LOG_LEN (2 * P)
#define RX_ROOM 256
#define TX_LEN  72

/* A disk has no receive ring; its frame is a request's header, its buffer the id and the request's
 * status. */
enum { AT_RX_RING, AT_TX_RING, AT_FRAME, AT_BUFFER, NR_PAGES };
#define MARK(at) (1u << (at))

struct card {
	uint8_t *mem; /* [NR_PAGES] */
	uint8_t *log; /* [LOG_LEN] */
	int fd;
	struct client_ring rx, tx;
	bool blk;
	unsigned written; /* MARK()s of what the device writes for one frame or request */
};

static int set_features(const struct check_ctx *t, const struct card *c, uint64_t more)
{
	return client_set_u64(c->fd, VHOST_SET_FEATURES, check_features(t) | more);
}

static int set_log(const struct card *c, const void *base)
{
	uint64_t addr = (uintptr_t)base;

	return client_ioctl(c->fd, VHOST_SET_LOG_BASE, &addr);
}

static int set_addr(const struct card *c, const struct client_ring *ring, unsigned flags,
		    uint64_t log)
{
	struct vhost_vring_addr addr = {
		.index = ring->idx,
		.flags = flags,
		.desc_user_addr = ring->iova,
		.avail_user_addr = ring->iova + (uint64_t)((uint8_t *)ring->avail - ring->base),
		.used_user_addr = ring->iova + (uint64_t)((uint8_t *)ring->used - ring->base),
		.log_guest_addr = log};

	return client_ioctl(c->fd, VHOST_SET_VRING_ADDR, &addr);
}

static void give_ring(struct check_ctx *t, struct card *c, struct client_ring *ring, uint32_t idx,
		      unsigned at)
{
	client_ring_init(ring, idx, NUM, c->mem + at * P, IOVA + at * P, 0);
	EXPECT_RC(t, 0, client_ring_attach(ring, c->fd));
	EXPECT_RC(t, 0, client_vring_set(c->fd, VHOST_VDPA_SET_VRING_ENABLE, idx, 1));
}

static void bring_up(struct check_ctx *t, struct card *c)
{
	EXPECT_RC(t, 0, client_set_status(c->fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, 0, set_features(t, c, 0));
	EXPECT_RC(t, 0, client_set_status(c->fd, CLIENT_STATUS_FEATURES));
	if (!c->blk)
		give_ring(t, c, &c->rx, CLIENT_NET_RX, AT_RX_RING);
	give_ring(t, c, &c->tx, c->blk ? 0 : CLIENT_NET_TX, AT_TX_RING);
	EXPECT_RC(t, 0, client_set_status(c->fd, CLIENT_STATUS_RUNNING));
}

static void start(struct check_ctx *t, struct card *c)
{
	memset(c, 0, sizeof(*c));
	c->blk = !check_missing(t->dev, CHECK_BLK);
	c->written = MARK(AT_TX_RING) | MARK(AT_BUFFER) | (c->blk ? 0 : MARK(AT_RX_RING));
	c->mem = check_pages(t, NR_PAGES);
	c->log = check_pages(t, LOG_LEN / P);
	if (c->blk)
		c->mem[AT_FRAME * P] = VIRTIO_BLK_T_GET_ID;
	else
		memset(c->mem + AT_FRAME * P + 12, 0xff, 6); /* broadcast */
	c->fd = check_open_owned(t);
	check_ack_backend(t, c->fd,
			  t->dev->backend & CLIENT_BACKEND_PERSIST); /* a reset keeps the map */
	EXPECT_RC(t, 0, check_map(c->fd, 0, IOVA, NR_PAGES * P, c->mem));
	bring_up(t, c);
}

/* The device runs and logs, as a migration begins. */
static void start_logging(struct check_ctx *t, struct card *c)
{
	start(t, c);
	EXPECT_RC(t, 0, set_log(c, c->log));
	EXPECT_RC(t, 0, set_features(t, c, CLIENT_FEATURE_LOG_ALL));
}

static void expect_done(struct check_ctx *t, struct client_ring *ring)
{
	EXPECT_RC(t, 0, client_ring_wait(ring, CHECK_WAIT));
	EXPECT_RC(t, 1, client_ring_pop(ring, NULL, NULL));
}

static void send_request(struct check_ctx *t, struct card *c)
{
	const struct client_buf request[] = {
		{IOVA + AT_FRAME * P, sizeof(struct virtio_blk_outhdr), false},
		{IOVA + AT_BUFFER * P, KIT_ID_LEN, true},
		{IOVA + AT_BUFFER * P + KIT_ID_LEN, 1, true},
	};

	EXPECT_RC(t, 0, client_ring_add(&c->tx, request, 3, NULL));
	EXPECT_RC(t, 0, client_ring_kick(&c->tx));
	expect_done(t, &c->tx);
}

static void send_frame(struct check_ctx *t, struct card *c)
{
	const struct client_buf buffer = {IOVA + AT_BUFFER * P, RX_ROOM, true};
	const struct client_buf frame = {IOVA + AT_FRAME * P, TX_LEN, false};

	EXPECT_RC(t, 0, client_ring_add(&c->rx, &buffer, 1, NULL));
	EXPECT_RC(t, 0, client_ring_add(&c->tx, &frame, 1, NULL));
	EXPECT_RC(t, 0, client_ring_kick(&c->tx));
	expect_done(t, &c->rx);
	expect_done(t, &c->tx);
}

/* One frame round the device, or one request. */
static void send_one(struct check_ctx *t, struct card *c)
{
	if (c->blk)
		send_request(t, c);
	else
		send_frame(t, c);
}

/* An event setting may be written after a completion is seen: suspended, all of it is done. */
static void settle(struct check_ctx *t, struct card *c)
{
	if (t->dev->backend & CLIENT_BACKEND_SUSPEND)
		EXPECT_RC(t, 0, client_ioctl(c->fd, VHOST_VDPA_SUSPEND, NULL));
}

/* Marks of the client's pages; takes them away. Marks elsewhere fail the check. */
static unsigned take_marks(struct check_ctx *t, struct card *c)
{
	unsigned marks = 0;

	settle(t, c);
	for (unsigned long p = 0; p < LOG_LEN * 8; p++) {
		if (!(c->log[p / 8] >> (p % 8) & 1))
			continue;
		if (p < PAGE_0 || p >= PAGE_0 + NR_PAGES)
			FAIL(t, "page %lu is marked, which is nobody's", p);
		marks |= 1u << (p - PAGE_0);
	}
	memset(c->log, 0, LOG_LEN);
	return marks;
}

/* ---- what is marked ---- */

static void written_pages_are_marked(struct check_ctx *t)
{
	struct card c;

	start_logging(t, &c);
	send_one(t, &c);
	EXPECT_EQ(t, c.written, take_marks(t, &c));
}

static void nothing_without_log_all(struct check_ctx *t)
{
	struct card c;

	start(t, &c);
	EXPECT_RC(t, 0, set_log(&c, c.log));
	send_one(t, &c);
	EXPECT_EQ(t, 0, take_marks(t, &c));
}

/* The used ring is logged as if it lay where the client says; page 80 is in the log, and
 * nobody's. */
static void used_ring_is_logged_elsewhere(struct check_ctx *t)
{
	const unsigned long elsewhere = 80;
	struct card c;

	start_logging(t, &c);
	EXPECT_RC(t, 0, set_addr(&c, &c.tx, 1, elsewhere * P));
	send_one(t, &c);
	settle(t, &c);
	EXPECT_EQ(t, 1, c.log[elsewhere / 8] >> (elsewhere % 8));
	c.log[elsewhere / 8] = 0;
	EXPECT_EQ(t, c.written & ~MARK(AT_TX_RING), take_marks(t, &c));
}

static void last_log_byte_is_the_last_page(struct check_ctx *t)
{
	struct card c;
	uint8_t *end = check_guarded(t, (PAGE_0 + NR_PAGES + 7) / 8);

	start(t, &c);
	EXPECT_RC(t, 0, set_log(&c, end));
	EXPECT_RC(t, 0, set_features(t, &c, CLIENT_FEATURE_LOG_ALL));
	send_one(t, &c);
	EXPECT_EQ(t, c.written, end[PAGE_0 / 8] & ((1u << NR_PAGES) - 1));
}

/* ---- the calls ---- */

/* What QEMU does from the start of a migration to its cancellation. */
static void migration_begins_and_is_cancelled(struct check_ctx *t)
{
	struct card c;

	start(t, &c);
	send_one(t, &c);
	EXPECT_RC(t, 0, set_log(&c, c.log));
	EXPECT_RC(t, 0, set_features(t, &c, CLIENT_FEATURE_LOG_ALL));
	EXPECT_RC(t, CLIENT_STATUS_RUNNING, client_get_status(c.fd));
	EXPECT_RC(t, 0, client_set_status(c.fd, CLIENT_STATUS_RUNNING));
	if (!c.blk)
		EXPECT_RC(t, 0, set_addr(&c, &c.rx, 1, IOVA + AT_RX_RING * P));
	EXPECT_RC(t, 0, set_addr(&c, &c.tx, 1, IOVA + AT_TX_RING * P));
	send_one(t, &c);
	EXPECT_RC(t, 0, set_features(t, &c, 0));
	EXPECT_RC(t, 0, client_set_status(c.fd, CLIENT_STATUS_RUNNING));
	if (!c.blk)
		EXPECT_RC(t, 0, set_addr(&c, &c.rx, 0, 0));
	EXPECT_RC(t, 0, set_addr(&c, &c.tx, 0, 0));
	memset(c.log, 0, LOG_LEN);
	send_one(t, &c);
	EXPECT_EQ(t, 0, take_marks(t, &c));
}

static void other_features_stay_settled(struct check_ctx *t)
{
	struct card c;

	start_logging(t, &c);
	EXPECT_RC(t, -EBUSY, client_set_u64(c.fd, VHOST_SET_FEATURES, CLIENT_FEATURE_LOG_ALL));
	EXPECT_RC(t, 0, set_features(t, &c, 0));
	EXPECT_RC(t, -EBUSY, set_features(t, &c, 0));
}

static void log_all_needs_a_log(struct check_ctx *t)
{
	struct card c;

	start(t, &c);
	EXPECT_RC(t, -EINVAL, set_features(t, &c, CLIENT_FEATURE_LOG_ALL));
}

static void ring_may_not_move(struct check_ctx *t)
{
	struct card c;

	start_logging(t, &c);
	c.tx.iova += 64;
	EXPECT_RC(t, -EINVAL, set_addr(&c, &c.tx, 1, 0));
}

static void log_base_errors(struct check_ctx *t)
{
	uint64_t base = (uintptr_t)check_read_only(t);
	int fd = check_open(t);

	EXPECT_RC(t, -EPERM, client_ioctl(fd, VHOST_SET_LOG_BASE, &base));
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	EXPECT_RC(t, -EFAULT, client_ioctl(fd, VHOST_SET_LOG_BASE, NULL));
	EXPECT_RC(t, -EFAULT, client_ioctl(fd, VHOST_SET_LOG_BASE, &base));
	base = (uintptr_t)check_unmapped();
	EXPECT_RC(t, -EFAULT, client_ioctl(fd, VHOST_SET_LOG_BASE, &base));
	base = 0;
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_LOG_BASE, &base));
}

static void log_fd_is_signalled(struct check_ctx *t)
{
	struct card c;
	int fd = check_eventfd(t, 0);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	start_logging(t, &c);
	EXPECT_RC(t, 0, client_ioctl(c.fd, VHOST_SET_LOG_FD, &fd));
	EXPECT_EQ(t, 0, (uint64_t)poll(&pfd, 1, 0));
	send_one(t, &c);
	EXPECT_EQ(t, 1, (uint64_t)poll(&pfd, 1, CHECK_WAIT));
}

static void log_fd_errors(struct check_ctx *t)
{
	int fd = -1, file, own = check_open_owned(t);

	EXPECT_RC(t, 0, client_ioctl(own, VHOST_SET_LOG_FD, &fd));
	file = own;
	EXPECT_RC(t, -EINVAL, client_ioctl(own, VHOST_SET_LOG_FD, &file));
	file = 12345;
	EXPECT_RC(t, -EBADF, client_ioctl(own, VHOST_SET_LOG_FD, &file));
	EXPECT_RC(t, -EFAULT, client_ioctl(own, VHOST_SET_LOG_FD, NULL));
}

/* ---- a log that is taken away ---- */

/* Row: a is how the client stops the logging. The log's memory is gone when the call has
 * returned. */
enum { BY_FEATURES, BY_RESET, BY_CLOSE, BY_ANOTHER, BY_ZERO };

static void log_is_left_alone(struct check_ctx *t)
{
	struct card c;

	start_logging(t, &c);
	send_one(t, &c);
	switch (t->check->a) {
	case BY_FEATURES:
		EXPECT_RC(t, 0, set_features(t, &c, 0));
		break;
	case BY_RESET:
		EXPECT_RC(t, 0, client_set_status(c.fd, 0));
		break;
	case BY_CLOSE:
		check_close(t, c.fd);
		break;
	case BY_ANOTHER:
		EXPECT_RC(t, 0, set_log(&c, check_pages(t, LOG_LEN / P)));
		break;
	default:
		EXPECT_RC(t, 0, set_log(&c, NULL));
	}
	memset(c.log, 0, LOG_LEN);
	if (t->check->a == BY_CLOSE) {
		c.fd = check_open_owned(t);
		EXPECT_RC(t, 0, check_map(c.fd, 0, IOVA, NR_PAGES * P, c.mem));
	}
	if (t->check->a == BY_CLOSE || t->check->a == BY_RESET) {
		memset(c.mem, 0, 2 * P);
		bring_up(t, &c);
	}
	send_one(t, &c);
	EXPECT_EQ(t, 0, take_marks(t, &c));
}

/* The device works on without its log, and the client lives. */
static void log_that_vanishes(struct check_ctx *t)
{
	struct card c;

	start_logging(t, &c);
	send_one(t, &c);
	EXPECT(t, mprotect(c.log, LOG_LEN, t->check->a ? PROT_READ : PROT_NONE) == 0);
	send_one(t, &c);
	send_one(t, &c);
	EXPECT(t, mprotect(c.log, LOG_LEN, PROT_READ | PROT_WRITE) == 0);
	memset(c.log, 0, LOG_LEN);
	EXPECT_RC(t, 0, set_log(&c, c.log)); /* given anew, it is one again */
	send_one(t, &c);
	EXPECT_EQ(t, c.written, take_marks(t, &c));
}

static void strict_never_logs(struct check_ctx *t)
{
	EXPECT_EQ(t, 0, t->dev->features & CLIENT_FEATURE_LOG_ALL);
}

#define LEFT_ALONE(name, clause, by)                                                               \
	{                                                                                          \
		"dirty.left_alone.after_" name, clause, log_is_left_alone, CHECK_LOG, 0, by, 0     \
	}

static const struct check rows[] = {
	{"dirty.log_all.not_offered", "1-6", strict_never_logs, CHECK_STRICT, 0, 0, 0},
	{"dirty.marks.what_is_written", "2-18", written_pages_are_marked, CHECK_LOG, 0, 0, 0},
	{"dirty.marks.nothing_without_log_all", "2-18", nothing_without_log_all, CHECK_LOG, 0, 0,
	 0},
	{"dirty.marks.used_ring_at_log_address", "1-29", used_ring_is_logged_elsewhere, CHECK_LOG,
	 0, 0, 0},
	{"dirty.marks.no_byte_behind_the_last", "2-18", last_log_byte_is_the_last_page, CHECK_LOG,
	 0, 0, 0},
	{"dirty.calls.migration_begins_and_is_cancelled", "1-7", migration_begins_and_is_cancelled,
	 CHECK_LOG, 0, 0, 0},
	{"dirty.calls.other_features_stay_settled", "1-7", other_features_stay_settled, CHECK_LOG,
	 0, 0, 0},
	{"dirty.calls.log_all_without_log_einval", "1-7", log_all_needs_a_log, CHECK_LOG, 0, 0, 0},
	{"dirty.calls.running_ring_may_not_move", "1-29", ring_may_not_move, CHECK_LOG, 0, 0, 0},
	{"dirty.calls.log_base_errors", "1-5", log_base_errors, CHECK_LOG, 0, 0, 0},
	{"dirty.calls.log_fd_is_signalled", "1-5", log_fd_is_signalled, CHECK_LOG, 0, 0, 0},
	{"dirty.calls.log_fd_errors", "1-5", log_fd_errors, CHECK_LOG, 0, 0, 0},
	LEFT_ALONE("set_features", "1-7", BY_FEATURES),
	LEFT_ALONE("reset", "4-6", BY_RESET),
	LEFT_ALONE("close", "4-3", BY_CLOSE),
	LEFT_ALONE("another_log", "1-5", BY_ANOTHER),
	LEFT_ALONE("no_log", "1-5", BY_ZERO),
	{"dirty.fault.log_becomes_inaccessible", "1-5", log_that_vanishes, CHECK_LOG, 0, 0, 0},
	{"dirty.fault.log_becomes_read_only", "1-5", log_that_vanishes, CHECK_LOG, 0, 1, 0},
};

const struct check_set check_set_dirty = CHECK_SET(rows);
