// SPDX-License-Identifier: BSD-3-Clause
/*
 * Parents from shared objects: what is refused and in which words, the example's data path, a
 * parent with operations of its own, and modules that break the rules on the data path. Each case
 * runs in a child, for a module stays loaded. Usage: test_cli_module FOLDER_OF_MODULES
 * FOLDER_OF_EXAMPLES
 */
#include "../sim/support.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/devices.h"
#include "parents/module/module.h"
#include "parents/sim/sim.h"
#include "cli/parents.h"

#define FRAME_LEN 200
#define NR_FRAMES 300 /* more than once round a ring, and more than a pass takes */

static const char *folder, *examples;

static void use(const char *module)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s.so", strcmp(module, "loopnic") ? folder : examples,
		 module);
	unsetenv(MODULES_ENV);
	if (module_env_add(path))
		fail_msg("%s: %s", path, refuse_reason());
}

/* cmocka's failures are jumps, which a child must not take into the parent's frames: it ends by its
 * own exit. */
static void in_child(void (*fn)(const void *arg), const void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		fn(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		fail_msg("ended with wait status %#x", (unsigned int)status);
}

#define CHILD_CHECK(cond, ...)                                                                     \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s: ", #cond);                                            \
			fprintf(stderr, __VA_ARGS__);                                              \
			fputc('\n', stderr);                                                       \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* ---- refusals ---- */

struct refusal {
	const char *module, *spec;
	const char *words[3]; /* that the one line has */
};

static const struct refusal refusals[] = {
	{"bad-no_symbol",
	 "mgmtdev bad",
	 {"bad-no_symbol.so", "exports no holdfast_module", "HF_MODULE"}},
	{"bad-wrong_abi", "mgmtdev bad", {"bad-wrong_abi.so", "ABI 2", "ABI 1"}},
	{"bad-short_module", "mgmtdev bad", {"holdfast_module says it has 16 bytes"}},
	{"bad-bad_name", "mgmtdev bad", {"bad-bad_name.so", "its name is not 1 to 31 letters"}},
	{"bad-taken_name", "mgmtdev bad", {"there is a mgmtdev 'vdpasim_net' already"}},
	{"bad-no_dev_add", "mgmtdev bad", {"lacks dev_add"}},
	{"bad-no_process", "mgmtdev bad", {"'bad'", "lacks process"}},
	{"bad-no_config", "mgmtdev bad", {"config_size 8 but lacks get_config"}},
	{"bad-many_groups", "mgmtdev bad", {"4 groups", "at most 3"}},
	{"bad-no_vqs", "mgmtdev bad", {"nvqs 0, 1 to 1024"}},
	{"bad-no_size", "mgmtdev bad", {"struct hf_soft_desc says it has 0 bytes"}},
	{"bad-no_desc", "mgmtdev bad", {"no struct hf_soft_desc"}},
	{"bad-no_ops", "mgmtdev bad", {"no struct vdpa_config_ops"}},
	{"bad-lacks_op", "mgmtdev bad", {"lacks the operation set_vq_address"}},
	{"bad-half_pair", "mgmtdev bad", {"has dma_map but not dma_unmap"}},
	{"bad-nothing", "mgmtdev bad", {"'bad' has made no device bad0"}},
	{"bad-twice", "mgmtdev bad", {"'bad' makes a second device"}},
	{"bad-positive", "mgmtdev bad", {"'bad'", "returned 5, which is no errno"}},
	{"bad-own_words", "mgmtdev bad backend this", {"bad0: no such thing as this"}},
	{"bad-good", "mgmtdev bad mac 52:54:00:00:00:01", {"bad takes no key 'mac'"}},
	{"bad-good",
	 "mgmtdev bad device_features 0x1300000001",
	 {"features 0x1000000001 are not among"}},
	{"bad-good", "mgmtdev worse", {"unknown mgmtdev 'worse'", "vdpasim_net", "bad"}},
};

static void refused(const void *arg)
{
	const struct refusal *r = arg;
	struct device_specs specs = {.nr = 0};
	struct vdpa_bus *bus;

	use(r->module);
	CHILD_CHECK(device_specs_add(&specs, r->spec) == 0, "%s", r->module);
	CHILD_CHECK(devices_create(&specs, &bus) < 0, "%s is not refused", r->module);
	for (int i = 0; i < 3 && r->words[i]; i++)
		CHILD_CHECK(strstr(refuse_reason(), r->words[i]), "%s: no \"%s\" in \"%s\"",
			    r->module, r->words[i], refuse_reason());
	CHILD_CHECK(!strchr(refuse_reason(), '\n'), "%s: one line", r->module);
	device_specs_fini(&specs);
}

static void module_wrong_in_one_thing_is_refused_by_name(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		in_child(refused, &refusals[i]);
}

static void no_such_file(const void *arg)
{
	CHILD_CHECK(module_env_add("/nowhere/mynic.so") == -ENOENT, "no error");
	CHILD_CHECK(strcmp(refuse_reason(),
			   "parent '/nowhere/mynic.so': No such file or directory") == 0,
		    "%s", refuse_reason());
	setenv(MODULES_ENV, "/nowhere/mynic.so", 1);
	CHILD_CHECK(module_load_for(&cli_parents, "mgmtdev bad") == -ENOENT, "no error");
	CHILD_CHECK(strcmp(refuse_reason(),
			   "parent '/nowhere/mynic.so': No such file or directory") == 0,
		    "%s", refuse_reason());
}

static void not_a_module(const void *arg)
{
	char dir[] = "/tmp/hf-XXXXXX", path[64], colon[64];
	FILE *f;

	CHILD_CHECK(mkdtemp(dir), "no folder");
	snprintf(path, sizeof(path), "%s/text.so", dir);
	f = fopen(path, "w");
	CHILD_CHECK(f && fputs("text\n", f) >= 0 && fclose(f) == 0, "no file");
	CHILD_CHECK(module_env_add(path) == 0, "%s", refuse_reason());
	CHILD_CHECK(module_load_for(&cli_parents, "mgmtdev text") == -ENOEXEC, "no error");
	CHILD_CHECK(strstr(refuse_reason(), "text.so' cannot be loaded: "), "%s", refuse_reason());
	/* a colon would be two paths */
	unsetenv(MODULES_ENV);
	snprintf(colon, sizeof(colon), "%s/a:b.so", dir);
	CHILD_CHECK(rename(path, colon) == 0, "no rename");
	CHILD_CHECK(module_env_add(colon) == -EINVAL, "no error");
	CHILD_CHECK(strstr(refuse_reason(), "a:b.so"), "%s", refuse_reason());
	unlink(colon);
	rmdir(dir);
}

static void file_that_cannot_be_loaded_is_refused_by_name(void **state)
{
	in_child(no_such_file, NULL);
	in_child(not_a_module, NULL);
}

/* ---- finding ---- */

static void found_in_folder(const void *arg)
{
	size_t own = cli_parents.nr;

	unsetenv(MODULES_ENV);
	setenv(MODULE_DIR_ENV, folder, 1);
	CHILD_CHECK(module_load_for(&cli_parents, "mac 1 mgmtdev vdpasim_net") == 0, "%s",
		    refuse_reason());
	CHILD_CHECK(module_load_for(&cli_parents, "mgmtdev ../modules/raw") == 0, "%s",
		    refuse_reason());
	CHILD_CHECK(module_load_for(&cli_parents, "mgmtdev nowhere") == 0, "%s", refuse_reason());
	CHILD_CHECK(cli_parents.nr == own, "%zu", cli_parents.nr);
	CHILD_CHECK(module_load_for(&cli_parents, "name mgmtdev mgmtdev raw") == 0, "%s",
		    refuse_reason());
	CHILD_CHECK(cli_parents.nr == own + 1, "%zu", cli_parents.nr);
	CHILD_CHECK(module_load_for(&cli_parents, "mgmtdev raw") == 0, "%s", refuse_reason());
	CHILD_CHECK(cli_parents.nr == own + 1, "%zu", cli_parents.nr);
}

static void module_of_folder_is_loaded_when_named(void **state)
{
	in_child(found_in_folder, NULL);
}

/* ---- devices ---- */

static const struct vdpa_mgmt_dev *load(const char *module, const char *name)
{
	use(module);
	if (module_load_for(&cli_parents, ""))
		fail_msg("%s: %s", module, refuse_reason());
	for (size_t i = 0; i < cli_parents.nr; i++)
		if (strcmp(cli_parents.devs[i]->name, name) == 0)
			return cli_parents.devs[i];
	fail_msg("%s: no %s", module, name);
	return NULL;
}

static void loop_frames(uint64_t features)
{
	static uint8_t frames[NR_FRAMES][FRAME_LEN], bufs[64][2048];
	struct vdpa_dev_config config = rig_config();
	uint32_t nr_back = 0, len;
	struct rig rig;

	rig_make_of(&rig, load("loopnic", "loopnic"), &config);
	rig_start(&rig, BASE_FEATURES | features, 2, 64);
	for (int i = 0; i < 64; i++)
		rig_add(&rig, 0, bufs[i], sizeof(bufs[i]), true);
	rig_publish(&rig, 0);
	for (uint32_t i = 0; i < NR_FRAMES; i++) {
		uint8_t *got;

		frame_make(frames[i], FRAME_LEN, i);
		rig_add(&rig, 1, frames[i], FRAME_LEN, false);
		rig_publish(&rig, 1);
		got = rig_get(&rig, 0, &len);
		assert_non_null(got);
		assert_int_equal(len, FRAME_LEN);
		assert_memory_equal(got + HDR, frames[i] + HDR, FRAME_LEN - HDR);
		nr_back++;
		rig_add(&rig, 0, got, 2048, true);
		rig_publish(&rig, 0);
		assert_ptr_equal(rig_get(&rig, 1, &len), frames[i]);
		assert_int_equal(len, 0);
	}
	assert_int_equal(nr_back, NR_FRAMES);
	rig_destroy(&rig);
}

static void example_frames_come_back(void **state)
{
	loop_frames(0);
	loop_frames(BIT(VIRTIO_RING_F_EVENT_IDX));
	loop_frames(BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER));
}

/* More than a pass takes, and nowhere to put them: all are completed without another kick. */
static void example_full_ring_one_kick_is_completed(void **state)
{
	static uint8_t frames[150][FRAME_LEN];
	struct vdpa_dev_config config = rig_config();
	struct rig rig;
	uint32_t len;

	rig_make_of(&rig, load("loopnic", "loopnic"), &config);
	rig_start(&rig, BASE_FEATURES, 2, 256);
	for (uint32_t i = 0; i < ARRAY_LEN(frames); i++) {
		frame_make(frames[i], FRAME_LEN, i);
		rig_add(&rig, 1, frames[i], FRAME_LEN, false);
	}
	rig_publish(&rig, 1);
	for (uint32_t i = 0; i < ARRAY_LEN(frames); i++)
		assert_ptr_equal(rig_get(&rig, 1, &len), frames[i]);
	rig_destroy(&rig);
}

/* The buffers have 1024 pieces each, as has each frame: a pass takes a few. */
static void example_pass_is_bounded_by_pieces(void **state) NO_TSA
{
	enum { NR = 60, PIECES = 1024 };
	struct vdpa_dev_config config = rig_config();
	static struct ring_driver_seg segs[PIECES];
	static uint64_t tables[2][2 * PIECES];
	static uint8_t bytes[2][2 * PIECES];
	struct vdpasim_vq *vqs;
	unsigned int nr_passes = 0, nr = 0;
	struct rig rig;
	uint32_t len;
	bool more = true;

	rig_make_of(&rig, load("loopnic", "loopnic"), &config);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_RING_F_INDIRECT_DESC), 2, 64);
	vqs = vdpasim_of(rig.dev)->vqs;
	worker_lock(vqs[1].sw->worker);
	for (unsigned int q = 0; q < 2; q++) {
		for (unsigned int i = 0; i < PIECES; i++)
			segs[i] = (struct ring_driver_seg){rig_iova(&rig, bytes[q] + 2 * i), 1};
		for (unsigned int i = 0; i < NR; i++)
			assert_int_equal(ring_driver_add(rig.vq[q].drv, segs, q ? PIECES : 0,
							 q ? 0 : PIECES, tables[q], tables[q],
							 rig_iova(&rig, tables[q])),
					 0);
		(void)ring_driver_publish(rig.vq[q].drv);
	}
	for (; more && nr < NR; nr_passes++) {
		uint32_t walked = ring_walked(vqs[0].ring) + ring_walked(vqs[1].ring);

		more = vdpasim_of(rig.dev)->type->process(&vqs[1]);
		walked = ring_walked(vqs[0].ring) + ring_walked(vqs[1].ring) - walked;
		assert_true(walked <= 2 * (RING_WALK_MAX + 2 * PIECES));
		while (rig_poll(&rig, 1, &len))
			nr++;
	}
	worker_unlock(vqs[1].sw->worker);
	assert_int_equal(nr, NR);
	assert_true(nr_passes >= NR * PIECES / (RING_WALK_MAX + PIECES));
	rig_destroy(&rig);
}

/* 1:1, until the bytes are gone: the fault is put down to the queue that was at work. */
static void example_memory_that_vanishes_breaks_the_queue_alone(void **state)
{
	struct vdpa_dev_config config = rig_config();
	uint8_t *gone =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static uint8_t buf[2048];
	struct rig rig;

	rig_take_signals();
	rig_make_of(&rig, load("loopnic", "loopnic"), &config);
	rig_start(&rig, BASE_FEATURES, 2, 16);
	rig_add(&rig, 0, buf, sizeof(buf), true);
	rig_publish(&rig, 0);
	rig_add(&rig, 1, gone, FRAME_LEN, false);
	rig_vanish(gone, 4096);
	rig_publish(&rig, 1);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_reset(&rig);
	assert_int_equal(rig_op(&rig, get_status), 0);
	rig_destroy(&rig);
}

static void module_that_keeps_a_chain_breaks_its_ring(void **state)
{
	struct vdpa_dev_config config = rig_config();
	static uint8_t buf[64];
	struct rig rig;

	rig_make_of(&rig, load("bad-keeps", "bad"), &config);
	rig_start(&rig, BASE_FEATURES, 1, 16);
	rig_add(&rig, 0, buf, sizeof(buf), false);
	rig_publish(&rig, 0);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_destroy(&rig);
}

static void writes_more(const void *arg)
{
	struct vdpa_dev_config config = rig_config();
	static uint8_t buf[64];
	struct rig rig;
	uint32_t len;

	rig_make_of(&rig, load("bad-writes_more", "bad"), &config);
	rig_start(&rig, BASE_FEATURES, 1, 16);
	rig_add(&rig, 0, buf, sizeof(buf), true);
	rig_publish(&rig, 0);
	CHILD_CHECK(rig_get(&rig, 0, &len) == buf, "no completion");
	CHILD_CHECK(len == sizeof(buf), "%u", len);
	rig_destroy(&rig);
}

static void module_that_writes_too_much_is_cut(void **state)
{
	in_child(writes_more, NULL);
}

/* Two chains at a time, in one publication, so that a pass finds both. */
static void wrong_with_chains(const void *arg)
{
	struct vdpa_dev_config config = rig_config();
	static uint8_t buf[2][64];
	struct rig rig;
	uint32_t len;

	rig_make_of(&rig, load(arg, "bad"), &config);
	rig_start(&rig, BASE_FEATURES, 1, 16);
	for (int round = 0; round < 40; round++) {
		rig_add(&rig, 0, buf[0], sizeof(buf[0]), true);
		rig_add(&rig, 0, buf[1], sizeof(buf[1]), true);
		rig_publish(&rig, 0);
		CHILD_CHECK(rig_get(&rig, 0, &len) == buf[0], "%s", (const char *)arg);
		CHILD_CHECK(len == 1, "%u", len);
		CHILD_CHECK(rig_get(&rig, 0, &len) == buf[1], "%s", (const char *)arg);
		CHILD_CHECK(len == 2, "%u", len);
	}
	CHILD_CHECK(!(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET), "broken");
	rig_destroy(&rig);
}

static void module_that_damages_its_chains_is_refused(void **state)
{
	in_child(wrong_with_chains, "bad-damages");
}

static void module_that_pushes_twice_is_refused(void **state)
{
	in_child(wrong_with_chains, "bad-pushes_twice");
}

static void module_that_gives_back_an_older_chain_is_refused(void **state)
{
	in_child(wrong_with_chains, "bad-gives_back_older");
}

/* A mistake of the module is no memory that a client took away. Sanitizers end the process by
 * SIGABRT. */
static void module_that_reads_null_ends_the_process(void **state)
{
	struct vdpa_dev_config config = rig_config();
	static uint8_t buf[64];
	pid_t pid = fork();
	struct rig rig;
	int status;

	if (pid == 0) {
		struct rlimit no_core = {0, 0};
		uint32_t len;

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		rig_take_signals();
		rig_make_of(&rig, load("bad-reads_null", "bad"), &config);
		rig_start(&rig, BASE_FEATURES, 1, 16);
		rig_add(&rig, 0, buf, sizeof(buf), true);
		rig_publish(&rig, 0);
		(void)rig_get(&rig, 0, &len);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* sanitizers end the process by themselves, with a status of their own */
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
	assert_true(!WIFSIGNALED(status) || WTERMSIG(status) == SIGSEGV ||
		    WTERMSIG(status) == SIGABRT);
}

static void takes_one(const void *arg)
{
	struct vdpa_dev_config config = rig_config();
	static uint8_t buf[16][64];
	struct rig rig;
	uint32_t len;

	rig_make_of(&rig, load("bad-takes_one", "bad"), &config);
	rig_start(&rig, BASE_FEATURES, 1, 16);
	for (int i = 0; i < 16; i++)
		rig_add(&rig, 0, buf[i], sizeof(buf[i]), true);
	rig_publish(&rig, 0);
	for (int i = 0; i < 16; i++)
		CHILD_CHECK(rig_get(&rig, 0, &len) == buf[i], "chain %d", i);
	rig_destroy(&rig);
}

static void module_that_takes_one_chain_a_call_is_called_again(void **state)
{
	in_child(takes_one, NULL);
}

/* ---- a parent with operations of its own ---- */

static void set_map(struct rig *rig, struct iotlb *tlb, uint64_t want[5])
{
	const struct iotlb_version *v = iotlb_snapshot(tlb);
	uint64_t got[5];

	assert_int_equal(rig_op(rig, set_map, 0, v), 0);
	iotlb_version_put(v);
	rig_do(rig, get_config, 0, got, sizeof(got));
	assert_memory_equal(got, want, sizeof(got));
}

static void own_operations_see_maps_and_their_changes(void **state)
{
	struct vdpa_dev_config config = rig_config();
	static uint8_t bytes[8192] = {[4096] = 42, [0] = 7};
	struct memory_region *mem;
	struct iotlb *tlb;
	struct rig rig;

	rig_make_of(&rig, load("raw", "raw"), &config);
	assert_int_equal(iotlb_create(16, &tlb), 0);
	assert_int_equal(memory_region_create(rig.space, (uintptr_t)bytes, sizeof(bytes), true,
					      MEMORY_VA, &mem),
			 0);
	assert_int_equal(iotlb_map(tlb, 0x1000, 0x1fff, mem, 4096, IOTLB_RW), 0);
	set_map(&rig, tlb, (uint64_t[]){1, 4096, 0, 0, 42});
	assert_int_equal(iotlb_map(tlb, 0, 0xfff, mem, 0, IOTLB_R), 0);
	set_map(&rig, tlb, (uint64_t[]){2, 8192, 1, 0, 7});
	assert_int_equal(iotlb_unmap(tlb, 0, 0xfff, NULL), 0);
	set_map(&rig, tlb, (uint64_t[]){1, 4096, 0, 1, 42});
	memory_region_put(mem);
	assert_int_equal(rig_op(&rig, set_driver_features, 0), -EINVAL);
	assert_string_equal(refuse_reason(), "net0: ACCESS_PLATFORM is a must");
	iotlb_destroy(tlb);
	rig_destroy(&rig); /* drops the map that the parent kept */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(module_wrong_in_one_thing_is_refused_by_name),
		cmocka_unit_test(file_that_cannot_be_loaded_is_refused_by_name),
		cmocka_unit_test(module_of_folder_is_loaded_when_named),
		cmocka_unit_test(module_that_writes_too_much_is_cut),
		cmocka_unit_test(module_that_damages_its_chains_is_refused),
		cmocka_unit_test(module_that_pushes_twice_is_refused),
		cmocka_unit_test(module_that_gives_back_an_older_chain_is_refused),
		cmocka_unit_test(module_that_reads_null_ends_the_process),
		cmocka_unit_test(module_that_takes_one_chain_a_call_is_called_again),
		cmocka_unit_test(example_frames_come_back),
		cmocka_unit_test(example_full_ring_one_kick_is_completed),
		cmocka_unit_test(example_pass_is_bounded_by_pieces),
		cmocka_unit_test(example_memory_that_vanishes_breaks_the_queue_alone),
		cmocka_unit_test(module_that_keeps_a_chain_breaks_its_ring),
		cmocka_unit_test(own_operations_see_maps_and_their_changes),
	};

	if (argc < 3 || rig_guard_install())
		return 1;
	folder = argv[1];
	examples = argv[2];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
