// SPDX-License-Identifier: Apache-2.0
/* Blocking calls over the simulator; see store_world.h. */
#include "tests/sim/store_world.h"

#include "base/bytes.h"
#include "protocol/batch_record.h"
#include "storage/checkpoint.h"
#include "storage/store_impl.h"
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_NS   (600 * NS_PER_S) /* a call that is not answered in ten simulated minutes hangs */
#define BATCH_BYTES (1u << 21)

void world_init(struct store_world *w, uint64_t seed, const struct sim_machine_config *machine)
{
    memset(w, 0, sizeof *w);
    w->sim = sim_create(&(struct sim_config){.seed = seed});
    w->machine = sim_machine_create(w->sim, "10.0.0.1", machine);
    store_config_init(&w->config);
    w->config.dir = "/data";
    w->config.reserve_bytes = 1 << 20;
    w->config.journal_first_bytes = 4 << 20;
    w->config.journal_bytes = 8 << 20;
    w->config.group_bytes = 256 << 10;
    w->config.batch_bytes_max = 256 << 10;
    w->config.segment_bytes = 1 << 20;
}

void world_deinit(struct store_world *w)
{
    sim_destroy(w->sim);
}

static void opened(struct store_open *op)
{
    struct world_open *o = container_of(op, struct world_open, op);
    o->world->opened++;
    o->world->stores[o - o->world->open] = op->store;
}

static void start(struct env *e, void *arg)
{
    struct store_world *w = arg;
    struct world_open *o = &w->open[e->shard];
    store_open(e, &w->disk, &w->config, &o->op);
}

bool world_opened(void *world)
{
    const struct store_world *w = world;
    return w->opened == w->shards;
}

void world_boot_begin(struct store_world *w, uint32_t shards)
{
    CHECK(shards <= WORLD_SHARDS_MAX);
    disk_init(&w->disk);
    w->shards = shards;
    w->opened = 0;
    memset(w->stores, 0, sizeof w->stores);
    for (uint32_t i = 0; i < shards; i++) w->open[i] = (struct world_open){.op.done = opened, .world = w};
    sim_boot(w->machine, shards, start, w);
}

enum status world_open_status(const struct store_world *w, const char **ret_error)
{
    for (uint32_t i = 0; i < w->shards; i++) {
        *ret_error = w->open[i].op.error;
        if (w->open[i].op.status != STATUS_OK) return w->open[i].op.status;
    }
    return STATUS_OK;
}

enum status world_boot(struct store_world *w, uint32_t shards)
{
    const char *error;
    world_boot_begin(w, shards);
    CHECK(sim_run_while_not(w->sim, world_opened, w, sim_now(w->sim) + ANSWER_NS));
    return world_open_status(w, &error);
}

void world_crash(struct store_world *w, enum sim_kill how)
{
    sim_kill(w->machine, how);
}

struct answer {
    bool done;
    enum status status;
};

static bool answered(void *arg)
{
    return ((struct answer *)arg)->done;
}

static void wait_for(struct store_world *w, struct answer *a)
{
    CHECK(sim_run_while_not(w->sim, answered, a, sim_now(w->sim) + ANSWER_NS));
}

struct stop {
    struct store_close op;
    struct answer answer;
};

static void stopped(struct store_close *op)
{
    struct stop *s = container_of(op, struct stop, op);
    s->answer = (struct answer){.done = true, .status = op->status};
}

enum status world_stop(struct store_world *w)
{
    enum status worst = STATUS_OK;
    for (uint32_t i = 0; i < w->shards; i++) {
        struct stop s = {.op.done = stopped};
        store_close(w->stores[i], &s.op);
        wait_for(w, &s.answer);
        if (s.answer.status != STATUS_OK) worst = s.answer.status;
    }
    sim_kill(w->machine, SIM_KILL); /* nothing is left that could be lost */
    return worst;
}

struct topic_id world_topic_id(const char *topic)
{
    struct topic_id id = {{0}};
    for (size_t i = 0; topic[i] != '\0'; i++) id.b[i % 16] = (uint8_t)(id.b[i % 16] * 31 + topic[i]);
    id.b[15] |= 1;
    return id;
}

struct store *world_store(struct store_world *w, const char *topic, int32_t number)
{
    return w->stores[partition_shard(world_topic_id(topic), number, w->shards)];
}

struct partition *world_find(struct store_world *w, const char *topic, int32_t number)
{
    return store_find(world_store(w, topic, number), world_topic_id(topic), number);
}

struct creation {
    struct partition_create op;
    struct answer answer;
};

static void created(struct partition_create *op)
{
    struct creation *c = container_of(op, struct creation, op);
    c->answer = (struct answer){.done = true, .status = op->status};
}

struct partition *world_create_as(struct store_world *w, const char *topic, struct topic_id id, int32_t number)
{
    struct creation c = {.op.done = created};
    partition_create(w->stores[partition_shard(id, number, w->shards)], topic, id, number, &c.op);
    wait_for(w, &c.answer);
    return c.answer.status == STATUS_OK ? c.op.partition : NULL;
}

struct partition *world_create(struct store_world *w, const char *topic, int32_t number)
{
    return world_create_as(w, topic, world_topic_id(topic), number);
}

struct deleting {
    struct partition_delete op;
    struct answer answer;
};

static void deleted(struct partition_delete *op)
{
    struct deleting *d = container_of(op, struct deleting, op);
    d->answer = (struct answer){.done = true, .status = op->status};
}

enum status world_delete(struct store_world *w, struct partition *p)
{
    struct deleting *d = calloc(1, sizeof *d);
    d->op.done = deleted;
    partition_delete(p, &d->op);
    wait_for(w, &d->answer);
    enum status status = d->answer.status;
    free(d);
    return status;
}

uint32_t world_batch_make(const struct world_batch *b, uint8_t *out, uint32_t capacity)
{
    struct mem *mem = mem_create(512u << 20);
    struct batch_builder builder;
    struct batch_options options;
    const uint8_t *data;
    size_t len;
    char *value = malloc(b->value_bytes + 64);
    batch_options_init(&options);
    options.codec = b->codec;
    if (b->has_producer) {
        options.producer_id = b->producer_id;
        options.producer_epoch = b->epoch;
        options.base_sequence = b->sequence;
    }
    batch_builder_init(&builder, mem, &options);
    for (int32_t i = 0; i < b->records; i++) {
        memset(value, (int)('a' + b->tag % 26), b->value_bytes + 64);
        int n = snprintf(value, 64, "%016llx:%06d", (unsigned long long)b->tag, i);
        value[n] = '.';
        int64_t time_ms = (b->time_ms == 0 ? WORLD_TIME_MS : b->time_ms) + i * b->time_step;
        char key[24];
        int key_len = b->keyed ? snprintf(key, sizeof key, "k%llu", (unsigned long long)b->key + (unsigned)i) : -1;
        CHECK_OK(batch_builder_append(&builder, time_ms, key, key_len, value,
                                      b->tombstones ? -1 : (int32_t)MAX(b->value_bytes, 24u), NULL, 0));
    }
    CHECK_OK(batch_builder_finish(&builder, &data, &len));
    CHECK(len <= capacity);
    memcpy(out, data, len);
    free(value);
    batch_builder_deinit(&builder);
    mem_destroy(mem);
    return (uint32_t)len;
}

struct appending {
    struct partition_append op;
    struct answer answer;
};

static void appended(struct partition_append *op)
{
    struct appending *a = container_of(op, struct appending, op);
    a->answer = (struct answer){.done = true, .status = op->status};
}

enum status world_append(struct store_world *w, struct partition *p, const struct world_batch *b, int64_t *ret_offset)
{
    uint8_t *bytes = malloc(BATCH_BYTES);
    uint32_t len = world_batch_make(b, bytes, BATCH_BYTES);
    struct appending a;
    for (int tries = 0; tries < 10000; tries++) { /* BUSY: the ring or the memory is full for a moment */
        a = (struct appending){.op.done = appended};
        partition_append(p, bytes, len, &a.op);
        wait_for(w, &a.answer);
        if (a.answer.status != STATUS_BUSY) break;
        world_pass(w, NS_PER_MS);
    }
    free(bytes);
    if (a.answer.status == STATUS_OK && ret_offset != NULL) *ret_offset = a.op.base_offset;
    return a.answer.status;
}

struct reading {
    struct partition_read *op;
    struct answer answer;
};

static struct reading *reading_now;

static void has_read(struct partition_read *op)
{
    CHECK(op == reading_now->op);
    reading_now->answer = (struct answer){.done = true, .status = op->status};
}

enum status world_read(struct store_world *w, struct partition *p, int64_t offset, uint32_t max_bytes,
                       struct partition_read *ret_read)
{
    struct reading r = {.op = ret_read};
    reading_now = &r;
    ret_read->done = has_read;
    partition_read(p, offset, max_bytes, ret_read);
    wait_for(w, &r.answer);
    return r.answer.status;
}

struct changing {
    struct partition_change op;
    struct answer answer;
};

static void changed(struct partition_change *op)
{
    struct changing *c = container_of(op, struct changing, op);
    c->answer = (struct answer){.done = true, .status = op->status};
}

enum status world_epoch(struct store_world *w, struct partition *p, int32_t epoch)
{
    struct changing c = {.op.done = changed};
    partition_epoch_start(p, epoch, &c.op);
    wait_for(w, &c.answer);
    return c.answer.status;
}

enum status world_truncate(struct store_world *w, struct partition *p, int64_t offset)
{
    struct changing c = {.op.done = changed};
    partition_truncate(p, offset, &c.op);
    wait_for(w, &c.answer);
    return c.answer.status;
}

enum status world_log_start(struct store_world *w, struct partition *p, int64_t offset)
{
    struct changing c = {.op.done = changed};
    partition_log_start_move(p, offset, &c.op);
    wait_for(w, &c.answer);
    return c.answer.status;
}

struct looking {
    struct partition_lookup op;
    struct answer answer;
};

static void looked(struct partition_lookup *op)
{
    struct looking *l = container_of(op, struct looking, op);
    l->answer = (struct answer){.done = true, .status = op->status};
}

enum status world_lookup(struct store_world *w, struct partition *p, int64_t time_ms,
                         struct partition_lookup *ret_lookup)
{
    struct looking l = {.op.done = looked};
    partition_lookup_time(p, time_ms, &l.op);
    wait_for(w, &l.answer);
    *ret_lookup = l.op;
    return l.answer.status;
}

struct saving {
    struct commit_waiter waiter;
    struct answer answer;
};

static void saved(struct commit_waiter *waiter, enum status status)
{
    struct saving *s = container_of(waiter, struct saving, waiter);
    s->answer = (struct answer){.done = true, .status = status};
}

enum status world_checkpoint_of(struct store_world *w, uint32_t shard)
{
    struct saving s = {.waiter.durable = saved};
    checkpoint_request(w->stores[shard]->table, &s.waiter);
    wait_for(w, &s.answer);
    return s.answer.status;
}

enum status world_checkpoint(struct store_world *w)
{
    return world_checkpoint_of(w, 0);
}

void world_pass(struct store_world *w, int64_t ns)
{
    sim_run_until(w->sim, sim_now(w->sim) + ns);
}
