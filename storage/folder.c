// SPDX-License-Identifier: Apache-2.0
/* Lists trash or quarantine:
 *
 *   wait   until nothing is being emptied out of the trash (the caller may hold it)
 *   list   the names; once more with twice the room until they fit
 *   end    the caller is told
 *
 * Failure modes: NO_MEMORY above NAMES_BYTES_MAX too; the directory's errors as they are. */
#include "storage/bury.h"

#include "base/bytes.h"

#define NAMES_BYTES     (64u << 10)
#define NAMES_BYTES_MAX (64u << 20)
#define SOON_NS         NS_PER_MS

enum list_stage { LIST_WAIT, LIST_NAMES, LIST_END };

struct listing {
    struct task task;
    struct store *store;
    struct store_list *op;
    enum store_folder folder;
    struct io_op io;
    struct timer again;
    struct path path;
};

static_assert(sizeof(struct listing) <= sizeof(((struct store_list *)0)->impl), "a listing fits its op");

static struct listing *listing_of(struct task *t)
{
    return container_of(t, struct listing, task);
}

static void again_fire(struct timer *timer)
{
    task_wake(&container_of(timer, struct listing, again)->task);
}

static int finish(struct listing *l, enum status status)
{
    l->op->status = status;
    return LIST_END;
}

static int list_wait(struct task *t)
{
    struct listing *l = listing_of(t);
    struct store_list *op = l->op;
    struct store *s = l->store;
    if (l->folder == STORE_TRASH && !trash_idle(s->trash)) {
        l->again.fire = again_fire;
        env_timer_start(s->env, &l->again, mono_add(s->env->now, SOON_NS));
        return STAGE_WAIT(LIST_WAIT);
    }
    uint32_t bytes = op->names == NULL ? NAMES_BYTES : 2 * op->names_bytes;
    char *names = bytes <= NAMES_BYTES_MAX
                      ? mem_realloc(s->env->mem, MEM_CONTROL, op->names, op->names == NULL ? 0 : op->names_bytes, bytes)
                      : NULL;
    if (names == NULL) return finish(l, STATUS_NO_MEMORY);
    op->names = names;
    op->names_bytes = bytes;
    l->io = (struct io_op){.kind = IO_LIST, .task = t, .path = l->path.s, .data = names, .len = bytes};
    env_submit(s->env, &l->io);
    return STAGE_WAIT(LIST_NAMES);
}

static int list_names(struct task *t)
{
    struct listing *l = listing_of(t);
    if (l->io.status == STATUS_BUSY) return LIST_WAIT; /* more names than there is room for */
    if (l->io.status == STATUS_OK) l->op->names_len = (uint32_t)l->io.result;
    return finish(l, l->io.status);
}

static int list_end(struct task *t)
{
    struct listing *l = listing_of(t);
    struct store_list *op = l->op;
    struct store *s = l->store;
    if (op->status != STATUS_OK) store_list_free(s, op);
    s->deletions--;
    op->done(op);
    return STAGE_DONE;
}

static const struct stage list_stages[] = {
    [LIST_WAIT] = {"wait", list_wait, STAGE_BIT(LIST_WAIT) | STAGE_BIT(LIST_NAMES) | STAGE_BIT(LIST_END)},
    [LIST_NAMES] = {"names", list_names, STAGE_BIT(LIST_WAIT) | STAGE_BIT(LIST_END)},
    [LIST_END] = {"end", list_end, 0},
};

static const struct flow list_flow = {"list folder", list_stages, COUNT_OF(list_stages)};

void store_list(struct store *s, enum store_folder folder, struct store_list *op)
{
    struct listing *l = (struct listing *)op->impl;
    CHECK(s->env->shard == 0);
    op->names = NULL;
    op->names_bytes = op->names_len = 0;
    *l = (struct listing){.store = s, .op = op, .folder = folder};
    folder_path(s, folder, &l->path);
    s->deletions++;
    task_start(s->env->runner, &l->task, &list_flow, LIST_WAIT);
}

bool store_list_next(const struct store_list *op, uint32_t *pos, const char **ret_name, struct kept *ret_kept)
{
    if (*pos >= op->names_len) return false;
    *ret_name = op->names + *pos;
    *pos += (uint32_t)strlen(*ret_name) + 1;
    if (!kept_name_parse(*ret_name, ret_kept)) *ret_kept = (struct kept){.number = -1};
    return true;
}

void store_list_free(struct store *s, struct store_list *op)
{
    mem_free(s->env->mem, MEM_CONTROL, op->names, op->names_bytes);
    op->names = NULL;
    op->names_bytes = op->names_len = 0;
}
