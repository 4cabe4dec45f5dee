/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfast check --random and --replay: many programs, each in turn, in a child that may die.
 *
 * What comes out depends on the seeds and on the device's behaviour alone: one line a sequence with
 * the hash of its transcript, or the transcripts, then counts. Two devices that behave alike give
 * the same output. A child that dies or stays away costs the sequence that it was at; the next
 * child goes on behind it.
 */
#include "check/random.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_S = 60, EXIT_SETUP = 3 };

/* What both processes see. */
struct shared {
	struct random_stats stats;
	struct random_progress progress;
	unsigned long lost;
};

/* Where programs come from: seeds, or a file. */
struct source {
	uint64_t seed;
	uint64_t nr;
	struct random_program *recorded; /* or NULL */
	bool transcript;
};

static struct shared *shared;

static uint64_t hash_of(const char *text, size_t len)
{
	uint64_t hash = 14695981039346656037ULL;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)text[i]) * 1099511628211ULL;
	return hash;
}

static const struct random_program *program_of(const struct source *src, uint64_t i,
					       struct random_program *room)
{
	if (src->recorded)
		return &src->recorded[i];
	random_generate(src->seed + i, room);
	return room;
}

static int run_one(const struct source *src, uint64_t i)
{
	struct random_program room;
	const struct random_program *program = program_of(src, i, &room);
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return -ENOMEM;
	random_run(program, to, &shared->stats, &shared->progress);
	fclose(to);
	printf("seq %" PRIu64 " %016" PRIx64 " %u\n", src->seed + i, hash_of(text, len),
	       program->nr);
	if (src->transcript)
		fputs(text, stdout);
	free(text);
	return 0;
}

static _Noreturn void child(const struct check_device *dev, const struct source *src, uint64_t at)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (random_run_init(dev))
		_exit(EXIT_SETUP);
	shared->progress.beats++;
	for (; at < src->nr; at++) {
		shared->progress.seed = at;
		if (run_one(src, at))
			break;
	}
	random_run_fini();
	shared->progress.seed = at;
	fflush(NULL);
	_exit(0);
}

/* Waits for @pid, and ends it when it does no step for PATIENCE_S. Return: its wait status. */
static int wait_for(int pid)
{
	struct pollfd pfd = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	unsigned long beats = 0;
	unsigned still = 0;
	int status = 0;

	while (poll(&pfd, 1, 1000) == 0) {
		unsigned long now = __atomic_load_n(&shared->progress.beats, __ATOMIC_RELAXED);

		still = now == beats ? still + 1 : 0;
		beats = now;
		if (still == PATIENCE_S)
			kill(pid, SIGKILL);
	}
	close(pfd.fd);
	waitpid(pid, &status, 0);
	return status;
}

static void tell_lost(const struct source *src, int status)
{
	struct random_program room;
	uint64_t at = shared->progress.seed;
	const struct random_program *program = program_of(src, at, &room);
	unsigned step = shared->progress.step;
	char line[RANDOM_LINE] = "(none)";

	if (step < program->nr)
		random_print(&program->step[step], line);
	printf("seq %" PRIu64 " lost: the client ended with wait status %#x in step %u, %s\n",
	       src->seed + at, (unsigned)status, step + 1, line);
	shared->lost++;
}

static int run_all(const struct check_device *dev, const struct source *src)
{
	uint64_t at = 0;

	while (at < src->nr) {
		int status, pid;

		fflush(NULL);
		pid = fork();
		if (pid == 0)
			child(dev, src, at);
		if (pid < 0)
			return -errno;
		status = wait_for(pid);
		if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SETUP)
			return -EIO;
		if (status)
			tell_lost(src, status);
		at = shared->progress.seed + 1;
	}
	return 0;
}

/* ---- counts ---- */

static void print_stats(const struct random_stats *s)
{
	unsigned long ok = 0, refused = 0, skipped = 0;

	for (unsigned i = 0; i < OP_NR; i++) {
		if (s->ok[i] + s->refused[i] + s->skipped[i])
			printf("# step %-14s %8lu ok %8lu refused %8lu skipped\n",
			       random_ops[i].name, s->ok[i], s->refused[i], s->skipped[i]);
		ok += s->ok[i];
		refused += s->refused[i];
		skipped += s->skipped[i];
	}
	for (unsigned i = 0; i < REACH_NR; i++)
		printf("# state %-20s %8lu of %lu sequences\n", random_state_names[i],
		       s->reached[i], s->sequences);
	printf("# %lu sequences, %lu lost, %lu steps: %lu ok, %lu refused, %lu skipped\n",
	       s->sequences, shared->lost, s->steps, ok, refused, skipped);
}

/* ---- arguments ---- */

static int parse_seed(const char *text, struct source *src)
{
	char *end;

	errno = 0;
	src->seed = strtoull(text, &end, 0);
	src->nr = 1;
	src->transcript |= *end != ':';
	if (!errno && end != text && *end == ':') {
		text = end + 1;
		src->nr = strtoull(text, &end, 0);
	}
	if (!errno && end != text && !*end && src->nr && text[0] != '-')
		return 0;
	fprintf(stderr, "holdfast check: '%s' is no seed: give SEED or SEED:COUNT\n", text);
	return -EINVAL;
}

/* One more step, or at a line "seq ..." one more program. */
static int add_line(struct source *src, const char *line, char *why)
{
	struct random_program *p = src->nr ? &src->recorded[src->nr - 1] : NULL;

	if (!strncmp(line, "seq ", 4) || !p) {
		p = reallocarray(src->recorded, src->nr + 1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		src->recorded = p;
		p[src->nr++].nr = 0;
		if (!strncmp(line, "seq ", 4))
			return 0;
		p = &src->recorded[src->nr - 1];
	}
	if (p->nr == RANDOM_MAX_STEPS) {
		snprintf(why, RANDOM_LINE, "more than %d steps", RANDOM_MAX_STEPS);
		return -E2BIG;
	}
	return random_parse(line, &p->step[p->nr++], why);
}

static int read_programs(const char *path, struct source *src)
{
	FILE *file = fopen(path, "re");
	char line[4096], why[RANDOM_LINE] = "no memory";
	unsigned nr = 0;
	int rc = 0;

	if (!file) {
		fprintf(stderr, "holdfast check: cannot read %s: %s\n", path, strerror(errno));
		return -EINVAL;
	}
	while (!rc && fgets(line, sizeof(line), file)) {
		nr++;
		if (line[strspn(line, " \t\r\n")] && line[0] != '#')
			rc = add_line(src, line, why);
	}
	fclose(file);
	if (rc)
		fprintf(stderr, "holdfast check: %s:%u: %s\n", path, nr, why);
	else if (!src->nr)
		fprintf(stderr, "holdfast check: %s has no steps\n", path);
	src->transcript = true;
	return rc || !src->nr ? -EINVAL : 0;
}

int random_check(const struct check_device *dev, const struct random_options *opts)
{
	struct source src = {.transcript = opts->transcript};
	int rc = opts->replay ? read_programs(opts->replay, &src) : parse_seed(opts->random, &src);

	if (rc)
		return 2;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED) {
		fprintf(stderr, "holdfast check: no memory: %s\n", strerror(errno));
		return 2;
	}
	rc = run_all(dev, &src);
	free(src.recorded);
	if (rc)
		return 2;
	print_stats(&shared->stats);
	return shared->lost ? 1 : 0;
}
