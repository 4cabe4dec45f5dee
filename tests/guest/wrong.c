// SPDX-License-Identifier: BSD-3-Clause
/*
 * wrong: a hostile driver of a virtio card or disk inside of a virtual machine.
 *
 *   wrong 0000:01:00.0 [packed]   all cases, one line each: "ok NAME", "ok NAME: what the log must
 *                                 have", or "FAILED NAME: WHY"
 *
 * The cases are those of tests/hostile/cases.h and some that only a real bus has. The device has no
 * kernel driver meanwhile. This program maps its registers and the machine's memory at IOVA, a
 * module that the kernel was told not to touch, so that no wrong address is one of the kernel's.
 * After each case a reset must bring the device back: a good frame is taken, or a sector read.
 * Needs root; no IOMMU may stand between.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../hostile/cases.h"

#define FRAME_LEN   72u /* header included */
#define DEADLINE_MS 10000
#define QUIET_MS    20
#define BROKEN_MS   120 /* the host's log shows ten messages of a kind in a second */
#define LEN(a)      (sizeof(a) / sizeof((a)[0]))

static volatile struct virtio_pci_common_cfg *cfg;
static volatile uint8_t *notify;
static uint32_t notify_step;
static volatile uint16_t *doorbell[NQUEUES];
static const char *device;

static int fail(const char *what)
{
	fprintf(stderr, "wrong: %s: %s\n", what, strerror(errno));
	return -1;
}

/* ---- the card's registers ---- */

static int open_file(const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", device, name);
	return open(path, flags | O_CLOEXEC);
}

static volatile uint8_t *map_bar(unsigned int bar, uint32_t off, uint32_t len)
{
	char name[16];
	int fd;
	void *at;

	snprintf(name, sizeof(name), "resource%u", bar);
	fd = open_file(name, O_RDWR);
	at = mmap(NULL, off + len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return at == MAP_FAILED ? NULL : (volatile uint8_t *)at + off;
}

static int take_cap(const uint8_t *space, unsigned int at)
{
	struct virtio_pci_notify_cap cap;

	memcpy(&cap, space + at, sizeof(cap));
	if (cap.cap.cfg_type == VIRTIO_PCI_CAP_COMMON_CFG) {
		cfg = (void *)map_bar(cap.cap.bar, cap.cap.offset, cap.cap.length);
		return cfg ? 0 : fail("registers");
	}
	if (cap.cap.cfg_type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
		notify = map_bar(cap.cap.bar, cap.cap.offset, cap.cap.length);
		notify_step = cap.notify_off_multiplier;
		return notify ? 0 : fail("doorbells");
	}
	return 0;
}

static int find_registers(struct guest *g)
{
	int fd = open_file("config", O_RDWR), err = 0;
	uint8_t space[256];
	uint16_t command, id;

	if (fd < 0 || pread(fd, space, sizeof(space), 0) != sizeof(space))
		return fail("configuration space");
	memcpy(&command, space + PCI_COMMAND, sizeof(command));
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE;
	if (pwrite(fd, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		return fail("command register");
	close(fd);
	memcpy(&id, space + PCI_DEVICE_ID, sizeof(id));
	g->blk = id == 0x1042 || id == 0x1001;
	for (unsigned int at = space[PCI_CAPABILITY_LIST]; at && at < 240 && !err;
	     at = space[at + 1])
		if (space[at] == PCI_CAP_ID_VNDR)
			err = take_cap(space, at);
	if (err || cfg == NULL || notify == NULL)
		return -1;
	g->nr_queues = g->blk ? 1 : 2; /* a card's commands go no further than to the VMM */
	return 0;
}

/* ---- the device's life ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int map_memory(struct guest *g)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);

	if (fd < 0)
		return fail("/dev/mem");
	g->mem = mmap(NULL, GUEST_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)IOVA);
	close(fd);
	if (g->mem == MAP_FAILED)
		return fail("memory");
	g->mem[DATA] = 0x5a;
	return g->mem[DATA] == 0x5a ? 0 : fail("no memory there");
}

void guest_kick(struct guest *g, unsigned int q)
{
	__sync_synchronize();
	*doorbell[q] = (uint16_t)q;
}

int guest_reset(struct guest *g)
{
	static const uint32_t at[] = {AREA_DESC, AREA_DRIVER, AREA_DEVICE};
	int64_t until = now_ms() + DEADLINE_MS;

	cfg->device_status = 0;
	while (cfg->device_status != 0)
		if (now_ms() > until)
			return -ETIMEDOUT;
	memset(g->mem, 0, GUEST_LEN);
	memset(g->first_held, 0, sizeof(g->first_held));
	for (unsigned int q = 0; q < g->nr_queues; q++) {
		g->num[q] = NUM;
		for (unsigned int a = 0; a < LEN(at); a++)
			g->area[q][a] = IOVA + q * QUEUE_LEN + at[a];
	}
	return 0;
}

static void set_queue(struct guest *g, unsigned int q)
{
	cfg->queue_select = (uint16_t)q;
	cfg->queue_size = g->num[q];
	cfg->queue_desc_lo = (uint32_t)g->area[q][0];
	cfg->queue_desc_hi = (uint32_t)(g->area[q][0] >> 32);
	cfg->queue_avail_lo = (uint32_t)g->area[q][1];
	cfg->queue_avail_hi = (uint32_t)(g->area[q][1] >> 32);
	cfg->queue_used_lo = (uint32_t)g->area[q][2];
	cfg->queue_used_hi = (uint32_t)(g->area[q][2] >> 32);
	doorbell[q] = (volatile uint16_t *)(notify + cfg->queue_notify_off * notify_step);
	cfg->queue_enable = 1;
}

static void read_features(struct guest *g)
{
	cfg->device_feature_select = 0;
	g->features = cfg->device_feature;
	cfg->device_feature_select = 1;
	g->features |= (uint64_t)cfg->device_feature << 32;
}

int guest_start(struct guest *g, uint64_t features)
{
	features |= 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM |
		    (g->packed ? 1ULL << VIRTIO_F_RING_PACKED : 0);
	features &= g->features;
	cfg->device_status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	cfg->guest_feature_select = 0;
	cfg->guest_feature = (uint32_t)features;
	cfg->guest_feature_select = 1;
	cfg->guest_feature = (uint32_t)(features >> 32);
	cfg->device_status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(cfg->device_status & VIRTIO_CONFIG_S_FEATURES_OK))
		return -ENODEV;
	for (unsigned int q = 0; q < g->nr_queues; q++)
		set_queue(g, q);
	cfg->device_status |= VIRTIO_CONFIG_S_DRIVER_OK;
	return 0;
}

static bool wait_used(struct guest *g, unsigned int q, int ms)
{
	int64_t until = now_ms() + ms;
	uint32_t len;

	while (guest_used(g, q, &len) == 0)
		if (now_ms() > until)
			return false;
	return true;
}

/* One request of a disk: header, 512 bytes that the device reads or writes, status. */
static void request(struct guest *g, unsigned int at, uint64_t addr, bool read)
{
	guest_desc(g, 0, at + 2, IOVA + ANSWER, 1, F_WRITE, 0);
	guest_desc(g, 0, at + 1, addr, 512, F_NEXT | (read ? F_WRITE : 0), (uint16_t)(at + 2));
	guest_desc(g, 0, at, IOVA + DATA, 16, F_NEXT, (uint16_t)(at + 1));
	guest_avail(g, 0, at / 3, (uint16_t)at);
}

static const char *works(struct guest *g)
{
	if (guest_reset(g) || guest_start(g, 0))
		return "the device does not start after a reset";
	if (g->blk) {
		g->mem[ANSWER] = 0xee;
		request(g, 0, IOVA + DATA + 512, true);
		guest_publish(g, 0, 1);
		if (!wait_used(g, 0, DEADLINE_MS) || g->mem[ANSWER] != VIRTIO_BLK_S_OK)
			return "a good read fails after a reset";
		return NULL;
	}
	memset(g->mem + DATA + 12, 0xff, 6);
	g->mem[DATA + 24] = 0x88;
	g->mem[DATA + 25] = 0xb6;
	guest_desc(g, 1, 0, IOVA + DATA, FRAME_LEN, 0, 0);
	guest_avail(g, 1, 0, 0);
	guest_publish(g, 1, 1);
	return wait_used(g, 1, DEADLINE_MS) ? NULL : "a good frame is not taken after a reset";
}

/* ---- what only a machine has ---- */

/* The PCI hole and the firmware: no memory, or memory that nobody may write. */
static void buffers_of_devices(struct guest *g)
{
	static const uint64_t places[] = {0xfee00000, 0xb0000000, 0xa0000, 0xfffff000};

	for (unsigned int i = 0; i < LEN(places); i++) {
		if (g->blk) {
			request(g, 3 * i, places[i], i % 2);
			continue;
		}
		guest_desc(g, 0, i, places[i], 2048, F_WRITE, (uint16_t)i);
		guest_avail(g, 0, i, (uint16_t)i);
		guest_desc(g, 1, i, places[i], FRAME_LEN, 0, (uint16_t)i);
		guest_avail(g, 1, i, (uint16_t)i);
	}
	for (unsigned int q = 0; q < g->nr_queues; q++)
		guest_publish(g, q, LEN(places));
	(void)wait_used(g, g->nr_queues - 1, DEADLINE_MS);
}

static void rings_as_buffers(struct guest *g)
{
	if (g->blk) {
		request(g, 0, g->area[0][0], true);
		request(g, 3, g->area[0][2], true);
		guest_publish(g, 0, 2);
		return;
	}
	guest_desc(g, 0, 0, g->area[0][2], 4096, F_WRITE, 0);
	guest_publish(g, 0, 1);
	guest_desc(g, 1, 0, g->area[1][0], 4096, 0, 0);
	guest_publish(g, 1, 1);
}

static void doorbells_of_nobody(struct guest *g)
{
	for (unsigned int i = 0; i < 1000; i++)
		*doorbell[g->nr_queues - 1] = (uint16_t)(i * 77);
}

static void status_while_it_runs(struct guest *g)
{
	for (unsigned int i = 0; i < 200; i++)
		cfg->device_status = (uint8_t)(i | VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

static const struct {
	const char *name;
	void (*run)(struct guest *g);
} of_the_bus[] = {
	{"buffers of devices", buffers_of_devices},
	{"rings as buffers", rings_as_buffers},
	{"doorbells of nobody", doorbells_of_nobody},
	{"status while it runs", status_while_it_runs},
};

/* ---- one case ---- */

static const char *outcome(struct guest *g, const struct hostile *h)
{
	unsigned int q = hostile_queue(g, h);

	if (h->expect == ANY) {
		(void)poll(NULL, 0, QUIET_MS);
		return NULL;
	}
	if (h->expect != COMPLETES)
		return wait_used(g, q, h->expect == BREAKS ? BROKEN_MS : QUIET_MS)
			       ? "something was completed"
			       : NULL;
	if (!wait_used(g, q, DEADLINE_MS))
		return "the chain is not completed";
	return h->answer >= 0 && g->mem[ANSWER] != h->answer ? "the answer is another" : NULL;
}

/* What is set up so that a VMM looks at it first, and does not start the device: QEMU 7.2 then runs
 * the rings itself, or ends. */
static bool is_for_vmm(struct guest *g, const struct hostile *h)
{
	bool is_wrong = false;

	if (!h->set || guest_reset(g))
		return false;
	h->set(g);
	for (unsigned int q = 0; q < g->nr_queues; q++) {
		is_wrong |= g->num[q] != NUM;
		for (unsigned int a = 0; a < LEN(g->area[q]); a++)
			is_wrong |= g->area[q][a] % 16 != 0 || g->area[q][a] < IOVA ||
				    g->area[q][a] > IOVA + GUEST_LEN - QUEUE_LEN;
	}
	return is_wrong;
}

/* At random, a disk would read into the kernel's memory. */
static bool is_for_us(struct guest *g, const struct hostile *h)
{
	return hostile_fits(g, h) && !is_for_vmm(g, h) && !(g->blk && hostile_scribbles(h));
}

static const char *run_case(struct guest *g, const struct hostile *h)
{
	const char *wrong;

	if (guest_reset(g))
		return "the reset before";
	if (h->set)
		h->set(g);
	if (guest_start(g, hostile_features(h)))
		return "the device does not start";
	hostile_provoke(g, h);
	wrong = outcome(g, h);
	return wrong ? wrong : works(g);
}

static const char *run_on_bus(struct guest *g, void (*run)(struct guest *g))
{
	if (guest_reset(g) || guest_start(g, 0))
		return "the device does not start";
	run(g);
	(void)poll(NULL, 0, QUIET_MS);
	return works(g);
}

static int say(const char *name, const char *wrong, const char *words)
{
	printf("%s %s%s%s\n", wrong ? "FAILED" : "ok", name, wrong || words ? ": " : "",
	       wrong   ? wrong
	       : words ? words
		       : "");
	return wrong != NULL;
}

int main(int argc, char **argv)
{
	struct guest g = {.packed = argc > 2 && strcmp(argv[2], "packed") == 0};
	int ret = 0;

	if (argc < 2)
		return 2;
	device = argv[1];
	if (find_registers(&g) || map_memory(&g) || guest_reset(&g))
		return 1;
	read_features(&g);
	if (g.packed && !(g.features >> VIRTIO_F_RING_PACKED & 1)) {
		fprintf(stderr, "wrong: no packed rings\n");
		return 1;
	}
	for (unsigned int i = 0; i < nr_hostile_cases; i++) {
		const struct hostile *h = &hostile_cases[i];

		if (is_for_us(&g, h))
			ret |= say(h->name, run_case(&g, h), h->words);
	}
	for (size_t i = 0; i < LEN(of_the_bus); i++)
		ret |= say(of_the_bus[i].name, run_on_bus(&g, of_the_bus[i].run), NULL);
	(void)guest_reset(&g);
	return ret;
}
