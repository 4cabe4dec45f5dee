// SPDX-License-Identifier: BSD-3-Clause
/* A client's messages to a card one of whose commands fails. */
#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "card.h"
#include "parents/mlx5/layout.h"
#include "vhost_vdpa/uapi.h"
#include "vhost_vdpa/vhost_vdpa.h"

static int get_fd(const struct vhost_vdpa_client *c, int fd)
{
	return fd_dup(fd);
}

static ssize_t message(struct rig *rig, struct vhost_vdpa *s, uint8_t type, const void *p,
		       size_t len)
{
	const struct vhost_vdpa_client client = {.mm_id = 1, .space = rig->space, .get_fd = get_fd};
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2,
				   .iotlb = {.iova = (uintptr_t)p,
					     .size = len,
					     .uaddr = (uintptr_t)p,
					     .perm = VHOST_ACCESS_RW,
					     .type = type}};

	return vhost_vdpa_write(s, &client, (uintptr_t)&msg, sizeof(msg));
}

static struct vhost_vdpa *open_session(struct rig *rig)
{
	const struct vhost_vdpa_client client = {.mm_id = 1, .space = rig->space, .get_fd = get_fd};
	struct vhost_vdpa *s;

	assert_int_equal(vdpa_driver_register(rig->bus, &vhost_vdpa_driver), 0);
	assert_int_equal(vhost_vdpa_open(rig->dev, &s), 0);
	assert_int_equal(vhost_vdpa_ioctl(s, &client, VHOST_SET_OWNER, 0), 0);
	return s;
}

/* Has a queue that runs a way to the byte at @p? */
static bool card_reaches(struct rig *rig, const void *p)
{
	struct mlx5_vdpa *v = mlx5_of(rig->dev);
	struct iovec iov[2];
	bool reaches = false;

	mlx5_lock(v);
	for (uint16_t i = 0; i < mlx5_nr_data(v); i++) {
		const struct mlx5_vq *vq = &v->vqs[i];

		if (vq->obj != MLX5_NO_OBJ && vq->fw_state == MLX5_VQ_RDY && vq->mr)
			reaches |= mlx5_model_translate(v->model, vq->mr->mkey, (uintptr_t)p, 1,
							true, iov, 2) > 0;
	}
	mlx5_unlock(v);
	return reaches;
}

/* docs/locking.md: "Once the reply is out, the device cannot touch the range." */
static void invalidate_that_is_answered_ends_the_cards_access(void **state)
{
	unsigned int nr_lost = 0;
	bool over = false;

	for (uint64_t nth = 1; !over; nth++) {
		struct vhost_vdpa *s;
		uint64_t before;
		struct rig rig;
		bool needs_reset;
		ssize_t ret;

		make(&rig);
		s = open_session(&rig);
		start(&rig);
		for (int i = 0; i < 2; i++)
			assert_int_equal(message(&rig, s, VHOST_IOTLB_UPDATE, rig.vq[i].mem,
						 rig.vq[i].mem_len),
					 72);
		assert_int_equal(message(&rig, s, VHOST_IOTLB_UPDATE, out, 4096), 72);
		assert_int_equal(message(&rig, s, VHOST_IOTLB_UPDATE, in, 4096), 72);
		assert_true(goes_round(&rig, 1));
		assert_true(card_reaches(&rig, in));
		before = mlx5_model_nr_commands_all(model(&rig));
		mlx5_model_fail_at(model(&rig), nth, 0x0f);
		ret = message(&rig, s, VHOST_IOTLB_INVALIDATE, in, 4096);
		over = mlx5_model_nr_commands_all(model(&rig)) - before < nth;
		mlx5_model_fail_at(model(&rig), 0, 0);
		assert_int_equal(ret, 72);
		if (card_reaches(&rig, in))
			fail_msg("command %llu failed, and the card reaches the memory",
				 (unsigned long long)nth);
		needs_reset = rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET;
		if (!needs_reset && !card_reaches(&rig, out))
			fail_msg("command %llu failed, and the device is dead",
				 (unsigned long long)nth);
		nr_lost += needs_reset;
		/* the client still has a map, and the next start has keys of it */
		rig_reset(&rig);
		rig_negotiate(&rig, FEATURES);
		rig_do(&rig, set_status, 0xf);
		assert_int_equal(rig_op(&rig, get_status), 0xf);
		assert_non_null(mlx5_of(rig.dev)->slot[0]);
		vhost_vdpa_release(s);
		rig_destroy(&rig);
	}
	assert_true(nr_lost > 3);
}

static const struct mlx5_dev_ops *sound_ops;
static int nr_keys_left;

/* From some time on the card has no room for keys: other functions of it have taken all. */
static int exec_without_room(struct mlx5_dev *dev, const void *in_, size_t in_len, void *out_,
			     size_t out_len)
{
	if (mlx5_get(in_, MLX5_IN_OPCODE) != MLX5_OP_CREATE_MKEY || nr_keys_left-- > 0)
		return sound_ops->exec(dev, in_, in_len, out_, out_len);
	((uint8_t *)out_)[0] = FW_NO_RES;
	return 0;
}

static void give_no_room(struct mlx5_vdpa *v, struct mlx5_dev_ops *ops)
{
	mlx5_lock(v);
	sound_ops = v->hw->ops;
	*ops = *sound_ops;
	ops->exec = exec_without_room;
	ops->exec_many = NULL;
	v->hw->ops = ops;
	mlx5_unlock(v);
	nr_keys_left = 0;
}

static void give_room(struct mlx5_vdpa *v)
{
	mlx5_lock(v);
	v->hw->ops = sound_ops;
	mlx5_unlock(v);
}

/* mapping.c, guarantee 1. Two mappings of the client's, so two maps for the card. */
static void update_that_is_refused_gives_the_card_nothing(void **state)
{
	bool over = false;

	for (int nr = 0; !over; nr++) {
		char *p =
			mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		struct mlx5_dev_ops ops;
		struct iotlb_entry e;
		struct mlx5_vdpa *v;
		struct vhost_vdpa *s;
		struct rig rig;
		bool reaches;
		uint8_t status;
		ssize_t ret;

		assert_true(mmap(p + 4096, 4096, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
		make(&rig);
		v = mlx5_of(rig.dev);
		s = open_session(&rig);
		start(&rig);
		for (int i = 0; i < 2; i++)
			assert_int_equal(message(&rig, s, VHOST_IOTLB_UPDATE, rig.vq[i].mem,
						 rig.vq[i].mem_len),
					 72);
		give_no_room(v, &ops);
		nr_keys_left = nr;
		ret = message(&rig, s, VHOST_IOTLB_UPDATE, p, 8192);
		reaches = v->slot[0] && v->slot[0]->map &&
			  iotlb_lookup(v->slot[0]->map, (uintptr_t)p, &e);
		status = rig_op(&rig, get_status);
		give_room(v);
		vhost_vdpa_release(s);
		rig_destroy(&rig);
		munmap(p, 8192);
		if (ret != 72 && reaches && !(status & VIRTIO_CONFIG_S_NEEDS_RESET))
			fail_msg("after %d keys there is no room: UPDATE gave %zd, status is 0x%x, "
				 "and "
				 "the card reaches the memory",
				 nr, ret, status);
		over = ret == 72;
	}
}

/* vdpa.h, .set_map: on error the device uses nothing of the old map that is not in the new one.
 * Before its first map a device is 1:1, and reaches all of its client. */
static void first_map_that_is_refused_ends_1_to_1(void **state)
{
	for (int runs = 0; runs < 2; runs++) {
		struct mlx5_dev_ops ops;
		struct mlx5_vdpa *v;
		struct vhost_vdpa *s;
		struct rig rig;
		uint8_t status;

		make(&rig);
		v = mlx5_of(rig.dev);
		s = open_session(&rig);
		if (runs)
			start(&rig);
		give_no_room(v, &ops);
		assert_int_equal(message(&rig, s, VHOST_IOTLB_BATCH_BEGIN, NULL, 0), 72);
		assert_int_equal(message(&rig, s, VHOST_IOTLB_UPDATE, out, 4096), 72);
		assert_int_equal(message(&rig, s, VHOST_IOTLB_BATCH_END, NULL, 0), 72);
		if (!runs) {
			rig_negotiate(&rig, FEATURES);
			for (uint16_t i = 0; i < 2; i++) {
				rig_vq_new(&rig, i, 64);
				rig_vq_setup(&rig, i);
			}
			rig_do(&rig, set_status, 0xf);
		}
		status = rig_op(&rig, get_status);
		if (card_reaches(&rig, in))
			fail_msg("the first map was refused, status is 0x%x, and the card reaches "
				 "all of the client",
				 status);
		assert_true(status & (VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET));
		give_room(v);
		vhost_vdpa_release(s);
		/* as virtio_vdpa finds it */
		rig_reset(&rig);
		start(&rig);
		assert_true(goes_round(&rig, 1));
		rig_destroy(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(invalidate_that_is_answered_ends_the_cards_access),
		cmocka_unit_test(update_that_is_refused_gives_the_card_nothing),
		cmocka_unit_test(first_map_that_is_refused_ends_1_to_1),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests(tests, get_buffers, NULL);
}
