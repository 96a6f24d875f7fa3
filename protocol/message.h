// SPDX-License-Identifier: Apache-2.0
/* Contract of every generated message <m> (msg_<schema file>.h), and the tables of what there is. Nothing here waits.
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

#define API_KEY_LEAT 10000 /* keys from here on are Leat's own (docs/adr/0004); Apache Kafka's are below 100 */

/* A record of the group coordinator's topic. Its key is the int16 type and the body of key at version 0; its value,
 * unless it is null (a deletion), the int16 version and the body of value. */
struct group_record {
    int16_t type;
    const char *name; /* "OffsetCommit" */
    const struct message_type *key, *value;
};

extern const struct api_info api_table[]; /* ascending by key */
extern const uint32_t api_count;
extern const struct group_record group_record_table[]; /* ascending by type */
extern const uint32_t group_record_count;
/* By name: what no API and no group record has. Where one stands in a record its int16 version stands in front. */
extern const struct message_type *const plain_message_table[];
extern const uint32_t plain_message_count;

const struct api_info *api_find(int16_t key);               /* NULL: unknown */
const struct group_record *group_record_find(int16_t type); /* NULL: unknown */
