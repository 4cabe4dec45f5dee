// SPDX-License-Identifier: BSD-3-Clause
/*
 * The nodes /dev/vhost-vdpa-N: what they look like (numbers, stat) and opening them. The bus with
 * its devices comes into being at the first open, not before: the library is also loaded into every
 * shell and wrapper between `holdfast run` and the client.
 *
 * Owns: the bus, one control memfd a node. Thread rule: any thread.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_NODE_H
#define HOLDFAST_FRONTENDS_PRELOAD_NODE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/compiler.h"
#include "frontends/preload/files.h"

#define NODE_NAME "vhost-vdpa-" /* and the minor number, in /dev */

/** node_exists() - is there a node of this minor number? Any @minor below PRELOAD_NR_NODES_MAX */
bool node_exists(unsigned int minor);

/** node_kernel_has_some() - has the kernel nodes of its own by the names of ours? Found out once a
 * process */
bool node_kernel_has_some(void);

/** node_ino() - the inode number that stat and listings show */
ino_t node_ino(unsigned int minor);

/** node_find() - does @path name one of our nodes? @minor written only if so */
bool node_find(const char *path, unsigned int *minor);

/**
 * node_open() - open(2) of a node
 * @flags: as for open(2)
 * Return: a descriptor that is in the table, or -errno.
 */
int node_open(unsigned int minor, int flags) HF_MUST_CHECK;

/** node_watch_forks() - this process's table of files is about to have something in it: from now on
 * a child is told from it. No lock held. Return: 0 or -errno */
int node_watch_forks(void) HF_MUST_CHECK;

/** node_may_open() - false in a forked child of a process that has owned a device: threads that the
 * child does not have may have left locks behind */
bool node_may_open(void);

/**
 * node_adopt() - take over a descriptor that another process has opened, as files of this one
 * @text: the description of its devices. Return: 0; -errno with refuse() in words: -EBUSY this
 * process has the node open by another description, or may not open any
 */
int node_adopt(int fd, unsigned int minor, const char *text) HF_MUST_CHECK;
/** node_adopt_copy() - @fd is one more descriptor of @file */
void node_adopt_copy(int fd, struct preload_file *file);

/** node_take_ownership() - no process but this one may own the device behind @file. Return: 0;
 * -EBUSY another process owns it */
int node_take_ownership(const struct preload_file *file) HF_MUST_CHECK;

/** node_client() - who calls, for the session: this process */
const struct vhost_vdpa_client *node_client(void);

/** node_note_owned() - a client owns a device now: from then on forked children cannot open any */
void node_note_owned(void);

/** node_is_claimed() - may forked children open no device, because this process has one open or has
 * owned one? */
bool node_is_claimed(void);

/** node_count() - how many nodes there are */
unsigned int node_count(void);

/** node_refresh() - devices came or went: there is a node for each that vhost_vdpa has now. A node
 * that went can be had by the next device at once; who has it open keeps its device. No lock
 * held. */
void node_refresh(void);

/** node_stat() - what stat(2) says about a node: a character device with the number that
 * /proc/devices shows for vhost-vdpa */
void node_stat(unsigned int minor, struct stat *st);

/** node_proc_devices() - a descriptor that reads as /proc/devices with a line for vhost-vdpa
 * @cloexec: as O_CLOEXEC. Return: fd or -errno. */
int node_proc_devices(bool cloexec) HF_MUST_CHECK;

/* ---- own descriptors in the client's process ---- */

/** node_fd_is() - is @fd still the file with this identity? The client may have closed all it did
 * not know */
bool node_fd_is(int fd, dev_t dev, ino_t ino);

#endif
