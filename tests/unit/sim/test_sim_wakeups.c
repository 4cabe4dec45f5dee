// SPDX-License-Identifier: BSD-3-Clause
/*
 * No wake-up is lost: a driver that kicks only when it is told to gets all its chains back,
 * whatever its client does to the device meanwhile, two deeds at once: reads positions, suspends
 * and resumes, unmaps and maps the rings, changes call eventfds, disables and enables queues. With
 * every back end, every kind of mapping, both layouts, with and without the event index.
 * HOLDFAST_TEST_ROUNDS sets the rounds of each combination, HOLDFAST_TEST_SEED repeats a run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "blk_support.h"
#include "iotlb/iotlb.h"
#include "parents/sim/sim.h"
#include "tap_support.h"

#define RING     16
#define BURST    4 /* chains a round at the most */
#define FRAME    (HDR + 64)
#define SEQ_AT   (HDR + 14) /* behind addresses and ethertype */
#define BUF_LEN  256
#define ECHO_LEN 2048
#define BLK_LEN  4096
#define LEN_PEER 4 /* bytes of a frame's length on a stream */

enum backend { LOOPBACK, STREAM, TAP_BACKEND, RAM, FILE_BACKEND, NR_BACKENDS };
static const char *const backend_names[] = {"loopback", "stream", "tap", "ram", "file"};
static const char *const mapping_names[] = {"set_map", "dma_map", "platform"};
static const char *no_tap; /* why there is none */

/* What a client does while its driver works. */
enum deed { NOTHING, READ_BASE, SUSPEND, UNMAP, CHANGE_CALL, DISABLE, NR_DEEDS };
static const char *const deed_names[] = {
	"nothing",    "GET_VRING_BASE", "SUSPEND, RESUME",
	"unmap, map", "SET_VRING_CALL", "ENABLE 0, 1",
};

/* One combination under test. */
struct bench {
	struct rig rig;
	enum backend backend;
	struct iotlb *full, *none; /* maps: everything, and all but the rings */
	char *memory;              /* what buffers lie in, shared */
	int wire;                  /* socket of the other end, or -1 */
	bool echoes;               /* frames come back by echo() */
	uint32_t seq;              /* of the last frame sent */
	uint32_t echoed;           /* of the last frame sent back */
	uint32_t seen;             /* of the last frame received */
	bool may_lose;      /* frames of this round met an unmapped receive ring of a loopback */
	bool may_repeat;    /* a queue stopped in this round while its ring was unmapped */
	enum deed deeds[4]; /* of this round, for messages */
	unsigned int nr_deeds;
};

/* Two deeds at once, which end in either order. */
struct deeds {
	enum deed deed[2];
	uint16_t idx[2]; /* queues they are done to */
	bool nested;     /* the second ends first */
};

static uint64_t rng, seed;
static char dir[] = "/tmp/hf-wakeups-XXXXXX";

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static bool is_blk(const struct bench *b)
{
	return b->backend >= RAM;
}

static uint16_t nr_queues(const struct bench *b)
{
	return is_blk(b) ? 1 : 2;
}

/* ---- maps ---- */

#define MEMORY_LEN (64 * 4096UL)

static void add_entry(struct bench *b, struct iotlb *tlb, void *p, size_t len)
{
	uint64_t first = (uintptr_t)p;
	struct memory_region *mem;

	assert_int_equal(memory_region_create(b->rig.space, first, len, true, MEMORY_VA, &mem), 0);
	assert_int_equal(iotlb_map(tlb, first, first + len - 1, mem, 0, IOTLB_RW), 0);
	memory_region_put(mem);
}

static void make_maps(struct bench *b)
{
	assert_int_equal(iotlb_create(16, &b->full), 0);
	assert_int_equal(iotlb_create(16, &b->none), 0);
	add_entry(b, b->full, b->memory, MEMORY_LEN);
	add_entry(b, b->none, b->memory, MEMORY_LEN);
	for (uint16_t i = 0; i < nr_queues(b); i++)
		add_entry(b, b->full, b->rig.vq[i].mem, b->rig.vq[i].mem_len);
}

static int NO_TSA assign_domain(struct rig *rig, const struct iotlb_version *v)
{
	int err;

	mutex_lock(&rig->dev->lock);
	err = vdpa_domain_assign(rig->dev, v);
	mutex_unlock(&rig->dev->lock);
	return err;
}

/* @from is what the device has: a parent with dma_map hears of the difference. */
static void install(struct bench *b, struct iotlb *from, struct iotlb *to)
{
	const struct iotlb_version *v = iotlb_snapshot(to), *had = iotlb_snapshot(from);
	struct rig *rig = &b->rig;
	struct iotlb_entry e;

	if (rig->ops->set_map) {
		assert_int_equal(rig_op(rig, set_map, 0, v), 0);
	} else if (!rig->ops->dma_map) {
		assert_int_equal(assign_domain(rig, v), 0);
	} else {
		for (iova_t at = 0; iotlb_version_next(had, at, &e); at = e.last + 1)
			if (!iotlb_overlaps(to, e.first, e.last))
				assert_int_equal(rig_op(rig, dma_unmap, 0, e.first, e.last), 0);
		for (iova_t at = 0; iotlb_version_next(v, at, &e); at = e.last + 1)
			if (!iotlb_overlaps(from, e.first, e.last))
				assert_int_equal(rig_op(rig, dma_map, 0, &e), 0);
	}
	iotlb_version_put(v);
	iotlb_version_put(had);
}

/* ---- the device and what is on its other side ---- */

static struct vdpa_dev_config config_of(const struct bench *b, enum vdpa_mapping mapping)
{
	struct vdpa_dev_config config = is_blk(b) ? blk_config() : rig_config();

	config.mapping = mapping;
	config.given |= VDPA_KEY_BACKEND;
	switch (b->backend) {
	case STREAM:
		(void)snprintf(config.backend, sizeof(config.backend), "stream,path=%s/s,listen",
			       dir);
		break;
	case TAP_BACKEND:
		(void)snprintf(config.backend, sizeof(config.backend), "tap,ifname=" TAP);
		break;
	case FILE_BACKEND:
		(void)snprintf(config.backend, sizeof(config.backend), "file,path=%s/disk", dir);
		break;
	default:
		(void)snprintf(config.backend, sizeof(config.backend), "%s",
			       backend_names[b->backend]);
	}
	return config;
}

static void make_disk(void)
{
	char path[sizeof(dir) + 8];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/disk", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 1 << 20), 0);
	assert_int_equal(fclose(f), 0);
}

static void connect_wire(struct bench *b)
{
	struct timeval patience = {.tv_sec = DEADLINE_MS / 1000};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	b->wire = -1;
	b->echoes = b->backend == STREAM || b->backend == TAP_BACKEND;
	if (b->backend == TAP_BACKEND)
		b->wire = tap_packet_socket(TAP);
	if (b->backend != STREAM)
		return;
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
	b->wire = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(setsockopt(b->wire, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
			 0);
	assert_int_equal(connect(b->wire, (struct sockaddr *)&addr, sizeof(addr)), 0);
	rig_quiet(&b->rig); /* it has accepted */
}

static uint32_t seq_of(const uint8_t *frame)
{
	uint32_t seq;

	memcpy(&seq, frame + SEQ_AT, sizeof(seq));
	return seq;
}

/* Sends back what the device sends, up to the frame @seq, each once. A frame whose end could not be
 * told, for its ring was gone when the queue stopped, may have gone out twice. */
static void echo(struct bench *b, uint32_t seq)
{
	uint8_t buf[ECHO_LEN];

	while (b->echoed != seq) {
		uint32_t got;
		ssize_t len;

		if (b->backend == TAP_BACKEND)
			len = tap_receive(b->wire, buf, sizeof(buf));
		else
			len = recv(b->wire, buf, LEN_PEER + FRAME - HDR, MSG_WAITALL);
		if (len <= 0)
			fail_msg("no frame on the wire; seed 0x%llx", (unsigned long long)seed);
		memcpy(&got, buf + (b->backend == STREAM ? LEN_PEER : 0) + SEQ_AT - HDR,
		       sizeof(got));
		if (got <= b->echoed && b->may_repeat)
			continue;
		if (got != b->echoed + 1)
			fail_msg("frame %u is sent after %u; seed 0x%llx", got, b->echoed,
				 (unsigned long long)seed);
		b->echoed = got;
		assert_int_equal(send(b->wire, buf, (size_t)len, 0), len);
	}
}

static void bench_make(struct bench *b, enum backend backend, enum vdpa_mapping mapping,
		       uint64_t features)
{
	struct vdpa_dev_config config;
	struct iotlb *nothing;

	*b = (struct bench){.backend = backend, .wire = -1};
	if (backend == FILE_BACKEND)
		make_disk();
	config = config_of(b, mapping);
	rig_make(&b->rig, &config);
	if (b->backend == TAP_BACKEND)
		tap_wait_up(TAP);
	vdpasim_of(b->rig.dev)->park_ns = NS_PER_MS / 2;
	b->memory =
		mmap(NULL, MEMORY_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(b->memory, MAP_FAILED);
	rig_negotiate(&b->rig, BASE_FEATURES | features);
	for (uint16_t i = 0; i < nr_queues(b); i++)
		rig_vq_new(&b->rig, i, RING);
	make_maps(b);
	assert_int_equal(iotlb_create(1, &nothing), 0);
	install(b, nothing, b->full);
	iotlb_destroy(nothing);
	for (uint16_t i = 0; i < nr_queues(b); i++)
		rig_vq_setup(&b->rig, i);
	rig_driver_ok(&b->rig);
	connect_wire(b);
}

static void bench_free(struct bench *b)
{
	rig_destroy(&b->rig);
	iotlb_destroy(b->full);
	iotlb_destroy(b->none);
	(void)munmap(b->memory, MEMORY_LEN);
	if (b->wire >= 0)
		(void)close(b->wire);
}

/* ---- what the client does ---- */

static void signal_fd(void *arg)
{
	(void)eventfd_write(*(int *)arg, 1);
}

/* The first half of a deed, and the second, with the driver at work in between. */
static void begin(struct bench *b, enum deed deed, uint16_t idx)
{
	struct vdpa_callback cb = {signal_fd, &b->rig.vq[idx].call_fd};
	struct vdpa_vq_state at;

	switch (deed) {
	case READ_BASE:
		assert_int_equal(rig_op(&b->rig, get_vq_state, idx, &at), 0);
		break;
	case SUSPEND:
		assert_int_equal(rig_op(&b->rig, suspend), 0);
		break;
	case UNMAP:
		b->may_lose |= b->backend == LOOPBACK;
		install(b, b->full, b->none);
		break;
	case CHANGE_CALL:
		rig_do(&b->rig, set_vq_cb, idx, &(struct vdpa_callback){NULL, NULL});
		rig_do(&b->rig, set_vq_cb, idx, &cb);
		signal_fd(cb.arg); /* as a client does that may have missed one */
		break;
	case DISABLE:
		rig_do(&b->rig, set_vq_ready, idx, false);
		break;
	default:
		break;
	}
}

static void end(struct bench *b, enum deed deed, uint16_t idx)
{
	if (deed == SUSPEND)
		assert_int_equal(rig_op(&b->rig, resume), 0);
	if (deed == UNMAP)
		install(b, b->none, b->full);
	if (deed == DISABLE)
		rig_do(&b->rig, set_vq_ready, idx, true);
}

static bool stops_queue(enum deed deed)
{
	return deed == SUSPEND || deed == DISABLE;
}

static struct deeds draw_deeds(struct bench *b)
{
	uint64_t queues = nr_queues(b);
	struct deeds d = {
		.deed = {rnd(NR_DEEDS), rnd(NR_DEEDS)},
		.idx = {(uint16_t)rnd(queues), (uint16_t)rnd(queues)},
		.nested = rnd(2),
	};

	if (d.deed[1] == d.deed[0])
		d.deed[1] = NOTHING;
	b->deeds[b->nr_deeds++] = d.deed[0];
	b->deeds[b->nr_deeds++] = d.deed[1];
	if ((d.deed[0] == UNMAP && stops_queue(d.deed[1])) ||
	    (d.deed[1] == UNMAP && stops_queue(d.deed[0])))
		b->may_repeat = true;
	return d;
}

static void begin_deed(struct bench *b, const struct deeds *d, unsigned int i)
{
	begin(b, d->deed[i], d->idx[i]);
}

static void end_deeds(struct bench *b, const struct deeds *d)
{
	unsigned int first = d->nested ? 1 : 0;

	end(b, d->deed[first], d->idx[first]);
	end(b, d->deed[!first], d->idx[!first]);
}

/* ---- what the driver does ---- */

static void stuck(const struct bench *b, const char *what)
{
	char deeds[128] = "";

	for (unsigned int i = 0; i < b->nr_deeds; i++)
		(void)snprintf(deeds + strlen(deeds), sizeof(deeds) - strlen(deeds), " [%s]",
			       deed_names[b->deeds[i]]);
	fail_msg("%s, %llx: %s is stuck after%s; seed 0x%llx", backend_names[b->backend],
		 (unsigned long long)b->rig.features, what, deeds, (unsigned long long)seed);
}

static uint8_t *frame_at(struct bench *b, unsigned int i)
{
	return (uint8_t *)b->memory + (size_t)i * BUF_LEN;
}

static void add_buffer(struct bench *b, void *p)
{
	rig_add(&b->rig, 0, p, BUF_LEN, true);
	rig_publish(&b->rig, 0);
}

static void send_frame(struct bench *b, unsigned int i)
{
	uint8_t *frame = frame_at(b, i);

	frame_make(frame, FRAME, 1);
	b->seq++;
	memcpy(frame + SEQ_AT, &b->seq, sizeof(b->seq));
	rig_add(&b->rig, 1, frame, FRAME, false);
	rig_publish(&b->rig, 1);
}

/* Until the last frame that was sent is there, in order. */
static void receive_frames(struct bench *b)
{
	while (b->seen != b->seq) {
		uint32_t len, seq;
		uint8_t *p = rig_get(&b->rig, 0, &len);

		if (!p)
			stuck(b, "a received frame");
		assert_int_equal(len, FRAME);
		seq = seq_of(p);
		if (seq <= b->seen && b->may_repeat) {
			add_buffer(b, p);
			continue;
		}
		if (seq != b->seen + 1 && !(b->may_lose && seq > b->seen && seq <= b->seq))
			fail_msg("frame %u comes after %u; seed 0x%llx", seq, b->seen,
				 (unsigned long long)seed);
		b->seen = seq;
		add_buffer(b, p);
	}
}

static void take_sent(struct bench *b, unsigned int n)
{
	uint32_t len;

	for (unsigned int i = 0; i < n; i++)
		if (!rig_get(&b->rig, 1, &len))
			stuck(b, "a transmitted frame");
}

/* Frames out and back, with two deeds on the way out and two on the way back; at last a frame in
 * peace. */
static void net_round(struct bench *b)
{
	unsigned int n = 1 + (unsigned int)rnd(BURST);
	struct deeds out = draw_deeds(b), back = {0};

	if (b->echoes)
		back = draw_deeds(b);
	send_frame(b, 0);
	begin_deed(b, &out, 0);
	if (n > 1)
		send_frame(b, 1);
	begin_deed(b, &out, 1);
	for (unsigned int i = 2; i < n; i++)
		send_frame(b, i);
	end_deeds(b, &out);
	take_sent(b, n);
	begin_deed(b, &back, 0);
	if (b->echoes)
		echo(b, b->seq - n + 1);
	begin_deed(b, &back, 1);
	if (b->echoes)
		echo(b, b->seq);
	end_deeds(b, &back);
	send_frame(b, 0);
	take_sent(b, 1);
	if (b->echoes)
		echo(b, b->seq);
	receive_frames(b);
}

static void blk_add(struct bench *b, unsigned int i)
{
	struct virtio_blk_outhdr *header = (void *)(b->memory + (size_t)i * 64);
	uint8_t *status = (uint8_t *)header + 32;
	struct ring_driver_seg segs[] = {
		blk_seg(&b->rig, header, sizeof(*header)),
		blk_seg(&b->rig, b->memory + (i + 1) * BLK_LEN, BLK_LEN),
		blk_seg(&b->rig, status, 1),
	};

	*header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN, .sector = i * 8};
	*status = NO_STATUS;
	assert_int_equal(ring_driver_add(b->rig.vq[0].drv, segs, 1, 2, header, NULL, 0), 0);
	rig_publish(&b->rig, 0);
}

static void blk_round(struct bench *b)
{
	unsigned int n = 1 + (unsigned int)rnd(BURST);
	struct deeds d = draw_deeds(b);
	uint32_t len;

	blk_add(b, 0);
	begin_deed(b, &d, 0);
	if (n > 1)
		blk_add(b, 1);
	begin_deed(b, &d, 1);
	for (unsigned int i = 2; i < n; i++)
		blk_add(b, i);
	end_deeds(b, &d);
	for (unsigned int i = 0; i < n; i++) {
		uint8_t *header = rig_get(&b->rig, 0, &len);

		if (!header)
			stuck(b, "a request");
		assert_int_equal(header[32], VIRTIO_BLK_S_OK);
	}
}

static void run(enum backend backend, enum vdpa_mapping mapping, uint64_t features,
		unsigned int rounds)
{
	struct bench b;

	bench_make(&b, backend, mapping, features);
	for (unsigned int i = 0; !is_blk(&b) && i < RING - 1; i++)
		add_buffer(&b, frame_at(&b, BURST + i));
	for (unsigned int i = 0; i < rounds; i++) {
		b.nr_deeds = 0;
		b.may_lose = b.may_repeat = false;
		if (is_blk(&b))
			blk_round(&b);
		else
			net_round(&b);
	}
	assert_int_equal(rig_op(&b.rig, get_status), 0xf);
	bench_free(&b);
}

static void driver_that_kicks_only_when_told_is_never_stuck(void **state)
{
	static const uint64_t layouts[] = {
		0,
		BIT(VIRTIO_RING_F_EVENT_IDX),
		BIT(VIRTIO_F_RING_PACKED),
		BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX),
	};
	const char *env = getenv("HOLDFAST_TEST_ROUNDS");
	unsigned int rounds = env ? (unsigned int)strtoul(env, NULL, 0) : 100, nr = 0;

	(void)state;
	for (int backend = 0; backend < NR_BACKENDS; backend++) {
		if (backend == TAP_BACKEND && no_tap) {
			print_message("without tap: %s\n", no_tap);
			continue;
		}
		for (int mapping = 0; mapping <= VDPA_MAPPING_PLATFORM; mapping++) {
			for (size_t l = 0; l < ARRAY_LEN(layouts); l++, nr++)
				run((enum backend)backend, (enum vdpa_mapping)mapping, layouts[l],
				    rounds);
			print_message("%s, %s\n", backend_names[backend], mapping_names[mapping]);
		}
	}
	print_message("%u combinations of %u rounds: nothing is stuck; seed 0x%llx\n", nr, rounds,
		      (unsigned long long)seed);
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? blk_setup(state) : -1;
}

static int remove_dir(void **state)
{
	char path[sizeof(dir) + 8];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/disk", dir);
	(void)unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const char *env = getenv("HOLDFAST_TEST_SEED");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(driver_that_kicks_only_when_told_is_never_stuck),
	};

	no_tap = tap_enter_namespaces();
	seed = env ? strtoull(env, NULL, 0) : (uint64_t)clock_now_ns();
	rng = seed | 1;
	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
