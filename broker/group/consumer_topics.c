// SPDX-License-Identifier: Apache-2.0
/* What a consumer group subscribes to (consumer_impl.h): the topics that exist, their hash, and which topics a regular
 * expression matches.
 *
 * The metadata hash says whether partitions or topics have come or gone since the last group epoch. It is only ever
 * compared with one of ours; Apache Kafka computes another one from the same topics and would begin with a new epoch.
 *
 * A new expression is looked up in the step that brings it. Later topics make it stale; then the next heartbeat looks
 * again, at one expression and not more often than each REGEX_PAUSE_MS, so that a step costs one walk over the topics.
 *
 * Failure modes: no memory fails the machine. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/consumer_impl.h"
#include "broker/group/topic_regex.h"
#include "replication/image.h"
#include <stdlib.h>

static int by_id(const void *x, const void *y)
{
    return memcmp(((const struct topic_count *)x)->id.b, ((const struct topic_count *)y)->id.b, sizeof(struct uuid));
}

struct topic_count *consumer_topics(struct groups *gs, const struct consumer_group *k, struct arena *a,
                                    uint32_t *ret_count)
{
    size_t max = 0;
    uint32_t n = 0, kept = 0;
    list_each (node, &k->all_lists) max += container_of(node, struct name_list, in_all_lists)->count;
    struct topic_count *all = arena_alloc(a, max * sizeof *all);
    if (all == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return NULL;
    }
    list_each (node, &k->all_lists) {
        const struct name_list *l = container_of(node, struct name_list, in_all_lists);
        for (uint32_t i = 0; i < l->count; i++) {
            const struct image_topic *t = topic_index_by_name(gs->topics, l->names[i]);
            if (t != NULL) all[n++] = (struct topic_count){t->id, t->partition_count};
        }
    }
    qsort(all, n, sizeof all[0], by_id);
    for (uint32_t i = 0; i < n; i++)
        if (kept == 0 || !uuid_equal(all[kept - 1].id, all[i].id)) all[kept++] = all[i];
    *ret_count = kept;
    return all;
}

int64_t consumer_metadata_hash(struct groups *gs, const struct consumer_group *k, struct arena *a)
{
    static_assert(sizeof(struct topic_count) == sizeof(struct uuid) + sizeof(uint32_t), "no padding in what is hashed");
    uint32_t n = 0;
    const struct topic_count *all = consumer_topics(gs, k, a, &n);
    if (all == NULL || n == 0) return 0;
    return (int64_t)XXH3_64bits(all, n * sizeof all[0]);
}

void consumer_refresh(struct groups *gs, struct group *g, struct arena *a, bool bump)
{
    struct consumer_group *k = g->consumer;
    int64_t hash = consumer_metadata_hash(gs, k, a);
    if (gs->status != STATUS_OK) return;
    if (bump || hash != k->metadata_hash) put_epoch(gs, g, k->epoch + 1, hash);
    if (k->partition_metadata) put_partition_metadata_gone(gs, g);
    k->refresh = false;
}

/* ---- regular expressions ---- */

const char *regex_fault(struct groups *gs, struct arena *a, struct str text)
{
    struct topic_regex *r;
    char *fault = arena_alloc(a, TOPIC_REGEX_FAULT_SIZE);
    if (fault == NULL) return "no memory to check it";
    enum status s = topic_regex_create(gs->mem, text, &r, fault);
    if (s == STATUS_NO_MEMORY) return "no memory to check it";
    if (s != STATUS_OK) return fault;
    topic_regex_destroy(r);
    return NULL;
}

bool regex_due(const struct groups *gs, const struct regex_use *r)
{
    if (r->members == 0) return false;
    if (r->topics == NULL) return true;
    int64_t since = gs->wall.v - r->looked_ms;
    int64_t pause = r->stale ? REGEX_PAUSE_MS : gs->settings->consumer_regex_refresh_ms;
    return since < 0 || since > pause; /* below 0: the clock was set back */
}

/* The topics that match, in the arena. -1: no memory. An expression that this broker cannot read (it is in the log, so
 * another one could) matches none. */
static int32_t matches(struct groups *gs, struct arena *a, struct str text, struct str **ret_topics)
{
    struct topic_regex *r;
    char fault[TOPIC_REGEX_FAULT_SIZE];
    int32_t n = 0;
    *ret_topics = arena_alloc(a, topic_index_count(gs->topics) * sizeof(struct str));
    if (*ret_topics == NULL) return -1;
    enum status s = topic_regex_create(gs->mem, text, &r, fault);
    if (s == STATUS_NO_MEMORY) return -1;
    if (s != STATUS_OK) return 0;
    struct topic_cursor c = topic_index_first(gs->topics);
    for (const struct image_topic *t; (t = topic_cursor_next(&c)) != NULL;)
        if (topic_regex_matches(r, t->name)) (*ret_topics)[n++] = t->name;
    topic_regex_destroy(r);
    return n;
}

bool regex_look_up(struct groups *gs, struct group *g, struct arena *a, struct regex_use *r)
{
    struct str *topics;
    const struct name_list *old = r->topics;
    int32_t n = matches(gs, a, r->text, &topics);
    if (n < 0) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return false;
    }
    bool same = (uint32_t)n == (old != NULL ? old->count : 0);
    for (int32_t i = 0; same && i < n; i++) same = name_list_has(old, topics[i]);
    put_regex(gs, g, r->text, topics, n);
    return !same;
}

/* Kafka looks again with the next heartbeat of the group, not now; so many changes make one epoch. */
void consumer_topics_changed(struct groups *gs, struct group *g, struct str topic)
{
    struct consumer_group *k = g->consumer;
    bool exists = topic_index_by_name(gs->topics, topic) != NULL;
    list_each (n, &k->all_lists)
        if (name_list_has(container_of(n, struct name_list, in_all_lists), topic)) k->refresh = true;
    list_each (n, &k->all_regexes) {
        struct regex_use *r = container_of(n, struct regex_use, in_all_regexes);
        if (exists && !name_list_has(r->topics, topic)) r->stale = true;
    }
}

bool consumer_subscribes(const struct group *g, struct str topic)
{
    list_each (n, &g->consumer->all_lists)
        if (name_list_has(container_of(n, struct name_list, in_all_lists), topic)) return true;
    return false;
}
