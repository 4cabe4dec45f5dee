// SPDX-License-Identifier: BSD-3-Clause
/*
 * Becomes a program in a process where calls past libc can be caught in one way alone.
 *
 * Usage: raw_way listener|old-kernel|own-listener COMMAND...
 *
 *	listener	as the kernel is
 *	old-kernel	the kernel does not know that a received call is not to be interrupted
 *	own-listener	the process has a listener already, and can have one at most
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static long install(struct sock_filter *insns, unsigned short len, unsigned int flags)
{
	struct sock_fprog prog = {len, insns};
	long rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

	if (rc == 0)
		rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	if (rc < 0) {
		perror("seccomp");
		exit(1);
	}
	return rc;
}

int main(int argc, char **argv)
{
	struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_filter old[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1 << 5, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};

	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "own-listener") == 0) /* a copy outlives execve(2) */
		(void)!dup((int)install(allow, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER));
	else if (strcmp(argv[1], "old-kernel") == 0)
		install(old, sizeof(old) / sizeof(old[0]), SECCOMP_FILTER_FLAG_TSYNC);
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
