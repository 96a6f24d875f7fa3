// SPDX-License-Identifier: Apache-2.0
/* Records of groups: put, and applied (groups.h). The formats are Kafka's (protocol/schema/record_*.msg): a key is its
 * int16 type and body, a value its int16 version and body, so Kafka's own tools read the topic.
 *
 * Path: a rule -> group_put -> encoded into scratch -> sink -> group_apply; at load: groups_apply -> decoded into an
 * arena -> group_apply.
 *
 * Failure modes: a record that does not decode is INVALID_RECORD and has no effect; no memory fails the machine. */
#include "base/check.h"
#include "broker/group/classic.h"
#include "broker/group/consumer.h"
#include "broker/group/groups.h"
#include "broker/group/offsets.h"
#include "protocol/cursor.h"
#include "protocol/message.h"
#include "protocol/msg_record_consumer_group_current_member_assignment.h"
#include "protocol/msg_record_group_metadata.h"
#include "protocol/msg_record_offset_commit.h"
#include <string.h>

#define KEY_TYPE_BYTES 2
#define PREFIX_BYTES   2 /* key: type; value: version */
#define KEY_VERSION    0
#define APPLY_CAP      ((size_t)64 << 20) /* of one decoded record: a group's members with their metadata */

/* The versions that Apache Kafka 4.4 writes. */
static int16_t value_version(const struct group_record *r)
{
    if (r->type == GROUP_METADATA_RECORD) return 3; /* 4 only adds tagged fields: none is known */
    return r->value->max_version;
}

static size_t encode(uint8_t *out, int16_t prefix, const struct message_type *t, int16_t version, const void *message)
{
    struct writer w;
    store_be16(out, (uint16_t)prefix);
    size_t own = t->size(version, message).own;
    writer_init(&w, out + PREFIX_BYTES, own, NULL, 0);
    t->encode(&w, version, message);
    return writer_finish(&w) == STATUS_OK ? PREFIX_BYTES + own : 0;
}

static bool scratch_reserve(struct groups *gs, size_t bytes)
{
    if (gs->scratch_bytes >= bytes) return true;
    uint8_t *p = mem_realloc(gs->mem, MEM_CONTROL, gs->scratch, gs->scratch_bytes, bytes);
    if (p == NULL) return false;
    gs->scratch = p;
    gs->scratch_bytes = bytes;
    return true;
}

static enum status put(struct groups *gs, const struct group_record *r, const void *key, const void *value)
{
    int16_t version = value_version(r);
    size_t key_bytes = PREFIX_BYTES + r->key->size(KEY_VERSION, key).total;
    size_t value_bytes = value != NULL ? PREFIX_BYTES + r->value->size(version, value).total : 0;
    if (!scratch_reserve(gs, key_bytes + value_bytes)) return STATUS_NO_MEMORY;
    struct bytes k = {gs->scratch, (int32_t)key_bytes}, v = BYTES_NULL;
    if (encode(gs->scratch, r->type, r->key, KEY_VERSION, key) != key_bytes) return STATUS_INVALID;
    if (value != NULL) {
        v = (struct bytes){gs->scratch + key_bytes, (int32_t)value_bytes};
        if (encode(gs->scratch + key_bytes, version, r->value, version, value) != value_bytes) return STATUS_INVALID;
    }
    return gs->sink->put(gs->sink, k, v);
}

void group_put(struct groups *gs, int16_t type, const void *key, const void *value)
{
    const struct group_record *r = group_record_find(type);
    CHECK(r != NULL && !gs->loading);
    if (gs->status != STATUS_OK) return;
    enum status s = put(gs, r, key, value);
    if (s != STATUS_OK)
        groups_fail(gs, s);
    else
        group_apply(gs, type, key, value);
}

/* Every key of a group begins with its id. */
static struct str key_group(int16_t type, const void *key)
{
    if (type == OFFSET_COMMIT_RECORD) return ((const struct offset_commit_key *)key)->group;
    if (type == GROUP_METADATA_RECORD) return ((const struct group_metadata_key *)key)->group;
    /* The keys of consumer groups begin with the same field, group_id. */
    return ((const struct consumer_group_current_member_assignment_key *)key)->group_id;
}

void group_apply(struct groups *gs, int16_t type, const void *key, const void *value)
{
    struct str id = key_group(type, key);
    struct group *g = value != NULL ? groups_make(gs, id) : groups_find(gs, id);
    if (g == NULL) return; /* a tombstone of what is not there; or no memory, which status says */
    if (type == OFFSET_COMMIT_RECORD)
        offsets_apply(gs, g, key, value);
    else if (type == GROUP_METADATA_RECORD)
        classic_apply(gs, g, key, value);
    else
        consumer_apply(gs, g, type, key, value);
}

/* ---- load ---- */

/* data NULL after it: a fault, in *ret_status. */
static const void *decode(struct arena *a, const struct message_type *t, int16_t version, struct bytes in,
                          enum status *ret_status)
{
    struct cursor c;
    void *m = arena_alloc(a, t->struct_size);
    cursor_init(&c, in.data + PREFIX_BYTES, (size_t)in.len - PREFIX_BYTES);
    *ret_status = m != NULL ? t->decode(&c, a, version, m) : STATUS_NO_MEMORY;
    return *ret_status == STATUS_OK ? m : NULL;
}

static enum status apply(struct groups *gs, struct arena *a, const struct group_record *r, struct bytes key,
                         struct bytes value)
{
    enum status s;
    const void *k = decode(a, r->key, KEY_VERSION, key, &s), *v = NULL;
    if (k == NULL) return s;
    if (value.len >= 0) {
        if (value.len < PREFIX_BYTES) return STATUS_CORRUPT_BATCH;
        v = decode(a, r->value, (int16_t)load_be16(value.data), value, &s);
        if (v == NULL) return s;
    }
    group_apply(gs, r->type, k, v);
    return gs->status;
}

enum status groups_apply(struct groups *gs, struct bytes key, struct bytes value)
{
    struct arena a;
    CHECK(gs->loading);
    if (key.len < KEY_TYPE_BYTES) return STATUS_INVALID_RECORD;
    const struct group_record *r = group_record_find((int16_t)load_be16(key.data));
    if (r == NULL) return STATUS_OK;
    arena_init(&a, gs->mem, MEM_CONTROL, APPLY_CAP);
    enum status s = apply(gs, &a, r, key, value);
    arena_deinit(&a);
    return s == STATUS_OK || s == STATUS_NO_MEMORY ? s : STATUS_INVALID_RECORD;
}
