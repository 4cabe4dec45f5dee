// SPDX-License-Identifier: BSD-3-Clause
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NR_FILES_MAX 1024

int world_make(struct world *w)
{
	char path[64];
	int fd;

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/hf-death-XXXXXX");
	if (!mkdtemp(w->dir))
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/run", w->dir);
	if (mkdir(path, 0700) < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/disk", w->dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, WORLD_DISK_LEN) < 0)
		return -errno;
	close(fd);
	return 0;
}

/* ---- files ---- */

/* The numbers of all files, for the look at the locks. */
struct files {
	uint64_t ino[NR_FILES_MAX];
	size_t nr;
};

static void walk(const char *dir, FILE *out, struct files *files, bool remove)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, alphasort);
	char path[512];
	struct stat st;

	for (int i = 0; i < n; i++) {
		bool self = strcmp(list[i]->d_name, ".") == 0 || strcmp(list[i]->d_name, "..") == 0;

		(void)snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		free(list[i]);
		if (self || lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			walk(path, out, files, remove);
		if (remove) {
			(void)(S_ISDIR(st.st_mode) ? rmdir(path) : unlink(path));
			continue;
		}
		fprintf(out, "file %s, mode %o, %lld bytes\n", path, (unsigned int)st.st_mode,
			S_ISREG(st.st_mode) ? (long long)st.st_size : 0);
		if (files->nr < NR_FILES_MAX)
			files->ino[files->nr++] = st.st_ino;
	}
	if (n >= 0)
		free(list);
}

void world_remove(const struct world *w)
{
	walk(w->dir, NULL, NULL, true);
	(void)rmdir(w->dir);
}

/* ---- what the kernel has ---- */

struct lock {
	int pid;
	unsigned int dev[2]; /* major and minor number */
	uint64_t ino;
};

/* Lines such as "1: OFDLCK ADVISORY WRITE -1 00:2a:1234 0 EOF". */
static bool next_lock(FILE *locks, struct lock *out)
{
	char line[256];

	while (locks && fgets(line, sizeof(line), locks))
		if (sscanf(line, "%*d: %*s %*s %*s %d %x:%x:%lu", &out->pid, &out->dev[0],
			   &out->dev[1], &out->ino) == 4)
			return true;
	return false;
}

/* The device of all files is that of a lock on their folder: some file systems tell stat(2) another
 * one. Return: was it seen? */
static bool find_device(FILE *locks, int dir, struct lock *out)
{
	struct stat st;
	bool seen = false;

	if (fstat(dir, &st) < 0 || flock(dir, LOCK_SH) < 0)
		return false;
	while (!seen && next_lock(locks, out))
		seen = out->pid == getpid() && out->ino == st.st_ino;
	return seen;
}

static void look_at_locks(FILE *out, const struct world *w, const struct files *files)
{
	int dir = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FILE *locks = fopen("/proc/locks", "re");
	struct lock lock, own;
	bool seen = find_device(locks, dir, &own);

	if (locks)
		rewind(locks);
	while (next_lock(locks, &lock)) {
		if (seen && memcmp(lock.dev, own.dev, sizeof(own.dev)) != 0)
			continue;
		for (size_t i = 0; i < files->nr; i++)
			if (files->ino[i] == lock.ino)
				fprintf(out, "a lock on the file of number %lu\n", lock.ino);
	}
	if (locks)
		fclose(locks);
	close(dir);
}

static void look_at_sockets(FILE *out, const struct world *w)
{
	FILE *sockets = fopen("/proc/net/unix", "re");
	char line[512];

	while (sockets && fgets(line, sizeof(line), sockets)) {
		const char *name = strstr(line, w->dir);

		if (name)
			fprintf(out, "a socket bound to %s", name);
	}
	if (sockets)
		fclose(sockets);
}

static void look_at_own(FILE *out)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	fprintf(out, "%u descriptors\n", nr);
}

char *world_look(const struct world *w)
{
	static struct files files;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	char path[512];

	if (!out)
		return NULL;
	files.nr = 0;
	walk(w->dir, out, &files, false);
	(void)snprintf(path, sizeof(path), "%s/run", w->dir);
	look_at_locks(out, w, &files);
	look_at_sockets(out, w);
	look_at_own(out);
	fclose(out);
	return text;
}

/* ---- clients ---- */

char **world_env(const struct world *w, const char *library, const char *devices)
{
	static const char form[] = "LD_PRELOAD=%s%cHOLDFAST_DEVICES=%s%cXDG_RUNTIME_DIR=%s/run%c"
				   "HOLDFAST_LOG_LEVEL=err";
	size_t len = sizeof(form) + strlen(library) + strlen(devices) + sizeof(w->dir);
	char **env = calloc(1, 5 * sizeof(*env) + len);
	char *text = env ? (char *)(env + 5) : NULL;

	if (!env)
		return NULL;
	(void)snprintf(text, len, form, library, 0, devices, 0, w->dir, 0);
	for (int i = 0; i < 4; i++, text += strlen(text) + 1)
		env[i] = text;
	return env;
}
