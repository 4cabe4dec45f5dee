// SPDX-License-Identifier: BSD-3-Clause
/*
 * Can a program be preloaded? The dynamic loader brings libholdfast-preload.so into a program. A
 * program that has no such loader, or one that must not listen to LD_PRELOAD, would run without a
 * device and without a word. Looks at the file, changes nothing. Thread rule: main thread.
 */
#ifndef HOLDFAST_CLI_PROGRAM_H
#define HOLDFAST_CLI_PROGRAM_H

#include "base/compiler.h"

/**
 * program_check() - look at what execvp(3) would run
 * @command: as for execvp(3): a path, or a name that is looked up in PATH. Of a script its
 *   interpreter is looked at.
 * Return: 0: nothing speaks against preloading, or the file cannot be read or found, which is for
 * execvp(3) to say; -ENOEXEC: the library cannot come into the program, the reason by refuse()
 */
int program_check(const char *command) HF_MUST_CHECK;

#endif
