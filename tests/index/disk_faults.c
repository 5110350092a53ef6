/* Counts the calls that change the disk below a folder, and lets one of them fail or kills the process at it.
 *
 * Preloaded into a process (LD_PRELOAD), which then says what is to happen: `disk_faults(folder, at, error)` starts
 * counting at 1. The call of number `at` fails with `error`; 0 kills the process there, after half of a write. A full
 * disk stays full: with ENOSPC all calls after it fail that need room. What removes is counted, and never fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define LOG_BYTES (1 << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX], moments[LOG_BYTES];
static long at, met, logged;
static int error;

void disk_faults(const char *path, long number, int code) {
    strncpy(folder, path, sizeof folder - 1);
    at = number, error = code, met = logged = 0;
}

const char *disk_faults_met(void) { return moments; }

/* 0: go on; 1: fail with errno; 2: the process is to end here. */
static int met_at(const char *what, const char *path) {
    if (!folder[0] || !path || strncmp(path, folder, strlen(folder)))
        return 0;
    pthread_mutex_lock(&lock);
    long number = ++met;
    if (logged < LOG_BYTES - PATH_MAX - 32)
        logged += snprintf(moments + logged, PATH_MAX + 32, "%s %s\n", what, path + strlen(folder));
    pthread_mutex_unlock(&lock);
    int needs_room = !strstr(what, "sync") && strncmp(what, "rename", 6);
    int now = number == at, later = at && number > at && error == ENOSPC && needs_room;
    if (now && !error)
        return 2;
    if (!now && !later)
        return 0;
    errno = error;
    return 1;
}

static const char *name_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static void end(void) { kill(getpid(), SIGKILL); }

#define WITH_PATH(name, result, given, called, path)                                                                   \
    result name given {                                                                                                \
        int told = met_at(#name, path);                                                                                \
        if (told == 2)                                                                                                 \
            end();                                                                                                     \
        return told ? -1 : REAL(name) called;                                                                          \
    }

#define WITH_FILE(name, result, given, called, descriptor, half)                                                       \
    result name given {                                                                                                \
        char path[PATH_MAX];                                                                                           \
        int told = met_at(#name, name_of(descriptor, path));                                                           \
        if (told == 2) {                                                                                               \
            half;                                                                                                      \
            end();                                                                                                     \
        }                                                                                                              \
        return told ? -1 : REAL(name) called;                                                                          \
    }

WITH_FILE(write, ssize_t, (int file, const void *data, size_t count), (file, data, count), file,
          REAL(write)(file, data, count / 2))
WITH_FILE(pwrite, ssize_t, (int file, const void *data, size_t count, off_t place), (file, data, count, place), file,
          REAL(pwrite)(file, data, count / 2, place))
WITH_FILE(pwrite64, ssize_t, (int file, const void *data, size_t count, off64_t place), (file, data, count, place),
          file, REAL(pwrite64)(file, data, count / 2, place))
WITH_FILE(writev, ssize_t, (int file, const struct iovec *parts, int count), (file, parts, count), file,
          REAL(writev)(file, parts, count / 2))
WITH_FILE(fsync, int, (int file), (file), file, )
WITH_FILE(fdatasync, int, (int file), (file), file, )
WITH_FILE(ftruncate, int, (int file, off_t size), (file, size), file, )
WITH_FILE(ftruncate64, int, (int file, off64_t size), (file, size), file, )
WITH_PATH(rename, int, (const char *from, const char *to), (from, to), to)
WITH_PATH(renameat, int, (int one, const char *from, int other, const char *to), (one, from, other, to), to)
WITH_PATH(renameat2, int, (int one, const char *from, int other, const char *to, unsigned flags),
          (one, from, other, to, flags), to)
WITH_PATH(link, int, (const char *from, const char *to), (from, to), to)
WITH_PATH(linkat, int, (int one, const char *from, int other, const char *to, int flags),
          (one, from, other, to, flags), to)
WITH_PATH(mkdir, int, (const char *path, mode_t mode), (path, mode), path)

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    char path[PATH_MAX];
    int told = met_at("fwrite", name_of(fileno(file), path));
    if (told == 2) {
        REAL(fwrite)(data, size, count / 2, file);
        fflush(file);
        end();
    }
    return told ? 0 : REAL(fwrite)(data, size, count, file);
}

#define OPENS(name, given, called)                                                                                     \
    int name given {                                                                                                   \
        mode_t mode = 0;                                                                                               \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                                         \
            va_list rest;                                                                                              \
            va_start(rest, flags);                                                                                     \
            mode = va_arg(rest, mode_t);                                                                               \
            va_end(rest);                                                                                              \
        }                                                                                                              \
        int told = flags & (O_WRONLY | O_RDWR) ? met_at(#name, path) : 0;                                              \
        if (told == 2)                                                                                                 \
            end();                                                                                                     \
        return told ? -1 : REAL(name) called;                                                                          \
    }

OPENS(open, (const char *path, int flags, ...), (path, flags, mode))
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, (int folder_at, const char *path, int flags, ...), (folder_at, path, flags, mode))
OPENS(openat64, (int folder_at, const char *path, int flags, ...), (folder_at, path, flags, mode))

#define REMOVES(name, given, called, path)                                                                             \
    int name given {                                                                                                   \
        if (met_at(#name, path) == 2)                                                                                  \
            end();                                                                                                     \
        return REAL(name) called;                                                                                      \
    }

REMOVES(unlink, (const char *path), (path), path)
REMOVES(rmdir, (const char *path), (path), path)
