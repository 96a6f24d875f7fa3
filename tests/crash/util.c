// SPDX-License-Identifier: Apache-2.0
/* Helpers of the crash tester; see util.h. The only failure mode is die(). */
#include "util.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void (*cleanup_hook)(void);

void die_set_cleanup(void (*cleanup)(void))
{
    cleanup_hook = cleanup;
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "crashstates: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    fflush(stderr);
    void (*hook)(void) = cleanup_hook;
    cleanup_hook = NULL; /* a clean-up that dies must not start again */
    if (hook) hook();
    _exit(2);
}

void die_errno(const char *what)
{
    die("%s: %s", what, strerror(errno));
}

void *reserve(uint64_t size_bytes)
{
    void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) die_errno("reserving memory");
    return p;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return random_next(state) % limit; /* the bias is far below what a test could see */
}
