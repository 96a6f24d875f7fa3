// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/consumer_world.h"
#include "broker/group/classic.h"
#include "replication/image.h"
#include <stdio.h>
#include <stdlib.h>

#define LOG_MAX 200000

struct groups world;
struct group_settings world_settings;

struct kept {
    struct bytes key, value; /* malloc */
};

static struct mem *m;
static struct topic_index *index_of_topics;
static struct image_topic topics[WORLD_TOPICS_MAX];
static char topic_names[WORLD_TOPICS_MAX][32];
static uint32_t topic_count;
static struct kept records[LOG_MAX];
static uint32_t record_count, seen;
static bool failing, failed, strange, check_tables; /* strange: the log is not ours */
static struct group_sink sink;
static struct arena arena;
static struct consumer_group_heartbeat_response last_answer;
static char answer[WORLD_ANSWER_SIZE], member_id[1100], written[8192];

/* ---- topics ---- */

static uint32_t topic_slot(const char *name)
{
    uint32_t i = 0;
    while (i < topic_count && strcmp(topic_names[i], name) != 0) i++;
    return i;
}

struct uuid world_topic_id(const char *name)
{
    return topics[topic_slot(name)].id;
}

void world_topic(const char *name, uint32_t partitions)
{
    uint32_t i = topic_slot(name);
    struct str text = {topic_names[i], (int32_t)strlen(name)};
    if (i == topic_count) {
        CHECK(topic_count < WORLD_TOPICS_MAX);
        snprintf(topic_names[topic_count++], sizeof topic_names[0], "%s", name);
    }
    const struct image_topic *old = topic_index_by_name(index_of_topics, text);
    if (old == NULL) {
        topics[i].id.b[0] = (uint8_t)(200 - i); /* another order than that of the names */
        topics[i].id.b[15]++;                   /* a topic that is made again is another one */
    }
    topics[i].name = text;
    topics[i].partition_count = partitions;
    if (old == NULL) CHECK_OK(topic_index_change(index_of_topics, NULL, &topics[i]));
    if (!world.loading && world.topics != NULL) groups_topics_changed(&world, text);
}

void world_topic_gone(const char *name)
{
    uint32_t i = topic_slot(name);
    if (i == topic_count || topic_index_by_name(index_of_topics, topics[i].name) == NULL) return;
    CHECK_OK(topic_index_change(index_of_topics, &topics[i], NULL));
    groups_topics_changed(&world, topics[i].name);
}

/* ---- the log ---- */

static struct bytes keep(struct bytes b)
{
    if (b.len < 0) return BYTES_NULL;
    uint8_t *data = malloc((size_t)b.len + 1);
    memcpy(data, b.data, (size_t)b.len);
    return (struct bytes){data, b.len};
}

static int type_of(struct bytes key)
{
    return key.data[0] << 8 | key.data[1];
}

struct replay_key { /* how the keys of members begin */
    struct str group, member;
};

static struct replay_key key_of(struct bytes key)
{
    struct replay_key k;
    k.group.len = key.data[2] << 8 | key.data[3];
    k.group.data = (const char *)key.data + 4;
    const uint8_t *at = key.data + 4 + k.group.len;
    k.member.len = at + 2 <= key.data + key.len ? at[0] << 8 | at[1] : -1;
    k.member.data = (const char *)at + 2;
    return k;
}

/* Kafka's replay throws where these do not hold. */
static void check_as_kafka(struct bytes key, struct bytes value)
{
    int type = type_of(key);
    struct replay_key k = key_of(key);
    const struct group *g = groups_find(&world, k.group);
    if (type < 3 || g == NULL) return;
    if (g->type == GROUP_CLASSIC) {
        CHECK(value.len < 0 || classic_is_simple(g));
        return;
    }
    const struct consumer_group *c = g->consumer;
    if (type == 5 && value.len < 0) {
        const struct consumer_member *member = consumer_find(c, k.member);
        CHECK(member == NULL || (member->epoch == EPOCH_LEAVE && !member->has_target));
    } else if (type == 6 && value.len < 0) {
        list_each (n, &c->all) CHECK(!container_of(n, struct consumer_member, in_all)->has_target);
    } else if (type == 3 && value.len < 0) {
        CHECK(c->member_count == 0 && c->assignment_epoch == -1);
    }
}

static enum status log_put(struct group_sink *s, struct bytes key, struct bytes value)
{
    CHECK(s == &sink && record_count < LOG_MAX);
    check_as_kafka(key, value);
    records[record_count++] = (struct kept){keep(key), keep(value)};
    return STATUS_OK;
}

const char *wrote(void)
{
    written[0] = '\0';
    for (size_t at = 0; seen < record_count && at < sizeof written - 8; seen++) {
        struct kept *r = &records[seen];
        at += (size_t)snprintf(written + at, sizeof written - at, "%s%d%s", at > 0 ? " " : "", type_of(r->key),
                               r->value.len < 0 ? "-" : "");
    }
    return written;
}

const char *world_dump(void)
{
    static char out[DUMP_SIZE];
    consumer_dump(&world, out);
    return out;
}

static void load(struct groups *gs)
{
    for (uint32_t i = 0; i < record_count; i++) {
        enum status s = groups_apply(gs, records[i].key, records[i].value);
        CHECK(s == STATUS_OK || (strange && s == STATUS_INVALID_RECORD));
    }
    groups_loaded(gs);
}

static void reload(void);

static void settle(void) /* what the owner does after a step */
{
    if (failing && world.status == STATUS_NO_MEMORY) {
        failed = true;
        mem_fail_nth(m, 0);
        reload();
    }
    CHECK_OK(world.status);
    while (!list_empty(&world.rearm)) (void)list_pop_front(&world.rearm);
    const struct group *g = world_group();
    if (g != NULL && g->type == GROUP_CONSUMER && !strange && check_tables) consumer_check_state(g);
}

void world_check_replay(void)
{
    static char life[DUMP_SIZE], replayed[DUMP_SIZE];
    struct groups second;
    groups_init(&second, m, &world_settings, index_of_topics, &sink, 2);
    second.now = world.now;
    second.wall = world.wall;
    load(&second);
    consumer_dump(&world, life);
    consumer_dump(&second, replayed);
    if (strcmp(life, replayed) != 0) printf("life:\n%s\nreplayed:\n%s\n", life, replayed);
    CHECK(strcmp(life, replayed) == 0);
    while (!list_empty(&second.rearm)) (void)list_pop_front(&second.rearm);
    groups_deinit(&second);
}

static void reload(void)
{
    struct mono_ns now = world.now;
    struct wall_ms wall = world.wall;
    while (!list_empty(&world.rearm)) (void)list_pop_front(&world.rearm);
    groups_stop(&world);
    groups_deinit(&world);
    groups_init(&world, m, &world_settings, index_of_topics, &sink, 3);
    world.now = now;
    world.wall = wall;
    load(&world);
    while (!list_empty(&world.rearm)) (void)list_pop_front(&world.rearm);
}

void world_restart(void)
{
    world_check_replay();
    reload();
    settle();
}

void world_check_tables(bool on)
{
    check_tables = on;
}

void world_fail_nth(uint64_t n)
{
    failing = n != 0;
    failed = false;
    mem_fail_nth(m, n);
}

bool world_failed(void)
{
    return failed;
}

static void forget_log(void)
{
    for (uint32_t i = 0; i < record_count; i++) {
        free((void *)(uintptr_t)records[i].key.data);
        free((void *)(uintptr_t)records[i].value.data);
    }
    record_count = seen = 0;
}

void world_load_bytes(const uint8_t *data, size_t size)
{
    forget_log();
    strange = true;
    for (size_t at = 0; at + 4 <= size && record_count < LOG_MAX;) {
        int32_t key = load_be16(data + at), value = load_be16(data + at + 2);
        bool none = value == 0xffff;
        at += 4;
        if (none) value = 0;
        if (size - at < (size_t)key + (size_t)value) break;
        struct bytes k = {data + at, key}, v = {data + at + key, none ? -1 : value};
        at += (size_t)key + (size_t)value;
        records[record_count++] = (struct kept){keep(k), keep(v)};
    }
    reload();
    settle();
}

/* ---- the box ---- */

void world_begin(void)
{
    m = mem_create(512u << 20);
    index_of_topics = topic_index_create(m);
    record_count = seen = topic_count = 0;
    failing = failed = strange = false;
    check_tables = true;
    memset(topics, 0, sizeof topics);
    arena_init(&arena, m, MEM_FETCH, (size_t)16 << 20);
    sink.put = log_put;
    world_settings = (struct group_settings){.session_min_ms = 6000,
                                             .session_max_ms = 1800000,
                                             .size_max = INT32_MAX,
                                             .consumer_session_ms = 45000,
                                             .consumer_session_min_ms = 45000,
                                             .consumer_session_max_ms = 60000,
                                             .consumer_heartbeat_ms = 5000,
                                             .consumer_heartbeat_min_ms = 5000,
                                             .consumer_heartbeat_max_ms = 15000,
                                             .consumer_assignment_ms = 0,
                                             .consumer_regex_refresh_ms = 600000,
                                             .consumer_size_max = INT32_MAX,
                                             .migration = MIGRATION_BIDIRECTIONAL,
                                             .metadata_max_bytes = 4096,
                                             .retention_ms = 10080ll * 60000,
                                             .check_ms = 600000,
                                             .partitions = 50};
    memset(&world, 0, sizeof world);
    groups_init(&world, m, &world_settings, index_of_topics, &sink, 1);
    world.now.v = 1000 * NS_PER_S;
    world.wall.v = 1700000000000;
    groups_loaded(&world);
}

void world_end(void)
{
    settle();
    world_check_replay();
    groups_stop(&world);
    groups_deinit(&world);
    forget_log();
    arena_deinit(&arena);
    for (uint32_t i = 0; i < topic_count; i++)
        if (topic_index_by_name(index_of_topics, topics[i].name) != NULL)
            CHECK_OK(topic_index_change(index_of_topics, &topics[i], NULL));
    topic_index_destroy(index_of_topics);
    mem_destroy(m);
}

struct group *world_group(void)
{
    return groups_find(&world, STR(WORLD_GROUP));
}

void world_later(int64_t ms)
{
    struct mono_ns end = mono_add(world.now, ms * NS_PER_MS);
    struct group *g;
    while ((g = world_group()) != NULL && g->deadline.v <= end.v) {
        int64_t passed = (g->deadline.v > world.now.v ? g->deadline.v - world.now.v : 0) / NS_PER_MS;
        world.now = g->deadline.v > world.now.v ? g->deadline : world.now;
        world.wall.v += passed;
        ms -= passed;
        groups_tick(&world, g);
        settle();
    }
    world.now = end;
    world.wall.v += ms;
}

int16_t world_call(enum api_key api, int16_t version, const void *request, void *response)
{
    struct group_call c = {.api = api,
                           .version = version,
                           .group_id = STR(WORLD_GROUP),
                           .client_id = STR("client"),
                           .client_host = STR("/127.0.0.1"),
                           .request = request,
                           .response = response,
                           .arena = &arena};
    arena_reset(&arena);
    groups_call(&world, &c);
    if (world.status == STATUS_OK && !c.answered) world_later(0); /* a classic group whose members have all come */
    CHECK(c.answered && list_first(&world.answered) == &c.in_answered);
    list_remove(&c.in_answered);
    CHECK(list_empty(&world.answered));
    CHECK(world.status == STATUS_OK || c.error != KAFKA_NONE);
    settle();
    return c.error;
}

struct arena *world_arena(void)
{
    return &arena;
}

const char *world_member_id(void)
{
    return member_id;
}

/* ---- requests and answers as text ---- */

const char *error_name(int16_t error)
{
    static const struct {
        int16_t error;
        const char *name;
    } names[] = {
        {KAFKA_COORDINATOR_NOT_AVAILABLE, "COORDINATOR_NOT_AVAILABLE"},
        {KAFKA_UNKNOWN_MEMBER_ID, "UNKNOWN_MEMBER_ID"},
        {KAFKA_ILLEGAL_GENERATION, "ILLEGAL_GENERATION"},
        {KAFKA_REBALANCE_IN_PROGRESS, "REBALANCE_IN_PROGRESS"},
        {KAFKA_INCONSISTENT_GROUP_PROTOCOL, "INCONSISTENT_GROUP_PROTOCOL"},
        {KAFKA_UNSUPPORTED_VERSION, "UNSUPPORTED_VERSION"},
        {KAFKA_INVALID_REQUEST, "INVALID_REQUEST"},
        {KAFKA_GROUP_ID_NOT_FOUND, "GROUP_ID_NOT_FOUND"},
        {KAFKA_MEMBER_ID_REQUIRED, "MEMBER_ID_REQUIRED"},
        {KAFKA_GROUP_MAX_SIZE_REACHED, "GROUP_MAX_SIZE_REACHED"},
        {KAFKA_FENCED_INSTANCE_ID, "FENCED_INSTANCE_ID"},
        {KAFKA_FENCED_MEMBER_EPOCH, "FENCED_MEMBER_EPOCH"},
        {KAFKA_UNRELEASED_INSTANCE_ID, "UNRELEASED_INSTANCE_ID"},
        {KAFKA_UNSUPPORTED_ASSIGNOR, "UNSUPPORTED_ASSIGNOR"},
        {KAFKA_STALE_MEMBER_EPOCH, "STALE_MEMBER_EPOCH"},
        {KAFKA_INVALID_REGULAR_EXPRESSION, "INVALID_REGULAR_EXPRESSION"},
        {KAFKA_NON_EMPTY_GROUP, "NON_EMPTY_GROUP"},
        {KAFKA_NONE, "NONE"},
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (names[i].error == error) return names[i].name;
    return "another error";
}

struct asked { /* with what it points to */
    struct consumer_group_heartbeat_request q;
    char text[2048];
    struct str names[16];
    struct consumer_group_heartbeat_request_topic_partition has[16];
    int32_t numbers[16][64];
    int16_t version;
};

static struct str str_of(const char *s)
{
    return (struct str){s, (int32_t)strlen(s)};
}

static void read_has(struct asked *r, char *value)
{
    char *save = NULL, *save_number = NULL;
    r->q.topic_partitions = r->has;
    r->q.topic_partitions_count = 0;
    for (char *t = strtok_r(value, ";", &save); t != NULL; t = strtok_r(NULL, ";", &save)) {
        int32_t i = r->q.topic_partitions_count++;
        char *numbers = strchr(t, ':');
        *numbers++ = '\0';
        r->has[i] = (struct consumer_group_heartbeat_request_topic_partition){world_topic_id(t), r->numbers[i], 0};
        for (char *n = strtok_r(numbers, ",", &save_number); n != NULL; n = strtok_r(NULL, ",", &save_number))
            r->numbers[i][r->has[i].partitions_count++] = atoi(n);
    }
}

static void read_word(struct asked *r, const char *word, char *value)
{
    struct consumer_group_heartbeat_request *q = &r->q;
    char *save = NULL;
    if (strcmp(word, "join") == 0) {
        q->member_epoch = 0;
        q->rebalance_timeout_ms = 60000;
        q->topic_partitions_count = 0;
    } else if (strcmp(word, "leave") == 0) {
        q->member_epoch = -1;
    } else if (strcmp(word, "leave-static") == 0) {
        q->member_epoch = -2;
    } else if (strcmp(word, "epoch") == 0) {
        q->member_epoch = atoi(value);
    } else if (strcmp(word, "topics") == 0) {
        q->subscribed_topic_names = r->names;
        q->subscribed_topic_names_count = 0;
        for (char *t = strtok_r(value, ",", &save); t != NULL; t = strtok_r(NULL, ",", &save))
            r->names[q->subscribed_topic_names_count++] = str_of(t);
    } else if (strcmp(word, "has") == 0) {
        read_has(r, value);
    } else if (strcmp(word, "timeout") == 0) {
        q->rebalance_timeout_ms = atoi(value);
    } else if (strcmp(word, "v0") == 0) {
        r->version = 0;
    } else {
        struct str *to = strcmp(word, "instance") == 0   ? &q->instance_id
                         : strcmp(word, "regex") == 0    ? &q->subscribed_topic_regex
                         : strcmp(word, "assignor") == 0 ? &q->server_assignor
                         : strcmp(word, "rack") == 0     ? &q->rack_id
                                                         : NULL;
        CHECK(to != NULL);
        *to = str_of(value);
    }
}

static void read_request(struct asked *r, const char *text)
{
    char *save = NULL;
    memset(r, 0, sizeof *r);
    r->version = 1;
    consumer_group_heartbeat_request_init(&r->q);
    CHECK(strlen(text) < sizeof r->text);
    memcpy(r->text, text, strlen(text) + 1);
    r->q.group_id = STR(WORLD_GROUP);
    r->q.subscribed_topic_names_count = r->q.topic_partitions_count = -1;
    r->q.member_id = str_of(strtok_r(r->text, " ", &save));
    if (str_equal(r->q.member_id, STR("-"))) r->q.member_id = STR_EMPTY;
    for (char *word = strtok_r(NULL, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        char *value = strchr(word, '=');
        if (value != NULL) *value++ = '\0';
        read_word(r, word, value);
    }
}

static const char *topic_name_of(struct uuid id)
{
    for (uint32_t i = 0; i < topic_count; i++)
        if (uuid_equal(topics[i].id, id)) return topic_names[i];
    return "?";
}

static int by_topic_name(const void *x, const void *y)
{
    const struct consumer_group_heartbeat_response_topic_partition *p = x, *q = y;
    return strcmp(topic_name_of(p->topic_id), topic_name_of(q->topic_id));
}

int16_t world_heartbeat(const struct consumer_group_heartbeat_request *q, int16_t version)
{
    consumer_group_heartbeat_response_init(&last_answer);
    int16_t error = world_call(API_CONSUMER_GROUP_HEARTBEAT, version, q, &last_answer);
    CHECK(last_answer.error_code == KAFKA_NONE || last_answer.error_message.len > 0);
    return error != KAFKA_NONE ? error : last_answer.error_code;
}

const struct consumer_group_heartbeat_response *world_response(void)
{
    return &last_answer;
}

const char *beat(const char *text)
{
    struct asked r;
    const struct consumer_group_heartbeat_response *a = &last_answer;
    read_request(&r, text);
    int16_t error = world_heartbeat(&r.q, r.version);
    snprintf(answer, sizeof answer, "%s", error_name(error));
    snprintf(member_id, sizeof member_id, "%.*s", a->member_id.len, a->member_id.len < 0 ? "" : a->member_id.data);
    if (error != KAFKA_NONE) return answer;
    if (a->assignment_present)
        qsort(a->assignment.topic_partitions, (size_t)a->assignment.topic_partitions_count,
              sizeof a->assignment.topic_partitions[0], by_topic_name);
    size_t at = (size_t)snprintf(answer, sizeof answer, "%d%s", a->member_epoch,
                                 a->assignment_present && a->assignment.topic_partitions_count == 0 ? " nothing" : "");
    for (int32_t i = 0; a->assignment_present && i < a->assignment.topic_partitions_count; i++) {
        const struct consumer_group_heartbeat_response_topic_partition *t = &a->assignment.topic_partitions[i];
        at += (size_t)snprintf(answer + at, sizeof answer - at, " %s:", topic_name_of(t->topic_id));
        CHECK(at + (size_t)t->partitions_count * 12 + 64 < sizeof answer);
        for (int32_t j = 0; j < t->partitions_count; j++)
            at += (size_t)snprintf(answer + at, sizeof answer - at, "%s%d", j > 0 ? "," : "", t->partitions[j]);
    }
    return answer;
}
