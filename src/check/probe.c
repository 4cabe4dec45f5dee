/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Learns what the device is, by asking and, where no call tells, by watching.
 *
 * Four properties decide which expectations hold and cannot be asked for: whether memory is
 * pinned, whether the parent takes whole maps or single ranges or leaves both to the platform's
 * IOMMU, and whether its reset drops the translation. Each has one visible sign, used here and
 * nowhere else:
 * 1. A locked-memory limit of 0 refuses a mapping on a device that pins.
 * 2. Inside a batch, a set_map device still translates as before the batch.
 * 3. The platform's IOMMU gives a device nothing while nothing is mapped. Such a device has one
 *    address space and cannot bind a group [4-2], so that a device which merely lost its 1:1
 *    translation is not taken for one.
 * 4. After a reset without IOTLB_PERSIST, a compat_reset parent is back at 1:1.
 */
#include "check/kit.h"

#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"

enum { CHECK_VQS_MAX = 4096, CHECK_CONFIG_MAX = 512 };

static uint32_t get_u32(struct check_ctx *t, int fd, unsigned long req)
{
	uint32_t v = 0;

	EXPECT_RC(t, 0, client_ioctl(fd, req, &v));
	return v;
}

/* What a device says decides how much is done; one that lies here is not worth it. */
static void expect_plausible(struct check_ctx *t, const struct check_device *dev)
{
	uint32_t least = dev->device_id == VIRTIO_ID_NET ? 2 : 1;

	if (dev->nr_vqs < least || dev->nr_vqs > CHECK_VQS_MAX)
		FAIL(t, "the device says it has %u queues", dev->nr_vqs);
	if (dev->config_size == 0 || dev->config_size > CHECK_CONFIG_MAX)
		FAIL(t, "the device says it has %u bytes of configuration", dev->config_size);
	if (dev->ring_max < KIT_NUM || dev->ring_max > 32768)
		FAIL(t, "the device says its rings have at most %u entries", dev->ring_max);
	if (dev->nr_as == 0 || dev->nr_as > CHECK_VQS_MAX)
		FAIL(t, "the device says it has %u address spaces", dev->nr_as);
	if (dev->iova_first > dev->iova_last)
		FAIL(t, "the device says its iovas are %#llx to %#llx",
		     (unsigned long long)dev->iova_first, (unsigned long long)dev->iova_last);
}

void check_probe(struct check_ctx *t, struct check_device *dev)
{
	struct vhost_vdpa_iova_range range = {0};
	uint16_t ring_max = 0;
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, client_get_u64(fd, VHOST_GET_FEATURES, &dev->features));
	EXPECT_RC(t, 0, client_get_u64(fd, VHOST_GET_BACKEND_FEATURES, &dev->backend));
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_GET_VRING_NUM, &ring_max));
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_GET_IOVA_RANGE, &range));
	dev->device_id = get_u32(t, fd, VHOST_VDPA_GET_DEVICE_ID);
	dev->config_size = get_u32(t, fd, VHOST_VDPA_GET_CONFIG_SIZE);
	dev->nr_vqs = get_u32(t, fd, VHOST_VDPA_GET_VQS_COUNT);
	dev->nr_groups = get_u32(t, fd, VHOST_VDPA_GET_GROUP_NUM);
	dev->nr_as = get_u32(t, fd, VHOST_VDPA_GET_AS_NUM);
	dev->ring_max = ring_max;
	dev->binds = client_vring_set(fd, VHOST_VDPA_SET_GROUP_ASID, 0, 0) != -EOPNOTSUPP;
	dev->iova_first = range.first;
	dev->iova_last = range.last;
	if (dev->device_id == VIRTIO_ID_NET && dev->nr_vqs > 2)
		(void)client_vring_get(fd, VHOST_VDPA_GET_VRING_GROUP, 2, &dev->ctrl_group);
	/* A kernel serves every process; what runs inside one process may serve that alone. */
	dev->forks = !dev->holdfast ||
		     check_child_ioctl(t, fd, VHOST_VDPA_GET_DEVICE_ID, &dev->device_id) == 0;
	if (dev->device_id == VIRTIO_ID_NET)
		EXPECT_RC(t, 0, client_get_config(fd, 0, dev->mac, sizeof(dev->mac)));
	check_close(t, fd);
	expect_plausible(t, dev);
}

void check_restore(struct check_ctx *t)
{
	uint8_t now[sizeof(t->dev->mac)];
	int fd;

	if (check_missing(t->dev, CHECK_NET))
		return;
	fd = check_open(t);
	EXPECT_RC(t, 0, client_get_config(fd, 0, now, sizeof(now)));
	if (memcmp(now, t->dev->mac, sizeof(now)))
		EXPECT_RC(t, 0, client_set_config(fd, 0, t->dev->mac, sizeof(now)));
	check_close(t, fd);
}

static bool probe_pinned(struct check_ctx *t)
{
	const struct rlimit none = {0, 0};
	uint8_t *page = check_pages(t, 1);
	int fd = check_open_owned(t);
	struct rlimit old;
	int rc;

	EXPECT(t, getrlimit(RLIMIT_MEMLOCK, &old) == 0);
	EXPECT(t, setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){none.rlim_cur, old.rlim_max}) == 0);
	rc = check_map(fd, 0, 0x100000, CHECK_PAGE, page);
	EXPECT(t, setrlimit(RLIMIT_MEMLOCK, &old) == 0);
	EXPECT(t, rc == 0 || rc == -EFAULT);
	check_close(t, fd);
	return rc != 0;
}

/* Start the device on the pair. Return: whose used index moves. The device is closed. */
static enum check_where works_where(struct check_ctx *t, int fd, struct check_pair *pair, int ms)
{
	enum check_where where;

	check_pair_start(t, fd, pair);
	where = check_pair_where(t, pair, KIT_WORK, ms);
	check_close(t, fd);
	return where;
}

/* Does the device work 1:1 although the pair is mapped, or was? */
static bool works_1to1(struct check_ctx *t, int fd, struct check_pair *pair)
{
	enum check_where where = works_where(t, fd, pair, CHECK_WAIT);

	EXPECT(t, where == WHERE_MAPPED || where == WHERE_IDENTITY);
	return where == WHERE_IDENTITY;
}

static bool probe_set_map(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct check_pair pair;

	check_pair_init(t, &pair);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	check_pair_map(t, fd, &pair, 0);
	return works_1to1(t, fd, &pair);
}

static bool probe_platform(struct check_ctx *t)
{
	struct check_pair pair;
	int fd;

	if (t->dev->set_map || t->dev->binds || t->dev->nr_as > 1)
		return false;
	fd = check_open_owned(t);
	check_pair_init(t, &pair);
	return works_where(t, fd, &pair, t->dev->quiet_ms) == WHERE_NOWHERE;
}

static bool probe_compat_reset(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct check_pair pair;

	check_pair_init(t, &pair);
	check_pair_map(t, fd, &pair, 0);
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	return works_1to1(t, fd, &pair);
}

/* From a kick to the used index of the slowest of a few, in us. */
static int64_t latency_us(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, 0x100000);
	int64_t worst = 0;

	for (uint16_t i = 1; i <= 5; i++) {
		int64_t start = clock_now_ns(), took;

		check_kit_send(t, &kit);
		check_work_used(t, &kit, (uint16_t)(i + 1));
		took = (clock_now_ns() - start) / NS_PER_US;
		worst = took > worst ? took : worst;
	}
	check_close(t, fd);
	return worst;
}

void check_probe_latency(struct check_ctx *t, struct check_device *dev)
{
	int64_t ms = latency_us(t) * CHECK_QUIET_TIMES / 1000;

	if (ms < CHECK_QUIET_MIN)
		ms = CHECK_QUIET_MIN;
	dev->quiet_ms = ms < CHECK_QUIET_MAX ? (int)ms : CHECK_QUIET_MAX;
}

void check_probe_behaviour(struct check_ctx *t, struct check_device *dev)
{
	if (t->check->a & 1)
		dev->pinned = probe_pinned(t);
	if (t->check->a & 2) {
		dev->set_map = probe_set_map(t);
		dev->platform = probe_platform(t);
	}
	if (t->check->a & 4)
		dev->compat_reset = probe_compat_reset(t);
}
