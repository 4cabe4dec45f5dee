// SPDX-License-Identifier: BSD-3-Clause
/*
 * An agent whose client and supervisor are gone when it begins ends by itself: nobody is left who
 * could tell it to. The supervisor maps an agent into a client and clones it there; here a process
 * does to itself what the supervisor does, and becomes the agent when its parent has ended.
 *
 * Usage: test_agent_orphan AGENT
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/refuse.h"
#include "frontends/agent/supervisor.h"

#define DEADLINE_MS 60000

static void must(bool ok, const char *step)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", step, strerror(errno));
	_exit(2);
}

static void map(uint64_t at, uint64_t len, int prot, int flags, int fd, uint64_t off)
{
	void *got = mmap((void *)at, len, prot, MAP_FIXED | flags, fd, (off_t)off);

	must(got == (void *)at, "mmap");
}

static void map_segment(const struct image *image, const ElfW(Phdr) * p)
{
	uint64_t at = AGENT_BASE + p->p_vaddr, first = at & ~4095ull, end = at + p->p_memsz;

	map(first, end - first, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	    0);
	must(pread(image->fd, (void *)at, p->p_filesz, (off_t)p->p_offset) == (ssize_t)p->p_filesz,
	     "segment");
}

/* @gone: the number of a process that was the client and the supervisor. */
static void become_agent(const struct image *image, pid_t gone)
{
	uint64_t top = AGENT_STACK + AGENT_STACK_LEN - 4096, sp;
	struct client client = {.tgid = gone};
	void *stack;
	int fd;

	for (size_t i = 0; i < image->nr_segments; i++)
		map_segment(image, &image->segments[i]);
	map(AGENT_STACK, AGENT_STACK_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	    0);
	must(channel_create(&client, &fd) == 0, "channel");
	client.channel->alive = (uint32_t)gone;
	client.channel->client = client.channel->client_here = gone;
	client.channel->sees_supervisor = true;
	map(AGENT_CHANNEL, AGENT_CHANNEL_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	stack = image_stack(image, getpid(), top, &sp);
	must(stack != NULL, "stack");
	memcpy((void *)sp, stack, top - sp);
	__asm__ volatile("mov %0, %%rsp\n"
			 "jmp *%1\n"
			 :
			 : "r"(sp), "r"(image->entry), "a"((long)SYS_getpid)
			 : "memory");
	__builtin_unreachable();
}

/* Starts an agent as a child of a process that has ended. Return: its number */
static pid_t start(const struct image *image)
{
	int ends[2], numbers[2];
	pid_t client, agent;

	must(pipe(ends) == 0 && pipe(numbers) == 0, "pipe");
	client = fork();
	must(client >= 0, "fork");
	if (client == 0) {
		client = getpid();
		agent = fork();
		if (agent == 0) {
			close(ends[1]);
			(void)!read(ends[0], &(char){0}, 1); /* until the client has ended */
			become_agent(image, client);
		}
		_exit(write(numbers[1], &agent, sizeof(agent)) == sizeof(agent) ? 0 : 1);
	}
	must(waitpid(client, NULL, 0) == client, "the client's end");
	must(read(numbers[0], &agent, sizeof(agent)) == sizeof(agent) && agent > 0, "number");
	close(ends[1]);
	return agent;
}

int main(int argc, char **argv)
{
	struct pollfd end = {.events = POLLIN};
	struct image image;
	int status = -1;
	pid_t agent;

	must(argc == 2 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "start");
	if (image_open(&image, argv[1])) {
		fputs(refuse_reason(), stderr);
		return 2;
	}
	agent = start(&image);
	end.fd = (int)syscall(SYS_pidfd_open, agent, 0);
	must(end.fd >= 0, "pidfd_open");
	if (poll(&end, 1, DEADLINE_MS) != 1) {
		kill(agent, SIGKILL);
		fputs("the agent of a client that is gone stays\n", stderr);
		return 1;
	}
	must(waitpid(agent, &status, __WALL) == agent, "waitpid");
	if (WIFEXITED(status))
		return 0;
	fprintf(stderr, "the agent ends with %#x\n", status);
	return 1;
}
