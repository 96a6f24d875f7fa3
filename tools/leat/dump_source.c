// SPDX-License-Identifier: Apache-2.0
/* Bytes of a file through a window (dump.h). pread, not mmap: a running broker may cut the file while we look at it. */
#include "tools/leat/dump.h"

#include "base/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)4 << 20)
#define RETRIES      3
#define RETRY_US     20000

bool source_open(struct source *s, const char *path)
{
    struct stat st;
    *s = (struct source){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), .retries = RETRIES};
    if (s->fd < 0) return false;
    if (fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        s->size = s->end = (uint64_t)st.st_size;
        return true;
    }
    int error = S_ISREG(st.st_mode) ? errno : EINVAL;
    close(s->fd);
    errno = error;
    return false;
}

void source_memory(struct source *s, const uint8_t *bytes, size_t size)
{
    *s = (struct source){.fd = -1, .memory = bytes, .size = size, .end = size};
}

void source_close(struct source *s)
{
    if (s->fd >= 0) close(s->fd);
    free(s->window);
}

static bool fill(struct source *s, uint64_t pos, size_t len)
{
    size_t want = (size_t)MIN(MAX(len, WINDOW_BYTES), s->size - pos);
    if (want > s->window_capacity) {
        uint8_t *more = realloc(s->window, want);
        if (more == NULL) {
            errno = ENOMEM;
            return false;
        }
        s->window = more;
        s->window_capacity = want;
    }
    s->window_pos = pos;
    s->window_len = 0;
    while (s->window_len < want) {
        ssize_t n = pread(s->fd, s->window + s->window_len, want - s->window_len, (off_t)(pos + s->window_len));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0 && s->window_len >= len) return true;
        if (n == 0) {
            s->end = pos + s->window_len;
            errno = ESTALE; /* shorter than it was: the broker cuts a segment when it is complete */
        }
        if (n <= 0) return false;
        s->window_len += (size_t)n;
    }
    return true;
}

const uint8_t *source_at(struct source *s, uint64_t pos, uint64_t len)
{
    if (pos > s->size || len > s->size - pos) {
        errno = ESTALE;
        return NULL;
    }
    if (s->fd < 0) return s->memory + pos;
    bool inside =
        pos >= s->window_pos && pos - s->window_pos <= s->window_len && len <= s->window_len - (pos - s->window_pos);
    if (!inside && !fill(s, pos, (size_t)len)) return NULL;
    return s->window + (pos - s->window_pos);
}

bool source_again(struct source *s)
{
    if (s->fd < 0 || s->retries == 0) return false;
    s->retries--;
    usleep(RETRY_US);
    s->window_len = 0;
    s->size = MIN(s->size, s->end);
    return true;
}

void source_fine(struct source *s)
{
    s->retries = RETRIES;
}

bool source_zero(struct source *s, uint64_t pos, uint64_t end)
{
    static const uint8_t zero[4096];
    while (pos < end) {
        uint64_t n = MIN(end - pos, sizeof zero);
        const uint8_t *p = source_at(s, pos, n);
        if (p == NULL || memcmp(p, zero, n) != 0) return false;
        pos += n;
    }
    return true;
}
