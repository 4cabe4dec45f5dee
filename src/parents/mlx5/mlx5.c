// SPDX-License-Identifier: BSD-3-Clause
#include "mlx5.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/refuse.h"
#include "driver.h"
#include "parents/sim/sim.h"
#include "trace.h"

#define LATENCY_MAX_NS (10 * NS_PER_SEC)
#define BIT(name)      (1ULL << VIRTIO_NET_F_##name)

/* What the driver adds to the features of the device's queues. */
#define DRIVER_FEATURES                                                                            \
	(BIT(MAC) | BIT(MTU) | BIT(STATUS) | BIT(CTRL_VQ) | BIT(CTRL_MAC_ADDR) | BIT(CTRL_VLAN) |  \
	 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM)
#define ALL_FEATURES                                                                               \
	(DRIVER_FEATURES | BIT(MQ) | BIT(MRG_RXBUF) | BIT(CSUM) | BIT(GUEST_CSUM) |                \
	 BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN) | BIT(GUEST_TSO4) | BIT(GUEST_TSO6) |     \
	 BIT(GUEST_ECN))

/* ---- the SPEC ---- */

/* "200us": a number and a unit. Return: false if it is neither, or out of range */
static bool parse_time(const char *word, size_t len, uint64_t *ns)
{
	static const struct {
		const char *unit;
		int64_t ns;
	} units[] = {{"ns", 1}, {"us", NS_PER_US}, {"ms", NS_PER_MS}, {"s", NS_PER_SEC}};
	size_t digits = strspn(word, "0123456789");
	unsigned long long value;

	if (digits == 0 || digits > 10 || digits >= len)
		return false;
	value = strtoull(word, NULL, 10);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strlen(units[i].unit) != len - digits ||
		    memcmp(word + digits, units[i].unit, len - digits) != 0)
			continue;
		if (value > (uint64_t)(LATENCY_MAX_NS / units[i].ns))
			return false;
		*ns = value * (uint64_t)units[i].ns;
		return true;
	}
	return false;
}

/* One "name=time"; the name "all" stands for every command. */
static int parse_latency(const char *word, size_t len, uint64_t latency[MODEL_NR_KINDS])
{
	const char *eq = memchr(word, '=', len);
	size_t name_len = eq ? (size_t)(eq - word) : len;
	bool found = false;
	uint64_t ns;

	if (!eq || !parse_time(eq + 1, len - name_len - 1, &ns))
		return refuse(-ERANGE,
			      "latency '%.*s' is no NAME=TIME with a time from 0ns to 10s (ns, us, "
			      "ms, s)",
			      (int)len, word);
	for (enum mlx5_model_kind k = 0; k < MODEL_NR_KINDS; k++) {
		const char *name = mlx5_model_kind_name(k);

		if ((name_len == 3 && memcmp(word, "all", 3) == 0) ||
		    (strlen(name) == name_len && memcmp(word, name, name_len) == 0)) {
			latency[k] = ns;
			found = true;
		}
	}
	if (!found)
		return refuse(-EINVAL,
			      "latency names no command '%.*s': all, create_mkey, destroy_mkey, "
			      "create_queue, modify_queue, ... (holdfast-run(1) has the list)",
			      (int)name_len, word);
	return 0;
}

static int parse_latencies(const struct vdpa_dev_config *config, uint64_t latency[MODEL_NR_KINDS])
{
	const char *p = config->latency;
	int err = 0;

	while (!err && *p) {
		size_t len = strcspn(p, ",");

		err = parse_latency(p, len, latency);
		p += len;
		p += *p == ',';
	}
	return err;
}

static int parse_defer(const struct vdpa_dev_config *config, int64_t *ns)
{
	uint64_t value = 0;

	if (config->defer[0] && !parse_time(config->defer, strlen(config->defer), &value))
		return refuse(-ERANGE, "defer '%s' is no time from 0ns to 10s (ns, us, ms, s)",
			      config->defer);
	*ns = (int64_t)value;
	return 0;
}

static int check(const struct vdpa_dev_config *config)
{
	uint64_t latency[MODEL_NR_KINDS] = {0};
	int64_t defer;
	int err;
	bool pci = config->given & VDPA_KEY_PCI;

	if (config->max_vqp > MLX5_PAIRS_MAX)
		return refuse(-ERANGE, "max_vqp %u: a card has %d queue pairs at most",
			      config->max_vqp, MLX5_PAIRS_MAX);
	if (config->model && pci)
		return refuse(-EINVAL,
			      "pci %s conflicts with model on: a device is one or the "
			      "other",
			      config->pci);
	if (!config->model && !pci)
		return refuse(-EINVAL, "mlx5 needs either model on (firmware in software) or pci "
				       "ADDR (a card)");
	if (config->given & VDPA_KEY_BACKEND && !config->model)
		return refuse(-EINVAL, "backend conflicts with pci %s: a card has its own port",
			      config->pci);
	if (config->given & VDPA_KEY_LATENCY && !config->model)
		return refuse(-EINVAL, "latency conflicts with pci %s: only the model has it",
			      config->pci);
	err = parse_defer(config, &defer);
	return err ? err : parse_latencies(config, latency);
}

/* ---- making one ---- */

/* QEMU's stop takes below a millisecond from the first position read to the reset; a loaded machine
 * may hold it up. */
#define PARK_NS (50 * NS_PER_MS)

/* Also of a half-made device. */
static void mlx5_free(struct mlx5_vdpa *v)
{
	struct mlx5_trace *trace;

	worker_destroy(v->worker);
	v->worker = NULL;
	if (v->hw) {
		if (v->vqs)
			mlx5_teardown(v);
		for (uint32_t i = 0; v->vqs && i < v->dev.nvqs; i++)
			mlx5_vq_fini(v, &v->vqs[i]);
		mlx5_slots_fini(v);
		mlx5_events_fini(v);
		if (v->tisn != MLX5_NO_OBJ && mlx5_cmd_destroy_tis(v->hw, v->tisn))
			hf_warn(v->dev.name, "%s", refuse_reason());
		if (v->td != MLX5_NO_OBJ && mlx5_cmd_dealloc_td(v->hw, v->td))
			hf_warn(v->dev.name, "%s", refuse_reason());
		if (v->keys.dev)
			mlx5_keys_fini(&v->keys);
	}
	mlx5_ctrl_fini(v);
	trace = v->hw ? v->hw->trace : NULL;
	mlx5_model_destroy(v->model);
	mlx5_devx_close(v->devx);
	mlx5_trace_close(trace); /* what the card's end had to clean up is in it */
	free(v->vqs);
	free(v);
}

static void op_free(struct vdpa_device *dev)
{
	mlx5_free(mlx5_of(dev));
}

static int open_model(struct mlx5_vdpa *v, struct vdpa_bus *bus,
		      const struct vdpa_dev_config *config)
{
	struct mlx5_model_options opt = {.bus = bus, .config = config};
	int err = parse_latencies(config, opt.latency_ns);

	if (!err)
		err = mlx5_model_create(&opt, &v->model);
	if (!err)
		v->hw = mlx5_model_dev(v->model);
	return err;
}

static int open_card(struct mlx5_vdpa *v, const struct vdpa_dev_config *config)
{
	int err;

	memcpy(v->dev.name, config->name, sizeof(v->dev.name));
	err = mlx5_devx_open(config->pci, v->dev.name, &v->devx);
	if (!err)
		v->hw = mlx5_devx_dev(v->devx);
	return err;
}

static void fill_device(struct mlx5_vdpa *v, const struct vdpa_mgmt_dev *mgmt,
			const struct vdpa_dev_config *config)
{
	struct vdpa_device *dev = &v->dev;

	memcpy(dev->name, config->name, sizeof(dev->name));
	dev->mgmt = mgmt;
	dev->nvqs = 2u * config->max_vqp + 1;
	dev->ngroups = MLX5_NGROUPS;
	dev->nas = MLX5_NAS;
	dev->memory_mode = config->memory;
	dev->memlock_unlimited = config->memlock_unlimited;
	dev->hold_budget = config->hold;
	dev->max_iotlb_entries = config->max_iotlb_entries;
	dev->deviations = VDPA_DEVIATIONS_DEFAULT;
	v->max_pairs = config->max_vqp;
	v->pairs = 1;
	v->vq_size = config->vq_size;
	v->config.mtu = htole16(config->mtu);
	v->config.status = htole16(VIRTIO_NET_S_LINK_UP);
	v->config.max_virtqueue_pairs = htole16(config->max_vqp);
	if (config->given & VDPA_KEY_MAC)
		memcpy(v->config.mac, config->mac, sizeof(v->config.mac));
	mlx5_ops_fill(v, config);
	v->ops.free = op_free;
}

static int choose_features(struct mlx5_vdpa *v, const struct vdpa_dev_config *config)
{
	uint64_t all = DRIVER_FEATURES | mlx5_features_to(v->caps.features);

	if (config->max_vqp > 1)
		all |= BIT(MQ);
	return vdpasim_choose_features(config, all, 0, &v->features);
}

/* What it needs of the device besides queues. */
static int open_device(struct mlx5_vdpa *v, const struct vdpa_dev_config *config)
{
	int err = mlx5_keys_init(&v->keys, v->hw, config->rebuild);

	if (err)
		v->keys.dev = NULL;
	v->keys.parallel = config->parallel;
	v->park_ns = PARK_NS;
	if (!err)
		err = parse_defer(config, &v->defer_ns);
	if (!err)
		err = mlx5_cmd_alloc_td(v->hw, &v->td);
	if (!err)
		err = mlx5_cmd_create_tis(v->hw, v->td, &v->tisn);
	if (!err)
		err = mlx5_events_init(v);
	return err;
}

static int open_queues(struct mlx5_vdpa *v)
{
	int err = 0;

	v->vqs = calloc(v->dev.nvqs, sizeof(*v->vqs));
	if (!v->vqs)
		return -ENOMEM;
	for (uint32_t i = 0; i < v->dev.nvqs; i++)
		v->vqs[i].obj = v->vqs[i].vector = v->vqs[i].counters = MLX5_NO_OBJ;
	for (uint32_t i = 0; !err && i < v->dev.nvqs; i++)
		err = mlx5_vq_init(v, (uint16_t)i);
	if (!err)
		err = mlx5_ctrl_init(v);
	if (!err)
		err = mlx5_slots_init(v);
	return err;
}

static int make(struct mlx5_vdpa *v, const struct vdpa_mgmt_dev *mgmt, struct vdpa_bus *bus,
		const struct vdpa_dev_config *config)
{
	int err = config->model ? open_model(v, bus, config) : open_card(v, config);

	if (!err && config->trace[0])
		err = mlx5_trace_open(config->trace, &v->hw->trace);
	if (!err)
		err = mlx5_cmd_query_virtio_caps(v->hw, &v->caps);
	if (!err &&
	    (!v->caps.version_1 || !v->caps.msix || v->caps.max_queues < 2u * config->max_vqp))
		err = refuse(-EOPNOTSUPP,
			     "%s: the device has no %u virtqueues of version 1 with "
			     "interrupts",
			     config->name, 2u * config->max_vqp);
	if (!err && v->hw->ops->doorbell_open)
		err = v->hw->ops->doorbell_open(v->hw, v->caps.doorbell_off);
	if (!err)
		err = choose_features(v, config);
	if (!err) {
		fill_device(v, mgmt, config);
		err = vdpa_device_init(&v->dev, bus);
	}
	return err;
}

static int dev_add(const struct vdpa_mgmt_dev *mgmt, struct vdpa_bus *bus,
		   const struct vdpa_dev_config *config)
{
	struct mlx5_vdpa *v;
	int err = check(config);

	if (err)
		return err;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->td = v->tisn = v->eqn = v->eq_vector = MLX5_NO_OBJ;
	v->rqt = v->tir = v->table = v->group[0] = v->group[1] = MLX5_NO_OBJ;
	err = make(v, mgmt, bus, config);
	if (err) {
		mlx5_free(v);
		return err;
	}
	err = open_device(v, config);
	if (!err)
		err = open_queues(v);
	if (!err) {
		mlx5_prepare(v);
		err = vdpa_device_register(&v->dev);
	}
	if (err)
		vdpa_device_put(&v->dev);
	return err;
}

static int dev_set_attr(const struct vdpa_mgmt_dev *mgmt, struct vdpa_device *dev,
			const struct vdpa_dev_config *config)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	int err;

	(void)mgmt;
	if (!(v->features & BIT(MAC)))
		return refuse(-EOPNOTSUPP, "%s does not offer the feature MAC", dev->name);
	mlx5_lock(v);
	err = mlx5_steering_set_mac(v, config->mac);
	v->generation++;
	mlx5_unlock(v);
	return err;
}

const struct vdpa_mgmt_dev mlx5_mgmt_dev = {
	.name = "mlx5",
	.device_id = 1,
	.keys = VDPA_KEY_NAME | VDPA_KEY_MGMTDEV | VDPA_KEY_MAC | VDPA_KEY_MTU | VDPA_KEY_MAX_VQP |
		VDPA_KEY_FEATURES | VDPA_KEY_BACKEND | VDPA_KEY_MEMORY | VDPA_KEY_COMPAT_RESET |
		VDPA_KEY_RESET_MAP | VDPA_KEY_MAX_IOTLB_ENTRIES | VDPA_KEY_WORKERS |
		VDPA_KEY_VQ_SIZE | VDPA_KEY_MEMLOCK | VDPA_KEY_HOLD | VDPA_KEY_MODEL |
		VDPA_KEY_PCI | VDPA_KEY_REBUILD | VDPA_KEY_LATENCY | VDPA_KEY_PARALLEL |
		VDPA_KEY_DEFER | VDPA_KEY_TRACE,
	.default_name = "net",
	.max_vqs = 2 * MLX5_PAIRS_MAX + 1,
	.features = ALL_FEATURES,
	.check = check,
	.dev_add = dev_add,
	.dev_set_attr = dev_set_attr,
};
