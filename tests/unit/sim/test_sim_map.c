// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the device translates with, the table [4-9], seen by where its writes land. Address X is
 * mapped to page A, while X as a plain address is page B ([4-17]): a received frame in A says
 * "map", in B "1:1", in neither "none". The rings are mapped 1:1, so that they work under either.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "iotlb/iotlb.h"
#include "support.h"
#include "vdpa/reset.h"

#define PAGE 4096UL

enum seen { SEEN_MAP = 'A', SEEN_IDENTITY = 'B', SEEN_NONE = '-' };

static struct {
	char *a, *b;    /* pages */
	uint8_t *frame; /* page: what is sent */
} pages;

static bool lacks_memory;

int __real_iotlb_unmap(struct iotlb *tlb, iova_t first, iova_t last, size_t *nr_removed);
int __wrap_iotlb_unmap(struct iotlb *tlb, iova_t first, iova_t last, size_t *nr_removed);
int __wrap_iotlb_unmap(struct iotlb *tlb, iova_t first, iova_t last, size_t *nr_removed)
{
	return lacks_memory ? -ENOMEM : __real_iotlb_unmap(tlb, first, last, nr_removed);
}

static char *page_new(void)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void add(struct rig *rig, struct iotlb *tlb, const void *iova, void *host, size_t len)
{
	uint64_t first = (uintptr_t)iova;
	struct memory_region *mem;

	assert_int_equal(
		memory_region_create(rig->space, (uintptr_t)host, len, true, MEMORY_VA, &mem), 0);
	assert_int_equal(iotlb_map(tlb, first, first + len - 1, mem, 0, IOTLB_RW), 0);
	memory_region_put(mem);
}

/* The client's table: X -> A, the frame and both queues' rings 1:1. */
static struct iotlb *client_table(struct rig *rig, bool with_rings, bool with_data)
{
	struct iotlb *tlb;

	assert_int_equal(iotlb_create(100, &tlb), 0);
	if (with_data) {
		add(rig, tlb, pages.b, pages.a, PAGE);
		add(rig, tlb, pages.frame, pages.frame, PAGE);
	}
	for (int i = 0; with_rings && i < 2; i++)
		add(rig, tlb, rig->vq[i].mem, rig->vq[i].mem, rig->vq[i].mem_len);
	return tlb;
}

/* As vhost-vdpa would: one set_map, or a dma_map an entry. */
static void install(struct rig *rig, uint32_t asid, struct iotlb *tlb)
{
	const struct iotlb_version *v = iotlb_snapshot(tlb);
	struct iotlb_entry entry;

	if (rig->ops->set_map) {
		assert_int_equal(rig_op(rig, set_map, asid, v), 0);
	} else {
		for (iova_t from = 0; iotlb_version_next(v, from, &entry); from = entry.last + 1)
			assert_int_equal(rig_op(rig, dma_map, asid, &entry), 0);
	}
	iotlb_version_put(v);
}

static void negotiate_and_run(struct rig *rig)
{
	rig_negotiate(rig, BASE_FEATURES);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_setup(rig, i);
	rig_driver_ok(rig);
}

/* One frame into X, then the device is left reset-ready. */
static enum seen look(struct rig *rig)
{
	enum seen seen = SEEN_NONE;
	uint32_t len;

	memset(pages.a, 0, PAGE);
	memset(pages.b, 0, PAGE);
	rig_add(rig, 0, pages.b, PAGE, true);
	rig_publish(rig, 0);
	frame_make(pages.frame, HDR + 64, 5);
	rig_add(rig, 1, pages.frame, HDR + 64, false);
	(void)ring_driver_publish(rig->vq[1].drv);
	rig->ops->kick_vq(rig->dev, 1);
	rig_quiet(rig);
	if (memcmp(pages.a + HDR, pages.frame + HDR, 64) == 0)
		seen = SEEN_MAP;
	if (memcmp(pages.b + HDR, pages.frame + HDR, 64) == 0)
		seen = SEEN_IDENTITY;
	while (rig_poll(rig, 0, &len) || rig_poll(rig, 1, &len))
		;
	return seen;
}

/* Rings are made anew, at the same addresses: their memory is zeroed and the drivers start over. */
static void renew_rings(struct rig *rig)
{
	for (uint16_t i = 0; i < 2; i++) {
		struct rig_vq *vq = &rig->vq[i];
		struct ring_driver_config config = {.num = vq->num,
						    .desc = vq->area[0],
						    .driver = vq->area[1],
						    .device = vq->area[2]};

		ring_driver_destroy(vq->drv);
		assert_int_equal(ring_driver_create(&config, &vq->drv), 0);
	}
}

static enum seen run_and_look(struct rig *rig)
{
	renew_rings(rig);
	negotiate_and_run(rig);
	return look(rig);
}

static void do_reset(struct rig *rig, enum vdpa_reset_event event, bool persist)
{
	mutex_lock(&rig->dev->lock);
	assert_int_equal(vdpa_reset(rig->dev, event, persist), 0);
	mutex_unlock(&rig->dev->lock);
}

/* [3-5] */
static void close_client(struct rig *rig, struct iotlb *tlb, bool persist)
{
	const struct iotlb_version *v = iotlb_snapshot(tlb);
	struct iotlb_entry e;

	do_reset(rig, VDPA_RESET_CLOSE, persist);
	assert_true(vdpa_reset_removes_mappings(VDPA_RESET_CLOSE));
	for (iova_t from = 0; rig->ops->dma_unmap && iotlb_version_next(v, from, &e);
	     from = e.last + 1)
		assert_int_equal(rig_op(rig, dma_unmap, 0, e.first, e.last), 0);
	mutex_lock(&rig->dev->lock);
	vdpa_reset_map(rig->dev, 0);
	mutex_unlock(&rig->dev->lock);
	iotlb_version_put(v);
}

struct parent {
	const char *name;
	bool compat_reset, reset_map, can_persist;
	char persist, no_persist, reopen_set_map, reopen_dma_map; /* [4-13], [4-14], [4-15] */
};

static const struct parent parents[] = {
	{"stock", true, true, true, SEEN_MAP, SEEN_IDENTITY, SEEN_IDENTITY, SEEN_IDENTITY},
	{"no compat_reset", false, true, true, SEEN_MAP, SEEN_MAP, SEEN_IDENTITY, SEEN_IDENTITY},
	{"no reset_map", true, false, false, SEEN_IDENTITY, SEEN_IDENTITY, SEEN_IDENTITY,
	 SEEN_NONE},
	{"neither", false, false, false, SEEN_MAP, SEEN_MAP, SEEN_MAP, SEEN_NONE},
};

static void expect_seen(const char *parent, const char *clause, int got, int want)
{
	if (got != want)
		fail_msg("%s [%s]: %c, not %c", parent, clause, got, want);
}

static void run_parent(const struct parent *p, enum vdpa_mapping mapping, bool strict)
{
	struct vdpa_dev_config config = rig_config();
	bool dma = mapping == VDPA_MAPPING_DMA_MAP;
	struct iotlb *tlb;
	struct rig rig;

	config.mapping = mapping;
	config.profile = strict ? PROFILE_LINUX_6_12 : PROFILE_DEFAULT;
	config.compat_reset = p->compat_reset;
	config.reset_map = p->reset_map;
	config.given |= VDPA_KEY_MAC; /* strict mode delivers to this address alone */
	memcpy(config.mac, (const uint8_t[]){0x52, 0x54, 0, 1, 2, 3}, 6);
	rig_make(&rig, &config);
	assert_int_equal(vdpa_can_persist(rig.dev), p->can_persist); /* [4-10] */
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_new(&rig, i, 16);
	tlb = client_table(&rig, true, true);
	expect_seen(p->name, "4-11", run_and_look(&rig), SEEN_IDENTITY);
	install(&rig, 0, tlb);
	do_reset(&rig, VDPA_RESET_STATUS_ZERO, true);
	expect_seen(p->name, "4-12", run_and_look(&rig), SEEN_MAP);
	do_reset(&rig, VDPA_RESET_STATUS_ZERO, p->can_persist);
	expect_seen(p->name, "4-13", run_and_look(&rig), p->persist);
	do_reset(&rig, VDPA_RESET_STATUS_ZERO, false);
	expect_seen(p->name, "4-14", run_and_look(&rig), p->no_persist);
	close_client(&rig, tlb, false);
	expect_seen(p->name, "4-15", run_and_look(&rig),
		    dma ? p->reopen_dma_map : p->reopen_set_map);
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

static void reset_table_as_seen_by_dma(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
		for (int strict = 0; strict < 2; strict++) {
			run_parent(&parents[i], VDPA_MAPPING_SET_MAP, strict);
			run_parent(&parents[i], VDPA_MAPPING_DMA_MAP, strict);
		}
	}
}

/* [4-2]: one group, one address space; the domain starts 1:1 and is empty once somebody
 * attaches. */
static void platform_style_translates_through_domain(void **state)
{
	struct vdpa_dev_config config = rig_config();
	struct iotlb *tlb;
	struct rig rig;

	(void)state;
	config.mapping = VDPA_MAPPING_PLATFORM;
	rig_make(&rig, &config);
	assert_int_equal(rig.dev->ngroups, 1);
	assert_int_equal(rig.dev->nas, 1);
	assert_int_equal(rig_op(&rig, get_vq_group, 2), 0);
	assert_null(rig.ops->get_vq_desc_group);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_new(&rig, i, 16);
	assert_int_equal(run_and_look(&rig), SEEN_IDENTITY);
	tlb = client_table(&rig, true, true);
	mutex_lock(&rig.dev->lock);
	assert_int_equal(vdpa_domain_attach(rig.dev), 0);
	mutex_unlock(&rig.dev->lock);
	rig_reset(&rig);
	assert_int_equal(run_and_look(&rig), SEEN_NONE);
	{
		const struct iotlb_version *v = iotlb_snapshot(tlb);

		assert_int_equal(iotlb_assign(rig.dev->domain, v), 0);
		iotlb_synchronize(rig.dev->domain);
		iotlb_version_put(v);
	}
	rig_reset(&rig);
	assert_int_equal(run_and_look(&rig), SEEN_MAP);
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

static void empty_map_reaches_nothing(void **state)
{
	struct vdpa_dev_config config = rig_config();
	struct iotlb *tlb;
	struct rig rig;

	(void)state;
	rig_make(&rig, &config);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_new(&rig, i, 16);
	assert_int_equal(iotlb_create(4, &tlb), 0);
	install(&rig, 0, tlb);
	assert_int_equal(run_and_look(&rig), SEEN_NONE);
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

static void set_map_over_limit_leaves_empty_map(void **state)
{
	struct vdpa_dev_config config = rig_config();
	const struct iotlb_version *v;
	struct iotlb *tlb;
	struct rig rig;

	(void)state;
	config.max_iotlb_entries = 3;
	rig_make(&rig, &config);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_new(&rig, i, 16);
	tlb = client_table(&rig, true, true);
	v = iotlb_snapshot(tlb);
	assert_int_equal(rig_op(&rig, set_map, 0, v), -28 /* ENOSPC */);
	iotlb_version_put(v);
	assert_int_equal(run_and_look(&rig), SEEN_NONE);
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

/* Leaving 1:1 takes no memory; an unmap for which there is none changes nothing. */
static void map_without_memory_leaves_1_to_1(void **state)
{
	struct vdpa_dev_config config = rig_config();
	uint64_t at = (uintptr_t)pages.b;
	struct iotlb *tlb;
	struct rig rig;

	(void)state;
	config.mapping = VDPA_MAPPING_DMA_MAP;
	rig_make(&rig, &config);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_new(&rig, i, 16);
	tlb = client_table(&rig, true, true);
	lacks_memory = true;
	install(&rig, 0, tlb);
	assert_int_equal(run_and_look(&rig), SEEN_MAP);
	assert_int_equal(rig_op(&rig, dma_unmap, 0, at, at + PAGE - 1), -ENOMEM);
	lacks_memory = false;
	rig_reset(&rig);
	assert_int_equal(run_and_look(&rig), SEEN_MAP);
	assert_int_equal(rig_op(&rig, reset_map, 0), 0);
	rig_reset(&rig);
	assert_int_equal(run_and_look(&rig), SEEN_IDENTITY);
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

/* Group 2 has the rings, group 0 the buffers: with the groups apart, each address space has only
 * its part. */
static void descriptor_group_in_own_address_space(void **state)
{
	struct vdpa_dev_config config = rig_config();
	struct iotlb *rings, *data;
	struct rig rig;

	(void)state;
	rig_make(&rig, &config);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_new(&rig, i, 16);
	assert_int_equal(rig_op(&rig, get_vq_desc_group, 0), 2);
	assert_int_equal(rig_op(&rig, get_vq_group, 0), 0);
	data = client_table(&rig, false, true);
	rings = client_table(&rig, true, false);
	install(&rig, 0, data);
	install(&rig, 1, rings);
	assert_int_equal(run_and_look(&rig), SEEN_NONE);
	assert_int_equal(rig_op(&rig, set_group_asid, 2, 1), 0); /* effective at once */
	rig.ops->kick_vq(rig.dev, 1);
	rig_quiet(&rig);
	assert_memory_equal(pages.a + HDR, pages.frame + HDR, 64);
	rig_reset(&rig); /* back to address space 0, [3-4] */
	assert_int_equal(run_and_look(&rig), SEEN_NONE);
	assert_int_equal(rig_op(&rig, set_group_asid, 2, 2), -22);
	assert_int_equal(rig_op(&rig, set_group_asid, 3, 0), -22);
	iotlb_destroy(data);
	iotlb_destroy(rings);
	rig_destroy(&rig);
}

/* A ring that lost its mapping with kicks suppressed goes on when the mapping is back. */
static void unmapped_ring_mapped_again_goes_on(void **state)
{
	struct vdpa_dev_config config = rig_config();
	struct iotlb *tlb, *empty;
	struct rig rig;
	uint32_t len;

	(void)state;
	rig_make(&rig, &config);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_new(&rig, i, 16);
	tlb = client_table(&rig, true, true);
	assert_int_equal(iotlb_create(4, &empty), 0);
	install(&rig, 0, tlb);
	assert_int_equal(run_and_look(&rig), SEEN_MAP);
	install(&rig, 0, empty);
	rig_add(&rig, 0, pages.b, PAGE, true);
	rig_publish(&rig, 0);
	rig_add(&rig, 1, pages.frame, HDR + 64, false);
	(void)ring_driver_publish(rig.vq[1].drv);
	rig.ops->kick_vq(rig.dev, 1);
	rig_quiet(&rig);
	assert_null(rig_poll(&rig, 1, &len));
	install(&rig, 0, tlb);
	rig.ops->kick_vq(rig.dev, 1);
	assert_ptr_equal(rig_get(&rig, 1, &len), pages.frame);
	assert_ptr_equal(rig_get(&rig, 0, &len), pages.b);
	assert_int_equal(rig_op(&rig, get_status), 0xf);
	iotlb_destroy(tlb);
	iotlb_destroy(empty);
	rig_destroy(&rig);
}

/* Unmapping under traffic: when set_map has returned, the device touches the old pages no more. */
static void unmap_under_traffic_stops_writes(void **state)
{
	struct vdpa_dev_config config = rig_config();
	struct iotlb *tlb, *empty;
	struct rig rig;

	(void)state;
	rig_make(&rig, &config);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_new(&rig, i, 256);
	tlb = client_table(&rig, true, true);
	assert_int_equal(iotlb_create(4, &empty), 0);
	for (int round = 0; round < 50; round++) {
		install(&rig, 0, tlb);
		rig_reset(&rig);
		renew_rings(&rig);
		negotiate_and_run(&rig);
		frame_make(pages.frame, HDR + 64, 5);
		for (int i = 0; i < 256; i++) {
			rig_add(&rig, 0, pages.b, PAGE, true);
			rig_add(&rig, 1, pages.frame, HDR + 64, false);
		}
		rig_publish(&rig, 0);
		rig_publish(&rig, 1);
		install(&rig, 0, empty);
		memset(pages.a, 0x77, PAGE); /* TSan sees a device that still writes */
		rig_quiet(&rig);
		for (size_t i = 0; i < PAGE; i++)
			assert_int_equal(pages.a[i], 0x77);
	}
	iotlb_destroy(tlb);
	iotlb_destroy(empty);
	rig_destroy(&rig);
}

/* The rings' mapping goes and comes back under traffic. A driver that kicks only when it is asked
 * to gets everything done with its next frame. */
static void run_remap(uint64_t features)
{
	struct vdpa_dev_config config = rig_config();
	struct iotlb *tlb, *empty;
	struct rig rig;
	uint32_t len;

	rig_make(&rig, &config);
	rig_negotiate(&rig, BASE_FEATURES | features);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_new(&rig, i, 16);
	tlb = client_table(&rig, true, true);
	assert_int_equal(iotlb_create(4, &empty), 0);
	install(&rig, 0, tlb);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_setup(&rig, i);
	rig_driver_ok(&rig);
	frame_make(pages.frame, HDR + 64, 5);
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 5; i++) {
			rig_add(&rig, 1, pages.frame, HDR + 64, false);
			rig_publish(&rig, 1);
		}
		install(&rig, 0, empty);
		rig_add(&rig, 1, pages.frame, HDR + 64, false);
		rig_publish(&rig, 1);
		install(&rig, 0, tlb);
		rig_add(&rig, 1, pages.frame, HDR + 64, false);
		rig_publish(&rig, 1);
		for (int i = 0; i < 7; i++)
			if (!rig_get(&rig, 1, &len))
				fail_msg("round %d: frame %d is stuck", round, i);
	}
	assert_int_equal(rig_op(&rig, get_status), 0xf);
	iotlb_destroy(tlb);
	iotlb_destroy(empty);
	rig_destroy(&rig);
}

static void remap_under_traffic_never_hangs(void **state)
{
	(void)state;
	run_remap(0);
	run_remap(BIT(VIRTIO_RING_F_EVENT_IDX));
	run_remap(BIT(VIRTIO_F_RING_PACKED));
	run_remap(BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX));
}

/*
 * One range is mapped in the very moment in which the worker finds that it is not. Whoever comes
 * second must see the other: the driver has kicked and, with the event index, does not kick again.
 */
static void map_while_worker_finds_none_never_hangs(void **state)
{
	struct vdpa_dev_config config = rig_config();
	struct iotlb_entry ring = {.perm = IOTLB_RW};
	struct iotlb *tlb;
	struct rig rig;
	uint32_t len;

	(void)state;
	config.mapping = VDPA_MAPPING_DMA_MAP;
	rig_make(&rig, &config);
	rig_negotiate(&rig, BASE_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX));
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_new(&rig, i, 16);
	tlb = client_table(&rig, true, true);
	install(&rig, 0, tlb);
	for (uint16_t i = 0; i < 2; i++)
		rig_vq_setup(&rig, i);
	rig_driver_ok(&rig);
	frame_make(pages.frame, HDR + 64, 5);
	ring.first = (uintptr_t)rig.vq[1].mem;
	ring.last = ring.first + rig.vq[1].mem_len - 1;
	assert_int_equal(memory_region_create(rig.space, ring.first, rig.vq[1].mem_len, true,
					      MEMORY_VA, &ring.mem),
			 0);
	for (int round = 0; round < 5000; round++) {
		rig_quiet(&rig); /* a worker at rest, that nothing has told it to try again */
		assert_int_equal(rig_op(&rig, dma_unmap, 0, ring.first, ring.last), 0);
		rig_add(&rig, 1, pages.frame, HDR + 64, false);
		(void)ring_driver_publish(rig.vq[1].drv);
		rig.ops->kick_vq(rig.dev, 1);
		for (volatile int spin = 0; spin < round * 37 % 40000; spin++)
			;
		assert_int_equal(rig_op(&rig, dma_map, 0, &ring), 0);
		if (!rig_get(&rig, 1, &len))
			fail_msg("round %d: the frame is stuck", round);
	}
	memory_region_put(ring.mem);
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

static int make_pages(void **state)
{
	(void)state;
	pages.a = page_new();
	pages.b = page_new();
	pages.frame = (uint8_t *)page_new();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_table_as_seen_by_dma),
		cmocka_unit_test(platform_style_translates_through_domain),
		cmocka_unit_test(empty_map_reaches_nothing),
		cmocka_unit_test(set_map_over_limit_leaves_empty_map),
		cmocka_unit_test(map_without_memory_leaves_1_to_1),
		cmocka_unit_test(descriptor_group_in_own_address_space),
		cmocka_unit_test(unmapped_ring_mapped_again_goes_on),
		cmocka_unit_test(unmap_under_traffic_stops_writes),
		cmocka_unit_test(remap_under_traffic_never_hangs),
		cmocka_unit_test(map_while_worker_finds_none_never_hangs),
	};

	return cmocka_run_group_tests(tests, make_pages, NULL);
}
