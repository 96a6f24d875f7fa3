// SPDX-License-Identifier: Apache-2.0
/* What the real env takes from the machine without the ring: clocks, a random seed, whole pages, defaults, what the
 * process uses, and the sentence for a set-up that failed. Failure modes: no pages (NULL); no /proc: a status; a kernel
 * without clocks or random numbers is a CHECK. */
#include "base/env_uring_impl.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct mono_ns uring_mono(struct env *e)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct mono_ns){t.tv_sec * NS_PER_S + t.tv_nsec};
}

struct wall_ms uring_wall(struct env *e)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (struct wall_ms){t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS};
}

uint64_t uring_seed(void)
{
    uint64_t seed = 0;
    CHECK(getrandom(&seed, sizeof seed, 0) == sizeof seed);
    return seed;
}

void uring_pause(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    nanosleep(&t, NULL);
}

void *uring_map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void uring_unmap(void *p, size_t size)
{
    if (p != NULL) munmap(p, size);
}

struct env_uring_config uring_defaults(struct env_uring_config c)
{
    if (c.sq_entries == 0) c.sq_entries = URING_SQ_ENTRIES;
    if (c.cq_entries == 0) c.cq_entries = URING_CQ_ENTRIES;
    if (c.recv_buffers == 0) c.recv_buffers = 256;
    if (c.dio_align == 0) c.dio_align = 4096;
    if (c.trace_records == 0) c.trace_records = 4096;
    if (c.memory_bytes == 0) c.memory_bytes = 256ull << 20;
    return c;
}

enum status uring_fail(int err, const char *what, char ret_error[256])
{
    snprintf(ret_error, 256, "%s: %s", what, strerror(err));
    return err == EPERM || err == ENOSYS || err == EINVAL ? STATUS_UNSUPPORTED : status_from_errno(err);
}

static int64_t ns_of(struct timeval t)
{
    return t.tv_sec * NS_PER_S + t.tv_usec * NS_PER_US;
}

static int64_t count_files(uint64_t *ret_count)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) return -errno;
    uint64_t n = 0;
    while (readdir(dir) != NULL) n++;
    closedir(dir);
    *ret_count = n - 3; /* . and .. and the directory itself */
    return 0;
}

int64_t uring_process(struct env_process *ret_process)
{
    struct env_process p = {0};
    struct rusage usage;
    struct rlimit files;
    unsigned long long size, resident;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL) return -errno;
    int fields = fscanf(f, "%llu %llu", &size, &resident);
    fclose(f);
    if (fields != 2) return -EIO;
    int64_t err = count_files(&p.files_open);
    if (err != 0) return err;
    if (getrusage(RUSAGE_SELF, &usage) != 0 || getrlimit(RLIMIT_NOFILE, &files) != 0) return -errno;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    p.cpu_ns = (uint64_t)(ns_of(usage.ru_utime) + ns_of(usage.ru_stime));
    p.virtual_bytes = size * page;
    p.resident_bytes = resident * page;
    p.files_max = files.rlim_cur;
    *ret_process = p;
    return 0;
}
