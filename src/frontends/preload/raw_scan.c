// SPDX-License-Identifier: BSD-3-Clause
/*
 * Looks for `syscall` instructions that may be for a device. The bytes 0f 05 alone are no sign:
 * many displacements have them. So one of three things must be near them:
 *
 *  1. in the 40 bytes before, the number of a call that drives or opens a device is put into %eax.
 *     The last small number there counts;
 *  2. no number is put into %eax, and the result is compared with the highest errno: a function
 *     that makes any call, as in Go's runtime;
 *  3. no number is put into %eax, and in the 24 bytes before, another register is: such a function,
 *     too, or a loop before which the compiler has put the number there.
 *
 * A displacement that reads as 0f 05 is followed by a byte 0, an instruction hardly ever, unless it
 * is the last of a function. An object that is taken for one that makes raw calls only pays for the
 * filter. Of everything that QEMU loads in Debian 12, 13 and unstable, libblkio alone is found;
 * libc, the dynamic loader and the runtimes of sanitizers are left out.
 */
#include "real.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "frontends/preload/raw.h"

#define LOOK_BACK          40u
#define LOOK_BACK_REGISTER 24u
#define RET                0xc3
#define NR_NUMBERS         1024u /* more than there are system calls */
#define STEP               16u   /* bytes that are looked at as one */

typedef unsigned char bytes_t __attribute__((vector_size(STEP)));
typedef long long words_t __attribute__((vector_size(STEP)));

struct search {
	struct raw_range *ranges;
	size_t nr;
	bool opens;
	unsigned long long generation;
	bool is_known; /* the generation is the one that was searched before */
};

#if defined(__x86_64__)
/* Is the instruction at @i a mov of 64 bits to %rax, as far as one can see? */
static bool is_long_number(const unsigned char *code, size_t i, size_t len)
{
	return i > 0 && code[i - 1] == 0x48 && i + 9 <= len && code[i + 7] == 0 && code[i + 8] == 0;
}

/* Return: the number that was put into %eax last before the @len bytes of code end; -1 none */
static long number_before(const unsigned char *code, size_t len)
{
	long found = -1;
	uint32_t imm;

	for (size_t i = 0; i + 5 <= len; i++) {
		memcpy(&imm, code + i + 1, sizeof(imm));
		/* mov $imm,%eax */
		if (code[i] == 0xb8 && imm < NR_NUMBERS && !is_long_number(code, i, len))
			found = (long)imm;
	}
	for (size_t i = 0; i + 3 <= len; i++)
		if (code[i] == 0x6a && code[i + 2] == 0x58) /* push $imm; pop %rax */
			found = code[i + 1];
	return found;
}

/* Is a register copied to %rax in the @len bytes of code? */
static bool is_from_register(const unsigned char *code, size_t len)
{
	for (size_t i = 0; i + 3 <= len; i++)
		if ((code[i] == 0x48 || code[i] == 0x4c) && code[i + 1] == 0x89 &&
		    (code[i + 2] & 0xc7) == 0xc0)
			return true;
	return false;
}

static bool is_open(long nr)
{
	return nr == SYS_open || nr == SYS_openat || nr == SYS_openat2;
}

/* @opens: set if the call is known to open a file */
static bool is_call_on_device(const unsigned char *code, size_t before, size_t after, bool *opens)
{
	static const unsigned char compare[2][6] = {{0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff},
						    {0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff}};
	size_t len = before < LOOK_BACK ? before : LOOK_BACK;
	long nr;

	if (after < 4 || code[2] == 0 || (code[3] == 0 && code[2] != RET))
		return false;
	nr = number_before(code - len, len);
	*opens |= is_open(nr);
	if (is_open(nr))
		return true;
	if (nr >= 0)
		return nr == SYS_ioctl || nr == SYS_write || nr == SYS_writev ||
		       nr == SYS_pwrite64 || nr == SYS_pwritev || nr == SYS_pwritev2;
	if (code[2] != 0xff && code[3] != 0xff) { /* nor a negative displacement */
		size_t near = len < LOOK_BACK_REGISTER ? len : LOOK_BACK_REGISTER;

		if (is_from_register(code - near, near))
			return true;
	}
	return after >= 2 + sizeof(compare[0]) &&
	       (memcmp(code + 2, compare[0], sizeof(compare[0])) == 0 ||
		memcmp(code + 2, compare[1], sizeof(compare[1])) == 0);
}

/* Programs of many megabytes are searched when they start: this takes a third of memmem(3)'s time.
 * Return: where the next instruction is at or behind @at; @len */
static size_t next_instruction(const unsigned char *code, size_t at, size_t len)
{
	for (; at + STEP < len; at += STEP) {
		bytes_t one, other;
		words_t both;

		memcpy(&one, code + at, STEP);
		memcpy(&other, code + at + 1, STEP);
		both = (words_t)((one == 0x0f) & (other == 0x05));
		if (both[0] | both[1])
			break;
	}
	for (; at + 1 < len; at++)
		if (code[at] == 0x0f && code[at + 1] == 0x05)
			return at;
	return len;
}

static bool has_call(const unsigned char *code, size_t len, bool *opens)
{
	bool found = false, some_open = false;

	for (size_t at = 0; (at = next_instruction(code, at, len)) < len && !some_open; at++)
		found |= is_call_on_device(code + at, at, len - at, &some_open);
	*opens |= some_open;
	return found;
}
#else
static bool has_call(const unsigned char *code, size_t len, bool *opens)
{
	return false;
}
#endif

static bool is_inside(const struct dl_phdr_info *info, const void *address)
{
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t at = (uintptr_t)info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && (uintptr_t)address >= at &&
		    (uintptr_t)address - at < p->p_memsz)
			return true;
	}
	return false;
}

/* The runtimes of sanitizers make calls for their own reports. What a program calls comes to our
 * wrappers before theirs. */
static bool is_exempt(const struct dl_phdr_info *info)
{
	static const char *const names[] = {"/libc.so.",    "/libasan.so.", "/libubsan.so.",
					    "/libtsan.so.", "/liblsan.so.", "/libclang_rt."};
	const char *name = strrchr(info->dlpi_name, '/');

	for (size_t i = 0; name && i < ARRAY_LEN(names); i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	return is_inside(info, &real_table) || is_inside(info, (void *)getauxval(AT_BASE)) ||
	       is_inside(info, (void *)getauxval(AT_SYSINFO_EHDR));
}

static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;

	if (s->generation == info->dlpi_adds + info->dlpi_subs) {
		s->is_known = true;
		return 1;
	}
	for (size_t i = 0; i < info->dlpi_phnum && !is_exempt(info); i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t at = (uintptr_t)info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD || (p->p_flags & (PF_X | PF_R)) != (PF_X | PF_R) ||
		    s->nr == RAW_NR_RANGES_MAX ||
		    !has_call((const void *)at, p->p_memsz, &s->opens))
			continue;
		s->ranges[s->nr++] = (struct raw_range){.first = at, .last = at + p->p_memsz - 1};
	}
	return 0;
}

static int get_generation(struct dl_phdr_info *info, size_t size, void *arg)
{
	*(unsigned long long *)arg = info->dlpi_adds + info->dlpi_subs;
	return 1;
}

int raw_scan(struct raw_range *ranges, bool *opens, unsigned long long *generation)
{
	struct search s = {.ranges = ranges, .generation = *generation};

	dl_iterate_phdr(get_generation, generation);
	dl_iterate_phdr(look_at, &s);
	if (s.is_known)
		return -1;
	*opens = s.opens;
	return (int)s.nr;
}
