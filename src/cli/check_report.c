// SPDX-License-Identifier: BSD-3-Clause
#include "cli/check_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/cli.h"

static const char *const section_names[CHECK_SECTIONS] = {
	[1] = "character device and ioctls",
	[2] = "IOTLB protocol",
	[3] = "address spaces and groups",
	[4] = "open, release, reset",
	[5] = "backend features",
	[6] = "suspend, resume, kicks",
	[7] = "network and block devices",
};

static void xml_escape(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else
			fputc((unsigned char)*s < 32 ? ' ' : *s, f);
	}
}

void check_report_junit(FILE *f, const struct check *c, const struct check_result *res)
{
	int section = atoi(c->clause);

	fprintf(f, "  <testcase classname=\"%d\" name=\"%s\" time=\"%u.%03u\">", section, c->name,
		res->ms / 1000, res->ms % 1000);
	if (res->outcome == CHECK_SKIPPED || res->outcome != CHECK_OK) {
		fprintf(f, "<%s message=\"", res->outcome == CHECK_SKIPPED ? "skipped" : "failure");
		xml_escape(f, res->text);
		fputs("\"/>", f);
	}
	fputs("</testcase>\n", f);
}

void check_report_tap(unsigned nr, const char *node, const struct check *c,
		      const struct check_result *res)
{
	if (res->outcome == CHECK_OK)
		printf("ok %u - %s%s # [%s]\n", nr, node, c->name, c->clause);
	else if (res->outcome == CHECK_SKIPPED)
		printf("ok %u - %s%s # SKIP %s\n", nr, node, c->name, res->text);
	else
		printf("not ok %u - %s%s # [%s]\n# %s\n", nr, node, c->name, c->clause, res->text);
	fflush(stdout);
}

void check_report_count(struct check_tally *tally, const struct check *c,
			const struct check_result *res)
{
	int section = atoi(c->clause);
	struct check_tally *at = &tally[section < CHECK_SECTIONS ? section : 0];

	if (res->outcome == CHECK_OK)
		at->ok++;
	else if (res->outcome == CHECK_SKIPPED)
		at->skipped++;
	else
		at->failed++;
}

static const char *mapping_word(const struct check_device *dev)
{
	return dev->set_map ? "set_map" : dev->platform ? "platform" : "dma_map";
}

unsigned check_report_summary(const struct check_device *dev, const struct check_tally *tally)
{
	struct check_tally all = {0};

	printf("#\n# %s: %s mode, %s, %s, compat_reset %s, features %#llx, backend %#llx\n",
	       dev->path, profile_name(dev->profile), mapping_word(dev),
	       dev->pinned ? "pinned" : "va", dev->compat_reset ? "on" : "off",
	       (unsigned long long)dev->features, (unsigned long long)dev->backend);
	printf("# %-34s %6s %6s %6s\n", "section", "ok", "failed", "skip");
	for (unsigned i = 0; i < CHECK_SECTIONS; i++) {
		if (tally[i].ok + tally[i].failed + tally[i].skipped)
			printf("# %2u %-31s %6u %6u %6u\n", i,
			       section_names[i] ? section_names[i] : "", tally[i].ok,
			       tally[i].failed, tally[i].skipped);
		all.ok += tally[i].ok;
		all.failed += tally[i].failed;
		all.skipped += tally[i].skipped;
	}
	printf("# %-34s %6u %6u %6u\n", "all", all.ok, all.failed, all.skipped);
	return all.failed;
}

static void junit_failed(const char *path, int err)
{
	fprintf(stderr, "holdfast check: cannot write %s: %s\n", path, strerror(err));
}

int check_junit_open(const char *path, FILE **file)
{
	int fd = cli_open_output(path, 0666);

	*file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!*file) {
		junit_failed(path, fd < 0 ? -fd : errno);
		fd_close(&fd);
		return -EIO;
	}
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"vhost-vdpa\">\n",
	      *file);
	return 0;
}

int check_junit_close(const char *path, FILE *file)
{
	int failed;

	fputs("</testsuite>\n", file);
	failed = ferror(file);
	if (!fclose(file) && !failed)
		return 0;
	junit_failed(path, failed ? EIO : errno);
	return -EIO;
}
