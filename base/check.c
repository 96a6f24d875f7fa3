// SPDX-License-Identifier: Apache-2.0
/* The end of a process that found a bug in itself: say where on standard error, dump the trace ring, abort. A CHECK
 * that fails inside the dump skips the dump. Two shards that fail at once: the first dumps, both abort. */
#include "base/check.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static void (*_Atomic dump_hook)(void);

void check_set_dump(void (*dump)(void))
{
    atomic_store(&dump_hook, dump);
}

void check_print(const char *line)
{
    fprintf(stderr, "%s\n", line);
}

void check_failed(const char *file, int line, const char *func, const char *cond)
{
    fprintf(stderr, "CHECK failed: %s:%d: %s: %s\n", file, line, func, cond);
    void (*dump)(void) = atomic_exchange(&dump_hook, (void (*)(void))NULL);
    if (dump != NULL) dump();
    abort();
}
