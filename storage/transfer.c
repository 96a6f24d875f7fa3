// SPDX-License-Identifier: Apache-2.0
/* Carries a read or write to its end; see transfer.h.
 *
 * Happy path: one op. Failure modes: a short result continues from the last whole block (O_DIRECT needs aligned rests).
 * A try that gets no further than the one before: a read is at the end of the file, a write has failed. */
#include "storage/transfer.h"

#include "base/bytes.h"
#include "storage/types.h"

static void transfer_done(struct io_op *op);

static void submit_rest(struct transfer *t)
{
    t->asked = (uint32_t)align_down(t->moved, BLOCK_BYTES);
    t->op.data = t->data + t->asked;
    t->op.pos = t->pos + t->asked;
    t->op.len = t->len - t->asked;
    env_submit(t->env, &t->op);
}

static void finish(struct transfer *t, enum status status)
{
    t->status = status;
    CHECK(t->task->pending_ops > 0);
    if (--t->task->pending_ops == 0 && t->task->waiting) task_wake(t->task);
}

static void transfer_done(struct io_op *op)
{
    struct transfer *t = container_of(op, struct transfer, op);
    if (op->status != STATUS_OK) {
        finish(t, op->status);
        return;
    }
    CHECK(op->result >= 0 && (uint64_t)op->result <= op->len);
    uint32_t reached = t->asked + (uint32_t)op->result;
    if (reached == t->len) {
        t->moved = reached;
        finish(t, STATUS_OK);
    } else if (reached <= t->moved) {
        finish(t, op->kind == IO_READ ? STATUS_OK : STATUS_IO_ERROR);
    } else {
        t->moved = reached;
        submit_rest(t);
    }
}

void transfer_start(struct env *e, struct transfer *t, struct task *task, enum io_kind kind, int32_t file, void *data,
                    uint32_t len, uint64_t pos, uint32_t flags)
{
    CHECK(kind == IO_READ || kind == IO_WRITE);
    CHECK(len > 0 && data != NULL && task != NULL);
    CHECK(!io_op_in_flight(&t->op));
    *t = (struct transfer){.env = e, .task = task, .data = data, .pos = pos, .len = len};
    t->op.kind = kind;
    t->op.file = file;
    t->op.flags = flags;
    t->op.done = transfer_done;
    task->pending_ops++;
    submit_rest(t);
}
