// SPDX-License-Identifier: Apache-2.0
/* See compact_rules.h; nothing can fail here. */
#include "storage/compact_rules.h"

#include "base/bytes.h"
#include "base/check.h"

/* now - then, where a difference that does not fit counts as the largest; 0 for a time to come. */
static int64_t age_ms(int64_t now_ms, int64_t then_ms)
{
    int64_t age;
    if (then_ms >= now_ms) return 0;
    return __builtin_sub_overflow(now_ms, then_ms, &age) ? INT64_MAX : age;
}

/* The first segment that no round may touch now. */
static uint32_t first_uncleanable(const struct partition_settings *c, const struct compact_log *l, int64_t now_ms)
{
    uint32_t i = 0;
    for (; i + 1 < l->count; i++) {
        const struct segment *s = &l->segments[i];
        int64_t end = s[1].base;
        if (s->base >= l->moving_base || end > l->high_watermark) break;
        bool dirty = end > l->clean_end;
        if (dirty && c->min_lag_ms > 0 && s->newest_ms >= 0 && age_ms(now_ms, s->newest_ms) < c->min_lag_ms) break;
    }
    return i;
}

struct compact_verdict compact_decide(const struct partition_settings *settings, const struct compact_log *l,
                                      int64_t now_ms)
{
    struct compact_verdict v = {.from = MAX(l->clean_end, l->log_start)};
    int64_t oldest_ms = -1;
    CHECK(l->count > 0 && l->segments[l->count - 1].length == UINT64_MAX);
    CHECK(l->log_start <= l->high_watermark && l->clean_end <= l->high_watermark);
    if (!settings->compacts) return v;
    uint32_t end = first_uncleanable(settings, l, now_ms);
    v.to = l->segments[end].base;
    for (uint32_t i = 0; i < end; i++) {
        const struct segment *s = &l->segments[i];
        if (s[1].base <= v.from) {
            v.clean_bytes += s->length;
            continue;
        }
        v.dirty_bytes += s->length;
        if (oldest_ms < 0) oldest_ms = s->oldest_ms;
    }
    if (v.to <= v.from || v.dirty_bytes == 0) return v;
    double share = (double)v.dirty_bytes / (double)(v.clean_bytes + v.dirty_bytes);
    bool too_old = oldest_ms >= 0 && age_ms(now_ms, oldest_ms) > settings->max_lag_ms;
    v.wanted = too_old || share > settings->min_dirty_ratio;
    return v;
}

uint32_t compact_group(const struct segment *segments, uint32_t count, uint32_t first, int64_t to,
                       uint64_t segment_bytes)
{
    uint64_t bytes = 0;
    uint32_t n = 0;
    CHECK(first + 1 < count && segments[first].base < to);
    for (uint32_t i = first; i + 1 < count && segments[i].base < to; i++) {
        bool fits = segments[i].length <= segment_bytes && bytes <= segment_bytes - segments[i].length;
        if (n > 0 && (!fits || segments[i + 1].base - segments[first].base > INT32_MAX)) break;
        bytes += segments[i].length;
        n++;
    }
    CHECK(n > 0);
    return n;
}

bool compact_survives(const struct key_map *map, int64_t upto, int64_t now_ms, const struct compact_record *r)
{
    if (r->offset >= upto) return true;
    if (r->key_len < 0) return false;
    if (key_map_get(map, r->key, (size_t)r->key_len) > r->offset) return false;
    if (r->value_len >= 0) return true;
    return r->delete_horizon_ms < 0 || now_ms < r->delete_horizon_ms;
}
