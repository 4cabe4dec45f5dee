// SPDX-License-Identifier: BSD-3-Clause
/* The agent's file: where its segments go, and how its stack begins. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/refuse.h"
#include "frontends/agent/supervisor.h"

#define NR_AUX_MAX 64u

extern char **environ;

static bool read_at(int fd, void *buf, size_t len, uint64_t off)
{
	return pread(fd, buf, len, (off_t)off) == (ssize_t)len;
}

static bool is_ours(const ElfW(Ehdr) * header)
{
	return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_type == ET_DYN &&
	       header->e_phentsize == sizeof(ElfW(Phdr));
}

static bool read_segments(struct image *image, const ElfW(Ehdr) * header)
{
	for (size_t i = 0; i < header->e_phnum; i++) {
		ElfW(Phdr) *segment = &image->segments[image->nr_segments];

		if (image->nr_segments == IMAGE_NR_SEGMENTS_MAX ||
		    !read_at(image->fd, segment, sizeof(*segment),
			     header->e_phoff + i * sizeof(*segment)))
			return false;
		if (segment->p_type == PT_LOAD) {
			if (segment->p_vaddr + segment->p_memsz > AGENT_STACK - AGENT_BASE)
				return false;
			image->nr_segments++;
		}
	}
	return image->nr_segments > 0;
}

int image_open(struct image *image, const char *path)
{
	ElfW(Ehdr) header;
	int err;

	*image = (struct image){.fd = open(path, O_RDONLY | O_CLOEXEC)};
	if (image->fd < 0) {
		err = -errno;
		return refuse(err, "cannot open %s: %s", path, strerror(-err));
	}
	if (!read_at(image->fd, &header, sizeof(header), 0) || !is_ours(&header) ||
	    !read_segments(image, &header)) {
		close(image->fd);
		return refuse(-ENOEXEC, "%s is not the agent of this program", path);
	}
	image->entry = AGENT_BASE + header.e_entry;
	image->phdr = header.e_phoff;
	image->nr_phdr = header.e_phnum;
	return 0;
}

/* ---- stack ---- */

/* Bytes that grow downwards from the top. */
struct stack {
	char *bytes;
	size_t room, used;
	uint64_t top;
};

static uint64_t push(struct stack *s, const void *bytes, size_t len)
{
	if (s->room - s->used < len)
		return 0;
	s->used += len;
	memcpy(s->bytes + s->room - s->used, bytes, len);
	return s->top - s->used;
}

static size_t read_auxv(pid_t tid, ElfW(auxv_t) * aux)
{
	char path[32];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", proc_number(tid));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? 0 : read(fd, aux, NR_AUX_MAX * sizeof(*aux));
	if (fd >= 0)
		close(fd);
	return len < 0 ? 0 : (size_t)len / sizeof(*aux);
}

/* The client's vector tells of processor and kernel; the rest of it is about the client's own
 * program. Return: how many, the terminating one included */
static size_t make_auxv(const struct image *image, pid_t tid, uint64_t random, uint64_t name,
			ElfW(auxv_t) * out)
{
	static const uint64_t kept[] = {AT_SYSINFO_EHDR, AT_HWCAP, AT_HWCAP2, AT_PAGESZ, AT_CLKTCK,
					AT_MINSIGSTKSZ,  AT_UID,   AT_EUID,   AT_GID,    AT_EGID};
	const ElfW(auxv_t) own[] = {{AT_PHDR, {AGENT_BASE + image->phdr}},
				    {AT_PHENT, {sizeof(ElfW(Phdr))}},
				    {AT_PHNUM, {image->nr_phdr}},
				    {AT_BASE, {0}},
				    {AT_ENTRY, {image->entry}},
				    {AT_SECURE, {0}},
				    {AT_RANDOM, {random}},
				    {AT_EXECFN, {name}},
				    {AT_NULL, {0}}};
	ElfW(auxv_t) theirs[NR_AUX_MAX];
	size_t nr = read_auxv(tid, theirs), made = 0;

	for (size_t i = 0; i < nr; i++)
		for (size_t j = 0; j < ARRAY_LEN(kept); j++)
			if (theirs[i].a_type == kept[j])
				out[made++] = theirs[i];
	memcpy(out + made, own, sizeof(own));
	return made + ARRAY_LEN(own);
}

/* Strings first, at the top; then the pointers to them. */
static bool fill(struct stack *s, const struct image *image, pid_t tid, uint64_t *words)
{
	unsigned char random[16] = {0};
	ElfW(auxv_t) aux[NR_AUX_MAX + 16];
	uint64_t name, at_random;
	size_t nr = 0, nr_aux;

	(void)!getrandom(random, sizeof(random), GRND_NONBLOCK);
	name = push(s, AGENT_NAME, sizeof(AGENT_NAME));
	at_random = push(s, random, sizeof(random));
	words[nr++] = 1;
	words[nr++] = name;
	words[nr++] = 0;
	for (char **e = environ; *e; e++)
		if (!(words[nr++] = push(s, *e, strlen(*e) + 1)))
			return false;
	words[nr++] = 0;
	nr_aux = make_auxv(image, tid, at_random, name, aux);
	s->used = (s->used + 15) & ~(size_t)15;
	if ((nr * 8 + nr_aux * sizeof(aux[0])) % 16)
		s->used += 8; /* the stack pointer has to be a multiple of 16 */
	return s->used < s->room && push(s, aux, nr_aux * sizeof(aux[0])) &&
	       push(s, words, nr * sizeof(*words));
}

void *image_stack(const struct image *image, pid_t tid, uint64_t top, uint64_t *sp)
{
	struct stack s = {.room = AGENT_STACK_LEN / 2, .top = top};
	size_t nr = 8;
	uint64_t *words;
	void *made = NULL;

	for (char **e = environ; *e; e++)
		nr++;
	words = calloc(nr, sizeof(*words));
	s.bytes = malloc(s.room);
	if (words && s.bytes && fill(&s, image, tid, words) && (made = malloc(s.used))) {
		memcpy(made, s.bytes + s.room - s.used, s.used);
		*sp = top - s.used;
	}
	free(words);
	free(s.bytes);
	return made;
}
