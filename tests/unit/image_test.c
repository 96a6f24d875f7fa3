// SPDX-License-Identifier: Apache-2.0
/* The metadata image as stories and as random lives: what a batch changes is told once, by (old, new); a batch that
 * fails anywhere changes nothing; a second shard that follows the deltas sees the same topics; the bytes of a snapshot
 * give the same image, and damaged ones are refused. */
#include "base/bytes.h"
#include "replication/image.h"
#include "tests/unit/check_main.h"
#include "tests/unit/record_gen.h"
#include <stdlib.h>

static struct mem *mem;
static struct image *image;
static struct arena arena;
static struct record_list list;
static uint64_t next_index;
static char error[256];

static void begin(void)
{
    mem = mem_create((uint64_t)8 << 30);
    image = image_create(mem);
    arena_init(&arena, mem, MEM_FETCH, 64 << 20);
    record_list_init(&list, &arena);
    next_index = 1;
}

static void end(void)
{
    image_destroy(image);
    arena_deinit(&arena);
    mem_destroy(mem);
}

static void clear(void)
{
    arena_reset(&arena);
    record_list_init(&list, &arena);
}

/* The list by way of its bytes, as it comes from the log. */
static enum status apply(struct image_delta **ret_delta)
{
    const void *data;
    size_t size;
    struct record_batch b;
    ASSERT_EQ(record_batch_encode(record_list_batch(&list), &arena, &data, &size), STATUS_OK);
    ASSERT_EQ(record_batch_decode(data, size, &arena, &b), STATUS_OK);
    ASSERT_EQ(b.count, list.count);
    enum status status = image_apply(image, next_index++, b, ret_delta, error);
    image_check(image);
    return status;
}

static void applied(void)
{
    struct image_delta *d;
    ASSERT_EQ(apply(&d), STATUS_OK);
    image_delta_release(image, d);
    clear();
}

static const int32_t three[] = {1, 2, 3};

static struct uuid add_topic(const char *name, int32_t partitions)
{
    static uint8_t serial;
    struct uuid id = {{9, ++serial}};
    struct record *r = record_list_add(&list, RECORD_TOPIC);
    char *copy = arena_alloc(&arena, strlen(name) + 1);
    memcpy(copy, name, strlen(name) + 1);
    r->topic.name = (struct str){copy, (int32_t)strlen(name)};
    r->topic.id = id;
    for (int32_t i = 0; i < partitions; i++) {
        r = record_list_add(&list, RECORD_PARTITION);
        r->partition = (struct record_partition){
            .topic = id, .number = i, .leader = three[i % 3], .replicas = {three, 3}, .isr = {three, 3}};
    }
    return id;
}

static void add_broker(int32_t id, int64_t epoch)
{
    struct record *r = record_list_add(&list, RECORD_REGISTER_BROKER);
    r->register_broker = (struct record_register_broker){.id = id, .epoch = epoch, .rack = STR_NULL};
}

static void a_topic_is_made_changed_and_removed(void)
{
    struct image_delta *d, *d2;
    begin();
    struct uuid id = add_topic("orders", 3);
    ASSERT_EQ(apply(&d), STATUS_OK);
    ASSERT_EQ(d->change_count, 1);
    ASSERT(d->changes[0].old == NULL && d->new_brokers == NULL && d->new_settings == NULL && d->index == 1);
    const struct image_topic *t = d->changes[0].new;
    ASSERT(image_topic_by_name(image, STR("orders")) == t && image_topic_by_id(image, id) == t);
    ASSERT(t->partition_count == 3 && t->partitions[1]->leader == 2 && t->configs == NULL && t->index == 1);
    ASSERT_STREQ(t->name.data, "orders");
    image_delta_release(image, d);
    clear();

    struct record *r = record_list_add(&list, RECORD_CHANGE_PARTITION);
    r->change_partition = (struct record_change_partition){
        .topic = id, .number = 1, .has_leader = true, .leader = 3, .has_isr = true, .isr = {three + 1, 2}};
    r = record_list_add(&list, RECORD_CONFIG);
    r->config = (struct record_config){RESOURCE_TOPIC, STR("orders"), STR("retention.ms"), STR("5")};
    ASSERT_EQ(apply(&d), STATUS_OK);
    ASSERT_EQ(d->change_count, 1); /* two records, one topic, one change */
    ASSERT(d->changes[0].old == t);
    const struct image_topic *t2 = d->changes[0].new;
    ASSERT(t2->partitions[0] == t->partitions[0]); /* shared */
    ASSERT(t2->partitions[1]->leader == 3 && t2->partitions[1]->leader_epoch == 1 &&
           t2->partitions[1]->partition_epoch == 1 && t2->partitions[1]->isr.count == 2);
    ASSERT(t->partitions[1]->leader == 2 && t->partitions[1]->leader_epoch == 0); /* the old one stands */
    ASSERT_STREQ(image_configs_find(t2->configs, STR("retention.ms"))->value.data, "5");
    clear();

    record_list_add(&list, RECORD_REMOVE_TOPIC)->topic.id = id;
    ASSERT_EQ(apply(&d2), STATUS_OK);
    ASSERT(d2->change_count == 1 && d2->changes[0].old == t2 && d2->changes[0].new == NULL);
    ASSERT(image_topic_by_id(image, id) == NULL && image_partition_count(image) == 0);
    ASSERT_EQ(t->partitions[2]->leader, 3); /* readers of both old objects are not disturbed before the release */
    image_delta_release(image, d);
    ASSERT_EQ(t2->partitions[2]->leader, 3);
    image_delta_release(image, d2);
    end();
}

static void d6_a_new_start_raises_all_that_the_broker_leads_in_one_record(void)
{
    struct image_delta *d;
    begin();
    add_broker(1, 1);
    add_broker(2, 2);
    add_topic("a", 4);
    add_topic("b", 2);
    add_topic("c", 1);
    applied();
    add_broker(2, 3);
    struct record *r = record_list_add(&list, RECORD_BROKER_STARTED);
    r->broker.id = 2;
    r->broker.epoch = 3;
    ASSERT_EQ(apply(&d), STATUS_OK);
    ASSERT_EQ(d->change_count, 2); /* it leads nothing in c */
    const struct image_topic *a = image_topic_by_name(image, STR("a")), *c = image_topic_by_name(image, STR("c"));
    ASSERT(a->partitions[0]->leader_epoch == 0 && a->partitions[1]->leader_epoch == 1);
    ASSERT(a->partitions[1]->leader == 2 && a->partitions[1]->isr.count == 3);
    ASSERT_EQ(c->partitions[0]->leader_epoch, 0);
    ASSERT_EQ(image_brokers_find(image_brokers(image), 2)->epoch, 3);
    ASSERT_EQ(image_brokers_find(d->old_brokers, 2)->epoch, 2);
    image_delta_release(image, d);
    end();
}

static void records_that_do_not_fit_are_refused_as_a_whole(void)
{
    static const struct {
        const char *why;
        struct record record;
    } cases[] = {
        {"topic: orders exists", {.type = RECORD_TOPIC, .topic = {STR("orders"), {{1}}}}},
        {"remove topic: no topic has that id", {.type = RECORD_REMOVE_TOPIC, .topic = {.id = {{77}}}}},
        {"register broker: epoch 3 of broker 1 is not above 3",
         {.type = RECORD_REGISTER_BROKER, .register_broker = {.id = 1, .epoch = 3, .rack = STR_NULL}}},
        {"unregister broker: broker 9 is not registered", {.type = RECORD_UNREGISTER_BROKER, .broker = {9, 1}}},
        {"broker started: broker 1 has epoch 3, not 2", {.type = RECORD_BROKER_STARTED, .broker = {1, 2}}},
        {"broker epochs: outside a snapshot", {.type = RECORD_BROKER_EPOCHS, .broker = {.epoch = 9}}},
        {"config: no topic other",
         {.type = RECORD_CONFIG, .config = {RESOURCE_TOPIC, STR("other"), STR("k"), STR("v")}}},
        {"producer ids: next id 1000 is not above 1000", {.type = RECORD_PRODUCER_IDS, .producer_ids = {1, 1, 1000}}},
        {"change partition: no such partition: 7 of orders",
         {.type = RECORD_CHANGE_PARTITION, .change_partition = {.topic = {{9, 1}}, .number = 7}}},
        {"change partition: leader 8 of orders-0 is none of its replicas",
         {.type = RECORD_CHANGE_PARTITION, .change_partition = {.topic = {{9, 1}}, .has_leader = true, .leader = 8}}},
        {"partition: orders has 2 partitions, number 3 is not the next",
         {.type = RECORD_PARTITION, .partition = {.topic = {{9, 1}}, .number = 3, .replicas = {three, 1}}}},
    };
    begin();
    struct uuid id = add_topic("orders", 2);
    add_broker(1, 3);
    struct record *r = record_list_add(&list, RECORD_PRODUCER_IDS);
    r->producer_ids.next = 1000;
    applied();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct image_delta *d = NULL;
        size_t before_size, after_size;
        uint8_t *before = image_bytes(image, &before_size);
        uint64_t index = image_index(image);
        record_list_add(&list, RECORD_REMOVE_TOPIC)->topic.id = id; /* good ones in front of the bad one */
        struct uuid again = add_topic("orders", 5);
        add_topic("more", 1);
        record_list_add(&list, RECORD_FEATURE)->feature.name = STR("f");
        list.records[list.count - 1].feature.level = 4;
        struct record bad = cases[i].record;
        if (bad.type == RECORD_CHANGE_PARTITION || bad.type == RECORD_PARTITION) {
            list.count = 0; /* about orders as it is */
            bad.change_partition.topic = id;
            if (bad.type == RECORD_PARTITION) bad.partition.topic = id;
        }
        *record_list_add(&list, bad.type) = bad;
        ASSERT_EQ(apply(&d), STATUS_INVALID);
        ASSERT_STREQ(error, cases[i].why);
        ASSERT(d == NULL && image_index(image) == index && image_topic_by_id(image, again) == NULL);
        uint8_t *after = image_bytes(image, &after_size);
        ASSERT(before_size == after_size && memcmp(before, after, before_size) == 0);
        free(before);
        free(after);
        clear();
    }
    end();
}

/* --- random lives --- */

struct follower { /* a shard that knows only what the deltas say */
    struct topic_index *topics;
    const struct image_brokers *brokers;
    const struct image_settings *settings;
};

static void follow(struct follower *f, const struct image_delta *d)
{
    for (uint32_t i = 0; i < d->change_count; i++)
        ASSERT_EQ(topic_index_change(f->topics, d->changes[i].old, d->changes[i].new), STATUS_OK);
    if (d->new_brokers != NULL) {
        ASSERT(f->brokers == NULL || f->brokers == d->old_brokers);
        f->brokers = d->new_brokers;
    }
    if (d->new_settings != NULL) f->settings = d->new_settings;
}

static void expect_same(const struct follower *f)
{
    const struct image_topic *a, *b;
    struct topic_cursor x = topic_index_first(f->topics), y = topic_index_first(image_topics(image));
    topic_index_check(f->topics);
    do {
        a = topic_cursor_next(&x);
        b = topic_cursor_next(&y);
        ASSERT(a == b);
    } while (a != NULL);
    ASSERT(f->brokers == NULL || f->brokers == image_brokers(image));
    ASSERT(f->settings == NULL || f->settings == image_settings(image));
}

/* The bytes in pieces of random length. */
static enum status read_bytes(struct prng *p, struct image *into, const uint8_t *bytes, size_t size,
                              struct image_delta **ret_delta)
{
    struct image_reader *r = image_reader_create(into);
    enum status status = STATUS_OK;
    for (size_t at = 0, n; status == STATUS_OK && at < size; at += n) {
        n = 1 + (size_t)prng_below(p, 3000);
        n = MIN(n, size - at);
        status = image_reader_feed(r, bytes + at, n, error);
    }
    if (status == STATUS_OK) status = image_reader_finish(r, ret_delta, error);
    if (status != STATUS_OK) image_reader_destroy(r);
    return status;
}

static void round_trip(struct prng *p)
{
    struct image_delta *d;
    size_t size, again_size;
    uint8_t *bytes = image_bytes(image, &size);
    struct image *copy = image_create(mem);
    ASSERT_EQ(read_bytes(p, copy, bytes, size, &d), STATUS_OK);
    image_check(copy);
    ASSERT(d->change_count == topic_index_count(image_topics(image)) && d->index == image_index(image));
    image_delta_release(copy, d);
    uint8_t *again = image_bytes(copy, &again_size);
    ASSERT(size == again_size && memcmp(bytes, again, size) == 0);
    ASSERT(image_features(copy)->epoch == image_features(image)->epoch);
    ASSERT(image_broker_epoch(copy) == image_broker_epoch(image));
    image_destroy(copy);
    free(bytes);
    free(again);
}

#define DELTAS 4u

static void one_life(uint64_t seed, unsigned steps, unsigned *ret_good, unsigned *ret_bad)
{
    struct prng p;
    struct follower f = {0};
    struct image_delta *late[DELTAS] = {0}; /* given back some batches later, in order */
    uint8_t *before, *after;
    size_t size, after_size;
    prng_seed(&p, seed, 0);
    begin();
    f.topics = topic_index_create(mem);
    for (unsigned n = 0; n < steps; n++) {
        struct image_delta *d = NULL;
        before = image_bytes(image, &size);
        record_gen(&p, image, &list, 4);
        if (prng_chance(&p, 1, 4)) mem_fail_nth(mem, 1 + prng_below(&p, 60));
        struct record_batch b = record_list_batch(&list);
        enum status status = image_apply(image, next_index++, b, &d, error);
        mem_fail_nth(mem, 0);
        image_check(image);
        if (status == STATUS_OK) {
            follow(&f, d);
            if (late[n % DELTAS] != NULL) image_delta_release(image, late[n % DELTAS]);
            late[n % DELTAS] = d;
            (*ret_good)++;
        } else {
            after = image_bytes(image, &after_size);
            ASSERT(status == STATUS_INVALID || status == STATUS_NO_MEMORY);
            ASSERT(size == after_size && memcmp(before, after, size) == 0);
            free(after);
            (*ret_bad)++;
        }
        free(before);
        expect_same(&f);
        clear();
        if (n % 16 == 0) round_trip(&p);
    }
    for (unsigned i = 0; i < DELTAS; i++)
        if (late[i] != NULL) image_delta_release(image, late[i]);
    topic_index_destroy(f.topics);
    end();
}

static void random_lives_keep_every_promise(void)
{
    unsigned good = 0, bad = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) one_life(seed, 120, &good, &bad);
    ASSERT(good > 500 && bad > 100); /* both sides were seen */
}

static void a_writer_keeps_its_moment_while_the_image_goes_on(void)
{
    struct prng p;
    begin();
    for (char name[] = "topic-a"; name[6] <= 'p'; name[6]++) add_topic(name, 40);
    applied();
    size_t size, got = 0, n;
    uint8_t *bytes = image_bytes(image, &size), *pieces = malloc(size + (64 << 10));
    struct image_writer *w = image_writer_create(image);
    prng_seed(&p, 5, 0);
    do {
        ASSERT_EQ(image_writer_next(w, pieces + got, 64 << 10, &n), STATUS_OK);
        got += n;
        const struct image_topic *t = topic_index_after(image_topics(image), STR_NULL);
        record_list_add(&list, RECORD_REMOVE_TOPIC)->topic.id = t->id;
        add_topic("zz", 1);
        list.records[list.count - 2].topic.name = gen_topic_name(&arena, (uint32_t)next_index % GEN_TOPICS);
        applied();
    } while (n > 0);
    image_writer_destroy(w);
    ASSERT(got == size && memcmp(bytes, pieces, size) == 0);
    free(bytes);
    free(pieces);
    end();
}

static void damaged_snapshots_are_refused(void)
{
    struct prng p;
    begin();
    prng_seed(&p, 3, 0);
    for (int i = 0; i < 30; i++) {
        struct image_delta *d;
        record_gen(&p, image, &list, 3);
        if (apply(&d) == STATUS_OK) image_delta_release(image, d);
        clear();
    }
    size_t size;
    uint8_t *bytes = image_bytes(image, &size);
    struct image *copy = image_create(mem);
    for (size_t at = 0; at < size; at += 1 + at / 40) {
        struct image_delta *d;
        bytes[at] ^= 0x10;
        ASSERT(read_bytes(&p, copy, bytes, size, &d) != STATUS_OK);
        bytes[at] ^= 0x10;
        ASSERT(read_bytes(&p, copy, bytes, at, &d) != STATUS_OK); /* cut */
    }
    ASSERT_EQ(image_index(copy), 0); /* none of it has left a trace */
    store_le32(bytes + 8, 2);
    store_le32(bytes + 12, 0);
    struct image_delta *d;
    ASSERT_EQ(read_bytes(&p, copy, bytes, size, &d), STATUS_DAMAGED);
    image_destroy(copy);
    free(bytes);
    end();
}

static void replacing_a_state_tells_every_difference(void)
{
    struct prng p;
    struct image_delta *d;
    prng_seed(&p, 8, 0);
    begin();
    struct uuid gone = add_topic("gone", 1);
    add_topic("stays", 2);
    applied();
    struct image *old = image;
    uint64_t old_index = next_index;
    size_t size;
    uint8_t *bytes = image_bytes(image, &size);
    image = image_create(mem); /* another broker: the same start, then on */
    ASSERT_EQ(read_bytes(&p, image, bytes, size, &d), STATUS_OK);
    image_delta_release(image, d);
    free(bytes);
    record_list_add(&list, RECORD_REMOVE_TOPIC)->topic.id = gone;
    add_topic("new", 1);
    applied();
    bytes = image_bytes(image, &size);
    ASSERT_EQ(read_bytes(&p, old, bytes, size, &d), STATUS_OK);
    ASSERT(d->change_count == 3 && d->changes[0].new == NULL &&uuid_equal(d->changes[0].old->id, gone));
    ASSERT(d->changes[1].old == NULL && d->changes[2].old != NULL && d->new_brokers != NULL);
    ASSERT_EQ(image_index(old), old_index);
    image_delta_release(old, d);
    image_check(old);
    ASSERT_EQ(read_bytes(&p, old, bytes, size, &d), STATUS_OK); /* the same once more */
    image_delta_release(old, d);
    free(bytes);
    image_destroy(old);
    end();
}

TEST_MAIN("image", {"a topic is made, changed and removed", a_topic_is_made_changed_and_removed},
          {"D6: a new start raises all that the broker leads, in one record",
           d6_a_new_start_raises_all_that_the_broker_leads_in_one_record},
          {"records that do not fit are refused as a whole", records_that_do_not_fit_are_refused_as_a_whole},
          {"random lives keep every promise", random_lives_keep_every_promise},
          {"a writer keeps its moment while the image goes on", a_writer_keeps_its_moment_while_the_image_goes_on},
          {"damaged snapshots are refused", damaged_snapshots_are_refused},
          {"replacing a state tells every difference", replacing_a_state_tells_every_difference})
