// SPDX-License-Identifier: BSD-3-Clause
/*
 * Modules: parents that live in shared objects of their own (<holdfast/parent.h>). They come from a
 * list of files in HOLDFAST_PARENTS (`--parent FILE` adds to it) and from a folder,
 * HOLDFAST_PARENT_DIR, in which a mgmtdev NAME that nobody else knows is looked for as NAME.so.
 * Both variables travel to the client, so that the preload library finds what the command has
 * found. A module stays loaded for the life of the process.
 *
 * Owns: the loaded modules. Thread rule: one control thread at a time (devices are made by one).
 */
#ifndef HOLDFAST_PARENTS_MODULE_MODULE_H
#define HOLDFAST_PARENTS_MODULE_MODULE_H

#include <holdfast/parent.h>

#include "base/compiler.h"
#include "vdpa/mgmt.h"

#define MODULES_ENV    "HOLDFAST_PARENTS"    /* paths, a colon between two */
#define MODULE_DIR_ENV "HOLDFAST_PARENT_DIR" /* folder of installed modules */

/** module_env_add() - put a file onto the list. @path: relative ones are made absolute.
 * Return: 0; -errno with refuse() in words: no such file, a colon in its path, no memory */
int module_env_add(const char *path) HF_MUST_CHECK;

/**
 * module_load_for() - have the parents ready that a SPEC may name: those of the list, and its
 * mgmtdev's from the folder
 * @table: grows by what is loaded; always the same one
 * What is loaded already costs nothing. A mgmtdev that nobody knows is not an error here.
 * Return: 0; -errno with refuse() in words, naming the file.
 */
int module_load_for(struct vdpa_mgmt_table *table, const char *spec) HF_MUST_CHECK;

/* ---- between the files of the loader ---- */

/* What a module is handed as `add`. */
struct hf_add {
	const struct hf_module *module;
	struct vdpa_bus *bus;
	const struct vdpa_dev_config *config;
	const struct vdpa_mgmt_dev *mgmt; /* the module's */
	bool used;                        /* a device was made */
};

/** module_api() - the table of functions for modules; const */
const struct hf_api *module_api(void);
/** module_copy_sized() - @src, a structure that begins with its size, into the @dst_len bytes at
 * @dst; what @src lacks is zero.
 * Return: 0; -EINVAL there is none, or its size is none, with refuse() naming @what */
int module_copy_sized(void *dst, size_t dst_len, const void *src, const char *what) HF_MUST_CHECK;
/** module_begin_add() - begin one device of dev_add(): copy its description, as
 * module_copy_sized() does
 * Return: 0; -EINVAL with refuse(): also if this dev_add() has made its device already */
int module_begin_add(const struct hf_add *add, void *desc, size_t size, const void *given,
		     const char *what) HF_MUST_CHECK;

/* soft.c, soft_chains.c */
int module_soft_add(struct hf_add *add, const struct hf_soft_desc *desc, void *priv);
bool module_soft_pop(struct hf_soft *soft, uint16_t idx, struct hf_chain *chain);
void module_soft_push(struct hf_soft *soft, uint16_t idx, const struct hf_chain *chain,
		      uint32_t written);
void module_soft_unpop(struct hf_soft *soft, uint16_t idx, const struct hf_chain *chain);
size_t module_soft_read(const struct hf_chain *chain, size_t off, void *dst, size_t len);
size_t module_soft_write(const struct hf_chain *chain, size_t off, const void *src, size_t len);
void module_soft_run(struct hf_soft *soft, uint16_t idx);

/* device.c */
int module_device_add(struct hf_add *add, const struct hf_device_desc *desc, void *priv);
void *module_device_priv(const struct vdpa_device *dev);
const char *module_device_name(const struct vdpa_device *dev);
bool module_map_next(const struct iotlb_version *map, uint64_t from, struct hf_range *range);
int module_map_diff(const struct iotlb_version *from, const struct iotlb_version *to,
		    int (*fn)(void *arg, bool added, const struct hf_range *range), void *arg);
void module_map_entry(const struct iotlb_entry *entry, struct hf_range *range);
const struct iotlb_version *module_device_map(struct vdpa_device *dev);

#endif
