// SPDX-License-Identifier: BSD-3-Clause
/* A bus with both drivers and one simulated device on it, made by a SPEC as a person writes it. */
#ifndef HOLDFAST_TEST_VIRTIO_VDPA_SUPPORT_H
#define HOLDFAST_TEST_VIRTIO_VDPA_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/refuse.h"
#include "vhost_vdpa/vhost_vdpa.h"
#include "virtio_vdpa/virtio_vdpa.h"

#define TIMEOUT_MS 20000

struct bench {
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct vdpa_device *dev; /* one reference */
};

/** bench_make() - virtio_vdpa comes first, so the device is its own */
void bench_make(struct bench *b, const char *spec);
void bench_destroy(struct bench *b);
/** bench_move() - unbind, bind to @driver */
void bench_move(struct bench *b, const char *driver);
/** bench_session() - a client of vhost_vdpa comes, maps @len bytes of its own at @iova, brings the
 * device to DRIVER_OK, and goes. Leaves the device with virtio_vdpa. */
void bench_session(struct bench *b, uint64_t iova, size_t len);
/** bench_fill() - bytes that depend on @seed */
void bench_fill(uint8_t *p, size_t len, uint32_t seed);

#endif
