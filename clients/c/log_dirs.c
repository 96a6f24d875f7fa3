// SPDX-License-Identifier: Apache-2.0
/* What a broker has on its disks (contract: leat.h): one DescribeLogDirs to that broker, copied into a result. */
#include "clients/c/metadata.h"
#include "clients/c/result.h"

#include "base/bytes.h"
#include "protocol/msg_describe_log_dirs.h"
#include <stdlib.h>

#define DESCRIBE_LOG_DIRS_VERSION_CAP 4

static int replica_order(const void *a, const void *b)
{
    const struct leat_replica *x = a, *y = b;
    int order = strcmp(x->topic, y->topic);
    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static void dir_take(struct result *r, const struct describe_log_dirs_response_result *q, struct leat_log_dir *d)
{
    size_t n = 0, at = 0;
    for (int32_t i = 0; i < q->topics_count; i++) n += (size_t)MAX(q->topics[i].partitions_count, 0);
    struct leat_replica *replicas = result_array(r, n, sizeof *replicas);
    *d = (struct leat_log_dir){.path = result_str(r, q->log_dir),
                               .kafka_code = q->error_code,
                               .total_bytes = q->total_bytes,
                               .usable_bytes = q->usable_bytes};
    for (int32_t i = 0; i < q->topics_count && !r->failed; i++) {
        const struct describe_log_dirs_response_topic *t = &q->topics[i];
        const char *topic = result_str(r, t->name);
        for (int32_t k = 0; k < t->partitions_count && !r->failed; k++)
            replicas[at++] = (struct leat_replica){.topic = topic,
                                                   .partition = t->partitions[k].partition_index,
                                                   .bytes = t->partitions[k].partition_size,
                                                   .lag = t->partitions[k].offset_lag};
    }
    if (r->failed) return;
    qsort(replicas, n, sizeof *replicas, replica_order);
    d->replicas = replicas;
    d->replica_count = n;
}

static void dirs_take(struct result *r, const struct describe_log_dirs_response *a, struct leat_log_dirs *dirs)
{
    size_t n = (size_t)MAX(a->results_count, 0);
    struct leat_log_dir *all = result_array(r, n, sizeof *all);
    for (size_t i = 0; i < n && !r->failed; i++) dir_take(r, &a->results[i], &all[i]);
    dirs->dirs = all;
    dirs->count = n;
}

enum leat_code leat_log_dirs_get(struct leat_client *client, const struct leat_node *node, int64_t timeout_ms,
                                 struct leat_log_dirs **ret_dirs, struct leat_error *ret_error)
{
    struct describe_log_dirs_request q;
    struct address at = {.node = node->id, .port = (uint16_t)node->port};
    struct reply reply;
    struct result *r;
    if (node->port <= 0 || node->port > UINT16_MAX || strlen(node->host) > HOST_MAX)
        return fail(ret_error, LEAT_INVALID, "broker %d has no usable address", node->id);
    str_copy(at.host, sizeof at.host, str_of(node->host));
    describe_log_dirs_request_init(&q);
    q.topics_count = -1;
    const struct call what = {.key = API_DESCRIBE_LOG_DIRS,
                              .version_cap = DESCRIBE_LOG_DIRS_VERSION_CAP,
                              .message = &q,
                              .target = CALL_NODE,
                              .node = &at};
    enum leat_code code = call(client, &what, deadline_in(timeout_ms), &reply, ret_error);
    if (code != LEAT_OK) return code;
    const struct describe_log_dirs_response *a = reply.message;
    struct leat_log_dirs *dirs = result_create(client->mem, sizeof *dirs, &r);
    if (dirs != NULL) dirs_take(r, a, dirs);
    if (dirs == NULL || r->failed)
        code = fail(ret_error, LEAT_NO_MEMORY, "no memory for the log directories of broker %d", node->id);
    else if (a->error_code != KAFKA_NONE)
        code = fail_kafka(ret_error, a->error_code, "log directories of broker %d", node->id);
    reply_free(&reply);
    if (code == LEAT_OK)
        *ret_dirs = dirs;
    else
        result_free(dirs);
    return code;
}

void leat_log_dirs_free(struct leat_log_dirs *dirs)
{
    result_free(dirs);
}
