// SPDX-License-Identifier: BSD-3-Clause
/*
 * Inside of simblk_io.c, simblk_settle.c, simblk_orphan.c and simblk_bounce.c: what a worker has in
 * flight. Of that worker's thread alone, until the thread has ended.
 */
#ifndef HOLDFAST_SIM_SIMBLK_IO_H
#define HOLDFAST_SIM_SIMBLK_IO_H

#include <errno.h>

#include "base/uring.h"
#include "simblk_internal.h"

/* ---- simblk_bounce.c ---- */

#define BOUNCE_NR  64u /* blocks; one bit each */
#define BOUNCE_LEN (SIMBLK_FLIGHT_LEN / BOUNCE_NR)

struct bounce {
	char *base;    /* BOUNCE_NR blocks, each aligned to SIMBLK_ALIGN; NULL: not made */
	uint64_t free; /* bit i: block i */
};

/** bounce_init() - all blocks are free. Return: 0 or -ENOMEM */
int bounce_init(struct bounce *b) HF_MUST_CHECK;
void bounce_fini(struct bounce *b);
/** bounce_leave() - never give the memory back: the kernel may be at work on it for ever */
void bounce_leave(struct bounce *b);
/** bounce_choose() - free blocks for @len bytes; they stay free. Return: their bits; 0: too few */
uint64_t bounce_choose(const struct bounce *b, uint64_t len);
static inline unsigned int bounce_nr_of(uint64_t len)
{
	return (unsigned int)((len + BOUNCE_LEN - 1) / BOUNCE_LEN);
}
/** bounce_iov() - the @len bytes behind @off of what lies in @blocks
 * @iov: [BOUNCE_NR] Return: pieces */
unsigned int bounce_iov(const struct bounce *b, uint64_t blocks, uint64_t off, uint64_t len,
			struct iovec *iov);

/* ---- simblk_io.c ---- */

struct flight {
	struct simblk_req req;
	uint64_t off, len; /* on the disk; bytes */
	uint64_t blocks;   /* that its data lie in */
	enum simblk_io_op op;
	bool safe;   /* a write that is on the drive when it has ended */
	bool out;    /* this slot is in use */
	bool ended;  /* the kernel has done with it; it is out because a reset came in between */
	bool orphan; /* a reset has given it up: it belongs to no request any more */
};

#define SIMBLK_IO_TRIES 100u /* system calls in a row that may fail while requests are in flight */

struct simblk_io {
	struct uring *ring;    /* NULL: cannot be had */
	unsigned int patience; /* how often looking on may yet be in vain */
	int64_t linger_from;   /* no looking on before that */
	unsigned int nr_free, nr_pieces;
	unsigned int nr_kept;        /* prepared since the last hand-over */
	unsigned int nr_orphans;     /* of flights[] */
	unsigned int nr_ended;       /* of flights[], those with @ended */
	unsigned int nr_flushes;     /* of flights[], orphans included */
	unsigned int nr_wanted;      /* blocks that the last request lacked, which begins later */
	uint16_t free[SIMBLK_DEPTH]; /* [nr_free] indices of flights[] */
	struct flight flights[SIMBLK_DEPTH];
	struct bounce bounce;
	struct iovec pieces[BOUNCE_NR]; /* [nr_pieces], of what was not submitted yet */
};

/** simblk_io_nr_live() - requests in flight */
static inline unsigned int simblk_io_nr_live(const struct simblk_io *io)
{
	return uring_nr_busy(io->ring) + io->nr_ended - io->nr_orphans;
}

/** simblk_io_end() - the kernel has done with it, or never had it, and its request waits for the
 * reset that comes */
static inline void simblk_io_end(struct simblk_io *io, struct flight *f)
{
	f->ended = true;
	io->nr_ended++;
}

/** simblk_io_land_some() - take the ends that there are, but not more than may be copied in one
 * turn; stops where a reset is about to be made */
void simblk_io_land_some(struct simblk *blk, const struct vdpasim_worker *sw);
/** simblk_io_land_unsubmitted() - the kernel does not take what was prepared: plain calls do it,
 * with the worker's lock held; stops where a reset is about to be made */
void simblk_io_land_unsubmitted(struct simblk_io *io, const struct vdpasim_worker *sw);
/** simblk_io_lose() - no request is in flight, and the last hand-over has failed with @err. If the
 * ring will not work again, and has nothing in it, do without */
void simblk_io_lose(struct simblk *blk, struct simblk_io *io, int err) HF_COLD;
/** simblk_io_release() - its slot and its blocks are free again */
void simblk_io_release(struct simblk_io *io, struct flight *f);
/** simblk_io_try_again() - does this result leave something to do for plain calls? */
bool simblk_io_try_again(int32_t res);
/** simblk_io_syncs() - does a flight that ends with @err tell of other writes, too? */
static inline bool simblk_io_syncs(const struct flight *f, int err)
{
	return f->op == SIMBLK_FLUSH || (f->safe && (!err || err == -EIO));
}

/* ---- simblk_orphan.c ---- */

/** simblk_io_release_orphan() - one has ended with @res */
void simblk_io_release_orphan(struct simblk_io *io, struct flight *f, int32_t res);
/** simblk_io_abandon() - give up all requests in flight, for a reset */
void simblk_io_abandon(struct simblk *blk, struct vdpasim_worker *sw);

#endif
