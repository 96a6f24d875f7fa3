// SPDX-License-Identifier: Apache-2.0
/* See segment_writer.h.
 *
 * Happy path: bytes are copied into the staging buffer and fed to the index builder alike; a full buffer or a full page
 * is one write; at the end the rest, padded, the last page, and a cut to the exact length.
 * Failure modes: the first failed op is told once, and only close may follow. */
#include "storage/segment_writer.h"

#include "base/bytes.h"
#include "protocol/batch.h"
#include "storage/mover.h"
#include "storage/unlinker.h"

#define STAGING_BYTES (256u << 10)

static_assert(STAGING_BYTES % BLOCK_BYTES == 0, "written O_DIRECT");

enum status segment_writer_open(struct segment_writer *w, struct partition *p, int64_t base, uint32_t generation,
                                struct task *t)
{
    struct store *s = p->store;
    struct path dir;
    *w = (struct segment_writer){
        .p = p, .task = t, .base = base, .generation = generation, .newest_ms = -1, .oldest_ms = -1};
    w->staging = mem_alloc_aligned(s->env->mem, MEM_LOG, STAGING_BYTES + BLOCK_BYTES);
    if (w->staging == NULL) return STATUS_NO_MEMORY;
    w->page = w->staging + STAGING_BYTES;
    w->open = true;
    index_init(&w->index, s->env->mem, p->id, p->number, base);
    partition_dir(p, &dir);
    struct file_key log = partition_generation_key(p, base, generation, FILE_LOG);
    struct file_key index = partition_generation_key(p, base, generation, FILE_INDEX);
    enum status status = index_reserve(&w->index);
    if (status == STATUS_OK) status = file_use_begin(s->files, &w->log, t, dir.s, &log, true);
    if (status == STATUS_OK && file_use_begin(s->files, &w->index_file, t, dir.s, &index, true) != STATUS_OK)
        w->index_file.status = STATUS_NO_MEMORY; /* the first step tells */
    if (status != STATUS_OK) segment_writer_close(w, false);
    return status;
}

void segment_writer_put(struct segment_writer *w, const uint8_t *batch, const struct batch_info *info)
{
    CHECK(w->open && w->source_left == 0 && !w->finishing);
    index_batch(&w->index, w->bytes, info->base_offset, info->max_timestamp_ms);
    w->source = batch;
    w->source_left = info->size_bytes;
    w->bytes += info->size_bytes;
    w->newest_ms = MAX(w->newest_ms, info->max_timestamp_ms);
    if (w->oldest_ms < 0) w->oldest_ms = info->max_timestamp_ms;
    w->timeless |= info->max_timestamp_ms < 0;
}

void segment_writer_finish(struct segment_writer *w)
{
    CHECK(w->open && w->source_left == 0 && w->bytes > 0);
    w->finishing = true;
}

static enum writer_state fail(struct segment_writer *w, enum status status)
{
    w->status = status;
    return WRITER_FAILED;
}

static enum writer_state write_data(struct segment_writer *w)
{
    uint32_t padded = (uint32_t)align_up(w->staged, BLOCK_BYTES);
    memset(w->staging + w->staged, 0, padded - w->staged);
    w->data_in_flight = true;
    transfer_start(w->p->store->env, &w->io, w->task, IO_WRITE, w->log.file->handle, w->staging, padded, w->flushed, 0);
    return WRITER_WAITS;
}

static enum writer_state write_page(struct segment_writer *w)
{
    uint32_t number;
    CHECK(index_page(&w->index, w->page, &number));
    w->page_in_flight = true;
    transfer_start(w->p->store->env, &w->io, w->task, IO_WRITE, w->index_file.file->handle, w->page, BLOCK_BYTES,
                   (uint64_t)number * BLOCK_BYTES, 0);
    return WRITER_WAITS;
}

static enum writer_state cut(struct segment_writer *w)
{
    w->cut_in_flight = true;
    w->cut = (struct io_op){.kind = IO_TRUNCATE, .task = w->task, .file = w->log.file->handle, .pos = w->bytes};
    env_submit(w->p->store->env, &w->cut);
    return WRITER_WAITS;
}

/* What the task waited for. False: it failed. */
static bool landed(struct segment_writer *w)
{
    if (w->data_in_flight) {
        if (w->io.status != STATUS_OK) return fail(w, w->io.status) != WRITER_FAILED;
        w->flushed += w->staged;
        w->staged = 0;
    }
    if (w->page_in_flight) {
        if (w->io.status != STATUS_OK) return fail(w, w->io.status) != WRITER_FAILED;
        if (index_page_full(&w->index)) index_page_taken(&w->index);
        w->last_page = w->finishing && w->flushed == w->bytes;
    }
    if (w->cut_in_flight && w->cut.status != STATUS_OK) return fail(w, w->cut.status) != WRITER_FAILED;
    w->data_in_flight = w->page_in_flight = false;
    return true;
}

static enum writer_state finish_step(struct segment_writer *w)
{
    uint32_t number;
    if (w->staged > 0) return write_data(w);
    CHECK(w->flushed == w->bytes);
    if (!w->last_page && index_page(&w->index, w->page, &number)) return write_page(w);
    if (!w->cut_in_flight) return cut(w);
    file_dirty(w->log.file);
    file_dirty(w->index_file.file);
    partition_dir_dirty(w->p);
    return WRITER_DONE;
}

enum writer_state segment_writer_step(struct segment_writer *w)
{
    CHECK(w->open && w->task->pending_ops == 0);
    if (w->log.file == NULL) return fail(w, w->log.status);
    if (w->index_file.file == NULL) return fail(w, w->index_file.status);
    if (!landed(w)) return WRITER_FAILED;
    for (;;) {
        if (index_page_full(&w->index)) return write_page(w);
        if (w->staged == STAGING_BYTES) return write_data(w);
        if (w->source_left == 0) return w->finishing ? finish_step(w) : WRITER_DONE;
        uint32_t taken = index_feed(&w->index, w->source, MIN(w->source_left, STAGING_BYTES - w->staged));
        memcpy(w->staging + w->staged, w->source, taken);
        w->staged += taken;
        w->source += taken;
        w->source_left -= taken;
    }
}

void segment_writer_close(struct segment_writer *w, bool remove)
{
    struct partition *p = w->p;
    if (!w->open) return;
    if (w->log.file != NULL) file_use_end(&w->log);
    if (w->index_file.file != NULL) file_use_end(&w->index_file);
    index_deinit(&w->index);
    mem_free_aligned(p->store->env->mem, MEM_LOG, w->staging, STAGING_BYTES + BLOCK_BYTES);
    w->open = false;
    if (remove) unlink_generation(p->store->unlinker, p, w->base, w->generation);
}
