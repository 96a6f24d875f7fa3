// SPDX-License-Identifier: Apache-2.0
/* Committed offsets: who may commit, what is fetched by name and by id, what deletes and expires them, and that a log
 * gives back what was there. */
#include "broker/group/offsets.h"
#include "protocol/msg_delete_groups.h"
#include "protocol/msg_offset_delete.h"
#include "protocol/msg_offset_fetch.h"
#include "tests/unit/check_main.h"
#include "tests/unit/group_world.h"

#define DAY_MS 86400000LL

/* Partition p of topic "t"; the partition's error, or the call's. */
static int16_t commit(struct str group, int32_t generation, int32_t p, int64_t offset, const char *metadata)
{
    struct world_call *c = world_call(API_OFFSET_COMMIT, 9, group);
    struct offset_commit_request_partition partition;
    struct offset_commit_request_topic topic;
    offset_commit_request_partition_init(&partition);
    offset_commit_request_topic_init(&topic);
    partition.partition_index = p;
    partition.committed_offset = offset;
    partition.committed_leader_epoch = 3;
    partition.committed_metadata = (struct str){metadata, (int32_t)strlen(metadata)};
    topic.name = STR("t");
    topic.partitions = &partition;
    topic.partitions_count = 1;
    c->commit_request.group_id = group;
    c->commit_request.generation_id_or_member_epoch = generation;
    c->commit_request.topics = &topic;
    c->commit_request.topics_count = 1;
    world_send(c);
    int16_t error = c->call.error != 0 ? c->call.error : c->commit.topics[0].partitions[0].error_code;
    world_free(c);
    return error;
}

struct fetched {
    struct offset_fetch_request_group q;
    struct offset_fetch_response_group a;
    struct offset_fetch_request_group_topic topic;
    int32_t partitions[2];
    struct world_call *call;
};

/* Both partitions of "t" by name or by id (version 10); all: whatever the group has. */
static void fetch(struct fetched *f, struct str group, int16_t version, bool all)
{
    *f = (struct fetched){.partitions = {0, 1}, .call = world_call(API_OFFSET_FETCH, version, group)};
    offset_fetch_request_group_init(&f->q);
    offset_fetch_response_group_init(&f->a);
    offset_fetch_request_group_topic_init(&f->topic);
    f->topic.name = STR("t");
    f->topic.topic_id = (struct uuid){{1}};
    f->topic.partition_indexes = f->partitions;
    f->topic.partition_indexes_count = 2;
    f->q.group_id = group;
    f->q.topics = &f->topic;
    f->q.topics_count = all ? -1 : 1;
    f->call->call.request = &f->q;
    f->call->call.response = &f->a;
    world_send(f->call);
}

static int64_t offset_of(struct str group, int32_t partition)
{
    struct fetched f;
    fetch(&f, group, 9, false);
    ASSERT_EQ(f.call->call.error, 0);
    ASSERT_EQ(f.a.topics[0].partitions[partition].error_code, 0);
    int64_t offset = f.a.topics[0].partitions[partition].committed_offset;
    world_free(f.call);
    return offset;
}

static void commit_and_fetch(void)
{
    struct fetched f;
    world_begin();
    ASSERT_EQ(offset_of(STR("g"), 0), -1); /* no such group: no offset, no error */
    ASSERT_EQ(commit(STR("g"), -1, 0, 42, "where I was"), 0);
    ASSERT_EQ(commit(STR("g"), -1, 0, 43, "here"), 0);
    ASSERT_EQ(commit(STR("g"), 5, 0, 44, ""), KAFKA_UNKNOWN_MEMBER_ID); /* who says a generation is a member */
    ASSERT_EQ(offset_of(STR("g"), 0), 43);
    ASSERT_EQ(offset_of(STR("g"), 1), -1);
    for (int16_t version = 8; version <= 10; version++) {
        for (int all = 0; all < 2; all++) {
            fetch(&f, STR("g"), version, all != 0);
            ASSERT_EQ(f.a.topics_count, 1);
            const struct offset_fetch_response_group_partition *p = &f.a.topics[0].partitions[0];
            ASSERT_EQ(f.a.topics[0].partitions_count, all ? 1 : 2);
            ASSERT(str_equal(p->metadata, STR("here")));
            ASSERT_EQ(p->committed_offset, 43);
            ASSERT_EQ(p->committed_leader_epoch, 3);
            if (version == 10) ASSERT(uuid_equal(f.a.topics[0].topic_id, (struct uuid){{1}}));
            if (version < 10) ASSERT(str_equal(f.a.topics[0].name, STR("t")));
            world_free(f.call);
        }
    }
    world_end();
}

static void an_unknown_id_is_told(void)
{
    struct fetched f;
    world_begin();
    ASSERT_EQ(commit(STR("g"), -1, 0, 1, ""), 0);
    CHECK_OK(topic_index_change(gw.topics, topic_index_by_name(gw.topics, STR("t")), NULL));
    ASSERT_EQ(commit(STR("g"), -1, 0, 2, ""), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fetch(&f, STR("g"), 10, false);
    ASSERT_EQ(f.a.topics[0].partitions[0].error_code, KAFKA_UNKNOWN_TOPIC_ID);
    world_free(f.call);
    fetch(&f, STR("g"), 10, true); /* its topic has no id any more */
    ASSERT_EQ(f.a.topics_count, 0);
    world_free(f.call);
    ASSERT_EQ(offset_of(STR("g"), 0), 1); /* by name it is still there */
    world_end();
}

static void too_much_is_refused(void)
{
    char text[5000];
    world_begin();
    memset(text, 'x', sizeof text);
    text[4097] = '\0';
    ASSERT_EQ(commit(STR("g"), -1, 0, 1, text), KAFKA_OFFSET_METADATA_TOO_LARGE);
    text[4096] = '\0';
    ASSERT_EQ(commit(STR("g"), -1, 0, 1, text), 0);
    void *hog[64];
    uint32_t n = 0;
    size_t piece = (size_t)mem_budget(gw.mem, MEM_CONTROL) / 32;
    while (n < 64 && groups_have_room(&gw.gs)) hog[n++] = mem_alloc(gw.mem, MEM_CONTROL, piece);
    ASSERT(n > 0 && n < 64);
    ASSERT_EQ(commit(STR("g"), -1, 0, 2, ""), 0); /* no more memory than before */
    ASSERT_EQ(commit(STR("g"), -1, 1, 2, ""), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ASSERT_EQ(commit(STR("h"), -1, 0, 2, ""), KAFKA_COORDINATOR_NOT_AVAILABLE);
    while (n > 0) mem_free(gw.mem, MEM_CONTROL, hog[--n], piece);
    ASSERT_EQ(commit(STR("g"), -1, 1, 2, ""), 0);
    world_end();
}

static int16_t delete_offset(struct str group, struct str topic, int32_t p)
{
    struct world_call *c = world_call(API_OFFSET_DELETE, 0, group);
    struct offset_delete_request q;
    struct offset_delete_response a;
    struct offset_delete_request_partition partition = {.partition_index = p};
    struct offset_delete_request_topic t = {.name = topic, .partitions = &partition, .partitions_count = 1};
    offset_delete_request_init(&q);
    offset_delete_response_init(&a);
    q.group_id = group;
    q.topics = &t;
    q.topics_count = 1;
    c->call.request = &q;
    c->call.response = &a;
    world_send(c);
    int16_t error = c->call.error != 0 ? c->call.error : a.topics[0].partitions[0].error_code;
    world_free(c);
    return error;
}

static void deleted_by_request_and_with_the_topic(void)
{
    world_begin();
    ASSERT_EQ(delete_offset(STR("g"), STR("t"), 0), KAFKA_GROUP_ID_NOT_FOUND);
    ASSERT_EQ(commit(STR("g"), -1, 0, 1, ""), 0);
    ASSERT_EQ(commit(STR("g"), -1, 1, 2, ""), 0);
    ASSERT_EQ(delete_offset(STR("g"), STR("nosuch"), 0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ASSERT_EQ(delete_offset(STR("g"), STR("t"), 7), 0); /* nothing to delete is no error */
    ASSERT_EQ(delete_offset(STR("g"), STR("t"), 0), 0);
    ASSERT_EQ(offset_of(STR("g"), 0), -1);
    ASSERT_EQ(offset_of(STR("g"), 1), 2);
    groups_topic_gone(&gw.gs, STR("t"));
    ASSERT_EQ(offset_of(STR("g"), 1), -1);
    world_restart();
    ASSERT_EQ(offset_of(STR("g"), 1), -1);
    ASSERT(groups_find(&gw.gs, STR("g")) == NULL); /* nothing is left of it */
    world_end();
}

static void expire_by_their_retention(void)
{
    world_begin();
    ASSERT_EQ(commit(STR("g"), -1, 0, 1, ""), 0);
    world_pass(6 * DAY_MS);
    ASSERT_EQ(commit(STR("g"), -1, 1, 2, ""), 0);
    gw.gs.wall.v = 1000000 + gw.now.v / NS_PER_MS + DAY_MS - 1;
    groups_expire(&gw.gs);
    ASSERT_EQ(offset_of(STR("g"), 0), 1);
    gw.gs.wall.v = 1000000 + gw.now.v / NS_PER_MS + 2 * DAY_MS;
    groups_expire(&gw.gs);
    ASSERT_EQ(offset_of(STR("g"), 0), -1);
    ASSERT_EQ(offset_of(STR("g"), 1), 2);
    gw.gs.wall.v += 7 * DAY_MS;
    groups_expire(&gw.gs);
    ASSERT(groups_find(&gw.gs, STR("g")) == NULL);
    world_restart();
    ASSERT_EQ(gw.gs.count, 0);
    world_end();
}

/* The same after a restart: offsets, metadata, epochs; and what is deleted stays deleted. */
static void the_log_gives_them_back(void)
{
    struct fetched f;
    world_begin();
    ASSERT_EQ(commit(STR("g"), -1, 0, 7, "seven"), 0);
    ASSERT_EQ(commit(STR("h"), -1, 1, 8, ""), 0);
    struct world_call *c = world_call(API_DELETE_GROUPS, 2, STR("h"));
    struct delete_groups_response_group gone;
    delete_groups_response_group_init(&gone);
    c->call.response = &gone;
    world_send(c);
    ASSERT_EQ(gone.error_code, 0);
    world_restart();
    ASSERT_EQ(gw.gs.count, 1);
    fetch(&f, STR("g"), 9, false);
    ASSERT_EQ(f.a.topics[0].partitions[0].committed_offset, 7);
    ASSERT_EQ(f.a.topics[0].partitions[0].committed_leader_epoch, 3);
    ASSERT(str_equal(f.a.topics[0].partitions[0].metadata, STR("seven")));
    world_free(f.call);
    ASSERT_EQ(offset_of(STR("h"), 1), -1);
    world_end();
}

TEST_MAIN("group offsets", {"commit and fetch", commit_and_fetch}, {"an unknown id is told", an_unknown_id_is_told},
          {"too much is refused", too_much_is_refused},
          {"deleted by request and with the topic", deleted_by_request_and_with_the_topic},
          {"expire by their retention", expire_by_their_retention},
          {"the log gives them back", the_log_gives_them_back})
