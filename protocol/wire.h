// SPDX-License-Identifier: Apache-2.0
/* The value types of decoded messages. All of them borrow: after a decode they point into the frame, before an encode
 * into the caller's memory. A length of -1 is Kafka's null. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIRE_STRING_MAX 32767 /* bytes; Kafka's limit for a string, compact ones included */

struct str { /* not NUL-terminated, not checked for UTF-8: that is the rule's business, per field */
    const char *data;
    int32_t len;
};

struct bytes {
    const uint8_t *data;
    int32_t len;
};

struct piece { /* one run of bytes to send, in order */
    const uint8_t *data;
    size_t len;
};

/* Record batches back to back. Either one run (pieces NULL, data) as a decode makes it, or the runs of pieces, whose
 * lengths add up to len: a fetch answers with bytes of several buffers without copying them. */
struct records {
    const uint8_t *data;
    int32_t len;
    uint32_t piece_count;
    const struct piece *pieces;
};

struct message_size {
    size_t total;    /* bytes on the wire */
    size_t own;      /* of these, bytes the writer must hold: total minus the borrowed records */
    uint32_t pieces; /* runs that the writer will list */
};

#define STR_NULL    ((struct str){NULL, -1})
#define STR_EMPTY   ((struct str){"", 0})
#define STR(lit)    ((struct str){"" lit, (int32_t)sizeof(lit) - 1})
#define BYTES_NULL  ((struct bytes){NULL, -1})
#define BYTES_EMPTY ((struct bytes){(const uint8_t *)"", 0})

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len <= 0 || memcmp(a.data, b.data, (size_t)a.len) == 0);
}
