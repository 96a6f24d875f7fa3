// SPDX-License-Identifier: Apache-2.0
/* The simulated world: time, events, chance, trace.
 *
 * Happy path: an owner embeds a sim_event and schedules it; sim_step takes the earliest by (time, sequence number),
 * sets the time to it and runs it; idle time is skipped. The sequence number makes ties independent of heap shape. Each
 * concern has its own PRNG stream (prng.h), so that one more disk fault does not change the network's luck.
 * The trace hash takes in every event's time and number and whatever the owners mix in: never a pointer.
 * Failure modes: none of the world. */
#include "base/sim/sim_impl.h"
#include <xxhash.h>

/* ---- chance ---- */
bool sim_chance(struct prng *p, uint32_t ppm)
{
    return prng_below(p, 1000000) < ppm;
}

/* Exponential by halvings: the number of leading zeros of a random word is geometric, the rest is linear between. No
 * floating point, so that every compiler gives the same time. */
int64_t sim_exp(struct prng *p, int64_t mean)
{
    uint64_t r = prng_next(p);
    if (mean <= 0) return 0;
    int64_t halvings = r == 0 ? 64 : __builtin_clzll(r), part = (int64_t)(prng_next(p) >> 54); /* 0..1023 */
    return mean * 693 / 1000 * halvings + mean * 693 / 1000 * part / 1024;
}

uint64_t sim_random(struct sim *s)
{
    return prng_next(&s->test);
}

/* ---- memory: test infrastructure, libc's ---- */
void *sim_alloc(size_t n)
{
    void *p = calloc(1, n);
    CHECK(p != NULL);
    return p;
}

char *sim_strdup(const char *s)
{
    char *p = strdup(s);
    CHECK(p != NULL);
    return p;
}

/* ---- trace ---- */
void sim_mix(struct sim *s, uint64_t v)
{
    uint64_t h = (s->hash ^ v) * 0x9fb21c651e98df25ull;
    s->hash = h ^ (h >> 29);
}

void sim_mix_bytes(struct sim *s, const void *p, size_t n)
{
    sim_mix(s, n);
    sim_mix(s, XXH3_64bits(p, n));
}

/* ---- events ---- */
static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->time != b->time ? a->time < b->time : a->seq < b->seq;
}

static void heap_put(struct sim *s, size_t at, struct sim_event *ev)
{
    s->heap[at] = ev;
    ev->heap_index = at;
}

static void heap_up(struct sim *s, size_t at)
{
    struct sim_event *ev = s->heap[at];
    for (; at > 1 && event_before(ev, s->heap[at / 2]); at /= 2) heap_put(s, at, s->heap[at / 2]);
    heap_put(s, at, ev);
}

static void heap_down(struct sim *s, size_t at)
{
    struct sim_event *ev = s->heap[at];
    for (size_t child; (child = at * 2) <= s->heap_count; at = child) {
        if (child < s->heap_count && event_before(s->heap[child + 1], s->heap[child])) child++;
        if (!event_before(s->heap[child], ev)) break;
        heap_put(s, at, s->heap[child]);
    }
    heap_put(s, at, ev);
}

void sim_schedule(struct sim *s, struct sim_event *ev, int64_t time)
{
    CHECK(ev->heap_index == 0);
    CHECK(ev->run != NULL);
    if (s->heap_count + 2 > s->heap_capacity) {
        s->heap_capacity = s->heap_capacity == 0 ? 256 : s->heap_capacity * 2;
        s->heap = realloc(s->heap, s->heap_capacity * sizeof(struct sim_event *));
        CHECK(s->heap != NULL);
    }
    ev->time = MAX(time, s->now);
    ev->seq = ++s->event_seq;
    s->heap[++s->heap_count] = ev;
    heap_up(s, s->heap_count);
}

void sim_unschedule(struct sim *s, struct sim_event *ev)
{
    size_t at = ev->heap_index;
    if (at == 0) return;
    struct sim_event *last = s->heap[s->heap_count--];
    ev->heap_index = 0;
    if (last == ev) return;
    heap_put(s, at, last);
    heap_up(s, at);
    heap_down(s, last->heap_index);
}

bool sim_step(struct sim *s)
{
    if (s->heap_count == 0) return false;
    struct sim_event *ev = s->heap[1];
    sim_unschedule(s, ev);
    CHECK(ev->time >= s->now);
    s->now = ev->time;
    s->counters.events++;
    sim_mix(s, (uint64_t)ev->time);
    sim_mix(s, ev->seq);
    ev->run(s, ev);
    return true;
}

void sim_run_until(struct sim *s, int64_t time_ns)
{
    while (s->heap_count > 0 && s->heap[1]->time <= time_ns) sim_step(s);
    s->now = MAX(s->now, time_ns);
}

bool sim_run_while_not(struct sim *s, bool (*pred)(void *arg), void *arg, int64_t time_ns)
{
    while (!pred(arg)) {
        if (s->heap_count == 0 || s->heap[1]->time > time_ns) return false;
        sim_step(s);
    }
    return true;
}

struct script {
    struct sim_event event;
    void (*fn)(void *arg);
    void *arg;
};

static void script_run(struct sim *s, struct sim_event *ev)
{
    (void)s;
    struct script *sc = container_of(ev, struct script, event);
    sc->fn(sc->arg);
    free(sc);
}

void sim_at(struct sim *s, int64_t time_ns, void (*fn)(void *arg), void *arg)
{
    struct script *sc = sim_alloc(sizeof *sc);
    *sc = (struct script){.event.run = script_run, .fn = fn, .arg = arg};
    sim_schedule(s, &sc->event, time_ns);
}

/* ---- life ---- */
struct sim *sim_create(const struct sim_config *config)
{
    struct sim *s = sim_alloc(sizeof *s);
    s->config = *config;
    if (s->config.turn_min_ns == 0) s->config.turn_min_ns = NS_PER_US;
    if (s->config.turn_max_ns == 0) s->config.turn_max_ns = MAX(5 * NS_PER_US, s->config.turn_min_ns);
    struct prng *streams[] = {&s->sched, &s->disk, &s->net, &s->clock, &s->test};
    for (size_t i = 0; i < COUNT_OF(streams); i++) prng_seed(streams[i], config->seed, i + 1);
    list_init(&s->socks);
    return s;
}

void sim_destroy(struct sim *s)
{
    for (uint32_t i = 0; i < s->machine_count; i++) sim_machine_end(s->machines[i]);
    sim_net_deinit(s);
    for (uint32_t i = 0; i < s->machine_count; i++) sim_machine_destroy(s->machines[i]);
    for (size_t i = 1; i <= s->heap_count; i++) /* all that is left belongs to nobody else */
        if (s->heap[i]->run == script_run) free(container_of(s->heap[i], struct script, event));
    free(s->machines);
    free(s->heap);
    free(s);
}

int64_t sim_now(const struct sim *s)
{
    return s->now;
}

uint64_t sim_trace_hash(const struct sim *s)
{
    return s->hash;
}

const struct sim_counters *sim_counters(const struct sim *s)
{
    return &s->counters;
}
