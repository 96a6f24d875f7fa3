// SPDX-License-Identifier: Apache-2.0
/* The controller's rules on an image: tables of wishes and Kafka's answers; what is granted can be applied, what is
 * refused leaves nothing; placement keeps its promises on random clusters. */
#include "base/bytes.h"
#include "replication/controller.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

static struct mem *mem;
static struct image *image;
static struct arena arena;
static struct record_list list;
static struct prng random_numbers;
static uint64_t next_index;
static struct rule_error error;

static bool check_config(const struct config_rules *r, enum config_resource type, struct str key, struct str value,
                         char ret_text[256])
{
    (void)r;
    (void)type;
    if (!str_equal(key, STR("retention.ms")) && !str_equal(key, STR("cleanup.policy"))) {
        snprintf(ret_text, 256, "Unknown topic config name: %.*s", (int)key.len, key.data);
        return false;
    }
    if (str_equal(value, STR("bad"))) {
        snprintf(ret_text, 256, "Invalid value bad");
        return false;
    }
    return true;
}

static bool is_list(const struct config_rules *r, enum config_resource type, struct str key)
{
    (void)r;
    (void)type;
    return str_equal(key, STR("cleanup.policy"));
}

static struct str default_value(const struct config_rules *r, enum config_resource type, struct str key)
{
    (void)r;
    (void)type;
    return str_equal(key, STR("cleanup.policy")) ? STR("delete") : STR_NULL;
}

static const struct config_rules rules = {check_config, is_list, default_value};
static struct controller controller;

static void clear(void)
{
    record_list_init(&list, &arena);
}

/* What was granted is a batch that an image takes. */
static void apply(void)
{
    struct image_delta *d;
    struct record_batch b;
    char why[256] = "";
    const void *data;
    size_t size;
    ASSERT_EQ(record_batch_encode(record_list_batch(&list), &arena, &data, &size), STATUS_OK);
    ASSERT_EQ(record_batch_decode(data, size, &arena, &b), STATUS_OK);
    enum status status = image_apply(image, next_index++, b, &d, why);
    if (status != STATUS_OK) printf("%s\n", why);
    ASSERT_EQ(status, STATUS_OK);
    image_delta_release(image, d);
    image_check(image);
    clear();
}

static int64_t add_broker(int32_t id, const char *rack, bool fenced)
{
    int64_t epoch = -1;
    struct record_register_broker b = {
        .id = id, .rack = rack == NULL ? STR_NULL : (struct str){rack, (int32_t)strlen(rack)}, .fenced = fenced};
    b.incarnation.b[0] = (uint8_t)id;
    ASSERT_EQ(controller_register_broker(&controller, &b, false, &list, &error, &epoch), STATUS_OK);
    ASSERT_EQ(error.code, RULE_OK);
    apply();
    return epoch;
}

static void begin(int32_t brokers)
{
    mem = mem_create((uint64_t)4 << 30);
    image = image_create(mem);
    arena_init(&arena, mem, MEM_FETCH, 256 << 20);
    prng_seed(&random_numbers, 11, 0);
    controller = (struct controller){.image = image,
                                     .rules = &rules,
                                     .random = &random_numbers,
                                     .default_partitions = 2,
                                     .default_replication_factor = 1};
    next_index = 1;
    clear();
    for (int32_t i = 0; i < brokers; i++) add_broker(i, NULL, false);
}

static void end(void)
{
    image_destroy(image);
    arena_deinit(&arena);
    mem_destroy(mem);
}

static struct topic_answer create(struct topic_wish w)
{
    struct topic_answer a;
    ASSERT_EQ(controller_create_topics(&controller, &w, 1, false, &list, &a), STATUS_OK);
    return a;
}

static void expect(const struct rule_error *e, int code, const char *text)
{
    if (e->code != code || strcmp(e->text, text) != 0) printf("got %d %s\n", e->code, e->text);
    ASSERT_EQ(e->code, code);
    ASSERT_STREQ(e->text, text);
}

static void names_as_kafka(void)
{
    char why[256];
    char longest[251];
    memset(longest, 'a', sizeof longest);
    ASSERT(topic_name_check(STR("orders.v1_2-x"), why));
    ASSERT(topic_name_check((struct str){longest, 249}, why));
    ASSERT(!topic_name_check((struct str){longest, 250}, why));
    ASSERT(!topic_name_check(STR_EMPTY, why) && !topic_name_check(STR_NULL, why));
    ASSERT(!topic_name_check(STR("."), why) && !topic_name_check(STR(".."), why) && topic_name_check(STR("..."), why));
    ASSERT(!topic_name_check(STR("a b"), why) && !topic_name_check(STR("a/b"), why));
    ASSERT(!topic_name_check((struct str){"a\0b", 3}, why) && !topic_name_check(STR("\xc3\xa4"), why));
}

static void a_topic_is_made_with_defaults_and_settings(void)
{
    begin(1);
    struct config_entry configs[] = {{STR("retention.ms"), STR("5")}, {STR("cleanup.policy"), STR("compact")}};
    struct topic_answer a = create((struct topic_wish){
        .name = STR("orders"), .partitions = -1, .replication_factor = -1, .configs = configs, .config_count = 2});
    expect(&a.error, RULE_OK, "");
    ASSERT(a.partitions == 2 && a.replication_factor == 1 && !uuid_is_zero(a.id));
    apply();
    const struct image_topic *t = image_topic_by_name(image, STR("orders"));
    ASSERT(uuid_equal(t->id, a.id) && t->partition_count == 2 && t->configs->count == 2);
    ASSERT(t->partitions[1]->leader == 0 && t->partitions[1]->leader_epoch == 0 && t->partitions[1]->isr.count == 1);
    /* validate_only says the same and leaves nothing */
    struct topic_wish w = {.name = STR("more"), .partitions = 3, .replication_factor = 1};
    ASSERT_EQ(controller_create_topics(&controller, &w, 1, true, &list, &a), STATUS_OK);
    ASSERT(a.error.code == RULE_OK && a.partitions == 3 && list.count == 0);
    end();
}

static const int32_t on_zero[] = {0}, on_one[] = {1}, on_both[] = {0, 1}, on_twice[] = {1, 1}, on_unknown[] = {0, 9},
                     on_dead[] = {2};
#define LIST(v)                                                                                                        \
    {                                                                                                                  \
        (v), COUNT_OF(v)                                                                                               \
    }
static const struct replica_assignment good[] = {{0, LIST(on_zero)}}, gap[] = {{1, LIST(on_zero)}},
                                       doubled[] = {{0, LIST(on_zero)}, {0, LIST(on_one)}},
                                       uneven[] = {{0, LIST(on_zero)}, {1, LIST(on_both)}},
                                       same[] = {{0, LIST(on_twice)}}, stranger[] = {{0, LIST(on_unknown)}},
                                       empty[] = {{0, {NULL, 0}}}, on_fenced[] = {{0, LIST(on_dead)}};
static const struct config_entry bad_key[] = {{STR("x"), STR("1")}}, bad_value[] = {{STR("retention.ms"), STR("bad")}},
                                 null_value[] = {{STR("retention.ms"), STR_NULL}},
                                 zero_byte[] = {{STR("retention.ms"), {"a\0b", 3}}};
static const struct {
    struct topic_wish w;
    int code;
    const char *text;
} refused[] = {
    {{STR("taken"), 1, 1}, RULE_TOPIC_ALREADY_EXISTS, "Topic 'taken' already exists."},
    {{STR("a.b"), 1, 1}, RULE_INVALID_TOPIC, "Topic 'a.b' collides with existing topic: a_b"},
    {{STR("a b"), 1, 1},
     RULE_INVALID_TOPIC,
     "Topic name is invalid: it contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"},
    {{STR("t"), 0, 1}, RULE_INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value."},
    {{STR("t"), -2, 1}, RULE_INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value."},
    {{STR("t"), 1, 0}, RULE_INVALID_REPLICATION_FACTOR, "Replication factor was set to an invalid non-positive value."},
    {{STR("t"), 1, 4},
     RULE_INVALID_REPLICATION_FACTOR,
     "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because "
     "only 3 broker(s) are registered."},
    {{STR("t"), 10001, 1}, RULE_POLICY_VIOLATION, "Excessively large number of partitions per request."},
    {{STR("t"), 1, -1, good, NULL, 1, 0},
     RULE_INVALID_REQUEST,
     "A manual partition assignment was specified, but numPartitions was not set to -1."},
    {{STR("t"), -1, 1, good, NULL, 1, 0},
     RULE_INVALID_REQUEST,
     "A manual partition assignment was specified, but replicationFactor was not set to -1."},
    {{STR("t"), -1, -1, gap, NULL, 1, 0},
     RULE_INVALID_REPLICA_ASSIGNMENT,
     "partitions should be a consecutive 0-based integer sequence"},
    {{STR("t"), -1, -1, doubled, NULL, 2, 0},
     RULE_INVALID_REPLICA_ASSIGNMENT,
     "Found multiple manual partition assignments for partition 0"},
    {{STR("t"), -1, -1, uneven, NULL, 2, 0},
     RULE_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with "
     "previous partitions, which have 1 replica(s)."},
    {{STR("t"), -1, -1, same, NULL, 1, 0},
     RULE_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes the broker 1 more than once."},
    {{STR("t"), -1, -1, stranger, NULL, 1, 0},
     RULE_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes broker 9, but no such broker is registered."},
    {{STR("t"), -1, -1, empty, NULL, 1, 0},
     RULE_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes an empty replica list."},
    {{STR("t"), -1, -1, on_fenced, NULL, 1, 0},
     RULE_INVALID_REPLICA_ASSIGNMENT,
     "All brokers specified in the manual partition assignment are fenced or in controlled shutdown."},
    {{STR("t"), 1, 1, NULL, bad_key, 0, 1}, RULE_INVALID_CONFIG, "Unknown topic config name: x"},
    {{STR("t"), 1, 1, NULL, bad_value, 0, 1}, RULE_INVALID_CONFIG, "Invalid value bad"},
    {{STR("t"), 1, 1, NULL, null_value, 0, 1},
     RULE_INVALID_CONFIG,
     "Null value not supported for topic configs: retention.ms"},
    {{STR("t"), 1, 1, NULL, zero_byte, 0, 1},
     RULE_INVALID_CONFIG,
     "retention.ms: a zero byte has no place in a setting"},
};

static void wishes_that_are_refused(void)
{
    begin(2);
    add_broker(2, NULL, true);
    ASSERT_EQ(create((struct topic_wish){.name = STR("taken"), .partitions = 1, .replication_factor = 1}).error.code,
              0);
    ASSERT_EQ(create((struct topic_wish){.name = STR("a_b"), .partitions = 1, .replication_factor = 1}).error.code, 0);
    apply();
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct topic_answer a = create(refused[i].w);
        expect(&a.error, refused[i].code, refused[i].text);
        ASSERT_EQ(list.count, 0);
    }
    end();
}

static void one_refused_topic_does_not_hurt_its_neighbours(void)
{
    struct topic_wish w[] = {{.name = STR("a"), .partitions = 1, .replication_factor = 1},
                             {.name = STR("b"), .partitions = 0, .replication_factor = 1},
                             {.name = STR("twin"), .partitions = 1, .replication_factor = 1},
                             {.name = STR("c"), .partitions = 4, .replication_factor = 1},
                             {.name = STR("twin"), .partitions = 1, .replication_factor = 1}};
    struct topic_answer a[5];
    begin(1);
    ASSERT_EQ(controller_create_topics(&controller, w, 5, false, &list, a), STATUS_OK);
    ASSERT(a[0].error.code == 0 && a[1].error.code == RULE_INVALID_PARTITIONS && a[3].error.code == 0);
    expect(&a[2].error, RULE_INVALID_REQUEST, "Duplicate topic name.");
    expect(&a[4].error, RULE_INVALID_REQUEST, "Duplicate topic name.");
    apply();
    ASSERT(topic_index_count(image_topics(image)) == 2 && image_partition_count(image) == 5);
    end();
}

static void a_call_that_no_batch_holds_is_refused(void)
{
    enum { MANY = 8300 };
    struct topic_wish *w = calloc(MANY, sizeof *w);
    struct topic_answer *a = calloc(MANY, sizeof *a);
    static char names[MANY][16];
    begin(1);
    for (int i = 0; i < MANY; i++)
        w[i] = (struct topic_wish){
            .name = {names[i], snprintf(names[i], 16, "t%d", i)}, .partitions = 1, .replication_factor = 1};
    ASSERT_EQ(controller_create_topics(&controller, w, MANY, false, &list, a), STATUS_OK);
    expect(&a[7].error, RULE_POLICY_VIOLATION, "Unable to perform excessively large batch operation.");
    ASSERT_EQ(list.count, 0);
    ASSERT_EQ(controller_create_topics(&controller, w, 5000, false, &list, a), STATUS_OK);
    ASSERT(a[4999].error.code == RULE_OK && list.count == 10000);
    apply();
    w[0].partitions = 10000; /* the largest topic of a call */
    w[0].name = STR("large");
    ASSERT_EQ(controller_create_topics(&controller, w, 1, false, &list, a), STATUS_OK);
    apply();
    ASSERT_EQ(image_topic_by_name(image, STR("large"))->partition_count, 10000);
    free(w);
    free(a);
    end();
}

static void topics_are_deleted_by_name_and_id(void)
{
    const struct image_topic *t;
    begin(1);
    struct topic_answer a = create((struct topic_wish){.name = STR("a"), .partitions = 1, .replication_factor = 1});
    apply();
    ASSERT_EQ(controller_delete_topic(&controller, &(struct topic_ref){STR("b"), {{0}}}, &list, &error, &t), STATUS_OK);
    expect(&error, RULE_UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.");
    ASSERT_EQ(controller_delete_topic(&controller, &(struct topic_ref){STR_NULL, {{9}}}, &list, &error, &t), STATUS_OK);
    expect(&error, RULE_UNKNOWN_TOPIC_ID, "This server does not host this topic ID.");
    ASSERT_EQ(list.count, 0);
    ASSERT_EQ(controller_delete_topic(&controller, &(struct topic_ref){STR_NULL, a.id}, &list, &error, &t), STATUS_OK);
    ASSERT(error.code == RULE_OK && str_equal(t->name, STR("a")));
    /* named once more in the same batch */
    ASSERT_EQ(controller_delete_topic(&controller, &(struct topic_ref){STR("a"), {{0}}}, &list, &error, &t), STATUS_OK);
    ASSERT(error.code == RULE_UNKNOWN_TOPIC_OR_PARTITION && list.count == 1);
    apply();
    ASSERT(image_topic_by_id(image, a.id) == NULL);
    end();
}

static struct rule_error restored(struct topic_ref ref)
{
    const struct image_topic *t;
    ASSERT_EQ(controller_restore_topic(&controller, &ref, &list, &error, &t), STATUS_OK);
    return error;
}

static void delete_topic(struct str name)
{
    const struct image_topic *t;
    ASSERT_EQ(controller_delete_topic(&controller, &(struct topic_ref){name, {{0}}}, &list, &error, &t), STATUS_OK);
    ASSERT_EQ(error.code, RULE_OK);
    apply();
}

/* With its id, settings and partitions, in new leader epochs; the newest of a name; never over another topic. */
static void deleted_topics_come_back(void)
{
    struct config_entry keep = {STR("retention.ms"), STR("5")};
    struct topic_wish wish = {
        .name = STR("a.b"), .partitions = 3, .replication_factor = 2, .configs = &keep, .config_count = 1};
    begin(2);
    controller.undelete_ms = 1000;
    controller.now_ms = 5000;
    struct topic_answer first = create(wish);
    apply();
    delete_topic(STR("a.b"));
    ASSERT(image_deleted(image)->count == 1 && image_deleted(image)->partition_count == 3);
    controller.now_ms = 5400;
    struct topic_answer second = create(wish);
    apply();
    ASSERT_EQ(restored((struct topic_ref){STR("a.b"), {{0}}}).code, RULE_TOPIC_ALREADY_EXISTS);
    ASSERT_EQ(restored((struct topic_ref){STR_NULL, first.id}).code, RULE_TOPIC_ALREADY_EXISTS);
    delete_topic(STR("a.b"));
    (void)create((struct topic_wish){.name = STR("a_b"), .partitions = 1, .replication_factor = 1});
    apply();
    ASSERT_EQ(restored((struct topic_ref){STR("a.b"), {{0}}}).code, RULE_INVALID_TOPIC); /* collides */
    controller.undelete_ms = 0;
    delete_topic(STR("a_b")); /* for good */
    controller.undelete_ms = 1000;
    ASSERT_EQ(image_deleted(image)->count, 2);
    ASSERT_EQ(restored((struct topic_ref){STR("a.b"), {{0}}}).code, RULE_OK);
    ASSERT_EQ(restored((struct topic_ref){STR_NULL, second.id}).code, RULE_INVALID_REQUEST); /* twice */
    ASSERT_EQ(list.count, 1);
    apply();
    const struct image_topic *t = image_topic_by_name(image, STR("a.b"));
    ASSERT(t != NULL && uuid_equal(t->id, second.id) && t->partition_count == 3 && t->revived == 3);
    ASSERT(str_equal(image_configs_find(t->configs, STR("retention.ms"))->value, STR("5")));
    for (uint32_t i = 0; i < 3; i++) ASSERT(t->partitions[i]->leader_epoch == 1 && t->partitions[i]->leader >= 0);
    ASSERT_EQ(restored((struct topic_ref){STR_NULL, second.id}).code, RULE_UNKNOWN_TOPIC_ID);
    ASSERT_EQ(restored((struct topic_ref){STR("nobody"), {{0}}}).code, RULE_UNKNOWN_TOPIC_OR_PARTITION);
    delete_topic(STR("a.b"));
    controller.now_ms = 6399;
    ASSERT_EQ(restored((struct topic_ref){STR_NULL, first.id}).code, RULE_UNKNOWN_TOPIC_OR_PARTITION); /* too late */
    ASSERT_EQ(restored((struct topic_ref){STR("a.b"), {{0}}}).code, RULE_OK);
    clear();
    controller.now_ms = 6400;
    (void)restored((struct topic_ref){STR("a.b"), {{0}}});
    expect(&error, RULE_UNKNOWN_TOPIC_OR_PARTITION,
           "Topic 'a.b' was deleted 1 s ago; leat.undelete.ms keeps it for 1 s.");
    ASSERT_EQ(list.count, 0);
    ASSERT_EQ(controller_forget_topics(&controller, &list), STATUS_OK);
    ASSERT_EQ(list.count, 2);
    apply();
    ASSERT(image_deleted(image)->count == 0 && image_deleted(image)->partition_count == 0);
    end();
}

/* However fast topics come and go, the image does not grow without bound: the oldest are forgotten first. */
static void deleted_topics_are_bounded(void)
{
    char name[16];
    begin(1);
    controller.undelete_ms = 1000000;
    for (int i = 0; i < 30; i++) {
        controller.now_ms = 1000 + i;
        snprintf(name, sizeof name, "t%d", i);
        struct str s = {name, (int32_t)strlen(name)};
        (void)create((struct topic_wish){.name = s, .partitions = 1500, .replication_factor = 1});
        apply();
        ASSERT_EQ(controller_forget_topics(&controller, &list), STATUS_OK);
        delete_topic(s);
        ASSERT(image_deleted(image)->partition_count <= DELETED_PARTITIONS_MAX + 1500);
    }
    const struct image_deleted *d = image_deleted(image);
    ASSERT_EQ(d->count, 14);
    ASSERT(str_equal(d->topics[0].topic->name, STR("t16")) && d->topics[13].deleted_ms == 1029);
    end();
}

static void topics_grow(void)
{
    static const int32_t one[] = {1}, both[] = {0, 1};
    const struct ids right[] = {{one, 1}, {one, 1}}, wide[] = {{both, 2}, {both, 2}};
    const struct {
        struct partitions_wish w;
        int code;
        const char *text;
    } cases[] = {
        {{STR("b"), 5}, RULE_UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition."},
        {{STR("a"), 3}, RULE_INVALID_PARTITIONS, "Topic already has 3 partition(s)."},
        {{STR("a"), 2},
         RULE_INVALID_PARTITIONS,
         "The topic a currently has 3 partition(s); 2 would not be an increase."},
        {{STR("a"), 6, right, 2},
         RULE_INVALID_REPLICA_ASSIGNMENT,
         "Attempted to add 3 additional partition(s), but only 2 assignment(s) were specified."},
        {{STR("a"), 5, wide, 2},
         RULE_INVALID_REPLICA_ASSIGNMENT,
         "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with "
         "previous partitions, which have 1 replica(s)."},
    };
    begin(2);
    create((struct topic_wish){.name = STR("a"), .partitions = 3, .replication_factor = 1});
    apply();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ASSERT_EQ(controller_create_partitions(&controller, &cases[i].w, false, &list, &error), STATUS_OK);
        expect(&error, cases[i].code, cases[i].text);
        ASSERT_EQ(list.count, 0);
    }
    struct partitions_wish w = {STR("a"), 5, right, 2};
    ASSERT_EQ(controller_create_partitions(&controller, &w, true, &list, &error), STATUS_OK);
    ASSERT(error.code == RULE_OK && list.count == 0);
    ASSERT_EQ(controller_create_partitions(&controller, &w, false, &list, &error), STATUS_OK);
    apply();
    w = (struct partitions_wish){.topic = STR("a"), .count = 9};
    ASSERT_EQ(controller_create_partitions(&controller, &w, false, &list, &error), STATUS_OK);
    apply();
    const struct image_topic *t = image_topic_by_name(image, STR("a"));
    ASSERT(t->partition_count == 9 && t->partitions[4]->leader == 1);
    end();
}

static const char *setting(struct str key)
{
    const struct image_topic *t = image_topic_by_name(image, STR("a"));
    const struct image_config *c = image_configs_find(t->configs, key);
    return c == NULL ? "(default)" : c->value.data;
}

static void alter(int8_t op, struct str key, struct str value)
{
    struct config_change x = {key, value, op};
    ASSERT_EQ(controller_alter_configs(&controller, RESOURCE_TOPIC, STR("a"), &x, 1, false, &list, &error), STATUS_OK);
}

static void settings_change_by_increments(void)
{
    const struct str policy = STR("cleanup.policy"), retention = STR("retention.ms");
    begin(1);
    create((struct topic_wish){.name = STR("a"), .partitions = 1, .replication_factor = 1});
    apply();
    alter(CONFIG_SET, retention, STR("77"));
    apply();
    ASSERT_STREQ(setting(retention), "77");
    alter(CONFIG_APPEND, policy, STR("compact")); /* to the default */
    apply();
    ASSERT_STREQ(setting(policy), "delete,compact");
    alter(CONFIG_APPEND, policy, STR("compact"));
    apply();
    ASSERT_STREQ(setting(policy), "delete,compact"); /* once only */
    alter(CONFIG_SUBTRACT, policy, STR("delete"));
    apply();
    ASSERT_STREQ(setting(policy), "compact");
    alter(CONFIG_DELETE, policy, STR_NULL);
    apply();
    ASSERT_STREQ(setting(policy), "(default)");
    alter(CONFIG_DELETE, policy, STR_NULL); /* not there: nothing to do */
    ASSERT(error.code == RULE_OK && list.count == 0);
    alter(CONFIG_APPEND, retention, STR("1"));
    expect(&error, RULE_INVALID_CONFIG, "Can't APPEND to key retention.ms because its type is not LIST.");
    alter(CONFIG_SET, retention, STR_NULL);
    expect(&error, RULE_INVALID_REQUEST, "Null value not supported for key retention.ms");
    alter(9, retention, STR("1"));
    expect(&error, RULE_INVALID_REQUEST, "Unknown operation 9 of key retention.ms");
    alter(CONFIG_SET, STR("x"), STR("1"));
    expect(&error, RULE_INVALID_CONFIG, "Unknown topic config name: x");
    struct config_change two[] = {{retention, STR("1"), CONFIG_SET}, {retention, STR("2"), CONFIG_SET}};
    ASSERT_EQ(controller_alter_configs(&controller, RESOURCE_TOPIC, STR("a"), two, 2, false, &list, &error), STATUS_OK);
    expect(&error, RULE_INVALID_REQUEST, "Error due to duplicate config keys: retention.ms");
    two[1] = (struct config_change){STR("x"), STR("2"), CONFIG_SET}; /* the first is sound: all or nothing */
    ASSERT_EQ(controller_alter_configs(&controller, RESOURCE_TOPIC, STR("a"), two, 2, false, &list, &error), STATUS_OK);
    ASSERT(error.code == RULE_INVALID_CONFIG && list.count == 0);
    end();
}

static void resources_must_be_there(void)
{
    const struct {
        enum config_resource type;
        struct str name;
        int code;
        const char *text;
    } cases[] = {
        {RESOURCE_TOPIC, STR("none"), RULE_UNKNOWN_TOPIC_OR_PARTITION, "The topic 'none' does not exist."},
        {RESOURCE_BROKER, STR("x"), RULE_INVALID_REQUEST, "Invalid broker name x"},
        {RESOURCE_BROKER, STR("00"), RULE_INVALID_REQUEST, "Invalid broker name 00"},
        {RESOURCE_BROKER, STR("99999999999"), RULE_INVALID_REQUEST, "Invalid broker name 99999999999"},
        {RESOURCE_BROKER, STR("9"), RULE_BROKER_ID_NOT_REGISTERED, "No node with id 9 found."},
        {RESOURCE_GROUP, STR(""), RULE_INVALID_REQUEST, "Default group resources are not allowed."},
        {RESOURCE_CLIENT_METRICS, STR(""), RULE_INVALID_REQUEST, "Default client metrics resources are not allowed."},
        {(enum config_resource)3, STR("x"), RULE_INVALID_REQUEST, "Unsupported resource type 3"},
        {RESOURCE_GROUP,
         {"g\0", 2},
         RULE_INVALID_REQUEST,
         "a resource's name has at most 255 bytes, none of them zero"},
        {RESOURCE_BROKER, STR("0"), RULE_OK, ""},
        {RESOURCE_BROKER, STR(""), RULE_OK, ""},
        {RESOURCE_GROUP, STR("g"), RULE_OK, ""},
    };
    begin(1);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config_change x = {STR("retention.ms"), STR("1"), CONFIG_SET};
        ASSERT_EQ(controller_alter_configs(&controller, cases[i].type, cases[i].name, &x, 1, false, &list, &error),
                  STATUS_OK);
        expect(&error, cases[i].code, cases[i].text);
        ASSERT_EQ(list.count, cases[i].code == RULE_OK ? 1 : 0);
        if (list.count > 0) apply();
    }
    ASSERT_EQ(image_settings(image)->count, 3);
    end();
}

static void the_older_request_replaces_all(void)
{
    begin(1);
    create((struct topic_wish){.name = STR("a"), .partitions = 1, .replication_factor = 1});
    apply();
    alter(CONFIG_SET, STR("retention.ms"), STR("1"));
    apply();
    struct config_entry e = {STR("cleanup.policy"), STR("compact")};
    ASSERT_EQ(controller_replace_configs(&controller, RESOURCE_TOPIC, STR("a"), &e, 1, false, &list, &error),
              STATUS_OK);
    apply();
    ASSERT_STREQ(setting(STR("retention.ms")), "(default)");
    ASSERT_STREQ(setting(STR("cleanup.policy")), "compact");
    ASSERT_EQ(controller_replace_configs(&controller, RESOURCE_TOPIC, STR("a"), NULL, 0, false, &list, &error),
              STATUS_OK);
    apply();
    ASSERT(image_topic_by_name(image, STR("a"))->configs == NULL);
    end();
}

static void a_new_start_has_a_new_epoch_everywhere(void)
{
    int64_t epoch, first;
    begin(0);
    ASSERT_EQ(add_broker(4, NULL, false), 1);
    create((struct topic_wish){.name = STR("a"), .partitions = 3, .replication_factor = 1});
    apply();
    struct record_register_broker again = {.id = 4, .rack = STR_NULL, .incarnation = {{99}}};
    ASSERT_EQ(controller_register_broker(&controller, &again, false, &list, &error, &epoch), STATUS_OK);
    expect(&error, RULE_DUPLICATE_BROKER_REGISTRATION, "Another broker is registered with that broker id.");
    ASSERT_EQ(controller_register_broker(&controller, &again, true, &list, &error, &epoch), STATUS_OK);
    ASSERT(error.code == RULE_OK && epoch == 2 && list.count == 2);
    apply();
    const struct image_topic *t = image_topic_by_name(image, STR("a"));
    for (uint32_t i = 0; i < 3; i++) ASSERT_EQ(t->partitions[i]->leader_epoch, 1);
    ASSERT_EQ(controller_producer_ids(&controller, 4, 1, &list, &error, &first), STATUS_OK);
    expect(&error, RULE_STALE_BROKER_EPOCH, "Expected broker epoch 2, but got broker epoch 1");
    ASSERT_EQ(controller_producer_ids(&controller, 5, 1, &list, &error, &first), STATUS_OK);
    expect(&error, RULE_BROKER_ID_NOT_REGISTERED, "Broker ID 5 is not currently registered");
    for (int64_t want = 0; want < 3000; want += 1000) {
        ASSERT_EQ(controller_producer_ids(&controller, 4, 2, &list, &error, &first), STATUS_OK);
        ASSERT_EQ(first, want);
        apply();
    }
    ASSERT_EQ(controller_fence_broker(&controller, 4, 2, true, &list, &error), STATUS_OK);
    ASSERT_EQ(list.count, 1);
    apply();
    ASSERT_EQ(controller_fence_broker(&controller, 4, 2, true, &list, &error), STATUS_OK);
    ASSERT(list.count == 0 && error.code == RULE_OK);
    struct topic_answer a = create((struct topic_wish){.name = STR("b"), .partitions = 1, .replication_factor = 1});
    expect(&a.error, RULE_INVALID_REPLICATION_FACTOR,
           "Unable to replicate the partition 1 time(s): All brokers are currently fenced.");
    end();
}

/* --- placement --- */

static void check_placement(uint32_t partitions, uint32_t replicas, uint32_t racks, uint32_t live)
{
    static const char *const names[] = {"r0", "r1", "r2", "r3"};
    int32_t *ids = calloc((size_t)partitions * replicas, sizeof *ids);
    uint32_t leads[64] = {0}, holds[64] = {0};
    char why[256];
    const struct image_brokers *b = image_brokers(image);
    ASSERT(placement_choose(b, &random_numbers, partitions, replicas, ids, why));
    for (uint32_t p = 0; p < partitions; p++) {
        const int32_t *own = ids + (size_t)p * replicas;
        uint32_t in_rack[COUNT_OF(names)] = {0}, fenced = 0;
        leads[own[0]]++;
        ASSERT(!image_brokers_find(b, own[0])->fenced);
        for (uint32_t r = 0; r < replicas; r++) {
            const struct image_broker *x = image_brokers_find(b, own[r]);
            for (uint32_t k = 0; k < r; k++) ASSERT(own[k] != own[r]);
            holds[own[r]]++;
            fenced += x->fenced;
            if (x->rack.len == 2) in_rack[x->rack.data[1] - '0']++;
        }
        ASSERT_EQ(fenced, replicas > live ? replicas - live : 0);
        /* with as many brokers in each: no rack has two before every rack has one */
        for (uint32_t i = 0; racks > 0 && i < racks; i++)
            ASSERT(in_rack[i] <= (replicas + racks - 1) / racks && in_rack[i] >= replicas / racks);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->brokers[i]->fenced) continue;
        ASSERT(leads[i] >= partitions / live && leads[i] <= (partitions + live - 1) / live);
        if (replicas <= live && partitions % (live * MAX(live - 1, 1)) == 0 && racks == 0)
            ASSERT_EQ(holds[i], partitions / live * replicas);
    }
    free(ids);
}

static void placement_spreads_leaders_followers_and_racks(void)
{
    static const char *const racks[] = {"r0", "r1", "r2", "r3"};
    for (uint32_t rack_count = 0; rack_count <= 4; rack_count++)
        for (uint32_t each = 1; each <= 3; each++) {
            uint32_t brokers = MAX(rack_count, 1) * each;
            begin(0);
            for (uint32_t i = 0; i < brokers; i++)
                add_broker((int32_t)i, rack_count == 0 ? NULL : racks[i / each], false);
            for (uint32_t replicas = 1; replicas <= brokers; replicas++)
                for (int round = 0; round < 5; round++) {
                    check_placement(brokers * MAX(brokers - 1, 1), replicas, rack_count, brokers);
                    check_placement(7, replicas, rack_count, brokers);
                }
            end();
        }
}

static void fenced_brokers_come_last_and_never_lead(void)
{
    char why[256];
    int32_t ids[8];
    begin(0);
    for (int32_t i = 0; i < 6; i++) add_broker(i, NULL, i % 2 == 1);
    for (uint32_t replicas = 1; replicas <= 6; replicas++) check_placement(30, replicas, 0, 3);
    ASSERT(!placement_choose(image_brokers(image), &random_numbers, 1, 7, ids, why));
    end();
}

TEST_MAIN("controller", {"names as Kafka", names_as_kafka},
          {"a topic is made with defaults and settings", a_topic_is_made_with_defaults_and_settings},
          {"wishes that are refused", wishes_that_are_refused},
          {"one refused topic does not hurt its neighbours", one_refused_topic_does_not_hurt_its_neighbours},
          {"a call that no batch holds is refused", a_call_that_no_batch_holds_is_refused},
          {"topics are deleted by name and id", topics_are_deleted_by_name_and_id}, {"topics grow", topics_grow},
          {"deleted topics come back", deleted_topics_come_back},
          {"deleted topics are bounded", deleted_topics_are_bounded},
          {"settings change by increments", settings_change_by_increments},
          {"resources must be there", resources_must_be_there},
          {"the older request replaces all", the_older_request_replaces_all},
          {"a new start has a new epoch everywhere", a_new_start_has_a_new_epoch_everywhere},
          {"placement spreads leaders, followers and racks", placement_spreads_leaders_followers_and_racks},
          {"fenced brokers come last and never lead", fenced_brokers_come_last_and_never_lead})
