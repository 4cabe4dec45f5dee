// SPDX-License-Identifier: BSD-3-Clause
/*
 * wrong: a hostile driver of a virtio network card inside of a virtual machine.
 *
 *   wrong 0000:01:00.0        all cases, one "ok NAME" or "FAILED NAME: WHY" a line
 *
 * The card has no kernel driver meanwhile. This program maps its registers, finds out where its own
 * memory lies in the machine, and writes rings that are wrong in one thing at a time. After each
 * case it resets the card, and a good frame must be taken within the deadline. What the device
 * thinks of a case is in the log of the machine's host. Needs root; no IOMMU may stand between.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE        4096u
#define NUM         64u /* entries of a ring */
#define NQUEUES     2u  /* receive, transmit */
#define TX          1u
#define FRAME_LEN   72u /* header included */
#define DEADLINE_MS 10000
#define SCRIBBLES   2000
#define NOWHERE     0x7f0000000000ull /* no memory of this machine */
#define LEN(a)      (sizeof(a) / sizeof((a)[0]))

/* A page of our own, and its address in the machine. */
struct page {
	uint8_t *at;
	uint64_t phys;
};

struct queue {
	struct page desc, avail, used;
	volatile uint16_t *doorbell;
	uint16_t published;
};

static volatile struct virtio_pci_common_cfg *cfg;
static volatile uint8_t *notify;
static uint32_t notify_step;
static struct queue queues[NQUEUES];
static struct page data;
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

static int find_registers(void)
{
	int fd = open_file("config", O_RDWR), err = 0;
	uint8_t space[256];
	uint16_t command;

	if (fd < 0 || pread(fd, space, sizeof(space), 0) != sizeof(space))
		return fail("configuration space");
	memcpy(&command, space + PCI_COMMAND, sizeof(command));
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (pwrite(fd, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		return fail("command register");
	close(fd);
	for (unsigned int at = space[PCI_CAPABILITY_LIST]; at && at < 240 && !err;
	     at = space[at + 1])
		if (space[at] == PCI_CAP_ID_VNDR)
			err = take_cap(space, at);
	return err || cfg == NULL || notify == NULL ? -1 : 0;
}

/* ---- memory ---- */

static int page_new(struct page *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	p->at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
	if (fd < 0 || p->at == MAP_FAILED ||
	    pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p->at / PAGE * sizeof(entry))) !=
		    sizeof(entry))
		return fail("where memory lies");
	close(fd);
	p->phys = (entry & ((1ull << 55) - 1)) * PAGE;
	return p->phys ? 0 : fail("where memory lies (root?)");
}

static struct vring_desc *descs(unsigned int q)
{
	return (void *)queues[q].desc.at;
}

static volatile uint16_t *avail_ring(unsigned int q)
{
	return (volatile uint16_t *)(void *)queues[q].avail.at;
}

static uint16_t used_idx(unsigned int q)
{
	return ((volatile uint16_t *)(void *)queues[q].used.at)[1];
}

static void desc(unsigned int q, unsigned int i, uint64_t addr, uint32_t len, unsigned int flags,
		 unsigned int next)
{
	descs(q)[i] = (struct vring_desc){addr, len, (uint16_t)flags, (uint16_t)next};
}

static void kick(unsigned int q)
{
	__sync_synchronize();
	*queues[q].doorbell = (uint16_t)q;
}

static void publish(unsigned int q, unsigned int head)
{
	avail_ring(q)[2 + queues[q].published % NUM] = (uint16_t)head;
	__sync_synchronize();
	avail_ring(q)[1] = ++queues[q].published;
	kick(q);
}

/* ---- the card's life ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int reset(void)
{
	int64_t until = now_ms() + DEADLINE_MS;

	cfg->device_status = 0;
	while (cfg->device_status != 0)
		if (now_ms() > until)
			return -1;
	return 0;
}

static void set_queue(unsigned int q)
{
	struct queue *queue = &queues[q];

	memset(queue->desc.at, 0, PAGE);
	memset(queue->avail.at, 0, PAGE);
	memset(queue->used.at, 0, PAGE);
	queue->published = 0;
	cfg->queue_select = (uint16_t)q;
	cfg->queue_size = NUM;
	cfg->queue_desc_lo = (uint32_t)queue->desc.phys;
	cfg->queue_desc_hi = (uint32_t)(queue->desc.phys >> 32);
	cfg->queue_avail_lo = (uint32_t)queue->avail.phys;
	cfg->queue_avail_hi = (uint32_t)(queue->avail.phys >> 32);
	cfg->queue_used_lo = (uint32_t)queue->used.phys;
	cfg->queue_used_hi = (uint32_t)(queue->used.phys >> 32);
	queue->doorbell = (volatile uint16_t *)(notify + cfg->queue_notify_off * notify_step);
	cfg->queue_enable = 1;
}

static int start(void)
{
	uint32_t high;

	if (reset())
		return -1;
	cfg->device_status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	cfg->device_feature_select = 1;
	high = cfg->device_feature &
	       (1u << (VIRTIO_F_VERSION_1 - 32) | 1u << (VIRTIO_F_ACCESS_PLATFORM - 32));
	cfg->guest_feature_select = 0;
	cfg->guest_feature = 0;
	cfg->guest_feature_select = 1;
	cfg->guest_feature = high;
	cfg->device_status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(cfg->device_status & VIRTIO_CONFIG_S_FEATURES_OK))
		return -1;
	for (unsigned int q = 0; q < NQUEUES; q++)
		set_queue(q);
	cfg->device_status |= VIRTIO_CONFIG_S_DRIVER_OK;
	return 0;
}

static int wait_used(unsigned int q, unsigned int idx)
{
	int64_t until = now_ms() + DEADLINE_MS;

	while (used_idx(q) != idx)
		if (now_ms() > until)
			return -1;
	return 0;
}

static const char *good_frame(void)
{
	if (start())
		return "the card does not start after a reset";
	memset(data.at, 0, FRAME_LEN);
	memset(data.at + 12, 0xff, 6);
	data.at[24] = 0x88;
	data.at[25] = 0xb6;
	desc(TX, 0, data.phys, FRAME_LEN, 0, 0);
	publish(TX, 0);
	return wait_used(TX, 1) ? "a good frame is not taken after a reset" : NULL;
}

/* ---- what is wrong ---- */

static void head_beyond(void)
{
	publish(TX, NUM);
}

static void next_beyond(void)
{
	desc(TX, 0, data.phys, FRAME_LEN, VRING_DESC_F_NEXT, 0xffff);
	publish(TX, 0);
}

static void loop_of_one(void)
{
	desc(TX, 0, data.phys, 16, VRING_DESC_F_NEXT, 0);
	publish(TX, 0);
}

static void loop_of_all(void)
{
	for (unsigned int i = 0; i < NUM; i++)
		desc(TX, i, data.phys, 16, VRING_DESC_F_NEXT, (i + 1) % NUM);
	publish(TX, 0);
}

static void too_far_ahead(void)
{
	avail_ring(TX)[1] = NUM + 1;
	kick(TX);
}

static void index_back(void)
{
	avail_ring(TX)[1] = 0xffff;
	kick(TX);
}

static void readable_last(void)
{
	desc(TX, 0, data.phys, 16, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	desc(TX, 1, data.phys, 16, 0, 0);
	publish(TX, 0);
}

static void unknown_flags(void)
{
	desc(TX, 0, data.phys, FRAME_LEN, 0x7ff8, 0);
	publish(TX, 0);
}

static void table_not_agreed(void)
{
	desc(TX, 0, data.phys, 64, VRING_DESC_F_INDIRECT, 0);
	publish(TX, 0);
}

static void longer_than_all(void)
{
	for (unsigned int i = 0; i < 3; i++)
		desc(TX, i, data.phys, 0xffffffff, i < 2 ? VRING_DESC_F_NEXT : 0, i + 1);
	publish(TX, 0);
}

static void buffer_nowhere(void)
{
	desc(TX, 0, NOWHERE, FRAME_LEN, 0, 0);
	publish(TX, 0);
	(void)wait_used(TX, 1);
}

static void buffer_wraps(void)
{
	desc(TX, 0, UINT64_MAX - 7, FRAME_LEN, 0, 0);
	publish(TX, 0);
	(void)wait_used(TX, 1);
}

static void buffer_beyond_memory(void)
{
	desc(TX, 0, data.phys, 0x80000000, 0, 0);
	publish(TX, 0);
	(void)wait_used(TX, 1);
}

/* The PCI hole and the firmware: no memory, or memory that nobody may write. */
static void buffer_of_devices(void)
{
	static const uint64_t places[] = {0xfee00000, 0xb0000000, 0xa0000, 0xfffff000};

	for (unsigned int i = 0; i < LEN(places); i++) {
		desc(0, i, places[i], 2048, VRING_DESC_F_WRITE, 0);
		publish(0, i);
		desc(TX, i, places[i], FRAME_LEN, 0, 0);
		publish(TX, i);
	}
	(void)wait_used(TX, LEN(places));
}

static void frame_without_header(void)
{
	desc(TX, 0, data.phys, 3, 0, 0);
	publish(TX, 0);
	(void)wait_used(TX, 1);
}

static void frame_of_nothing(void)
{
	desc(TX, 0, 0, 0, 0, 0);
	publish(TX, 0);
	(void)wait_used(TX, 1);
}

static void frame_to_write(void)
{
	desc(TX, 0, data.phys, FRAME_LEN, VRING_DESC_F_WRITE, 0);
	publish(TX, 0);
	(void)wait_used(TX, 1);
}

static void rings_as_buffers(void)
{
	desc(0, 0, queues[0].used.phys, PAGE, VRING_DESC_F_WRITE, 0);
	publish(0, 0);
	desc(TX, 0, queues[TX].desc.phys, PAGE, 0, 0);
	publish(TX, 0);
}

static void buffer_of_a_byte(void)
{
	for (unsigned int i = 0; i < NUM; i++) {
		desc(0, i, data.phys, i % 2, VRING_DESC_F_WRITE, 0);
		publish(0, i);
	}
}

static void doorbells_of_nobody(void)
{
	for (unsigned int i = 0; i < 1000; i++)
		*queues[TX].doorbell = (uint16_t)(i * 77);
}

static void status_while_it_runs(void)
{
	for (unsigned int i = 0; i < 200; i++)
		cfg->device_status = (uint8_t)(i | VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

/* Bytes at random in what the device reads, while it reads them. */
static void scribbles(void)
{
	uint32_t seed = 1;

	for (unsigned int i = 0; i < SCRIBBLES; i++) {
		unsigned int q = i % 2;
		uint8_t *page = i % 3 ? queues[q].desc.at : queues[q].avail.at;

		seed = seed * 1664525 + 1013904223;
		page[(seed >> 8) % (NUM * 16)] = (uint8_t)(seed >> 24);
		kick(q);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"head_beyond", head_beyond},
	{"next_beyond", next_beyond},
	{"loop_of_one", loop_of_one},
	{"loop_of_all", loop_of_all},
	{"too_far_ahead", too_far_ahead},
	{"index_back", index_back},
	{"readable_last", readable_last},
	{"unknown_flags", unknown_flags},
	{"table_not_agreed", table_not_agreed},
	{"longer_than_all", longer_than_all},
	{"buffer_nowhere", buffer_nowhere},
	{"buffer_wraps", buffer_wraps},
	{"buffer_beyond_memory", buffer_beyond_memory},
	{"buffer_of_devices", buffer_of_devices},
	{"frame_without_header", frame_without_header},
	{"frame_of_nothing", frame_of_nothing},
	{"frame_to_write", frame_to_write},
	{"rings_as_buffers", rings_as_buffers},
	{"buffer_of_a_byte", buffer_of_a_byte},
	{"doorbells_of_nobody", doorbells_of_nobody},
	{"status_while_it_runs", status_while_it_runs},
	{"scribbles", scribbles},
};

int main(int argc, char **argv)
{
	int ret = 0;

	if (argc != 2)
		return 2;
	device = argv[1];
	if (find_registers() || page_new(&data))
		return 1;
	for (unsigned int q = 0; q < NQUEUES; q++)
		if (page_new(&queues[q].desc) || page_new(&queues[q].avail) ||
		    page_new(&queues[q].used))
			return 1;
	for (size_t i = 0; i < LEN(cases); i++) {
		const char *wrong = start() ? "the card does not start" : NULL;

		if (!wrong) {
			cases[i].run();
			(void)poll(NULL, 0, 20); /* the device's turn */
			wrong = good_frame();
		}
		printf("%s %s%s%s\n", wrong ? "FAILED" : "ok", cases[i].name, wrong ? ": " : "",
		       wrong ? wrong : "");
		ret |= wrong != NULL;
	}
	(void)reset();
	return ret;
}
