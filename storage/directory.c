// SPDX-License-Identifier: Apache-2.0
/* A partition's directory, before the first move of a run (rules A5, A6): it must be ours, durable, and hold no file
 * that table and replay do not name.
 *
 *   stat, read, check   partition.metadata names topic id, partition, creation sequence: is the directory ours?
 *   quarantine          a foreign one is renamed away, never deleted; a page that names nobody, in a directory where
 * the table knows bytes of ours, is written anew (row B22) make, write, made   a new one: mkdir, metadata written;
 * durable with the next checkpoint, which syncs the whole file system then: before it no table says that a byte was
 * moved here, and a start that finds the directory without sound metadata puts it into quarantine and makes it anew
 * list, foreign       files that are not ours are renamed into quarantine
 *
 * partition.metadata, 4 KiB, little-endian: 0 u64 magic "LEATPART", 8 u32 version 1, 12 u32 CRC of the page (this field
 * as 0), 16 u8[16] topic id, 32 u64 creation sequence, 40 i32 partition, 44 u16 name length, 46 topic name. */
#include "storage/move.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/swap.h"
#include "storage/unlinker.h"
#include <stdio.h>
#include <stdlib.h>

#define METADATA_MAGIC   0x545241505441454cull /* "LEATPART" */
#define METADATA_VERSION 1u
#define NAMES_BYTES      (64u << 10)

void partition_metadata_encode(const struct partition *p, uint8_t page[BLOCK_BYTES])
{
    size_t name_bytes = strlen(p->topic);
    memset(page, 0, BLOCK_BYTES);
    store_le64(page, METADATA_MAGIC);
    store_le32(page + 8, METADATA_VERSION);
    memcpy(page + 16, p->id.b, sizeof p->id.b);
    store_le64(page + 32, p->creation);
    store_le32(page + 40, (uint32_t)p->number);
    store_le16(page + 44, (uint16_t)name_bytes);
    memcpy(page + 46, p->topic, name_bytes);
    store_le32(page + 12, crc32c(0, page, BLOCK_BYTES));
}

/* Equal pages mean equal identity: every field is a function of it. */
bool partition_metadata_ours(const struct partition *p, const uint8_t page[BLOCK_BYTES])
{
    uint8_t want[BLOCK_BYTES];
    partition_metadata_encode(p, want);
    return memcmp(want, page, BLOCK_BYTES) == 0;
}

static bool page_is_sound(const uint8_t page[BLOCK_BYTES])
{
    uint8_t copy[BLOCK_BYTES];
    memcpy(copy, page, BLOCK_BYTES);
    store_le32(copy + 12, 0);
    return load_le32(page + 12) == crc32c(0, copy, BLOCK_BYTES);
}

bool partition_metadata_read(const uint8_t page[BLOCK_BYTES], const char *topic, struct topic_id id, int32_t number,
                             uint64_t *ret_creation)
{
    size_t name_bytes = strlen(topic);
    if (!page_is_sound(page)) return false;
    if (load_le64(page) != METADATA_MAGIC || load_le32(page + 8) != METADATA_VERSION) return false;
    if (memcmp(page + 16, id.b, sizeof id.b) != 0 || load_le32(page + 40) != (uint32_t)number) return false;
    if (load_le16(page + 44) != name_bytes || memcmp(page + 46, topic, name_bytes) != 0) return false;
    *ret_creation = load_le64(page + 32);
    return true;
}

/* In recovery: what is found may be a later topic's, with our own deletion still to be replayed (rule A6). */
static bool hold(struct move *m)
{
    if (m->p->store->settled) return false;
    m->p->held = true;
    m->closes = false;
    return true;
}

static int submit(struct move *m, enum io_kind kind, int next)
{
    m->op.kind = kind;
    m->op.task = &m->task;
    env_submit(m->p->store->env, &m->op);
    return STAGE_WAIT(next);
}

/* Of a partition of which nothing was moved yet there is no directory, as a rule: making it is the first question. */
int move_dir_first(const struct move *m)
{
    return m->p->moved_pos > m->p->segments[0].start ? MOVE_DIR_STAT : MOVE_DIR_MAKE;
}

int move_dir_stat(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    path_set(&m->path, "%s/partition.metadata", m->dir.s);
    m->op = (struct io_op){.path = m->path.s};
    return submit(m, IO_STAT, MOVE_DIR_READ);
}

int move_dir_read(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    enum status status = m->op.status;
    m->op.status = STATUS_OK;
    if (status == STATUS_NOT_FOUND && m->p->moved_pos > m->p->segments[0].start && hold(m)) return MOVE_FINISH;
    m->dir_looked_at = true;
    if (status == STATUS_NOT_FOUND) return MOVE_DIR_MAKE;
    if (status != STATUS_OK) return move_failed(m, status, "stat partition.metadata");
    smallfile_read(m->p->store->env, &m->small, t, m->path.s, m->page);
    return STAGE_WAIT(MOVE_DIR_CHECK);
}

int move_dir_check(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    if (m->small.status != STATUS_OK && m->small.status != STATUS_DAMAGED)
        return move_failed(m, m->small.status, "read partition.metadata");
    bool sound = m->small.status == STATUS_OK && page_is_sound(m->page);
    if (!sound && m->p->moved_pos > m->p->segments[0].start) {
        /* The table says that our bytes are here, and nobody else's name: rot of one page does not set a log aside. */
        if (hold(m)) return MOVE_FINISH;
        STORE_LOG(m->p->store, LOG_WARN, "directory.metadata_damaged", LOG_STR("file", m->path.s),
                  LOG_STR("effect", "written anew"));
        partition_metadata_encode(m->p, m->page);
    } else if (!sound || !partition_metadata_ours(m->p, m->page)) {
        return MOVE_DIR_QUARANTINE;
    }
    /* once more: a failed sync of the life before may have left it in a cache only (rule A7) */
    smallfile_write(m->p->store->env, &m->small, t, m->path.s, m->page, false);
    return STAGE_WAIT(MOVE_DIR_LIST);
}

int move_dir_quarantine(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    struct store *s = m->p->store;
    char name[NAME_BYTES_MAX];
    if (hold(m)) return MOVE_FINISH;
    partition_dir_name(name, m->p->topic, m->p->id, m->p->number);
    path_set(&m->path2, "%s/quarantine/%.200s.%llx", s->dir.s, name, (unsigned long long)env_random(s->env));
    STORE_LOG(s, LOG_WARN, "directory.quarantined", LOG_STR("directory", m->dir.s), LOG_STR("to", m->path2.s));
    m->op = (struct io_op){.path = m->dir.s, .path2 = m->path2.s};
    return submit(m, IO_RENAME, MOVE_DIR_MAKE);
}

int move_dir_make(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    if (m->op.status != STATUS_OK) return move_failed(m, m->op.status, "quarantine a directory");
    m->op = (struct io_op){.path = m->dir.s};
    return submit(m, IO_MKDIR, MOVE_DIR_WRITE);
}

int move_dir_write(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    enum status status = m->op.status;
    m->op.status = STATUS_OK;
    if (status == STATUS_EXISTS && m->op.kind == IO_MKDIR)
        return m->dir_looked_at ? MOVE_DIR_QUARANTINE : MOVE_DIR_STAT; /* looked at: it has no metadata */
    if (status != STATUS_OK) {
        if (!move_again(m, status)) return move_failed(m, status, "mkdir");
        return STAGE_WAIT(MOVE_DIR_MAKE);
    }
    partition_metadata_encode(m->p, m->page);
    path_set(&m->path, "%s/partition.metadata", m->dir.s);
    smallfile_write(m->p->store->env, &m->small, t, m->path.s, m->page, false);
    return STAGE_WAIT(MOVE_DIR_MADE);
}

int move_dir_made(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    if (m->small.status != STATUS_OK) {
        if (!move_again(m, m->small.status)) return move_failed(m, m->small.status, "write partition.metadata");
        return STAGE_WAIT(MOVE_DIR_WRITE);
    }
    files_sync_all(m->p->store->files);
    m->p->dir_ready = true; /* new: nothing foreign is in it */
    return MOVE_OPEN;
}

int move_dir_list(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    struct store *s = m->p->store;
    if (m->small.status != STATUS_OK)
        return move_again(m, m->small.status) ? STAGE_WAIT(MOVE_DIR_STAT)
                                              : move_failed(m, m->small.status, "write partition.metadata");
    if (unlinker_holds(s->unlinker, m->p) && move_again(m, STATUS_NO_MEMORY)) return STAGE_WAIT(MOVE_DIR_LIST);
    uint32_t bytes = m->op.status == STATUS_BUSY ? 2 * m->names_bytes : NAMES_BYTES;
    char *names = mem_alloc(s->env->mem, MEM_LOG, bytes);
    if (names == NULL) {
        m->op.status = STATUS_OK;
        return move_again(m, STATUS_NO_MEMORY) ? STAGE_WAIT(MOVE_DIR_LIST) : move_failed(m, STATUS_NO_MEMORY, "list");
    }
    if (m->names != NULL) mem_free(s->env->mem, MEM_LOG, m->names, m->names_bytes);
    m->names = names;
    m->names_bytes = bytes;
    m->names_at = 0;
    m->op = (struct io_op){.path = m->dir.s, .data = names, .len = bytes};
    return submit(m, IO_LIST, MOVE_DIR_FOREIGN);
}

/* A segment's two files, by the segments that table and replay know; what a deletion or a revival that was cut off has
 * left is theirs to write again. Before the replay is over a file of compaction may be one that it has not met yet;
 * what stays then is looked at by the next start. */
static bool name_known(struct partition *p, const char *name)
{
    char *end;
    unsigned long generation = 0;
    size_t n = strlen(name);
    if (strcmp(name, "partition.metadata") == 0 || strcmp(name, "partition.metadata.new") == 0) return true;
    if (strcmp(name, "partition.state") == 0) return true;
    if (n < 24) return false;
    long long base = strtoll(name, &end, 10);
    if (base < 0 || end != name + 20) return false;
    if (end[0] == '.' && end[1] >= '1' && end[1] <= '9') generation = strtoul(end + 1, &end, 10);
    if (strcmp(end, ".log") != 0 && strcmp(end, ".lidx") != 0) return false;
    const struct segment *s = partition_segment_of(p, base);
    if (generation <= UINT32_MAX) p->generation = MAX(p->generation, (uint32_t)generation); /* its name is taken */
    if (generation > 0 && !p->store->settled) return true;
    if (partition_stale_has(p, base, (uint32_t)generation)) return true; /* about to be unlinked */
    return s->base == base && s->generation == generation;
}

int move_dir_foreign(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    struct partition *p = m->p;
    if (m->op.kind == IO_LIST) {
        if (m->op.status == STATUS_BUSY) return MOVE_DIR_LIST;
        if (m->op.status == STATUS_OK && unlinker_holds(p->store->unlinker, p)) return MOVE_DIR_LIST; /* it may lag */
        m->names_len = (uint32_t)m->op.result;
    }
    if (m->op.kind == IO_RENAME && m->op.status == STATUS_NOT_FOUND) m->op.status = STATUS_OK; /* it was unlinked */
    if (m->op.status != STATUS_OK) return move_failed(m, m->op.status, "clear a directory");
    while (m->names_at < m->names_len) {
        const char *name = m->names + m->names_at;
        m->names_at += (uint32_t)strlen(name) + 1;
        if (name_known(p, name)) continue;
        path_set(&m->path, "%s/%.255s", m->dir.s, name);
        path_set(&m->path2, "%s/quarantine/%.100s-%d.%.100s.%llx", p->store->dir.s, p->topic, p->number, name,
                 (unsigned long long)env_random(p->store->env));
        STORE_LOG(p->store, LOG_WARN, "file.quarantined", LOG_STR("file", m->path.s), LOG_STR("to", m->path2.s));
        partition_dir_dirty(p);
        m->op = (struct io_op){.path = m->path.s, .path2 = m->path2.s};
        return submit(m, IO_RENAME, MOVE_DIR_FOREIGN);
    }
    files_sync_all(p->store->files); /* a killed process may have made these names: durable they need not be (A1) */
    p->dir_ready = true;
    return MOVE_OPEN;
}
