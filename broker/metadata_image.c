// SPDX-License-Identifier: Apache-2.0
/* What the metadata log asks of its owner (replication/metalog.h): entries and snapshots into the image, the image into
 * snapshots. Failure modes: an entry or a snapshot that does not fit the image stops all changes (metadata_fail); no
 * room for a delta does the same, since the entry is committed and the image must not miss it. */
#include "broker/metadata_impl.h"
#include <stdio.h>

static struct metadata *of(struct metalog_owner *o)
{
    return container_of(o, struct metadata, owner);
}

static void applied(struct metalog_owner *o, uint64_t index, uint64_t term, const void *data, uint32_t size)
{
    struct metadata *m = of(o);
    struct record_batch batch;
    struct image_delta *delta = NULL;
    char error[256] = "the entry cannot be read";
    struct arena arena;
    (void)term;
    if (m->failed) return;
    if (size == 0) {
        image_pass(m->image, index);
        return;
    }
    arena_init(&arena, m->zero->env->mem, MEM_CONTROL, (size_t)64 << 20);
    enum status s = record_batch_decode(data, size, &arena, &batch);
    if (s == STATUS_OK) s = image_apply(m->image, index, batch, &delta, error);
    arena_deinit(&arena);
    if (s == STATUS_OK)
        news_add(m, delta);
    else
        metadata_fail(m, s, error);
}

static void role(struct metalog_owner *o, enum metalog_role role, int32_t leader, uint64_t term)
{
    struct metadata *m = of(o);
    SHARD_LOG(m->zero, LOG_INFO, "metadata.role", LOG_STR("role", role == METALOG_LEADER ? "leader" : "follower"),
              LOG_INT("leader", leader), LOG_UINT("term", term));
    if (role == METALOG_LEADER) metadata_leading(m);
}

static bool snapshot_begin(struct metalog_owner *o)
{
    struct metadata *m = of(o);
    CHECK(m->writer == NULL);
    m->writer = m->failed ? NULL : image_writer_create(m->image);
    return m->writer != NULL;
}

static enum status snapshot_next(struct metalog_owner *o, void *out, size_t capacity, size_t *ret_size)
{
    return image_writer_next(of(o)->writer, out, capacity, ret_size);
}

static void snapshot_end(struct metalog_owner *o)
{
    struct metadata *m = of(o);
    image_writer_destroy(m->writer);
    m->writer = NULL;
}

static void restore_begin(struct metalog_owner *o, uint64_t index, uint64_t term)
{
    struct metadata *m = of(o);
    (void)index;
    (void)term;
    CHECK(m->reader == NULL);
    m->reader = image_reader_create(m->image);
}

static enum status restore_next(struct metalog_owner *o, const void *data, size_t size)
{
    struct metadata *m = of(o);
    char error[256];
    return m->reader != NULL ? image_reader_feed(m->reader, data, size, error) : STATUS_NO_MEMORY;
}

static enum status restore_end(struct metalog_owner *o, bool whole)
{
    struct metadata *m = of(o);
    struct image_delta *delta = NULL;
    char error[256] = "no memory";
    enum status s = whole ? STATUS_NO_MEMORY : STATUS_DAMAGED;
    if (whole && m->reader != NULL) s = image_reader_finish(m->reader, &delta, error);
    if (s == STATUS_OK)
        news_add(m, delta);
    else
        image_reader_destroy(m->reader);
    m->reader = NULL;
    if (whole && s != STATUS_OK) metadata_fail(m, s, error);
    return s;
}

static void send_message(struct metalog_owner *o, int32_t to, struct buf *message)
{
    (void)o;
    (void)to;
    (void)message;
    CHECK(false); /* one voter */
}

static void failed(struct metalog_owner *o, enum status status, const char *why)
{
    metadata_fail(of(o), status, why);
}

const struct metalog_owner_ops metadata_owner_ops = {
    .applied = applied,
    .role = role,
    .snapshot_begin = snapshot_begin,
    .snapshot_next = snapshot_next,
    .snapshot_end = snapshot_end,
    .restore_begin = restore_begin,
    .restore_next = restore_next,
    .restore_end = restore_end,
    .send = send_message,
    .failed = failed,
};
