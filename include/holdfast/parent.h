// SPDX-License-Identifier: BSD-3-Clause
/*
 * A parent driver outside of Holdfast: a shared object, the module, that `--parent FILE` or the
 * folder of installed modules adds to the kinds of device that a SPEC can name. It is loaded into
 * the client's process (QEMU's, testpmd's), which may export any name. So a module links nothing of
 * Holdfast and looks no name up: it exports one object, holdfast_module, and calls Holdfast through
 * a table of functions that the loader puts into it. docs/writing-a-parent.md is the tutorial.
 *
 * Two ways to make a device, chosen when one is added:
 *   soft_add()    Holdfast keeps the virtio device (queues, rings, IOMMU, workers, every rule of
 *                 reset and suspend); the module says what the device is and handles its requests.
 *   device_add()  the module answers every operation of struct vdpa_config_ops itself, for an
 *                 engine or hardware of its own.
 *
 * Versions: HF_ABI changes when something here changes its meaning; a module of another HF_ABI is
 * refused. What is added goes to the end of a structure, and each structure says its size; a
 * structure that is smaller than the loader's is taken as if the rest were zero. A module that
 * needs a function of a later release looks at hf->size first.
 *
 * Errors are negative errno values. Thread rules stand at each function; "control" is a thread that
 * may block and holds the device lock where an operation is called, "worker" is the device's own
 * thread.
 */
#ifndef HOLDFAST_PARENT_H
#define HOLDFAST_PARENT_H

#include <holdfast/vdpa.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HF_ABI 1u

/* Keys of a SPEC, for hf_module.keys and hf_config.given. name and mgmtdev are always taken. */
#define HF_KEY_MAC               (1u << 2)
#define HF_KEY_MTU               (1u << 3)
#define HF_KEY_MAX_VQP           (1u << 4)
#define HF_KEY_FEATURES          (1u << 5) /* device_features */
#define HF_KEY_BACKEND           (1u << 6)
#define HF_KEY_MEMORY            (1u << 7)
#define HF_KEY_MAPPING           (1u << 8)
#define HF_KEY_COMPAT_RESET      (1u << 10)
#define HF_KEY_RESET_MAP         (1u << 11)
#define HF_KEY_MAX_IOTLB_ENTRIES (1u << 12)
#define HF_KEY_VQ_SIZE           (1u << 14)
#define HF_KEY_MEMLOCK           (1u << 15)
#define HF_KEY_CAPACITY          (1u << 16)
#define HF_KEY_READ_ONLY         (1u << 17)
#define HF_KEY_NUM_QUEUES        (1u << 18)
/* What the bus answers for any device, and what it answers for one made by soft_add(). */
#define HF_KEYS_DEVICE (HF_KEY_MEMORY | HF_KEY_MAX_IOTLB_ENTRIES | HF_KEY_MEMLOCK)
#define HF_KEYS_SOFT                                                                               \
	(HF_KEYS_DEVICE | HF_KEY_FEATURES | HF_KEY_MAPPING | HF_KEY_COMPAT_RESET |                 \
	 HF_KEY_RESET_MAP | HF_KEY_VQ_SIZE)

struct hf_add;  /* one device being added */
struct hf_soft; /* a device made by soft_add() */

/* What the SPEC says. Valid during dev_add(); values that were not given are the defaults. */
struct hf_config {
	size_t size;         /* sizeof(struct hf_config), as the loader knows it */
	uint32_t given;      /* HF_KEY_* of the keys that stood in the SPEC */
	const char *name;    /* of the device, 1 to 31 bytes */
	uint8_t mac[6];      /* zeros if not given */
	uint16_t mtu;        /* bytes; default 1500 */
	uint16_t max_vqp;    /* queue pairs; default 1 */
	uint16_t num_queues; /* request queues; default 1 */
	uint16_t vq_size;    /* ring entries at most, a power of two; default 256 */
	const char *backend; /* the module's own word, e.g. "tap,ifname=tap0"; "" if not given */
	uint64_t capacity;   /* bytes; 0 if not given */
	bool read_only;
};

/*
 * One request. The pieces are host memory that the client has mapped to the device, and valid until
 * the chain is pushed. They may change under the reader's eyes, and go away: read each byte once.
 */
struct hf_chain {
	const struct iovec *out; /* device reads: nr_out pieces, out_len bytes together */
	const struct iovec *in;  /* device writes: nr_in pieces, in_len bytes together */
	uint32_t nr_out, nr_in;
	uint64_t out_len, in_len;
	bool fault; /* some of it is not mapped: there are no pieces; push with 0 bytes written */
	uint64_t own[16]; /* the loader's */
};

/*
 * What a device made by soft_add() is. Copied. [m] mandatory, [o] optional (0 or NULL).
 *
 * Every hook gets @priv. Hooks marked (w) run with the device's worker lock held, on its worker or
 * on a control thread, never two at a time; the others on control threads, one at a time. process()
 * also runs inside a memory guard: where a client has taken its memory away, the access ends
 * process() there and then, so between its first pop and its end it takes no lock and allocates
 * nothing. What it shares with the hooks of control threads it reads and writes atomically.
 */
struct hf_soft_desc {
	size_t size;        /* sizeof(struct hf_soft_desc) */
	uint32_t device_id; /* [m] virtio id: 1 net, 2 block, 4 entropy, ... */
	uint32_t nvqs;      /* [m] virtqueues, 1 to 1024 */
	uint64_t features;  /* [o] offered, besides what the rings bring: HF_RING_FEATURES */
	size_t config_size; /* [o] bytes of the configuration space */
	uint32_t ngroups;   /* [o] virtqueue groups, 1 to 3; 0 means 1 */
	uint32_t nas;       /* [o] address spaces, 1 or 2; 0 means 1 */
	int fd;             /* [o] [borrowed] watched by the worker if fd_ready is there */

	/** [m with config_size] copy @len bytes from @off on; the range lies inside the space */
	void (*get_config)(void *priv, size_t off, void *buf, size_t len);
	void (*set_config)(void *priv, size_t off, const void *buf, size_t len); /* [o] */
	uint32_t (*vq_group)(void *priv, uint16_t idx);      /* [o] default: 0 */
	void (*set_features)(void *priv, uint64_t features); /* [o] (w) acked; 0 at a reset */
	void (*reset)(void *priv);                           /* [o] (w) all queues are stopped */
	/** [m] (w) @soft's queue @idx has something to do: pop, handle, push. It is called again by
	 * itself while there is more. Every chain popped is pushed or unpopped before it
	 * returns. */
	void (*process)(void *priv, struct hf_soft *soft, uint16_t idx);
	/** [o] (w) the fd became readable or writable (EPOLLIN, EPOLLOUT in @events;
	 * edge-triggered): note it and call soft_run() for the queue whose process() then does the
	 * work */
	void (*fd_ready)(void *priv, struct hf_soft *soft, uint32_t events);
	void (*destroy)(void *priv); /* [o] the last call; no thread of the device is left */
};

/* The rings' own features, which every device of soft_add() offers: VERSION_1, ACCESS_PLATFORM,
 * EVENT_IDX, INDIRECT_DESC, RING_PACKED, IN_ORDER. */
#define HF_RING_FEATURES                                                                           \
	(1ULL << 32 | 1ULL << 33 | 1ULL << 29 | 1ULL << 28 | 1ULL << 34 | 1ULL << 35)

/* What a device made by device_add() is. Copied, the table too: what it lacks at its end is
 * NULL. */
struct hf_device_desc {
	size_t size; /* sizeof(struct hf_device_desc) */
	const struct vdpa_config_ops *ops;
	uint32_t nvqs, ngroups, nas; /* at least 1 of each */
};

/* One range of a map. */
struct hf_range {
	uint64_t first, last; /* IOVA, inclusive */
	char *host;           /* where byte @first lies; host + (iova - first) for the others */
	uint8_t perm;         /* 1 the device reads, 2 it writes, 3 both; 0: not to be touched */
};

enum hf_level { HF_ERR, HF_WARN, HF_INFO, HF_DEBUG };

/* Holdfast's functions, for modules. */
struct hf_api {
	size_t size; /* bytes of this table in the Holdfast that runs */

	/** refuse() - say in one line why something was refused. Return: @err. Any thread. */
	int (*refuse)(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
	/** log() - one line for people on stderr, "holdfast: @obj: text", ten a second at most. Any
	 * thread. */
	void (*log)(enum hf_level level, const char *obj, const char *fmt, ...)
		__attribute__((format(printf, 3, 4)));

	/* ---- devices of soft_add() ---- */

	/**
	 * soft_add() - make a device and put it on the bus; once a dev_add()
	 * @priv: the module's own, handed to the hooks; after success desc->destroy() frees it, on
	 * an error it is still the caller's, and destroy() was not called
	 * Return: 0; -EINVAL @desc is incomplete; -EEXIST the name is taken; -ENOMEM; with
	 * refuse(). Control.
	 */
	int (*soft_add)(struct hf_add *add, const struct hf_soft_desc *desc, void *priv);
	/**
	 * soft_pop() - take the next request of a queue; in process() alone
	 * @idx: any queue of the device, not just the one that process() was called for
	 * Return: true: @chain is filled. False: nothing is there, the queue does not run, or it is
	 * time to let others work.
	 */
	bool (*soft_pop)(struct hf_soft *soft, uint16_t idx, struct hf_chain *chain);
	/** soft_push() - complete a request; @written: bytes written to its in pieces from their
	 * start. The driver is told after the hook has returned. */
	void (*soft_push)(struct hf_soft *soft, uint16_t idx, const struct hf_chain *chain,
			  uint32_t written);
	/** soft_unpop() - give the queue's last popped chain back, as if never popped. The queue is
	 * looked at again after soft_run(), or from process() of another queue; its driver need not
	 * kick meanwhile. */
	void (*soft_unpop)(struct hf_soft *soft, uint16_t idx, const struct hf_chain *chain);
	/** soft_read() - copy from the out pieces, from byte @off of them. Return: bytes copied,
	 * less than @len at their end */
	size_t (*soft_read)(const struct hf_chain *chain, size_t off, void *dst, size_t len);
	/** soft_write() - copy to the in pieces. Return: bytes copied */
	size_t (*soft_write)(const struct hf_chain *chain, size_t off, const void *src, size_t len);
	/** soft_run() - have process() called for a queue, as if it was kicked. Any thread. */
	void (*soft_run)(struct hf_soft *soft, uint16_t idx);

	/* ---- devices of device_add() ---- */

	/**
	 * device_add() - check the operations, make a device and put it on the bus; once a
	 * dev_add()
	 * @priv: as for soft_add(); ops->free() frees it (that and not more: the vdpa_device is
	 *   ours)
	 * Return: 0; -EINVAL an operation is missing, its name in refuse(); -EEXIST; -ENOMEM.
	 * Control.
	 */
	int (*device_add)(struct hf_add *add, const struct hf_device_desc *desc, void *priv);
	void *(*device_priv)(const struct vdpa_device *dev);       /* any thread */
	const char *(*device_name)(const struct vdpa_device *dev); /* any thread */
	/** map_next() - the first range of @map that ends at or after @from. Return: false if there
	 * is none. Control. To visit all: from = range.last + 1 until range.last is UINT64_MAX. */
	bool (*map_next)(const struct iotlb_version *map, uint64_t from, struct hf_range *range);
	/** map_diff() - what changed between two maps: fn(arg, added, range) for each range that
	 * only one has, removals before the additions that overlap them. It costs what changed, not
	 * what is mapped.
	 * Return: 0, or @fn's first other value, which ends the walk. Control. */
	int (*map_diff)(const struct iotlb_version *from, const struct iotlb_version *to,
			int (*fn)(void *arg, bool added, const struct hf_range *range), void *arg);
	/** map_get() / map_put() - keep a map beyond set_map(), and its memory with it; NULL is
	 * fine. Control. */
	const struct iotlb_version *(*map_get)(const struct iotlb_version *map);
	void (*map_put)(const struct iotlb_version *map);
	/** map_entry() - the range of a dma_map(). Control. */
	void (*map_entry)(const struct iotlb_entry *entry, struct hf_range *range);
	/** device_map() - platform devices (neither set_map nor dma_map): what the device
	 * translates with now, one reference, for map_put(); NULL for other devices. Control,
	 * device lock held. */
	const struct iotlb_version *(*device_map)(struct vdpa_device *dev);
};

/* What a module exports, as holdfast_module. Const but for *api, which the loader sets before the
 * first call. */
struct hf_module {
	uint32_t abi;  /* HF_ABI */
	uint32_t size; /* sizeof(struct hf_module) */
	const struct hf_api **api;
	const char *name; /* what `mgmtdev` calls it: letters, digits, '_', '-'; at most 31 bytes */
	uint32_t device_id; /* virtio id of its devices */
	uint32_t keys;      /* HF_KEY_* that it takes */
	const char *stem;   /* devices without a name become stem0, stem1, ...; NULL: name */
	/** make one device by soft_add() or device_add(). Return: 0 or -errno, best with refuse().
	 * Control. */
	int (*dev_add)(struct hf_add *add, const struct hf_config *config);
};

/* Set before anything of the module is called. */
extern const struct hf_api *hf __attribute__((visibility("hidden")));
extern const struct hf_module holdfast_module __attribute__((visibility("default")));

#ifdef __cplusplus
}
#define HF_EXTERN_C(...)                                                                           \
	extern "C" {                                                                               \
	__VA_ARGS__;                                                                               \
	}
#else
#define HF_EXTERN_C(...) __VA_ARGS__
#endif

/* Once a module: HF_MODULE(.name = "mynic", .device_id = 1, .keys = ..., .dev_add = ...); in C++20
 * in this order. */
#define HF_MODULE(...)                                                                             \
	HF_EXTERN_C(                                                                               \
		const struct hf_api *hf;                                                           \
		const struct hf_module holdfast_module = {                                         \
			.abi = HF_ABI, .size = sizeof(struct hf_module), .api = &hf, __VA_ARGS__})

#endif
