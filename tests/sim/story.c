// SPDX-License-Identifier: Apache-2.0
/* Stories with a trace; see story.h. */
#include "tests/sim/story.h"

#include "base/bytes.h"
#include "protocol/batch.h"
#include "storage/checkpoint.h"
#include "tests/unit/check_main.h"
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_MAX (300u << 10)

/* --- trace --- */

static void line(struct story *s, const char *text)
{
    size_t n = strlen(text);
    const char *last = s->trace + s->trace_len;
    if (s->trace_len > 0)
        for (last--; last > s->trace && last[-1] != '\n'; last--) continue;
    if (strlen(last) == n + 1 && strncmp(last, text, n) == 0) return;
    ASSERT(s->trace_len + n + 2 <= sizeof s->trace);
    memcpy(s->trace + s->trace_len, text, n);
    s->trace_len += n;
    s->trace[s->trace_len++] = '\n';
    s->trace[s->trace_len] = '\0';
}

void story_tell(struct story *s, const char *format, ...)
{
    char text[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    line(s, text);
}

void story_expect(struct story *s, const char *trace)
{
    size_t n = strlen(trace);
    bool open_end = n >= 4 && strcmp(trace + n - 4, "...\n") == 0;
    bool equal = open_end ? strncmp(s->trace, trace, n - 4) == 0 : strcmp(s->trace, trace) == 0;
    if (!equal) (void)fprintf(stderr, "expected trace:\n%sbut it went:\n%s\n", trace, s->trace);
    ASSERT(equal);
    s->trace_len = 0;
    s->trace[0] = '\0';
}

static const char *verb_of(enum io_kind kind)
{
    switch ((int)kind) {
    case IO_READ: return "read";
    case IO_WRITE: return "write";
    case IO_DATASYNC:
    case IO_SYNC: return "sync";
    case IO_SYNC_DIR: return "sync dir";
    case IO_SYNC_FS: return "sync all of";
    case IO_TRUNCATE: return "truncate";
    case IO_RENAME: return "rename";
    case IO_UNLINK: return "unlink";
    case IO_MKDIR: return "make";
    case IO_LOCK: return "lock";
    default: return "other";
    }
}

static const char *thing_of(const char *path)
{
    static const struct {
        const char *glob, *name;
    } things[] = {{"*/ring-*", "ring"},   {"*/table-*", "table"}, {"*/control", "control"},
                  {"*.log", "segment"},   {"*.lidx", "index"},    {"*/partition.metadata", "metadata"},
                  {"/data", "directory"}, {"*.new", "new file"}};
    for (size_t i = 0; i < COUNT_OF(things); i++)
        if (fnmatch(things[i].glob, path, 0) == 0) return things[i].name;
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void watched(struct sim_watch *w, enum io_kind kind, const char *path, bool begins, enum status status)
{
    struct story *s = container_of(w, struct story, watch);
    char text[128];
    const char *journal = strstr(path, "/journal-");
    unsigned number = journal == NULL ? 0 : (unsigned)strtoul(journal + 9, NULL, 10);
    int n = snprintf(text, sizeof text, "%s%s %.60s", begins ? "begins " : "", verb_of(kind), thing_of(path));
    if (number > 0) n += snprintf(text + n, sizeof text - (size_t)n, " %u", number);
    for (const char *const *g = s->watched; *g != NULL; g++) {
        if (fnmatch(*g, text, 0) != 0) continue;
        if (status != STATUS_OK) snprintf(text + n, sizeof text - (size_t)n, ": %s", status_text(status));
        if (getenv("STORY_TIMES") != NULL)
            (void)fprintf(stderr, "%.6f %s (%s)\n", (double)sim_now(s->w.sim) / 1e9, text, path);
        line(s, text);
        return;
    }
}

void story_watch(struct story *s, const char *const *globs)
{
    size_t n = 0;
    memset(s->watched, 0, sizeof s->watched);
    for (; globs[n] != NULL; n++) {
        ASSERT(n < STORY_GLOBS);
        s->watched[n] = globs[n];
    }
    s->watch.op = watched;
    sim_watch(s->w.machine, &s->watch);
}

/* --- life --- */

void story_begin(struct story *s, uint64_t seed, const struct sim_machine_config *machine)
{
    memset(s, 0, sizeof *s);
    world_init(&s->w, seed, machine);
    s->w.config.journal_bytes = s->w.config.journal_first_bytes; /* no growth between the lines */
    s->w.config.piece_bytes = 64 << 10;
    s->w.config.checkpoint_ms = 3600 * 1000;
    ASSERT_EQ(world_boot(&s->w, 1), STATUS_OK);
    s->p = world_create(&s->w, "t", 0);
    ASSERT(s->p != NULL);
}

enum status story_restart(struct story *s, enum sim_kill how, const char **ret_error)
{
    world_crash(&s->w, how);
    sim_fault_clear(s->w.machine);
    s->pending_count = 0;
    (void)world_boot(&s->w, 1);
    return world_open_status(&s->w, ret_error);
}

void story_again(struct story *s, enum sim_kill how)
{
    const char *error;
    enum status status = story_restart(s, how, &error);
    if (status != STATUS_OK) (void)fprintf(stderr, "no start: %s\n", error);
    ASSERT_EQ(status, STATUS_OK);
    s->p = world_find(&s->w, "t", 0);
    ASSERT(s->p != NULL);
}

void story_end(struct story *s)
{
    ASSERT_EQ(world_stop(&s->w), STATUS_OK);
    world_deinit(&s->w);
}

/* --- appends and reads --- */

enum status story_append(struct story *s, uint64_t tag, uint32_t bytes)
{
    return world_append(&s->w, s->p, &(struct world_batch){.records = 1, .value_bytes = bytes, .tag = tag}, NULL);
}

void story_append_some(struct story *s, int64_t count, uint32_t bytes)
{
    for (int64_t i = 0, offset; i < count; i++) {
        int64_t next = partition_log_end(s->p);
        struct world_batch b = {.records = 1, .value_bytes = bytes, .tag = (uint64_t)next};
        ASSERT_EQ(world_append(&s->w, s->p, &b, &offset), STATUS_OK);
        ASSERT_EQ(offset, next);
    }
}

static void appended(struct partition_append *op)
{
    struct story_append *a = container_of(op, struct story_append, op);
    a->done = true;
    if (op->status == STATUS_OK)
        story_tell(a->story, "acknowledged %lld", (long long)op->base_offset);
    else
        story_tell(a->story, "append: %s", status_text(op->status));
}

/* What a call from outside has queued begins now, not at the store's next tick. */
static void nudge(struct story *s)
{
    sim_nudge(s->w.machine, s->p->store->env->shard);
}

void story_append_begin(struct story *s, uint32_t bytes)
{
    ASSERT(s->pending_count < STORY_PENDING);
    struct story_append *a = &s->pending[s->pending_count++];
    struct world_batch b = {.records = 1, .value_bytes = bytes, .tag = (uint64_t)partition_log_end(s->p)};
    uint8_t *batch = malloc(BATCH_MAX);
    uint32_t len = world_batch_make(&b, batch, BATCH_MAX);
    *a = (struct story_append){.op.done = appended, .story = s};
    partition_append(s->p, batch, len, &a->op);
    free(batch);
    nudge(s);
}

static void changed(struct partition_change *op)
{
    struct story_change *c = container_of(op, struct story_change, op);
    c->done = true;
    story_tell(c->story, "%s: %s", c->what, status_text(op->status));
}

void story_cut_begin(struct story *s, int64_t offset)
{
    s->change = (struct story_change){.op.done = changed, .story = s, .what = "cut"};
    partition_truncate(s->p, offset, &s->change.op);
    nudge(s);
}

void story_log_start_begin(struct story *s, int64_t offset)
{
    s->change = (struct story_change){.op.done = changed, .story = s, .what = "log start"};
    partition_log_start_move(s->p, offset, &s->change.op);
    nudge(s);
}

bool story_changed(void *story)
{
    return ((struct story *)story)->change.done;
}

static void saved(struct commit_waiter *w, enum status status)
{
    story_tell(container_of(w, struct story, saving), "checkpoint: %s", status_text(status));
}

void story_checkpoint_begin(struct story *s)
{
    s->saving = (struct commit_waiter){.durable = saved};
    checkpoint_request(s->w.stores[0]->table, &s->saving);
    nudge(s);
}

/* The slices' records carry their offsets as tags; the offset behind them. */
static int64_t check_slices(const struct partition_read *r, int64_t next)
{
    for (uint32_t i = 0; i < r->slice_count; i++) {
        const uint8_t *at = slice_data(r->slices[i]);
        for (uint32_t left = r->slices[i].len; left > 0;) {
            struct batch_info info;
            char tag[17];
            ASSERT_EQ(batch_parse(at, left, &info), STATUS_OK);
            ASSERT(batch_crc_valid(at, &info));
            ASSERT_EQ(info.base_offset, next);
            snprintf(tag, sizeof tag, "%016llx", (unsigned long long)info.base_offset);
            ASSERT(memmem(at, info.size_bytes, tag, 16) != NULL);
            next = batch_next_offset(&info);
            at += info.size_bytes;
            left -= info.size_bytes;
        }
    }
    return next;
}

void story_expect_all(struct story *s, int64_t from)
{
    struct partition_read *r = calloc(1, sizeof *r);
    for (int64_t next = from; next < partition_high_watermark(s->p);) {
        enum status status = world_read(&s->w, s->p, next, 300 << 10, r);
        ASSERT_EQ(status, STATUS_OK);
        ASSERT(r->slice_count > 0);
        next = check_slices(r, next);
        partition_read_release(r);
    }
    free(r);
}

enum status story_read(struct story *s, int64_t offset)
{
    struct partition_read *r = calloc(1, sizeof *r);
    enum status status = world_read(&s->w, s->p, offset, 1, r);
    if (status == STATUS_OK) {
        ASSERT(check_slices(r, offset) > offset);
        partition_read_release(r);
    }
    free(r);
    return status;
}

int64_t story_judge(struct story *s, int64_t from, int64_t end)
{
    int64_t damaged = 0;
    for (int64_t offset = from; offset < end; offset++) {
        enum status status = story_read(s, offset);
        ASSERT(status == STATUS_OK || status == STATUS_DAMAGED);
        damaged += status == STATUS_DAMAGED;
    }
    return damaged;
}

void story_rot(struct story *s, const char *path, uint64_t pos)
{
    uint8_t byte;
    ASSERT_EQ(sim_file_read(s->w.machine, path, pos, &byte, 1), STATUS_OK);
    byte ^= 0x10;
    ASSERT_EQ(sim_file_write(s->w.machine, path, pos, &byte, 1), STATUS_OK);
}

/* --- helpers --- */

struct naming {
    const char *part;
    char text[1024];
    size_t len;
};

static void name_one(const char *name, bool is_dir, void *arg)
{
    struct naming *n = arg;
    (void)is_dir;
    if (strstr(name, n->part) == NULL) return;
    int written = snprintf(n->text + n->len, sizeof n->text - n->len, "%s%s", n->len > 0 ? " " : "", name);
    ASSERT(written > 0 && n->len + (size_t)written < sizeof n->text);
    n->len += (size_t)written;
}

const char *story_names(struct story *s, const char *dir, const char *part)
{
    static struct naming n;
    n = (struct naming){.part = part};
    ASSERT_EQ(sim_file_list(s->w.machine, dir, name_one, &n), STATUS_OK);
    return n.text;
}

void story_stall(struct story *s, enum io_kind kind, const char *path, int64_t delay_ns)
{
    sim_fault_add(s->w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_STALL,
                                                         .kinds = 1u << kind,
                                                         .path = path,
                                                         .nth = 1,
                                                         .delay_ns = delay_ns == 0 ? INT64_MAX : delay_ns});
}

void story_fail(struct story *s, enum io_kind kind, const char *path, int64_t delay_ns)
{
    sim_fault_add(s->w.machine,
                  &(struct sim_fault_rule){
                      .fault = SIM_FAULT_EIO, .kinds = 1u << kind, .path = path, .nth = 1, .delay_ns = delay_ns});
}

bool story_until(struct story *s, bool (*pred)(void *arg), void *arg)
{
    return sim_run_while_not(s->w.sim, pred, arg, sim_now(s->w.sim) + 60 * NS_PER_S);
}
