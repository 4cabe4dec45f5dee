// SPDX-License-Identifier: BSD-3-Clause
#include "bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/fd.h"

#define RING_NUM 8u
#define IOVA     0x100000000ULL
#define PIECES   0x200000000ULL /* where the mappings lie that are counted */
#define PAGE     4096u
#define DISK     0u /* the node with many queues; the others are cards */

static size_t ring_room(void)
{
	return (client_ring_size(RING_NUM) + 63) & ~(size_t)63;
}

int load_init(struct load *l)
{
	*l = (struct load){.mem = {.memfd = -1}, .kick = {-1, -1}};
	l->units = calloc(LOAD_DEVICES_MAX, sizeof(*l->units));
	if (!l->units)
		return -ENOMEM;
	for (unsigned int i = 0; i < LOAD_DEVICES_MAX; i++)
		l->units[i].fd = -1;
	for (int i = 0; i < 2; i++) {
		l->kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (l->kick[i] < 0)
			return -errno;
	}
	return client_mem_create(&l->mem,
				 (LOAD_QUEUES_MAX * ring_room() + PAGE - 1) & ~(PAGE - 1UL),
				 CLIENT_MEM_MEMFD);
}

/* ---- a device ---- */

static void unit_close(struct load_unit *u)
{
	fd_close(&u->fd);
	for (unsigned int i = 0; i < u->nr_rings; i++)
		client_ring_fini(&u->ring[i]);
	free(u->ring);
	u->ring = NULL;
	u->nr_rings = 0;
}

static int unit_negotiate(const struct load_unit *u)
{
	uint64_t offered, features = CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |
				     CLIENT_BIT(12); /* VIRTIO_BLK_F_MQ; a card's is another */
	int err = client_set_status(u->fd, CLIENT_STATUS_DRIVER);

	if (!err)
		err = client_get_u64(u->fd, VHOST_GET_FEATURES, &offered);
	if (!err)
		err = client_set_u64(u->fd, VHOST_SET_FEATURES, features & offered);
	return err ? err : client_set_status(u->fd, CLIENT_STATUS_FEATURES);
}

static int unit_set_up(struct load *l, struct load_unit *u, unsigned int i)
{
	int kick = u->ring[i].kick_fd, call = u->ring[i].call_fd, err;

	client_ring_init(&u->ring[i], i, RING_NUM, (char *)l->mem.addr + i * ring_room(),
			 IOVA + i * ring_room(), 0);
	u->ring[i].kick_fd = kick;
	u->ring[i].call_fd = call;
	err = client_ring_attach(&u->ring[i], u->fd);
	return err ? err : client_vring_set(u->fd, VHOST_VDPA_SET_VRING_ENABLE, i, 1);
}

/* Open and owned, with memory, and room for @nr rings. */
static int unit_open(struct load *l, struct load_unit *u, unsigned int node, unsigned int nr)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/dev/vhost-vdpa-%u", node);
	u->ring = calloc(nr, sizeof(*u->ring));
	if (!u->ring)
		return -ENOMEM;
	u->nr_rings = nr;
	for (unsigned int i = 0; i < nr; i++)
		u->ring[i].kick_fd = u->ring[i].call_fd = -1;
	u->fd = client_open_owned(path, CLIENT_BACKEND_MSG_V2);
	if (u->fd < 0)
		return u->fd;
	return client_iotlb_map(u->fd, 0, IOVA, l->mem.size, l->mem.addr, VHOST_ACCESS_RW);
}

static int unit_start(struct load *l, struct load_unit *u)
{
	int err = unit_negotiate(u);

	if (!err)
		err = unit_set_up(l, u, 0);
	return err ? err : client_set_status(u->fd, CLIENT_STATUS_RUNNING);
}

static int open_first(struct load *l)
{
	int err = unit_open(l, &l->units[0], DISK, 1);

	return err ? err : unit_start(l, &l->units[0]);
}

static int close_first(struct load *l, unsigned int nr)
{
	(void)nr;
	unit_close(&l->units[0]);
	return 0;
}

/* ---- steps ---- */

static int devices_step(struct load *l, unsigned int i)
{
	int err = unit_open(l, &l->units[i], i, 1);

	return err ? err : unit_start(l, &l->units[i]);
}

static int devices_end(struct load *l, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		unit_close(&l->units[i]);
	return 0;
}

static int queues_begin(struct load *l)
{
	int err = unit_open(l, &l->units[0], DISK, LOAD_QUEUES_MAX);

	return err ? err : unit_negotiate(&l->units[0]);
}

static int queues_step(struct load *l, unsigned int i)
{
	return unit_set_up(l, &l->units[0], i);
}

static int queues_full(struct load *l)
{
	return client_set_status(l->units[0].fd, CLIENT_STATUS_RUNNING);
}

/* Not next to one another, so that none become one. */
static int mappings_step(struct load *l, unsigned int i)
{
	return client_iotlb_map(l->units[0].fd, 0, PIECES + 2ULL * i * PAGE, PAGE, l->mem.addr,
				VHOST_ACCESS_RW);
}

static int mappings_end(struct load *l, unsigned int nr)
{
	int err = client_iotlb_unmap(l->units[0].fd, 0, PIECES, 2ULL * nr * PAGE);

	(void)close_first(l, nr);
	return err;
}

static int resets_step(struct load *l, unsigned int i)
{
	int err = client_set_status(l->units[0].fd, 0);

	(void)i;
	return err ? err : unit_start(l, &l->units[0]);
}

static int opens_step(struct load *l, unsigned int i)
{
	int err = open_first(l);

	(void)i;
	unit_close(&l->units[0]);
	return err;
}

static int changes_step(struct load *l, unsigned int i)
{
	int fd = l->units[0].fd, err = client_vring_set(fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 0);

	if (!err)
		err = client_vring_file(fd, VHOST_SET_VRING_KICK, 0, l->kick[i % 2]);
	return err ? err : client_vring_set(fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 1);
}

const struct load_case load_cases[LOAD_NR] = {
	[LOAD_DEVICES] = {"devices open", true, NULL, devices_step, NULL, devices_end},
	[LOAD_QUEUES] = {"queues of one device", true, queues_begin, queues_step, queues_full,
			 close_first},
	[LOAD_MAPPINGS] = {"mappings", true, open_first, mappings_step, NULL, mappings_end},
	[LOAD_RESETS] = {"resets and starts", false, open_first, resets_step, NULL, close_first},
	[LOAD_OPENS] = {"open, start, close", false, NULL, opens_step, NULL, NULL},
	[LOAD_CHANGES] = {"ENABLE, kick, ENABLE", false, open_first, changes_step, NULL,
			  close_first},
};

void load_fini(struct load *l)
{
	for (unsigned int i = 0; l->units && i < LOAD_DEVICES_MAX; i++)
		unit_close(&l->units[i]);
	free(l->units);
	for (int i = 0; i < 2; i++)
		fd_close(&l->kick[i]);
	client_mem_destroy(&l->mem);
}
