// SPDX-License-Identifier: Apache-2.0
/* xoshiro256** (Blackman, Vigna 2018), its state filled by splitmix64 so that close seeds give unlike streams. No
 * failure modes. */
#include "base/prng.h"
#include "base/check.h"

static uint64_t rotl(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64 - bits);
}

static uint64_t splitmix(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void prng_seed(struct prng *p, uint64_t seed, uint64_t stream)
{
    uint64_t state = stream;
    state = seed ^ splitmix(&state);
    for (unsigned i = 0; i < 4; i++) p->s[i] = splitmix(&state);
}

uint64_t prng_next(struct prng *p)
{
    uint64_t *s = p->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* The high half of a 128-bit product; the few low products that would make some results likelier are drawn again. */
uint64_t prng_below(struct prng *p, uint64_t n)
{
    CHECK(n > 0);
    uint64_t reject_below = -n % n;
    for (;;) {
        unsigned __int128 product = (unsigned __int128)prng_next(p) * n;
        if ((uint64_t)product >= reject_below) return (uint64_t)(product >> 64);
    }
}

bool prng_chance(struct prng *p, uint64_t num, uint64_t den)
{
    return prng_below(p, den) < num;
}
