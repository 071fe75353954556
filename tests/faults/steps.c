/* Preloaded into a daemon of the lab (LD_PRELOAD): ends it by SIGKILL at one chosen step of making a file durable.
 *
 * In: STEPS_OF, the file; STEPS_AT, a file that arms this while it is there and holds a number. Out: what the daemon does
 * with the file, its next content (FILE.new) and its directory is counted from the moment of arming: unlink, open for
 * writing, write, fsync, rename, and the directory's fsync. Step K ends the daemon before its ((K + 1) / 2)th such call
 * where K is odd, after it where K is even.
 *
 * strace(1) counts calls of each thread by itself, and here each call may come from another thread.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static atomic_int steps;

/* The number in STEPS_AT; 0 where this is not armed. */
static int armed_at(void)
{
	const char *path = getenv("STEPS_AT");
	char text[16] = "";
	int fd = path ? REAL(open64)(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return 0;
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	return length > 0 ? atoi(text) : 0;
}

/* Whether a path is the file, the file's next content, or (for fsync) the directory that holds them. */
static int is_watched(const char *path, int or_directory)
{
	const char *file = getenv("STEPS_OF");
	if (!file || !path)
		return 0;
	size_t length = strlen(file), directory = strrchr(file, '/') - file;
	if (or_directory && strlen(path) == directory && !strncmp(path, file, directory))
		return 1;
	return !strncmp(path, file, length) && (!path[length] || !strcmp(path + length, ".new"));
}

static int is_watched_descriptor(int fd, int or_directory)
{
	char link[64], path[PATH_MAX];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return 0;
	path[length] = 0;
	return is_watched(path, or_directory);
}

static void step(const char *call, const char *moment)
{
	int kept = errno, at = armed_at();
	errno = kept;
	if (!at) {
		atomic_store(&steps, 0);
		return;
	}
	if (atomic_fetch_add(&steps, 1) + 1 != at)
		return;
	dprintf(2, "steps: ended at step %d, %s %s\n", at, moment, call);
	kill(getpid(), SIGKILL);
	pause();
}

#define STEP(watched, call, perform)        \
	do {                                \
		int is_step = (watched);    \
		if (is_step)                \
			step(call, "before"); \
		__typeof__(perform) result = (perform); \
		if (is_step)                \
			step(call, "after"); \
		return result;              \
	} while (0)

int unlink(const char *path)
{
	STEP(is_watched(path, 0), "unlink", REAL(unlink)(path));
}

int open64(const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	STEP((flags & O_CREAT) && is_watched(path, 0), "open", REAL(open64)(path, flags, mode));
}

ssize_t write(int fd, const void *octets, size_t count)
{
	STEP(is_watched_descriptor(fd, 0), "write", REAL(write)(fd, octets, count));
}

int fsync(int fd)
{
	STEP(is_watched_descriptor(fd, 1), "fsync", REAL(fsync)(fd));
}

int rename(const char *from, const char *to)
{
	STEP(is_watched(to, 0), "rename", REAL(rename)(from, to));
}
