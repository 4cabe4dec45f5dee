/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that works: its rings and buffers in one page (a kit), and pairs of such pages, which
 * tell how the device translates. Used by checks that move data; those that only make calls need
 * check.h alone. Single threaded.
 */
#ifndef HOLDFAST_CHECK_KIT_H
#define HOLDFAST_CHECK_KIT_H

#include "check/check.h"

enum { KIT_NUM = 16, KIT_RING = 512, KIT_TX_FRAME = 2048, KIT_RX_BUF = 2304, KIT_CMD = 2560 };
enum {
	KIT_TX_LEN = 12 + 60,
	KIT_RX_LEN = 256,
	KIT_CMD_LEN = 8,
	KIT_ACK = KIT_CMD + 64,
	KIT_ID_LEN = 20
};

/** A kit's rings. A network device has all of them, a block device KIT_WORK alone, as its queue
 * 0. */
enum check_slot { KIT_RX = CLIENT_NET_RX, KIT_WORK = CLIENT_NET_TX, KIT_CTRL = CLIENT_NET_CTRL };

/**
 * Rings of 16 entries with one buffer each, all in one page, so that one mapping of one page
 * decides where the device works. Of a network device these are receive, transmit and control ring:
 * the transmit ring holds a broadcast frame, which a looping device hands to the receive ring, the
 * control ring a MAC address command. Of a block device it is one ring with a GET_ID request.
 */
struct check_kit {
	uint8_t *page;
	uint64_t iova;
	bool blk;
	struct client_ring ring[CLIENT_NET_NR]; /* by enum check_slot; idx is the device's number */
};

/** check_kit_init() - lay the kit into @page as the device shall see it at @iova. */
void check_kit_init(struct check_ctx *t, struct check_kit *kit, void *page, uint64_t iova,
		    uint16_t start);

/** check_kit_has() - Return: whether the device has the ring at @slot. */
bool check_kit_has(const struct check_ctx *t, unsigned slot);

/** check_kit_ready() - features and FEATURES_OK, without rings. */
void check_kit_ready(struct check_ctx *t, int fd);

/** check_kit_give() - give rings to the device, not enabled. */
void check_kit_give(struct check_ctx *t, int fd, struct check_kit *kit);

/** check_kit_enable() - enable the rings, or disable them. */
void check_kit_enable(struct check_ctx *t, int fd, struct check_kit *kit, bool on);

/** check_kit_attach() - give rings to the device and enable them. */
void check_kit_attach(struct check_ctx *t, int fd, struct check_kit *kit);

/** check_kit_start() - ready, attach, DRIVER_OK. The control ring only where there is one. */
void check_kit_start(struct check_ctx *t, int fd, struct check_kit *kit);

/** check_kit_open() - open the device, with the kit in a new page mapped at @iova. Return: the fd
 */
int check_kit_open(struct check_ctx *t, struct check_kit *kit, uint64_t iova);

/** check_kit_prepare() - the same, with FEATURES_OK and its rings, not enabled. Return: the fd */
int check_kit_prepare(struct check_ctx *t, struct check_kit *kit, uint64_t iova);

/** check_kit_run() - check_kit_open(), and start it. Return: the fd */
int check_kit_run(struct check_ctx *t, struct check_kit *kit, uint64_t iova);

/** check_kit_used() - the used index of ring @idx in the kit laid into @page. */
uint16_t check_kit_used(const void *page, unsigned idx);

/** check_kit_kick() - kick ring @idx. */
void check_kit_kick(struct check_ctx *t, struct check_kit *kit, unsigned idx);

/** check_kit_expect_used() - wait until ring @idx's used index in @page is @want. */
void check_kit_expect_used(struct check_ctx *t, struct check_kit *kit, const void *page,
			   unsigned idx, uint16_t want);

/** check_kit_poll_used() - the same without relying on the call eventfd, which stays unread. */
void check_kit_poll_used(struct check_ctx *t, struct check_kit *kit, const void *page, unsigned idx,
			 uint16_t want);

/** check_kit_called() - Return: whether the ring's call eventfd is signalled within @wait_ms. */
bool check_kit_called(const struct client_ring *ring, int wait_ms);

/** check_kit_expect_quiet() - watch for quiet_ms: the used index in @page stays @want. */
void check_kit_expect_quiet(struct check_ctx *t, struct check_kit *kit, const void *page,
			    unsigned idx, uint16_t want);

/* The same of the ring that works, in the kit's own page: kick it, wait for it, watch it. */
static inline void check_work_kick(struct check_ctx *t, struct check_kit *kit)
{
	check_kit_kick(t, kit, KIT_WORK);
}

static inline void check_work_used(struct check_ctx *t, struct check_kit *kit, uint16_t want)
{
	check_kit_expect_used(t, kit, kit->page, KIT_WORK, want);
}

/** check_work_once() - kick it, and the first work comes back */
static inline void check_work_once(struct check_ctx *t, struct check_kit *kit)
{
	check_work_kick(t, kit);
	check_work_used(t, kit, 1);
}

static inline void check_work_quiet(struct check_ctx *t, struct check_kit *kit, uint16_t want)
{
	check_kit_expect_quiet(t, kit, kit->page, KIT_WORK, want);
}

/** check_kit_expect_base() - GET_VRING_BASE of the working ring gives @want. */
void check_kit_expect_base(struct check_ctx *t, int fd, const struct check_kit *kit, uint32_t want);

/** check_kit_expect_done() - wait until the first work in @page is done: the frame is back, the id
 * here. */
void check_kit_expect_done(struct check_ctx *t, struct check_kit *kit, const void *page);

/** check_kit_send() - add one more broadcast frame (and a receive buffer) or request, and kick. */
void check_kit_send(struct check_ctx *t, struct check_kit *kit);

enum check_where { WHERE_NOWHERE, WHERE_MAPPED, WHERE_IDENTITY, WHERE_BOTH };

/**
 * Two pages with the same kit: @mapped, which an UPDATE gives to the device at @iova, and
 * @identity, whose 1:1 address @iova is. Whose used index moves tells how the device translates.
 */
struct check_pair {
	uint8_t *mapped;
	uint8_t *identity;
	uint64_t iova;
	struct check_kit kit;
	uint16_t mapped_used[CLIENT_NET_NR], identity_used[CLIENT_NET_NR]; /* when last looked at */
};

/** check_pair_init() - make the pair, nothing mapped yet. */
void check_pair_init(struct check_ctx *t, struct check_pair *pair);

/** check_pair_open() - open the device and own it, make the pair. Return: fd. */
int check_pair_open(struct check_ctx *t, struct check_pair *pair);

/** check_pair_map() - UPDATE iova -> mapped page in @asid. */
void check_pair_map(struct check_ctx *t, int fd, struct check_pair *pair, uint32_t asid);

/** check_pair_start() - lay the kit out anew in both pages and start the device on it. */
void check_pair_start(struct check_ctx *t, int fd, struct check_pair *pair);

/** check_pair_refill() - on a running device: offer one more buffer on ring @idx. */
void check_pair_refill(struct check_pair *pair, unsigned idx);

/** check_pair_where() - kick ring @idx. Return: whose used index moves within @wait_ms, or has
 * moved since the pair was started, refilled, or looked at: a device may look at a ring when it
 * starts. */
enum check_where check_pair_where(struct check_ctx *t, struct check_pair *pair, unsigned idx,
				  int wait_ms);

/** check_pair_expect() - kick ring @idx and expect that @want moves. */
void check_pair_expect(struct check_ctx *t, struct check_pair *pair, unsigned idx,
		       enum check_where want, const char *file, int line);

/** check_where_unmapped() - Return: through what the device works while nothing is mapped. */
enum check_where check_where_unmapped(const struct check_ctx *t);

#define EXPECT_WHERE(t, want, pair, idx) check_pair_expect(t, pair, idx, want, __FILE__, __LINE__)

/** Start the device on the pair, and the same. */
#define EXPECT_STARTS(t, want, fd, pair, idx)                                                      \
	do {                                                                                       \
		check_pair_start(t, fd, pair);                                                     \
		EXPECT_WHERE(t, want, pair, idx);                                                  \
	} while (0)

#endif
