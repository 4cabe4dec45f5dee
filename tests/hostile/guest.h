// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest that writes its rings by hand, right or wrong, behind a client of the real uAPI. The
 * client is a friend: it sets up the device as a VMM does. What the guest's memory holds is up to
 * a case.
 *
 * Guest memory is one file. The device sees it at IOVA; once more for reading only at IOVA_RO, for
 * writing only at IOVA_WO; and two of its pages, in the wrong order, at IOVA_TWO. IOVA_NONE is not
 * mapped.
 *
 * Owns: descriptor, memory, eventfds. Thread rule: one thread, but memory may be written by others.
 */
#ifndef HOLDFAST_TESTS_HOSTILE_GUEST_H
#define HOLDFAST_TESTS_HOSTILE_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IOVA 0x100000000ULL
#ifndef IOVA_RO /* a virtual machine has one of its own */
#define IOVA_RO 0x200000000ULL
#endif
#define IOVA_WO   0x300000000ULL
#define IOVA_TWO  0x400000000ULL
#define IOVA_NONE 0x500000000ULL

#define GUEST_LEN   0x200000u /* bytes */
#define AREA_DESC   0x0u      /* of a queue */
#define AREA_DRIVER 0x4000u
#define AREA_DEVICE 0x6000u
#define QUEUE_LEN   0x8000u
#define TABLE       0x20000u /* an indirect table, up to 64 KiB */
#define DATA        0x40000u
#define NQUEUES     3
#define NUM         64 /* entries */

#define F_NEXT     1u
#define F_WRITE    2u
#define F_INDIRECT 4u
#define F_RAW      0x10000u /* packed: the flags as they are, without those of availability */

struct guest {
	int fd;
	bool blk, packed;
	uint64_t features; /* offered */
	uint8_t *mem;      /* [GUEST_LEN] */
	int kick[NQUEUES], call[NQUEUES], config;
	unsigned int nr_queues;
	uint64_t area[NQUEUES][3]; /* IOVA; what the next guest_start() tells the device */
	uint16_t num[NQUEUES];
	/* packed: what the first descriptor's flags will be once it is published */
	uint16_t first_flags[NQUEUES];
	bool first_held[NQUEUES];
};

/** guest_open() - open @path and map memory. Return: 0 or -errno */
int guest_open(struct guest *g, const char *path);
void guest_close(struct guest *g);

/** guest_reset() - status 0, memory of zeros, areas and sizes as usual. Return: 0 or -errno */
int guest_reset(struct guest *g);
/** guest_start() - from status 0 to DRIVER_OK with @features besides the usual ones
 * Return: 0; -errno of the first call that was refused */
int guest_start(struct guest *g, uint64_t features);
int guest_status(const struct guest *g);

/** guest_desc() - write one descriptor; @other: next (split) or id (packed) */
void guest_desc(struct guest *g, unsigned int q, unsigned int slot, uint64_t addr, uint32_t len,
		uint32_t flags, uint16_t other);
/** guest_table() - the same in the indirect table */
void guest_table(struct guest *g, unsigned int slot, uint64_t addr, uint32_t len, uint32_t flags,
		 uint16_t other);
/** guest_avail() - split: entry @pos of the available ring; packed: nothing */
void guest_avail(struct guest *g, unsigned int q, unsigned int pos, uint16_t head);
/** guest_kick() - ring the queue's doorbell */
void guest_kick(struct guest *g, unsigned int q);
/** guest_publish() - split: the available index; kick */
void guest_publish(struct guest *g, unsigned int q, uint16_t idx);

/** guest_used() - chains completed; of a packed ring 0 or 1. @len: [out] of the first */
unsigned int guest_used(const struct guest *g, unsigned int q, uint32_t *len);
/** guest_wait() - Return: did @fd, an eventfd of the guest's, become readable? It is read. */
bool guest_wait(int fd, int ms);

/** guest_works() - a good request after a reset: a frame comes back, or a sector is read. Return:
 * NULL; or what went wrong */
const char *guest_works(struct guest *g);

#endif
