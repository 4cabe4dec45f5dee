// SPDX-License-Identifier: BSD-3-Clause
/*
 * Can a program be preloaded? The dynamic loader brings libholdfast-preload.so into a program. A
 * program that has no such loader gets an agent. One that must not be changed by its user can have
 * neither, and would run without a device and without a word. Looks at the file, changes nothing.
 * Thread rule: main thread.
 */
#ifndef HOLDFAST_CLI_PROGRAM_H
#define HOLDFAST_CLI_PROGRAM_H

#include "base/compiler.h"

/* How a program can be given devices. */
enum program_way {
	PROGRAM_PRELOAD, /* its loader brings the library */
	PROGRAM_AGENT,   /* it has no loader, or another libc's: frontends/agent */
};

/**
 * program_check() - look at what execvp(3) would run
 * @command: as for execvp(3): a path, or a name that is looked up in PATH. Of a script its
 *   interpreter is looked at.
 * @way: [out] which ways are open to it: the first that is; PROGRAM_PRELOAD if the file cannot be
 *   read or found, which is for execvp(3) to say
 * Return: 0; -ENOEXEC: there is no way, the reason by refuse(). With PROGRAM_AGENT, refuse_reason()
 * says why the library cannot come into the program.
 */
int program_check(const char *command, enum program_way *way) HF_MUST_CHECK;

/** program_exec() - execvp(3), but a shell is given texts alone: it would take the bytes of a
 * damaged program for commands. Returns only on failure, with errno */
void program_exec(char *const *argv);

#endif
