// SPDX-License-Identifier: Apache-2.0
/* The flow of one new ring file (rule D3: order and growth are noted durably before use). Either the ring grows by it,
 * or it takes the place of a dead file behind the head that a raised message.max.bytes has made too short (rule A9):
 *
 *   open, lock  the file named by the control page's next number; left from a crash it is simply made again
 *   zero ...    1 MiB at a time, never more than half of the disk's time
 *   sync, dir   the file, then its name, are durable
 *   freeze      wait until the head file has room for what is open; from here on the head does not leave it
 *   note        the control page with the new order, durably
 *   use         the file stands right behind the head; thawed; the one it replaces is closed and unlinked
 *
 * Failure modes: no space, descriptors or memory: the half-made file is removed, tried again in 10 s. Any other error
 * fences the disk. Crash order: a file that no page names is not part of the ring; one that is named holds zeros, which
 * recovery takes for the end of the log, and goes on in the file before it. */
#include "storage/grow.h"

#include "storage/checkpoint.h"

#include "base/bytes.h"

#define PIECE_BYTES (1u << 20)
#define AGAIN_NS    (10 * NS_PER_S)
#define LATER_NS    NS_PER_S
#define SOON_NS     NS_PER_MS

enum grow_stage {
    GROW_OPEN,
    GROW_LOCK,
    GROW_LOCKED,
    GROW_ZERO,
    GROW_SYNC,
    GROW_DIR,
    GROW_FREEZE,
    GROW_NOTE,
    GROW_USE,
    GROW_CLOSE,
    GROW_UNLINK,
    GROW_END
};

struct grower {
    struct task task;
    struct store *store;
    struct io_op op;
    struct transfer write;
    struct timer again;
    struct path path;
    struct mono_ns begun, not_before;
    struct control control; /* with the new file */
    uint32_t number, at;    /* at: index in the ring's order */
    bool replaces;          /* the file that stands there */
    int32_t file;           /* -1: none, or the ring's now */
    uint64_t zeroed;
    uint8_t *piece; /* PIECE_BYTES of zeros while a file is made */
    uint8_t *page;
};

static const struct flow grow_flow;

struct grower *grower_create(struct store *s)
{
    struct mem *m = s->env->mem;
    struct grower *g = mem_zalloc(m, MEM_LOG, sizeof *g);
    if (g == NULL) return NULL;
    g->store = s;
    g->page = mem_alloc_aligned(m, MEM_LOG, BLOCK_BYTES);
    if (g->page != NULL) return g;
    mem_free(m, MEM_LOG, g, sizeof *g);
    return NULL;
}

void grower_destroy(struct grower *g)
{
    struct mem *m = g->store->env->mem;
    CHECK(!g->store->growing && g->piece == NULL);
    mem_free_aligned(m, MEM_LOG, g->page, BLOCK_BYTES);
    mem_free(m, MEM_LOG, g, sizeof *g);
}

/* No table may begin its replay in it, else a start would look for a file that is gone. */
static bool replaceable(const struct store *s)
{
    const struct ring_slot *next = journal_short_file(s->journal);
    const struct table_writer *w = s->table;
    if (next == NULL) return false;
    if (w->running && next->number == w->header.replay_file) return false;
    if (w->checkpoints == 0) return next->number != s->journal->control.files[0].number;
    return next->number != w->replay_file && next->number != w->replay_file_before;
}

void grower_turn(struct grower *g)
{
    struct store *s = g->store;
    struct journal *j = s->journal;
    if (s->growing || s->closing || s->low_space || store_fenced(s) || s->env->now.v < g->not_before.v) return;
    g->replaces = replaceable(s);
    if (j->slot_count >= j->config.files_max && !g->replaces) return;
    s->growing = true;
    g->file = -1;
    g->zeroed = 0;
    g->number = j->control.next_file;
    path_set(&g->path, "%s/ring-%06u", j->dir.s, g->number);
    task_start(s->env->runner, &g->task, &grow_flow, GROW_OPEN);
}

/* --- helpers --- */

static struct grower *grower_of(struct task *t)
{
    return container_of(t, struct grower, task);
}

static int submit(struct grower *g, struct io_op op, int next)
{
    g->op = op;
    g->op.task = &g->task;
    env_submit(g->store->env, &g->op);
    return STAGE_WAIT(next);
}

static void again_fire(struct timer *timer)
{
    task_wake(&container_of(timer, struct grower, again)->task);
}

static int pause_for(struct grower *g, int64_t ns, int next)
{
    g->again.fire = again_fire;
    env_timer_start(g->store->env, &g->again, mono_add(g->store->env->now, ns));
    return STAGE_WAIT(next);
}

static bool unwanted(const struct grower *g)
{
    return g->store->closing || store_fenced(g->store);
}

/* What may pass is tried again later, without the half-made file; the rest fences the disk. */
static int failed(struct grower *g, enum status status, const char *what)
{
    struct store *s = g->store;
    bool passes = status == STATUS_NO_SPACE || status == STATUS_TOO_MANY_FILES || status == STATUS_NO_MEMORY ||
                  status == STATUS_LOCKED;
    g->not_before = mono_add(s->env->now, AGAIN_NS);
    STORE_LOG(s, passes ? LOG_WARN : LOG_ERROR, "ring.not_grown", LOG_STR("file", g->path.s), LOG_STR("what", what),
              LOG_STATUS("status", status));
    if (!passes) journal_fail(s->journal);
    return GROW_CLOSE;
}

/* --- stages --- */

static int grow_open(struct task *t)
{
    struct grower *g = grower_of(t);
    g->piece = mem_alloc_aligned(g->store->env->mem, MEM_LOG, PIECE_BYTES);
    if (g->piece == NULL) return failed(g, STATUS_NO_MEMORY, "memory");
    memset(g->piece, 0, PIECE_BYTES);
    return submit(g, (struct io_op){.kind = IO_OPEN, .path = g->path.s, .flags = IO_CREATE | IO_DIRECT}, GROW_LOCK);
}

/* Writes of a killed process may still be on their way to a file that it was making (rule A7). */
static int grow_lock(struct task *t)
{
    struct grower *g = grower_of(t);
    if (g->op.status != STATUS_OK) return failed(g, g->op.status, "open");
    g->file = (int32_t)g->op.result;
    return submit(g, (struct io_op){.kind = IO_LOCK, .file = g->file}, GROW_LOCKED);
}

static int grow_locked(struct task *t)
{
    struct grower *g = grower_of(t);
    if (g->op.status != STATUS_OK) return failed(g, g->op.status, "lock");
    return GROW_ZERO;
}

static int grow_zero(struct task *t)
{
    struct grower *g = grower_of(t);
    struct env *e = g->store->env;
    uint64_t total = g->store->journal->config.file_bytes;
    if (g->zeroed > 0 && g->write.status != STATUS_OK) return failed(g, g->write.status, "write");
    if (unwanted(g)) return GROW_CLOSE;
    if (g->zeroed == total) return submit(g, (struct io_op){.kind = IO_SYNC, .file = g->file}, GROW_SYNC);
    int64_t took = g->zeroed > 0 ? e->now.v - g->begun.v : 0;
    if (took > 0 && g->write.len > 0) { /* as long a rest as the piece took */
        g->write.len = 0;
        return pause_for(g, took, GROW_ZERO);
    }
    uint32_t len = (uint32_t)MIN(total - g->zeroed, PIECE_BYTES);
    transfer_start(e, &g->write, t, IO_WRITE, g->file, g->piece, len, g->zeroed, 0);
    g->begun = e->now;
    g->zeroed += len;
    return STAGE_WAIT(GROW_ZERO);
}

static int grow_sync(struct task *t)
{
    struct grower *g = grower_of(t);
    if (g->op.status != STATUS_OK) return failed(g, STATUS_IO_ERROR, "sync"); /* whatever it says: never retried */
    return submit(g, (struct io_op){.kind = IO_SYNC_DIR, .path = g->store->journal->dir.s}, GROW_DIR);
}

static int grow_dir(struct task *t)
{
    struct grower *g = grower_of(t);
    if (g->op.status != STATUS_OK) return failed(g, STATUS_IO_ERROR, "sync of the directory");
    return GROW_FREEZE;
}

static int grow_freeze(struct task *t)
{
    struct grower *g = grower_of(t);
    struct journal *j = g->store->journal;
    if (unwanted(g)) return GROW_CLOSE;
    if (g->replaces && !replaceable(g->store)) { /* it is in use by now */
        g->not_before = mono_add(g->store->env->now, LATER_NS);
        return GROW_CLOSE;
    }
    if (!journal_freeze(j)) return pause_for(g, SOON_NS, GROW_FREEZE);
    g->at = g->replaces ? (j->head + 1) % j->slot_count : j->head + 1;
    g->control = j->control;
    struct control *c = &g->control;
    CHECK(c->file_count == j->slot_count && (g->replaces || c->file_count < RING_FILES_MAX));
    if (!g->replaces) {
        memmove(c->files + g->at + 1, c->files + g->at, (c->file_count - g->at) * sizeof c->files[0]);
        c->file_count++;
    }
    c->files[g->at] = (struct ring_file){.number = g->number, .bytes = j->config.file_bytes};
    c->next_file = g->number + 1;
    c->page++;
    control_encode(g->page, c);
    transfer_start(g->store->env, &g->write, t, IO_WRITE, j->control_file, g->page, BLOCK_BYTES,
                   c->page % 2 * BLOCK_BYTES, IO_DSYNC);
    return STAGE_WAIT(GROW_NOTE);
}

static int grow_note(struct task *t)
{
    struct grower *g = grower_of(t);
    if (g->write.status != STATUS_OK) return failed(g, STATUS_IO_ERROR, "control page");
    return GROW_USE;
}

static int grow_use(struct task *t)
{
    struct grower *g = grower_of(t);
    struct journal *j = g->store->journal;
    struct ring_slot slot = {.number = g->number, .bytes = j->config.file_bytes, .file = g->file};
    j->control = g->control;
    STORE_LOG(g->store, LOG_DEBUG, "ring.grown", LOG_STR("file", g->path.s), LOG_UINT("files", j->slot_count));
    g->file = -1;
    if (!g->replaces) {
        journal_insert(j, &slot);
        return GROW_END;
    }
    struct ring_slot old = journal_replace(j, &slot);
    g->file = old.file;
    path_set(&g->path, "%s/ring-%06u", j->dir.s, old.number);
    return GROW_CLOSE;
}

static int grow_close(struct task *t)
{
    struct grower *g = grower_of(t);
    if (g->file < 0) return GROW_END;
    return submit(g, (struct io_op){.kind = IO_CLOSE, .file = g->file}, GROW_UNLINK);
}

/* Not while the control page may name it. */
static int grow_unlink(struct task *t)
{
    struct grower *g = grower_of(t);
    g->file = -1;
    if (store_fenced(g->store)) return GROW_END;
    return submit(g, (struct io_op){.kind = IO_UNLINK, .path = g->path.s}, GROW_END);
}

static int grow_end(struct task *t)
{
    struct grower *g = grower_of(t);
    if (g->piece != NULL) mem_free_aligned(g->store->env->mem, MEM_LOG, g->piece, PIECE_BYTES);
    g->piece = NULL;
    g->store->growing = false;
    return STAGE_DONE;
}

#define FAILS STAGE_BIT(GROW_CLOSE)

static const struct stage grow_stages[] = {
    [GROW_OPEN] = {"open", grow_open, STAGE_BIT(GROW_LOCK) | FAILS},
    [GROW_LOCK] = {"lock", grow_lock, STAGE_BIT(GROW_LOCKED) | FAILS},
    [GROW_LOCKED] = {"locked", grow_locked, STAGE_BIT(GROW_ZERO) | FAILS},
    [GROW_ZERO] = {"zero", grow_zero, STAGE_BIT(GROW_ZERO) | STAGE_BIT(GROW_SYNC) | FAILS},
    [GROW_SYNC] = {"sync", grow_sync, STAGE_BIT(GROW_DIR) | FAILS},
    [GROW_DIR] = {"dir", grow_dir, STAGE_BIT(GROW_FREEZE) | FAILS},
    [GROW_FREEZE] = {"freeze", grow_freeze, STAGE_BIT(GROW_FREEZE) | STAGE_BIT(GROW_NOTE) | FAILS},
    [GROW_NOTE] = {"note", grow_note, STAGE_BIT(GROW_USE) | FAILS},
    [GROW_USE] = {"use", grow_use, STAGE_BIT(GROW_END) | STAGE_BIT(GROW_CLOSE)},
    [GROW_CLOSE] = {"close", grow_close, STAGE_BIT(GROW_UNLINK) | STAGE_BIT(GROW_END)},
    [GROW_UNLINK] = {"unlink", grow_unlink, STAGE_BIT(GROW_END)},
    [GROW_END] = {"end", grow_end, 0},
};

static const struct flow grow_flow = {"ring growth", grow_stages, COUNT_OF(grow_stages)};
