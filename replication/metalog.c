// SPDX-License-Identifier: Apache-2.0
/* The metalog: the API, and the pump, which runs once per turn when something has happened:
 *
 *   submits that wait go to the engine as one step  ->  (disk task writes, engine commits)
 *   a snapshot that was taken or installed is told to the engine
 *   what is committed is applied, in order; submits of those entries end
 *   the role is told when it has changed (leader only when all earlier terms are applied)
 *   messages whose votes are durable leave
 *
 * Every callback of the owner is called here or by the snapshot task, never inside a call of the API.
 * Failure modes: metalog_fail, once and for all: submits end with FENCED, the owner hears why, tasks stop at their next
 * stage. */
#include "replication/metalog.h"

#include "replication/metalog_impl.h"

#include "base/bytes.h"
#include "base/check.h"
#include "replication/metalog_message.h"
#include <stdarg.h>
#include <stdio.h>

void metalog_config_init(struct metalog_config *c)
{
    *c = (struct metalog_config){.voter_count = 1,
                                 .election_ms = 1000,
                                 .heartbeat_ms = 100,
                                 .snapshot_bytes = 4 << 20,
                                 .trailing_bytes = 4 << 20,
                                 .segment_bytes = 4 << 20};
}

void metalog_wake(struct metalog *m)
{
    m->dirty = true;
    if (m->started && !env_timer_armed(&m->soon)) env_timer_start(m->env, &m->soon, m->env->now);
}

void metalog_fail(struct metalog *m, enum status status, const char *format, ...)
{
    va_list args;
    CHECK(status != STATUS_OK);
    if (m->failed != STATUS_OK) return;
    m->failed = status;
    va_start(args, format);
    vsnprintf(m->why, sizeof m->why, format, args);
    va_end(args);
    snap_wake(m);
    metalog_wake(m);
}

enum status metalog_stepped(struct metalog *m, enum status status)
{
    if (status == STATUS_NO_MEMORY)
        metalog_fail(m, status, "no memory for the metadata quorum: raise leat.memory.bytes");
    else if (status == STATUS_DAMAGED)
        metalog_fail(m, status, "the metadata log contradicts that of the quorum below what was agreed on");
    metalog_wake(m);
    return status;
}

/* --- submits --- */

static void submit_end(struct metalog *m, struct metalog_submit *op, enum status status)
{
    mem_free(m->mem, MEM_REPLICATION, op->data, op->size);
    op->data = NULL;
    op->status = status;
    CHECK(m->submits > 0);
    m->submits--;
    op->done(op);
}

void metalog_submit(struct metalog *m, const void *data, uint32_t size, struct metalog_submit *op)
{
    CHECK(m->closing == NULL);
    op->status = STATUS_OK;
    op->index = op->term = 0;
    op->in_metalog = (struct list_node){0};
    op->data = NULL;
    op->size = size;
    m->submits++;
    list_push_back(&m->waiting, &op->in_metalog);
    metalog_wake(m);
    if (size > METALOG_ENTRY_BYTES_MAX) {
        op->status = STATUS_BATCH_TOO_LARGE;
        op->size = 0;
    } else if (m->submits > METALOG_SUBMITS_MAX) {
        op->status = STATUS_BUSY;
        op->size = 0;
    } else if (size > 0) {
        op->data = mem_alloc(m->mem, MEM_REPLICATION, size);
        if (op->data == NULL) {
            op->status = STATUS_BUSY;
            op->size = 0;
        } else {
            memcpy(op->data, data, size);
        }
    }
}

/* Waiting ones as one step of the engine; refused ones end. */
static void push_waiting(struct metalog *m)
{
    struct entry_view views[SUBMIT_BATCH_ENTRIES];
    while (!list_empty(&m->waiting)) {
        struct metalog_submit *first = container_of(list_first(&m->waiting), struct metalog_submit, in_metalog);
        if (first->status != STATUS_OK || m->failed != STATUS_OK) {
            list_remove(&first->in_metalog);
            submit_end(m, first, first->status != STATUS_OK ? first->status : STATUS_FENCED);
            continue;
        }
        uint32_t count = 0;
        uint64_t bytes = 0;
        list_each (node, &m->waiting) {
            struct metalog_submit *op = container_of(node, struct metalog_submit, in_metalog);
            if (count == COUNT_OF(views) || op->status != STATUS_OK ||
                (count > 0 && bytes + op->size > SUBMIT_BATCH_BYTES))
                break;
            views[count++] = (struct entry_view){
                .type = op->size > 0 ? ENTRY_COMMAND : ENTRY_BARRIER, .size = op->size, .data = op->data};
            bytes += op->size;
        }
        uint64_t index = entry_log_last(&m->entries) + 1;
        enum status status = metalog_stepped(m, quorum_submit(m->quorum, metalog_now_ms(m), views, count));
        for (uint32_t i = 0; i < count; i++) {
            struct metalog_submit *op = container_of(list_pop_front(&m->waiting), struct metalog_submit, in_metalog);
            if (status != STATUS_OK) {
                submit_end(m, op, m->failed != STATUS_OK ? STATUS_FENCED : status);
                continue;
            }
            mem_free(m->mem, MEM_REPLICATION, op->data, op->size);
            op->data = NULL;
            op->size = 0;
            op->index = index + i;
            op->term = quorum_term(m->quorum);
            list_push_back(&m->pending, &op->in_metalog);
            m->count.submits++;
        }
    }
}

/* Pending ones up to the applied index have their outcome: `other` for those that are not the entry itself. */
static void end_applied(struct metalog *m, uint64_t index, uint64_t term, enum status other)
{
    while (!list_empty(&m->pending)) {
        struct metalog_submit *op = container_of(list_first(&m->pending), struct metalog_submit, in_metalog);
        if (op->index > index) return;
        list_remove(&op->in_metalog);
        submit_end(m, op, op->index == index && op->term == term ? STATUS_OK : other);
    }
}

static void end_all(struct metalog *m, enum status status)
{
    struct list *lists[] = {&m->pending, &m->waiting};
    for (unsigned i = 0; i < COUNT_OF(lists); i++)
        while (!list_empty(lists[i])) {
            struct metalog_submit *op = container_of(list_pop_front(lists[i]), struct metalog_submit, in_metalog);
            submit_end(m, op, op->status != STATUS_OK ? op->status : status);
        }
}

/* --- the pump --- */

static void apply(struct metalog *m)
{
    while (m->failed == STATUS_OK && m->applied < m->commit) {
        struct log_entry *e = entry_log_at(&m->entries, m->applied + 1);
        if (e == NULL) return; /* a snapshot is being installed */
        bool command = e->type == ENTRY_COMMAND;
        e->refs++; /* the owner may do anything meanwhile */
        m->applied = e->index;
        m->config.owner->ops->applied(m->config.owner, e->index, e->term, command ? e->data : NULL,
                                      command ? e->size : 0);
        end_applied(m, e->index, e->term, STATUS_NOT_LEADER);
        entry_unref(m->mem, e);
    }
}

/* How many entries up to index stay: for followers, and those whose own write is still under way (the state may be
 * ahead of the own disk): the engine counts on them. */
static uint32_t trailing(const struct metalog *m, uint64_t index)
{
    uint64_t bytes = 0, stored = quorum_stored(m->quorum);
    uint32_t count = 0;
    for (uint64_t i = index; i >= m->entries.first; i--) {
        bytes += entry_log_at(&m->entries, i)->size + sizeof(struct log_entry);
        if (i <= stored && (quorum_solo(m->quorum) || bytes > m->config.trailing_bytes)) break;
        count++;
    }
    return count;
}

static void snapshot_taken(struct metalog *m)
{
    m->taken = false;
    uint64_t index = m->snapshot_index;
    uint32_t keep = trailing(m, index);
    if (metalog_stepped(m, quorum_snapshot_taken(m->quorum, metalog_now_ms(m), index, keep)) != STATUS_OK) return;
    entry_log_drop_before(&m->entries, index - keep + 1);
    snap_wake(m);
}

/* Only restore reads them: the same bytes are on the disk. */
static enum status restore(struct metalog *m)
{
    const struct metalog_owner_ops *ops = m->config.owner->ops;
    struct metalog_owner *o = m->config.owner;
    enum status status = STATUS_OK;
    ops->restore_begin(o, m->snap.index, m->snap.term);
    for (size_t at = 0; status == STATUS_OK && at < m->snap.size;) {
        size_t n = MIN(m->snap.size - at, SNAP_BUFFER_BYTES);
        status = ops->restore_next(o, m->snap.data + at, n);
        at += n;
    }
    enum status last = ops->restore_end(o, status == STATUS_OK);
    return status != STATUS_OK ? status : last;
}

static void snapshot_installed(struct metalog *m)
{
    struct metalog_snap *s = &m->snap;
    m->installed = false;
    CHECK(s->work == SNAP_INSTALL);
    enum status status = restore(m);
    if (status != STATUS_OK) {
        metalog_fail(m, status, "the leader's snapshot of entry %llu cannot be read: %s", (unsigned long long)s->index,
                     status_text(status));
        return;
    }
    end_applied(m, s->index, 0, STATUS_CANCELED); /* it covers them: whether they are in it is not known here */
    m->applied = s->index;
    m->commit = MAX(m->commit, s->index);
    uint64_t index = s->index, term = s->term;
    snap_keep_data(m);
    s->work = SNAP_NONE;
    snap_wake(m);
    (void)metalog_stepped(m, quorum_installed(m->quorum, metalog_now_ms(m), index, term));
}

static void tell_role(struct metalog *m)
{
    enum quorum_state state = quorum_state(m->quorum);
    enum metalog_role role = state == QUORUM_CANDIDATE ? METALOG_CANDIDATE : METALOG_FOLLOWER;
    int32_t leader = quorum_leader(m->quorum);
    uint64_t term = quorum_term(m->quorum);
    if (state == QUORUM_LEADER && m->applied >= m->ready_index) role = METALOG_LEADER;
    if (role == m->role && leader == m->leader && term == m->term) return;
    m->role = role;
    m->leader = leader;
    m->term = term;
    m->config.owner->ops->role(m->config.owner, role, leader, term);
}

static void send_held(struct metalog *m)
{
    while (!list_empty(&m->held)) {
        struct held_message *h = container_of(list_first(&m->held), struct held_message, in_held);
        if (h->needs_vote > m->votes_durable) return;
        list_remove(&h->in_held);
        struct buf *b = h->bytes;
        int32_t to = h->to;
        mem_free(m->mem, MEM_REPLICATION, h, sizeof *h);
        m->count.messages_out++;
        m->config.owner->ops->send(m->config.owner, to, b);
    }
}

static void drop_held(struct metalog *m)
{
    while (!list_empty(&m->held)) {
        struct held_message *h = container_of(list_pop_front(&m->held), struct held_message, in_held);
        buf_unref(&h->bytes);
        mem_free(m->mem, MEM_REPLICATION, h, sizeof *h);
    }
}

static void tell_failure(struct metalog *m)
{
    if (m->failed_told) return;
    m->failed_told = true;
    env_timer_stop(m->env, &m->clock);
    env_timer_stop(m->env, &m->quiet);
    drop_held(m);
    METALOG_LOG(m, LOG_ERROR, "metalog.failed", LOG_STATUS("status", m->failed), LOG_STR("why", m->why));
    m->config.owner->ops->failed(m->config.owner, m->failed, m->why);
}

static void arm(struct metalog *m)
{
    struct mono_ns deadline = {(int64_t)MIN(quorum_deadline_ms(m->quorum), (uint64_t)(INT64_MAX / NS_PER_MS - 1)) *
                               NS_PER_MS};
    if (m->clock.armed && m->clock.deadline.v == deadline.v) return;
    env_timer_start(m->env, &m->clock, deadline);
}

static void close_step(struct metalog *m)
{
    struct metalog_close *op = m->closing;
    end_all(m, m->failed != STATUS_OK ? STATUS_FENCED : STATUS_CANCELED);
    if (!disk_task_ended(m)) disk_task_end(m);
    if (!snap_task_ended(m)) snap_task_end(m);
    if (!disk_task_ended(m) || !snap_task_ended(m)) return;
    metalog_free(m);
    op->done(op);
}

static void pump(struct metalog *m)
{
    m->dirty = false;
    env_timer_stop(m->env, &m->soon);
    if (m->closing != NULL) {
        close_step(m);
        return;
    }
    m->pumping = true;
    if (m->taken && m->failed == STATUS_OK) snapshot_taken(m);
    if (m->installed && m->failed == STATUS_OK) snapshot_installed(m);
    push_waiting(m);
    if (m->failed == STATUS_OK) apply(m);
    if (m->failed == STATUS_OK) tell_role(m);
    if (m->failed == STATUS_OK) send_held(m);
    if (m->failed == STATUS_OK) arm(m);
    if (m->failed != STATUS_OK) {
        end_all(m, STATUS_FENCED);
        tell_failure(m);
    }
    m->pumping = false;
    if (m->snap.idle && m->snap.work == SNAP_NONE && m->closing == NULL && !m->taken &&
        (m->snap.asked || m->log_since_snapshot >= m->config.snapshot_bytes) && m->applied > m->snapshot_index)
        snap_wake(m);
    if (m->disk.open_group && !env_timer_armed(&m->quiet) && m->failed == STATUS_OK && m->closing == NULL)
        env_timer_start(m->env, &m->quiet, mono_add(m->env->now, CLOSE_MS * NS_PER_MS));
}

static void hook_run(struct turn_hook *h)
{
    struct metalog *m = container_of(h, struct metalog, hook);
    if (m->dirty) pump(m);
}

static void soon_fire(struct timer *t) /* only so that there is a turn: the hook does the work */
{
    (void)t;
}

static void clock_fire(struct timer *t)
{
    struct metalog *m = container_of(t, struct metalog, clock);
    if (m->failed != STATUS_OK || m->closing != NULL) return;
    (void)metalog_stepped(m, quorum_timeout(m->quorum, metalog_now_ms(m)));
}

/* Nothing was written for a while: a witness for the last group, if it has none. */
static void quiet_fire(struct timer *t)
{
    struct metalog *m = container_of(t, struct metalog, quiet);
    if (m->failed != STATUS_OK || m->closing != NULL || !m->disk.open_group) return;
    if (list_empty(&m->disk.queue))
        (void)disk_push(m, DISK_OP_CLOSE);
    else
        metalog_wake(m); /* arms it again */
}

/* --- life --- */

void metalog_start(struct metalog *m)
{
    m->hook.run = hook_run;
    m->soon.fire = soon_fire;
    m->clock.fire = clock_fire;
    m->quiet.fire = quiet_fire;
    m->started = true;
    env_hook_add(m->env, &m->hook);
    disk_task_start(m);
    snap_task_start(m);
    metalog_wake(m);
}

void metalog_close(struct metalog *m, struct metalog_close *op)
{
    CHECK(m->closing == NULL && m->started);
    if (m->failed == STATUS_OK && m->disk.open_group) (void)disk_push(m, DISK_OP_CLOSE);
    m->closing = op;
    env_timer_stop(m->env, &m->clock);
    env_timer_stop(m->env, &m->quiet);
    metalog_wake(m);
}

void metalog_snapshot(struct metalog *m)
{
    m->snap.asked = true;
    metalog_wake(m);
}

enum status metalog_receive(struct metalog *m, int32_t from, const void *data, size_t size)
{
    struct quorum_message message;
    if (m->failed != STATUS_OK || m->closing != NULL) return STATUS_OK; /* as if it were lost */
    size_t bytes = MESSAGE_ENTRIES_MAX * sizeof(struct entry_view);
    struct entry_view *entries = mem_alloc(m->mem, MEM_REPLICATION, bytes);
    if (entries == NULL) return STATUS_OK;
    enum status status = metalog_message_decode(data, size, from, m->config.self, m->cluster, entries, &message);
    m->count.messages_in++;
    /* one snapshot at a time; the leader tries again */
    if (status == STATUS_OK && !(message.kind == MESSAGE_INSTALL && m->snap.work != SNAP_NONE))
        status = metalog_stepped(m, quorum_receive(m->quorum, metalog_now_ms(m), &message));
    mem_free(m->mem, MEM_REPLICATION, entries, bytes);
    return status == STATUS_OK || m->failed != STATUS_OK ? STATUS_OK : STATUS_INVALID;
}

enum status metalog_transfer(struct metalog *m, int32_t to)
{
    if (m->failed != STATUS_OK || m->closing != NULL) return STATUS_NOT_LEADER;
    enum status status = metalog_stepped(m, quorum_transfer(m->quorum, metalog_now_ms(m), to));
    return m->failed != STATUS_OK ? STATUS_NOT_LEADER : status;
}

enum metalog_role metalog_role(const struct metalog *m)
{
    return m->role;
}

int32_t metalog_leader(const struct metalog *m)
{
    return m->leader;
}

uint64_t metalog_term(const struct metalog *m)
{
    return m->term;
}

uint64_t metalog_applied(const struct metalog *m)
{
    return m->applied;
}

uint64_t metalog_last(const struct metalog *m)
{
    return entry_log_last(&m->entries);
}

struct uuid metalog_cluster(const struct metalog *m)
{
    return m->cluster;
}

const struct metalog_counters *metalog_counters(const struct metalog *m)
{
    return &m->count;
}

void metalog_free(struct metalog *m)
{
    struct mem *mem = m->mem;
    if (m->started) {
        env_timer_stop(m->env, &m->soon);
        env_timer_stop(m->env, &m->clock);
        env_timer_stop(m->env, &m->quiet);
        env_hook_remove(m->env, &m->hook);
    }
    drop_held(m);
    disk_drop(m);
    if (m->quorum != NULL) quorum_destroy(m->quorum);
    entry_log_deinit(&m->entries);
    mem_free(mem, MEM_REPLICATION, m->snapshot_data, m->snapshot_size);
    mem_free_aligned(mem, MEM_REPLICATION, m->disk.page, BLOCK_BYTES);
    mem_free_aligned(mem, MEM_REPLICATION, m->disk.buffer, m->disk.buffer_bytes);
    mem_free(mem, MEM_REPLICATION, m, sizeof *m);
}
