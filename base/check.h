// SPDX-License-Identifier: Apache-2.0
/* CHECK: a promise that only our own bug can break. Prints where and what, dumps the trace ring, aborts; in release
 * too. CHECK_SLOW: the same for conditions too dear for production (debug, simulator and fuzz builds:
 * -DLEAT_CHECK_SLOW=1). One condition each, without side effects. */
#pragma once
#include <stdbool.h>

_Noreturn void check_failed(const char *file, int line, const char *func, const char *cond);

/* Run once by check_failed before the abort, e.g. to dump the trace ring. */
void check_set_dump(void (*dump)(void));
void check_print(const char *line); /* for that hook: one line to standard error */

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (__builtin_expect(!(cond), 0)) check_failed(__FILE__, __LINE__, __func__, #cond);                           \
    } while (0)

#if LEAT_CHECK_SLOW
#define CHECK_SLOW(cond) CHECK(cond)
#else
#define CHECK_SLOW(cond)                                                                                               \
    do {                                                                                                               \
        (void)sizeof(cond);                                                                                            \
    } while (0)
#endif

/* A status that cannot be anything but OK here. */
#define CHECK_OK(expr) CHECK((expr) == STATUS_OK)
