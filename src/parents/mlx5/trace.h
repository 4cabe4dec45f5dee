// SPDX-License-Identifier: BSD-3-Clause
/*
 * A line for every command to the device, with names and fields, in a file: what somebody with a
 * card compares. What a card's library does in place of a command has a line, too. Owns the file.
 * Used by cmd.c and devx*.c. Thread rule: one thread at a time, as the commands.
 */
#ifndef HOLDFAST_PARENTS_MLX5_TRACE_H
#define HOLDFAST_PARENTS_MLX5_TRACE_H

#include "cmd.h"

struct mlx5_trace;

/** mlx5_trace_open() - @path is written afresh. Return: 0 or -errno, with the reason in words */
int mlx5_trace_open(const char *path, struct mlx5_trace **out) HF_MUST_CHECK;
/** mlx5_trace_close() - NULL is fine */
void mlx5_trace_close(struct mlx5_trace *trace);
/** mlx5_trace_command() - a command that was executed. @ns: how long it took; @at_once: so many
 * were under way */
void mlx5_trace_command(struct mlx5_trace *trace, const struct mlx5_exec *cmd, int64_t ns,
			size_t at_once);
/**
 * mlx5_trace_call() - a call of a library, or of the system, that was made
 * @trace:    NULL: nothing is noted
 * @start_ns: clock_now_ns() before the call
 * @err:      0 or negative errno
 * @result:   name of what came of it, NULL: nothing did; @value: that
 * @form:     the function's name and its arguments
 */
void mlx5_trace_call(struct mlx5_trace *trace, int64_t start_ns, int err, const char *result,
		     uint64_t value, const char *form, ...) __attribute__((format(printf, 6, 7)));
/** mlx5_command_name() - of the command in @in; "a command" if it is none of the driver's */
const char *mlx5_command_name(const void *in);

#endif
