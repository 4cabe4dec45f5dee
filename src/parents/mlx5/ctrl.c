// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control queue. The device has none: the driver serves it on its own worker, and turns its
 * commands into commands to the device. A command is {class, command, data...} readable and one
 * writable byte for the answer.
 *
 * C1. Every command is completed, with VIRTIO_NET_ERR whatever is wrong with it.
 * C2. A command's bytes are copied, and its chain is given back, before the device is asked. The
 *     device may wait for a grace period, which would wait for this very worker if it were online.
 *     What the chain pointed to may be gone afterwards, so the chain is taken again for the answer.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/rcu.h"
#include "base/refuse.h"
#include "driver.h"
#include "memory/guard.h"

#define COMMAND_MAX 16 /* bytes: the longest command that is known has 8 */
#define BATCH       16

static void ctrl_broken(void *arg, const char *reason)
{
	(void)reason;
	mlx5_needs_reset(arg);
}

int mlx5_ctrl_init(struct mlx5_vdpa *v)
{
	static const struct ring_ops ops = {.broken = ctrl_broken};
	char name[VDPA_NAME_MAX + 16];
	int err;

	(void)snprintf(name, sizeof(name), "%s: control queue", v->dev.name);
	err = ring_create(name, &ops, v, &v->ctrl.ring);
	return err ? err : iotlb_create(v->dev.max_iotlb_entries, &v->ctrl.tlb);
}

void mlx5_ctrl_fini(struct mlx5_vdpa *v)
{
	ring_destroy(v->ctrl.ring);
	iotlb_destroy(v->ctrl.tlb);
	v->ctrl.ring = NULL;
	v->ctrl.tlb = NULL;
}

void mlx5_ctrl_set_map(struct mlx5_vdpa *v)
{
	const struct iotlb_version *map = v->map[v->group_asid[MLX5_GROUP_CTRL]];

	if (!map)
		return;
	if (iotlb_assign(v->ctrl.tlb, map)) {
		hf_err(v->dev.name, "the control queue cannot take its map");
		if (ring_is_started(v->ctrl.ring))
			ring_break(v->ctrl.ring, "no memory for its map");
	}
	iotlb_synchronize(v->ctrl.tlb);
	if (v->ctrl.stalled) /* a ring that was not mapped may be now */
		mlx5_ctrl_kick(v);
}

static void start(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	struct ring_config config = {
		.num = (uint16_t)vq->use.num,
		.desc_addr = vq->use.desc,
		.driver_addr = vq->use.driver,
		.device_addr = vq->use.device,
	};
	struct ring_state state = {vq->state.last_avail, vq->state.last_used};

	if (ring_start(v->ctrl.ring, &config, v->ctrl.tlb, v->ctrl.tlb, state)) {
		hf_warn(v->dev.name, "the control queue cannot start: %u entries", vq->use.num);
		mlx5_needs_reset(v);
		return;
	}
	v->ctrl.stalled = false;
	if (__atomic_load_n(&v->ctrl.kicked, __ATOMIC_ACQUIRE)) /* before it ran */
		mlx5_ctrl_kick(v);
}

void mlx5_ctrl_update(struct mlx5_vdpa *v)
{
	struct mlx5_vq *vq = &v->vqs[mlx5_ctrl_idx(v)];
	bool wants = mlx5_acked(v, VIRTIO_NET_F_CTRL_VQ) && vq->ready && vq->use.placed &&
		     !v->suspended && mlx5_status(v) & VIRTIO_CONFIG_S_DRIVER_OK;

	if (wants && !ring_is_started(v->ctrl.ring)) {
		start(v, vq);
	} else if (!wants && ring_is_started(v->ctrl.ring)) {
		struct ring_state state = ring_stop(v->ctrl.ring);

		vq->state = (struct vdpa_vq_state){state.last_avail, state.last_avail};
	}
}

void mlx5_ctrl_kick(struct mlx5_vdpa *v)
{
	struct worker *w = __atomic_load_n(&v->worker, __ATOMIC_ACQUIRE);

	__atomic_store_n(&v->ctrl.kicked, true, __ATOMIC_RELEASE);
	if (w)
		worker_wake(w);
}

/* ---- commands ---- */

static int set_mac(struct mlx5_vdpa *v, const uint8_t *data, size_t len)
{
	if (len != 6 || !mlx5_acked(v, VIRTIO_NET_F_CTRL_MAC_ADDR) || data[0] & 1)
		return -EINVAL;
	return mlx5_steering_set_mac(v, data);
}

static int set_pairs(struct mlx5_vdpa *v, const uint8_t *data, size_t len)
{
	unsigned int pairs = len == 2 ? data[0] | (unsigned int)data[1] << 8 : 0;

	if (pairs < 1 || pairs > v->max_pairs || !mlx5_acked(v, VIRTIO_NET_F_MQ))
		return -EINVAL;
	return mlx5_set_pairs(v, (uint16_t)pairs);
}

static int set_vlan(struct mlx5_vdpa *v, uint8_t cmd, const uint8_t *data, size_t len)
{
	unsigned int vid = len == 2 ? data[0] | (unsigned int)data[1] << 8 : 4096;

	if (vid >= 4096 || cmd > VIRTIO_NET_CTRL_VLAN_DEL || !mlx5_acked(v, VIRTIO_NET_F_CTRL_VLAN))
		return -EINVAL;
	return cmd == VIRTIO_NET_CTRL_VLAN_ADD ? mlx5_steering_add_vlan(v, (uint16_t)vid)
					       : mlx5_steering_del_vlan(v, (uint16_t)vid);
}

static int execute(struct mlx5_vdpa *v, const uint8_t *bytes, size_t len)
{
	uint8_t class, cmd;

	if (len < 2 || len > COMMAND_MAX)
		return -EINVAL;
	class = bytes[0];
	cmd = bytes[1];
	if (class == VIRTIO_NET_CTRL_MAC && cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET)
		return set_mac(v, bytes + 2, len - 2);
	if (class == VIRTIO_NET_CTRL_MQ && cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return set_pairs(v, bytes + 2, len - 2);
	if (class == VIRTIO_NET_CTRL_VLAN)
		return set_vlan(v, cmd, bytes + 2, len - 2);
	return -EOPNOTSUPP;
}

/* ---- the ring ---- */

/* Copy the next command. Return: 1; 0 or negative as ring_pop(). @len: its real length */
static int fetch(struct ring *ring, uint8_t bytes[COMMAND_MAX], size_t *len)
{
	struct ring_chain chain;
	int n = ring_pop(ring, &chain);

	if (n <= 0)
		return n;
	*len = chain.fault ? 0 : chain.out_len;
	(void)ring_chain_read(&chain, 0, bytes, COMMAND_MAX);
	ring_unpop(ring, &chain, 1);
	return 1;
}

static int answer(struct mlx5_vdpa *v, bool ok)
{
	uint8_t ack = ok ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	struct ring_chain chain;
	int n = ring_pop(v->ctrl.ring, &chain);

	if (n <= 0)
		return n;
	ring_push(v->ctrl.ring, &chain, (uint32_t)ring_chain_write(&chain, 0, &ack, sizeof(ack)));
	if (ring_flush(v->ctrl.ring)) {
		const struct vdpa_callback *cb = &v->vqs[mlx5_ctrl_idx(v)].cb;

		if (cb->fn)
			cb->fn(cb->arg);
	}
	return 1;
}

static __attribute__((noinline)) int guarded_fetch(struct ring *ring, uint8_t *bytes, size_t *len)
{
	struct memory_guard guard;
	int n;

	if (memory_guard_enter(&guard, ring_owns, ring) == 0) {
		n = fetch(ring, bytes, len);
		memory_guard_leave(&guard);
		return n;
	}
	ring_break(ring, "memory vanished");
	return -EPROTO;
}

static __attribute__((noinline)) int guarded_answer(struct mlx5_vdpa *v, bool ok)
{
	struct memory_guard guard;
	int n;

	if (memory_guard_enter(&guard, ring_owns, v->ctrl.ring) == 0) {
		n = answer(v, ok);
		memory_guard_leave(&guard);
		return n;
	}
	ring_break(v->ctrl.ring, "memory vanished");
	return -EPROTO;
}

static void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static bool is_asked(const struct mlx5_vdpa *v)
{
	const struct worker *w = __atomic_load_n(&v->worker, __ATOMIC_ACQUIRE);

	return w && worker_is_asked(w);
}

bool mlx5_ctrl_batch(struct mlx5_vdpa *v)
{
	uint32_t walked = ring_walked(v->ctrl.ring);
	uint8_t bytes[COMMAND_MAX];
	size_t len;

	if (!ring_is_started(v->ctrl.ring) ||
	    !__atomic_exchange_n(&v->ctrl.kicked, false, __ATOMIC_ACQUIRE))
		return false;
	for (int i = 0; i < BATCH && ring_walked(v->ctrl.ring) - walked < RING_WALK_MAX; i++) {
		int n, err;

		if (i > 0 && is_asked(v)) /* a command may cost the device milliseconds */
			break;
		n = guarded_fetch(v->ctrl.ring, bytes, &len);
		v->ctrl.stalled = n == -EFAULT;
		if (n <= 0)
			return false;
		count(&v->ctrl.received);
		rcu_reader_offline(); /* [C2] */
		err = execute(v, bytes, len);
		rcu_reader_online();
		if (err)
			hf_dbg(v->dev.name, "control command %u.%u: %s", bytes[0], bytes[1],
			       strerror(-err));
		if (guarded_answer(v, err == 0) <= 0)
			return false;
		count(&v->ctrl.completed);
	}
	mlx5_ctrl_kick(v);
	return true;
}
