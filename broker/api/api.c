// SPDX-License-Identifier: Apache-2.0
/* What several APIs need (api.h). Failure modes: a body that does not decode closes the connection, as in Apache
 * Kafka: after it the place of the next request is not to be trusted. */
#include "broker/api/api.h"
#include "broker/shard.h"
#include <stdlib.h>

enum status api_partition(const struct shard *s, bool by_id, struct str name, struct uuid id, int32_t number,
                          const struct image_topic **ret_topic)
{
    const struct image_topic *t = NULL;
    if (by_id)
        t = topic_index_by_id(s->topics, id);
    else if (name.len > 0)
        t = topic_index_by_name(s->topics, name);
    if (t == NULL && by_id) return STATUS_UNKNOWN_TOPIC_ID;
    if (t == NULL || image_topic_partition(t, number) == NULL) return STATUS_UNKNOWN_PARTITION;
    *ret_topic = t;
    return STATUS_OK;
}

enum status api_epoch_check(const struct image_topic *t, int32_t number, int32_t epoch)
{
    int32_t current = t->partitions[number]->leader_epoch;
    if (epoch < 0 || epoch == current) return STATUS_OK;
    return epoch < current ? STATUS_EPOCH_FENCED : STATUS_EPOCH_UNKNOWN;
}

bool api_topic_is_internal(struct str name)
{
    return str_equal(name, STR("__consumer_offsets")) || str_equal(name, STR("__transaction_state")) ||
           str_equal(name, STR("__share_group_state"));
}

struct named {
    struct str name;
    uint32_t at;
};

static int by_name(const void *a, const void *b)
{
    struct str x = ((const struct named *)a)->name, y = ((const struct named *)b)->name;
    int order = memcmp(x.data, y.data, (size_t)(x.len < y.len ? x.len : y.len));
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

const bool *api_duplicates(struct request *r, const struct str *names, uint32_t count)
{
    struct named *sorted = request_zalloc(r, count * sizeof *sorted);
    bool *twice = request_zalloc(r, count);
    if (sorted == NULL || twice == NULL) return NULL;
    for (uint32_t i = 0; i < count; i++) sorted[i] = (struct named){names[i].len >= 0 ? names[i] : STR_EMPTY, i};
    if (count > 0) qsort(sorted, count, sizeof *sorted, by_name);
    for (uint32_t i = 1; i < count; i++)
        if (by_name(&sorted[i - 1], &sorted[i]) == 0) twice[sorted[i - 1].at] = twice[sorted[i].at] = true;
    return twice;
}

int api_no_memory(struct request *r)
{
    request_refuse(r, "no memory for its request");
    return STAGE_DONE;
}

void *api_decode(struct request *r, size_t size)
{
    CHECK(size == r->header.api->request->struct_size);
    void *message = request_zalloc(r, size);
    enum status s = STATUS_NO_MEMORY;
    if (message != NULL) s = r->header.api->request->decode(&r->body, &r->arena, r->header.api_version, message);
    if (s == STATUS_OK) return message;
    request_refuse(r, s == STATUS_NO_MEMORY ? "no memory for its request" : "malformed request body");
    return NULL;
}
