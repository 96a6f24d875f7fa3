// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "tests/unit/consumer_world.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct text {
    char *out;
    size_t at;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->out + t->at, DUMP_SIZE - t->at, format, args);
    va_end(args);
    CHECK(n >= 0 && (size_t)n < DUMP_SIZE - t->at);
    t->at += (size_t)n;
}

static void add_parts(struct text *t, const char *what, const struct parts *s)
{
    add(t, " %s", what);
    for (uint32_t i = 0; i < s->count; i++)
        add(t, " %d.%d:%d@%d", s->all[i].topic.b[0], s->all[i].topic.b[15], s->all[i].number, s->all[i].epoch);
}

static int by_member_id(const void *x, const void *y)
{
    const struct consumer_member *a = *(struct consumer_member *const *)x, *b = *(struct consumer_member *const *)y;
    int order = memcmp(a->id.data, b->id.data, (size_t)(a->id.len < b->id.len ? a->id.len : b->id.len));
    return order != 0 ? order : a->id.len - b->id.len;
}

static void add_member(struct text *t, const struct consumer_member *c)
{
    add(t, "member %.*s instance %.*s rack %.*s client %.*s@%.*s timeout %d assignor %.*s regex %.*s names", c->id.len,
        c->id.data, c->instance.len, c->instance.len < 0 ? "" : c->instance.data, c->rack.len,
        c->rack.len < 0 ? "" : c->rack.data, c->client_id.len, c->client_id.data, c->client_host.len,
        c->client_host.data, c->rebalance_ms, c->assignor.len, c->assignor.len < 0 ? "" : c->assignor.data,
        member_regex(c).len, member_regex(c).data);
    for (uint32_t i = 0; i < c->names->count; i++) add(t, " %.*s", c->names->names[i].len, c->names->names[i].data);
    add(t, "\n  epoch %d before %d state %d", c->epoch, c->previous_epoch, c->state);
    add_parts(t, "assigned", &c->assigned);
    add_parts(t, "revoking", &c->revoking);
    add_parts(t, c->has_target ? "target" : "no target", &c->target);
    if (c->classic != NULL) {
        add(t, " classic session %d", c->classic->session_ms);
        for (uint32_t i = 0; i < c->classic->count; i++)
            add(t, " %.*s:%d", c->classic->protocols[i].name.len, c->classic->protocols[i].name.data,
                c->classic->protocols[i].metadata.len);
    }
    add(t, "\n");
}

void consumer_dump(const struct groups *gs, char out[DUMP_SIZE])
{
    struct text t = {out, 0};
    struct consumer_member *sorted[2000];
    uint32_t n = 0;
    const struct group *g = groups_find(gs, STR(WORLD_GROUP));
    out[0] = '\0';
    if (g == NULL || g->type != GROUP_CONSUMER) {
        add(&t, "no consumer group\n");
        return;
    }
    const struct consumer_group *k = g->consumer;
    add(&t, "epoch %d hash %lld assignment %d at %lld old %d\n", k->epoch, (long long)k->metadata_hash,
        k->assignment_epoch, (long long)k->assignment_ms, k->partition_metadata);
    list_each (node, &k->all) sorted[n++] = container_of(node, struct consumer_member, in_all);
    qsort(sorted, n, sizeof sorted[0], by_member_id);
    for (uint32_t i = 0; i < n; i++) add_member(&t, sorted[i]);
    list_each (node, &k->all_regexes) {
        const struct regex_use *r = container_of(node, struct regex_use, in_all_regexes);
        add(&t, "regex %.*s members %u at %lld:", r->text.len, r->text.data, r->members, (long long)r->looked_ms);
        for (uint32_t i = 0; r->topics != NULL && i < r->topics->count; i++)
            add(&t, " %.*s", r->topics->names[i].len, r->topics->names[i].data);
        add(&t, "\n");
    }
}
