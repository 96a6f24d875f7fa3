// SPDX-License-Identifier: Apache-2.0
/* open -> read or write -> (sync) -> close; the first error is the result, the close happens in any case. */
#include "storage/smallfile.h"

#include "base/bytes.h"
#include "storage/types.h"

enum smallfile_stage { SMALL_OPEN, SMALL_TRANSFER, SMALL_SYNC, SMALL_CLOSE, SMALL_DONE };

static int submit(struct smallfile *f, enum io_kind kind, int next)
{
    f->op.kind = kind;
    f->op.task = &f->task;
    f->op.file = f->handle;
    env_submit(f->env, &f->op);
    return STAGE_WAIT(next);
}

static int small_open(struct task *t)
{
    struct smallfile *f = container_of(t, struct smallfile, task);
    f->op = (struct io_op){.path = f->path, .flags = IO_DIRECT | (f->writing ? IO_CREATE : IO_READONLY)};
    return submit(f, IO_OPEN, SMALL_TRANSFER);
}

static int small_transfer(struct task *t)
{
    struct smallfile *f = container_of(t, struct smallfile, task);
    f->status = f->op.status;
    if (f->status != STATUS_OK) return SMALL_DONE;
    f->handle = (int32_t)f->op.result;
    f->op = (struct io_op){.data = f->page, .len = BLOCK_BYTES};
    return submit(f, f->writing ? IO_WRITE : IO_READ, f->writing ? SMALL_SYNC : SMALL_CLOSE);
}

static void note_transfer(struct smallfile *f)
{
    f->status = f->op.status;
    if (f->status == STATUS_OK && f->op.result != BLOCK_BYTES)
        f->status = f->writing ? STATUS_IO_ERROR : STATUS_DAMAGED;
}

static int small_sync(struct task *t)
{
    struct smallfile *f = container_of(t, struct smallfile, task);
    note_transfer(f);
    f->op = (struct io_op){0};
    if (f->status != STATUS_OK || !f->sync) return SMALL_CLOSE;
    return submit(f, IO_SYNC, SMALL_CLOSE);
}

static int small_close(struct task *t)
{
    struct smallfile *f = container_of(t, struct smallfile, task);
    if (!f->writing)
        note_transfer(f);
    else if (f->op.kind == IO_SYNC && f->status == STATUS_OK)
        f->status = f->op.status;
    f->op = (struct io_op){0};
    return submit(f, IO_CLOSE, SMALL_DONE);
}

static int small_done(struct task *t)
{
    struct smallfile *f = container_of(t, struct smallfile, task);
    struct task *parent = f->parent;
    CHECK(parent->pending_ops > 0);
    if (--parent->pending_ops == 0 && parent->waiting) task_wake(parent);
    return STAGE_DONE;
}

static const struct stage small_stages[] = {
    [SMALL_OPEN] = {"open", small_open, STAGE_BIT(SMALL_TRANSFER)},
    [SMALL_TRANSFER] = {"transfer", small_transfer,
                        STAGE_BIT(SMALL_SYNC) | STAGE_BIT(SMALL_CLOSE) | STAGE_BIT(SMALL_DONE)},
    [SMALL_SYNC] = {"sync", small_sync, STAGE_BIT(SMALL_CLOSE)},
    [SMALL_CLOSE] = {"close", small_close, STAGE_BIT(SMALL_DONE)},
    [SMALL_DONE] = {"done", small_done, 0},
};

static const struct flow small_flow = {"small file", small_stages, COUNT_OF(small_stages)};

static void start(struct env *e, struct smallfile *f, struct task *parent, const char *path, uint8_t *page,
                  bool writing, bool sync)
{
    *f = (struct smallfile){
        .env = e, .parent = parent, .path = path, .page = page, .writing = writing, .handle = -1, .sync = sync};
    parent->pending_ops++;
    task_start(e->runner, &f->task, &small_flow, SMALL_OPEN);
}

void smallfile_read(struct env *e, struct smallfile *f, struct task *parent, const char *path, uint8_t *page)
{
    start(e, f, parent, path, page, false, false);
}

void smallfile_write(struct env *e, struct smallfile *f, struct task *parent, const char *path, uint8_t *page,
                     bool sync)
{
    start(e, f, parent, path, page, true, sync);
}
