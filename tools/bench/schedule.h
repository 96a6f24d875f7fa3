// SPDX-License-Identifier: Apache-2.0
/* When each record should be sent. Open loop: `rate` records per second over all connections, record i of connection c
 * of n at begin + (i * n + c) / rate, whatever the broker does; a latency is measured from that time, so a stall counts
 * against every record that it delayed (no coordinated omission). Pure arithmetic. */
#pragma once
#include <stdint.h>

struct schedule { /* of one connection */
    int64_t begin_ns;
    double rate; /* records per second over all connections; 0: closed loop, a record is due when there is room */
    uint32_t connection, connections;
};

static inline int64_t schedule_at_ns(const struct schedule *s, uint64_t record)
{
    if (s->rate <= 0) return s->begin_ns;
    return s->begin_ns + (int64_t)(((double)record * s->connections + s->connection) * 1e9 / s->rate);
}

/* How many records have a time before limit_ns; open loop only. */
static inline uint64_t schedule_before(const struct schedule *s, int64_t limit_ns)
{
    double n = ((double)(limit_ns - s->begin_ns) * s->rate / 1e9 - s->connection) / s->connections;
    uint64_t count = n > 0 ? (uint64_t)n : 0; /* a first guess; what rounding did is put right below */
    while (count > 0 && schedule_at_ns(s, count - 1) >= limit_ns) count--;
    while (schedule_at_ns(s, count) < limit_ns) count++;
    return count;
}
