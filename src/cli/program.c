// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the file says, in the order of the questions: is it made for this processor and word size;
 * does executing it raise privileges, so that the loader ignores LD_PRELOAD, or a filter would take
 * the privileges away; has it a loader (PT_INTERP), and one of the kind that this program has. A
 * loader of the same name in another place is of the same kind: distributions differ in where they
 * keep it.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/refuse.h"
#include "cli/program.h"

#define SCRIPTS_MAX   4   /* a script's interpreter may be a script: the kernel's own limit */
#define SCRIPT_LINE   256 /* bytes of a script that the kernel looks at */
#define DEFAULT_PATH  "/bin:/usr/bin" /* execvp(3)'s, without PATH */
#define SELF          "/proc/self/exe"
#define CLASS_OF_OURS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

struct program {
	char path[PATH_MAX];
	bool is_elf;
	unsigned char elf_class;
	uint16_t machine;
	char loader[PATH_MAX]; /* "": it has none */
};

/* Return: was all of it there? */
static bool read_at(int fd, void *buf, size_t len, uint64_t off)
{
	return off <= INT64_MAX && pread(fd, buf, len, (off_t)off) == (ssize_t)len;
}

/* A damaged file is execve(2)'s to judge; it then counts as one without a loader's name. */
static void read_loader(int fd, const ElfW(Ehdr) * header, struct program *p)
{
	for (size_t i = 0; i < header->e_phnum; i++) {
		ElfW(Phdr) segment;

		if (!read_at(fd, &segment, sizeof(segment), header->e_phoff + i * sizeof(segment)))
			return;
		if (segment.p_type != PT_INTERP)
			continue;
		if (segment.p_filesz < sizeof(p->loader) &&
		    !read_at(fd, p->loader, segment.p_filesz, segment.p_offset))
			p->loader[0] = '\0';
		return;
	}
}

static void read_elf(int fd, struct program *p)
{
	ElfW(Ehdr) header;

	/* Up to e_machine both word sizes have the same layout. */
	if (!read_at(fd, &header, offsetof(ElfW(Ehdr), e_version), 0) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return;
	p->is_elf = true;
	p->elf_class = header.e_ident[EI_CLASS];
	p->machine = header.e_machine;
	if (p->elf_class == CLASS_OF_OURS && read_at(fd, &header, sizeof(header), 0))
		read_loader(fd, &header, p);
}

/* Return: the interpreter's path in @line, which is changed; NULL: it is no script */
static char *interpreter(char *line)
{
	char *path = line + 2;

	if (strncmp(line, "#!", 2) != 0)
		return NULL;
	path += strspn(path, " \t");
	path[strcspn(path, " \t\n")] = '\0';
	return *path ? path : NULL;
}

/* Follows scripts. Return: false: there is nothing that can be looked at */
static bool look(struct program *p)
{
	for (int depth = 0; depth <= SCRIPTS_MAX; depth++) {
		char line[SCRIPT_LINE + 1] = "";
		char *next;
		int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

		if (fd < 0)
			return false;
		read_elf(fd, p);
		if (pread(fd, line, SCRIPT_LINE, 0) < 0)
			line[0] = '\0';
		close(fd);
		next = p->is_elf ? NULL : interpreter(line);
		if (!next)
			return p->is_elf;
		(void)snprintf(p->path, sizeof(p->path), "%s", next);
	}
	return false;
}

/* As execvp(3) looks. Return: false: not found */
static bool find(const char *command, struct program *p)
{
	const char *dirs = getenv("PATH") ? getenv("PATH") : DEFAULT_PATH;

	if (strchr(command, '/'))
		return snprintf(p->path, sizeof(p->path), "%s", command) < PATH_MAX;
	for (const char *dir = dirs;; dir++) {
		int len = (int)strcspn(dir, ":");
		int need = snprintf(p->path, sizeof(p->path), "%.*s%s%s", len, dir, len ? "/" : "",
				    command);

		if (need < PATH_MAX && access(p->path, X_OK) == 0)
			return true;
		dir += len;
		if (!*dir)
			return false;
	}
}

/* Does executing it change who the process is? Then the loader runs in secure mode. */
static const char *privilege(const struct program *p)
{
	struct statvfs fs;
	struct stat st;

	if (stat(p->path, &st) || statvfs(p->path, &fs) || (fs.f_flag & ST_NOSUID) ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return NULL;
	if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
		return "is setuid";
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getgid())
		return "is setgid";
	if (getuid() != 0 && getxattr(p->path, "security.capability", NULL, 0) > 0)
		return "has file capabilities";
	return NULL;
}

/* What no way leads into. */
static int check_common(const struct program *p, const struct program *self)
{
	const char *raises = privilege(p);

	if (p->elf_class != self->elf_class)
		return refuse(-ENOEXEC, "'%s' is a %u-bit program, the library has %u bits",
			      p->path, p->elf_class == ELFCLASS64 ? 64 : 32,
			      self->elf_class == ELFCLASS64 ? 64 : 32);
	if (p->machine != self->machine)
		return refuse(-ENOEXEC, "'%s' is made for another processor (ELF machine %u)",
			      p->path, p->machine);
	if (raises)
		return refuse(
			-ENOEXEC,
			"'%s' %s, so neither LD_PRELOAD nor a system call filter of its user's "
			"counts",
			p->path, raises);
	return 0;
}

int program_check(const char *command, enum program_way *way)
{
	struct program p = {.path = ""}, self = {.path = SELF};
	int rc;

	*way = PROGRAM_PRELOAD;
	if (!find(command, &p) || !look(&p) || !look(&self))
		return 0;
	rc = check_common(&p, &self);
	if (rc)
		return rc;
	/* The loader itself has none, and preloads into the program that it is given. */
	if (!p.loader[0] && strcmp(basename(p.path), basename(self.loader)) == 0)
		return 0;
	*way = PROGRAM_AGENT;
	if (!p.loader[0])
		(void)refuse(-ENOEXEC, "'%s' is linked statically", p.path);
	else if (strcmp(basename(p.loader), basename(self.loader)) != 0)
		(void)refuse(-ENOEXEC, "'%s' is linked with another libc (its loader is %s)",
			     p.path, p.loader);
	else
		*way = PROGRAM_PRELOAD;
	return 0;
}

/* As shells do: no text has a NUL in its first line. Return: also false if it cannot be read */
static bool is_text(const char *path)
{
	char line[SCRIPT_LINE];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t len = fd < 0 ? -1 : pread(fd, line, sizeof(line), 0);
	const char *end;

	if (fd >= 0)
		close(fd);
	if (len < 0)
		return false;
	end = memchr(line, '\n', (size_t)len);
	return !memchr(line, '\0', end ? (size_t)(end - line) : (size_t)len);
}

void program_exec(char *const *argv)
{
	struct program p = {.path = ""};

	if (find(argv[0], &p) && access(p.path, X_OK) == 0 && !is_text(p.path))
		execv(p.path, argv);
	else
		execvp(argv[0], argv);
}
