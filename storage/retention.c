// SPDX-License-Identifier: Apache-2.0
/* See retention.h; nothing can fail here. */
#include "storage/retention.h"

#include "base/bytes.h"
#include "base/check.h"

static bool too_old(const struct partition_settings *c, const struct segment *s, int64_t now_ms)
{
    return c->retention_ms >= 0 && s->newest_ms >= 0 && now_ms > s->newest_ms &&
           now_ms - s->newest_ms > c->retention_ms;
}

struct retention_verdict retention_decide(const struct partition_settings *settings, const struct retention_log *l,
                                          int64_t now_ms)
{
    struct retention_verdict v = {.log_start = NO_OFFSET};
    CHECK(l->count > 0 && l->segments[l->count - 1].length == UINT64_MAX);
    CHECK(l->log_start <= l->high_watermark && l->high_watermark <= l->log_end);
    if (!settings->deletes) return v;
    uint64_t left = l->end_pos - l->segments[l->count - 1].start;
    for (uint32_t i = 0; i + 1 < l->count; i++) left += l->segments[i].length; /* compaction leaves gaps in position */
    for (uint32_t i = 0; i < l->count; i++) {
        const struct segment *s = &l->segments[i];
        bool active = i + 1 == l->count;
        int64_t end = active ? l->log_end : s[1].base;
        uint64_t bytes = active ? l->end_pos - s->start : s->length;
        CHECK(bytes <= left);
        if (end > l->high_watermark || (active && bytes == 0)) break;
        bool too_much = settings->retention_bytes >= 0 && left - bytes >= (uint64_t)settings->retention_bytes;
        if (end > l->log_start && !too_much && !too_old(settings, s, now_ms)) break;
        left -= bytes;
        v.segments++;
        v.bytes += bytes;
        v.roll = active;
        if (end > l->log_start) v.log_start = end;
    }
    CHECK(v.log_start <= l->high_watermark);
    return v;
}

void retention_clock_init(struct retention_clock *c, struct mono_ns now, struct wall_ms wall)
{
    *c = (struct retention_clock){.at = now, .ms = wall.v};
}

int64_t retention_clock_read(struct retention_clock *c, struct mono_ns now, struct wall_ms wall, bool *ret_jumped)
{
    CHECK(now.v >= c->at.v);
    int64_t passed = (now.v - c->at.v) / NS_PER_MS;
    int64_t steady = c->ms + passed;
    bool was_behind = c->behind;
    c->behind = wall.v - steady > (was_behind ? 0 : RETENTION_JUMP_MS);
    c->ms = c->behind ? MIN(steady + passed, wall.v) : wall.v;
    c->at.v += passed * NS_PER_MS;
    *ret_jumped = c->behind && !was_behind;
    return c->ms;
}
