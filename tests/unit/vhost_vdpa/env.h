// SPDX-License-Identifier: BSD-3-Clause
/* A client of the recording parent: bus, session, client memory, and the calls in short form. */
#ifndef HOLDFAST_TESTS_ENV_H
#define HOLDFAST_TESTS_ENV_H

#include <sys/types.h>

#include "recorder.h"
#include "vhost_vdpa/uapi.h"
#include "vhost_vdpa/vhost_vdpa.h"

#define PAGE            4096ULL
#define STRICT          VDPA_DEVIATIONS_STRICT
#define STRICT_7_2      VDPA_D7_GROUP_STAYS /* Linux 7.2 */
#define DEFAULT         VDPA_DEVIATIONS_DEFAULT
#define ACCESS_PLATFORM (1ULL << VIRTIO_F_ACCESS_PLATFORM)

struct env {
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct recorder *rec;
	struct vhost_vdpa *s;
	struct vhost_vdpa_client client, other; /* the owner, and another process */
	char *shared;                           /* shared_pages pages of a memfd */
	char *private;                          /* as many of private anonymous memory */
	size_t pages;
};

/** env_init() - bus, device and memory; the device is not open */
void env_init(struct env *env, const struct recorder_options *opt);
/** env_open() - env_init(), open, SET_OWNER, and an empty record */
void env_open(struct env *env, const struct recorder_options *opt);
/** env_fini() - release, unregister; checks that no page is charged and the device is freed */
void env_fini(struct env *env);

int env_ioctl(struct env *env, unsigned int cmd, void *arg);
int env_state(struct env *env, unsigned int cmd, uint32_t index, uint32_t num); /* {index, num} */
int env_get_state(struct env *env, unsigned int cmd, uint32_t index, uint32_t *num);
int env_file(struct env *env, unsigned int cmd, uint32_t index, int fd); /* {index, fd} */
int env_status(struct env *env, uint8_t status);
int env_u64(struct env *env, unsigned int cmd, uint64_t value);

/* Messages: v2 with an address space. Return what write returns. */
ssize_t env_msg(struct env *env, uint32_t asid, uint8_t type, uint64_t iova, uint64_t size,
		const void *uaddr, uint8_t perm);
ssize_t env_map(struct env *env, uint64_t iova, uint64_t size, const void *uaddr); /* as 0, rw */
ssize_t env_unmap(struct env *env, uint64_t iova, uint64_t size);
ssize_t env_begin(struct env *env);
ssize_t env_end(struct env *env);

/** fd_wait() - until readable, at most 5 s. Return: was it? */
bool fd_wait(int fd);
/** fd_take() - eventfd's counter, 0 if not signalled */
uint64_t fd_take(int fd);

#endif
