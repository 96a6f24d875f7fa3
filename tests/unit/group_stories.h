// SPDX-License-Identifier: Apache-2.0
/* Stories of classic groups: a table of what clients send, what they get, how the group stands. A client remembers its
 * member id and generation as real ones do. tell() runs one; a step that is not as told prints its number. */
#pragma once
#include "broker/group/classic.h"
#include "tests/unit/check_main.h"
#include "tests/unit/group_world.h"
#include <stdio.h>

#define HELD 1000 /* in place of an error: the call waits */

enum op {
    END,
    CLIENT,    /* a client is (now) so: text is its protocols, "range=A,roundrobin=B" */
    JOIN,      /* JoinGroup with what it knows; error or HELD */
    COME,      /* JOIN, and again with the id if one was given; HELD at the end */
    JOINED,    /* the held join was answered: error; generation, leader's name (text) */
    WAITS,     /* the held join was not */
    SYNC,      /* SyncGroup; the leader assigns "generation/id" to all; error or HELD */
    SYNCED,    /* the held sync was answered: error, and with NONE the right assignment */
    HEARTBEAT, /* error */
    LEAVE,     /* error; a client without an id leaves by its instance */
    COMMIT,    /* with its id and generation; error */
    PASS,      /* ms */
    STATE,     /* text; generation; members */
    CANCEL,    /* the connection of its waiting calls goes */
    FORGET,    /* a client starts anew: no member id */
    RESTART,   /* the broker */
    PUTS,      /* so many records so far */
    SIZE_MAX_IS,
    DELAY_IS,
    SKIPS /* the held or last join says: nothing to assign */
};

struct step {
    enum op op;
    const char *who;
    int error;
    const char *text;
    int32_t ms, generation, members;
    const char *instance, *protocol;
    int16_t version;
    int32_t session_ms, rebalance_ms;
};

#define CLIENTS_MAX 8
struct client {
    const char *name, *instance;
    char member_id[300];
    char protocols[200];
    int32_t session_ms, rebalance_ms, generation;
    int16_t version;
    bool leads;
    struct world_call *join, *sync;
    const char *type;
};
static struct client clients[CLIENTS_MAX];
static const struct step *steps_now;
static uint32_t step_now;

#define EXPECT(cond)                                                                                                   \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fprintf(stdout, "\nstep %u (%s): ", step_now, steps_now[step_now].who ? steps_now[step_now].who : "");     \
        ASSERT(cond);                                                                                                  \
    } while (0)

static void expect_error(int got, int wanted)
{
    if (got != wanted) printf("\ngot %d, wanted %d: ", got, wanted);
    EXPECT(got == wanted);
}

static struct str str_of(const char *s)
{
    return s == NULL ? STR_NULL : (struct str){s, (int32_t)strlen(s)};
}

static bool is(struct str s, const char *text)
{
    return str_equal(s, str_of(text));
}

static void set_protocols(struct client *c, const char *text)
{
    snprintf(c->protocols, sizeof c->protocols, "%s", text);
}

static struct client *client(const char *name)
{
    for (struct client *c = clients; c < clients + CLIENTS_MAX; c++) {
        if (c->name == NULL) {
            *c = (struct client){.name = name,
                                 .version = 9,
                                 .session_ms = 10000,
                                 .rebalance_ms = 60000,
                                 .generation = -1,
                                 .type = "consumer"};
            set_protocols(c, "range=A");
        }
        if (strcmp(c->name, name) == 0) return c;
    }
    CHECK(false);
}

static struct client *client_by_id(struct str id)
{
    for (struct client *c = clients; c < clients + CLIENTS_MAX && c->name != NULL; c++)
        if (is(id, c->member_id)) return c;
    return NULL;
}

static void set_client(const struct step *s)
{
    struct client *c = client(s->who);
    if (s->instance != NULL) c->instance = s->instance;
    if (s->version != 0) c->version = s->version;
    if (s->version < 0) c->version = 0;
    if (s->session_ms != 0) c->session_ms = s->session_ms;
    if (s->rebalance_ms != 0) c->rebalance_ms = s->rebalance_ms;
    if (s->text != NULL) set_protocols(c, s->text);
}

/* ---- join ---- */

static void fill_protocols(struct client *c, struct world_call *w)
{
    static char text[200];
    memcpy(text, c->protocols, sizeof text);
    char *rest = NULL;
    struct join_group_request_protocol *list = arena_zalloc(&w->arena, 16 * sizeof *list);
    int32_t n = 0;
    for (char *p = strtok_r(text, ",", &rest); p != NULL; p = strtok_r(NULL, ",", &rest)) {
        char *data = strchr(p, '=');
        join_group_request_protocol_init(&list[n]);
        char *copy = arena_zalloc(&w->arena, strlen(p) + 1);
        memcpy(copy, p, strlen(p));
        list[n].name = (struct str){copy, (int32_t)(data - p)};
        list[n].metadata = (struct bytes){(uint8_t *)copy + (data - p) + 1, (int32_t)strlen(data + 1)};
        n++;
    }
    w->join_request.protocols = list;
    w->join_request.protocols_count = n;
}

static void take_join(struct client *c, struct world_call *w)
{
    if (w->join.member_id.len > 0) {
        memcpy(c->member_id, w->join.member_id.data, (size_t)w->join.member_id.len);
        c->member_id[w->join.member_id.len] = '\0';
    }
    if (w->join.error_code != KAFKA_NONE) return;
    c->generation = w->join.generation_id;
    c->leads = str_equal(w->join.leader, w->join.member_id);
}

static int join(struct client *c)
{
    struct world_call *w = world_call(API_JOIN_GROUP, c->version, STR("g"));
    struct join_group_request *q = &w->join_request;
    q->group_id = STR("g");
    q->session_timeout_ms = c->session_ms;
    q->rebalance_timeout_ms = c->version > 0 ? c->rebalance_ms : -1;
    char *id = arena_zalloc(&w->arena, sizeof c->member_id);
    memcpy(id, c->member_id, sizeof c->member_id);
    q->member_id = str_of(id);
    q->group_instance_id = str_of(c->instance);
    q->protocol_type = str_of(c->type);
    fill_protocols(c, w);
    c->join = w;
    world_send(w);
    if (w->ends == 0) return HELD;
    if (w->call.error != KAFKA_NONE) return w->call.error;
    take_join(c, w);
    return w->join.error_code;
}

static void joined(const struct step *s)
{
    struct client *c = client(s->who);
    struct world_call *w = c->join;
    EXPECT(w->ends == 1 && !w->cancelled);
    EXPECT((w->call.error != KAFKA_NONE ? w->call.error : w->join.error_code) == s->error);
    if (w->call.error == KAFKA_NONE) take_join(c, w);
    if (s->error != KAFKA_NONE) return;
    if (s->generation != 0) EXPECT(w->join.generation_id == s->generation);
    if (s->text != NULL) EXPECT(is(w->join.leader, client(s->text)->member_id));
    if (s->members != 0) EXPECT(w->join.members_count == s->members);
    if (s->protocol != NULL) EXPECT(is(w->join.protocol_name, s->protocol));
    EXPECT(is(w->join.member_id, c->member_id) && (w->join.members_count > 0) == c->leads);
}

/* ---- sync ---- */

static struct bytes assignment_for(struct world_call *w, int32_t generation, struct str id)
{
    char *text = arena_zalloc(&w->arena, 400);
    int n = snprintf(text, 400, "%d/%.*s", generation, (int)id.len, id.data);
    return (struct bytes){(uint8_t *)text, n};
}

static int sync_error(const struct world_call *w)
{
    return w->call.error != KAFKA_NONE ? w->call.error : w->sync.error_code;
}

static int sync(struct client *c)
{
    struct world_call *w = world_call(API_SYNC_GROUP, 5, STR("g"));
    struct sync_group_request *q = &w->sync_request;
    q->group_id = STR("g");
    q->generation_id = c->generation;
    q->member_id = str_of(c->member_id);
    q->group_instance_id = str_of(c->instance);
    if (c->leads && !c->join->join.skip_assignment) {
        q->assignments = arena_zalloc(&w->arena, 16 * sizeof *q->assignments);
        for (int32_t i = 0; i < c->join->join.members_count; i++) {
            struct str id = c->join->join.members[i].member_id;
            q->assignments[i].member_id = id;
            q->assignments[i].assignment = assignment_for(w, c->generation, id);
        }
        q->assignments_count = c->join->join.members_count;
    }
    c->sync = w;
    world_send(w);
    return w->ends == 0 ? HELD : sync_error(w);
}

static void synced(const struct step *s)
{
    struct client *c = client(s->who);
    EXPECT(c->sync->ends == 1 && !c->sync->cancelled);
    EXPECT(sync_error(c->sync) == s->error);
    if (s->error != KAFKA_NONE) return;
    char text[400];
    int n = snprintf(text, sizeof text, "%d/%s", c->generation, c->member_id);
    struct bytes a = c->sync->sync.assignment;
    if (s->text != NULL) /* so much of it is known */
        EXPECT((size_t)a.len >= strlen(s->text) && memcmp(a.data, s->text, strlen(s->text)) == 0);
    else
        EXPECT(a.len == n && memcmp(a.data, text, (size_t)n) == 0);
    EXPECT(is(c->sync->sync.protocol_type, c->type));
}

/* ---- the rest ---- */

static int heartbeat(struct client *c)
{
    struct world_call *w = world_call(API_HEARTBEAT, 4, STR("g"));
    w->heartbeat_request.group_id = STR("g");
    w->heartbeat_request.generation_id = c->generation;
    w->heartbeat_request.member_id = str_of(c->member_id);
    w->heartbeat_request.group_instance_id = str_of(c->instance);
    world_send(w);
    EXPECT(w->ends == 1);
    return w->call.error != KAFKA_NONE ? w->call.error : w->heartbeat.error_code;
}

static int leave(struct client *c)
{
    int16_t version = c->version < 4 ? 1 : 5;
    struct world_call *w = world_call(API_LEAVE_GROUP, version, STR("g"));
    struct leave_group_request_member *m = arena_zalloc(&w->arena, sizeof *m);
    m->member_id = str_of(c->member_id);
    m->group_instance_id = str_of(c->instance);
    w->leave_request.group_id = STR("g");
    w->leave_request.member_id = str_of(c->member_id);
    w->leave_request.members = m;
    w->leave_request.members_count = version >= 3 ? 1 : 0;
    world_send(w);
    EXPECT(w->ends == 1 && w->call.error == KAFKA_NONE);
    if (version < 3) return w->leave.error_code;
    EXPECT(w->leave.error_code == KAFKA_NONE && w->leave.members_count == 1);
    return w->leave.members[0].error_code;
}

static int commit(struct client *c)
{
    struct group *g = groups_find(&gw.gs, STR("g"));
    gw.gs.now = gw.now;
    return classic_commit_check(&gw.gs, g, str_of(c->member_id), str_of(c->instance), c->generation);
}

static void state(const struct step *s)
{
    struct world_call *w = world_call(API_DESCRIBE_GROUPS, 6, STR("g"));
    world_send(w);
    EXPECT(w->ends == 1 && w->call.error == KAFKA_NONE);
    if (!is(w->describe.group_state, s->text)) fprintf(stdout, "\nstate %s: ", w->describe.group_state.data);
    EXPECT(is(w->describe.group_state, s->text));
    EXPECT(w->describe.members_count == s->members);
    for (int32_t i = 0; i < s->members; i++) {
        bool stable = strcmp(s->text, "Stable") == 0;
        EXPECT((w->describe.members[i].member_metadata.len > 0) == stable);
        EXPECT(client_by_id(w->describe.members[i].member_id) != NULL);
        EXPECT(is(w->describe.members[i].client_id, "app") && is(w->describe.members[i].client_host, "/10.0.0.1"));
    }
}

static int come(struct client *c)
{
    int error = join(c);
    if (error == KAFKA_MEMBER_ID_REQUIRED) error = join(c);
    return error;
}

static void cancel(struct client *c)
{
    if (c->join != NULL && c->join->ends == 0) world_cancel(c->join);
    if (c->sync != NULL && c->sync->ends == 0) world_cancel(c->sync);
}

static void run_step(const struct step *s)
{
    struct client *c = s->who != NULL ? client(s->who) : NULL;
    switch (s->op) {
    case CLIENT: set_client(s); break;
    case JOIN: expect_error(join(c), s->error); break;
    case COME: EXPECT(come(c) == HELD); break;
    case JOINED: joined(s); break;
    case WAITS: EXPECT(c->join->ends == 0); break;
    case SYNC: expect_error(sync(c), s->error); break;
    case SYNCED: synced(s); break;
    case HEARTBEAT: expect_error(heartbeat(c), s->error); break;
    case LEAVE: expect_error(leave(c), s->error); break;
    case COMMIT: expect_error(commit(c), s->error); break;
    case PASS: world_pass(s->ms); break;
    case STATE: state(s); break;
    case CANCEL: cancel(c); break;
    case FORGET: c->member_id[0] = '\0'; break;
    case RESTART: world_restart(); break;
    case PUTS: EXPECT(gw.puts == (uint32_t)s->members); break;
    case SIZE_MAX_IS: gw.settings.size_max = s->members; break;
    case DELAY_IS: gw.settings.first_delay_ms = s->ms; break;
    case SKIPS: EXPECT(c->join->join.skip_assignment); break;
    case END: break;
    }
}

static void tell(const struct step *steps)
{
    memset(clients, 0, sizeof clients);
    steps_now = steps;
    world_begin();
    for (step_now = 0; steps[step_now].op != END; step_now++) run_step(&steps[step_now]);
    world_end();
}

/* Without a table: world_end ends it. */
static void begin_story(void)
{
    static const struct step none[] = {{END}};
    memset(clients, 0, sizeof clients);
    steps_now = none;
    step_now = 0;
    world_begin();
}
