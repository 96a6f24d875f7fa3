// SPDX-License-Identifier: Apache-2.0
/* What the real env takes from the machine without the ring: clocks, a random seed, whole pages, defaults, and the
 * sentence for a set-up that failed. Failure modes: no pages (NULL); a kernel without clocks or random numbers is a
 * CHECK. */
#include "base/env_uring_impl.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

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
