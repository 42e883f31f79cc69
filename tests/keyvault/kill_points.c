/* Counts the calls by which a process changes files, and kills it, or fails, at one of them.
 *
 * Loaded with LD_PRELOAD.  Nothing happens until kill_points_arm; standard output and error are left out.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { OFF, COUNT, BEFORE, TORN, AFTER, FULL, FAIL };

#define LOG_SIZE 65536

static char seen_calls[LOG_SIZE];
static atomic_long seen;
static long target;
static int how;

void kill_points_arm(int how_wanted, long target_wanted) {
    seen = 0;
    target = target_wanted;
    how = how_wanted;
}

long kill_points_seen(void) { return seen; }

const char *kill_points_log(void) { return seen_calls; }

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether this call is the one, or, on a disk that is full, one of those that need space. */
static int reached(char kind, int grows) {
    if (how == OFF) return 0;
    long number = ++seen;
    if (number < LOG_SIZE) seen_calls[number - 1] = kind;
    if (how == FULL) return grows && number >= target;
    if (how == COUNT || number != target) return 0;
    if (how == BEFORE) die();
    return 1;
}

static long refused(void) {
    errno = how == FULL ? ENOSPC : EIO;
    return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define PLAIN(type, name, kind, grows, parameters, arguments)   \
    type name parameters {                                      \
        static type(*real) parameters;                          \
        if (!real) real = REAL(name);                           \
        int here = reached(kind, grows);                        \
        if (here && (how == FULL || how == FAIL)) return refused(); \
        type result = real arguments;                           \
        if (here) die();                                        \
        return result;                                          \
    }

#define WRITES(name, parameters, half, arguments)               \
    ssize_t name parameters {                                   \
        static ssize_t(*real) parameters;                       \
        if (!real) real = REAL(name);                           \
        if (file <= 2) return real arguments;                   \
        int here = reached('w', 1);                             \
        if (here && (how == FULL || how == FAIL)) return refused(); \
        ssize_t result = here && how == TORN ? real half : real arguments; \
        if (here) die();                                        \
        return result;                                          \
    }

WRITES(write, (int file, const void *data, size_t size), (file, data, size / 2), (file, data, size))
WRITES(pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size / 2, at), (file, data, size, at))
WRITES(pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size / 2, at),
       (file, data, size, at))
PLAIN(int, fsync, 's', 0, (int file), (file))
PLAIN(int, fdatasync, 's', 0, (int file), (file))
PLAIN(int, ftruncate, 't', 0, (int file, off_t size), (file, size))
PLAIN(int, ftruncate64, 't', 0, (int file, off64_t size), (file, size))
PLAIN(int, rename, 'r', 0, (const char *from, const char *to), (from, to))
PLAIN(int, renameat, 'r', 0, (int a, const char *from, int b, const char *to), (a, from, b, to))
PLAIN(int, link, 'l', 1, (const char *from, const char *to), (from, to))
PLAIN(int, linkat, 'l', 1, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
PLAIN(int, unlink, 'u', 0, (const char *path), (path))
PLAIN(int, unlinkat, 'u', 0, (int folder, const char *path, int flags), (folder, path, flags))
PLAIN(int, mkdir, 'm', 1, (const char *path, mode_t mode), (path, mode))
PLAIN(int, mkdirat, 'm', 1, (int folder, const char *path, mode_t mode), (folder, path, mode))
