// SPDX-License-Identifier: BSD-3-Clause
/*
 * The programs that run with devices of ours, as `holdfast dev` sees them: finding them, choosing
 * one, asking it.
 * Thread rule: main thread. Whatever goes wrong is told here, in one line; functions return exit
 * statuses.
 */
#ifndef HOLDFAST_CLI_INSTANCES_H
#define HOLDFAST_CLI_INSTANCES_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"

#define INSTANCES_MAX 64u

struct instance {
	int fd;
	pid_t pid;
	char command[20]; /* of the process, or "?"; printable */
};

struct instances {
	struct instance list[INSTANCES_MAX];
	size_t nr;
};

/* What the person said. */
struct instance_choice {
	const char *who;     /* "holdfast dev", begins each message */
	const char *control; /* path of a socket, or NULL */
	pid_t pid;           /* 0: any */
	bool change;         /* it must be one, not several */
};

/** instances_find() - connect to all that are meant; dead ones' sockets are removed. Return: 0, or
 * exit status */
int instances_find(const struct instance_choice *choice, struct instances *out) HF_MUST_CHECK;
void instances_close(struct instances *all);

/* Room for "no device NAME". */
#define INSTANCE_WORDS_LEN 128

/**
 * instance_ask() - one request, at most 30 s
 * @result: [out, owned] on success only
 * @absent: [out] NULL, or [INSTANCE_WORDS_LEN]: if the program has no such device (ENODEV), the
 * error is written there instead of printed; "" otherwise. If the program has ended meanwhile, that
 * is then no error, and there is no result
 * Return: 0, or exit status, and the error was printed
 */
int instance_ask(const char *who, const struct instance *one, const json_t *request,
		 json_t **result, char *absent) HF_MUST_CHECK;

/** reply_take() - the result of a reply, or its error printed. @reply: [consumed]; @absent: as
 * above. Return: as above */
int reply_take(const char *who, json_t *reply, json_t **result, char *absent) HF_MUST_CHECK;

#endif
