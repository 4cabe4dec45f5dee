// SPDX-License-Identifier: BSD-3-Clause
/*
 * The end that leads to a card, on a stand-in of rdma-core's libraries: what is missing is said in
 * one line, and a whole life goes through it. Nothing here is a card.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../between.h"
#include "../sim/support.h"
#include "parents/mlx5/driver.h"
#include "parents/mlx5/mlx5.h"
#include "stand_in.h"

#define PCI      "0000:3b:00.2"
#define FEATURES (BASE_FEATURES | BIT(VIRTIO_NET_F_MAC))

static const char *library; /* the stand-in's path */
static char folder[] = "/tmp/holdfast-devx-XXXXXX";
static uint8_t *out, *in, *ctrl;

/* ---- a PCI device in sysfs ---- */

static void path_of(char path[128], const char *name)
{
	(void)snprintf(path, 128, "%s/%s/%s", folder, PCI, name);
}

static void write_file(const char *name, const char *text, off_t len)
{
	char path[128];
	int fd;

	path_of(path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	if (len)
		assert_int_equal(ftruncate(fd, len), 0);
	close(fd);
}

static void link_driver(const char *driver)
{
	char path[128];

	path_of(path, "driver");
	(void)unlink(path);
	if (driver)
		assert_int_equal(symlink(driver, path), 0);
}

static void usual(void)
{
	static char bar[128];

	path_of(bar, "resource0");
	write_file("vendor", "0x15b3\n", 0);
	write_file("resource0", "", 0x3000);
	link_driver("../../../bus/pci/drivers/vfio-pci");
	*stand_in() = (struct stand_in){.bar = bar};
	mlx5_devx_paths = (struct mlx5_devx_paths){library, library, folder};
}

static int set_up(void **state)
{
	char path[128];

	out = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	in = out + 4096;
	ctrl = in + ROUND_ROOM;
	if (out == MAP_FAILED || !mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/%s", folder, PCI);
	return mkdir(path, 0700);
}

static int tear_down(void **state)
{
	static const char *const names[] = {"vendor", "resource0", "driver", "trace", ""};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		path_of(path, names[i]);
		(void)(*names[i] ? unlink(path) : rmdir(path));
	}
	return rmdir(folder);
}

/* ---- the device ---- */

static struct vdpa_dev_config config(void)
{
	struct vdpa_dev_config c = rig_config();

	memcpy(c.mgmtdev, "mlx5", 5);
	c.given = VDPA_KEY_PCI | VDPA_KEY_MAC;
	memcpy(c.pci, PCI, sizeof(PCI));
	c.offer = 0;
	c.features = UINT64_MAX;
	c.max_vqp = 2;
	memcpy(c.mac, "\x52\x54\x00\x01\x02\x03", 6);
	return c;
}

static int try_to_make(void)
{
	struct vdpa_dev_config c = config();
	struct memory_space *space;
	struct vdpa_bus *bus;
	int err;

	assert_int_equal(memory_space_create_own(&space), 0);
	assert_int_equal(vdpa_bus_create(space, &bus), 0);
	refuse_clear();
	err = mlx5_mgmt_dev.dev_add(&mlx5_mgmt_dev, bus, &c);
	vdpa_bus_destroy(bus);
	memory_space_put(space);
	return err;
}

static void expect(int err, const char *words)
{
	int got = try_to_make();

	if (got != err || !strstr(refuse_reason(), words) || strchr(refuse_reason(), '\n'))
		fail_msg("%d and \"%s\", not %d and \"%s\"", got, refuse_reason(), err, words);
}

static void what_is_missing_is_said_in_one_line(void **state)
{
	char path[128];

	usual();
	mlx5_devx_paths.sysfs = "/no/such/folder";
	expect(-ENODEV, "pci " PCI ": there is no such device");
	usual();
	write_file("vendor", "0x8086\n", 0);
	expect(-ENODEV, "its vendor is 0x8086, a ConnectX card has 0x15b3");
	usual();
	link_driver("../../../bus/pci/drivers/mlx5_core");
	expect(-EBUSY, "it has mlx5_core, and needs the driver vfio-pci");
	link_driver(NULL);
	expect(-EBUSY, "it has no driver, and needs the driver vfio-pci");
	usual();
	mlx5_devx_paths.verbs = "libno-such.so.1";
	expect(-ENOSYS, "install rdma-core's libraries");
	usual();
	mlx5_devx_paths.mlx5 = "libc.so.6";
	expect(-ENOSYS, "libc.so.6 lacks mlx5dv_get_vfio_device_list: rdma-core 40 or later");
	usual();
	stand_in()->list_err = EACCES;
	expect(-EACCES,
	       "cannot take it by VFIO: Permission denied (permission of /dev/vfio/GROUP)");
	usual();
	stand_in()->list_err = ENODEV;
	expect(-ENODEV, "cannot take it by VFIO: No such device");
	usual();
	stand_in()->open_err = EPERM;
	expect(-EPERM, "the card cannot be opened: Operation not permitted (permission of");
	usual();
	path_of(path, "resource0");
	(void)unlink(path);
	stand_in()->bar = NULL;
	expect(-ENOENT, "resource0: No such file or directory");
	assert_int_equal(stand_in()->left, 0);
}

/* A map of rings and buffers. No 1:1 key can be had. */
static struct iotlb *own_map(struct rig *rig)
{
	struct iotlb *tlb = rig_map_of_rings(rig);

	rig_map_add(rig, tlb, out, ROUND_LEN);
	rig_map_add(rig, tlb, in, ROUND_ROOM);
	rig_map_add(rig, tlb, ctrl, 64);
	return tlb;
}

static int set_map(struct rig *rig, struct iotlb *tlb)
{
	const struct iotlb_version *v = iotlb_snapshot(tlb);
	int err = rig_op(rig, set_map, 0, v);

	iotlb_version_put(v);
	return err;
}

static uint8_t ctrl_pairs(struct rig *rig, uint8_t pairs)
{
	struct ring_driver_seg segs[2] = {{(uintptr_t)ctrl, 4}, {(uintptr_t)ctrl + 4, 1}};
	const uint8_t command[5] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 0,
				    0xff};
	uint32_t n;

	memcpy(ctrl, command, sizeof(command));
	assert_int_equal(ring_driver_add(rig->vq[4].drv, segs, 1, 1, ctrl, NULL, 0), 0);
	rig_publish(rig, 4);
	assert_ptr_equal(rig_get(rig, 4, &n), ctrl);
	return ctrl[4];
}

static void start(struct rig *rig, struct iotlb **tlb)
{
	rig_negotiate(rig, FEATURES | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_MQ));
	for (uint16_t i = 0; i < 5; i++) {
		rig_vq_new(rig, i, 64);
		rig_vq_setup(rig, i);
	}
	*tlb = own_map(rig);
	assert_int_equal(set_map(rig, *tlb), 0);
	rig_driver_ok(rig);
}

static unsigned int lines_with(const char *path, const char *word)
{
	FILE *f = fopen(path, "r");
	unsigned int nr = 0;
	char line[1100];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		nr += strstr(line, word) != NULL;
	(void)fclose(f);
	return nr;
}

/* What the libraries did in place of commands is in the trace, to its end. */
static void expect_trace(const char *path)
{
	static const char *const pairs[][2] = {
		{" ibv_reg_mr addr=0x", " ibv_dereg_mr lkey=0x"},
		{" mlx5dv_devx_umem_reg addr=0x", " mlx5dv_devx_umem_dereg umem_id=0x"},
		{" mlx5dv_devx_alloc_msi_vector -> ok vector=0x", " mlx5dv_devx_free_msi_vector "},
		{" ALLOC_PD ", " DEALLOC_PD "},
		{" CREATE_EQ ", " DESTROY_EQ "},
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		unsigned int made = lines_with(path, pairs[i][0]);

		if (made == 0 || lines_with(path, pairs[i][1]) != made)
			fail_msg("%u lines with '%s', %u with '%s'", made, pairs[i][0],
				 lines_with(path, pairs[i][1]), pairs[i][1]);
	}
	assert_int_equal(lines_with(path, "resource0 off=0x"), 1);
	assert_true(lines_with(path, "-> ok lkey=0x") > 0);
}

/* Traffic with interrupts, the control queue, a map that changes, a reset, and all again. */
static void a_whole_life_goes_through_the_libraries(void **state)
{
	struct vdpa_dev_config c = config();
	struct iotlb *tlb;
	struct rig rig;
	char path[128];

	usual();
	c.parallel = 8;
	memcpy(c.defer, "20ms", 5);
	path_of(path, "trace");
	(void)snprintf(c.trace, sizeof(c.trace), "%s", path);
	rig_make_of(&rig, &mlx5_mgmt_dev, &c);
	assert_null(mlx5_of(rig.dev)->slot[0]);
	for (uint32_t life = 0; life < 2; life++) {
		start(&rig, &tlb);
		assert_true(rig_goes_round(&rig, out, in, life));
		assert_int_equal(ctrl_pairs(&rig, 2), VIRTIO_NET_OK);
		for (uint32_t i = 0; i < 10; i++) {
			uint64_t far = ((uint64_t)(uintptr_t)out & ~4095ULL) + (3ULL << 30);

			if (i % 2)
				assert_int_equal(iotlb_unmap(tlb, far, far, NULL), 0);
			else
				assert_int_equal(iotlb_map(tlb, far, far + 0x1fff,
							   memory_space_identity(rig.space),
							   (uintptr_t)out, IOTLB_RW),
						 0);
			assert_int_equal(set_map(&rig, tlb), 0);
			iotlb_synchronize(tlb);
			assert_true(rig_goes_round(&rig, out, in, i));
		}
		rig_reset(&rig);
		assert_int_equal(rig_op(&rig, reset_map, 0), 0);
		iotlb_destroy(tlb);
	}
	rig_destroy(&rig);
	assert_int_equal(stand_in()->left, 0);
	expect_trace(path);
}

/* Event queue, vector, worker, config interrupt. */
static void a_queue_that_breaks_is_told_by_an_interrupt(void **state)
{
	struct vdpa_dev_config c = config();
	struct iotlb *tlb;
	struct rig rig;

	usual();
	rig_make_of(&rig, &mlx5_mgmt_dev, &c);
	start(&rig, &tlb);
	assert_int_equal(iotlb_unmap(tlb, (uintptr_t)out, (uintptr_t)out, NULL), 0);
	assert_int_equal(set_map(&rig, tlb), 0);
	rig_add(&rig, 1, out, ROUND_LEN, false);
	rig_publish(&rig, 1);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_reset(&rig);
	iotlb_destroy(tlb);
	rig_destroy(&rig);
	assert_int_equal(stand_in()->left, 0);
}

/* Those of the libraries' own objects among them. */
static void a_failure_at_any_command_of_making_a_device_leaves_nothing(void **state)
{
	uint64_t nr = 0;

	for (uint64_t nth = 1; nth <= 200; nth++) {
		struct vdpa_dev_config c = config();
		struct memory_space *space;
		struct vdpa_bus *bus;
		int err;

		usual();
		stand_in()->fail_at = nth;
		assert_int_equal(memory_space_create_own(&space), 0);
		assert_int_equal(vdpa_bus_create(space, &bus), 0);
		err = mlx5_mgmt_dev.dev_add(&mlx5_mgmt_dev, bus, &c);
		vdpa_bus_destroy(bus);
		memory_space_put(space);
		/* What the card would not destroy stays, with what it uses, until the card is
		 * closed. */
		if (err && stand_in()->left)
			fail_msg("command %llu failed: %d, and %zu things are left",
				 (unsigned long long)nth, err, stand_in()->left);
		if (stand_in()->nr_commands < nth)
			break;
		nr++;
	}
	print_message("a failure at each of %llu commands\n", (unsigned long long)nr);
	assert_between(nr, 20, 199);
}

static void backend_and_latency_are_none_of_a_card(void **state)
{
	struct vdpa_dev_config c = config();

	c.given |= VDPA_KEY_BACKEND;
	assert_int_equal(mlx5_mgmt_dev.check(&c), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "backend conflicts with pci " PCI));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_missing_is_said_in_one_line),
		cmocka_unit_test(a_whole_life_goes_through_the_libraries),
		cmocka_unit_test(a_queue_that_breaks_is_told_by_an_interrupt),
		cmocka_unit_test(a_failure_at_any_command_of_making_a_device_leaves_nothing),
		cmocka_unit_test(backend_and_latency_are_none_of_a_card),
	};

	if (argc != 2 || rig_guard_install())
		return 1;
	library = argv[1];
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
