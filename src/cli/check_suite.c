// SPDX-License-Identifier: BSD-3-Clause
#include "cli/check_suite.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "cli/check_report.h"

/* So many checks in a row without an end: the device hangs, and will not do better. */
enum { HANGS_MAX = 3 };

/* Memory that a check's child fills. */
struct shared {
	struct check_result res;
	struct check_device dev;
};

static struct shared *shared;
static struct check_device *probe_target;

static bool selected(const struct check_options *opts, const struct check *c)
{
	return !opts->match || !fnmatch(opts->match, c->name, 0);
}

/* A check that not all profiles show says which do. */
static void list_one(const struct check *c)
{
	char profiles[100];

	check_shown_by(c->needs, profiles, sizeof(profiles));
	printf("%s [%s]%s%s\n", c->name, c->clause, profiles[0] ? " " : "", profiles);
}

void check_suite_list(const struct check_options *opts)
{
	for (size_t s = 0; s < check_nr_sets; s++)
		for (size_t i = 0; i < check_sets[s]->nr; i++) {
			const struct check *c = &check_sets[s]->rows[i];

			if (selected(opts, c))
				list_one(c);
		}
}

static void probe_static(struct check_ctx *t)
{
	check_probe(t, probe_target);
}

static void restore(struct check_ctx *t)
{
	check_restore(t);
}

static void probe_latency(struct check_ctx *t)
{
	check_probe_latency(t, probe_target);
}

static void probe_behaviour(struct check_ctx *t)
{
	check_probe_behaviour(t, probe_target);
}

/* Runs a check; one that could not speak for itself gets its text here. */
static int run_check(const struct check_device *dev, const struct check *c)
{
	struct check_result *res = &shared->res;
	int rc = check_run(dev, c, res);

	if (res->outcome == CHECK_DIED)
		snprintf(res->text, sizeof(res->text), "ended with wait status %#x",
			 (unsigned)res->status);
	if (res->outcome == CHECK_TIMED_OUT)
		snprintf(res->text, sizeof(res->text), "no end after %u ms", res->ms);
	return rc;
}

static int run_probe(struct check_device *dev, void (*fn)(struct check_ctx *t), long which)
{
	const struct check probe = {.name = "probe", .clause = "1-1", .fn = fn, .a = which};

	shared->dev = *dev;
	probe_target = &shared->dev;
	if (run_check(dev, &probe) || shared->res.outcome != CHECK_OK) {
		fprintf(stderr, "holdfast check: cannot probe %s: %s\n", dev->path,
			shared->res.text);
		return -EIO;
	}
	*dev = shared->dev;
	return 0;
}

static int probe(struct check_device *dev, const struct check_options *opts)
{
	int rc = run_probe(dev, probe_static, 0);
	long which;

	if (rc)
		return rc;
	if (dev->device_id != VIRTIO_ID_NET && dev->device_id != VIRTIO_ID_BLOCK) {
		fprintf(stderr,
			"holdfast check: %s is device type %u; give a network device (1) or a "
			"block device (2)\n",
			dev->path, dev->device_id);
		return -ENOTSUP;
	}
	dev->pinned = opts->memory > 0;
	dev->set_map = opts->mapping == 1;
	dev->platform = opts->mapping == 2;
	dev->compat_reset = opts->compat > 0;
	rc = run_probe(dev, probe_latency, 0);
	if (!rc && opts->memory < 0)
		rc = run_probe(dev, probe_behaviour, 1);
	which = (opts->mapping < 0 ? 2 : 0) | (opts->compat < 0 ? 4 : 0);
	if (!rc && which)
		rc = run_probe(dev, probe_behaviour, which);
	return rc;
}

static unsigned count_selected(const struct check_options *opts)
{
	unsigned nr = 0;

	for (size_t s = 0; s < check_nr_sets; s++)
		for (size_t i = 0; i < check_sets[s]->nr; i++)
			nr += selected(opts, &check_sets[s]->rows[i]);
	return nr;
}

static int run_row(const struct check_device *dev, const struct check *c, uint64_t needs)
{
	const char *missing = check_missing(dev, c->needs | needs);

	if (!missing)
		return run_check(dev, c);
	shared->res = (struct check_result){.outcome = CHECK_SKIPPED};
	snprintf(shared->res.text, sizeof(shared->res.text), "%s", missing);
	return 0;
}

/* The suite on its way over all nodes. */
struct progress {
	unsigned nr;    /* checks done */
	unsigned hangs; /* in a row */
	FILE *junit;
	bool several; /* nodes */
};

/* Runs and reports one check. Return: why the suite cannot go on, or NULL. */
static const char *run_and_report(const struct check_device *dev, const struct check *c,
				  uint64_t needs, struct check_tally *tally, struct progress *at)
{
	char node[64] = "";
	int rc = run_row(dev, c, needs);

	if (rc == -EINTR)
		return "interrupted";
	if (at->several)
		snprintf(node, sizeof(node), "%.60s:", basename(dev->path));
	check_report_tap(++at->nr, node, c, &shared->res);
	check_report_count(tally, c, &shared->res);
	if (at->junit)
		check_report_junit(at->junit, c, &shared->res);
	at->hangs = shared->res.outcome == CHECK_TIMED_OUT ? at->hangs + 1 : 0;
	if (rc)
		return "the device holds its client";
	return at->hangs >= HANGS_MAX ? "the device hangs" : NULL;
}

/* Whatever became of the checks, the device gets back what they changed and a close does not. */
static int give_back(const struct check_device *dev)
{
	const struct check last = {.name = "restore", .clause = "4-4", .fn = restore};

	if (run_check(dev, &last) != -EBUSY && shared->res.outcome == CHECK_OK)
		return 0;
	fprintf(stderr, "holdfast check: cannot give %s its address back: %s\n", dev->path,
		shared->res.text);
	return 2;
}

static int run_node(const struct check_device *dev, const struct check_options *opts,
		    struct progress *at)
{
	struct check_tally tally[CHECK_SECTIONS] = {0};
	const char *stop = NULL;
	int status;

	for (size_t s = 0; s < check_nr_sets && !stop; s++)
		for (size_t i = 0; i < check_sets[s]->nr && !stop; i++) {
			const struct check *c = &check_sets[s]->rows[i];

			if (!selected(opts, c))
				continue;
			stop = run_and_report(dev, c, check_sets[s]->needs, tally, at);
			if (stop)
				printf("Bail out! %s: %s: %s\n", dev->path, c->name, stop);
		}
	status = give_back(dev);
	if (stop || status)
		return 2;
	return check_report_summary(dev, tally) ? 1 : 0;
}

static int run_all(const struct check_device *devs, size_t nr, const struct check_options *opts,
		   FILE *junit)
{
	struct progress at = {.junit = junit, .several = nr > 1};
	int status = 0;

	printf("TAP version 13\n1..%u\n", (unsigned)nr * count_selected(opts));
	for (size_t i = 0; i < nr && status < 2; i++) {
		int rc = run_node(&devs[i], opts, &at);

		status = rc > status ? rc : status;
	}
	return status;
}

static int report_nodes(struct check_device *devs, size_t nr, const struct check_options *opts,
			FILE *junit)
{
	for (size_t i = 0; i < nr; i++)
		if (probe(&devs[i], opts))
			return 2;
	return run_all(devs, nr, opts, junit);
}

int check_suite_run(struct check_device *devs, size_t nr, const struct check_options *opts)
{
	FILE *junit = NULL;
	int status;

	if (opts->junit && check_junit_open(opts->junit, &junit))
		return 2;
	status = report_nodes(devs, nr, opts, junit);
	if (junit && check_junit_close(opts->junit, junit))
		status = 2;
	return status;
}

int check_suite_random(struct check_device *dev, const struct check_options *opts)
{
	return probe(dev, opts) ? 2 : random_check(dev, &opts->random);
}

int check_suite_init(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared != MAP_FAILED)
		return 0;
	fprintf(stderr, "holdfast check: no memory: %s\n", strerror(errno));
	return -ENOMEM;
}
