// SPDX-License-Identifier: Apache-2.0
/* Rules for brokers (controller.h): registration with a new epoch, fencing, blocks of producer ids. */
#include "replication/controller_impl.h"

enum status controller_register_broker(const struct controller *c, const struct record_register_broker *b, bool replace,
                                       struct record_list *records, struct rule_error *ret_error, int64_t *ret_epoch)
{
    const struct image_broker *now = image_brokers_find(image_brokers(c->image), b->id);
    rule_ok(ret_error);
    if (now != NULL && !now->fenced && !replace && !uuid_equal(now->incarnation, b->incarnation)) {
        (void)rule_fail(ret_error, RULE_DUPLICATE_BROKER_REGISTRATION,
                        "Another broker is registered with that broker id.");
        return STATUS_OK;
    }
    uint32_t before = records->count;
    int64_t epoch = image_broker_epoch(c->image) + 1;
    struct record *r = record_list_add(records, RECORD_REGISTER_BROKER);
    struct record *started = r != NULL ? record_list_add(records, RECORD_BROKER_STARTED) : NULL;
    if (started == NULL) {
        records_cut(records, before);
        return STATUS_NO_MEMORY;
    }
    r = &records->records[before]; /* the list may have grown */
    r->register_broker = *b;
    r->register_broker.epoch = epoch;
    started->broker.id = b->id;
    started->broker.epoch = epoch;
    *ret_epoch = epoch;
    return STATUS_OK;
}

static const struct image_broker *find(const struct controller *c, int32_t id, int64_t epoch, struct rule_error *e)
{
    const struct image_broker *b = image_brokers_find(image_brokers(c->image), id);
    if (b == NULL)
        (void)rule_fail(e, RULE_BROKER_ID_NOT_REGISTERED, "Broker ID %d is not currently registered", id);
    else if (b->epoch != epoch)
        (void)rule_fail(e, RULE_STALE_BROKER_EPOCH, "Expected broker epoch %lld, but got broker epoch %lld",
                        (long long)b->epoch, (long long)epoch);
    return e->code == RULE_OK ? b : NULL;
}

enum status controller_fence_broker(const struct controller *c, int32_t id, int64_t epoch, bool fenced,
                                    struct record_list *records, struct rule_error *ret_error)
{
    rule_ok(ret_error);
    const struct image_broker *b = find(c, id, epoch, ret_error);
    if (b == NULL || b->fenced == fenced) return STATUS_OK;
    struct record *r = record_list_add(records, RECORD_CHANGE_BROKER);
    if (r == NULL) return STATUS_NO_MEMORY;
    r->change_broker = (struct record_change_broker){.id = id, .epoch = epoch, .has_fenced = true, .fenced = fenced};
    return STATUS_OK;
}

enum status controller_producer_ids(const struct controller *c, int32_t broker, int64_t epoch,
                                    struct record_list *records, struct rule_error *ret_error, int64_t *ret_first)
{
    rule_ok(ret_error);
    if (find(c, broker, epoch, ret_error) == NULL) return STATUS_OK;
    struct record *r = record_list_add(records, RECORD_PRODUCER_IDS);
    if (r == NULL) return STATUS_NO_MEMORY;
    *ret_first = image_producer_id_next(c->image);
    r->producer_ids.broker = broker;
    r->producer_ids.broker_epoch = epoch;
    r->producer_ids.next = *ret_first + PRODUCER_ID_BLOCK;
    return STATUS_OK;
}
