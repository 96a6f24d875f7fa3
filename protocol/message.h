// SPDX-License-Identifier: Apache-2.0
/* Contract of every generated message <m> (msg_<api>.h), and the table of APIs. Nothing here waits.
 *
 * One struct serves all versions; fields that a version lacks stand at their defaults after a decode and are left out
 * by an encode. <m>_init sets all defaults.
 *   <m>_decode  arrays in the arena, strings, bytes and records borrowed from the input. Status and place of an error
 * as in cursor.h; UNSUPPORTED_VERSION touches nothing. Bytes behind the message stay unread. <m>_encode  errors stick
 * in the writer (writer_finish). <m>_size    exact size of the encoding at that version. <m>_print   one line, cut to
 * size, NUL-terminated; returns the length it has reached. */
#pragma once
#include "base/status.h"
#include "protocol/uuid.h"
#include "protocol/wire.h"

struct arena;
struct cursor;
struct writer;

struct message_type { /* a message seen from generic code: tests, fuzzing, traces */
    const char *name; /* "FetchRequest" */
    size_t struct_size;
    int16_t min_version, max_version, flexible_from;
    enum status (*decode)(struct cursor *c, struct arena *a, int16_t v, void *ret_r);
    void (*encode)(struct writer *w, int16_t v, const void *r);
    struct message_size (*size)(int16_t v, const void *r);
    size_t (*print)(char *out, size_t size, const void *r);
};

struct api_info {
    int16_t key;
    const char *name; /* "Fetch" */
    int16_t min_version, max_version, flexible_from;
    int16_t advertised_min, advertised_max; /* what ApiVersions says; may differ from what is served */
    const struct message_type *request, *response;
};

extern const struct api_info api_table[]; /* ascending by key */
extern const uint32_t api_count;

const struct api_info *api_find(int16_t key); /* NULL: unknown */
