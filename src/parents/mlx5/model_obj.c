// SPDX-License-Identifier: BSD-3-Clause
/*
 * The model's objects by number. An object that another one names cannot be destroyed: BUSY.
 * Numbers are never given out twice, so a stale one is seen as one.
 */
#include <stdlib.h>

#include "model_internal.h"

struct fw_obj *fw_obj_make(struct mlx5_model *m, enum fw_type type)
{
	struct fw_obj *obj = m->full ? NULL : calloc(1, sizeof(*obj));

	if (!obj)
		return NULL;
	obj->type = type;
	obj->id = ++m->next_id;
	TAILQ_INSERT_TAIL(&m->objs[type], obj, link);
	return obj;
}

struct fw_obj *fw_obj_find(const struct mlx5_model *m, enum fw_type type, uint32_t id)
{
	struct fw_obj *obj;

	TAILQ_FOREACH (obj, &m->objs[type], link)
		if (obj->id == id)
			return obj;
	return NULL;
}

void fw_obj_use(struct fw_obj *obj, struct fw_obj *other)
{
	size_t i = 0;

	if (!other)
		return;
	while (obj->uses[i])
		i++;
	obj->uses[i] = other;
	other->users++;
}

static void obj_free(struct mlx5_model *m, struct fw_obj *obj)
{
	TAILQ_REMOVE(&m->objs[obj->type], obj, link);
	if (obj->type == FW_EQ)
		free(obj->eq.buf);
	free(obj);
}

void fw_obj_destroy(struct mlx5_model *m, struct fw_obj *obj)
{
	for (size_t i = 0; i < ARRAY_LEN(obj->uses); i++)
		if (obj->uses[i])
			obj->uses[i]->users--;
	obj_free(m, obj);
}

struct fw_obj *fw_obj_take(struct mlx5_model *m, enum fw_type type, uint32_t id,
			   const struct fw_cmd *c)
{
	struct fw_obj *obj = fw_obj_find(m, type, id);

	if (!obj)
		fw_refuse(c, FW_BAD_RES, 0x30001u | (uint32_t)type << 4);
	else if (obj->users)
		fw_refuse(c, FW_BUSY, 0x30002u | (uint32_t)type << 4);
	else
		return obj;
	return NULL;
}

void fw_objs_free(struct mlx5_model *m)
{
	struct fw_obj *obj;

	for (int i = 0; i < FW_NR_TYPES; i++)
		while ((obj = TAILQ_FIRST(&m->objs[i])) != NULL)
			obj_free(m, obj);
}

static struct fw_obj *make(struct mlx5_model *m, enum fw_type type, const struct fw_cmd *c)
{
	struct fw_obj *obj = fw_obj_make(m, type);

	if (obj)
		c->r->index = obj->id;
	else
		fw_refuse(c, FW_NO_RES, 0x30003);
	return obj;
}

static void destroy(struct mlx5_model *m, enum fw_type type, const struct fw_cmd *c)
{
	struct fw_obj *obj = fw_obj_take(m, type, fw_u24(c->in + 9), c);

	if (obj)
		fw_obj_destroy(m, obj);
}

void fw_alloc_td(struct mlx5_model *m, const struct fw_cmd *c)
{
	(void)make(m, FW_TD, c);
}

void fw_dealloc_td(struct mlx5_model *m, const struct fw_cmd *c)
{
	destroy(m, FW_TD, c);
}

void fw_create_tis(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *td = fw_obj_find(m, FW_TD, fw_u24(c->in + 69)), *tis;

	if (!td) {
		fw_refuse(c, FW_BAD_RES, 0x30004);
		return;
	}
	tis = make(m, FW_TIS, c);
	if (tis)
		fw_obj_use(tis, td);
}

void fw_destroy_tis(struct mlx5_model *m, const struct fw_cmd *c)
{
	destroy(m, FW_TIS, c);
}
