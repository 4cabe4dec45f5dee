// SPDX-License-Identifier: BSD-3-Clause
/*
 *     0.001234 CREATE_MKEY lw=0x1 lr=0x1 access_mode_1_0=0x1 ... bytes=272+8 -> ok index=0x2 3us
 *     0.001301 QUERY_HCA_CAP op_mod=0x1 bytes=16 -> status=0x3 syndrome=0x10004 1us
 *
 * Seconds since the file was opened; the command and its fields, by the manual's names; the bytes
 * sent, those of a list behind a plus; what came back; how long it took, and "/4" behind that if
 * four commands were under way at once. The time is that at which the device had answered. Fields
 * that are zero are left out, but for the index of what a command is about.
 *
 *     0.001240 ibv_reg_mr addr=0x7f0000000000 len=0x1000 write=1 -> ok lkey=0x1234 6us
 */
#include "trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/refuse.h"
#include "layout.h"

#define LINE_LEN 1024

struct mlx5_trace {
	int fd;
	int64_t start_ns;
};

/* What a line shows: fields from the first to the last of a table in layout.c. */
struct shape {
	uint16_t opcode;
	const char *name;
	uint16_t fixed;                 /* bytes before a list; 0: there is none */
	enum mlx5_field_id first, last; /* of the command */
	enum mlx5_field_id out;         /* of the reply; MLX5_NR_FIELDS: none */
	bool index;                     /* the command is about something with an index */
};

#define NONE MLX5_NR_FIELDS, MLX5_NR_FIELDS

static const struct shape shapes[] = {
	{MLX5_OP_QUERY_HCA_CAP, "QUERY_HCA_CAP", 0, MLX5_IN_OP_MOD, MLX5_IN_OP_MOD, MLX5_NR_FIELDS,
	 false},
	{MLX5_OP_CREATE_MKEY, "CREATE_MKEY", MLX5_CREATE_MKEY_IN_LEN, MLX5_MKC_LW,
	 MLX5_MKC_LOG_PAGE, MLX5_IO_INDEX, false},
	{MLX5_OP_DESTROY_MKEY, "DESTROY_MKEY", 0, NONE, MLX5_NR_FIELDS, true},
	{MLX5_OP_QUERY_SPECIAL_CONTEXTS, "QUERY_SPECIAL_CONTEXTS", 0, NONE, MLX5_SPECIAL_NULL_MKEY,
	 false},
	{MLX5_OP_CREATE_EQ, "CREATE_EQ", 0, MLX5_EQ_LOG_SIZE, MLX5_EQ_EVENTS, MLX5_EQ_NUMBER,
	 false},
	{MLX5_OP_DESTROY_EQ, "DESTROY_EQ", 0, MLX5_EQ_NUMBER, MLX5_EQ_NUMBER, MLX5_NR_FIELDS,
	 false},
	{MLX5_OP_ALLOC_PD, "ALLOC_PD", 0, NONE, MLX5_IO_INDEX, false},
	{MLX5_OP_DEALLOC_PD, "DEALLOC_PD", 0, NONE, MLX5_NR_FIELDS, true},
	{MLX5_OP_ALLOC_TRANSPORT_DOMAIN, "ALLOC_TRANSPORT_DOMAIN", 0, NONE, MLX5_IO_INDEX, false},
	{MLX5_OP_DEALLOC_TRANSPORT_DOMAIN, "DEALLOC_TRANSPORT_DOMAIN", 0, NONE, MLX5_NR_FIELDS,
	 true},
	{MLX5_OP_CREATE_TIR, "CREATE_TIR", 0, MLX5_TIR_DISP_TYPE, MLX5_TIR_SELECTED, MLX5_IO_INDEX,
	 false},
	{MLX5_OP_DESTROY_TIR, "DESTROY_TIR", 0, NONE, MLX5_NR_FIELDS, true},
	{MLX5_OP_CREATE_TIS, "CREATE_TIS", 0, MLX5_TIS_TD, MLX5_TIS_TD, MLX5_IO_INDEX, false},
	{MLX5_OP_DESTROY_TIS, "DESTROY_TIS", 0, NONE, MLX5_NR_FIELDS, true},
	{MLX5_OP_CREATE_RQT, "CREATE_RQT", MLX5_RQT_LEN, MLX5_RQT_LIST_TYPE, MLX5_RQT_ACTUAL,
	 MLX5_IO_INDEX, false},
	{MLX5_OP_MODIFY_RQT, "MODIFY_RQT", MLX5_RQT_LEN, MLX5_RQT_SELECT_LIST, MLX5_RQT_ACTUAL,
	 MLX5_NR_FIELDS, true},
	{MLX5_OP_DESTROY_RQT, "DESTROY_RQT", 0, NONE, MLX5_NR_FIELDS, true},
	{MLX5_OP_SET_FLOW_TABLE_ROOT, "SET_FLOW_TABLE_ROOT", 0, MLX5_FLOW_TABLE_TYPE,
	 MLX5_FLOW_TABLE_ID, MLX5_NR_FIELDS, false},
	{MLX5_OP_CREATE_FLOW_TABLE, "CREATE_FLOW_TABLE", 0, MLX5_FLOW_LEVEL, MLX5_FLOW_LOG_SIZE,
	 MLX5_IO_INDEX, false},
	{MLX5_OP_DESTROY_FLOW_TABLE, "DESTROY_FLOW_TABLE", 0, MLX5_FLOW_TABLE_TYPE,
	 MLX5_FLOW_TABLE_ID, MLX5_NR_FIELDS, false},
	{MLX5_OP_CREATE_FLOW_GROUP, "CREATE_FLOW_GROUP", 0, MLX5_GROUP_START, MLX5_GROUP_CVLAN,
	 MLX5_IO_INDEX, false},
	{MLX5_OP_DESTROY_FLOW_GROUP, "DESTROY_FLOW_GROUP", 0, MLX5_GROUP_ID, MLX5_GROUP_ID,
	 MLX5_NR_FIELDS, false},
	{MLX5_OP_SET_FLOW_TABLE_ENTRY, "SET_FLOW_TABLE_ENTRY", 0, MLX5_FTE_INDEX, MLX5_FTE_DEST_ID,
	 MLX5_NR_FIELDS, false},
	{MLX5_OP_DELETE_FLOW_TABLE_ENTRY, "DELETE_FLOW_TABLE_ENTRY", 0, MLX5_FTE_INDEX,
	 MLX5_FTE_INDEX, MLX5_NR_FIELDS, false},
	{MLX5_OP_CREATE_GENERAL_OBJECT, "CREATE_GENERAL_OBJECT", 0, MLX5_OBJ_TYPE,
	 MLX5_VQ_DESC_MKEY_FIELD, MLX5_OBJ_ID, false},
	{MLX5_OP_MODIFY_GENERAL_OBJECT, "MODIFY_GENERAL_OBJECT", 0, MLX5_OBJ_TYPE,
	 MLX5_VQ_DESC_MKEY_FIELD, MLX5_NR_FIELDS, false},
	{MLX5_OP_QUERY_GENERAL_OBJECT, "QUERY_GENERAL_OBJECT", 0, MLX5_OBJ_TYPE, MLX5_OBJ_ID,
	 MLX5_VQ_STATE_FIELD, false},
	{MLX5_OP_DESTROY_GENERAL_OBJECT, "DESTROY_GENERAL_OBJECT", 0, MLX5_OBJ_TYPE, MLX5_OBJ_ID,
	 MLX5_NR_FIELDS, false},
};

static const struct shape *shape_of(const void *in)
{
	unsigned int opcode = (unsigned int)mlx5_get(in, MLX5_IN_OPCODE);

	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (shapes[i].opcode == opcode)
			return &shapes[i];
	return NULL;
}

const char *mlx5_command_name(const void *in)
{
	const struct shape *shape = shape_of(in);

	return shape ? shape->name : "a command";
}

int mlx5_trace_open(const char *path, struct mlx5_trace **out)
{
	struct mlx5_trace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return -ENOMEM;
	trace->fd = fd_open_output(path, 0644);
	if (trace->fd < 0) {
		int err = trace->fd;

		free(trace);
		return refuse(err, "trace '%s' cannot be written: %s", path, strerror(-err));
	}
	trace->fd = fd_move_up(trace->fd);
	trace->start_ns = clock_now_ns();
	*out = trace;
	return 0;
}

void mlx5_trace_close(struct mlx5_trace *trace)
{
	if (!trace)
		return;
	fd_close(&trace->fd);
	free(trace);
}

struct line {
	char text[LINE_LEN];
	size_t len;
};

static void add_args(struct line *l, const char *form, va_list args)
{
	int n = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, form, args);

	if (n > 0)
		l->len += (size_t)n < sizeof(l->text) - l->len ? (size_t)n
							       : sizeof(l->text) - l->len - 1;
}

static __attribute__((format(printf, 2, 3))) void add(struct line *l, const char *form, ...)
{
	va_list args;

	va_start(args, form);
	add_args(l, form, args);
	va_end(args);
}

/* Does the field lie in @len bytes? */
static bool lies_in(enum mlx5_field_id id, size_t len)
{
	return mlx5_fields[id].bit + mlx5_fields[id].width <= len * 8;
}

static void add_command(struct line *l, const struct shape *s, const void *in, size_t in_len)
{
	add(l, " %s", s->name);
	if (s->index)
		add(l, " index=0x%" PRIx64, mlx5_get(in, MLX5_IO_INDEX));
	for (unsigned int id = s->first; id < MLX5_NR_FIELDS && id <= s->last; id++)
		if (lies_in(id, in_len) && mlx5_get(in, id))
			add(l, " %s=0x%" PRIx64, mlx5_fields[id].name, mlx5_get(in, id));
	if (s->fixed && in_len > s->fixed)
		add(l, " bytes=%u+%zu", s->fixed, in_len - s->fixed);
	else
		add(l, " bytes=%zu", in_len);
}

static void add_reply(struct line *l, const struct shape *s, const void *out, size_t out_len,
		      int err)
{
	uint64_t status = err ? 0 : mlx5_get(out, MLX5_OUT_STATUS);

	if (err)
		add(l, " -> no answer: %s", strerror(-err));
	else if (status)
		add(l, " -> status=0x%" PRIx64 " syndrome=0x%" PRIx64, status,
		    mlx5_get(out, MLX5_OUT_SYNDROME));
	else
		add(l, " -> ok");
	if (!err && !status && s->out < MLX5_NR_FIELDS && lies_in(s->out, out_len))
		add(l, " %s=0x%" PRIx64, mlx5_fields[s->out].name, mlx5_get(out, s->out));
}

static void add_time(struct line *l, const struct mlx5_trace *trace)
{
	int64_t at = clock_now_ns() - trace->start_ns;

	add(l, "%" PRId64 ".%06" PRId64, at / NS_PER_SEC, at % NS_PER_SEC / NS_PER_US);
}

static void end_line(struct line *l, struct mlx5_trace *trace)
{
	add(l, "\n");
	l->text[l->len - 1] = '\n'; /* one that was cut, too */
	if (write(trace->fd, l->text, l->len) < 0)
		fd_close(&trace->fd); /* a full disk must not stop the device */
}

void mlx5_trace_command(struct mlx5_trace *trace, const struct mlx5_exec *cmd, int64_t ns,
			size_t at_once)
{
	const struct shape *s = shape_of(cmd->in);
	struct line l = {.len = 0};

	if (!s)
		return;
	add_time(&l, trace);
	add_command(&l, s, cmd->in, cmd->in_len);
	add_reply(&l, s, cmd->out, cmd->out_len, cmd->err);
	add(&l, " %" PRId64 "us", ns / NS_PER_US);
	if (at_once > 1)
		add(&l, "/%zu", at_once);
	end_line(&l, trace);
}

void mlx5_trace_call(struct mlx5_trace *trace, int64_t start_ns, int err, const char *result,
		     uint64_t value, const char *form, ...)
{
	struct line l = {.len = 0};
	va_list args;

	if (!trace)
		return;
	add_time(&l, trace);
	add(&l, " ");
	va_start(args, form);
	add_args(&l, form, args);
	va_end(args);
	add(&l, " -> %s", err ? strerror(-err) : "ok");
	if (!err && result)
		add(&l, " %s=0x%" PRIx64, result, value);
	add(&l, " %" PRId64 "us", (clock_now_ns() - start_ns) / NS_PER_US);
	end_line(&l, trace);
}
