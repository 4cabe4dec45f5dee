// SPDX-License-Identifier: BSD-3-Clause
/*
 * Making devices: management devices (what `mgmtdev` names) and the SPEC that describes one device,
 * in iproute2's words plus our own: "name net0 mgmtdev vdpasim_net mac 52:54:00:12:34:56 max_vqp 2
 * ...". Parsing is one table of keys. Parents list the keys they take; the table of parents itself
 * stands in cli/. Thread rule: control threads; a spec is the caller's.
 */
#ifndef HOLDFAST_VDPA_MGMT_H
#define HOLDFAST_VDPA_MGMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/profile.h"
#include "vdpa/bus.h"

/* Which keys were given. */
enum vdpa_key {
	VDPA_KEY_NAME = 1u << 0,
	VDPA_KEY_MGMTDEV = 1u << 1,
	VDPA_KEY_MAC = 1u << 2,
	VDPA_KEY_MTU = 1u << 3,
	VDPA_KEY_MAX_VQP = 1u << 4,
	VDPA_KEY_FEATURES =
		1u << 5, /* device_features: mask of virtio feature bits offered at most */
	/* net: "loopback", "tap,ifname=tap0", "stream,path=P[,listen]"; blk: "ram",
	 * "file,path=P" */
	VDPA_KEY_BACKEND = 1u << 6,
	VDPA_KEY_MEMORY = 1u << 7,  /* va | pinned */
	VDPA_KEY_MAPPING = 1u << 8, /* set_map | dma_map | platform */
	VDPA_KEY_QUIRKS = 1u << 9,  /* none | a kernel of base/profile.h */
	VDPA_KEY_COMPAT_RESET = 1u << 10,
	VDPA_KEY_RESET_MAP =
		1u << 11, /* on | off: off is a parent without .reset_map, for tests of [4-9] */
	VDPA_KEY_MAX_IOTLB_ENTRIES = 1u << 12,
	VDPA_KEY_WORKERS = 1u << 13,
	VDPA_KEY_VQ_SIZE = 1u << 14,   /* max ring entries */
	VDPA_KEY_MEMLOCK = 1u << 15,   /* rlimit | unlimited */
	VDPA_KEY_CAPACITY = 1u << 16,  /* bytes; suffix K, M, G, T */
	VDPA_KEY_READ_ONLY = 1u << 17, /* on | off */
	VDPA_KEY_NUM_QUEUES = 1u << 18,
	VDPA_KEY_HOLD = 1u << 19,      /* off | memlock | SIZE | N% */
	VDPA_KEY_DIRTY_LOG = 1u << 20, /* on | off */
	VDPA_KEY_OFFER = 1u << 21,     /* packed, in_order, indirect, all; with commas between */
	VDPA_KEY_AS = 1u << 22,        /* kernel | dpdk: a preset */
	VDPA_KEY_MODEL = 1u << 23,     /* on | off */
	VDPA_KEY_PCI = 1u << 24,       /* address of a card, 0000:00:00.0 */
	VDPA_KEY_REBUILD = 1u << 25,   /* changed | full */
	VDPA_KEY_LATENCY = 1u << 26,   /* NAME=TIME, with commas between */
	VDPA_KEY_PARALLEL = 1u << 27,  /* commands */
	VDPA_KEY_DEFER = 1u << 28,     /* a time */
	VDPA_KEY_TRACE = 1u << 29,     /* a file */
	VDPA_KEY_DIRECT = 1u << 30,    /* on | off */
	VDPA_KEY_IO_URING = 1u << 31,  /* on | off */
};

struct vdpa_dev_config {
	uint32_t given; /* enum vdpa_key bits of keys that stood in the spec */
	char name[VDPA_NAME_MAX + 1];
	char mgmtdev[32]; /* default vdpasim_net */
	uint8_t mac[6];
	uint16_t mtu;      /* 68..65535; default 1500 */
	uint16_t max_vqp;  /* queue pairs, 1..64; default 1 */
	uint64_t features; /* default: all ones */
	char backend[256]; /* not given: the type's own default */
	enum memory_mode memory;
	bool memlock_unlimited; /* default: false, pins are limited by RLIMIT_MEMLOCK */
	uint64_t hold; /* bytes or MEMORY_HOLD_*; default MEMORY_HOLD_ALL, strict is always OFF */
	enum vdpa_mapping mapping;
	enum profile profile;       /* not the default one: strict mode */
	bool compat_reset;          /* default: strict */
	bool reset_map;             /* default: true */
	uint32_t max_iotlb_entries; /* default by mode: 1,048,576 or 2,048 */
	uint16_t workers;           /* threads; default 1 */
	uint16_t vq_size;    /* power of two, 2..32768; default 1024 (strict is always 256) */
	uint64_t capacity;   /* bytes, at least 512; default: the backend's */
	uint16_t num_queues; /* request queues, 1..256; default 1 */
	bool read_only;
	bool direct;       /* file: past the page cache */
	bool io_uring_off; /* file: one request at a time */
	uint64_t offer;    /* virtio feature bits offered besides the default ones */
	uint8_t preset;    /* which words `as` stood for; they are given, too */
	/* VHOST_F_LOG_ALL is not offered; default: it is, but never in strict mode */
	bool dirty_log_off;
	/* mlx5 */
	bool model;        /* firmware in software */
	char pci[16];      /* of a card */
	uint8_t rebuild;   /* enum mlx5_rebuild: which memory keys a change of the map makes anew */
	char latency[256]; /* of the model's commands */
	uint8_t parallel;  /* commands under way at once, 1..64; default 8 */
	char defer[16];    /* how long memory keys outlive their use; default 2s */
	char trace[256];   /* file for all commands */
};

/** vdpa_config_is_strict() - Return: whether the device follows a kernel */
static inline bool vdpa_config_is_strict(const struct vdpa_dev_config *config)
{
	return config->profile != PROFILE_DEFAULT;
}

struct vdpa_mgmt_dev {
	const char *name;         /* "vdpasim_net" */
	uint32_t device_id;       /* virtio id */
	uint32_t keys;            /* enum vdpa_key bits it takes */
	const char *default_name; /* "net": devices without a name become net0, net1, ... */
	uint32_t max_vqs;         /* virtqueues of a device at most; 0: not known */
	uint64_t features;        /* all virtio features that some device of it offers */
	/* Of mac, mtu, max_vqp and device_features those that the kernel's driver of the name
	 * takes; asked for a strict device, and before everything else ([9-3]). */
	uint32_t strict_attrs;
	/** [o] is @config one that dev_add would take, as far as that can be told without the
	 * device? Return: 0 or -errno with refuse() in words */
	int (*check)(const struct vdpa_dev_config *config);
	/** make and register a device. Return: 0 or -errno with refuse() in words */
	int (*dev_add)(const struct vdpa_mgmt_dev *mgmt, struct vdpa_bus *bus,
		       const struct vdpa_dev_config *config);
	/** [o] change what config->given names: VDPA_KEY_MAC alone. Device lock held.
	 * Return: 0 or -errno with refuse() in words; -EOPNOTSUPP this device does not */
	int (*dev_set_attr)(const struct vdpa_mgmt_dev *mgmt, struct vdpa_device *dev,
			    const struct vdpa_dev_config *config);
	/** [o] take what lies behind the device, outside of this process: a file, an interface. A
	 * device is made with it, and has it already if nobody took it away. Device lock held.
	 * Return: 0 or -errno with refuse() in words */
	int (*dev_claim)(struct vdpa_device *dev);
	/** [o] let others have that until dev_claim. The device was reset, or never used; device
	 * lock held */
	void (*dev_yield)(struct vdpa_device *dev);
};

#define VDPA_MGMT_MAX 64

/* The management devices that SPECs may name. It may grow while modules are loaded and never
 * shrinks; what was there once is const. Thread rule: whoever lets it grow. */
struct vdpa_mgmt_table {
	const struct vdpa_mgmt_dev *devs[VDPA_MGMT_MAX]; /* @nr of them */
	size_t nr;
};

/** vdpa_mac_parse() - six bytes like 52:54:00:12:34:56. Return: false if @word is anything else;
 * @mac is unchanged then */
bool vdpa_mac_parse(const char *word, uint8_t mac[6]) HF_MUST_CHECK;

/**
 * vdpa_spec_parse() - read one SPEC
 * @mgmt: [lent] table of @nr_mgmt management devices
 * @spec: words separated by blanks
 * @nth:  number used for a default name
 * Return: 0; -EINVAL unknown, repeated or valueless key, wrong word, or a conflict with strict
 * mode; -ERANGE a value out of range; -ENODEV unknown mgmtdev; -EOPNOTSUPP a key that mgmtdev does
 * not take. refuse_reason() is a line for people that names the offending word and the known words.
 * @config written on success only.
 */
int vdpa_spec_parse(const struct vdpa_mgmt_dev *const *mgmt, size_t nr_mgmt, const char *spec,
		    unsigned int nth, struct vdpa_dev_config *config,
		    const struct vdpa_mgmt_dev **out_mgmt) HF_MUST_CHECK;

#endif
