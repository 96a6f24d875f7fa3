// SPDX-License-Identifier: Apache-2.0
/* ApiVersions: which keys and versions this broker speaks. One stage. A version that we do not know is answered in
 * version 0 with UNSUPPORTED_VERSION and our range of this API, so that the client can ask again (KIP-511). A client
 * that means to talk to another broker or cluster is sent back to its bootstrap list (KIP-1242). */
#include "base/check.h"
#include "broker/api/api.h"
#include "broker/dispatch.h"
#include "broker/feature_levels.h"
#include "broker/shard.h"
#include "protocol/msg_api_versions.h"

static void row(int16_t key, struct api_versions_response_api *ret_row)
{
    const struct api_info *a = api_find(key);
    CHECK(a != NULL);
    api_versions_response_api_init(ret_row);
    ret_row->api_key = a->key;
    ret_row->min_version = a->advertised_min;
    ret_row->max_version = a->advertised_max;
}

/* As Kafka: who names a cluster names a node of it too. */
static bool misrouted(const struct broker *b, const struct api_versions_request *q)
{
    if (q->cluster_id.len < 0) return false;
    struct str ours = {b->cluster_id, (int32_t)strlen(b->cluster_id)};
    return !str_equal(q->cluster_id, ours) || q->node_id != b->config->node_id;
}

/* False: no memory. */
static bool fill_features(struct request *r, struct api_versions_response *a)
{
    const struct image_features *f = r->shard->features;
    a->supported_features = request_zalloc(r, broker_feature_count * sizeof *a->supported_features);
    a->finalized_features = request_zalloc(r, f->count * sizeof *a->finalized_features);
    if (a->supported_features == NULL || a->finalized_features == NULL) return false;
    a->supported_features_count = (int32_t)broker_feature_count;
    for (uint32_t i = 0; i < broker_feature_count; i++)
        a->supported_features[i] = (struct api_versions_response_supported_feature){
            .name = broker_features[i].name,
            .min_version = broker_features[i].min,
            .max_version = broker_features[i].max,
        };
    a->finalized_features_epoch = (int64_t)f->epoch;
    a->finalized_features_count = (int32_t)f->count;
    for (uint32_t i = 0; i < f->count; i++)
        a->finalized_features[i] = (struct api_versions_response_finalized_feature){
            .name = f->features[i].name,
            .max_version_level = f->features[i].level,
            .min_version_level = f->features[i].level,
        };
    return true;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct api_versions_response response;
    api_versions_response_init(&response);
    struct api_versions_response_api *rows = request_zalloc(r, served_api_count * sizeof *rows);
    if (rows == NULL) {
        request_refuse(r, "no memory for its request");
        return STAGE_DONE;
    }
    response.api_keys = rows;
    if (!r->header.supported) {
        row(API_API_VERSIONS, &rows[0]);
        response.api_keys_count = 1;
        response.error_code = KAFKA_UNSUPPORTED_VERSION;
        request_answer_as(r, 0, &response);
        return STAGE_DONE;
    }
    const struct api_versions_request *q = api_decode(r, sizeof *q);
    if (q == NULL) return STAGE_DONE;
    if (misrouted(r->shard->broker, q)) {
        response.error_code = KAFKA_REBOOTSTRAP_REQUIRED;
    } else {
        for (uint32_t i = 0; i < served_api_count; i++) row(served_apis[i].key, &rows[i]);
        response.api_keys_count = (int32_t)served_api_count;
        if (!fill_features(r, &response)) return api_no_memory(r);
    }
    request_answer(r, &response);
    return STAGE_DONE;
}

static const struct stage stages[] = {{"answer", answer, 0}};
const struct flow api_versions_flow = {"api versions", stages, 1};
