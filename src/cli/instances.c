// SPDX-License-Identifier: BSD-3-Clause
#include "cli/instances.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/refuse.h"
#include "cli/cli.h"
#include "mgmt/socket.h"

#define REPLY_MAX   (4u << 20) /* bytes; 1024 devices with all features are 1 MiB */
#define DEADLINE_MS 30000
#define CONNECT_MS  5000

/* ---- finding ---- */

static void read_command(struct instance *one)
{
	char path[40], text[20];
	size_t len = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)one->pid);
	f = fopen(path, "re");
	if (f) {
		len = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	if (len && text[len - 1] == '\n')
		len--;
	if (len)
		log_escape(one->command, sizeof(one->command), text, len);
	else
		snprintf(one->command, sizeof(one->command), "?");
}

/* Somebody else may be connecting a lot: then it takes a few tries. */
static int connect_patiently(const char *path, pid_t *pid)
{
	int64_t deadline = clock_now_ms() + CONNECT_MS;
	struct pollfd none = {.fd = -1};
	int fd = mgmt_socket_connect(path, pid);

	while (fd == -EAGAIN && clock_now_ms() < deadline) {
		(void)poll(&none, 1, 1);
		fd = mgmt_socket_connect(path, pid);
	}
	return fd;
}

/* Is the one process there that is asked for? Then the others matter no more. */
static bool is_found(const struct instance_choice *choice, const struct instances *out)
{
	return choice->pid && out->nr > 0;
}

/* Return: 0, also if nobody is there any more; -errno */
static int try_one(const char *path, const struct instance_choice *choice, struct instances *out)
{
	struct instance *one = &out->list[out->nr];
	int fd = is_found(choice, out) ? mgmt_socket_connect(path, &one->pid)
				       : connect_patiently(path, &one->pid);

	/* ENOENT: a link to a socket that is gone. */
	if ((fd == -ECONNREFUSED || fd == -ENOENT) && !choice->control) {
		socket_name_remove_dead(path);
		return 0;
	}
	if (fd < 0)
		return fd;
	if (choice->pid && one->pid != choice->pid) {
		fd_close(&fd);
		return 0;
	}
	for (size_t i = 0; i < out->nr; i++)
		if (out->list[i].pid == one->pid) { /* in both folders */
			fd_close(&fd);
			return 0;
		}
	one->fd = fd;
	read_command(one);
	out->nr++;
	return 0;
}

static bool is_socket_name(const char *name)
{
	size_t len = strlen(name), suffix = strlen(MGMT_SOCKET_SUFFIX);

	return name[0] != '.' && len > suffix &&
	       strcmp(name + len - suffix, MGMT_SOCKET_SUFFIX) == 0;
}

static void search_folder(const char *folder, const struct instance_choice *choice,
			  struct instances *out)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(folder);
	int rc;

	while (dir && out->nr < INSTANCES_MAX && (entry = readdir(dir)) != NULL) {
		if (!is_socket_name(entry->d_name) || snprintf(path, sizeof(path), "%s/%s", folder,
							       entry->d_name) >= (int)sizeof(path))
			continue;
		rc = try_one(path, choice, out);
		if (rc < 0 && !is_found(choice, out))
			fprintf(stderr, "%s: warning: %s: %s\n", choice->who, refuse_reason(),
				strerror(-rc));
	}
	if (dir)
		closedir(dir);
}

/* By the name that its socket has, but in another pid namespace: other programs may hang. */
static void try_name(const char *folder, const struct instance_choice *choice,
		     struct instances *out)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%d%s", folder, (int)choice->pid, MGMT_SOCKET_SUFFIX) <
	    (int)sizeof(path))
		(void)try_one(path, choice, out);
}

static void search(const struct instance_choice *choice, struct instances *out,
		   void (*look)(const char *folder, const struct instance_choice *choice,
				struct instances *out))
{
	char folder[PATH_MAX];

	for (unsigned int i = 0; i < MGMT_SOCKET_NR_DIRS; i++)
		if (mgmt_socket_dir(i, folder) == 0 && mgmt_socket_check_dir(folder, false) == 0)
			look(folder, choice, out);
}

static int by_pid(const void *a, const void *b)
{
	const struct instance *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int nobody(const struct instance_choice *choice)
{
	if (choice->pid)
		fprintf(stderr,
			"%s: process %d has no devices: 'holdfast run' did not start it, or it has "
			"not opened one yet\n",
			choice->who, (int)choice->pid);
	else
		fprintf(stderr,
			"%s: no program runs with devices (they come into being when a program "
			"under 'holdfast run' first opens one)\n",
			choice->who);
	return CLI_EXIT_FAILED;
}

static int several(const struct instance_choice *choice, const struct instances *all)
{
	fprintf(stderr, "%s: %zu programs run with devices, choose one with --pid:", choice->who,
		all->nr);
	for (size_t i = 0; i < all->nr; i++)
		fprintf(stderr, "%s %d (%s)", i ? "," : "", (int)all->list[i].pid,
			all->list[i].command);
	fputc('\n', stderr);
	return CLI_EXIT_USAGE;
}

int instances_find(const struct instance_choice *choice, struct instances *out)
{
	int rc;

	out->nr = 0;
	if (choice->control) {
		rc = try_one(choice->control, choice, out);
		if (rc) {
			fprintf(stderr, "%s: %s: %s\n", choice->who, refuse_reason(),
				strerror(-rc));
			return CLI_EXIT_FAILED;
		}
	}
	if (choice->pid && !choice->control)
		search(choice, out, try_name);
	if (!choice->control)
		search(choice, out, search_folder);
	if (out->nr == 0)
		return nobody(choice);
	qsort(out->list, out->nr, sizeof(out->list[0]), by_pid);
	if (out->nr == 1 || !choice->change)
		return 0;
	rc = several(choice, out);
	instances_close(out);
	return rc;
}

void instances_close(struct instances *all)
{
	for (size_t i = 0; i < all->nr; i++)
		fd_close(&all->list[i].fd);
	all->nr = 0;
}

/* ---- asking ---- */

/* Return: 0 ready; -ETIMEDOUT */
static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t left;

	while ((left = deadline - clock_now_ms()) > 0) {
		int n = poll(&p, 1, (int)left);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	return -ETIMEDOUT;
}

static int send_line(int fd, const char *line, size_t len, int64_t deadline)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(fd, line + done, len - done, MSG_NOSIGNAL);
		int rc = n < 0 && errno == EAGAIN ? wait_for(fd, POLLOUT, deadline)
			 : n < 0                  ? -errno
						  : 0;

		if (rc)
			return rc;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* @text: [owned] the reply's line, terminated */
static int receive_line(int fd, int64_t deadline, char **text)
{
	size_t len = 0, room = 4096;
	char *buf = malloc(room);
	int rc = buf ? 0 : -ENOMEM;

	while (!rc) {
		ssize_t n = recv(fd, buf + len, room - len - 1, 0);

		if (n == 0)
			rc = -ECONNRESET;
		else if (n < 0)
			rc = errno == EAGAIN ? wait_for(fd, POLLIN, deadline) : -errno;
		if (n <= 0)
			continue;
		len += (size_t)n;
		buf[len] = '\0';
		if (buf[len - 1] == '\n')
			break;
		if (room - len > 1)
			continue;
		room *= 2;
		char *more = room > REPLY_MAX ? NULL : realloc(buf, room);

		if (!more)
			rc = -ENOMEM;
		else
			buf = more;
	}
	if (rc)
		free(buf);
	else
		*text = buf;
	return rc;
}

int reply_take(const char *who, json_t *reply, json_t **result, char *absent)
{
	const char *message = NULL, *warning = NULL;
	int err = 0;

	if (json_unpack(reply, "{s:{s:i, s:s}}", "error", "errno", &err, "message", &message) ==
	    0) {
		if (err == ENODEV && absent)
			snprintf(absent, INSTANCE_WORDS_LEN, "%s", message);
		else
			fprintf(stderr, "%s: %s: %s\n", who, message, strerror(err));
		json_decref(reply);
		return CLI_EXIT_FAILED;
	}
	if (json_unpack(reply, "{s:O, s?s}", "result", result, "warning", &warning) != 0) {
		fprintf(stderr, "%s: the answer is not one that is known here\n", who);
		json_decref(reply);
		return CLI_EXIT_FAILED;
	}
	if (warning)
		fprintf(stderr, "%s: warning: %s\n", who, warning);
	json_decref(reply);
	return 0;
}

static int exchange(int fd, const char *line, size_t len, char **text)
{
	int64_t deadline = clock_now_ms() + DEADLINE_MS;
	int rc = send_line(fd, line, len, deadline);

	return rc ? rc : receive_line(fd, deadline, text);
}

int instance_ask(const char *who, const struct instance *one, const json_t *request,
		 json_t **result, char *absent)
{
	char *line = json_dumps(request, JSON_COMPACT);
	char *text = NULL;
	json_t *reply = NULL;
	int rc = -ENOMEM;

	if (absent)
		absent[0] = '\0';
	if (line) {
		size_t len = strlen(line);

		line[len++] = '\n'; /* in the place of the terminator */
		rc = exchange(one->fd, line, len, &text);
	}
	free(line);
	if (!rc) {
		reply = json_loads(text, 0, NULL);
		free(text);
		return reply_take(who, reply, result, absent);
	}
	if (absent && (rc == -EPIPE || rc == -ECONNRESET))
		return 0;
	fprintf(stderr, "%s: process %d (%s) does not answer: %s\n", who, (int)one->pid,
		one->command, strerror(-rc));
	return CLI_EXIT_FAILED;
}
