// SPDX-License-Identifier: BSD-3-Clause
/*
 * Preparing an environment in which a program finds its devices: LD_PRELOAD, HOLDFAST_DEVICES,
 * HOLDFAST_LOG. The library is the one beside the executable (a build folder), or else the
 * installed one.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/refuse.h"
#include "cli/cli.h"
#include "cli/devices.h"
#include "cli/parents.h"
#include "mgmt/socket.h"
#include "parents/module/module.h"

#define LIBRARY       "libholdfast-preload.so"
#define AGENT         "holdfast-agent"
#define AGENT_FOLDER  "/holdfast"         /* below the folder of libraries */
#define MODULE_FOLDER "/holdfast/parents" /* below the folder of libraries */
#define REEXEC_ENV    "HOLDFAST_REEXEC"   /* process id that has executed itself again */

static char **main_args;

void cli_set_main_args(char **argv)
{
	main_args = argv;
}

/* ---- library ---- */

/* The folder of this program, without a slash at the end; "" if it cannot be told. */
static void executable_folder(char *path, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", path, len - 1);
	char *slash;

	path[n < 0 ? 0 : n] = '\0';
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
}

/* The folder of installed libraries, also where the whole installation was moved below another
 * folder (DESTDIR). */
static int installed_folder(char *path, size_t len)
{
	char folder[PATH_MAX];
	size_t bin = strlen(HOLDFAST_BINDIR), n;

	executable_folder(folder, sizeof(folder));
	n = strlen(folder);
	if (n < bin || strcmp(folder + n - bin, HOLDFAST_BINDIR) != 0)
		n = bin; /* not installed: as configured */
	n = (size_t)snprintf(path, len, "%.*s%s", (int)(n - bin), folder, HOLDFAST_LIBDIR);
	return n < len ? 0 : -ENAMETOOLONG;
}

static bool file_in(const char *folder, const char *name, char *path, size_t len)
{
	return (size_t)snprintf(path, len, "%s/%s", folder, name) < len && access(path, R_OK) == 0;
}

static int find_library(const char *who, char *path, size_t len)
{
	char folder[PATH_MAX];

	executable_folder(folder, sizeof(folder));
	if (!file_in(folder, LIBRARY, path, len) &&
	    (installed_folder(folder, sizeof(folder)) || !file_in(folder, LIBRARY, path, len))) {
		fprintf(stderr,
			"%s: %s is neither beside this program nor in %s: build or install it\n",
			who, LIBRARY, folder);
		return CLI_EXIT_FAILED;
	}
	if (strpbrk(path, ": \t\n")) {
		fprintf(stderr,
			"%s: the path '%s' has a blank or a colon, which LD_PRELOAD cannot "
			"name: move it\n",
			who, path);
		return CLI_EXIT_FAILED;
	}
	return 0;
}

int cli_find_agent(char path[PATH_MAX])
{
	char folder[PATH_MAX - sizeof(AGENT_FOLDER)], installed[PATH_MAX];

	executable_folder(folder, sizeof(folder));
	if (file_in(folder, AGENT, path, PATH_MAX))
		return 0;
	if (installed_folder(folder, sizeof(folder)))
		return refuse(-ENOENT, "the path of the libraries is too long");
	snprintf(installed, sizeof(installed), "%s" AGENT_FOLDER, folder);
	return file_in(installed, AGENT, path, PATH_MAX)
		       ? 0
		       : refuse(-ENOENT,
				"%s is neither beside this program nor in %s: it is built on "
				"x86-64, "
				"without sanitizers",
				AGENT, installed);
}

/* ---- environment ---- */

static int no_memory(const char *who)
{
	fprintf(stderr, "%s: no memory\n", who);
	return CLI_EXIT_FAILED;
}

/* First in LD_PRELOAD, once; what was there stays. */
static int set_preload(const char *who, const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char *value = NULL;
	int rc;

	if (!before || !*before)
		return setenv("LD_PRELOAD", library, 1) ? no_memory(who) : 0;
	if (strncmp(before, library, strlen(library)) == 0 && strchr(": ", before[strlen(library)]))
		return 0;
	if (asprintf(&value, "%s:%s", library, before) < 0)
		return no_memory(who);
	rc = setenv("LD_PRELOAD", value, 1);
	free(value);
	return rc ? no_memory(who) : 0;
}

int cli_open_output(const char *path, mode_t mode)
{
	struct device_specs specs = {.nr = 0};
	bool is_disk;

	if (device_specs_from_env(&specs))
		return -ENOMEM;
	is_disk = devices_use_file(&specs, path);
	device_specs_fini(&specs);
	return is_disk ? -EBUSY : fd_open_output(path, mode);
}

static int set_devices(const char *who, const struct device_specs *specs)
{
	char *joined = device_specs_join(specs);
	int rc = joined ? setenv(DEVICES_ENV, joined, 1) : -1;

	free(joined);
	return rc ? no_memory(who) : 0;
}

/* Starts the file afresh and names it in full: the program may change its folder. */
static int set_log(const char *who, const char *log, const struct device_specs *specs)
{
	char *full = NULL;
	int rc = 0;
	int fd;

	if (!log)
		return unsetenv("HOLDFAST_LOG") ? CLI_EXIT_FAILED : 0;
	fd = devices_use_file(specs, log) ? -EBUSY : fd_open_output(log, 0644);
	if (fd >= 0) {
		close(fd);
		full = realpath(log, NULL);
	} else {
		errno = -fd;
	}
	if (!full || setenv("HOLDFAST_LOG", full, 1)) {
		fprintf(stderr, "%s: cannot write the log '%s': %s\n", who, log, strerror(errno));
		rc = CLI_EXIT_FAILED;
	}
	free(full);
	return rc;
}

/* ---- parents ---- */

int cli_parent_add(const char *who, const char *file)
{
	if (module_env_add(file) == 0)
		return 0;
	fprintf(stderr, "%s: %s\n", who, refuse_reason());
	return CLI_EXIT_USAGE;
}

/* Where modules are looked for by name, here and in the client, whose own folder says nothing. */
int cli_modules_prepare(const char *who)
{
	char folder[PATH_MAX - sizeof(MODULE_FOLDER)], path[PATH_MAX];

	if (getenv(MODULE_DIR_ENV) || installed_folder(folder, sizeof(folder)))
		return 0;
	snprintf(path, sizeof(path), "%s" MODULE_FOLDER, folder);
	return setenv(MODULE_DIR_ENV, path, 1) ? no_memory(who) : 0;
}

/* ---- devices ---- */

static int collect(const char *who, const char *const *texts, size_t nr, struct device_specs *specs)
{
	int rc = 0;

	if (nr == 0)
		rc = device_specs_add(specs, CLI_DEFAULT_SPEC);
	for (size_t i = 0; i < nr && !rc; i++)
		rc = device_specs_add(specs, texts[i]);
	if (!rc)
		rc = devices_check(specs);
	if (!rc)
		return 0;
	fprintf(stderr, "%s: %s\n", who, refuse_reason());
	return CLI_EXIT_USAGE;
}

static int try_devices(const char *who, const struct device_specs *specs)
{
	struct vdpa_bus *bus;
	int err = devices_create(specs, &bus);

	if (!err) {
		vdpa_bus_destroy(bus);
		return 0;
	}
	fprintf(stderr, "%s: %s\n", who, refuse_words(err));
	return CLI_EXIT_FAILED;
}

/* All but the library. */
static int set_environment(const char *who, const char *const *texts, size_t nr_specs,
			   const char *log)
{
	struct device_specs specs = {.nr = 0};
	int rc = cli_modules_prepare(who);

	if (!rc)
		rc = collect(who, texts, nr_specs, &specs);
	if (!rc)
		rc = try_devices(who, &specs);
	if (!rc)
		rc = set_log(who, log, &specs);
	if (!rc)
		rc = set_devices(who, &specs);
	device_specs_fini(&specs);
	return rc;
}

int cli_preload_setup(const char *who, const char *const *texts, size_t nr_specs, const char *log)
{
	char library[PATH_MAX];
	int rc = find_library(who, library, sizeof(library));

	if (!rc)
		rc = set_environment(who, texts, nr_specs, log);
	return rc ? rc : set_preload(who, library);
}

int cli_agent_setup(const char *who, const char *const *texts, size_t nr_specs, const char *log)
{
	int rc = set_environment(who, texts, nr_specs, log);

	if (rc || cli_parents.nr == NR_OWN_PARENTS)
		return rc;
	fprintf(stderr,
		"%s: a parent of your own is a shared object, and an agent loads none: it needs a "
		"COMMAND that can be preloaded\n",
		who);
	return CLI_EXIT_NO_EXEC;
}

int cli_reexec_with_devices(const char *const *specs, size_t nr_specs)
{
	const char *mark = getenv(REEXEC_ENV);
	char pid[16];
	int rc;

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (mark && strcmp(mark, pid) == 0)
		return 0;
	rc = cli_preload_setup("holdfast", specs, nr_specs, getenv("HOLDFAST_LOG"));
	if (rc)
		return rc;
	/* Its own client needs no management, and neither do the hundreds of children of a
	 * check. */
	if (setenv(REEXEC_ENV, pid, 1) || setenv(MGMT_SOCKET_ENV, "none", 0))
		return no_memory("holdfast");
	execv("/proc/self/exe", main_args);
	fprintf(stderr, "holdfast: cannot execute /proc/self/exe: %s\n", strerror(errno));
	return CLI_EXIT_FAILED;
}
