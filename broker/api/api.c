// SPDX-License-Identifier: Apache-2.0
/* What several APIs need (api.h). Failure modes: a body that does not decode closes the connection, as in Apache
 * Kafka: after it the place of the next request is not to be trusted. */
#include "broker/api/api.h"
#include "broker/shard.h"

enum status api_partition(const struct shard *s, bool by_id, struct str name, struct uuid id, int32_t number,
                          const struct topic **ret_topic)
{
    const struct topics *all = &s->broker->config->topics;
    const struct topic *t = by_id ? topics_by_id(all, id) : topics_by_name(all, name);
    if (t == NULL && by_id) return STATUS_UNKNOWN_TOPIC_ID;
    if (t == NULL || number < 0 || number >= t->partition_count) return STATUS_UNKNOWN_PARTITION;
    *ret_topic = t;
    return STATUS_OK;
}

enum status api_epoch_check(const struct shard *s, uint32_t slot, int32_t epoch)
{
    int32_t current = s->broker->epochs[slot];
    if (epoch < 0 || epoch == current) return STATUS_OK;
    return epoch < current ? STATUS_EPOCH_FENCED : STATUS_EPOCH_UNKNOWN;
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
