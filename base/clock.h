// SPDX-License-Identifier: Apache-2.0
/* Two clocks, two types: a wall time where a monotonic one belongs does not compile (fault row C4 of reliability). */
#pragma once
#include <stdint.h>

struct mono_ns {
    int64_t v; /* nanoseconds since an arbitrary start; never goes back; timers, leases, latencies */
};

struct wall_ms {
    int64_t v; /* milliseconds since 1970 UTC; may jump; only for timestamps that people and records see */
};

#define NS_PER_US 1000LL
#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

static inline struct mono_ns mono_add(struct mono_ns t, int64_t ns)
{
    return (struct mono_ns){t.v + ns};
}
