// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands to the device, typed. Below them is one seam, `struct mlx5_dev_ops`: whoever executes a
 * command, a firmware model or a card, implements it. Above them nobody sees a byte of a layout.
 *
 * Owns nothing. Used by the memory keys and the rest of the driver; queues and steering have
 * headers of their own. Thread rule: that of the end below; the model takes one thread at a
 * time.
 */
#ifndef HOLDFAST_PARENTS_MLX5_CMD_H
#define HOLDFAST_PARENTS_MLX5_CMD_H

#include <holdfast/vdpa.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct mlx5_dev;
struct mlx5_trace;
struct worker;

#define MLX5_PARALLEL_MAX 64u

/* One of several commands that do not depend on one another. */
struct mlx5_exec {
	const void *in;
	void *out; /* zeroed by the caller */
	size_t in_len, out_len;
	int err; /* [out] as exec's */
};

struct mlx5_klm {
	uint32_t len; /* bytes */
	uint32_t mkey;
	uint64_t addr; /* in @mkey's space */
};

/* The seam. */
struct mlx5_dev_ops {
	/** execute one command. @out is zeroed by the caller. Return: 0 if the device answered,
	 * whatever its status; negative errno if it did not; -ENODEV: the device is not there any
	 * more */
	int (*exec)(struct mlx5_dev *dev, const void *in, size_t in_len, void *out, size_t out_len);
	/** execute @nr commands, at most MLX5_PARALLEL_MAX, at once, and return when all are done.
	 * NULL: exec, one after the other */
	void (*exec_many)(struct mlx5_dev *dev, struct mlx5_exec *cmd, size_t nr);

	/** may klm_update() be used? NULL: no */
	bool (*can_update_klm)(struct mlx5_dev *dev);
	/** change entries of an indirect key's list, from @first on, to others of the same lengths.
	 * On return the device goes by the new ones, and has let go of the old. A card is told so
	 * by a work request on a queue, so it is no command. Return: 0; negative errno: nothing has
	 * changed */
	int (*klm_update)(struct mlx5_dev *dev, uint32_t mkey, size_t first,
			  const struct mlx5_klm *klm, size_t nr);

	/* ---- what is no command for a driver outside the kernel ---- */
	/** a key over @len bytes at @addr, by which these are reached at their own addresses. NULL:
	 * CREATE_MKEY takes addresses as they are */
	int (*mr_reg)(struct mlx5_dev *dev, void *addr, size_t len, bool write, uint32_t *mkey);
	int (*mr_dereg)(struct mlx5_dev *dev, uint32_t mkey);
	/** let the device use @len bytes at @addr under a number, until umem_close() */
	int (*umem_open)(struct mlx5_dev *dev, void *addr, size_t len, uint32_t *id);
	void (*umem_close)(struct mlx5_dev *dev, uint32_t id);
	/** an interrupt vector; @cb is called from any thread, with whatever locks it has: it may
	 * write an eventfd and wake a worker */
	int (*vector_open)(struct mlx5_dev *dev, const struct vdpa_callback *cb, uint32_t *vector);
	/** on return the former callback is not running and will not be called */
	void (*vector_set)(struct mlx5_dev *dev, uint32_t vector, const struct vdpa_callback *cb);
	void (*vector_close)(struct mlx5_dev *dev, uint32_t vector);
	/** the buffer of an event queue that CREATE_EQ has made */
	void *(*eq_buffer)(struct mlx5_dev *dev, uint32_t eqn);
	/** make doorbells reachable, @off into the device's first BAR; NULL: they are */
	int (*doorbell_open)(struct mlx5_dev *dev, uint64_t off);
	/** write the doorbell of queue @idx; any thread */
	void (*kick)(struct mlx5_dev *dev, uint16_t idx);
	/** is the device well? NULL: nobody knows but by its answers. Under the driver's lock */
	bool (*is_well)(struct mlx5_dev *dev);
	/** on which worker kicks of @idx are best delivered; NULL, or returns NULL: on none */
	struct worker *(*kick_worker)(struct mlx5_dev *dev, uint16_t idx);
};

struct mlx5_dev {
	const struct mlx5_dev_ops *ops;
	const char *name;         /* for messages; outlives the device */
	bool lost;                /* it has not answered a command: beyond help, or not there */
	struct mlx5_trace *trace; /* [lent] or NULL: every command is noted */
};

/* What the driver needs to know of the device. */
struct mlx5_caps {
	uint32_t max_klm; /* entries of an indirect key's list */
	bool umem_uid_0;  /* the 1:1 key is allowed */
};

/* What it offers to a virtio device. */
struct mlx5_virtio_caps {
	bool version_1;
	bool msix;          /* a queue can name its interrupt vector */
	bool desc_mkey;     /* rings may have a key of their own */
	bool freeze_to_rdy; /* a suspended queue can run again */
	uint16_t features;  /* 13 bits in the device's own order, cmd_virtq.h */
	uint32_t max_queues;
	uint64_t doorbell_off;         /* of doorbells in the first BAR */
	uint32_t umem_a[3], umem_b[3]; /* a queue's memory is a * entries + b bytes */
};

/* One memory key to be made. */
struct mlx5_mkey_desc {
	uint8_t mode; /* MLX5_ACCESS_* */
	bool read, write;
	uint8_t log_page; /* MTT: log2 of an entity's bytes */
	uint32_t pd;
	uint64_t start, len;        /* len 0 with mode PA: all 2^64 addresses */
	const uint64_t *mtt;        /* MTT: [nr] addresses, native byte order */
	const struct mlx5_klm *klm; /* KLM: [nr] */
	size_t nr;
};

/** mlx5_cmd_query_caps() - Return: 0; negative errno, and a reason in words, as all below */
int mlx5_cmd_query_caps(struct mlx5_dev *dev, struct mlx5_caps *caps) HF_MUST_CHECK;
int mlx5_cmd_query_virtio_caps(struct mlx5_dev *dev, struct mlx5_virtio_caps *caps) HF_MUST_CHECK;
int mlx5_cmd_null_mkey(struct mlx5_dev *dev, uint32_t *mkey) HF_MUST_CHECK;
int mlx5_cmd_alloc_pd(struct mlx5_dev *dev, uint32_t *pd) HF_MUST_CHECK;
int mlx5_cmd_dealloc_pd(struct mlx5_dev *dev, uint32_t pd) HF_MUST_CHECK;
/** mlx5_cmd_create_mkey() - @mkey: [out] index << 8 | low byte of the key */
int mlx5_cmd_create_mkey(struct mlx5_dev *dev, const struct mlx5_mkey_desc *desc,
			 uint32_t *mkey) HF_MUST_CHECK;
/**
 * mlx5_cmd_create_mkeys() - @nr keys at once, at most MLX5_PARALLEL_MAX
 * @mkey: [out] [@nr]
 * @made: [out] [@nr] which of them there are now
 * Return: 0 all; negative errno: that of the first that could not be made
 */
int mlx5_cmd_create_mkeys(struct mlx5_dev *dev, const struct mlx5_mkey_desc *desc, size_t nr,
			  uint32_t *mkey, bool *made) HF_MUST_CHECK;
/** mlx5_cmd_destroy_mkeys() - the same; @gone: [out] [@nr] */
int mlx5_cmd_destroy_mkeys(struct mlx5_dev *dev, const uint32_t *mkey, size_t nr,
			   bool *gone) HF_MUST_CHECK;

#endif
