// SPDX-License-Identifier: Apache-2.0
/* Fetch sessions (KIP-227): who gets one, what an incremental request changes, and every way to be refused. */
#include "broker/api/fetch_session.h"
#include "protocol/msg_fetch.h"
#include "tests/unit/check_main.h"
#include <string.h>

static struct mem *m;
static struct fetch_sessions all;
static struct mono_ns now = {1};

static void begin_test(uint32_t max)
{
    m = mem_create(64u << 20);
    ASSERT_EQ(fetch_sessions_init(&all, m, max, 42), STATUS_OK);
}

static void end_test(void)
{
    fetch_sessions_deinit(&all);
    mem_destroy(m); /* CHECKs that nothing is left */
}

/* A request for partitions [first, first + count) of topic "t". */
struct ask {
    struct fetch_request q;
    struct fetch_request_topic topic;
    struct fetch_request_partition partitions[16];
};

static const struct fetch_request *ask(struct ask *a, int32_t id, int32_t epoch, int32_t first, int32_t count,
                                       int64_t offset)
{
    fetch_request_init(&a->q);
    fetch_request_topic_init(&a->topic);
    a->q.session_id = id;
    a->q.session_epoch = epoch;
    a->q.topics = &a->topic;
    a->q.topics_count = count > 0;
    a->topic.topic = STR("t");
    a->topic.partitions = a->partitions;
    a->topic.partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        fetch_request_partition_init(&a->partitions[i]);
        a->partitions[i].partition = first + i;
        a->partitions[i].fetch_offset = offset;
    }
    return &a->q;
}

static enum status use(const struct fetch_request *q, struct fetch_session **ret_session)
{
    enum fetch_session_use use;
    *ret_session = NULL;
    enum status s = fetch_session_begin(&all, q, false, now, ret_session, &use);
    if (*ret_session != NULL) fetch_session_done(&all, *ret_session);
    return s;
}

static void goes_on_with_what_it_was_told(void)
{
    struct ask a;
    struct fetch_session *s;
    begin_test(2);
    ASSERT_EQ(use(ask(&a, 0, 0, 0, 3, 10), &s), STATUS_OK);
    ASSERT(s != NULL);
    ASSERT(s->id != 0 && s->epoch == 1 && s->count == 3);
    int32_t id = s->id;
    ASSERT_EQ(use(ask(&a, id, 1, 2, 2, 20), &s), STATUS_OK); /* one changed, one new */
    ASSERT(s != NULL);
    ASSERT(s->id == id && s->epoch == 2 && s->count == 4);
    ASSERT(s->wants[1].offset == 10 && s->wants[2].offset == 20 && s->wants[3].number == 3);
    ASSERT(str_equal(s->wants[3].name, STR("t")));
    end_test();
}

static void forgets_in_one_pass(void)
{
    struct ask a;
    struct fetch_session *s;
    int32_t numbers[] = {0, 2, 2, 9};
    struct fetch_request_forgotten_topic f;
    begin_test(2);
    ASSERT_EQ(use(ask(&a, 0, 0, 0, 4, 0), &s), STATUS_OK);
    int32_t id = s->id;
    (void)ask(&a, id, 1, 0, 0, 0);
    fetch_request_forgotten_topic_init(&f);
    f.topic = STR("t");
    f.partitions = numbers;
    f.partitions_count = 4;
    a.q.forgotten_topics_data = &f;
    a.q.forgotten_topics_data_count = 1;
    ASSERT_EQ(use(&a.q, &s), STATUS_OK);
    ASSERT(s != NULL);
    ASSERT(s->count == 2 && s->wants[0].number == 1 && s->wants[1].number == 3);
    ASSERT_EQ(use(ask(&a, id, 2, 3, 1, 7), &s), STATUS_OK); /* still found after the others have left */
    ASSERT(s->count == 2 && s->wants[1].offset == 7);
    numbers[0] = 1;
    numbers[1] = 3;
    (void)ask(&a, id, 3, 0, 0, 0);
    a.q.forgotten_topics_data = &f;
    a.q.forgotten_topics_data_count = 1;
    ASSERT_EQ(use(&a.q, &s), STATUS_OK);
    ASSERT_EQ(all.count, 0); /* an empty session is closed */
    end_test();
}

static void refuses(void)
{
    struct ask a;
    struct fetch_session *s, *busy;
    enum fetch_session_use how;
    begin_test(2);
    ASSERT_EQ(use(ask(&a, 0, 0, 0, 1, 0), &s), STATUS_OK);
    int32_t id = s->id;
    ASSERT_EQ(use(ask(&a, id, 2, 0, 1, 0), &s), STATUS_FETCH_SESSION_EPOCH);
    ASSERT_EQ(use(ask(&a, id ^ 0x10000, 1, 0, 1, 0), &s), STATUS_FETCH_SESSION_NOT_FOUND);
    ASSERT_EQ(use(ask(&a, -1, 1, 0, 1, 0), &s), STATUS_FETCH_SESSION_NOT_FOUND);
    ASSERT_EQ(fetch_session_begin(&all, ask(&a, id, 1, 0, 1, 0), true, now, &busy, &how),
              STATUS_FETCH_SESSION_TOPIC_ID);
    ASSERT_EQ(fetch_session_begin(&all, ask(&a, id, 1, 0, 1, 0), false, now, &busy, &how), STATUS_OK);
    ASSERT_EQ(use(ask(&a, id, 2, 0, 1, 0), &s), STATUS_FETCH_SESSION_EPOCH); /* in use by another connection */
    fetch_session_done(&all, busy);
    ASSERT_EQ(use(ask(&a, id, 2, 0, 1, 0), &s), STATUS_OK);
    end_test();
}

static void ends_and_begins_anew(void)
{
    struct ask a;
    struct fetch_session *s;
    begin_test(2);
    ASSERT_EQ(use(ask(&a, 0, -1, 0, 1, 0), &s), STATUS_OK); /* sessionless */
    ASSERT(s == NULL);
    ASSERT_EQ(use(ask(&a, 0, 0, 0, 1, 0), &s), STATUS_OK);
    int32_t id = s->id;
    ASSERT_EQ(use(ask(&a, id, 0, 0, 1, 0), &s), STATUS_OK); /* in place of the old one */
    ASSERT(s->id != id && all.count == 1);
    ASSERT_EQ(use(ask(&a, s->id, -1, 0, 1, 0), &s), STATUS_OK);
    ASSERT(s == NULL && all.count == 0);
    end_test();
}

static void only_an_idle_one_gives_way(void)
{
    struct ask a;
    struct fetch_session *s;
    begin_test(1);
    now.v = 1;
    ASSERT_EQ(use(ask(&a, 0, 0, 0, 1, 0), &s), STATUS_OK);
    int32_t first = s->id;
    ASSERT_EQ(use(ask(&a, 0, 0, 0, 1, 0), &s), STATUS_OK);
    ASSERT(s == NULL); /* full: without a session */
    now.v += FETCH_SESSION_ALIVE_NS;
    ASSERT_EQ(use(ask(&a, 0, 0, 0, 1, 0), &s), STATUS_OK);
    ASSERT(s != NULL);
    ASSERT_EQ(use(ask(&a, first, 1, 0, 1, 0), &s), STATUS_FETCH_SESSION_NOT_FOUND);
    end_test();
}

static void no_memory_is_no_session(void)
{
    struct ask a;
    struct fetch_session *s;
    for (uint64_t n = 1; n < 12; n++) {
        begin_test(2);
        mem_fail_nth(m, n);
        ASSERT_EQ(use(ask(&a, 0, 0, 0, 12, 0), &s), STATUS_OK);
        mem_fail_nth(m, 0);
        ASSERT_EQ(all.count, s != NULL);
        end_test();
    }
}

TEST_MAIN("fetch session", {"goes on with what it was told", goes_on_with_what_it_was_told},
          {"forgets in one pass", forgets_in_one_pass}, {"refuses", refuses},
          {"ends and begins anew", ends_and_begins_anew}, {"only an idle one gives way", only_an_idle_one_gives_way},
          {"no memory is no session", no_memory_is_no_session})
