/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client memory of random sequences.
 *
 * It lies at the same addresses in every process, with nothing around it, so that what an update
 * finds at the end of a piece is the same everywhere: M (2 MiB shared), a hole, I (the same size),
 * a hole, R (M again, read-only), a hole, P (private).
 *
 * W, the window of device addresses, is chosen so that I is its 1:1 memory: whatever a ring asks of
 * a device that translates 1:1 stays inside I. On a kernel's device that pins memory, 1:1 is the
 * physical address, so I must lie in one piece physically: a huge page. M is one there, too, for
 * then one update is one entry, as in Holdfast (docs/deviations.md, "Not modes").
 */
#include "check/random.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE  (2UL << 20)
#define BASE   0x200000000000UL
#define AT_M   BASE
#define AT_I   (BASE + 2 * PIECE)
#define AT_R   (BASE + 4 * PIECE)
#define AT_P   (BASE + 6 * PIECE)
#define AT_H   (BASE + 8 * PIECE)
#define USED   (PAGE_NR * CHECK_PAGE)
#define USED_P (PAGE_PRIVATE_NR * CHECK_PAGE)
#define GAP    8 /* equal bytes that end a change */

static int sorry(const char *what)
{
	int err = errno;

	fprintf(stderr, "holdfast check: %s: %s\n", what, strerror(err));
	return -err;
}

static uint8_t *place(unsigned long at, size_t len, int prot, int flags, int fd)
{
	void *p = mmap((void *)at, len, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* A memfd of one piece; @huge: of one huge page. */
static int piece_fd(bool huge)
{
	int fd = memfd_create("random", MFD_CLOEXEC | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0));

	if (fd >= 0 && ftruncate(fd, (off_t)PIECE) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int physical(const void *addr, uint64_t *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;
	ssize_t n = fd < 0 ? -1
			   : pread(fd, &entry, sizeof(entry),
				   (off_t)((uintptr_t)addr / CHECK_PAGE * sizeof(entry)));

	if (fd >= 0)
		close(fd);
	*at = (entry & (CLIENT_BIT(55) - 1)) * CHECK_PAGE;
	if (n == sizeof(entry) && *at)
		return 0;
	fprintf(stderr, "holdfast check: --random on a kernel's device that pins memory needs "
			"physical addresses: run as root\n");
	return -EPERM;
}

static int map_pieces(struct random_mem *mem, bool huge)
{
	int rw = PROT_READ | PROT_WRITE;
	int fd_m = piece_fd(huge);
	int fd_i = piece_fd(huge);

	mem->shared = place(AT_M, PIECE, rw, MAP_SHARED, fd_m);
	mem->identity = place(AT_I, PIECE, rw, MAP_SHARED, fd_i);
	mem->readonly = place(AT_R, PIECE, PROT_READ, MAP_SHARED, fd_m);
	mem->private = place(AT_P, USED_P, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (fd_m >= 0)
		close(fd_m);
	if (fd_i >= 0)
		close(fd_i);
	if (mem->shared && mem->identity && mem->readonly && mem->private)
		return 0;
	return sorry(huge ? "no memory for --random; it needs two huge pages, see "
			    "/proc/sys/vm/nr_hugepages"
			  : "no memory for --random");
}

int random_mem_init(struct random_mem *mem, const struct check_device *dev)
{
	bool physically = dev->pinned && !dev->holdfast;
	int rc = map_pieces(mem, physically);

	if (rc)
		return rc;
	for (unsigned i = 0; i < 3; i++) {
		mem->seen[i] = mmap(NULL, USED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0);
		if (mem->seen[i] == MAP_FAILED)
			return sorry("no memory for --random");
	}
	random_mem_clear(mem);
	mem->window = AT_I;
	return physically ? physical(mem->identity, &mem->window) : 0;
}

void random_mem_clear(struct random_mem *mem)
{
	memset(mem->shared, 0, USED);
	memset(mem->identity, 0, USED);
	memset(mem->private, 0, USED_P);
	for (unsigned i = 0; i < 3; i++)
		memset(mem->seen[i], 0, USED);
}

void random_mem_put(struct random_mem *mem, size_t off, const void *data, size_t len)
{
	memcpy(mem->shared + off, data, len);
	memcpy(mem->identity + off, data, len);
	memcpy(mem->seen[0] + off, data, len);
	memcpy(mem->seen[1] + off, data, len);
}

/* Up to 16 bytes as they are; of more, the first 8 and a hash. */
static void print_bytes(FILE *to, const uint8_t *p, size_t len)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 16777619U;
	for (size_t i = 0; i < (len > 16 ? 8 : len); i++)
		fprintf(to, "%02x", p[i]);
	if (len > 16)
		fprintf(to, "..#%08x", hash);
}

static void print_place(FILE *to, char piece, size_t off)
{
	size_t page = off / CHECK_PAGE, in = off % CHECK_PAGE;

	if (piece != 'P' && page >= PAGE_USED && page < PAGE_DATA)
		fprintf(to, " %c.used%zu.%zu+%#zx", piece, (page - PAGE_USED) / 2,
			(page - PAGE_USED) % 2, in);
	else if (piece != 'P' && page >= PAGE_DATA && page < PAGE_INDIRECT)
		fprintf(to, " %c.buf%zu.%zu+%#zx", piece, page - PAGE_DATA, in / RANDOM_BUF_LEN,
			in % RANDOM_BUF_LEN);
	else
		fprintf(to, " %c+%#zx", piece, off);
}

/* Where the change that begins at @at ends: before GAP equal bytes, or a page's end. */
static size_t change_end(const uint8_t *now, const uint8_t *seen, size_t at, size_t len)
{
	size_t stop = (at / CHECK_PAGE + 1) * CHECK_PAGE, end = at + 1;

	if (stop > len)
		stop = len;
	for (size_t i = at + 1; i < stop && i < end + GAP; i++)
		if (now[i] != seen[i])
			end = i + 1;
	return end;
}

static bool piece_changes(FILE *to, char name, const uint8_t *now, uint8_t *seen, size_t len)
{
	bool any = false;

	for (size_t page = 0; page < len; page += CHECK_PAGE) {
		size_t at = page;

		if (!memcmp(now + page, seen + page, CHECK_PAGE))
			continue;
		any = true;
		while (at < page + CHECK_PAGE) {
			size_t end;

			if (now[at] == seen[at]) {
				at++;
				continue;
			}
			end = change_end(now, seen, at, len);
			print_place(to, name, at);
			fputc(':', to);
			print_bytes(to, now + at, end - at);
			at = end;
		}
		memcpy(seen + page, now + page, CHECK_PAGE);
	}
	return any;
}

unsigned random_mem_changes(struct random_mem *mem, FILE *to)
{
	unsigned bits = 0;

	bits |= piece_changes(to, 'M', mem->shared, mem->seen[0], USED) ? 1 : 0;
	bits |= piece_changes(to, 'I', mem->identity, mem->seen[1], USED) ? 2 : 0;
	bits |= piece_changes(to, 'P', mem->private, mem->seen[2], USED_P) ? 4 : 0;
	return bits;
}

uint64_t random_mem_iova(const struct random_mem *mem, uint64_t at)
{
	uint64_t off = random_off_of(at);

	if (random_region_of(at) == AT_TOP)
		return -off;
	return random_region_of(at) == AT_WINDOW ? mem->window + off : off;
}

uint64_t random_mem_uaddr(const struct random_mem *mem, uint64_t at)
{
	static const uint64_t base[AT_NR] = {
		[AT_SHARED] = AT_M, [AT_READONLY] = AT_R, [AT_PRIVATE] = AT_P, [AT_HOLE] = AT_H};

	(void)mem;
	return base[random_region_of(at)] + random_off_of(at);
}
