// SPDX-License-Identifier: Apache-2.0
/* A group's lag (contract: lag.h).
 *
 * Happy path: committed offsets and members -> one row per partition -> per topic its first offsets and ends -> the one
 * record that is next for each partition that is behind, for its time.
 * The order matters: ends are asked after what is committed, so that a group that reads meanwhile is not ahead of them.
 * Failure modes: a topic that is gone, a partition without leader, a record that cannot be read: not known, the others
 * are. */
#include "tools/leat/lag.h"

#include "base/bytes.h"
#include "tools/leat/offsets.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FETCH_BYTES (256 << 10) /* one batch of each partition is enough */

static int place_order(const char *topic, int32_t partition, const char *other_topic, int32_t other)
{
    int order = strcmp(topic, other_topic);
    return order != 0 ? order : (partition > other) - (partition < other);
}

static int row_order(const void *a, const void *b)
{
    const struct lag_row *x = a, *y = b;
    return place_order(x->topic, x->partition, y->topic, y->partition);
}

/* ---- bytes on disk ---- */

static int disk_order(const void *a, const void *b)
{
    const struct lag_disk *x = a, *y = b;
    return place_order(x->topic, x->partition, y->topic, y->partition);
}

static void disks_take(struct lag_disks *d, const struct leat_log_dirs *dirs)
{
    for (size_t i = 0; i < dirs->count; i++) {
        const struct leat_log_dir *dir = &dirs->dirs[i];
        d->all = realloc(d->all, (d->count + dir->replica_count + 1) * sizeof *d->all);
        if (d->all == NULL) abort();
        for (size_t k = 0; k < dir->replica_count; k++)
            d->all[d->count++] =
                (struct lag_disk){dir->replicas[k].topic, dir->replicas[k].partition, dir->replicas[k].bytes};
    }
}

bool lag_disks_find(struct session *s, struct lag_disks *d, int *ret_code)
{
    struct leat_cluster *c;
    struct leat_error e;
    const char *none = NULL;
    *d = (struct lag_disks){0};
    if (leat_cluster_get(s->client, &none, 0, s->timeout_ms, &c, &e) != LEAT_OK) {
        *ret_code = complain_leat(s, &e);
        return false;
    }
    d->dirs = calloc(c->node_count + 1, sizeof *d->dirs);
    if (d->dirs == NULL) abort();
    for (size_t i = 0; i < c->node_count; i++) {
        if (leat_log_dirs_get(s->client, &c->nodes[i], s->timeout_ms, &d->dirs[d->dir_count], &e) == LEAT_OK)
            disks_take(d, d->dirs[d->dir_count++]);
        else
            complain(s, "disks of broker %d: %s", c->nodes[i].id, e.text);
    }
    qsort(d->all, d->count, sizeof *d->all, disk_order);
    leat_cluster_free(c);
    return true;
}

void lag_disks_free(struct lag_disks *d)
{
    for (size_t i = 0; i < d->dir_count; i++) leat_log_dirs_free(d->dirs[i]);
    free(d->dirs);
    free(d->all);
}

/* The largest replica: one that follows may still be behind. */
static int64_t partition_bytes(const struct lag_disks *d, const char *topic, int32_t partition)
{
    const struct lag_disk key = {.topic = topic, .partition = partition};
    const struct lag_disk *end = d->all + d->count;
    const struct lag_disk *found = bsearch(&key, d->all, d->count, sizeof key, disk_order);
    int64_t bytes = -1;
    if (found == NULL) return -1;
    while (found > d->all && disk_order(&found[-1], &key) == 0) found--;
    for (; found < end && disk_order(found, &key) == 0; found++) bytes = MAX(bytes, found->bytes);
    return bytes;
}

/* ---- rows ---- */

static struct lag_row *row_add(struct lag *l, const char *topic, int32_t partition)
{
    struct lag_row *row = &l->rows[l->count++];
    *row = (struct lag_row){topic, partition, -1, -1, -1, -1, 0, -1, -1, NULL};
    return row;
}

/* What is committed, and what members have that nothing is committed for yet. */
static void rows_make(struct lag *l)
{
    size_t room = l->committed->count, known = l->committed->count;
    for (size_t i = 0; l->state != NULL && i < l->state->member_count; i++) room += l->state->members[i].assigned_count;
    l->rows = calloc(room + 1, sizeof *l->rows);
    if (l->rows == NULL) abort();
    for (size_t i = 0; i < known; i++)
        row_add(l, l->committed->all[i].topic, l->committed->all[i].partition)->committed = l->committed->all[i].offset;
    for (size_t i = 0; l->state != NULL && i < l->state->member_count; i++) {
        const struct leat_member *m = &l->state->members[i];
        for (size_t k = 0; k < m->assigned_count; k++) {
            const struct lag_row key = {.topic = m->assigned[k].topic, .partition = m->assigned[k].partition};
            struct lag_row *row = bsearch(&key, l->rows, known, sizeof key, row_order);
            if (row == NULL) row = row_add(l, key.topic, key.partition);
            row->member = m;
        }
    }
    qsort(l->rows, l->count, sizeof *l->rows, row_order);
}

static void row_take(struct lag_row *row, const struct leat_offset *first, const struct leat_offset *end,
                     const struct lag_disks *disks)
{
    if (first->kafka_code != 0 || end->kafka_code != 0) return;
    row->first = first->offset;
    row->end = end->offset;
    if (row->committed < 0) return;
    int64_t from = MAX(row->committed, row->first), bytes = -1;
    row->gone = from - row->committed;
    row->records = MAX(row->end - from, (int64_t)0);
    if (row->records == 0) row->age_ms = 0;
    if (disks != NULL) bytes = partition_bytes(disks, row->topic, row->partition);
    if (bytes >= 0 && row->end > row->first)
        row->bytes = (int64_t)((double)bytes * (double)row->records / (double)(row->end - row->first));
    else if (bytes >= 0)
        row->bytes = 0;
}

/* ---- ages ---- */

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct lag_row *row_of(struct lag_row *rows, size_t n, int32_t partition)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].partition == partition) return &rows[i];
    return NULL;
}

static void ages_read(struct session *s, struct leat_reader *reader, struct lag_row *rows, size_t n)
{
    struct leat_record r;
    struct leat_error e;
    for (;;) {
        enum leat_code code = leat_reader_next(reader, s->timeout_ms, &r, &e);
        if (code == LEAT_DAMAGED) continue; /* the next one that can be read is the oldest */
        if (code == LEAT_END) return;
        if (code != LEAT_OK) {
            complain(s, "how old the records are is not known: %s", e.text);
            return;
        }
        struct lag_row *row = row_of(rows, n, r.partition);
        leat_reader_finish(reader, r.partition);
        if (row != NULL && r.timestamp_ms >= 0) row->age_ms = MAX(wall_ms() - r.timestamp_ms, (int64_t)0);
    }
}

/* rows: all of one topic */
static void ages_find(struct session *s, struct lag_row *rows, size_t n)
{
    struct leat_reader_options o;
    struct leat_reader *reader;
    struct leat_error e;
    int32_t *partitions = calloc(n + 1, sizeof *partitions);
    int64_t *froms = calloc(n + 1, sizeof *froms), *ends = calloc(n + 1, sizeof *ends);
    size_t behind = 0;
    if (partitions == NULL || froms == NULL || ends == NULL) abort();
    for (size_t i = 0; i < n; i++) {
        if (rows[i].records <= 0) continue;
        partitions[behind] = rows[i].partition;
        froms[behind] = MAX(rows[i].committed, rows[i].first);
        ends[behind++] = rows[i].end;
    }
    leat_reader_options_init(&o);
    o.topic = rows[0].topic;
    o.partitions = partitions;
    o.partition_count = behind;
    o.from_offsets = froms;
    o.to_offsets = ends;
    o.fetch_bytes = FETCH_BYTES;
    if (behind > 0 && leat_reader_create(s->client, &o, &reader, &e) == LEAT_OK) {
        ages_read(s, reader, rows, n);
        leat_reader_destroy(reader);
    }
    free(partitions);
    free(froms);
    free(ends);
}

/* ---- all together ---- */

static const struct leat_topic *topic_of(const struct leat_cluster *c, const char *name)
{
    for (size_t i = 0; i < c->topic_count; i++)
        if (strcmp(c->topics[i].name, name) == 0) return c->topics[i].kafka_code == 0 ? &c->topics[i] : NULL;
    return NULL;
}

static bool topic_rows(struct session *s, const struct leat_topic *t, struct lag_row *rows, size_t n,
                       const struct lag_disks *disks, int *ret_code)
{
    struct leat_offset *first = calloc(t->partition_count + 1, sizeof *first);
    struct leat_offset *end = calloc(t->partition_count + 1, sizeof *end);
    if (first == NULL || end == NULL) abort();
    bool good = topic_offsets(s, t, first, end, ret_code);
    for (size_t i = 0; i < n && good; i++) {
        size_t p = (size_t)rows[i].partition;
        if (rows[i].partition >= 0 && p < t->partition_count) row_take(&rows[i], &first[p], &end[p], disks);
    }
    if (good) ages_find(s, rows, n);
    free(first);
    free(end);
    return good;
}

static bool rows_fill(struct session *s, struct lag *l, const struct lag_disks *disks, int *ret_code)
{
    struct leat_cluster *c;
    struct leat_error e;
    bool good = true;
    const char **names = calloc(l->count + 1, sizeof *names);
    size_t n = 0;
    if (names == NULL) abort();
    for (size_t i = 0; i < l->count; i++)
        if (i == 0 || strcmp(l->rows[i].topic, l->rows[i - 1].topic) != 0) names[n++] = l->rows[i].topic;
    enum leat_code code = n == 0 ? LEAT_OK : leat_cluster_get(s->client, names, n, s->timeout_ms, &c, &e);
    free(names);
    if (code != LEAT_OK) *ret_code = complain_leat(s, &e);
    if (n == 0 || code != LEAT_OK) return code == LEAT_OK;
    for (size_t i = 0, next; i < l->count && good; i = next) {
        for (next = i; next < l->count && strcmp(l->rows[next].topic, l->rows[i].topic) == 0;) next++;
        const struct leat_topic *t = topic_of(c, l->rows[i].topic);
        if (t != NULL) good = topic_rows(s, t, &l->rows[i], next - i, disks, ret_code);
    }
    leat_cluster_free(c);
    return good;
}

static void sum(struct lag *l)
{
    for (size_t i = 0; i < l->count; i++) {
        l->records += MAX(l->rows[i].records, (int64_t)0);
        l->gone += l->rows[i].gone;
        l->age_ms = MAX(l->age_ms, l->rows[i].age_ms);
        l->bytes += MAX(l->rows[i].bytes, (int64_t)0);
    }
}

bool lag_find(struct session *s, const char *group, const struct lag_disks *disks, struct lag *l, int *ret_code)
{
    struct leat_error e;
    *l = (struct lag){0};
    enum leat_code code = leat_group_get(s->client, group, s->timeout_ms, &l->state, &e);
    if (code == LEAT_OK) code = leat_committed_get(s->client, group, s->timeout_ms, &l->committed, &e);
    bool good = code == LEAT_OK;
    if (good) {
        rows_make(l);
        good = rows_fill(s, l, disks, ret_code);
    } else {
        *ret_code = complain_leat(s, &e);
    }
    if (good)
        sum(l);
    else
        lag_free(l);
    return good;
}

void lag_free(struct lag *l)
{
    free(l->rows);
    leat_group_state_free(l->state);
    leat_committed_free(l->committed);
    *l = (struct lag){0};
}
