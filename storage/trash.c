// SPDX-License-Identifier: Apache-2.0
/* Empties the trash (shard 0):
 *
 *   list    the trash; the oldest entry by the time in its name: is it due?
 *   name    it is renamed, durably, to a name that is no kept one: what is half gone is not listed, nor revived; one
 * that a crash has left so goes first files   its files unlink  one after another rmdir   the directory itself
 *
 * Failure modes: none matters: what is left is found again. While partitions are revived nothing begins. Below the
 * space reserve one entry goes a second, whatever its age (rule A10), so that the free space is asked for between two.
 */
#include "storage/bury.h"

#include "base/bytes.h"

#define NAMES_BYTES     64u /* doubled as often as the trash needs, which even a small one does: a path that is taken */
#define NAMES_BYTES_MAX (64u << 20) /* 400,000 partitions with names of usual length */
#define LOOK_NS         (10 * NS_PER_S)
#define HURRY_NS        NS_PER_S
#define GONE            ".gone"

enum trash_stage { TRASH_LIST, TRASH_PICK, TRASH_NAMED, TRASH_SYNCED, TRASH_FILES, TRASH_UNLINK, TRASH_END };

struct trash {
    struct task task;
    struct store *store;
    struct io_op op;
    struct path dir, path;
    struct mono_ns looked;
    char *names;
    uint32_t names_bytes;
    int64_t names_len, at;
    uint32_t holds;
    bool running;
};

static const struct flow trash_flow;

struct trash *trash_create(struct store *s)
{
    struct trash *h = mem_zalloc(s->env->mem, MEM_LOG, sizeof *h);
    if (h != NULL) h->store = s;
    if (h != NULL) h->looked = s->env->now;
    if (h != NULL) h->names_bytes = NAMES_BYTES;
    return h;
}

void trash_destroy(struct trash *h)
{
    CHECK(!h->running);
    mem_free(h->store->env->mem, MEM_LOG, h, sizeof *h);
}

bool trash_idle(const struct trash *h)
{
    return !h->running;
}

void store_trash_hold(struct store *s)
{
    CHECK(s->env->shard == 0);
    s->trash->holds++;
}

void store_trash_release(struct store *s)
{
    CHECK(s->env->shard == 0 && s->trash->holds > 0);
    s->trash->holds--;
}

void trash_turn(struct trash *h)
{
    struct store *s = h->store;
    if (h->running || h->holds > 0 || s->closing || s->env->shard != 0 || store_fenced(s)) return;
    if (s->env->now.v - h->looked.v < (s->low_space ? HURRY_NS : LOOK_NS)) return;
    h->looked = s->env->now;
    h->names = mem_alloc(s->env->mem, MEM_LOG, h->names_bytes);
    if (h->names == NULL) return;
    h->running = true;
    path_set(&h->dir, "%s/trash", s->dir.s);
    task_start(s->env->runner, &h->task, &trash_flow, TRASH_LIST);
}

static int submit(struct trash *h, struct io_op op, int next)
{
    h->op = op;
    h->op.task = &h->task;
    env_submit(h->store->env, &h->op);
    return STAGE_WAIT(next);
}

static int list(struct trash *h, int next)
{
    return submit(h, (struct io_op){.kind = IO_LIST, .path = h->dir.s, .data = h->names, .len = h->names_bytes}, next);
}

static int trash_list(struct task *t)
{
    return list(container_of(t, struct trash, task), TRASH_PICK);
}

/* More names than there is room for. */
static bool more_room(struct trash *h)
{
    if (h->op.status != STATUS_BUSY || h->names_bytes >= NAMES_BYTES_MAX) return false;
    char *grown = mem_realloc(h->store->env->mem, MEM_LOG, h->names, h->names_bytes, 2 * h->names_bytes);
    if (grown == NULL) return false;
    h->names = grown;
    h->names_bytes *= 2;
    return true;
}

static bool half_gone(const char *name)
{
    size_t n = strlen(name), tail = strlen(GONE);
    return n > tail && strcmp(name + n - tail, GONE) == 0;
}

static int go_on(struct trash *h, const char *name)
{
    path_set(&h->dir, "%s/trash/%.255s", h->store->dir.s, name);
    return list(h, TRASH_FILES);
}

static int trash_pick(struct task *t)
{
    struct trash *h = container_of(t, struct trash, task);
    struct store *s = h->store;
    const char *oldest = NULL;
    int64_t oldest_ms = INT64_MAX;
    if (more_room(h)) return TRASH_LIST;
    if (h->op.status != STATUS_OK) {
        STORE_LOG(s, LOG_WARN, "trash.not_listed", LOG_STR("directory", h->dir.s), LOG_STATUS("status", h->op.status));
        return TRASH_END;
    }
    for (int64_t i = 0; i < h->op.result; i += (int64_t)strlen(h->names + i) + 1) {
        struct kept k;
        if (half_gone(h->names + i)) return go_on(h, h->names + i);
        if (!kept_name_parse(h->names + i, &k) || k.since_ms >= oldest_ms) continue;
        oldest = h->names + i;
        oldest_ms = k.since_ms;
    }
    if (oldest == NULL) return TRASH_END;
    if (!s->low_space && s->env->now_wall.v - oldest_ms < s->config.undelete_ms) return TRASH_END;
    path_set(&h->path, "%s/trash/%.240s", s->dir.s, oldest);
    path_set(&h->dir, "%s" GONE, h->path.s);
    STORE_LOG(s, LOG_INFO, "trash.emptied", LOG_STR("directory", h->path.s));
    return submit(h, (struct io_op){.kind = IO_RENAME, .path = h->path.s, .path2 = h->dir.s}, TRASH_NAMED);
}

static int trash_named(struct task *t)
{
    struct trash *h = container_of(t, struct trash, task);
    if (h->op.status != STATUS_OK) return TRASH_END;
    path_set(&h->path, "%s/trash", h->store->dir.s);
    return submit(h, (struct io_op){.kind = IO_SYNC_DIR, .path = h->path.s}, TRASH_SYNCED);
}

static int trash_synced(struct task *t)
{
    struct trash *h = container_of(t, struct trash, task);
    return h->op.status == STATUS_OK ? list(h, TRASH_FILES) : TRASH_END;
}

static int trash_files(struct task *t)
{
    struct trash *h = container_of(t, struct trash, task);
    if (more_room(h)) return list(h, TRASH_FILES);
    if (h->op.status != STATUS_OK) return TRASH_END;
    h->names_len = h->op.result;
    h->at = 0;
    return TRASH_UNLINK;
}

static int trash_unlink(struct task *t)
{
    struct trash *h = container_of(t, struct trash, task);
    if (h->store->closing) return TRASH_END;
    if (h->at >= h->names_len) return submit(h, (struct io_op){.kind = IO_RMDIR, .path = h->dir.s}, TRASH_END);
    path_set(&h->path, "%s/%.255s", h->dir.s, h->names + h->at);
    h->at += (int64_t)strlen(h->names + h->at) + 1;
    return submit(h, (struct io_op){.kind = IO_UNLINK, .path = h->path.s}, TRASH_UNLINK);
}

static int trash_end(struct task *t)
{
    struct trash *h = container_of(t, struct trash, task);
    bool removed = h->op.kind == IO_RMDIR && h->op.status == STATUS_OK;
    if (removed && !h->store->low_space) h->looked = mono_add(h->store->env->now, -LOOK_NS); /* the next one, too */
    mem_free(h->store->env->mem, MEM_LOG, h->names, h->names_bytes);
    h->names = NULL;
    h->running = false;
    return STAGE_DONE;
}

static const struct stage trash_stages[] = {
    [TRASH_LIST] = {"list", trash_list, STAGE_BIT(TRASH_PICK)},
    [TRASH_PICK] = {"pick", trash_pick,
                    STAGE_BIT(TRASH_LIST) | STAGE_BIT(TRASH_NAMED) | STAGE_BIT(TRASH_FILES) | STAGE_BIT(TRASH_END)},
    [TRASH_NAMED] = {"named", trash_named, STAGE_BIT(TRASH_SYNCED) | STAGE_BIT(TRASH_END)},
    [TRASH_SYNCED] = {"synced", trash_synced, STAGE_BIT(TRASH_FILES) | STAGE_BIT(TRASH_END)},
    [TRASH_FILES] = {"files", trash_files, STAGE_BIT(TRASH_FILES) | STAGE_BIT(TRASH_UNLINK) | STAGE_BIT(TRASH_END)},
    [TRASH_UNLINK] = {"unlink", trash_unlink, STAGE_BIT(TRASH_UNLINK) | STAGE_BIT(TRASH_END)},
    [TRASH_END] = {"end", trash_end, 0},
};

static const struct flow trash_flow = {"trash", trash_stages, COUNT_OF(trash_stages)};
