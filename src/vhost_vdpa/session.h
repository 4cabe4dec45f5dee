// SPDX-License-Identifier: BSD-3-Clause
/*
 * Private to this room: the session and what its files offer one another. Everything in a session
 * is guarded by its device's lock; functions that want it held say so. A session holds a reference
 * on its device, so the lock outlives the device's stay on the bus.
 */
#ifndef HOLDFAST_VHOST_VDPA_SESSION_H
#define HOLDFAST_VHOST_VDPA_SESSION_H

#include "base/worker.h"
#include "memory/hold.h"
#include "vdpa/reset.h"
#include "vhost_vdpa/uapi.h"
#include "vhost_vdpa/vhost_vdpa.h"

/* An eventfd that the device signals. [owned] const once made. */
struct notifier {
	int fd;
	bool may_block; /* lacks O_NONBLOCK */
};

/* An eventfd that the client signals. */
struct kick {
	int fd; /* [owned] -1: none */
	struct worker *worker;
	struct worker_fd *watch; /* NULL: not polled */
	struct vdpa_device *dev; /* for the callback */
	uint16_t idx;
};

struct vhost_vring {
	uint32_t num; /* entries as set by the client; 0: never */
	uint64_t desc, avail, used, log;
	bool log_used; /* VHOST_VRING_F_LOG: the used ring is logged as if it lay at @log */
	struct vdpa_vq_state base; /* as last set or read by the client */
	uint32_t busyloop_timeout;
	struct kick kick;
	struct notifier *call; /* [owned] or NULL */
	bool call_owed;        /* D10: a signal was taken back */
	int err_fd;            /* [owned] or -1 */
	/* D1: position at the last SET_STATUS(0), until SET_VRING_BASE or DRIVER_OK. */
	struct vdpa_vq_state saved;
	bool has_saved;
	bool saved_packed; /* how to read @saved */
	int saved_err;     /* the parent did not tell it: 0 would be a lie */
	bool base_set;     /* SET_VRING_BASE came since the last reset */
	bool ran;          /* enabled with DRIVER_OK at some time since the last reset */
};

/* One address space of the client, made by its first UPDATE or BATCH_BEGIN ([3-1]). */
struct address_space {
	uint32_t asid;
	struct iotlb *iotlb;    /* the client's view; the parent is told of it */
	uint64_t charged_pages; /* of the owner's space */
	bool refused;           /* by a set_map parent, when it was told last */
};

struct vhost_vdpa {
	struct vdpa_device *dev; /* one reference; const */
	bool gone;               /* the device was taken away: all calls but release fail */
	bool claimed;            /* by the first call: the device has what lies behind it */
	bool told_claim;         /* the person was told why it has not */
	struct vdpa_iova_range range;
	uint32_t vring_num_max; /* captured at open and at each reset */

	uint64_t owner_mm; /* 0: no owner */
	struct memory_space *owner_space;
	/* [owned] registrations of pinned memory; NULL without an owner, in mode va, in strict
	 * mode */
	struct memory_hold *hold;
	bool mm_bound; /* the parent has bind_mm outstanding */
	uint8_t fork_from_owner;

	uint64_t features;         /* what the parent really took */
	uint64_t features_asked;   /* what the client last gave it, without LOG_ALL */
	uint64_t backend_features; /* acked */
	bool suspended;

	bool log_all;               /* the client has VHOST_F_LOG_ALL acked */
	struct dirty_log *log;      /* [owned] NULL: there is no log */
	struct dirty_log *log_told; /* what the parent was told: @log, or NULL */
	struct notifier *log_call;  /* [owned] or NULL */

	bool told_private; /* the person was told of private memory that is left out */

	bool in_batch;
	uint32_t batch_asid;
	struct address_space **as; /* dev->nas slots, NULL until made */
	uint32_t *group_asid;      /* dev->ngroups, what SET_GROUP_ASID said since the last reset */

	struct notifier *config_call; /* [owned] or NULL */
	struct worker
		*kicker; /* [owned] polls kicks of parents without workers; made when needed */
	struct vhost_vring vrings[]; /* dev->nvqs */
};

/** session_claim() - before each call. An open alone claims nothing: the descriptor may be for
 * another process. Return: 0 or refuse() */
int session_claim(struct vhost_vdpa *s) HF_MUST_CHECK REQUIRES(s->dev->lock);

/* ---- ioctl.c ---- */

union ioctl_arg {
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	int fd;
	struct vhost_vring_state state;
	struct vhost_vring_file file;
	struct vhost_vring_addr addr;
	struct vhost_vdpa_iova_range range;
};

/* One ioctl under way. */
struct ioctl_call {
	const struct vhost_vdpa_client *client;
	uaddr_t arg;       /* where the client's argument is */
	uint32_t idx;      /* virtqueue, checked; per-vring commands alone */
	union ioctl_arg u; /* copied in before, copied out after the handler, as the table says */
};

/* How an argument is printed, and how long it is. */
enum arg_kind {
	ARG_NONE,
	ARG_U8,
	ARG_U16,
	ARG_U32,
	ARG_STATUS,
	ARG_FEATURES,
	ARG_BACKEND_FEATURES,
	ARG_FD,
	ARG_STATE,
	ARG_FILE,
	ARG_ADDR,
	ARG_RANGE,
	ARG_CONFIG,
	ARG_LOG,     /* an address in the client */
	ARG_POINTER, /* not looked into */
};

enum arg_flow {
	FLOW_NONE = 0,
	FLOW_IN = 1,    /* copied in whole before the handler */
	FLOW_OUT = 2,   /* copied out after it */
	FLOW_SELF = 4,  /* the handler does both */
	FLOW_WHOLE = 8, /* per vring: all of it is fetched before the index is checked */
};

enum ioctl_level {
	LEVEL_DEVICE,  /* table A: no owner needed */
	LEVEL_GENERIC, /* no owner needed, but tried after table A */
	LEVEL_OWNED,   /* generic, owner needed */
	LEVEL_VRING,   /* table C: owner, then the index */
};

typedef int (*ioctl_fn)(struct vhost_vdpa *s, struct ioctl_call *c);

struct ioctl_info {
	unsigned int cmd;
	const char *name;
	enum ioctl_level level;
	enum arg_kind kind;
	unsigned int flow; /* enum arg_flow bits */
	int (*before)(
		struct vhost_vdpa *s); /* checks that come before the argument is read, or NULL */
	ioctl_fn run;                  /* NULL: known by name alone, ENOTTY in its turn */
};

/** ioctl_find() - row of @cmd or NULL */
const struct ioctl_info *ioctl_find(unsigned int cmd);
/** arg_size() - bytes of an argument of this kind; 0 if it has none of its own */
size_t arg_size(enum arg_kind kind);
/** session_owner_check() - Return: 0; -EPERM with refuse() */
int session_owner_check(const struct vhost_vdpa *s,
			const struct vhost_vdpa_client *client) HF_MUST_CHECK;

/* ---- handlers, by file ---- */

#define HANDLER(name) int name(struct vhost_vdpa *s, struct ioctl_call *c) REQUIRES(s->dev->lock)

/* ioctl_device.c */
HANDLER(do_get_features);
HANDLER(do_set_features);
HANDLER(do_get_device_id);
HANDLER(do_get_status);
HANDLER(do_set_status);
HANDLER(do_get_config);
HANDLER(do_set_config);
HANDLER(do_get_vring_num);
HANDLER(do_set_config_call);
HANDLER(do_get_iova_range);
HANDLER(do_get_config_size);
HANDLER(do_get_as_num);
HANDLER(do_get_group_num);
HANDLER(do_get_vqs_count);
HANDLER(do_suspend);
HANDLER(do_resume);
/* owner.c */
HANDLER(do_set_owner);
HANDLER(do_set_mem_table);
HANDLER(do_get_fork_from_owner);
HANDLER(do_set_fork_from_owner);
int before_set_fork_from_owner(struct vhost_vdpa *s) REQUIRES(s->dev->lock);
/* log.c */
HANDLER(do_set_log_base);
HANDLER(do_set_log_fd);
/* backend_features.c */
HANDLER(do_get_backend_features);
HANDLER(do_set_backend_features);
/* vring.c */
HANDLER(do_set_vring_num);
HANDLER(do_set_vring_addr);
HANDLER(do_set_vring_base);
HANDLER(do_get_vring_base);
HANDLER(do_set_vring_enable);
HANDLER(do_get_vring_group);
HANDLER(do_get_vring_desc_group);
HANDLER(do_set_group_asid);
HANDLER(do_get_vring_size);
HANDLER(do_set_busyloop_timeout);
HANDLER(do_get_busyloop_timeout);
/* notify.c */
HANDLER(do_set_vring_kick);
HANDLER(do_set_vring_call);
HANDLER(do_set_vring_err);

/* ---- vring.c ---- */

/** vrings_save_bases() - D1, before a SET_STATUS(0); on return the rings of a parent that can
 * suspend stand still */
void vrings_save_bases(struct vhost_vdpa *s) REQUIRES(s->dev->lock);
/** vrings_started() - after whatever may have started rings: note which ones run */
void vrings_started(struct vhost_vdpa *s) REQUIRES(s->dev->lock);
/** vrings_reset() - after the parent's reset */
void vrings_reset(struct vhost_vdpa *s) REQUIRES(s->dev->lock);

/* ---- log.c ---- */

/** log_is_offered() - VHOST_F_LOG_ALL is one of the features that the client sees */
bool log_is_offered(const struct vhost_vdpa *s);
/** log_set_all() - the client has acked VHOST_F_LOG_ALL, or not. Without it the log is forgotten:
 * on return nothing writes to it any more. */
void log_set_all(struct vhost_vdpa *s, bool on) REQUIRES(s->dev->lock);
/** log_toggle() - SET_FEATURES when only VHOST_F_LOG_ALL may change. Return: 0; -EBUSY anything
 * else changes, or nothing; -EINVAL no log was given */
int log_toggle(struct vhost_vdpa *s, uint64_t features) HF_MUST_CHECK REQUIRES(s->dev->lock);
/** log_vring_changed() - log address of a ring, to the parent */
void log_vring_changed(struct vhost_vdpa *s, uint32_t idx) REQUIRES(s->dev->lock);
/** log_reset() - after the parent's reset: log, LOG_ALL and log addresses are forgotten */
void log_reset(struct vhost_vdpa *s) REQUIRES(s->dev->lock);
/** log_check_start() - at DRIVER_OK: a client that acked LOG_ALL and gave no log is told */
void log_check_start(const struct vhost_vdpa *s);
/** log_end() - the session ends: the log's eventfd */
void log_end(struct vhost_vdpa *s) REQUIRES(s->dev->lock);

/* ---- calls.c ---- */

/** calls_follow_map() - D10, after a message that changed @as and that the parent was told of */
void calls_follow_map(struct vhost_vdpa *s, struct address_space *as) REQUIRES(s->dev->lock);
/** calls_reset() - after the parent's reset */
void calls_reset(struct vhost_vdpa *s) REQUIRES(s->dev->lock);

/* ---- notify.c ---- */

/**
 * notifier_from_client() - the client's eventfd as a notifier
 * @fd:   the client's number; -1 gives NULL
 * @held: notifier in use now, or NULL; given again if @fd is the same file
 * Return: 0; -EBADF; -EINVAL not an eventfd; -ENOMEM
 */
int notifier_from_client(const struct vhost_vdpa_client *client, int fd, struct notifier *held,
			 struct notifier **out) HF_MUST_CHECK;
void notifier_destroy(struct notifier *n);
void notifier_signal(const struct notifier *n);
/** notifier_callback() - what to give to the parent; nothing if @n is NULL */
struct vdpa_callback notifier_callback(struct notifier *n);
/** kicks_stop() - no kick of this session reaches the parent after this */
void kicks_stop(struct vhost_vdpa *s) REQUIRES(s->dev->lock);
/** notify_cleanup() - take all callbacks back from the parent, close all eventfds but the
 * config's */
void notify_cleanup(struct vhost_vdpa *s) REQUIRES(s->dev->lock);

/* ---- session.c ---- */

/** session_alloc() - a session of @dev, of which it takes a reference; not started. Return: NULL
 * without memory */
struct vhost_vdpa *session_alloc(struct vdpa_device *dev);
/** session_free() - an ended session, or one that was not started */
void session_free(struct vhost_vdpa *s);
/** session_start() - [4-1]. Return: 0; -errno with refuse() */
int session_start(struct vhost_vdpa *s) HF_MUST_CHECK REQUIRES(s->dev->lock);
/** session_end() - everything of [4-3] but freeing; the session is gone afterwards */
void session_end(struct vhost_vdpa *s, enum vdpa_reset_event event) REQUIRES(s->dev->lock);
/** session_end_of() - the same for the driver, which holds the lock under the device's own name */
void session_end_of(struct vdpa_device *dev, struct vhost_vdpa *s, enum vdpa_reset_event event)
	REQUIRES(dev->lock);
/** session_reset() - [4-6]. Return: 0 or the parent's error */
int session_reset(struct vhost_vdpa *s, enum vdpa_reset_event event) HF_MUST_CHECK
	REQUIRES(s->dev->lock);
/** session_is_running() - DRIVER_OK and not suspended: rings must not be moved */
static inline bool session_is_running(struct vhost_vdpa *s) REQUIRES(s->dev->lock)
{
	return (VDPA_CALL(s->dev, get_status) & VIRTIO_CONFIG_S_DRIVER_OK) != 0 && !s->suspended;
}

/* ---- driver.c ---- */

/* What the bus driver keeps for a bound device (dev->drvdata). */
struct binding {
	unsigned int minor;
	struct vhost_vdpa *session; /* the one open, or NULL; device lock */
};

/* ---- as.c ---- */

/** as_find() - Return: address space or NULL */
struct address_space *as_find(struct vhost_vdpa *s, uint32_t asid) REQUIRES(s->dev->lock);
/** as_find_or_create() - Return: 0; -EINVAL no such number; -ENOMEM */
int as_find_or_create(struct vhost_vdpa *s, uint32_t asid, struct address_space **out) HF_MUST_CHECK
	REQUIRES(s->dev->lock);
/** as_destroy_all() - release: unmap all without set_map, then the parent's initial map ([3-5]) */
void as_destroy_all(struct vhost_vdpa *s) REQUIRES(s->dev->lock);
/** as_tell_refused() - before DRIVER_OK: a set_map parent that refused a map gets the client's view
 * again. Not in strict mode */
void as_tell_refused(struct vhost_vdpa *s) REQUIRES(s->dev->lock);
/** batch_begin() / batch_end() - [2-19]. End tells a set_map parent, once. */
int batch_begin(struct vhost_vdpa *s, struct address_space *as) HF_MUST_CHECK
	REQUIRES(s->dev->lock);
void batch_end(struct vhost_vdpa *s, struct address_space *as) REQUIRES(s->dev->lock);
/** batch_forget() - the flag alone, at open and release ([2-21]); the parent is not told */
void batch_forget(struct vhost_vdpa *s) REQUIRES(s->dev->lock);

/* ---- mapping.c ---- */

/** mapping_update() - an UPDATE; the reason for a refusal in refuse(). Return: 0 or -errno */
int mapping_update(struct vhost_vdpa *s, struct address_space *as,
		   const struct vhost_iotlb_msg *msg) HF_MUST_CHECK REQUIRES(s->dev->lock);
/** mapping_invalidate() - an INVALIDATE. Return: 0; -EINVAL size 0 (D13); -ENOMEM, nothing
 * changed */
int mapping_invalidate(struct vhost_vdpa *s, struct address_space *as, uint64_t iova,
		       uint64_t size) HF_MUST_CHECK REQUIRES(s->dev->lock);
/** mapping_forget_all() - release: uncharge and unpin everything, tell a dma_map parent of each
 * entry, a set_map parent of nothing ([3-5]); needs no memory. @as is only good for iotlb_destroy()
 * then. */
void mapping_forget_all(struct vhost_vdpa *s, struct address_space *as) REQUIRES(s->dev->lock);

/* ---- backend_features.c ---- */

/* "IOTLB_PERSIST" or NULL */
const char *backend_feature_name(unsigned int bit);

#endif
