// SPDX-License-Identifier: BSD-3-Clause
/*
 * The model's port: the simulated card's core with its rings, workers and backends, without a
 * client. A queue of the firmware is a queue of that core, which is told what to do where a client
 * would set it. Its rings look everything up in views of keys. Its vectors and doorbells are here,
 * too.
 *
 * An area or a buffer that no key reaches breaks the ring. The worker notes it and has worker 0
 * tell the driver through an event queue.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "base/refuse.h"
#include "model_internal.h"

#define RUNNING                                                                                    \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |      \
	 VIRTIO_CONFIG_S_DRIVER_OK)

static struct mlx5_model *model_of_sim(const struct vdpasim *sim)
{
	return container_of(sim->type, struct mlx5_model, type);
}

/* Asked for when a ring starts: by the thread of the command, and after a fault by the worker. */
static void nic_vq_tlbs(const struct vdpasim_vq *vq, struct iotlb **ring_tlb,
			struct iotlb **buf_tlb)
{
	const struct fw_run *run = &model_of_sim(vq->sim)->run[vq->idx];

	*ring_tlb = run->ring_tlb;
	*buf_tlb = run->buf_tlb;
}

static bool nic_process(struct vdpasim_vq *vq)
{
	bool more = simnet_type.process(vq);

	if (vq->stalled) {
		vq->stalled = false;
		ring_break(vq->ring, "an area of the ring has no key");
		return false;
	}
	return more;
}

static uint16_t nic_vq_worker(struct vdpasim *sim, uint16_t idx)
{
	return (uint16_t)(idx / 2 % sim->nr_workers);
}

/* Worker 0, its lock held: some ring has broken. */
static void nic_alarm(void *arg)
{
	struct mlx5_model *m = arg;

	__atomic_fetch_and(&m->sim->status, (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET,
			   __ATOMIC_ACQ_REL);
	for (uint32_t i = 0; i < m->sim->dev.nvqs; i++) {
		struct fw_run *run = &m->run[i];

		if (__atomic_load_n(&m->sim->vqs[i].broken, __ATOMIC_ACQUIRE) &&
		    !__atomic_exchange_n(&run->told, true, __ATOMIC_ACQ_REL))
			fw_event_broken(m, __atomic_load_n(&run->id, __ATOMIC_RELAXED));
	}
}

static void prepare_type(struct mlx5_model *m)
{
	m->type = simnet_type;
	m->type.vq_tlbs = nic_vq_tlbs;
	m->type.vq_worker = nic_vq_worker;
	m->type.process = nic_process;
	m->type.faults_break = true;
}

int fw_nic_open(struct mlx5_model *m)
{
	struct vdpa_dev_config config = *m->opt.config;
	struct vdpasim_params params = {.type = &m->type, .ngroups = 1, .nas = 1};
	struct simnet *net;
	int err;

	config.profile = PROFILE_DEFAULT;
	config.compat_reset = false;
	config.mapping = VDPA_MAPPING_SET_MAP;
	config.memory = MEMORY_VA;
	prepare_type(m);
	err = simnet_create(&config, &net);
	if (err)
		return err;
	params.priv = net;
	params.nvqs = 2u * config.max_vqp;
	params.features = simnet_features(net, &config);
	err = vdpasim_create_inner(m->opt.bus, &config, &params, &m->sim);
	if (err) {
		simnet_destroy(net);
		return err;
	}
	m->net = net;
	m->sim->config_cb = (struct vdpa_callback){nic_alarm, m};
	__atomic_store_n(&m->sim->status, RUNNING, __ATOMIC_RELEASE);
	fw_steer(m);
	return 0;
}

void fw_nic_close(struct mlx5_model *m)
{
	if (m->sim)
		vdpa_device_put(&m->sim->dev);
	m->sim = NULL;
	m->net = NULL;
}

/* The device's own order of bits, by the manual. */
static const struct {
	uint8_t device, virtio;
} bits[] = {
	{12, 11 /* HOST_TSO4 */}, {11, 12 /* HOST_TSO6 */}, {10, 0 /* CSUM */},
	{9, 1 /* GUEST_CSUM */},  {8, 7 /* GUEST_TSO4 */},  {7, 8 /* GUEST_TSO6 */},
	{6, 9 /* GUEST_ECN */},   {4, 13 /* HOST_ECN */},   {2, 15 /* MRG_RXBUF */},
};

uint64_t fw_nic_features(const struct mlx5_model *m)
{
	uint64_t have = m->sim ? m->sim->features : 0, mask = 0;

	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		mask |= (have >> bits[i].virtio & 1) << bits[i].device;
	return mask;
}

/* All queues have the features of the last one that was started. */
static void take_features(struct mlx5_model *m, const struct fw_virtq *q)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1;

	if (m->net->max_pairs > 1)
		features |= F(MQ);
	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		features |= (uint64_t)(q->features >> bits[i].device & 1) << bits[i].virtio;
	if (m->sim->driver_features == features)
		return;
	vdpasim_lock_all(m->sim);
	m->sim->driver_features = features;
	m->sim->type->features_changed(m->sim);
	vdpasim_unlock_all(m->sim);
	fw_steer(m);
}

bool fw_nic_run(struct mlx5_model *m, struct fw_virtq *q)
{
	const struct vdpa_vq_state state = {q->avail, q->avail};
	struct vdpasim_vq *vq = &m->sim->vqs[q->index];
	struct fw_run *run = &m->run[q->index];
	bool runs;

	if (!vdpasim_worker_get(vq->sw) || !vdpasim_worker_get(&m->sim->workers[0]))
		return false;
	take_features(m, q);
	vdpasim_lock(vq->sw);
	run->buf_tlb = q->view->tlb;
	run->ring_tlb = q->desc_view ? q->desc_view->tlb : run->buf_tlb;
	__atomic_store_n(&run->id, container_of(q, struct fw_obj, virtq)->id, __ATOMIC_RELAXED);
	__atomic_store_n(&run->told, false, __ATOMIC_RELEASE);
	vdpasim_vq_set_num(vq, q->size);
	vdpasim_vq_set_address(vq, q->desc, q->driver, q->device);
	vdpasim_vq_set_state(vq, &state);
	vq->cb = m->vectors[q->vector].cb;
	vq->ready = true;
	vdpasim_vq_start_by_client(vq);
	runs = ring_is_started(vq->ring);
	vdpasim_unlock(vq->sw);
	return runs;
}

void fw_nic_stop(struct mlx5_model *m, struct fw_virtq *q)
{
	struct vdpasim_vq *vq = &m->sim->vqs[q->index];

	vdpasim_lock(vq->sw);
	vq->ready = false;
	vdpasim_vq_stop(vq);
	q->avail = q->used = vq->state.last_avail;
	vdpasim_unlock(vq->sw);
}

void fw_nic_halt(struct mlx5_model *m)
{
	if (!m->sim)
		return;
	vdpasim_lock_all(m->sim);
	for (uint32_t i = 0; i < m->sim->dev.nvqs; i++)
		if (ring_is_started(m->sim->vqs[i].ring))
			ring_break(m->sim->vqs[i].ring, fw_is_dead(m)
								? "the device is dead"
								: "the device is out of memory");
	vdpasim_unlock_all(m->sim);
}

void fw_nic_forget(struct mlx5_model *m, const struct fw_virtq *q)
{
	struct vdpasim_vq *vq = &m->sim->vqs[q->index];

	vdpasim_lock(vq->sw);
	vdpasim_vq_reset(vq);
	m->net->pairs[q->index / 2].held_len = 0;
	m->net->pairs[q->index / 2].tx_blocked = m->net->pairs[q->index / 2].tx_waits = false;
	vdpasim_unlock(vq->sw);
}

bool fw_nic_position(struct mlx5_model *m, const struct fw_virtq *q, uint16_t *avail)
{
	struct vdpasim_vq *vq = &m->sim->vqs[q->index];
	bool whole;

	vdpasim_lock(vq->sw);
	whole = !ring_broken_reason(vq->ring);
	*avail = vdpasim_vq_state(vq).last_avail;
	vdpasim_unlock(vq->sw);
	return whole;
}

uint64_t fw_nic_chains(const struct mlx5_model *m, uint16_t index)
{
	const struct simnet_pair *pair = &m->net->pairs[index / 2];
	const struct simnet_stats *s = index % 2 ? &pair->tx_stats : &pair->rx_stats;

	return __atomic_load_n(&s->packets, __ATOMIC_RELAXED) +
	       __atomic_load_n(&s->errors, __ATOMIC_RELAXED) +
	       (index % 2 ? __atomic_load_n(&s->drops, __ATOMIC_RELAXED) : 0);
}

/* ---- vectors and doorbells ---- */

int fw_vector_open(struct mlx5_dev *dev, const struct vdpa_callback *cb, uint32_t *vector)
{
	struct mlx5_model *m = fw_model_of(dev);

	for (uint32_t v = 0; v < FW_VECTORS; v++)
		if (!m->vectors[v].open) {
			m->vectors[v] = (struct fw_vector){true, *cb};
			*vector = v;
			return 0;
		}
	return refuse(-ENOSPC, "%s: all %u interrupt vectors are in use", dev->name, FW_VECTORS);
}

void fw_vector_set(struct mlx5_dev *dev, uint32_t vector, const struct vdpa_callback *cb)
{
	struct mlx5_model *m = fw_model_of(dev);
	struct vdpasim_worker *sw;
	struct vdpasim_vq *vq = NULL;
	struct fw_obj *obj;

	if (vector >= FW_VECTORS || !m->sim)
		return;
	sw = &m->sim->workers[0];
	TAILQ_FOREACH (obj, &m->objs[FW_VIRTQ], link)
		if (obj->virtq.vector == vector) {
			vq = &m->sim->vqs[obj->virtq.index];
			sw = vq->sw;
		}
	vdpasim_lock(sw);
	m->vectors[vector].cb = *cb;
	if (vq)
		vq->cb = *cb;
	vdpasim_unlock(sw);
}

void fw_vector_close(struct mlx5_dev *dev, uint32_t vector)
{
	const struct vdpa_callback none = {NULL, NULL};

	fw_vector_set(dev, vector, &none);
	if (vector < FW_VECTORS)
		fw_model_of(dev)->vectors[vector].open = false;
}

void fw_kick(struct mlx5_dev *dev, uint16_t idx)
{
	struct vdpasim *sim = fw_model_of(dev)->sim;

	if (sim && idx < sim->dev.nvqs)
		vdpasim_vq_kick(&sim->vqs[idx]);
}

struct worker *fw_kick_worker(struct mlx5_dev *dev, uint16_t idx)
{
	struct vdpasim *sim = fw_model_of(dev)->sim;

	return sim && idx < sim->dev.nvqs ? vdpasim_worker_get(sim->vqs[idx].sw) : NULL;
}

uint64_t mlx5_model_features(const struct mlx5_model *m)
{
	return m->sim ? m->sim->features : 0;
}
