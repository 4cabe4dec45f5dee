// SPDX-License-Identifier: BSD-3-Clause
/*
 * A folder with all that devices of a test leave outside of their process, and what is there now:
 * files, sockets that are bound below it, locks on its files, and the test's own descriptors. Two
 * texts that are alike mean that nothing was left.
 *
 *   DIR/run/        XDG_RUNTIME_DIR: the control sockets
 *   DIR/disk        a disk's file
 *   DIR/socket      where a card listens
 *   DIR/peer        where a card connects to
 *
 * Thread rule: one thread.
 */
#ifndef HOLDFAST_TEST_DEATH_WORLD_H
#define HOLDFAST_TEST_DEATH_WORLD_H

#include <stddef.h>

#define WORLD_DISK_LEN (1u << 20)

struct world {
	char dir[40];
};

/** world_make() - Return: 0 or -errno */
int world_make(struct world *w);
void world_remove(const struct world *w);

/** world_look() - Return: [owned] what is there, a line each; NULL without memory */
char *world_look(const struct world *w);

/** world_env() - the environment of a client: the library, its devices, where its sockets go
 * Return: [owned, as one allocation] for execve(2) */
char **world_env(const struct world *w, const char *library, const char *devices);

#endif
