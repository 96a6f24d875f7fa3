// SPDX-License-Identifier: Apache-2.0
/* Fetch sessions (fetch_session.h).
 *
 * Path: begin -> (epoch 0: a new one from the request's partitions) or (id and epoch fit: changed partitions are
 * replaced, new ones appended, forgotten ones taken out) -> done. Failure modes: unknown id, wrong epoch, one that
 * another connection is using right now: the client's error, after which it makes a full fetch; no memory: no session.
 */
#include "broker/api/fetch_session.h"
#include "base/bytes.h"
#include "base/check.h"
#include "protocol/msg_fetch.h"
#include <xxhash.h>

#define EPOCH_INITIAL 0
#define EPOCH_FINAL   (-1)
#define INDEX_NONE    UINT32_MAX
#define NEVER_TOLD    (-1)

struct session_topic {
    uint32_t wants; /* that name it */
    int32_t len;
    char name[];
};

enum status fetch_sessions_init(struct fetch_sessions *all, struct mem *m, uint32_t max, uint64_t seed)
{
    CHECK(max > 0 && max <= FETCH_SESSIONS_MAX);
    struct fetch_session **slots = mem_zalloc(m, MEM_CONTROL, max * sizeof *slots);
    if (slots == NULL) return STATUS_NO_MEMORY;
    *all = (struct fetch_sessions){.mem = m, .max = max, .random = seed, .slots = slots};
    list_init(&all->lru);
    return STATUS_OK;
}

/* ---- names ---- */

static void topic_unref(struct fetch_sessions *all, struct fetch_session *s, struct session_topic *t)
{
    if (t == NULL || --t->wants > 0) return;
    if (s->newest == t) s->newest = NULL;
    mem_free(all->mem, MEM_FETCH, t, sizeof *t + (size_t)t->len);
}

/* Partitions of a topic stand together in a request, so the newest name is the likely one. NULL: no memory. */
static struct session_topic *topic_ref(struct fetch_sessions *all, struct fetch_session *s, struct str name)
{
    struct session_topic *t = s->newest;
    if (t == NULL || !str_equal((struct str){t->name, t->len}, name)) {
        t = mem_alloc(all->mem, MEM_FETCH, sizeof *t + (size_t)name.len);
        if (t == NULL) return NULL;
        t->wants = 0;
        t->len = name.len;
        memcpy(t->name, name.data, (size_t)name.len);
        s->newest = t;
    }
    t->wants++;
    return t;
}

/* ---- index ---- */

static uint64_t hash(struct str name, struct topic_id id, int32_t number)
{
    uint64_t h = name.len >= 0 ? XXH3_64bits(name.data, (size_t)name.len) : XXH3_64bits(id.b, sizeof id.b);
    return h ^ ((uint64_t)(uint32_t)number * 0x9e3779b97f4a7c15u);
}

static bool same(const struct fetch_want *w, struct str name, struct topic_id id, int32_t number)
{
    if (w->number != number) return false;
    return name.len >= 0 ? str_equal(w->name, name) : memcmp(w->id.b, id.b, sizeof id.b) == 0;
}

/* The slot that names the partition, or the free one where it would stand. */
static uint32_t *probe(const struct fetch_session *s, struct str name, struct topic_id id, int32_t number)
{
    for (uint64_t i = hash(name, id, number);; i++) {
        uint32_t *slot = &s->index[i & (s->index_room - 1)];
        if (*slot == INDEX_NONE || same(&s->wants[*slot], name, id, number)) return slot;
    }
}

static void index_fill(struct fetch_session *s)
{
    memset(s->index, 0xff, s->index_room * sizeof *s->index);
    for (uint32_t i = 0; i < s->count; i++) *probe(s, s->wants[i].name, s->wants[i].id, s->wants[i].number) = i;
}

static bool reserve(struct fetch_sessions *all, struct fetch_session *s)
{
    if (s->count < s->room) return true;
    uint32_t room = MAX(s->room * 2, 8u);
    if (s->count >= FETCH_SESSION_WANTS_MAX) return false;
    uint32_t *index = mem_alloc(all->mem, MEM_FETCH, room * 2 * sizeof *index);
    struct fetch_want *wants =
        index == NULL ? NULL
                      : mem_realloc(all->mem, MEM_FETCH, s->wants, s->room * sizeof *s->wants, room * sizeof *s->wants);
    if (wants == NULL) {
        mem_free(all->mem, MEM_FETCH, index, room * 2 * sizeof *index);
        return false;
    }
    mem_free(all->mem, MEM_FETCH, s->index, s->index_room * sizeof *s->index);
    s->wants = wants;
    s->room = room;
    s->index = index;
    s->index_room = room * 2;
    index_fill(s);
    return true;
}

/* ---- partitions ---- */

static struct topic_id to_id(struct uuid u)
{
    struct topic_id id;
    static_assert(sizeof id.b == sizeof u.b, "a topic id is a UUID");
    memcpy(id.b, u.b, sizeof id.b);
    return id;
}

static void take_position(struct fetch_want *w, const struct fetch_request_partition *q)
{
    w->offset = q->fetch_offset;
    w->bytes_max = q->partition_max_bytes;
    w->epoch = q->current_leader_epoch;
    w->last_epoch = q->last_fetched_epoch;
}

void fetch_want_set(struct fetch_want *w, const struct fetch_request_topic *t, const struct fetch_request_partition *q)
{
    *w = (struct fetch_want){.name = t->topic, .id = to_id(t->topic_id), .number = q->partition};
    if (w->name.len == 0) w->name = STR_NULL; /* versions with ids have no name */
    w->told_high_watermark = w->told_log_start = NEVER_TOLD;
    take_position(w, q);
}

/* False: no memory. */
static bool put(struct fetch_sessions *all, struct fetch_session *s, const struct fetch_request_topic *t,
                const struct fetch_request_partition *q)
{
    struct str name = s->by_id ? STR_NULL : t->topic;
    struct topic_id id = to_id(t->topic_id);
    if (!reserve(all, s)) return false;
    uint32_t *slot = probe(s, name, id, q->partition);
    if (*slot == INDEX_NONE) {
        struct session_topic *topic = s->by_id ? NULL : topic_ref(all, s, name);
        if (!s->by_id && topic == NULL) return false;
        struct fetch_want *w = &s->wants[s->count];
        *w = (struct fetch_want){.name = STR_NULL, .id = id, .number = q->partition, .topic = topic};
        if (topic != NULL) w->name = (struct str){topic->name, topic->len};
        w->told_high_watermark = w->told_log_start = NEVER_TOLD;
        *slot = s->count++;
    }
    take_position(&s->wants[*slot], q);
    return true;
}

static bool mark(struct fetch_sessions *all, struct fetch_session *s, struct str name, struct topic_id id,
                 int32_t number)
{
    uint32_t at = *probe(s, name, id, number);
    if (at == INDEX_NONE || s->wants[at].gone) return false;
    s->wants[at].gone = true;
    topic_unref(all, s, s->wants[at].topic);
    return true;
}

/* Marked ones leave in one pass: a request may forget as many as there are. */
static void forget_marked(struct fetch_session *s)
{
    uint32_t kept = 0, first = s->first;
    for (uint32_t i = 0; i < s->count; i++) {
        if (i == s->first) first = kept;
        if (!s->wants[i].gone) s->wants[kept++] = s->wants[i];
    }
    s->count = kept;
    s->first = first;
    index_fill(s);
}

static void forget_all(struct fetch_sessions *all, struct fetch_session *s, const struct fetch_request *q)
{
    bool some = false;
    for (int32_t i = 0; i < q->forgotten_topics_data_count; i++) {
        const struct fetch_request_forgotten_topic *t = &q->forgotten_topics_data[i];
        for (int32_t k = 0; k < t->partitions_count; k++)
            some = mark(all, s, s->by_id ? STR_NULL : t->topic, to_id(t->topic_id), t->partitions[k]) || some;
    }
    if (some) forget_marked(s);
}

static bool put_all(struct fetch_sessions *all, struct fetch_session *s, const struct fetch_request *q)
{
    for (int32_t i = 0; i < q->topics_count; i++)
        for (int32_t k = 0; k < q->topics[i].partitions_count; k++)
            if (!put(all, s, &q->topics[i], &q->topics[i].partitions[k])) return false;
    return true;
}

/* ---- sessions ---- */

static void destroy(struct fetch_sessions *all, struct fetch_session *s)
{
    for (uint32_t i = 0; i < s->count; i++) topic_unref(all, s, s->wants[i].topic);
    list_remove(&s->in_lru);
    all->slots[(uint32_t)s->id % FETCH_SESSIONS_MAX] = NULL;
    all->count--;
    mem_free(all->mem, MEM_FETCH, s->wants, s->room * sizeof *s->wants);
    mem_free(all->mem, MEM_FETCH, s->index, s->index_room * sizeof *s->index);
    mem_free(all->mem, MEM_FETCH, s, sizeof *s);
}

void fetch_sessions_deinit(struct fetch_sessions *all)
{
    while (!list_empty(&all->lru)) {
        struct fetch_session *s = container_of(list_first(&all->lru), struct fetch_session, in_lru);
        CHECK(!s->busy);
        destroy(all, s);
    }
    CHECK(all->count == 0);
    mem_free(all->mem, MEM_CONTROL, all->slots, all->max * sizeof *all->slots);
}

static struct fetch_session *find(const struct fetch_sessions *all, int32_t id)
{
    uint32_t slot = (uint32_t)id % FETCH_SESSIONS_MAX;
    struct fetch_session *s = slot < all->max ? all->slots[slot] : NULL;
    return s != NULL && s->id == id ? s : NULL;
}

/* A place for one more: the oldest goes if nobody has used it for a while. */
static bool make_place(struct fetch_sessions *all, struct mono_ns now)
{
    if (all->count < all->max) return true;
    if (list_empty(&all->lru)) return false;
    struct fetch_session *s = container_of(list_first(&all->lru), struct fetch_session, in_lru);
    if (s->busy || now.v - s->used.v < FETCH_SESSION_ALIVE_NS) return false;
    destroy(all, s);
    return true;
}

/* A free slot, which is there, and 15 random bits above it; never 0. */
static int32_t new_id(struct fetch_sessions *all)
{
    uint32_t slot = 0;
    while (all->slots[slot] != NULL) slot++;
    all->random = all->random * 6364136223846793005u + 1442695040888963407u;
    uint32_t high = (uint32_t)(all->random >> 49) % 32767u + 1;
    return (int32_t)(high << 16 | slot);
}

static struct fetch_session *create(struct fetch_sessions *all, const struct fetch_request *q, bool by_id,
                                    struct mono_ns now)
{
    struct fetch_session *s = make_place(all, now) ? mem_zalloc(all->mem, MEM_FETCH, sizeof *s) : NULL;
    if (s == NULL) return NULL;
    s->id = new_id(all);
    all->slots[(uint32_t)s->id % FETCH_SESSIONS_MAX] = s;
    s->epoch = EPOCH_INITIAL + 1;
    s->by_id = by_id;
    s->used = now;
    list_push_back(&all->lru, &s->in_lru);
    all->count++;
    if (put_all(all, s, q) && s->count > 0) return s;
    destroy(all, s);
    return NULL;
}

/* The old session of a client that begins anew, or ends it. */
static void drop(struct fetch_sessions *all, int32_t id)
{
    struct fetch_session *s = id != 0 ? find(all, id) : NULL;
    if (s != NULL && !s->busy) destroy(all, s);
}

static enum status go_on(struct fetch_sessions *all, const struct fetch_request *q, bool by_id, struct mono_ns now,
                         struct fetch_session **ret_session)
{
    struct fetch_session *s = find(all, q->session_id);
    if (s == NULL) return STATUS_FETCH_SESSION_NOT_FOUND;
    if (s->busy || s->epoch != q->session_epoch) return STATUS_FETCH_SESSION_EPOCH;
    if (s->by_id != by_id) return STATUS_FETCH_SESSION_TOPIC_ID;
    bool kept = put_all(all, s, q);
    if (s->index_room > 0) forget_all(all, s, q);
    if (!kept) {
        destroy(all, s);
        return STATUS_FETCH_SESSION_NOT_FOUND; /* the client makes a full fetch, which may go without a session */
    }
    s->epoch = s->epoch == INT32_MAX ? 1 : s->epoch + 1;
    s->used = now;
    list_remove(&s->in_lru);
    list_push_back(&all->lru, &s->in_lru);
    *ret_session = s;
    return STATUS_OK;
}

enum status fetch_session_begin(struct fetch_sessions *all, const struct fetch_request *q, bool by_id,
                                struct mono_ns now, struct fetch_session **ret_session, enum fetch_session_use *ret_use)
{
    struct fetch_session *s = NULL;
    enum fetch_session_use use = FETCH_SESSION_NONE;
    if (q->session_epoch == EPOCH_INITIAL || q->session_epoch == EPOCH_FINAL) {
        drop(all, q->session_id);
        if (q->session_epoch == EPOCH_INITIAL) s = create(all, q, by_id, now);
        if (s != NULL) use = FETCH_SESSION_NEW;
    } else {
        enum status status = go_on(all, q, by_id, now, &s);
        if (status != STATUS_OK) return status;
        use = FETCH_SESSION_GO_ON;
    }
    if (s != NULL) s->busy = true;
    *ret_session = s;
    *ret_use = use;
    return STATUS_OK;
}

void fetch_session_done(struct fetch_sessions *all, struct fetch_session *s)
{
    CHECK(s->busy);
    s->busy = false;
    if (s->count == 0) destroy(all, s);
}
