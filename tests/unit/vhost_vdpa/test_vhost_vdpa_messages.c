// SPDX-License-Identifier: BSD-3-Clause
/* The IOTLB message protocol and what it makes the parent do ([2-x], [3-x]). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/refuse.h"
#include "env.h"

#define UPDATE     VHOST_IOTLB_UPDATE
#define INVALIDATE VHOST_IOTLB_INVALIDATE
#define BEGIN      VHOST_IOTLB_BATCH_BEGIN
#define END        VHOST_IOTLB_BATCH_END

static uint64_t where(struct env *env, uint64_t iova)
{
	return recorder_where(env->rec, 0, iova, VHOST_ACCESS_RW);
}

static uint64_t shared_at(struct env *env, uint64_t off)
{
	return (uintptr_t)env->shared + off;
}

static void ack_asid(struct env *env)
{
	assert_int_equal(env_u64(env, VHOST_SET_BACKEND_FEATURES, BACKEND_ASID), 0);
}

/* ---- what a message is ---- */

static void write_accepts_40_bytes_and_answers_72(void **state)
{
	struct {
		struct vhost_msg_v2 msg;
		char more[72];
	} buf = {.msg = {.type = VHOST_IOTLB_MSG_V2, .iotlb = {.type = BEGIN}}};
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	for (size_t len = 0; len < 40; len++)
		assert_int_equal(vhost_vdpa_write(env.s, &env.client, (uintptr_t)&buf, len),
				 -EINVAL);
	for (size_t len = 40; len <= sizeof(buf); len++)
		assert_int_equal(vhost_vdpa_write(env.s, &env.client, (uintptr_t)&buf, len), 72);
	assert_int_equal(vhost_vdpa_write(env.s, &env.client, (uintptr_t)&buf, SIZE_MAX), 72);
	assert_int_equal(vhost_vdpa_write(env.s, &env.client, 16, 72), -EINVAL);
	assert_int_equal(vhost_vdpa_write(env.s, &env.client, UINT64_MAX - 8, 72), -EINVAL);
	env_fini(&env);
}

static ssize_t errno_of_empty_message(unsigned int outer, unsigned int type)
{
	if (outer != VHOST_IOTLB_MSG && outer != VHOST_IOTLB_MSG_V2)
		return -EINVAL;
	if (type == UPDATE) /* of size 0 */
		return -EINVAL;
	return type == BEGIN || type == END ? 72 : -EFAULT;
}

static void write_of_every_kind_and_type_gives_its_errno(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = DEFAULT});
	assert_int_equal(env_begin(&env), 72);
	for (unsigned int outer = 0; outer < 300; outer++)
		for (unsigned int type = 0; type < 256; type++) {
			struct vhost_msg_v2 msg = {.type = outer};
			ssize_t got;

			msg.iotlb.type = (uint8_t)type;
			got = vhost_vdpa_write(env.s, &env.client, (uintptr_t)&msg, sizeof(msg));
			assert_int_equal(got, errno_of_empty_message(outer, type));
			assert_int_equal(got < 0, refuse_reason()[0] != '\0');
		}
	env_fini(&env);
}

static void write_by_nobody_or_another_process_faults(void **state)
{
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2, .iotlb = {.type = BEGIN}};
	struct env env;

	env_init(&env, &(struct recorder_options){0});
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), 0);
	assert_int_equal(vhost_vdpa_write(env.s, &env.client, (uintptr_t)&msg, 72), -EFAULT);
	assert_int_equal(env_ioctl(&env, VHOST_SET_OWNER, NULL), 0);
	assert_int_equal(vhost_vdpa_write(env.s, &env.other, (uintptr_t)&msg, 72), -EFAULT);
	assert_int_equal(vhost_vdpa_write(env.s, &env.client, (uintptr_t)&msg, 72), 72);
	env_fini(&env);
}

static void write_v1_is_asid_0_and_v2_only_with_the_bit(void **state)
{
	struct vhost_msg v1 = {.type = VHOST_IOTLB_MSG};
	struct env env;

	env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP});
	v1.iotlb = (struct vhost_iotlb_msg){
		.iova = 0, .size = PAGE, .uaddr = (uintptr_t)env.shared, .perm = 3, .type = UPDATE};
	assert_int_equal(vhost_vdpa_write(env.s, &env.client, (uintptr_t)&v1, sizeof(v1)), 72);
	assert_int_equal(env_msg(&env, 1, UPDATE, 0x1000, PAGE, env.shared, 3),
			 72); /* ignored: 0 */
	assert_int_equal(env_msg(&env, 99, UPDATE, 0x2000, PAGE, env.shared, 3), 72);
	recorder_reads(env.rec, "dma_map(0, 0x0, 0xfff, 3)\n"
				"dma_map(0, 0x1000, 0x1fff, 3)\n"
				"dma_map(0, 0x2000, 0x2fff, 3)\n");
	ack_asid(&env);
	assert_int_equal(env_msg(&env, 1, UPDATE, 0x1000, PAGE, env.shared, 3), 72);
	assert_int_equal(env_msg(&env, 2, UPDATE, 0x9000, PAGE, env.shared, 3), -EFAULT);
	recorder_reads(env.rec, "dma_map(1, 0x1000, 0x1fff, 3)\n");
	env_fini(&env);
}

/* ---- address spaces and batches ---- */

static void address_spaces_are_made_by_update_and_begin_alone(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	ack_asid(&env);
	for (uint32_t asid = 0; asid < 2; asid++) {
		assert_int_equal(env_msg(&env, asid, INVALIDATE, 0, PAGE, NULL, 0), -EFAULT);
		assert_int_equal(env_msg(&env, asid, END, 0, 0, NULL, 0), -EFAULT);
	}
	assert_int_equal(env_msg(&env, 1, UPDATE, 0, PAGE, env.shared, 3), 72);
	assert_int_equal(env_msg(&env, 1, INVALIDATE, 0, PAGE, NULL, 0), 72);
	assert_int_equal(env_msg(&env, 0, INVALIDATE, 0, PAGE, NULL, 0), -EFAULT);
	assert_int_equal(env_msg(&env, 0, BEGIN, 0, 0, NULL, 0), 72);
	assert_int_equal(env_msg(&env, 0, INVALIDATE, 0, PAGE, NULL, 0), 72);
	env_fini(&env);
}

static void batch_keeps_other_spaces_out_but_makes_them(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	ack_asid(&env);
	assert_int_equal(env_msg(&env, 0, BEGIN, 0, 0, NULL, 0), 72);
	assert_int_equal(env_msg(&env, 1, UPDATE, 0, PAGE, env.shared, 3), -EFAULT);
	assert_int_equal(env_msg(&env, 1, BEGIN, 0, 0, NULL, 0), -EFAULT);
	assert_int_equal(env_msg(&env, 1, END, 0, 0, NULL, 0), -EFAULT);
	recorder_reads(env.rec, "");
	assert_int_equal(env_msg(&env, 0, END, 0, 0, NULL, 0), 72);
	recorder_reads(env.rec, "set_map(0, 0)\n");
	/* it exists now */
	assert_int_equal(env_msg(&env, 1, INVALIDATE, 0, PAGE, NULL, 0), 72);
	recorder_reads(env.rec, "set_map(1, 0)\n");
	env_fini(&env);
}

static void batch_of_a_set_map_device_is_told_once(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_end(&env), -EFAULT); /* no address space yet */
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
	recorder_reads(env.rec, "set_map(0, 1)\n");
	assert_int_equal(env_end(&env), 72); /* no batch: nothing */
	recorder_reads(env.rec, "");
	assert_int_equal(env_begin(&env), 72);
	assert_int_equal(env_begin(&env), 72); /* does not count */
	assert_int_equal(env_map(&env, 0x2000, PAGE, env.shared + PAGE), 72);
	assert_int_equal(env_map(&env, 0x2800, PAGE, env.shared), -EFAULT); /* sees its own batch */
	assert_int_equal(env_unmap(&env, 0x1000, 1), 72);
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared + 2 * PAGE), 72);
	recorder_reads(env.rec, "");
	/* [2-20]: the device has the old map */
	assert_true(where(&env, 0x1000) == shared_at(&env, 0));
	assert_true(where(&env, 0x2000) == 0);
	assert_int_equal(env_end(&env), 72);
	recorder_reads(env.rec, "set_map(0, 2)\n");
	assert_true(where(&env, 0x1000) == shared_at(&env, 2 * PAGE));
	assert_true(where(&env, 0x2000) == shared_at(&env, PAGE));
	assert_int_equal(env_end(&env), 72);
	recorder_reads(env.rec, "");
	env_fini(&env);
}

static void batch_end_ignores_the_parents_error(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_begin(&env), 72);
	assert_int_equal(env_map(&env, 0, PAGE, env.shared), 72);
	recorder_fail(env.rec, "set_map", 1, -EIO);
	assert_int_equal(env_end(&env), 72);
	assert_true(where(&env, 0) == 0);
	assert_int_equal(env_unmap(&env, 0x9000, 1), 72); /* tells the whole again */
	assert_true(where(&env, 0) == shared_at(&env, 0));
	env_fini(&env);
}

static void batch_of_other_devices_is_seen_at_once(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP});
	assert_int_equal(env_begin(&env), 72);
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
	assert_true(where(&env, 0x1000) == shared_at(&env, 0));
	assert_int_equal(env_unmap(&env, 0x1000, PAGE), 72);
	assert_true(where(&env, 0x1000) == 0);
	assert_int_equal(env_end(&env), 72);
	recorder_reads(env.rec, "dma_map(0, 0x1000, 0x1fff, 3)\ndma_unmap(0, 0x1000, 0x1fff)\n");
	env_fini(&env);

	env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_PLATFORM});
	assert_int_equal(env_begin(&env), 72);
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
	assert_true(where(&env, 0x1000) == shared_at(&env, 0));
	assert_int_equal(env_unmap(&env, 0x1000, PAGE), 72);
	assert_true(where(&env, 0x1000) == 0);
	assert_int_equal(env_end(&env), 72);
	recorder_reads(env.rec, "");
	env_fini(&env);
}

/* ---- UPDATE ---- */

static void update_ranges_are_checked_at_the_byte(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.range = {0x1000, 0xffffffffffff}});
	assert_int_equal(env_map(&env, 0xfff, 1, env.shared), -EFAULT);
	assert_int_equal(env_map(&env, 0xfff, 2, env.shared), -EFAULT);
	assert_int_equal(env_map(&env, 0x1000, 1, env.shared), 72);
	assert_int_equal(env_map(&env, 0xffffffffffff, 2, env.shared), -EFAULT);
	assert_int_equal(env_map(&env, 0xffffffffffff, 1, env.shared), 72);
	assert_int_equal(env_map(&env, 0x2000, UINT64_MAX, env.shared), -EFAULT);
	env_fini(&env);

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_map(&env, UINT64_MAX - PAGE + 1, PAGE, env.shared),
			 72); /* the last page */
	assert_int_equal(env_map(&env, UINT64_MAX - 2 * PAGE + 1, PAGE, env.shared), 72);
	assert_int_equal(env_map(&env, UINT64_MAX - 3 * PAGE + 1, 4 * PAGE, env.shared), -EFAULT);
	assert_int_equal(env_unmap(&env, UINT64_MAX, 1), 72);
	assert_true(where(&env, UINT64_MAX - PAGE + 1) == 0);
	assert_int_equal(env_map(&env, UINT64_MAX, 1, env.shared), 72);
	env_fini(&env);
}

static void update_overlap_is_refused_at_the_byte(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_map(&env, 0x1010, 0x10, env.shared), 72);
	assert_int_equal(env_map(&env, 0x1000, 0x11, env.shared), -EFAULT);
	assert_int_equal(env_map(&env, 0x101f, 1, env.shared), -EFAULT);
	assert_int_equal(env_map(&env, 0x1000, 0x100, env.shared), -EFAULT);
	assert_int_equal(env_map(&env, 0x1000, 0x10, env.shared + 3), 72);
	assert_int_equal(env_map(&env, 0x1020, 1, env.shared + 5), 72);
	assert_true(where(&env, 0x100f) == shared_at(&env, 18));
	assert_true(where(&env, 0x1010) == shared_at(&env, 0));
	assert_true(where(&env, 0x1020) == shared_at(&env, 5));
	env_fini(&env);
}

static void update_permissions_are_stored_as_they_are(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP});
	for (unsigned int perm = 0; perm < 256; perm++)
		assert_int_equal(
			env_msg(&env, 0, UPDATE, perm * PAGE, PAGE, env.shared, (uint8_t)perm), 72);
	for (unsigned int perm = 0; perm < 256; perm++)
		for (uint8_t want = 1; want < 4; want++)
			assert_int_equal(recorder_where(env.rec, 0, perm * PAGE, want) != 0,
					 (perm & want) == want);
	env_fini(&env);
}

static void update_of_a_pinned_device_rounds_each_address_down(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED,
						  .mapping = VDPA_MAPPING_DMA_MAP});
	assert_int_equal(env_map(&env, 0x1800, PAGE, env.shared + 0x123), 72);
	recorder_reads(env.rec, "dma_map(0, 0x1000, 0x2fff, 3)\n");
	assert_true(where(&env, 0x1000) == shared_at(&env, 0));
	assert_int_equal(memory_charged_pages(env.space), 2);
	assert_int_equal(env_map(&env, 0x1000, 1, env.shared), -EFAULT);
	assert_int_equal(env_map(&env, 0x3fff, 1, env.shared + 5 * PAGE + 77), 72);
	recorder_reads(env.rec, "dma_map(0, 0x3000, 0x3fff, 3)\n");
	assert_int_equal(memory_charged_pages(env.space), 3);
	/* a page mapped twice counts twice */
	assert_int_equal(env_map(&env, 0x8000, PAGE, env.shared), 72);
	assert_int_equal(memory_charged_pages(env.space), 4);
	assert_int_equal(env_unmap(&env, 0x2345, 1), 72);
	assert_int_equal(memory_charged_pages(env.space), 2);
	env_fini(&env);
}

static void update_of_a_pinned_device_wants_real_pages(void **state)
{
	char *ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct env env;

	assert_true(ro != MAP_FAILED);
	env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED});
	assert_int_equal(env_msg(&env, 0, UPDATE, 0, PAGE, ro, VHOST_ACCESS_RW), -EFAULT);
	assert_int_equal(env_msg(&env, 0, UPDATE, 0, PAGE, ro, VHOST_ACCESS_WO), -EFAULT);
	assert_int_equal(env_msg(&env, 0, UPDATE, 0, PAGE, ro, VHOST_ACCESS_RO), 72);
	assert_int_equal(env_map(&env, PAGE, PAGE, (void *)16), -EFAULT);
	assert_int_equal(env_map(&env, PAGE, PAGE, (void *)UINT64_MAX), -EFAULT);
	assert_int_equal(munmap(env.shared + 8 * PAGE, PAGE), 0);
	assert_int_equal(env_map(&env, PAGE, 16 * PAGE, env.shared), -EFAULT); /* a hole */
	assert_int_equal(memory_charged_pages(env.space), 1);
	assert_int_equal(env_map(&env, PAGE, 8 * PAGE, env.shared), 72);
	assert_int_equal(memory_charged_pages(env.space), 9);
	assert_int_equal(env_map(&env, 0x100000, PAGE, env.private), 72); /* private is fine here */
	munmap(ro, PAGE);
	env_fini(&env);
}

static void update_is_limited_by_memlock_exactly(void **state)
{
	struct rlimit old, limit;
	struct env env;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	limit = old;
	limit.rlim_cur = 16 * PAGE;
	for (int strict = 0; strict < 2; strict++) {
		env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED,
							  .deviations = strict ? STRICT : DEFAULT});
		assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
		assert_int_equal(env_map(&env, 0, 17 * PAGE, env.shared), -EFAULT);
		assert_int_equal(env_map(&env, 0, 16 * PAGE, env.shared), 72);
		assert_int_equal(env_map(&env, 0x100000, 1, env.shared), -EFAULT);
		/* all out and all in within one batch, at the limit */
		assert_int_equal(env_begin(&env), 72);
		assert_int_equal(env_unmap(&env, 0, UINT64_MAX), 72);
		assert_int_equal(memory_charged_pages(env.space), 0);
		assert_int_equal(env_map(&env, 0, 16 * PAGE, env.shared), 72);
		assert_int_equal(env_end(&env), 72);
		assert_int_equal(memory_charged_pages(env.space), 16);
		assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
		env_fini(&env);
	}
}

static void update_beyond_memlock_when_the_device_says_so(void **state)
{
	struct rlimit old, limit;
	struct env env;

	if (geteuid() != 0)
		skip(); /* mlock(2) itself holds others to the limit */
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	limit = old;
	limit.rlim_cur = 4 * PAGE;
	env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED});
	env.rec->dev.memlock_unlimited = true;
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	assert_int_equal(env_map(&env, 0, 16 * PAGE, env.shared), 72);
	assert_int_equal(memory_charged_pages(env.space), 16); /* accounted all the same */
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
	env_fini(&env);
}

static void update_entry_limit_is_exact(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.max_entries = 3});
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(env_map(&env, i * PAGE, PAGE, env.shared), 72);
	recorder_clear(env.rec);
	assert_int_equal(env_map(&env, 3 * PAGE, PAGE, env.shared), -EFAULT);
	assert_int_equal(env_unmap(&env, 0, 1), 72);
	assert_int_equal(env_map(&env, 3 * PAGE, PAGE, env.shared), 72);
	env_fini(&env);
}

/* ---- the client's mappings ---- */

/* shared, private, shared, hole, shared: 4 pages each from the start of env->shared */
static void lay_out(struct env *env)
{
	void *p = mmap(env->shared + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	assert_ptr_equal(p, env->shared + 4 * PAGE);
	assert_int_equal(munmap(env->shared + 12 * PAGE, 4 * PAGE), 0);
}

static void update_makes_an_entry_a_mapping(void **state)
{
	struct env env;

	env_open(&env,
		 &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP, .deviations = STRICT});
	lay_out(&env);
	/* byte exact, private skipped, the hole is the upper mapping's */
	assert_int_equal(env_map(&env, 0x100010, 20 * PAGE - 0x20, env.shared + 0x10), 72);
	recorder_reads(env.rec, "dma_map(0, 0x100010, 0x103fff, 3)\n"
				"dma_map(0, 0x108000, 0x10bfff, 3)\n"
				"dma_map(0, 0x10c000, 0x113fef, 3)\n");
	assert_true(where(&env, 0x110000) == shared_at(&env, 16 * PAGE));
	assert_true(where(&env, 0x104000) == 0);
	/* private memory alone maps nothing, as often as one likes */
	assert_int_equal(env_map(&env, 0x104000, PAGE, env.shared + 4 * PAGE), 72);
	assert_int_equal(env_map(&env, 0x104000, PAGE, env.shared + 4 * PAGE), 72);
	recorder_reads(env.rec, "");
	/* a range that ends in a hole below a shared mapping */
	assert_int_equal(env_map(&env, 0x200000, 2 * PAGE, env.shared + 12 * PAGE), 72);
	recorder_reads(env.rec, "dma_map(0, 0x200000, 0x201fff, 3)\n");
	env_fini(&env);

	env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP,
						  .deviations = DEFAULT});
	lay_out(&env);
	assert_int_equal(env_map(&env, 0x100010, 20 * PAGE - 0x20, env.shared + 0x10), 72);
	recorder_reads(env.rec, "dma_map(0, 0x100010, 0x103fff, 3)\n"
				"dma_map(0, 0x104000, 0x107fff, 3)\n"
				"dma_map(0, 0x108000, 0x10bfff, 3)\n"
				"dma_map(0, 0x10c000, 0x113fef, 3)\n");
	assert_int_equal(env_map(&env, 0x104000, PAGE, env.shared + 4 * PAGE), -EFAULT);
	env_fini(&env);
}

static void private_memory_left_out_is_told_once(void **state)
{
	char text[1024] = "";
	int pipes[2], saved;
	struct env env;

	env_open(&env,
		 &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP, .deviations = STRICT});
	assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
	saved = dup(STDERR_FILENO);
	dup2(pipes[1], STDERR_FILENO);
	assert_int_equal(env_map(&env, 0, PAGE, env.shared), 72);
	assert_int_equal(read(pipes[0], text, sizeof(text) - 1), -1);
	assert_int_equal(env_map(&env, PAGE, PAGE, env.private), 72);
	assert_true(read(pipes[0], text, sizeof(text) - 1) > 0);
	assert_int_equal(env_map(&env, PAGE, PAGE, env.private), 72);
	assert_int_equal(read(pipes[0], text, 1), -1);
	dup2(saved, STDERR_FILENO);
	assert_non_null(strstr(text, "is private and left out"));
	assert_non_null(strstr(text, "share=on"));
	close(saved);
	close(pipes[0]);
	close(pipes[1]);
	env_fini(&env);
}

static void update_without_pages_to_write_is_fine_on_a_va_device(void **state)
{
	char *ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_map(&env, 0, PAGE, ro), 72);
	assert_int_equal(memory_charged_pages(env.space), 0);
	munmap(ro, PAGE);
	env_fini(&env);
}

static const void *above_all = (void *)0x7ffffffff000; /* last user page: never mapped */

static void update_above_all_mappings_is_refused_and_the_quirk_is_strict(void **state)
{
	struct env env;

	for (int strict = 0; strict < 2; strict++) {
		env_open(&env, &(struct recorder_options){.deviations = strict ? STRICT : DEFAULT});
		assert_int_equal(env_map(&env, 0x10000, PAGE, env.shared), 72);
		recorder_clear(env.rec);
		assert_int_equal(env_map(&env, 0x20000, PAGE, above_all), -EFAULT);
		assert_true(where(&env, 0x10000) == shared_at(&env, 0));
		assert_int_equal(env_map(&env, 0, PAGE, above_all), -EFAULT);
		/* [2-14]: at iova 0 the kernel wipes the address space */
		assert_true(where(&env, 0x10000) == (strict ? 0 : shared_at(&env, 0)));
		assert_int_equal(env_map(&env, 0, PAGE, (void *)UINT64_MAX), -EFAULT);
		env_fini(&env);
	}
}

static void update_of_several_pieces_tells_set_map_after_each(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = STRICT});
	lay_out(&env);
	assert_int_equal(env_map(&env, 0, 20 * PAGE, env.shared), 72);
	recorder_reads(env.rec, "set_map(0, 1)\nset_map(0, 2)\nset_map(0, 3)\n");
	env_fini(&env);
}

static void update_of_several_pieces_tells_set_map_once_by_default(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = DEFAULT & ~VDPA_D3_PRIVATE_MEMORY});
	lay_out(&env);
	assert_int_equal(env_map(&env, 0, 20 * PAGE, env.shared), 72);
	recorder_reads(env.rec, "set_map(0, 3)\n");
	env_fini(&env);
}

/* ---- INVALIDATE ---- */

static void invalidate_takes_whole_entries(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP});
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(env_map(&env, i * 0x10000, 0x2000, env.shared), 72);
	recorder_clear(env.rec);
	assert_int_equal(env_unmap(&env, 0x11fff, 0xe002), 72); /* a byte of 1, a byte of 2 */
	recorder_reads(env.rec, "dma_unmap(0, 0x10000, 0x11fff)\ndma_unmap(0, 0x20000, 0x21fff)\n");
	assert_int_equal(env_unmap(&env, 0x2000, 0x1000), 72);     /* nothing there */
	assert_int_equal(env_unmap(&env, 0x2000, UINT64_MAX), 72); /* wraps: nothing */
	recorder_reads(env.rec, "");
	assert_int_equal(env_unmap(&env, 0, UINT64_MAX), 72);
	recorder_reads(env.rec, "dma_unmap(0, 0x0, 0x1fff)\ndma_unmap(0, 0x30000, 0x31fff)\n");
	env_fini(&env);
}

/* The last byte modulo 2^64: the kernel takes the one entry that holds it and the first byte. */
static void invalidate_that_wraps_is_the_kernels_or_nothing(void **state)
{
	struct env env;

	for (int strict = 0; strict < 2; strict++) {
		env_open(&env, &(struct recorder_options){.deviations = strict ? STRICT : DEFAULT});
		assert_int_equal(env_map(&env, 0x1000, 0x1000, env.shared), 72);
		assert_int_equal(env_map(&env, 0x2000, 0x1000, env.shared), 72);
		assert_int_equal(env_unmap(&env, 0x2000, UINT64_MAX),
				 72); /* ends at 0x1ffe: two entries */
		assert_int_equal(env_unmap(&env, 0x3000, UINT64_MAX - 0x10), 72);
		assert_int_equal(env_unmap(&env, 0x800, UINT64_MAX), 72);
		assert_int_equal(recorder_nr_entries(env.rec, 0), 2);
		assert_int_equal(env_unmap(&env, 0x1800, UINT64_MAX - 0x7ff),
				 72); /* ends at 0x0fff */
		assert_int_equal(recorder_nr_entries(env.rec, 0), 2);
		assert_int_equal(env_unmap(&env, 0x1800, UINT64_MAX - 0x7fe),
				 72); /* ends at 0x1000 */
		assert_int_equal(recorder_nr_entries(env.rec, 0), strict ? 1 : 2);
		assert_true((where(&env, 0x1000) == 0) == strict);
		assert_true(where(&env, 0x2000) != 0);
		env_fini(&env);
	}
}

static void invalidate_of_nothing_still_tells_set_map(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_map(&env, 0, PAGE, env.shared), 72);
	recorder_clear(env.rec);
	assert_int_equal(env_unmap(&env, 0x9000, PAGE), 72);
	assert_int_equal(env_unmap(&env, 0x9000, UINT64_MAX), 72);
	recorder_reads(env.rec, "set_map(0, 1)\nset_map(0, 1)\n");
	recorder_fail(env.rec, "set_map", 1, -EIO);
	assert_int_equal(env_unmap(&env, 0, PAGE), 72); /* the parent's error is ignored */
	env_fini(&env);
}

static void invalidate_of_size_0_is_the_kernels_or_refused(void **state)
{
	struct env env;

	env_open(&env,
		 &(struct recorder_options){.deviations = STRICT, .mapping = VDPA_MAPPING_DMA_MAP});
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
	assert_int_equal(env_map(&env, 0x2000, PAGE, env.shared), 72);
	recorder_clear(env.rec);
	assert_int_equal(env_unmap(&env, 0x2000, 0), 72); /* between two entries */
	assert_int_equal(env_unmap(&env, 0x1000, 0), 72);
	assert_int_equal(env_unmap(&env, 0x3000, 0), 72);
	recorder_reads(env.rec, "");
	assert_int_equal(env_unmap(&env, 0x1001, 0), 72); /* inside one */
	recorder_reads(env.rec, "dma_unmap(0, 0x1000, 0x1fff)\n");
	assert_int_equal(env_unmap(&env, 0x2fff, 0), 72);
	recorder_reads(env.rec, "dma_unmap(0, 0x2000, 0x2fff)\n");
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
	assert_int_equal(env_map(&env, UINT64_MAX, 1, env.shared), 72);
	recorder_clear(env.rec);
	assert_int_equal(env_unmap(&env, 0, 0), 72); /* everything */
	recorder_reads(env.rec, "dma_unmap(0, 0x1000, 0x1fff)\n"
				"dma_unmap(0, 0xffffffffffffffff, 0xffffffffffffffff)\n");
	env_fini(&env);

	env_open(&env, &(struct recorder_options){.deviations = DEFAULT});
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
	assert_int_equal(env_unmap(&env, 0x1001, 0), -EFAULT);
	assert_int_equal(env_unmap(&env, 0, 0), -EFAULT);
	assert_true(where(&env, 0x1000) != 0);
	env_fini(&env);
}

/* [2-18] and D8: is the memory still pinned when the parent is told? */
static bool pinned_at_unmap;
static uint64_t charged_at_unmap; /* pages */

static int watching_unmap(struct vdpa_device *dev, uint32_t asid, uint64_t first, uint64_t last)
{
	struct recorder *rec = container_of(dev, struct recorder, dev);
	struct iotlb_entry e;

	assert_true(iotlb_lookup(iotlb_load(rec->map[asid]), first, &e));
	pinned_at_unmap = e.mem->pinned;
	charged_at_unmap = memory_charged_pages(e.mem->space);
	assert_int_equal(iotlb_unmap(rec->map[asid], first, last, NULL), 0);
	iotlb_synchronize(rec->map[asid]);
	return 0;
}

static void invalidate_unpins_before_the_parent_only_in_strict_mode(void **state)
{
	struct env env;

	for (int strict = 0; strict < 2; strict++) {
		env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED,
							  .mapping = VDPA_MAPPING_DMA_MAP,
							  .deviations = strict ? STRICT : DEFAULT});
		env.rec->ops.dma_unmap = watching_unmap;
		assert_int_equal(env_map(&env, 0, PAGE, env.shared), 72);
		assert_int_equal(env_unmap(&env, 0, 1), 72);
		assert_int_equal(pinned_at_unmap, !strict);
		assert_int_equal(charged_at_unmap, !strict);
		assert_int_equal(memory_charged_pages(env.space), 0);
		env_fini(&env);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_accepts_40_bytes_and_answers_72),
		cmocka_unit_test(write_of_every_kind_and_type_gives_its_errno),
		cmocka_unit_test(write_by_nobody_or_another_process_faults),
		cmocka_unit_test(write_v1_is_asid_0_and_v2_only_with_the_bit),
		cmocka_unit_test(address_spaces_are_made_by_update_and_begin_alone),
		cmocka_unit_test(batch_keeps_other_spaces_out_but_makes_them),
		cmocka_unit_test(batch_of_a_set_map_device_is_told_once),
		cmocka_unit_test(batch_end_ignores_the_parents_error),
		cmocka_unit_test(batch_of_other_devices_is_seen_at_once),
		cmocka_unit_test(update_ranges_are_checked_at_the_byte),
		cmocka_unit_test(update_overlap_is_refused_at_the_byte),
		cmocka_unit_test(update_permissions_are_stored_as_they_are),
		cmocka_unit_test(update_of_a_pinned_device_rounds_each_address_down),
		cmocka_unit_test(update_of_a_pinned_device_wants_real_pages),
		cmocka_unit_test(update_is_limited_by_memlock_exactly),
		cmocka_unit_test(update_beyond_memlock_when_the_device_says_so),
		cmocka_unit_test(update_entry_limit_is_exact),
		cmocka_unit_test(update_makes_an_entry_a_mapping),
		cmocka_unit_test(private_memory_left_out_is_told_once),
		cmocka_unit_test(update_without_pages_to_write_is_fine_on_a_va_device),
		cmocka_unit_test(update_above_all_mappings_is_refused_and_the_quirk_is_strict),
		cmocka_unit_test(update_of_several_pieces_tells_set_map_after_each),
		cmocka_unit_test(update_of_several_pieces_tells_set_map_once_by_default),
		cmocka_unit_test(invalidate_takes_whole_entries),
		cmocka_unit_test(invalidate_that_wraps_is_the_kernels_or_nothing),
		cmocka_unit_test(invalidate_of_nothing_still_tells_set_map),
		cmocka_unit_test(invalidate_of_size_0_is_the_kernels_or_refused),
		cmocka_unit_test(invalidate_unpins_before_the_parent_only_in_strict_mode),
	};

	return cmocka_run_group_tests_name("vhost_vdpa-messages", tests, NULL, NULL);
}
