// SPDX-License-Identifier: Apache-2.0
/* Lines (lines.h): one buffer that grows with the longest line; read only when poll says that something is there. */
#include "tools/leat/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES ((size_t)256 << 10)

void lines_init(struct lines *l, int fd, char end)
{
    *l = (struct lines){.fd = fd, .end = end};
}

void lines_free(struct lines *l)
{
    free(l->bytes);
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) != 0; /* an error, too: the read says which */
}

void lines_wait(const struct lines *l)
{
    (void)readable(l->fd, -1);
}

static void make_room(struct lines *l)
{
    if (l->begin > 0 && l->begin == l->filled) l->begin = l->filled = 0;
    if (l->filled < l->capacity) return;
    if (l->begin >= l->capacity / 2 && l->begin > 0) {
        memmove(l->bytes, l->bytes + l->begin, l->filled - l->begin);
        l->filled -= l->begin;
        l->begin = 0;
        return;
    }
    l->capacity = l->capacity == 0 ? FIRST_BYTES : 2 * l->capacity;
    l->bytes = realloc(l->bytes, l->capacity);
    if (l->bytes == NULL) abort();
}

/* One read. LINES_ONE: more bytes are there. */
static enum lines_found fill(struct lines *l)
{
    if (!readable(l->fd, 0)) return LINES_PAUSE;
    make_room(l);
    ssize_t n = read(l->fd, l->bytes + l->filled, l->capacity - l->filled);
    if (n < 0) return errno == EINTR || errno == EAGAIN ? LINES_PAUSE : LINES_FAILED;
    l->filled += (size_t)n;
    l->at_end = n == 0;
    return LINES_ONE;
}

enum lines_found lines_next(struct lines *l, const char **ret_line, size_t *ret_len)
{
    size_t looked = l->begin; /* up to there is no end */
    for (;;) {
        const char *end = looked < l->filled ? memchr(l->bytes + looked, l->end, l->filled - looked) : NULL;
        size_t len = end != NULL ? (size_t)(end - (l->bytes + l->begin)) : l->filled - l->begin;
        if (end != NULL || (l->at_end && len > 0)) {
            *ret_line = l->bytes + l->begin;
            *ret_len = len;
            l->begin += len + (end != NULL);
            return LINES_ONE;
        }
        if (l->at_end) return LINES_END;
        size_t pending = l->filled - l->begin;
        enum lines_found found = fill(l);
        if (found != LINES_ONE) return found;
        looked = l->begin + pending;
    }
}
