// SPDX-License-Identifier: BSD-3-Clause
/*
 * Registered memory, and event queues, which the firmware writes and the driver reads. An entry is
 * valid when its owner bit is the number of the pass through the queue, modulo 2; so a new queue
 * has all owner bits set. The model does not look how far the driver is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "model_internal.h"

#define EQE_LEN       64
#define OBJECT_CHANGE 0x27
#define VIRTIO_NET_Q  0x0d

int fw_umem_open(struct mlx5_dev *dev, void *addr, size_t len, uint32_t *id)
{
	struct mlx5_model *m = fw_model_of(dev);
	struct fw_obj *obj;

	if (fw_is_dead(m))
		return refuse(-EIO, "%s: the device did not answer", dev->name);
	if ((uintptr_t)addr % MEMORY_PAGE_SIZE || len == 0)
		return refuse(-EINVAL, "%s: memory must start on a page", dev->name);
	obj = fw_obj_make(m, FW_UMEM);
	if (!obj)
		return refuse(-ENOMEM, "%s: no room for memory of %zu bytes", dev->name, len);
	obj->umem.len = len;
	*id = obj->id;
	return 0;
}

void fw_umem_close(struct mlx5_dev *dev, uint32_t id)
{
	struct mlx5_model *m = fw_model_of(dev);
	struct fw_obj *obj = fw_obj_find(m, FW_UMEM, id);

	if (obj && !obj->users)
		fw_obj_destroy(m, obj);
}

void *fw_eq_buffer(struct mlx5_dev *dev, uint32_t eqn)
{
	struct fw_obj *obj = fw_obj_find(fw_model_of(dev), FW_EQ, eqn);

	return obj ? obj->eq.buf : NULL;
}

void fw_create_eq(struct mlx5_model *m, const struct fw_cmd *c)
{
	uint32_t nr = 1u << (c->in[28] & 0x1f), vector = fw_u16(c->in + 38) & 0xfff;
	struct fw_obj *obj;
	uint8_t *buf;

	if (nr > 1u << 16 || vector >= FW_VECTORS || !m->vectors[vector].open || !m->sim) {
		fw_refuse(c, FW_BAD_PARAM, 0x60001);
		return;
	}
	buf = calloc(nr, EQE_LEN);
	obj = buf ? fw_obj_make(m, FW_EQ) : NULL;
	if (!obj) {
		free(buf);
		fw_refuse(c, FW_NO_RES, 0x60002);
		return;
	}
	for (uint32_t i = 0; i < nr; i++)
		buf[EQE_LEN * (size_t)i + 63] = 1;
	vdpasim_lock(&m->sim->workers[0]);
	obj->eq.buf = buf;
	obj->eq.nr = nr;
	obj->eq.vector = vector;
	obj->eq.events = fw_u64(c->in + 88);
	m->eq = obj;
	vdpasim_unlock(&m->sim->workers[0]);
	c->r->index = obj->id;
}

void fw_destroy_eq(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *obj = fw_obj_take(m, FW_EQ, c->in[11], c);

	if (!obj)
		return;
	vdpasim_lock(&m->sim->workers[0]);
	m->eq = NULL;
	vdpasim_unlock(&m->sim->workers[0]);
	fw_obj_destroy(m, obj);
}

void fw_event_broken(struct mlx5_model *m, uint32_t id)
{
	struct fw_obj *eq = m->eq;
	uint8_t *eqe, owner;

	if (fw_is_dead(m) || !eq || !(eq->eq.events >> OBJECT_CHANGE & 1))
		return;
	eqe = eq->eq.buf + EQE_LEN * (size_t)(eq->eq.producer & (eq->eq.nr - 1));
	owner = (eq->eq.producer & eq->eq.nr) != 0;
	memset(eqe, 0, EQE_LEN - 1);
	eqe[1] = OBJECT_CHANGE;
	eqe[35] = VIRTIO_NET_Q;
	fw_put32(eqe + 36, id);
	__atomic_store_n(eqe + 63, owner, __ATOMIC_RELEASE);
	eq->eq.producer++;
	if (m->vectors[eq->eq.vector].cb.fn)
		m->vectors[eq->eq.vector].cb.fn(m->vectors[eq->eq.vector].cb.arg);
}
