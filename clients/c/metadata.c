// SPDX-License-Identifier: Apache-2.0
/* Metadata answers: asked for, remembered, searched (contract: metadata.h).
 *
 * Failure modes: a topic whose leader is being elected is in the answer without leader; that is no error here, who
 * needs the leader asks again. Partitions are believed only if their numbers are those of an array: Kafka gives 0 ..
 * n-1. */
#include "clients/c/metadata.h"

#include "base/bytes.h"
#include <stdlib.h>

#define VIEW_MAX_AGE_MS 60000

static bool address_of(const struct metadata_response_broker *b, struct address *ret_address)
{
    if (b->port <= 0 || b->port > UINT16_MAX || b->host.len <= 0 || b->host.len > HOST_MAX) return false;
    *ret_address = (struct address){.node = b->node_id, .port = (uint16_t)b->port};
    str_copy(ret_address->host, sizeof ret_address->host, b->host);
    return true;
}

static bool node_find(const struct metadata_response *a, int32_t id, struct address *ret_address)
{
    for (int32_t i = 0; i < a->brokers_count; i++)
        if (a->brokers[i].node_id == id) return address_of(&a->brokers[i], ret_address);
    return false;
}

static void remember(struct leat_client *c, const struct metadata_response *a)
{
    if (a->brokers_count <= 0) return;
    c->known_count = 0;
    for (int32_t i = 0; i < a->brokers_count && c->known_count < KNOWN_MAX; i++)
        if (address_of(&a->brokers[i], &c->known[c->known_count])) c->known_count++;
}

static enum leat_code names_take(struct leat_client *c, const char *const *names, size_t count,
                                 struct metadata_request_topic **ret_topics, struct leat_error *e)
{
    if (count > INT32_MAX / sizeof **ret_topics) return fail(e, LEAT_INVALID, "too many topics: %zu", count);
    struct metadata_request_topic *topics = mem_alloc(c->mem, MEM_CONTROL, MAX(count, (size_t)1) * sizeof *topics);
    if (topics == NULL) return fail(e, LEAT_NO_MEMORY, "no memory for %zu topic names", count);
    for (size_t i = 0; i < count; i++) {
        metadata_request_topic_init(&topics[i]);
        topics[i].name = str_of(names[i]);
    }
    *ret_topics = topics;
    return LEAT_OK;
}

enum leat_code metadata_fetch(struct leat_client *c, const char *const *names, size_t count, int64_t deadline,
                              struct reply *ret_reply, struct leat_error *e)
{
    struct metadata_request q;
    enum leat_code code = LEAT_OK;
    metadata_request_init(&q);
    q.topics_count = -1;
    q.allow_auto_topic_creation = false;
    if (names != NULL) {
        q.topics_count = (int32_t)count;
        code = names_take(c, names, count, &q.topics, e);
    }
    if (code != LEAT_OK) return code;
    struct call what = {.key = API_METADATA, .version_cap = METADATA_VERSION_CAP, .message = &q, .target = CALL_ANY};
    code = call(c, &what, deadline, ret_reply, e);
    if (names != NULL) mem_free(c->mem, MEM_CONTROL, q.topics, MAX(count, (size_t)1) * sizeof *q.topics);
    if (code == LEAT_OK) remember(c, ret_reply->message);
    return code;
}

static enum leat_code find(struct leat_client *c, bool controller, int32_t id, int64_t deadline,
                           struct address *ret_address, struct leat_error *e)
{
    static const char *const none[1];
    struct reply r;
    enum leat_code code = metadata_fetch(c, none, 0, deadline, &r, e);
    if (code != LEAT_OK) return code;
    const struct metadata_response *a = r.message;
    if (!node_find(a, controller ? a->controller_id : id, ret_address))
        code = controller ? fail(e, LEAT_UNREACHABLE, "the cluster has no controller at the moment")
                          : fail(e, LEAT_UNREACHABLE, "broker %d is not in the cluster at the moment", id);
    reply_free(&r);
    return code;
}

enum leat_code metadata_node(struct leat_client *c, int32_t id, int64_t deadline, struct address *ret_address,
                             struct leat_error *e)
{
    return find(c, false, id, deadline, ret_address, e);
}

enum leat_code metadata_controller(struct leat_client *c, int64_t deadline, struct address *ret_address,
                                   struct leat_error *e)
{
    return find(c, true, NODE_NONE, deadline, ret_address, e);
}

/* ---- one topic's view ---- */

void topic_view_init(struct topic_view *v, struct leat_client *c, const char *name)
{
    *v = (struct topic_view){.client = c};
    str_copy(v->name, sizeof v->name, str_of(name));
}

void topic_view_deinit(struct topic_view *v)
{
    reply_free(&v->reply);
    v->answer = NULL;
    v->topic = NULL;
}

static int partition_order(const void *a, const void *b)
{
    const struct metadata_response_partition *x = a, *y = b;
    return (x->partition_index > y->partition_index) - (x->partition_index < y->partition_index);
}

static enum leat_code topic_check(struct metadata_response_topic *t, const char *name, struct leat_error *e)
{
    if (t->error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
        return fail_kafka(e, t->error_code, "there is no topic '%s'", name);
    if (t->error_code != KAFKA_NONE) return fail_kafka(e, t->error_code, "topic '%s'", name);
    if (t->partitions_count <= 0) return fail(e, LEAT_PROTOCOL, "topic '%s' has no partitions", name);
    qsort(t->partitions, (size_t)t->partitions_count, sizeof t->partitions[0], partition_order);
    for (int32_t i = 0; i < t->partitions_count; i++)
        if (t->partitions[i].partition_index != i)
            return fail(e, LEAT_PROTOCOL, "topic '%s': partition %d is missing in the broker's answer", name, i);
    return LEAT_OK;
}

enum leat_code topic_view_refresh(struct topic_view *v, int64_t deadline, struct leat_error *e)
{
    const char *names[] = {v->name};
    struct reply r;
    if (v->answer != NULL && !v->stale && socket_now_ms() - v->at_ms < VIEW_MAX_AGE_MS) return LEAT_OK;
    enum leat_code code = metadata_fetch(v->client, names, 1, deadline, &r, e);
    if (code != LEAT_OK) return code;
    struct metadata_response *a = r.message;
    if (a->topics_count != 1 || !str_equal(a->topics[0].name, str_of(v->name)))
        code = fail(e, LEAT_PROTOCOL, "the broker was asked for topic '%s' and told something else", v->name);
    if (code == LEAT_OK) code = topic_check(&a->topics[0], v->name, e);
    if (code != LEAT_OK) {
        reply_free(&r);
        return code;
    }
    reply_free(&v->reply);
    v->reply = r;
    v->answer = a;
    v->topic = &a->topics[0];
    v->at_ms = socket_now_ms();
    v->stale = false;
    return LEAT_OK;
}

int32_t topic_view_partitions(const struct topic_view *v)
{
    return v->topic == NULL ? 0 : v->topic->partitions_count;
}

bool topic_view_leader(const struct topic_view *v, int32_t partition, struct address *ret_leader, int32_t *ret_epoch)
{
    CHECK(partition >= 0 && partition < topic_view_partitions(v));
    const struct metadata_response_partition *p = &v->topic->partitions[partition];
    *ret_epoch = p->leader_epoch;
    return p->leader_id >= 0 && node_find(v->answer, p->leader_id, ret_leader);
}
