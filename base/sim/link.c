// SPDX-License-Identifier: Apache-2.0
/* Links of the simulated network: one per ordered pair of machines, made on first use; their settings and delays. A
 * change tells net.c, so that what a cut link holds goes on. And who has an address. Failure modes: none. */
#include "base/sim/sim_impl.h"

static const struct sim_link link_defaults = {.min_ns = 50 * NS_PER_US,
                                              .mean_ns = 50 * NS_PER_US,
                                              .window_bytes = 256 * 1024,
                                              .short_ppm = 20000,
                                              .fragment_ppm = 100000};

struct sim_link *sim_link_of(const struct sim_machine *from, const struct sim_machine *to)
{
    struct sim_machine *m = (struct sim_machine *)(uintptr_t)from; /* filled on first use */
    if (to->id >= m->link_count) {
        uint32_t n = m->sim->machine_count;
        m->links = realloc(m->links, n * sizeof(struct sim_link));
        CHECK(m->links != NULL);
        for (uint32_t k = m->link_count; k < n; k++) {
            m->links[k] = link_defaults;
            if (k == m->id) m->links[k].min_ns = m->links[k].mean_ns = 5 * NS_PER_US;
        }
        m->link_count = n;
    }
    return &m->links[to->id];
}

void sim_link_set(struct sim_machine *from, struct sim_machine *to, const struct sim_link *link)
{
    struct sim_link *l = sim_link_of(from, to);
    bool inside = from == to;
    *l = *link;
    if (l->min_ns == 0) l->min_ns = inside ? 5 * NS_PER_US : link_defaults.min_ns;
    if (l->mean_ns == 0) l->mean_ns = inside ? 5 * NS_PER_US : link_defaults.mean_ns;
    if (l->window_bytes == 0) l->window_bytes = link_defaults.window_bytes;
    sim_net_link_changed(from, to);
}

struct sim_link sim_link_get(const struct sim_machine *from, const struct sim_machine *to)
{
    return *sim_link_of(from, to);
}

void sim_link_cut(struct sim_machine *from, struct sim_machine *to, bool cut)
{
    sim_link_of(from, to)->cut = cut;
    sim_net_link_changed(from, to);
}

void sim_partition(struct sim_machine *a, struct sim_machine *b, bool cut)
{
    sim_link_cut(a, b, cut);
    sim_link_cut(b, a, cut);
}

int64_t sim_link_delay(struct sim *s, const struct sim_link *l)
{
    return l->min_ns + sim_exp(&s->net, l->mean_ns);
}

static bool host_is(const char *host, size_t len, const char *name)
{
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') host++, len -= 2;
    return strlen(name) == len && memcmp(host, name, len) == 0;
}

struct sim_machine *sim_machine_by_host(struct sim_machine *self, const char *host, size_t len)
{
    static const char *const own[] = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "::"};
    for (size_t n = 0; n < COUNT_OF(own); n++)
        if (host_is(host, len, own[n])) return self;
    for (uint32_t n = 0; n < self->sim->machine_count; n++)
        if (host_is(host, len, self->sim->machines[n]->host)) return self->sim->machines[n];
    return NULL;
}
