// SPDX-License-Identifier: Apache-2.0
/* State of one partition: segments, watermark, waiters, accessors. Pure memory; what changes it durably is in append.c,
 * change.c and recovery. */
#include "storage/partition.h"

#include "base/bytes.h"
#include "storage/partition_map.h"
#include "storage/store_impl.h"
#include "storage/swap.h"

struct partition *partition_new(struct store *s, const char *topic, struct topic_id id, int32_t number)
{
    struct mem *m = s->env->mem;
    size_t name_bytes = strlen(topic) + 1;
    struct partition *p = mem_zalloc(m, MEM_LOG, sizeof *p);
    if (p == NULL) return NULL;
    p->topic = mem_alloc(m, MEM_LOG, name_bytes);
    if (p->topic == NULL) {
        mem_free(m, MEM_LOG, p, sizeof *p);
        return NULL;
    }
    memcpy(p->topic, topic, name_bytes);
    p->store = s;
    p->id = id;
    p->number = number;
    p->replicated = p->damaged_from = p->damaged_to = NO_OFFSET;
    p->segment_time_ms = -1;
    p->segments = &p->first_segment;
    p->segment_count = p->segment_capacity = 1;
    p->end_pos = p->durable_pos = p->moved_pos = p->carried_pos = LOG_POS_FIRST;
    p->first_segment = (struct segment){.start = LOG_POS_FIRST, .length = UINT64_MAX, .newest_ms = -1, .oldest_ms = -1};
    epoch_map_init(&p->epochs, m);
    producer_state_init(&p->producers, m);
    index_init(&p->index, m, id, number, 0);
    list_init(&p->waiters);
    list_init(&p->truncations);
    list_init(&p->stale);
    partition_settings_init(s, &p->settings);
    list_push_back(&s->rounds, &p->in_rounds);
    return p;
}

static void compacted_leave(struct partition *p)
{
    if (!list_linked(&p->in_compacted)) return;
    list_remove(&p->in_compacted);
    p->store->compacted_count--;
}

void partition_free(struct partition *p)
{
    struct mem *m = p->store->env->mem;
    CHECK(p->move == NULL && p->readers == 0 && list_empty(&p->truncations));
    struct list_node *n;
    while ((n = list_pop_front(&p->waiters)) != NULL) {
        struct partition_waiter *w = container_of(n, struct partition_waiter, in_partition);
        w->wake(w);
    }
    if (list_linked(&p->in_touched)) list_remove(&p->in_touched);
    partition_leave_mover(p);
    if (list_linked(&p->in_dirs)) list_remove(&p->in_dirs);
    list_remove(&p->in_rounds);
    compacted_leave(p);
    partition_stale_forget(p);
    refs_clear(p);
    if (p->store->serving && p->damaged_from != NO_OFFSET) p->store->count.damaged--;
    epoch_map_deinit(&p->epochs);
    producer_state_deinit(&p->producers);
    index_deinit(&p->index);
    if (p->segments != &p->first_segment) mem_free(m, MEM_LOG, p->segments, p->segment_capacity * sizeof *p->segments);
    mem_free(m, MEM_LOG, p->topic, strlen(p->topic) + 1);
    mem_free(m, MEM_LOG, p, sizeof *p);
}

/* --- segments --- */

enum status partition_segment_reserve(struct partition *p)
{
    if (p->segment_count < p->segment_capacity) return STATUS_OK;
    struct mem *m = p->store->env->mem;
    uint32_t capacity = MAX(4u, 2 * p->segment_capacity);
    struct segment *segments = mem_alloc(m, MEM_LOG, capacity * sizeof *segments);
    if (segments == NULL) return STATUS_NO_MEMORY;
    memcpy(segments, p->segments, p->segment_count * sizeof *segments);
    if (p->segments != &p->first_segment) mem_free(m, MEM_LOG, p->segments, p->segment_capacity * sizeof *segments);
    p->segments = segments;
    p->segment_capacity = capacity;
    return STATUS_OK;
}

enum status partition_segment_push(struct partition *p, int64_t base, uint64_t start)
{
    enum status status = partition_segment_reserve(p);
    if (status != STATUS_OK) return status;
    struct segment *last = partition_active(p);
    CHECK(last->length == UINT64_MAX && start >= last->start && base >= last->base);
    last->length = start - last->start;
    p->segments[p->segment_count++] =
        (struct segment){.base = base, .start = start, .length = UINT64_MAX, .newest_ms = -1, .oldest_ms = -1};
    return STATUS_OK;
}

void partition_segment_newest(struct partition *p, int64_t max_timestamp_ms)
{
    struct segment *s = partition_active(p);
    CHECK(s->length == UINT64_MAX);
    int64_t time_ms = max_timestamp_ms >= 0 ? max_timestamp_ms : p->store->env->now_wall.v;
    if (s->oldest_ms < 0) s->oldest_ms = time_ms;
    s->newest_ms = MAX(s->newest_ms, time_ms);
}

void partition_segments_drop_after(struct partition *p, uint32_t keep)
{
    CHECK(keep >= 1 && keep <= p->segment_count);
    p->segment_count = keep;
    partition_active(p)->length = UINT64_MAX;
}

void partition_segments_drop_before(struct partition *p, uint32_t count)
{
    CHECK(count < p->segment_count);
    memmove(p->segments, p->segments + count, (p->segment_count - count) * sizeof *p->segments);
    p->segment_count -= count;
}

uint64_t partition_segment_bytes(const struct partition *p, uint32_t i)
{
    CHECK(i < p->segment_count);
    return i + 1 == p->segment_count ? p->end_pos - p->segments[i].start : p->segments[i].length;
}

struct segment *partition_segment_at(struct partition *p, uint64_t pos)
{
    uint32_t low = 0, high = p->segment_count - 1; /* the last with start <= pos */
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (p->segments[middle].start <= pos)
            low = middle;
        else
            high = middle - 1;
    }
    return &p->segments[low];
}

struct segment *partition_segment_of(struct partition *p, int64_t offset)
{
    uint32_t low = 0, high = p->segment_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (p->segments[middle].base <= offset)
            low = middle;
        else
            high = middle - 1;
    }
    return &p->segments[low];
}

void partition_check(const struct partition *p)
{
    CHECK(p->segment_count >= 1 && partition_active(p)->length == UINT64_MAX);
    CHECK(p->moved_pos <= p->durable_pos && p->durable_pos <= p->end_pos);
    CHECK(p->log_start <= p->high_watermark && p->high_watermark <= p->durable_end && p->durable_end <= p->log_end);
    for (uint32_t i = 0; i + 1 < p->segment_count; i++)
        CHECK(p->segments[i].start + p->segments[i].length <= p->segments[i + 1].start);
    uint64_t covered = p->end_pos;
    for (uint32_t i = p->ref_count; i > 0; i--) {
        const struct ref *r = ref_at(p, i - 1);
        CHECK(r->pos + r->len == covered);
        covered = r->pos;
        if (i > 1) CHECK(r->whole);
    }
    CHECK(covered <= p->moved_pos || p->moved_pos == p->end_pos);
}

/* --- news --- */

void partition_touch(struct partition *p)
{
    if (!list_linked(&p->in_touched)) list_push_back(&p->store->touched, &p->in_touched);
    if (p->moved_pos == p->end_pos) return;
    if (!list_linked(&p->in_unmoved)) list_push_back(&p->store->unmoved, &p->in_unmoved);
    if (!list_linked(&p->in_aged) && p->move == NULL)
        age_queue_place(&p->store->aged, &p->in_aged, p->store->journal->placed);
}

void partition_leave_mover(struct partition *p)
{
    if (list_linked(&p->in_unmoved)) list_remove(&p->in_unmoved);
    if (list_linked(&p->in_aged)) list_remove(&p->in_aged);
    if (list_linked(&p->in_due)) list_remove(&p->in_due);
    if (list_linked(&p->in_bare)) list_remove(&p->in_bare);
}

void partition_hw_advance(struct partition *p)
{
    int64_t hw = p->durable_end;
    if (p->replicated != NO_OFFSET) hw = MIN(hw, p->replicated);
    if (hw <= p->high_watermark) return;
    p->high_watermark = hw;
    producer_state_commit(&p->producers, hw);
    list_each (n, &p->waiters) {
        struct partition_waiter *w = container_of(n, struct partition_waiter, in_partition);
        if (w->offset >= hw) continue;
        list_remove(n);
        w->wake(w);
    }
}

void partition_replicated(struct partition *p, int64_t offset)
{
    if (offset <= p->replicated) return;
    p->replicated = offset;
    partition_touch(p); /* the next table has it (rule D5) */
    partition_hw_advance(p);
}

void partition_wait(struct partition *p, struct partition_waiter *w)
{
    CHECK(w->wake != NULL && w->offset >= p->high_watermark);
    list_push_back(&p->waiters, &w->in_partition);
}

void partition_wait_cancel(struct partition_waiter *w)
{
    if (list_linked(&w->in_partition)) list_remove(&w->in_partition);
}

/* --- settings --- */

void partition_settings_init(const struct store *s, struct partition_settings *ret_settings)
{
    *ret_settings = (struct partition_settings){.segment_bytes = s->config.segment_bytes,
                                                .segment_ms = s->config.segment_ms,
                                                .retention_bytes = -1,
                                                .retention_ms = -1,
                                                .batch_bytes_max = s->config.batch_bytes_max,
                                                .deletes = true,
                                                .delete_retention_ms = 24ll * 3600 * 1000,
                                                .max_lag_ms = INT64_MAX,
                                                .min_dirty_ratio = 0.5};
}

enum status partition_configure(struct partition *p, const struct partition_settings *settings)
{
    if (settings->segment_bytes < 1 || settings->segment_ms < 1) return STATUS_INVALID;
    if (settings->retention_bytes < -1 || settings->retention_ms < -1) return STATUS_INVALID;
    if (settings->batch_bytes_max < 1 || settings->batch_bytes_max > p->store->config.batch_bytes_max)
        return STATUS_INVALID;
    if (settings->delete_retention_ms < 0 || settings->min_lag_ms < 0 || settings->max_lag_ms < 1)
        return STATUS_INVALID;
    if (!(settings->min_dirty_ratio >= 0 && settings->min_dirty_ratio <= 1)) return STATUS_INVALID;
    p->settings = *settings;
    if (!settings->compacts) compacted_leave(p);
    if (settings->compacts && !list_linked(&p->in_compacted)) {
        list_push_back(&p->store->compacted, &p->in_compacted);
        p->store->compacted_count++;
    }
    return STATUS_OK;
}

const struct partition_settings *partition_settings(const struct partition *p)
{
    return &p->settings;
}

/* --- accessors --- */

void partition_set_user(struct partition *p, struct partition_user *user)
{
    CHECK((p->user == NULL) != (user == NULL));
    p->user = user;
}

struct partition_user *partition_user(const struct partition *p)
{
    return p->user;
}

const char *partition_topic(const struct partition *p)
{
    return p->topic;
}

int32_t partition_number(const struct partition *p)
{
    return p->number;
}

struct topic_id partition_topic_id(const struct partition *p)
{
    return p->id;
}

int64_t partition_log_start(const struct partition *p)
{
    return p->log_start_durable;
}

int64_t partition_high_watermark(const struct partition *p)
{
    return p->high_watermark;
}

int64_t partition_log_end(const struct partition *p)
{
    return p->log_end;
}

int32_t partition_epoch(const struct partition *p)
{
    return p->epoch;
}

uint64_t partition_size_bytes(const struct partition *p)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < p->segment_count; i++) bytes += partition_segment_bytes(p, i);
    return bytes;
}

/* A partition begins in epoch 0, which no one starts: the map has no entry for it. */
int32_t partition_epoch_of(const struct partition *p, int64_t offset)
{
    int32_t epoch = epoch_map_epoch_of(&p->epochs, offset);
    if (epoch >= 0) return epoch;
    return epoch_map_latest(&p->epochs) < 0 ? p->epoch : 0;
}

void partition_epoch_end(const struct partition *p, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end)
{
    if (epoch == p->epoch && epoch_map_latest(&p->epochs) < 0) {
        *ret_epoch = epoch;
        *ret_end = p->log_end;
        return;
    }
    epoch_map_end_of(&p->epochs, epoch, p->log_end, ret_epoch, ret_end);
}

struct partition *store_find(struct store *s, struct topic_id id, int32_t number)
{
    return partition_map_find(s->map, id, number);
}

struct partition *store_next(struct store *s, const struct partition *cursor)
{
    for (uint32_t i = 0; cursor != NULL && i < partition_map_count(s->map); i++)
        if (partition_map_at(s->map, i) == cursor) return partition_map_at(s->map, i + 1);
    return cursor == NULL ? partition_map_at(s->map, 0) : NULL;
}
