// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table and its references.
 *
 * 1. Reading a slot and taking a reference are two steps, and the file may be let go between them.
 *    File objects are therefore never given back to malloc, only to a list of free ones, and a
 *    reference is taken only if the count is not 0; then the slot is read again. If it still names
 *    the object, the reference is good, whatever the object was in between.
 * 2. A slot holds one reference. Whoever takes a pointer out of a slot, by exchange, owns that
 *    reference.
 * 3. Chunks of the table appear under a lock and stay.
 * 4. Whether a call comes from the process that opened the file is asked on every call, so it is
 *    not a system call: the process id stands on a page of its own, which the kernel wipes in every
 *    copy of the memory, whatever made it. A vfork child shares the memory, and is the same client
 *    as its parent.
 * 5. A number is the kernel's and an entry is ours, and the two change in two steps. Who makes,
 *    copies or closes a descriptor of a device holds the lock of the numbers over both steps. Who
 *    finds an entry whose descriptor has changed hands looks again under that lock before it drops
 *    the entry.
 * 6. Whether a descriptor is still the file's is asked on every call, too. Our open file
 *    descriptions bear a mark in a field that others leave at 0, the signal for asynchronous I/O:
 *    reading it is several times cheaper than fstat(2), which is the answer where the mark could
 *    not be set.
 */
#include "real.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/mutex.h"
#include "frontends/preload/call.h"
#include "frontends/preload/files.h"

/* See (6). A real-time signal that nothing raises without O_ASYNC, which a memfd does not have. */
#define DESCRIPTION_MARK 63

struct preload_file **files_chunks[FILES_NR_CHUNKS];

static struct mutex numbers_lock = MUTEX_INIT; /* see (5) */
static struct mutex list_lock = MUTEX_INIT;    /* chunks and the free list */
static struct preload_file *free_files GUARDED_BY(list_lock);
static pid_t owner_pid; /* whose table this is, 0 before the first open; const between forks */
static pid_t *
	/* whose memory this is, 0 in a fresh copy; NULL: no such page, ask the kernel */
	memory_pid;

__thread bool files_has_own;

static struct preload_file **slot_of(int fd)
{
	unsigned int n = (unsigned int)fd;
	struct preload_file **chunk;

	if (n >= FILES_CHUNK_LEN * FILES_NR_CHUNKS)
		return NULL;
	chunk = __atomic_load_n(&files_chunks[n / FILES_CHUNK_LEN], __ATOMIC_ACQUIRE);
	return chunk ? &chunk[n % FILES_CHUNK_LEN] : NULL;
}

static int add_chunk(unsigned int i)
{
	struct preload_file **chunk = calloc(FILES_CHUNK_LEN, sizeof(*chunk));

	if (!chunk)
		return -ENOMEM;
	mutex_lock(&list_lock);
	if (!files_chunks[i]) {
		__atomic_store_n(&files_chunks[i], chunk, __ATOMIC_RELEASE);
		chunk = NULL;
	}
	mutex_unlock(&list_lock);
	free(chunk);
	return 0;
}

static bool try_get(struct preload_file *file)
{
	unsigned int refs = __atomic_load_n(&file->refs, __ATOMIC_RELAXED);

	while (refs != 0)
		if (__atomic_compare_exchange_n(&file->refs, &refs, refs + 1, true,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

static struct preload_file *get_slot(struct preload_file **slot)
{
	struct preload_file *file;

	while ((file = __atomic_load_n(slot, __ATOMIC_ACQUIRE))) {
		if (!try_get(file))
			continue; /* on its way out of the slot */
		if (__atomic_load_n(slot, __ATOMIC_ACQUIRE) == file)
			return file;
		files_put(file);
	}
	return NULL;
}

bool files_mark(int fd)
{
	return real()->fcntl(fd, F_SETSIG, DESCRIPTION_MARK) == 0;
}

bool files_is_marked(int fd)
{
	return real()->fcntl(fd, F_GETSIG) == DESCRIPTION_MARK;
}

static bool is_behind(const struct preload_file *file, int fd)
{
	struct stat st;

	if (file->marked)
		return files_is_marked(fd);
	return real()->fstat(fd, &st) == 0 && st.st_ino == file->st_ino &&
	       st.st_dev == file->st_dev;
}

/* Empties @slot of @fd if it still holds @file, and the descriptor has changed hands. */
static void drop_stale(struct preload_file **slot, struct preload_file *file, int fd)
{
	struct preload_file *seen = file;
	struct files_hold hold;
	bool dropped;

	if (files_is_apart())
		return;
	files_lock(&hold);
	dropped = !is_behind(file, fd) &&
		  __atomic_compare_exchange_n(slot, &seen, NULL, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED);
	files_unlock(&hold);
	if (dropped)
		files_put(file);
}

bool files_any(void)
{
	return __atomic_load_n(&owner_pid, __ATOMIC_RELAXED) != 0;
}

struct preload_file *files_get(int fd)
{
	struct preload_file **slot = slot_of(fd);
	struct preload_file *file = slot ? get_slot(slot) : NULL;
	int saved = errno;

	if (!file || is_behind(file, fd))
		return file;
	drop_stale(slot, file, fd);
	files_put(file);
	errno = saved;
	return NULL;
}

/* Whatever call of the client's lets go last, it ends the session to its end: neither a handler nor
 * a cancellation leaves it in the middle. */
void files_put(struct preload_file *file)
{
	sigset_t before;
	int cancel_state;

	if (!file || __atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if (files_is_foreign(file))
		return;
	call_block_signals(&before);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (file->release)
		file->release(file);
	mutex_lock(&list_lock);
	file->next_free = free_files;
	free_files = file;
	mutex_unlock(&list_lock);
	pthread_setcancelstate(cancel_state, NULL);
	call_restore_signals(&before);
}

struct preload_file *files_new(void)
{
	struct preload_file *file;

	mutex_lock(&list_lock);
	file = free_files;
	if (file)
		free_files = file->next_free;
	mutex_unlock(&list_lock);
	if (!file)
		file = calloc(1, sizeof(*file));
	if (!file)
		return NULL;
	file->pid = owner_pid;
	file->inherited = false;
	file->session = NULL;
	file->release = NULL;
	__atomic_store_n(&file->refs, 1, __ATOMIC_RELEASE);
	return file;
}

void files_lock(struct files_hold *hold) NO_TSA
{
	call_block_signals(&hold->signals);
	mutex_lock(&numbers_lock);
}

void files_unlock(struct files_hold *hold) NO_TSA
{
	mutex_unlock(&numbers_lock);
	call_restore_signals(&hold->signals);
}

int files_install(int fd, struct preload_file *file, struct preload_file **old)
{
	unsigned int n = (unsigned int)fd;
	int rc;

	if (n >= FILES_CHUNK_LEN * FILES_NR_CHUNKS)
		return -EMFILE;
	if (!slot_of(fd) && (rc = add_chunk(n / FILES_CHUNK_LEN)))
		return rc;
	__atomic_add_fetch(&file->refs, 1, __ATOMIC_RELAXED);
	*old = __atomic_exchange_n(slot_of(fd), file, __ATOMIC_ACQ_REL);
	return 0;
}

struct preload_file *files_remove(int fd)
{
	struct preload_file **slot = slot_of(fd);

	return slot ? __atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL) : NULL;
}

void files_each(unsigned int first, unsigned int last, void (*fn)(int fd))
{
	unsigned int end = FILES_CHUNK_LEN * FILES_NR_CHUNKS - 1;

	if (last > end)
		last = end;
	for (unsigned int n = first; n <= last; n++) {
		if (!__atomic_load_n(&files_chunks[n / FILES_CHUNK_LEN], __ATOMIC_ACQUIRE))
			n |= FILES_CHUNK_LEN - 1; /* skip to the end of the chunk */
		else if (files_maybe((int)n))
			fn((int)n);
	}
}

struct preload_file *files_find(dev_t dev, ino_t ino)
{
	unsigned int end = FILES_CHUNK_LEN * FILES_NR_CHUNKS;

	for (unsigned int n = 0; n < end; n++) {
		struct preload_file *file;

		if (!__atomic_load_n(&files_chunks[n / FILES_CHUNK_LEN], __ATOMIC_ACQUIRE)) {
			n |= FILES_CHUNK_LEN - 1; /* skip to the end of the chunk */
			continue;
		}
		file = files_maybe((int)n) ? files_get((int)n) : NULL;
		if (file && file->st_dev == dev && file->st_ino == ino && !files_is_foreign(file))
			return file;
		files_put(file);
	}
	return NULL;
}

static void check_one(int fd)
{
	files_put(files_get(fd));
}

void files_remove_closed(unsigned int first, unsigned int last)
{
	files_each(first, last, check_one);
}

void files_remove_stale(void)
{
	files_each(0, UINT32_MAX, check_one);
}

bool files_is_foreign(const struct preload_file *file)
{
	return file->pid != (memory_pid ? *memory_pid : getpid());
}

bool files_is_free(int fd)
{
	struct preload_file **slot = slot_of(fd);
	struct preload_file *file = slot ? get_slot(slot) : NULL;
	bool is_free = !file || files_is_foreign(file);

	files_put(file);
	return is_free;
}

/* The page of (4). Where the kernel cannot wipe it (before 4.14), every call asks for the process
 * id. */
static void memory_pid_start(void)
{
	size_t len = (size_t)sysconf(_SC_PAGESIZE);
	void *page =
		real()->mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return;
	if (madvise(page, len, MADV_WIPEONFORK) < 0) {
		munmap(page, len);
		return;
	}
	memory_pid = page;
	*memory_pid = owner_pid;
}

pid_t files_owner(void)
{
	return __atomic_load_n(&owner_pid, __ATOMIC_RELAXED);
}

bool files_in_vfork(void)
{
	return owner_pid != 0 && owner_pid != getpid();
}

bool files_is_apart(void)
{
	return files_has_own || files_in_vfork();
}

void files_start(void)
{
	owner_pid = getpid();
	if (!memory_pid)
		memory_pid_start();
}

/* Other threads of the parent may have held the lock; there are none here. The files in the list
 * are safe to use only if nobody was changing it, so it is left behind. */
void files_after_fork(void) NO_TSA
{
	owner_pid = getpid();
	files_has_own = false;
	if (memory_pid)
		*memory_pid = owner_pid;
	mutex_init(&numbers_lock);
	mutex_init(&list_lock);
	free_files = NULL;
}
