// SPDX-License-Identifier: Apache-2.0
/* Parts of requests between shards (part.h). Path: part_send -> (message) -> run on the owner -> part_return ->
 * (message) -> back on the home shard. Failure modes: none; messages between running shards are not lost. */
#include "broker/part.h"
#include "broker/shard.h"

static void arrive(struct env *to, struct msg *m)
{
    struct part *p = container_of(m, struct part, msg);
    p->at = to->user;
    p->run(p);
}

static void come_back(struct env *to, struct msg *m)
{
    struct part *p = container_of(m, struct part, msg);
    CHECK(to->shard == p->home);
    p->back(p);
}

void part_send(struct part *p, struct shard *home, uint32_t owner)
{
    p->home = home->env->shard;
    p->owner = owner;
    p->at = home;
    p->msg = (struct msg){.run = arrive};
    if (owner == p->home)
        p->run(p);
    else
        env_post(home->env, owner, &p->msg);
}

void part_return(struct part *p)
{
    struct env *e = p->at->env;
    if (e->shard == p->home) {
        p->back(p);
        return;
    }
    p->msg = (struct msg){.run = come_back};
    env_post(e, p->home, &p->msg);
}
