// SPDX-License-Identifier: Apache-2.0
/* Lines of a descriptor, without waiting for the next one before the last was dealt with: a producer can send what it
 * has while its input pauses. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct lines {
    int fd;
    char end; /* '\n' or '\0' */
    char *bytes;
    size_t begin, filled, capacity;
    bool at_end;
};

enum lines_found {
    LINES_ONE,
    LINES_PAUSE, /* none is there yet; lines_wait waits */
    LINES_END,
    LINES_FAILED, /* errno says why */
};

void lines_init(struct lines *l, int fd, char end);
void lines_free(struct lines *l);
/* The line without its end; it stands until the next call. The last one needs no end. */
enum lines_found lines_next(struct lines *l, const char **ret_line, size_t *ret_len);
void lines_wait(const struct lines *l);
