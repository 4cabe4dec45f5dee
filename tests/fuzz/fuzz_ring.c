// SPDX-License-Identifier: BSD-3-Clause
/*
 * A ring whose driver writes whatever it likes, whenever it likes. The input is both the bytes of
 * the areas and the calls of the device. It can also have memory change right before the nth load
 * of the ring, so that a value that the ring loads twice differs (changing.h).
 *
 * What must hold: the ring loads only from what is mapped for reading, and stores only to what is
 * mapped for writing; every piece that it hands out lies in such memory, and the lengths add up; as
 * many chains are out as the ring has entries, at most; a broken ring gives nothing any more.
 */
#include "fuzz.h"

#include <errno.h>
#include <sys/mman.h>

#include "ring/layout.h"
#include "ring/ring.h"

#define IOVA     0x40000000ULL
#define HOST     0x200000000000ULL
#define LEN      0x10000u
#define DESC     0x1000u
#define DRIVER   0x3000u
#define DEVICE   0x4000u
#define TABLES   0x5000u
#define BUFFERS  0x7000u
#define HELD_MAX 128
#define NUM_MAX  64

static const struct window {
	uint32_t off, len;
	uint8_t perm;
} windows[] = {
	{DESC, 0x800, IOTLB_RW},          {DRIVER, 0x400, IOTLB_R},
	{DEVICE, 0x400, IOTLB_W},         {TABLES, 0x1000, IOTLB_R},
	{BUFFERS, 0x1003, IOTLB_RW},      {BUFFERS + 0x1003, 0x55, IOTLB_RW},
	{BUFFERS + 0x2000, 0x7, IOTLB_R}, {BUFFERS + 0x3001, 0x1000, IOTLB_W},
};

static struct {
	char *mem;
	struct memory_space *space;
	struct memory_region *region;
	struct iotlb *tlb;
	struct ring *ring;
	struct ring_config config;
	struct ring_chain held[HELD_MAX];
	unsigned int nr_held;
	uint32_t nr_popped; /* since the start, less those that were given back */
	bool inside;        /* the ring is being called */
	/* A change to come, before the load that @in counts down to. */
	unsigned int in;
	uint32_t at, len;
	uint8_t bytes[16];
} f;

/* ---- what the ring touches ---- */

static bool is_mapped(uintptr_t addr, size_t len, uint8_t perm)
{
	uintptr_t off = addr - HOST;

	while (len > 0) {
		size_t i = 0;

		while (i < ARRAY_LEN(windows) && off - windows[i].off >= windows[i].len)
			i++;
		if (i == ARRAY_LEN(windows) || (windows[i].perm & perm) != perm)
			return false;
		if (len <= windows[i].len - (off - windows[i].off))
			return true;
		len -= windows[i].len - (off - windows[i].off);
		off = windows[i].off + windows[i].len;
	}
	return true;
}

/* Other loads are of the ring's own. */
static bool is_shared(const volatile void *p)
{
	return (uintptr_t)p - HOST < LEN;
}

void fuzz_before_load(const volatile void *p, unsigned long len)
{
	if (!f.inside || !is_shared(p))
		return;
	fuzz_check(is_mapped((uintptr_t)p, len, IOTLB_R));
	if (f.in && --f.in == 0)
		memcpy(f.mem + f.at, f.bytes, f.len);
}

void fuzz_before_store(const volatile void *p, unsigned long len)
{
	if (f.inside && is_shared(p))
		fuzz_check(is_mapped((uintptr_t)p, len, IOTLB_W));
}

/* ---- what the driver writes ---- */

static iova_t choose_iova(struct fuzz_input *in)
{
	const struct window *w = &windows[fuzz_below(in, ARRAY_LEN(windows))];
	iova_t first = IOVA + w->off;

	switch (fuzz_below(in, 6)) {
	case 0:
		return fuzz_u64(in);
	case 1:
		return first + w->len - fuzz_below(in, 20);
	case 2:
		return UINT64_MAX - fuzz_below(in, 64);
	case 3:
		return first - fuzz_below(in, 16);
	default:
		return first + fuzz_u16(in) % w->len;
	}
}

static uint32_t choose_len(struct fuzz_input *in)
{
	static const uint32_t odd[] = {0,          1,          15,         16,   32, 0x7fffffff,
				       0x80000000, 0xffffffff, 0xfffffff0, 4096, 48, 160};

	switch (fuzz_below(in, 3)) {
	case 0:
		return odd[fuzz_below(in, ARRAY_LEN(odd))];
	case 1:
		return 16 * fuzz_below(in, 70);
	default:
		return fuzz_u16(in) % 300;
	}
}

static void write_desc(struct fuzz_input *in, uint32_t table, uint32_t max)
{
	uint32_t at = table + fuzz_below(in, max) * DESC_SIZE;
	struct split_desc *d = (void *)(f.mem + at);
	uint16_t flags = fuzz_u8(in), other = fuzz_u8(in);

	/* AVAIL and USED lie in the upper byte */
	flags |= (uint16_t)(fuzz_u8(in) & 0x80) << 0;
	flags = (uint16_t)((flags & 7) | (flags & 0x80 ? DESC_F_AVAIL : 0) |
			   (flags & 0x40 ? DESC_F_USED : 0) | (flags & 0x20 ? 0x100 : 0));
	le64_store(&d->addr, choose_iova(in));
	le32_store(&d->len, choose_len(in));
	le16_store(&d->flags, f.config.packed ? other : flags);
	le16_store(&d->next, f.config.packed ? flags : other);
}

/* Offer heads as a driver does, right or wrong. */
static void write_avail(struct fuzz_input *in)
{
	struct split_avail *avail = (void *)(f.mem + DRIVER);
	uint16_t pos = ring_get_state(f.ring).last_avail;
	uint8_t n = fuzz_u8(in) % (NUM_MAX + 2);

	if (f.config.packed)
		return;
	for (uint8_t i = 0; i < n && i < 8; i++)
		le16_store(&avail->ring[(uint16_t)(pos + i) % f.config.num], fuzz_u8(in));
	le16_store(&avail->idx, (uint16_t)(pos + n));
}

static void write_bytes(struct fuzz_input *in)
{
	const struct window *w = &windows[fuzz_below(in, ARRAY_LEN(windows))];
	uint32_t at = w->off + fuzz_u16(in) % w->len, len = 1 + fuzz_below(in, 16);

	(void)fuzz_bytes(in, f.mem + at, len);
}

static void arm_change(struct fuzz_input *in)
{
	const struct window *w = &windows[fuzz_below(in, 4)];

	f.in = 1 + fuzz_below(in, 40);
	f.at = w->off + fuzz_u16(in) % w->len;
	f.len = (uint32_t)fuzz_bytes(in, f.bytes, 1 + fuzz_below(in, 16));
}

/* ---- what the device does ---- */

static uint64_t check_pieces(const struct iovec *iov, uint32_t nr, uint8_t perm)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < nr; i++) {
		if (!iov[i].iov_base) {
			fuzz_check(f.config.holes);
			sum += iov[i].iov_len;
			continue;
		}
		fuzz_check(iov[i].iov_len > 0);
		fuzz_check(is_mapped((uintptr_t)iov[i].iov_base, iov[i].iov_len, perm));
		sum += iov[i].iov_len;
	}
	return sum;
}

static void pop(void)
{
	struct ring_chain *chain = &f.held[f.nr_held];
	bool broken = ring_broken_reason(f.ring) != NULL;
	int rc;

	if (f.nr_held == HELD_MAX)
		return;
	f.inside = true;
	rc = ring_pop(f.ring, chain);
	f.inside = false;
	fuzz_check(rc == 1 || rc == 0 || rc == -EPROTO || rc == -ENOBUFS || rc == -EFAULT);
	fuzz_check((rc == -EPROTO) == (ring_broken_reason(f.ring) != NULL));
	fuzz_check(!broken || rc == -EPROTO);
	if (rc != 1)
		return;
	fuzz_check(f.nr_held < f.config.num);
	fuzz_check(chain->nr_out + chain->nr_in <= RING_CHAIN_IOV_MAX);
	fuzz_check(check_pieces(chain->out, chain->nr_out, IOTLB_R) == chain->out_len);
	fuzz_check(check_pieces(chain->in, chain->nr_in, IOTLB_W) == chain->in_len);
	fuzz_check(chain->out_len + chain->in_len <= UINT32_MAX);
	f.nr_held++;
	f.nr_popped++;
}

static void run(struct fuzz_input *in)
{
	bool write = fuzz_below(in, 2);
	uint32_t written[RING_RUN_MAX];
	const struct ring_plain *chains;
	unsigned int n;

	f.inside = true;
	n = ring_pop_run(f.ring, 1 + fuzz_below(in, RING_RUN_MAX + 2), write, &chains);
	f.inside = false;
	fuzz_check(n <= RING_RUN_MAX && f.nr_held + n <= f.config.num);
	fuzz_check(n == 0 || !ring_broken_reason(f.ring));
	for (unsigned int i = 0; i < n; i++) {
		fuzz_check(chains[i].len > 0);
		fuzz_check(is_mapped((uintptr_t)chains[i].base, chains[i].len,
				     write ? IOTLB_W : IOTLB_R));
		written[i] = chains[i].len / 2;
	}
	n = fuzz_below(in, n + 1);
	ring_push_run(f.ring, n, write ? written : NULL);
	f.nr_popped += n;
}

static void push(struct fuzz_input *in)
{
	unsigned int i;

	if (f.nr_held == 0)
		return;
	i = fuzz_below(in, f.nr_held);
	ring_push(f.ring, &f.held[i], (uint32_t)(f.held[i].in_len / 2));
	f.held[i] = f.held[--f.nr_held];
}

/* Only the newest chains can be given back, and none of them may be gone. */
static void unpop(struct fuzz_input *in)
{
	unsigned int n = fuzz_below(in, f.nr_held + 1);
	struct ring_chain *first = &f.held[f.nr_held - n];

	for (unsigned int i = 0; i < n; i++)
		if (first[i].seq + (n - i) != f.nr_popped)
			return;
	ring_unpop(f.ring, first, n);
	f.nr_held -= n;
	f.nr_popped -= n;
}

static void restart(void)
{
	struct ring_state state = ring_stop(f.ring);

	f.nr_held = f.nr_popped = 0;
	fuzz_check(ring_start(f.ring, &f.config, f.tlb, f.tlb, state) == 0);
}

/* ---- one input ---- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	f.mem = mmap((void *)(uintptr_t)HOST, LEN, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if ((uintptr_t)f.mem != HOST || memory_space_create_own(&f.space) ||
	    memory_region_create(f.space, HOST, LEN, true, MEMORY_VA, &f.region) ||
	    iotlb_create(64, &f.tlb))
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(windows); i++)
		if (iotlb_map(f.tlb, IOVA + windows[i].off,
			      IOVA + windows[i].off + windows[i].len - 1, f.region, windows[i].off,
			      windows[i].perm))
			return 1;
	return 0;
}

static void begin(struct fuzz_input *in)
{
	uint8_t bits = fuzz_u8(in);
	struct ring_state state;

	memset(f.mem, 0, LEN);
	f.in = f.nr_held = f.nr_popped = 0;
	f.config = (struct ring_config){
		.packed = bits & 1,
		.event_idx = bits & 2,
		.in_order = bits & 4,
		.indirect = bits & 8,
		.holes = bits & 16,
		.desc_addr = IOVA + DESC,
		.driver_addr = IOVA + DRIVER,
		.device_addr = IOVA + DEVICE,
	};
	f.config.num = (uint16_t)(1 + fuzz_below(in, NUM_MAX));
	if (!f.config.packed)
		f.config.num = (uint16_t)(1u << f.config.num % 7);
	state.last_avail = fuzz_u16(in);
	if (f.config.packed)
		state.last_avail = (uint16_t)((state.last_avail & 0x8000) |
					      (state.last_avail & 0x7fff) % f.config.num);
	state.last_used = state.last_avail;
	fuzz_check(ring_create("fuzz", NULL, NULL, &f.ring) == 0);
	fuzz_check(ring_start(f.ring, &f.config, f.tlb, f.tlb, state) == 0);
}

static void driver_op(struct fuzz_input *in)
{
	switch (fuzz_below(in, 5)) {
	case 0:
		write_desc(in, TABLES, 64);
		break;
	case 1:
		write_avail(in);
		break;
	case 2:
		write_bytes(in);
		break;
	case 3:
		arm_change(in);
		break;
	default:
		write_desc(in, DESC, f.config.num);
	}
}

static void device_op(struct fuzz_input *in)
{
	switch (fuzz_below(in, 10)) {
	case 9:
		run(in);
		break;
	case 0:
		f.inside = true;
		(void)ring_flush(f.ring);
		break;
	case 1:
		f.inside = true;
		(void)ring_kick_enable(f.ring);
		break;
	case 2:
		f.inside = true;
		ring_kick_disable(f.ring);
		break;
	case 3:
		f.inside = true;
		(void)ring_peek(f.ring);
		break;
	case 4:
		push(in);
		break;
	case 5:
		unpop(in);
		break;
	case 6:
		if (ring_broken_reason(f.ring) || fuzz_below(in, 4) == 0)
			restart();
		break;
	default:
		pop();
	}
	f.inside = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	begin(&in);
	while (fuzz_more(&in)) {
		driver_op(&in);
		device_op(&in);
	}
	ring_destroy(f.ring);
	return 0;
}
