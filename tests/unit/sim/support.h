// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client of a simulated device in this very process: it makes the device through its management
 * device, talks to it through its operations alone, and drives its queues with the ring driver. By
 * default nothing is mapped, so the device sees the process's own addresses (1:1).
 */
#ifndef HOLDFAST_TEST_SIM_SUPPORT_H
#define HOLDFAST_TEST_SIM_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "base/refuse.h"
#include "parents/sim/simblk.h"
#include "parents/sim/simnet.h"
#include "ring/driver.h"
#include "vdpa/bus.h"
#include "vdpa/mgmt.h"

#define BIT(n)        (1ULL << (n))
#define BASE_FEATURES (BIT(VIRTIO_F_ACCESS_PLATFORM) | BIT(VIRTIO_F_VERSION_1))
#define RIG_VQS       9
#define DEADLINE_MS   20000
#define HDR           12 /* bytes of the virtio-net header with VERSION_1 */

/* One queue as its driver has it. */
struct rig_vq {
	struct ring_driver *drv;
	char *mem; /* ring areas, page-aligned; mapped memory of @mem_len bytes */
	size_t mem_len;
	void *area[3];
	int call_fd; /* eventfd: the device called */
	uint16_t num;
};

struct rig {
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct vdpa_device *dev;
	const struct vdpa_config_ops *ops;
	uint64_t features; /* negotiated */
	int config_fd;     /* eventfd: config interrupt */
	struct rig_vq vq[RIG_VQS];
	uint64_t (*iova_of)(struct rig *rig, const void *p); /* NULL: 1:1 */
};

/** rig_config() - defaults as the parser has them, but for rings of 256 and all of their features
 * offered */
struct vdpa_dev_config rig_config(void);
/** rig_expect_refused() - a card with @backend and @max_vqp cannot be made: @err, and @words among
 * the reason's */
void rig_expect_refused(const char *backend, uint16_t max_vqp, int err, const char *words);
/** rig_make() - a device of config->mgmtdev */
void rig_make(struct rig *rig, const struct vdpa_dev_config *config);
/** rig_make_of() - a device of @mgmt */
void rig_make_of(struct rig *rig, const struct vdpa_mgmt_dev *mgmt,
		 const struct vdpa_dev_config *config);
void rig_destroy(struct rig *rig);

#define rig_op(rig, name, ...)                                                                     \
	({                                                                                         \
		mutex_lock(&(rig)->dev->lock);                                                     \
		__auto_type ret_ = (rig)->ops->name((rig)->dev, ##__VA_ARGS__);                    \
		mutex_unlock(&(rig)->dev->lock);                                                   \
		ret_;                                                                              \
	})
#define rig_do(rig, name, ...)                                                                     \
	do {                                                                                       \
		mutex_lock(&(rig)->dev->lock);                                                     \
		(rig)->ops->name((rig)->dev, ##__VA_ARGS__);                                       \
		mutex_unlock(&(rig)->dev->lock);                                                   \
	} while (0)

/** rig_guard_install() - before cmocka's handlers are there. Return: 0 if it could be */
int rig_guard_install(void);
/** rig_take_signals() - within a test: faults go to the guard, not to cmocka */
void rig_take_signals(void);
/** rig_vanish() - as munmap(), but nothing else of this process can come to lie there */
void rig_vanish(void *p, size_t len);

/** rig_negotiate() - status 0xb with @features */
void rig_negotiate(struct rig *rig, uint64_t features);
/** rig_vq_new() - memory and a fresh ring driver for queue @idx of @num entries */
void rig_vq_new(struct rig *rig, uint16_t idx, uint16_t num);
/** rig_vq_setup() - tell the device all about queue @idx, ready included */
void rig_vq_setup(struct rig *rig, uint16_t idx);
void rig_driver_ok(struct rig *rig);
/** rig_start() - negotiate, set up queues 0..@nr-1 with @num entries, DRIVER_OK */
void rig_start(struct rig *rig, uint64_t features, uint16_t nr, uint16_t num);
/** rig_reset() - status 0 and the drivers forgotten */
void rig_reset(struct rig *rig);

uint64_t rig_iova(struct rig *rig, const void *p);
/** rig_map_of_rings() - a map of the rings that there are, 1:1, for .set_map */
struct iotlb *rig_map_of_rings(struct rig *rig);
/** rig_map_add() - let @tlb have [@p, @p + @len), 1:1 */
void rig_map_add(struct rig *rig, struct iotlb *tlb, const void *p, size_t len);
/** rig_add() - one chain of plain pieces; @cookie is the first piece's address */
void rig_add(struct rig *rig, uint16_t idx, void *p, size_t len, bool in);
/** rig_publish() - and kick if the device wants it */
void rig_publish(struct rig *rig, uint16_t idx);
/** rig_get() - next completed chain, waiting for it until the deadline. Return: cookie or NULL */
void *rig_get(struct rig *rig, uint16_t idx, uint32_t *len);
/** rig_poll() - the same without waiting */
void *rig_poll(struct rig *rig, uint16_t idx, uint32_t *len);
/** rig_quiet() - returns when the device has done what it was told: its worker lock was free
 * once */
void rig_quiet(struct rig *rig);
/** rig_wait_fd() - Return: did @fd become readable before the deadline? An eventfd is read. */
bool rig_wait_fd(int fd, int ms);

/** rig_wait_count() - returns when an atomic counter has come to @n, which it does before the
 * deadline */
void rig_wait_count(const unsigned int *counter, unsigned int n);

/** frame_make() - header of zeros, addresses, and bytes that depend on @seed; @len: with header */
void frame_make(uint8_t *buf, size_t len, uint32_t seed);
/** rig_goes_round() - does a frame of ROUND_LEN bytes at @out come back whole to @in, which has
 * ROUND_ROOM? */
#define ROUND_LEN  600
#define ROUND_ROOM 2048
bool rig_goes_round(struct rig *rig, uint8_t *out, uint8_t *in, uint32_t seed);
/** rig_send() - a copy of nothing: @buf is the frame; publishes and waits for its completion */
void rig_send(struct rig *rig, uint16_t idx, uint8_t *buf, size_t len);
/** rig_ctrl() - one control command. Return: the answer byte, 0xff if it was not written */
uint8_t rig_ctrl(struct rig *rig, uint16_t idx, uint8_t class, uint8_t cmd, const void *data,
		 size_t len);
uint64_t rig_counter(struct rig *rig, uint16_t idx, const char *name);

#endif
