// SPDX-License-Identifier: BSD-3-Clause
/*
 * The indexes of what is held, so that no question walks what it is not about: all by age, that of
 * devices with a limit by age, a device's by age, and all by file. The table has it by address.
 * hold.c decides what is held.
 */
#include "memory/interval.h"

static int file_cmp(const struct interval *a, const struct interval *b)
{
	if (a->source.ino != b->source.ino)
		return a->source.ino < b->source.ino ? -1 : 1;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

RB_HEAD(file_tree, interval);
RB_PROTOTYPE_INTERNAL(file_tree, interval, of_file, file_cmp, HF_UNUSED static)
RB_GENERATE_INTERNAL(file_tree, interval, of_file, file_cmp, HF_UNUSED static)

struct held memory_held = {.list = TAILQ_HEAD_INITIALIZER(memory_held.list)};
struct interval_list held_limited = TAILQ_HEAD_INITIALIZER(held_limited);
static struct file_tree by_file GUARDED_BY(memory_table_lock) = RB_INITIALIZER(&by_file);

static void count(const struct interval *i, uint64_t nr_bytes, size_t by)
{
	struct held *of[] = {&memory_held, &i->holder->held};

	for (size_t n = 0; n < ARRAY_LEN(of); n++) {
		of[n]->nr_bytes += nr_bytes;
		__atomic_store_n(&of[n]->nr, of[n]->nr + by, __ATOMIC_RELAXED);
	}
}

void held_add(struct interval *i, uint64_t len, struct memory_hold *hold, int64_t now_ns)
{
	i->holder = hold;
	i->since_ns = now_ns;
	TAILQ_INSERT_TAIL(&memory_held.list, i, of_all);
	TAILQ_INSERT_TAIL(&hold->held.list, i, of_holder);
	if (!hold->beyond_limit)
		TAILQ_INSERT_TAIL(&held_limited, i, of_limited);
	RB_INSERT(file_tree, &by_file, i);
	count(i, len, 1);
}

void held_remove(struct interval *i, uint64_t len)
{
	count(i, -len, (size_t)-1);
	RB_REMOVE(file_tree, &by_file, i);
	TAILQ_REMOVE(&i->holder->held.list, i, of_holder);
	if (!i->holder->beyond_limit)
		TAILQ_REMOVE(&held_limited, i, of_limited);
	TAILQ_REMOVE(&memory_held.list, i, of_all);
	i->holder = NULL;
}

void held_cut(struct interval *i, struct interval *fresh)
{
	TAILQ_INSERT_AFTER(&memory_held.list, i, fresh, of_all);
	TAILQ_INSERT_AFTER(&i->holder->held.list, i, fresh, of_holder);
	if (!i->holder->beyond_limit)
		TAILQ_INSERT_AFTER(&held_limited, i, fresh, of_limited);
	RB_INSERT(file_tree, &by_file, fresh);
	count(i, 0, 1);
}

struct interval *held_of_file(uint64_t ino)
{
	struct interval from = {.source.ino = ino};
	struct interval *i = RB_NFIND(file_tree, &by_file, &from);

	return i && i->source.ino == ino ? i : NULL;
}

void held_forget(void) NO_TSA
{
	TAILQ_INIT(&memory_held.list);
	TAILQ_INIT(&held_limited);
	RB_INIT(&by_file);
	memory_held.nr_bytes = memory_held.nr = 0;
}
