// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loading modules.
 *
 * The flags: RTLD_LOCAL keeps a module's names from everybody; RTLD_NOW tells at once what it
 * lacks. Not RTLD_DEEPBIND: it would give the module libc's own malloc() where the client has put
 * another in its place. It is not needed either: a module needs no name of ours, since it gets a
 * table, and -Bsymbolic (holdfast.pc) binds it to its own names.
 *
 * One table a module: the program and the preload library each have a loader of their own, and
 * objects of one must not reach the functions of the other. So a module that another loader of the
 * process has is refused.
 */
#include "parents/module/module.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/refuse.h"

#define SYMBOL       "holdfast_module"
#define NAME_MAX_LEN 31

struct loaded {
	struct loaded *next;
	struct vdpa_mgmt_dev mgmt;
	struct hf_module module; /* completed copy */
	char path[PATH_MAX];
};

static struct loaded *all_loaded;

#define SAME_KEY(name)                                                                             \
	_Static_assert((unsigned int)HF_KEY_##name == (unsigned int)VDPA_KEY_##name, #name)
SAME_KEY(MAC);
SAME_KEY(MTU);
SAME_KEY(MAX_VQP);
SAME_KEY(FEATURES);
SAME_KEY(BACKEND);
SAME_KEY(MEMORY);
SAME_KEY(MAPPING);
SAME_KEY(COMPAT_RESET);
SAME_KEY(RESET_MAP);
SAME_KEY(MAX_IOTLB_ENTRIES);
SAME_KEY(VQ_SIZE);
SAME_KEY(MEMLOCK);
SAME_KEY(CAPACITY);
SAME_KEY(READ_ONLY);
SAME_KEY(NUM_QUEUES);

/* ---- what modules call ---- */

static int api_refuse(int err, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return refuse(err, "%s", text);
}

static void api_log(enum hf_level level, const char *obj, const char *fmt, ...)
{
	static struct log_site site;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_message(&site, (enum log_level)level, obj, "%s", text);
}

const struct hf_api *module_api(void)
{
	static const struct hf_api api = {
		.size = sizeof(api),
		.refuse = api_refuse,
		.log = api_log,
		.soft_add = module_soft_add,
		.soft_pop = module_soft_pop,
		.soft_push = module_soft_push,
		.soft_unpop = module_soft_unpop,
		.soft_read = module_soft_read,
		.soft_write = module_soft_write,
		.soft_run = module_soft_run,
		.device_add = module_device_add,
		.device_priv = module_device_priv,
		.device_name = module_device_name,
		.map_next = module_map_next,
		.map_diff = module_map_diff,
		.map_get = iotlb_version_get,
		.map_put = iotlb_version_put,
		.map_entry = module_map_entry,
		.device_map = module_device_map,
	};

	return &api;
}

/* ---- making a device ---- */

static int dev_add(const struct vdpa_mgmt_dev *mgmt, struct vdpa_bus *bus,
		   const struct vdpa_dev_config *config)
{
	const struct loaded *l = container_of(mgmt, struct loaded, mgmt);
	struct hf_add add = {.module = &l->module, .bus = bus, .config = config, .mgmt = mgmt};
	struct hf_config c = {
		.size = sizeof(c),
		.given = config->given,
		.name = config->name,
		.mtu = config->mtu,
		.max_vqp = config->max_vqp,
		.num_queues = config->num_queues,
		.vq_size = config->vq_size,
		.backend = config->given & VDPA_KEY_BACKEND ? config->backend : "",
		.capacity = config->capacity,
		.read_only = config->read_only,
	};
	int err;

	memcpy(c.mac, config->mac, sizeof(c.mac));
	err = l->module.dev_add(&add, &c);
	if (!err && !add.used)
		return refuse(-EINVAL, "parent '%s' has made no device %s and reports no error",
			      mgmt->name, config->name);
	return err > 0 ? refuse(-EINVAL, "parent '%s': dev_add() returned %d, which is no errno",
				mgmt->name, err)
		       : err;
}

/* ---- loading ---- */

static const struct loaded *find_path(const char *path)
{
	const struct loaded *l = all_loaded;

	while (l && strcmp(l->path, path) != 0)
		l = l->next;
	return l;
}

static bool is_known(const struct vdpa_mgmt_table *table, const char *name)
{
	for (size_t i = 0; i < table->nr; i++)
		if (strcmp(table->devs[i]->name, name) == 0)
			return true;
	return false;
}

static bool is_name(const char *name)
{
	size_t len = name ? strlen(name) : 0;

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
			return false;
	return len >= 1 && len <= NAME_MAX_LEN;
}

/* Is it a module, of our version? Nothing of it has run yet but what dlopen() runs. */
static int check_header(const char *path, const struct hf_module *m)
{
	if (!m)
		return refuse(
			-EINVAL,
			"parent '%s' exports no %s: HF_MODULE() of <holdfast/parent.h> makes it",
			path, SYMBOL);
	if (m->abi != HF_ABI)
		return refuse(-EINVAL,
			      "parent '%s' is built for ABI %u of Holdfast, this one has ABI %u: "
			      "build it again",
			      path, m->abi, HF_ABI);
	if (m->size < sizeof(*m))
		return refuse(-EINVAL,
			      "parent '%s': its %s says it has %u bytes, at least %zu are needed",
			      path, SYMBOL, m->size, sizeof(*m));
	return 0;
}

static int check_module(const struct vdpa_mgmt_table *table, const char *path,
			const struct hf_module *m)
{
	int err = check_header(path, m);

	if (err)
		return err;
	if (!is_name(m->name))
		return refuse(-EINVAL,
			      "parent '%s': its name is not 1 to %d letters, digits, '_' or '-'",
			      path, NAME_MAX_LEN);
	if (!m->api || !m->dev_add)
		return refuse(-EINVAL, "parent '%s': its %s lacks %s", path, SYMBOL,
			      m->api ? "dev_add" : "api");
	if (is_known(table, m->name))
		return refuse(-EEXIST, "parent '%s': there is a mgmtdev '%s' already", path,
			      m->name);
	if (*m->api && *m->api != module_api())
		return refuse(-EBUSY, "parent '%s' is in use by another part of this process",
			      path);
	if (table->nr == VDPA_MGMT_MAX)
		return refuse(-ENOSPC, "parent '%s': there are %d parents already", path,
			      VDPA_MGMT_MAX);
	return 0;
}

static int add_module(struct vdpa_mgmt_table *table, const char *path, const struct hf_module *m)
{
	struct loaded *l = calloc(1, sizeof(*l));

	if (!l)
		return refuse(-ENOMEM, "no memory");
	l->module = *m;
	snprintf(l->path, sizeof(l->path), "%s", path);
	l->mgmt = (struct vdpa_mgmt_dev){
		.name = m->name,
		.device_id = m->device_id,
		.keys = m->keys,
		.default_name = m->stem ? m->stem : m->name,
		.dev_add = dev_add,
	};
	*m->api = module_api();
	l->next = all_loaded;
	all_loaded = l;
	table->devs[table->nr++] = &l->mgmt;
	return 0;
}

static int load(struct vdpa_mgmt_table *table, const char *path)
{
	const struct hf_module *m;
	struct stat st;
	void *handle;
	int err;

	if (find_path(path))
		return 0;
	if (access(path, R_OK) < 0 || stat(path, &st) < 0)
		return refuse(-errno, "parent '%s': %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode)) /* dlopen(3) would wait for whoever writes to a fifo */
		return refuse(-ENOEXEC, "parent '%s' is not a file", path);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return refuse(-ENOEXEC, "parent '%s' cannot be loaded: %s", path, dlerror());
	m = dlsym(handle, SYMBOL);
	err = check_module(table, path, m);
	if (!err)
		err = add_module(table, path, m);
	if (err)
		dlclose(handle);
	return err;
}

/* ---- where modules come from ---- */

static int load_list(struct vdpa_mgmt_table *table)
{
	const char *list = getenv(MODULES_ENV);
	char *copy, *rest = NULL;
	int err = 0;

	if (!list || !*list)
		return 0;
	copy = strdup(list);
	if (!copy)
		return refuse(-ENOMEM, "no memory");
	for (char *p = strtok_r(copy, ":", &rest); p && !err; p = strtok_r(NULL, ":", &rest))
		err = load(table, p);
	free(copy);
	return err;
}

/* The word behind `mgmtdev`; what is wrong with the rest of the SPEC is for others to say. */
static bool find_mgmtdev(const char *spec, char *name, size_t len)
{
	char *copy = strdup(spec), *rest = NULL;
	bool found = false;

	for (char *key = copy ? strtok_r(copy, " \t\n", &rest) : NULL; key && !found;
	     key = strtok_r(NULL, " \t\n", &rest)) {
		const char *value = strtok_r(NULL, " \t\n", &rest);

		if (!value || strcmp(key, "mgmtdev") != 0)
			continue;
		snprintf(name, len, "%s", value);
		found = true;
	}
	free(copy);
	return found;
}

static int load_from_folder(struct vdpa_mgmt_table *table, const char *spec)
{
	const char *folder = getenv(MODULE_DIR_ENV);
	char name[NAME_MAX_LEN + 2], path[PATH_MAX];

	if (!folder || !*folder || !find_mgmtdev(spec, name, sizeof(name)) ||
	    is_known(table, name) || !is_name(name))
		return 0;
	if (snprintf(path, sizeof(path), "%s/%s.so", folder, name) >= (int)sizeof(path) ||
	    access(path, F_OK) < 0)
		return 0;
	return load(table, path);
}

int module_load_for(struct vdpa_mgmt_table *table, const char *spec)
{
	int err = load_list(table);

	return err ? err : load_from_folder(table, spec);
}

int module_env_add(const char *path)
{
	const char *list = getenv(MODULES_ENV);
	char *full = realpath(path, NULL), *value = NULL;
	int err = 0;

	if (!full)
		return refuse(-errno, "parent '%s': %s", path, strerror(errno));
	if (strpbrk(full, ":\n"))
		err = refuse(-EINVAL,
			     "parent '%s': the path has a colon, which a list of paths cannot name",
			     path);
	else if (asprintf(&value, "%s:%s", list ? list : "", full) < 0)
		value = NULL;
	if (!err && (!value || setenv(MODULES_ENV, list && *list ? value : full, 1)))
		err = refuse(-ENOMEM, "no memory");
	free(value);
	free(full);
	return err;
}
