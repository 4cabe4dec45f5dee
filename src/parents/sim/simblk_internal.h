// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated disk: request queues, each served by one worker, in front of a backend that holds
 * the sectors.
 *
 *   simblk.c          makes devices
 *   simblk_device.c   answers the core's hooks
 *   simblk_request.c  takes a request apart
 *   simblk_batch.c    carries requests out
 *   simblk_piece.c    piece by piece
 *   simblk_range.c    does so for discards and zeroes
 *   simblk_io.c       has those of a file in flight, by io_uring
 *   simblk_settle.c   is the batch that waits for them
 *   simblk_orphan.c   is what a reset leaves of them
 *   simblk_bounce.c   is the memory that they use
 *   simblk_job.c      has the host do the rest between two batches
 *   simblk_flush.c    remembers that a flush has failed
 *   simblk_cold.c     has the host read what its page cache lacks, between two batches
 *   simblk_strict.c   does so as the kernel's simulator does, to the letter
 *   simblk_ram.c, simblk_file.c   the backends
 *   simblk_map.c      reads a file in memory by a mapping
 *   simblk_lock.c     locks a file
 *
 * Owns: the backend.
 *
 * Locks: two of its own, for the errors of flushes and for windows of a mapping. A queue is under
 * its worker's lock. Workers call the backend at the same time. If one writes a sector while
 * another reads it, the reader gets the old bytes, the new ones, or a mixture, as from any disk.
 *
 * A worker stays an online RCU reader during a backend's input and output, however long that
 * takes. The iovecs point into the client's memory, and a grace period that ended meanwhile would
 * give that memory back. Backends never wait for a control thread, so waiting for them cannot
 * deadlock. This holds for requests in flight, too: they end within the batch. Jobs, and fetches of
 * what the page cache lacks, touch no client memory: they are made offline, between two batches.
 */
#ifndef HOLDFAST_SIM_SIMBLK_INTERNAL_H
#define HOLDFAST_SIM_SIMBLK_INTERNAL_H

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/mutex.h"
#include "sim.h"

#define SIMBLK_SECTOR      512 /* bytes */
#define SIMBLK_QUEUES_MAX  256
#define SIMBLK_MAX_SECTORS 131072 /* of one IN or OUT, [7-13]; 64 MiB */
#define SIMBLK_RAM_LEN     (128ULL << 20)
#define SIMBLK_SEGS_MAX    254
#define SIMBLK_SIZE_MAX    (256u << 10) /* times SIMBLK_SEGS_MAX: within SIMBLK_MAX_SECTORS */
#define SIMBLK_DISCARD_MAX (1u << 22)   /* sectors of one range */
#define SIMBLK_ZEROES_MAX                                                                          \
	SIMBLK_MAX_SECTORS             /* sectors of one range, which may have to be written */
#define SIMBLK_RANGES_MAX   16         /* of one DISCARD */
#define SIMBLK_BATCH        16         /* requests */
#define SIMBLK_BATCH_LEN    (1u << 20) /* bytes; a longer request goes on in the next batch */
#define SIMBLK_BLOCKS_LEN   (1u << 18) /* the same if the backend may block */
#define SIMBLK_STEP_LEN     (1u << 16) /* bytes between two looks whether somebody waits */
#define SIMBLK_DEPTH        64         /* requests in flight of one worker */
#define SIMBLK_FLIGHT_LEN   (4u << 20) /* bytes of them */
#define SIMBLK_ALIGN        4096u      /* bytes, of memory of our own for a transfer */
#define SIMBLK_NOTIFY_NS    (20 * NS_PER_US) /* that a completion may wait for others */
#define SIMBLK_COLD_NS      (40 * NS_PER_US) /* a plain request that takes so long has waited */
#define SIMBLK_SLOW_NS      (2 * NS_PER_MS)  /* ... and so long that others should not */
#define SIMBLK_NR_COLD      256              /* requests until it is looked at again */
#define SIMBLK_AHEAD        32 /* requests that the host is told of before their turn */
#define SIMBLK_STRICT_BATCH 5  /* requests, [7-13] */
#define SIMBLK_ID_LEN       20 /* bytes */
#define SIMBLK_F(name)      (1ULL << VIRTIO_BLK_F_##name)

/* [7-12] */
#define SIMBLK_FEATURES_STRICT                                                                     \
	(SIMBLK_F(SIZE_MAX) | SIMBLK_F(SEG_MAX) | SIMBLK_F(BLK_SIZE) | SIMBLK_F(FLUSH) |           \
	 SIMBLK_F(TOPOLOGY) | SIMBLK_F(MQ) | SIMBLK_F(DISCARD) | SIMBLK_F(WRITE_ZEROES) |          \
	 1ULL << VIRTIO_F_ANY_LAYOUT | 1ULL << VIRTIO_F_VERSION_1 |                                \
	 1ULL << VIRTIO_F_ACCESS_PLATFORM)
#define SIMBLK_FEATURES_RICH                                                                       \
	(1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VIRTIO_RING_F_EVENT_IDX |                   \
	 1ULL << VIRTIO_F_RING_PACKED | 1ULL << VIRTIO_F_IN_ORDER | 1ULL << VIRTIO_F_RING_RESET)
/* Offered only when asked for. Indirect descriptors are not among them: QEMU migrates no disk on
 * vhost-vdpa-device-pci, and its block driver does not show a guest what the disk offers. */
#define SIMBLK_FEATURES_ASKED                                                                      \
	(1ULL << VIRTIO_F_RING_PACKED | 1ULL << VIRTIO_F_IN_ORDER | 1ULL << VIRTIO_F_RING_RESET)
#define SIMBLK_FEATURES_ALL (SIMBLK_FEATURES_STRICT | SIMBLK_FEATURES_RICH | SIMBLK_F(RO))

struct simblk;

/*
 * Where the sectors are. The caller checks offsets and lengths: they lie within the disk, and are
 * multiples of a sector, except for reads and writes in strict mode. Any number of workers may
 * call these functions at once.
 * Return of all: 0; -EFAULT the client's memory is gone; else an errno, negated
 */
struct simblk_backend_ops {
	const char *name;
	bool blocks;  /* calls may take long, but for a quick disk's: completions are told soon */
	bool outside; /* it has something that another process may want: see simblk_yield() */
	/** @args: what followed the name and a comma, "" if nothing. Sets blk->len. Return: 0 or
	 * refuse() */
	int (*open)(struct simblk *blk, const char *args, const struct vdpa_dev_config *config);
	/** also after an open that failed */
	void (*close)(struct simblk *blk);
	/** @iov: [consumed] @n pieces of client memory */
	int (*read)(struct simblk *blk, uint64_t off, struct iovec *iov, unsigned int n);
	/** as read, but -EAGAIN if it had to wait; @iov is left alone then. NULL, and the next two:
	 * reads never wait */
	int (*read_now)(struct simblk *blk, uint64_t off, struct iovec *iov, unsigned int n);
	/** make read_now() succeed, if that can be; takes as long as the host does. Without the
	 * worker's lock */
	void (*fetch)(struct simblk *blk, uint64_t off, uint64_t len);
	/** begin that, and do not wait for it */
	void (*expect)(struct simblk *blk, uint64_t off, uint64_t len);
	int (*write)(struct simblk *blk, uint64_t off, struct iovec *iov, unsigned int n);
	int (*flush)(struct simblk *blk);
	/** has a write to the drive failed since this was called last, whatever a flush was told of
	 * it? Waits for nothing. Return: 0, also if that cannot be told. NULL: none ever fails */
	int (*has_failed)(struct simblk *blk);
	/** the contents do not matter any more */
	int (*discard)(struct simblk *blk, uint64_t off, uint64_t len);
	/** @unmap: the storage may be given back */
	int (*zero)(struct simblk *blk, uint64_t off, uint64_t len, bool unmap);
	/** which of blk->fds takes a transfer between memory that is aligned to pages and @len
	 * bytes from @off on; NULL: there are no descriptors */
	unsigned int (*fd_index)(const struct simblk *blk, uint64_t off, uint64_t len);
};

/* 64-bit counters of one queue; written by its worker, atomic. */
struct simblk_stats {
	uint64_t requests, errors, read_bytes, written_bytes;
};

struct simblk_extent {
	uint64_t off, len; /* bytes */
};

/* Reads of a queue that the page cache lacks: simblk_cold.c. Of its worker alone. */
struct simblk_cold {
	bool wanted;          /* [off, off + len) is to be fetched before the next batch */
	bool fetched;         /* it was */
	uint64_t off, len;    /* bytes, of one piece of the queue's first request */
	int64_t began;        /* clock_now_ns() of the batch that found it missing */
	unsigned int nr_left; /* so many reads are fetched without being tried */
	/* of the chains of @generation from @seq on, bit i: the host knows of chain @seq + i */
	uint32_t generation, seq, told;
	unsigned int nr_ahead;
	struct simblk_extent ahead[SIMBLK_AHEAD]; /* [nr_ahead] it is to be told of */
};

enum simblk_job_op {
	SIMBLK_JOB_READ,
	SIMBLK_JOB_WRITE, /* the next ones are the last of a batch */
	SIMBLK_JOB_DISCARD,
	SIMBLK_JOB_ZERO,
	SIMBLK_JOB_UNMAP,
	SIMBLK_JOB_FLUSH
};

/* What the host does for a request, or for a piece of it: simblk_job.c. */
struct simblk_job {
	uint32_t generation, seq, type; /* of its chain; of the request */
	uint64_t sector;                /* of the request */
	uint64_t from;                  /* bytes of the request that were done before */
	uint64_t off, len;              /* bytes on the disk */
	char *buf;                      /* [@len], of READ and WRITE */
	enum simblk_job_op op;
	bool sync; /* a flush comes behind it; its error counts here */
	int err;   /* once it has ended */
};

/* The jobs of a queue's first requests. Worker lock, but for @host; what lies behind @outside is
 * the worker's alone while that is set. */
struct simblk_jobs {
	unsigned int nr, next; /* noted; the first of them whose result was not taken */
	bool ended;            /* they have results */
	bool forgotten;        /* the ring has stopped: they belong to no request */
	int host;              /* what it does with them; atomic */
	bool outside;          /* the worker has let go of its lock for them */
	uint32_t used;         /* bytes of @buf */
	char *buf;             /* [SIMBLK_BLOCKS_LEN]; NULL: not made */
	int64_t began, took;   /* clock_now_ns() when the first was noted; ns */
	struct simblk_job job[SIMBLK_BATCH];
};

/* How far a queue's first request is, where one batch was not enough. Worker lock. */
struct simblk_progress {
	uint32_t generation, seq; /* of its chain */
	uint32_t type;
	uint64_t sector;
	uint64_t done;             /* bytes; 0: no request is under way */
	unsigned int nr_in_flight; /* other requests of the queue */
	/* how many of the next requests that are alone are in flight: another came while the last
	 * plain one was waited for */
	unsigned int nr_alone;
	struct simblk_cold cold;
	struct simblk_jobs jobs;
};

enum simblk_fd { SIMBLK_CACHED, SIMBLK_AHEAD_FD, SIMBLK_DIRECT, SIMBLK_NR_FDS };

struct simblk_io;

/* A file that reads are copied from. */
struct simblk_map {
	char *base;        /* [nr_windows * SIMBLK_WINDOW_LEN]; NULL: reads are plain calls */
	uint16_t *windows; /* [nr_windows] see simblk_map.c; atomic, written with @lock */
	uint64_t nr_windows;
	struct mutex lock;
	int nr_runs, nr_runs_max; /* of windows side by side that can be read; @lock */
};

struct simblk {
	char name[VDPA_NAME_MAX + 1];
	const struct simblk_backend_ops *backend;
	int fds[SIMBLK_NR_FDS]; /* file: through the page cache; reads ahead; past it, or -1 */
	uint32_t mem_align, off_align;             /* bytes, of what goes past the page cache */
	bool quick;                                /* nothing waits for a device: memory */
	struct simblk_io *io[VDPASIM_WORKERS_MAX]; /* worker lock; NULL: not tried */
	char *ram;                                 /* [@len] ram */
	struct simblk_map map;                     /* file */
	uint64_t len; /* bytes, multiple of a sector; const while the backend is open */
	struct vdpa_dev_config spec; /* what it was made of */
	bool idle;                   /* the backend is closed; device lock */
	uint16_t nr_queues;
	uint16_t segs_max;
	bool read_only, strict;
	struct simblk_stats *stats;       /* [nr_queues] */
	struct simblk_progress *progress; /* [nr_queues] */
	bool write_through;  /* the driver does not flush; set under all worker locks */
	uint64_t unsafe_len; /* bytes written since the last flush, about; atomic */
	/* requests in flight that a reset has given up, of all workers: nothing new begins until
	 * they have ended; atomic */
	unsigned int nr_orphans;
	struct mutex asking; /* simblk_flush.c */
	int flush_err;       /* of the first flush that has failed since the open; @asking */
	bool failed; /* requests were lost in an io_uring: nothing more until an open; atomic */
};

static inline struct simblk *simblk_of(const struct vdpasim *sim)
{
	return sim->priv;
}

static inline uint64_t simblk_nr_sectors(const struct simblk *disk)
{
	return disk->len / SIMBLK_SECTOR;
}

/* ---- simblk_device.c ---- */
extern const struct vdpasim_type simblk_type;
/** simblk_claim() - open a backend that simblk_yield() has closed. Device lock held. Return: 0 or
 * refuse() */
int simblk_claim(struct simblk *blk) HF_MUST_CHECK;
/** simblk_yield() - close a backend that others may want. There are no workers; device lock held */
void simblk_yield(struct simblk *blk);
/** simblk_create() - a disk without a device, backend open. Return: 0; -errno with refuse() in
 * words */
int simblk_create(const struct vdpa_dev_config *config, struct simblk **out) HF_MUST_CHECK;
void simblk_destroy(struct simblk *blk);
/** simblk_features() - all that this disk can offer */
uint64_t simblk_features(const struct simblk *blk);

/* ---- simblk_request.c ---- */
#define SIMBLK_HEADER_LEN sizeof(struct virtio_blk_outhdr)

/* One request, taken apart. */
struct simblk_req {
	struct simblk *blk;
	struct vdpasim_vq *vq;
	struct ring_chain chain;
	uint32_t type;
	uint64_t sector;
	bool has_header;  /* @type and @sector are there */
	bool has_status;  /* there is a last writable byte, and it is mapped */
	uint64_t in_len;  /* writable bytes before the status */
	uint64_t out_len; /* readable bytes behind the header */
	uint64_t done;    /* bytes carried out in earlier batches and in this one */
	uint64_t budget;  /* bytes that this batch may still carry out, multiple of a sector */
	bool again;       /* the request is not at its end, and goes on in another batch */
	bool noted;       /* a job does it, or its next piece */
	bool has_job;     /* @job is the result of one */
	struct simblk_job job;
	bool in_flight; /* simblk_io_settle() completes it */
};

/* Pieces of client memory. */
struct simblk_pieces {
	struct iovec iov[RING_CHAIN_IOV_MAX];
	unsigned int n;
};

/** simblk_req_parse() - fill @req from its chain */
void simblk_req_parse(struct simblk_req *req);
/** simblk_req_finish() - write the status if there is room for it, and complete the chain
 * @written: bytes of data written */
void simblk_req_finish(struct simblk_req *req, uint8_t status, uint32_t written);
/** simblk_complete() - count a request and finish it; default mode */
void simblk_complete(struct simblk_req *req, uint8_t status, uint32_t written);
/** simblk_is_mapped() - are the first @len bytes there, and mapped? */
bool simblk_is_mapped(const struct iovec *iov, uint32_t nr, uint64_t len);
/** simblk_slice() - the @len bytes behind @off. Return: false if any of them is missing or not
 * mapped; @pieces has what comes before that */
bool simblk_slice(const struct iovec *iov, uint32_t nr, uint64_t off, uint64_t len,
		  struct simblk_pieces *pieces);
/** simblk_req_in() / simblk_req_out() - the data of a request, of the writable bytes the first @len
 * Return: false if any of it is not mapped; @pieces has what comes before that */
bool simblk_req_in(const struct simblk_req *req, uint64_t len, struct simblk_pieces *pieces);
bool simblk_req_out(const struct simblk_req *req, struct simblk_pieces *pieces);
/** simblk_req_read() - copy the first @len bytes of the readable data. Return: false if they are
 * not all there and mapped */
bool simblk_req_read(const struct simblk_req *req, void *dst, size_t len);
/** simblk_in_range() - do @nr sectors from @sector on lie on the disk, and are they at most
 * @max? */
bool simblk_in_range(const struct simblk *blk, uint64_t sector, uint64_t nr, uint64_t max);
/** simblk_req_status() - the status for what a backend returned; breaks the ring if memory is
 * gone */
uint8_t simblk_req_status(const struct simblk_req *req, int err);

/* ---- simblk_piece.c: a request that is longer than a batch, or than a step of one ---- */
/** simblk_take_up() - is this the request that the last batch has left in the middle? Fills
 * req->done */
void simblk_take_up(struct simblk_req *req, struct simblk_progress *p);
/** simblk_piece_len() - bytes of the next piece, if it ends at @total at the latest */
uint64_t simblk_piece_len(const struct simblk_req *req, uint64_t total);
/** simblk_step_len() - the same for a piece whose pages are touched under the worker's lock */
uint64_t simblk_step_len(const struct simblk_req *req, uint64_t total);
/** simblk_piece_done() - @len bytes of @total are carried out */
void simblk_piece_done(struct simblk_req *req, uint64_t len, uint64_t total);
/** simblk_goes_on() - may this batch do the next piece? No if there is none */
bool simblk_goes_on(const struct simblk_req *req);
/** simblk_piece_note() - have a job do @len bytes from @off on the disk on, of @total. Return:
 * VIRTIO_BLK_S_OK */
uint8_t simblk_piece_note(struct simblk_req *req, enum simblk_job_op op, uint64_t off, uint64_t len,
			  uint64_t total);
/** simblk_leave() - give it back to the ring, which is its place while the worker's lock is free */
void simblk_leave(struct simblk_req *req, struct simblk_progress *p);

/* ---- simblk_range.c ---- */
/** simblk_do_ranges() - DISCARD and WRITE_ZEROES. Return: status */
uint8_t simblk_do_ranges(struct simblk_req *req, uint32_t *written);

/* ---- simblk_batch.c ---- */
/** simblk_batch_len() - bytes that a batch may carry out one by one */
static inline uint64_t simblk_batch_len(const struct simblk *disk)
{
	return disk->quick ? SIMBLK_BATCH_LEN : SIMBLK_BLOCKS_LEN;
}

/** simblk_process() - one batch. Return: more is there */
bool simblk_process(struct simblk *blk, struct vdpasim_vq *vq);
/** simblk_fail() - break the ring of a disk that has failed */
void simblk_fail(struct vdpasim_vq *vq);

/* ---- simblk_job.c ---- */
/** simblk_job_take() - does @req have the result of a job? Sets has_job and done; clears noted */
void simblk_job_take(struct simblk_req *req);
/** simblk_job_room() - Return: bytes that one more job of the queue may have; 0: there can be
 * none */
uint64_t simblk_job_room(struct simblk *blk, const struct vdpasim_vq *vq);
/**
 * simblk_job_note() - have the host do the @len bytes behind req->done; the caller gives the chain
 * back to the ring. There is room
 * @off: on the disk. @sync: and a flush behind it
 */
void simblk_job_note(struct simblk_req *req, enum simblk_job_op op, uint64_t off, uint64_t len,
		     bool sync);
/** simblk_has_jobs() - were jobs noted that the host has not done? */
static inline bool simblk_has_jobs(const struct simblk_progress *p)
{
	return p->jobs.nr > 0 && !p->jobs.ended;
}
/** simblk_is_waiting() - does the queue's first request wait for what happens between two
 * batches? */
static inline bool simblk_is_waiting(const struct simblk *disk, const struct vdpasim_vq *vq)
{
	const struct simblk_progress *p = &disk->progress[vq->idx];

	return simblk_has_jobs(p) || p->cold.wanted;
}
/** simblk_wait() - vdpasim_type.batch_begin: what the queues' first requests wait for */
void simblk_wait(struct vdpasim *sim, struct vdpasim_worker *sw);
/** simblk_vq_stopping() - vdpasim_type.vq_stopping */
void simblk_vq_stopping(struct vdpasim_vq *vq);
/** simblk_jobs_fini() - its worker has ended */
void simblk_jobs_fini(struct simblk_jobs *jobs);

/* ---- simblk_io.c, simblk_settle.c, simblk_orphan.c: worker lock held, by the worker ---- */
enum simblk_io_op { SIMBLK_READ, SIMBLK_WRITE, SIMBLK_FLUSH };
/** simblk_io_room() - Return: how many requests this worker may have in flight besides those that
 * are; 0 also if it can have none at all */
unsigned int simblk_io_room(struct simblk *blk, const struct vdpasim_worker *sw);
/** simblk_io_can() - does this worker have requests in flight, ever? */
bool simblk_io_can(struct simblk *blk, const struct vdpasim_worker *sw);
/* LATER: it would pay, but has to wait for the end of others, or for a reset */
enum simblk_io_begun { SIMBLK_IO_NOT, SIMBLK_IO_LATER, SIMBLK_IO_BEGUN };
/** simblk_io_start() - have a request in flight, if it pays, and set req->in_flight
 * @off: of its @len bytes on the disk; a flush has none */
enum simblk_io_begun simblk_io_start(struct simblk_req *req, enum simblk_io_op op, uint64_t off,
				     uint64_t len);
/** simblk_io_settle() - vdpasim_type.settle */
bool simblk_io_settle(struct vdpasim *sim, struct vdpasim_worker *sw, bool more);
/** simblk_io_drain() - wait until what a reset has given up has ended, of any worker; without the
 * lock, outside of an RCU read section. Return: 0; -errno: this worker will never hear of it */
int simblk_io_drain(struct simblk *blk, const struct vdpasim_worker *sw) HF_MUST_CHECK;
/** simblk_io_give_up() - the io_uring has stopped working, with @err, while requests are in it */
void simblk_io_give_up(struct simblk *blk, struct vdpasim_worker *sw, int err) HF_COLD;
/** simblk_has_orphans() - is there anything of that kind? Any thread */
static inline bool simblk_has_orphans(const struct simblk *disk)
{
	/* Acquire: see simblk_io_release_orphan(). */
	return __atomic_load_n(&disk->nr_orphans, __ATOMIC_ACQUIRE) > 0;
}
/** simblk_drain() - vdpasim_type.drain: the same for a control thread */
void simblk_drain(struct vdpasim *sim);
/** simblk_io_destroy() - its worker has ended, or never was */
void simblk_io_destroy(struct simblk *blk, struct simblk_io *io);

/* ---- simblk_cold.c: by the worker ---- */
/** simblk_cold_read() - read a piece of a request; worker lock held
 * Return: as the backend; -EAGAIN: it is fetched before the next batch */
int simblk_cold_read(struct simblk_req *req, uint64_t off, uint64_t len,
		     struct simblk_pieces *data) HF_MUST_CHECK;
/** simblk_cold_look_ahead() - what else will have to be read? The queue's first request waits for
 * its data; worker lock held */
void simblk_cold_look_ahead(struct simblk *blk, struct vdpasim_vq *vq);
/** simblk_cold_fetch() - fetch what is wanted; without the worker's lock */
void simblk_cold_fetch(struct simblk *blk, struct simblk_cold *c);

/* ---- simblk_flush.c: any worker ---- */
/** simblk_flush() - make all completed writes safe. Return: 0 or -errno, also of an earlier one */
int simblk_flush(struct simblk *blk);
/** simblk_flushed() - note what a flush has ended with. Return: what is to be said of it */
int simblk_flushed(struct simblk *blk, int err);

/* ---- simblk_strict.c ---- */
bool simblk_strict_process(struct simblk *blk, struct vdpasim_vq *vq);

/* ---- simblk_lock.c ---- */
/** simblk_lock() - lock the file, or its half if both descriptors write (@direct); waits for a
 * holder that is gone. @path: for words. Return: 0 or refuse(); -EBUSY: another disk has it */
int simblk_lock(const struct simblk *blk, enum simblk_fd idx, const char *path,
		bool direct) HF_MUST_CHECK;

/* ---- simblk_map.c: any worker, but for open and close ---- */
#define SIMBLK_WINDOW_LEN (2ULL << 20)
/** simblk_map_open() - map the open file if its disk can be read by that; the file is on a tmpfs */
void simblk_map_open(struct simblk *blk);
/** simblk_map_close() - also if none is open */
void simblk_map_close(struct simblk *blk);
/** simblk_map_read() - read a piece. Return: false: a plain call has to; @iov is left alone then,
 * and some of the bytes may be there */
bool simblk_map_read(struct simblk *blk, uint64_t off, const struct iovec *iov, unsigned int n);
/** simblk_map_punch() - the @len bytes from @off on are about to become a hole */
void simblk_map_punch(struct simblk *blk, uint64_t off, uint64_t len);

/* ---- backends ---- */
extern const struct simblk_backend_ops simblk_ram, simblk_file;

#endif
