// SPDX-License-Identifier: Apache-2.0
/* Paths and names; see path.h. A name becomes part of a path only after topic_name_valid: no separator, no dot-dot. */
#include "storage/path.h"

#include "base/check.h"
#include <stdarg.h>
#include <stdio.h>

#define FILE_NAME_MAX 255 /* bytes, every Linux file system of ours */

void path_set(struct path *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p->s, sizeof p->s, format, args);
    va_end(args);
    CHECK(n > 0 && (size_t)n < sizeof p->s);
}

bool topic_name_valid(const char *name)
{
    size_t n = strnlen(name, TOPIC_NAME_MAX + 1);
    if (n == 0 || n > TOPIC_NAME_MAX) return false;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '_' || c == '-';
        if (!fine) return false;
    }
    return true;
}

void partition_dir_name(char out[NAME_BYTES_MAX], const char *topic, struct topic_id id, int32_t number)
{
    CHECK(topic_name_valid(topic) && number >= 0);
    char tail[64];
    int tail_bytes = snprintf(tail, sizeof tail, "-%d", number);
    CHECK(tail_bytes > 0);
    size_t topic_bytes = strlen(topic);
    if (topic_bytes + (size_t)tail_bytes > FILE_NAME_MAX) {
        char hex[33];
        for (size_t i = 0; i < sizeof id.b; i++) snprintf(hex + 2 * i, 3, "%02x", id.b[i]);
        tail_bytes = snprintf(tail, sizeof tail, "~%s-%d", hex, number);
        topic_bytes = FILE_NAME_MAX - (size_t)tail_bytes;
    }
    snprintf(out, NAME_BYTES_MAX, "%.*s%s", (int)topic_bytes, topic, tail);
}
