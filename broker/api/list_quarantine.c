// SPDX-License-Identifier: Apache-2.0
/* ListQuarantine (Leat's own): what lies in the quarantine of this broker's log directory.
 *
 *   begin   read the body; a part to shard 0, which lists the folder and copies what was asked for
 *   answer
 *
 * Failure modes: a folder that cannot be read is the answer's error. */
#include "base/bytes.h"
#include "broker/api/api.h"
#include "broker/conn.h"
#include "broker/part.h"
#include "broker/shard.h"
#include "protocol/msg_leat_list_quarantine.h"

#define ROWS_MAX       1000
#define ENTRY_NAME_MAX 255

enum list_stage { LIST_BEGIN, LIST_ANSWER };

struct list_quarantine {
    struct part part;
    struct request *request;
    struct store_list list;
    struct leat_list_quarantine_response a;
    char (*names)[ENTRY_NAME_MAX + 1];
    int32_t limit;
    enum status status;
};

static void copy(struct list_quarantine *x, const char *name, const struct kept *k)
{
    if (x->a.total++ >= x->limit) return;
    char *to = x->names[x->a.entries_count];
    struct leat_list_quarantine_response_entry *row = &x->a.entries[x->a.entries_count++];
    size_t n = MIN(strlen(name), (size_t)ENTRY_NAME_MAX);
    leat_list_quarantine_response_entry_init(row);
    memcpy(to, name, n);
    row->name = (struct str){to, (int32_t)n};
    row->partition = k->number;
    if (k->number < 0) return;
    memcpy(row->topic_id.b, k->id.b, sizeof k->id.b);
    row->since_ms = k->since_ms;
}

static void listed(struct store_list *op)
{
    struct list_quarantine *x = container_of(op, struct list_quarantine, list);
    const char *name;
    struct kept k;
    uint32_t pos = 0;
    x->status = op->status;
    while (op->status == STATUS_OK && store_list_next(op, &pos, &name, &k)) copy(x, name, &k);
    if (op->status == STATUS_OK) store_list_free(x->part.at->store, op);
    part_return(&x->part);
}

static void run(struct part *part)
{
    struct list_quarantine *x = container_of(part, struct list_quarantine, part);
    x->list.done = listed;
    store_list(part->at->store, STORE_QUARANTINE, &x->list);
}

static void back(struct part *part)
{
    request_part_back(container_of(part, struct list_quarantine, part)->request);
}

static int begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct leat_list_quarantine_request *q = api_decode(r, sizeof *q);
    if (q == NULL) return STAGE_DONE;
    struct list_quarantine *x = request_zalloc(r, sizeof *x);
    if (x == NULL) return api_no_memory(r);
    r->list_quarantine = x;
    x->request = r;
    x->limit = MIN(MAX(q->limit, 0), ROWS_MAX);
    leat_list_quarantine_response_init(&x->a);
    x->a.entries = request_zalloc(r, (size_t)x->limit * sizeof *x->a.entries + 1);
    x->names = request_zalloc(r, (size_t)x->limit * sizeof *x->names + 1);
    if (x->a.entries == NULL || x->names == NULL) return api_no_memory(r);
    x->part = (struct part){.run = run, .back = back};
    r->parts_out = 1;
    part_send(&x->part, r->shard, 0);
    return r->parts_out > 0 ? STAGE_WAIT(LIST_ANSWER) : LIST_ANSWER;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct list_quarantine *x = r->list_quarantine;
    const char *dir = r->shard->broker->config->log_dir;
    x->a.log_dir = (struct str){dir, (int32_t)strlen(dir)};
    x->a.error_code = status_kafka_code(x->status);
    if (r->conn->closing)
        request_answer_nothing(r);
    else
        request_answer(r, &x->a);
    return STAGE_DONE;
}

static const struct stage stages[] = {
    [LIST_BEGIN] = {"begin", begin, STAGE_BIT(LIST_ANSWER)},
    [LIST_ANSWER] = {"answer", answer, 0},
};
const struct flow list_quarantine_flow = {"list quarantine", stages, 2};
