// SPDX-License-Identifier: Apache-2.0
/* Subscriptions and assignments of the classic protocol's consumers (consumer_embedded.h). Failure modes: what does not
 * decode is malformed; no memory is the caller's answer. */
#include "broker/group/consumer_embedded.h"
#include "base/bytes.h"
#include "base/check.h"
#include "protocol/cursor.h"
#include "protocol/message.h"
#include "protocol/msg_consumer_group_heartbeat.h"
#include "protocol/msg_consumer_protocol_assignment.h"
#include "replication/image.h"
#include "replication/record.h"

#define VERSION_BYTES 2
#define NEWEST        3

/* -1: malformed. */
static int16_t version_of(struct bytes b)
{
    int16_t v = b.len >= VERSION_BYTES ? (int16_t)load_be16(b.data) : -1;
    return MIN(v, NEWEST);
}

static struct cursor body_of(struct bytes b)
{
    struct cursor c;
    cursor_init(&c, b.data + VERSION_BYTES, (size_t)b.len - VERSION_BYTES);
    return c;
}

enum embedded subscription_read(struct arena *a, struct bytes metadata,
                                struct consumer_protocol_subscription *ret_subscription)
{
    int16_t version = version_of(metadata);
    if (version < 0) return EMBEDDED_MALFORMED;
    struct cursor c = body_of(metadata);
    enum status s = consumer_protocol_subscription_decode(&c, a, version, ret_subscription);
    if (s == STATUS_NO_MEMORY) return EMBEDDED_NO_MEMORY;
    return s == STATUS_OK ? EMBEDDED_OK : EMBEDDED_MALFORMED;
}

bool subscription_owned(struct groups *gs, struct arena *a, const struct consumer_protocol_subscription *s,
                        struct owned_topics *ret_owned)
{
    struct consumer_group_heartbeat_request_topic_partition *all =
        arena_alloc(a, (size_t)s->owned_partitions_count * sizeof *all);
    int32_t n = 0;
    if (all == NULL) return false;
    for (int32_t i = 0; i < s->owned_partitions_count; i++) {
        const struct image_topic *t = topic_index_by_name(gs->topics, s->owned_partitions[i].topic);
        if (t == NULL) continue;
        all[n++] = (struct consumer_group_heartbeat_request_topic_partition){t->id, s->owned_partitions[i].partitions,
                                                                             s->owned_partitions[i].partitions_count};
    }
    *ret_owned = (struct owned_topics){all, n};
    return true;
}

enum embedded assignment_read(struct groups *gs, struct arena *a, struct bytes assignment, int32_t epoch,
                              struct parts *ret_parts)
{
    struct consumer_protocol_assignment v;
    size_t max = 0;
    *ret_parts = (struct parts){NULL, 0};
    if (assignment.len <= 0) return EMBEDDED_OK;
    int16_t version = version_of(assignment);
    if (version < 0) return EMBEDDED_MALFORMED;
    struct cursor c = body_of(assignment);
    enum status s = consumer_protocol_assignment_decode(&c, a, version, &v);
    if (s == STATUS_NO_MEMORY) return EMBEDDED_NO_MEMORY;
    if (s != STATUS_OK) return EMBEDDED_MALFORMED;
    if (v.user_data.len > 0) return EMBEDDED_CUSTOM;
    for (int32_t i = 0; i < v.assigned_partitions_count; i++) max += (size_t)v.assigned_partitions[i].partitions_count;
    if (!parts_alloc(a, (uint32_t)max, ret_parts)) return EMBEDDED_NO_MEMORY;
    for (int32_t i = 0; i < v.assigned_partitions_count; i++) {
        const struct image_topic *t = topic_index_by_name(gs->topics, v.assigned_partitions[i].topic);
        for (int32_t j = 0; t != NULL && j < v.assigned_partitions[i].partitions_count; j++) {
            int32_t number = v.assigned_partitions[i].partitions[j];
            if (number >= 0 && number < PARTITIONS_MAX)
                ret_parts->all[ret_parts->count++] = (struct part_of){t->id, number, epoch};
        }
    }
    parts_sort(ret_parts);
    return EMBEDDED_OK;
}

static bool encode(struct arena *a, int16_t version, const struct consumer_protocol_assignment *v,
                   struct bytes *ret_assignment)
{
    struct writer w;
    size_t own = consumer_protocol_assignment_size(version, v).own;
    uint8_t *out = arena_alloc(a, VERSION_BYTES + own);
    if (out == NULL) return false;
    store_be16(out, (uint16_t)version);
    writer_init(&w, out + VERSION_BYTES, own, NULL, 0);
    consumer_protocol_assignment_encode(&w, version, v);
    CHECK(writer_finish(&w) == STATUS_OK);
    *ret_assignment = (struct bytes){out, (int32_t)(VERSION_BYTES + own)};
    return true;
}

bool assignment_write(struct groups *gs, struct arena *a, const struct parts *s, struct bytes subscription,
                      struct bytes *ret_assignment)
{
    struct consumer_protocol_assignment v;
    struct part_runs runs;
    consumer_protocol_assignment_init(&v);
    if (!parts_runs(a, s, &runs)) return false;
    v.assigned_partitions = arena_alloc(a, (size_t)runs.count * sizeof v.assigned_partitions[0]);
    if (v.assigned_partitions == NULL) return false;
    for (int32_t i = 0; i < runs.count; i++) {
        const struct image_topic *t = topic_index_by_id(gs->topics, runs.all[i].topic);
        if (t == NULL) continue; /* it is gone */
        v.assigned_partitions[v.assigned_partitions_count].topic = t->name;
        v.assigned_partitions[v.assigned_partitions_count].partitions = runs.all[i].numbers;
        v.assigned_partitions[v.assigned_partitions_count++].partitions_count = runs.all[i].count;
    }
    return encode(a, MAX(version_of(subscription), 0), &v, ret_assignment);
}
