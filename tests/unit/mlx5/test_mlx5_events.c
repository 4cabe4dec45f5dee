// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device that says that a queue has changed, and then does not answer what became of it: this
 * program stands between the driver and the model, and refuses so many of the driver's questions.
 */
#include "card.h"

#define QUERY_OBJECT 0x0a02
#define VIRTIO_NET_Q 0x000d
#define NO_ROOM      0x0f /* a status that says nothing of the queue */
#define FOR_EVER     UINT32_MAX

static const struct mlx5_dev_ops *real;
static uint32_t nr_refused, nr_asked; /* of questions to come; of those that came; atomic */

static bool asks_for_a_queue(const uint8_t *cmd)
{
	return (cmd[0] << 8 | cmd[1]) == QUERY_OBJECT && (cmd[6] << 8 | cmd[7]) == VIRTIO_NET_Q;
}

static int refuse_some(struct mlx5_dev *dev, const void *cmd, size_t cmd_len, void *answer,
		       size_t answer_len)
{
	uint32_t left = __atomic_load_n(&nr_refused, __ATOMIC_RELAXED);

	if (!asks_for_a_queue(cmd))
		return real->exec(dev, cmd, cmd_len, answer, answer_len);
	__atomic_fetch_add(&nr_asked, 1, __ATOMIC_RELAXED);
	if (!left)
		return real->exec(dev, cmd, cmd_len, answer, answer_len);
	__atomic_store_n(&nr_refused, left == FOR_EVER ? left : left - 1, __ATOMIC_RELAXED);
	*(uint8_t *)answer = NO_ROOM;
	return 0;
}

static void refuse_next(struct rig *rig, uint32_t nr)
{
	static struct mlx5_dev_ops ops;
	struct mlx5_vdpa *v = mlx5_of(rig->dev);

	mlx5_lock(v);
	if (v->hw->ops != &ops)
		real = v->hw->ops;
	ops = *real;
	ops.exec = refuse_some;
	ops.exec_many = NULL; /* exec, one after the other */
	v->hw->ops = &ops;
	__atomic_store_n(&nr_refused, nr, __ATOMIC_RELAXED);
	__atomic_store_n(&nr_asked, 0, __ATOMIC_RELAXED);
	mlx5_unlock(v);
}

static void make_and_start(struct rig *rig)
{
	make(rig);
	start(rig);
	assert_true(goes_round(rig, 1));
}

/* A buffer without a key. The first answers to what is asked then are refused. */
static void break_a_queue(struct rig *rig, uint32_t nr)
{
	struct iotlb *tlb = own_map(rig);

	assert_int_equal(iotlb_unmap(tlb, (uintptr_t)out, (uintptr_t)out, NULL), 0);
	assert_int_equal(set_map(rig, 0, tlb), 0);
	refuse_next(rig, nr);
	rig_add(rig, 1, out, LEN, false);
	rig_publish(rig, 1);
	iotlb_destroy(tlb);
}

/* An event of a queue that runs. */
static void say_that_a_queue_has_changed(struct rig *rig) NO_TSA
{
	struct mlx5_vdpa *v = mlx5_of(rig->dev);

	mlx5_lock(v);
	vdpasim_lock(&v->model->sim->workers[0]);
	fw_event_broken(v->model, v->vqs[1].obj);
	vdpasim_unlock(&v->model->sim->workers[0]);
	mlx5_unlock(v);
}

static bool needs_reset(struct rig *rig)
{
	return rig_op(rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void works_after_a_reset(struct rig *rig)
{
	refuse_next(rig, 0);
	rig_reset(rig);
	assert_int_equal(rig_op(rig, reset_map, 0), 0);
	start(rig);
	assert_true(goes_round(rig, 2));
}

static void a_queue_that_stopped_is_asked_for_again_if_the_device_does_not_answer(void **state)
{
	struct rig rig;

	make_and_start(&rig);
	break_a_queue(&rig, 1);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	assert_true(needs_reset(&rig));
	works_after_a_reset(&rig);
	rig_destroy(&rig);
}

static void a_queue_that_runs_goes_on_if_the_device_answers_later(void **state)
{
	struct rig rig;

	make_and_start(&rig);
	refuse_next(&rig, 2);
	say_that_a_queue_has_changed(&rig);
	rig_wait_count(&nr_asked, 3);
	rig_quiet(&rig);
	assert_false(needs_reset(&rig));
	assert_true(goes_round(&rig, 3));
	rig_destroy(&rig);
}

static void a_queue_of_which_the_device_never_tells_needs_a_reset(void **state)
{
	struct rig rig;

	make_and_start(&rig);
	refuse_next(&rig, FOR_EVER);
	say_that_a_queue_has_changed(&rig);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	assert_true(needs_reset(&rig));
	assert_true(__atomic_load_n(&nr_asked, __ATOMIC_RELAXED) < 10); /* and no more */
	works_after_a_reset(&rig);
	rig_destroy(&rig);
}

/* What was to be asked for the client before is nobody's question any more. */
static void a_reset_ends_the_questions(void **state)
{
	struct rig rig;

	make_and_start(&rig);
	refuse_next(&rig, FOR_EVER);
	say_that_a_queue_has_changed(&rig);
	rig_wait_count(&nr_asked, 1);
	works_after_a_reset(&rig);
	(void)rig_wait_fd(rig.config_fd, 0); /* a slow machine may have asked to the end before */
	refuse_next(&rig, FOR_EVER);
	assert_false(rig_wait_fd(rig.config_fd, 200));
	assert_int_equal(__atomic_load_n(&nr_asked, __ATOMIC_RELAXED), 0);
	assert_false(needs_reset(&rig));
	refuse_next(&rig, 0);
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_queue_that_stopped_is_asked_for_again_if_the_device_does_not_answer),
		cmocka_unit_test(a_queue_that_runs_goes_on_if_the_device_answers_later),
		cmocka_unit_test(a_queue_of_which_the_device_never_tells_needs_a_reset),
		cmocka_unit_test(a_reset_ends_the_questions),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests(tests, get_buffers, NULL);
}
