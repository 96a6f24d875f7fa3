// SPDX-License-Identifier: Apache-2.0
/* Records out of the answers at hand (contract: reader.h).
 *
 * Happy path: next partition of the first answer -> next batch -> checksum -> its records, decompressed if need be.
 * Passed over: control batches (markers of transactions), records below the position (a batch begins before the offset
 * that was asked for), records at or behind the end.
 * Failure modes: a batch with a wrong checksum, or whose records do not decode, is named once and passed over. */
#include "clients/c/reader.h"

#include "base/bytes.h"

#define PLAIN_BYTES_MAX (1ull << 30) /* of one batch; memory_bytes is the bound in practice */

static void passed(struct slot *s, int64_t next)
{
    s->position = MAX(s->position, next);
    s->done = s->position >= s->end;
}

static enum leat_code damaged(const struct leat_reader *r, const struct batch_info *info, enum status status,
                              struct leat_error *e)
{
    return fail_status(e, status, "%s-%d: the batch of offsets %lld to %lld", r->view.name, r->now.slot->partition,
                       (long long)info->base_offset, (long long)batch_last_offset(info));
}

static enum leat_code batch_end(struct leat_reader *r, struct leat_error *e)
{
    struct delivery *d = &r->now;
    enum status status = batch_iter_close(&d->iter);
    d->in_batch = false;
    passed(d->slot, MIN(batch_next_offset(&d->info), d->slot->end));
    return status == STATUS_OK ? LEAT_OK : damaged(r, &d->info, status, e);
}

void reader_deliver_stop(struct leat_reader *r)
{
    enum status status = r->now.in_batch ? batch_iter_close(&r->now.iter) : STATUS_OK;
    if (status != STATUS_OK) r->last.code = LEAT_DAMAGED; /* nobody is left who would hear of it */
    r->now = (struct delivery){0};
}

/* The next batch of the partition. LEAT_END: there is none. */
static enum leat_code batch_begin(struct leat_reader *r, struct leat_error *e)
{
    struct delivery *d = &r->now;
    struct slot *s = d->slot;
    while (d->at < d->end && !s->done) {
        /* measured before; a cut batch at the end is asked for again */
        if (batch_parse(d->at, (size_t)(d->end - d->at), &d->info) != STATUS_OK) break;
        const uint8_t *bytes = d->at;
        d->at += d->info.size_bytes;
        if (batch_next_offset(&d->info) <= s->position) continue;
        if (batch_is_control(&d->info)) {
            passed(s, batch_next_offset(&d->info));
            continue;
        }
        enum status status = STATUS_CORRUPT_BATCH;
        if (batch_crc_valid(bytes, &d->info))
            status = batch_iter_open(&d->iter, bytes, &d->info, r->client->mem, PLAIN_BYTES_MAX);
        d->in_batch = status == STATUS_OK;
        if (d->in_batch) return LEAT_OK;
        passed(s, batch_next_offset(&d->info));
        return damaged(r, &d->info, status, e);
    }
    return LEAT_END;
}

/* The next partition of the first answer that has bytes; answers that have none are freed. LEAT_END: no answer left. */
static enum leat_code partition_begin(struct leat_reader *r)
{
    struct list_node *node;
    struct delivery *d = &r->now;
    while ((node = list_first(&r->answers)) != NULL) {
        struct answer *a = container_of(node, struct answer, in_answers);
        const struct fetch_response *m = a->reply.message;
        for (; d->topic < m->responses_count; d->topic++, d->partition = 0) {
            const struct fetch_response_topic *t = &m->responses[d->topic];
            while (d->partition < t->partitions_count) {
                const struct fetch_response_partition *p = &t->partitions[d->partition++];
                d->slot = p->records.len > 0 ? reader_slot(r, p->partition_index) : NULL;
                if (d->slot == NULL) continue;
                d->at = p->records.data;
                d->end = d->at + p->records.len;
                return LEAT_OK;
            }
        }
        list_remove(&a->in_answers);
        reply_free(&a->reply);
        mem_free(r->client->mem, MEM_CONTROL, a, sizeof *a);
        *d = (struct delivery){0};
    }
    return LEAT_END;
}

static enum leat_code record_take(struct leat_reader *r, const struct batch_record *b, struct leat_record *ret_record,
                                  struct leat_error *e)
{
    size_t n = (size_t)b->header_count;
    struct leat_header *headers = arena_alloc(&r->headers, n * sizeof *headers);
    struct batch_header *raw = arena_alloc(&r->headers, n * sizeof *raw);
    if (headers == NULL || raw == NULL)
        return fail(e, LEAT_NO_MEMORY, "%s-%d: no memory for the %zu headers of offset %lld", r->view.name,
                    r->now.slot->partition, n, (long long)b->offset);
    batch_record_headers(b, raw);
    for (size_t i = 0; i < n; i++)
        headers[i] = (struct leat_header){(const char *)raw[i].key, raw[i].value, raw[i].key_len, raw[i].value_len};
    *ret_record = (struct leat_record){
        .key = b->key_len < 0 ? NULL : b->key,
        .value = b->value_len < 0 ? NULL : b->value,
        .key_len = b->key_len,
        .value_len = b->value_len,
        .headers = headers,
        .header_count = n,
        .timestamp_ms = b->timestamp_ms,
        .partition = r->now.slot->partition,
        .offset = b->offset,
        .leader_epoch = r->now.info.leader_epoch,
        .log_append_time = batch_is_log_append_time(&r->now.info),
    };
    return LEAT_OK;
}

enum leat_code reader_deliver(struct leat_reader *r, struct leat_record *ret_record, struct leat_error *e)
{
    struct delivery *d = &r->now;
    for (;;) {
        struct batch_record b;
        while (d->in_batch && batch_iter_next(&d->iter, &b)) {
            if (b.offset < d->slot->position) continue;
            if (b.offset >= d->slot->end) break;
            enum leat_code code = record_take(r, &b, ret_record, e);
            passed(d->slot, b.offset + 1);
            return code;
        }
        enum leat_code code = d->in_batch ? batch_end(r, e) : LEAT_OK;
        if (code == LEAT_OK && d->slot != NULL) code = batch_begin(r, e);
        if (code == LEAT_OK && d->in_batch) continue;
        if (code == LEAT_OK || code == LEAT_END) code = partition_begin(r);
        if (code != LEAT_OK) return code;
    }
}
