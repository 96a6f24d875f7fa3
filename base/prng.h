// SPDX-License-Identifier: Apache-2.0
/* Pseudo-random numbers (xoshiro256**): one generator per concern, so that asking one more number here changes nothing
 * there. Not for secrets. The sequence for a seed never changes: simulator seeds are kept in scenarios. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t s[4];
};

/* stream: the concern; different streams of one seed are independent. */
void prng_seed(struct prng *p, uint64_t seed, uint64_t stream);
uint64_t prng_next(struct prng *p);
uint64_t prng_below(struct prng *p, uint64_t n);              /* uniform in [0, n); n > 0 */
bool prng_chance(struct prng *p, uint64_t num, uint64_t den); /* true with probability num / den; den > 0 */
