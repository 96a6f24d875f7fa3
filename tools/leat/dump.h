// SPDX-License-Identifier: Apache-2.0
/* leat dump: the files of a log directory, read as they lie on the disk. Offline or beside a running broker: files are
 * opened for reading only and no lock is taken. A broker may be writing what is read, so what fails its checksum is
 * read again a few times before it is called damage.
 *
 * One item per thing found (batch, group, chunk, page ...): a line of name=value, or a JSON object. Damage is an item
 * too, with position and length, and the reading goes on behind it. */
#pragma once
#include "base/mem.h"
#include "tools/leat/session.h"

struct source { /* a file, or memory (fuzzing) */
    int fd;     /* -1: memory */
    const uint8_t *memory;
    uint64_t size;   /* falls in source_again only, so that what was compared with it holds */
    uint64_t end;    /* where a read has met the end */
    uint8_t *window; /* bytes [window_pos, window_pos + window_len) */
    uint64_t window_pos;
    size_t window_len, window_capacity;
    int retries; /* left for the place that is being looked at */
};

/* False: errno. */
bool source_open(struct source *s, const char *path);
void source_memory(struct source *s, const uint8_t *bytes, size_t size);
void source_close(struct source *s);
/* len bytes at pos; they stand until the next call. NULL: they cannot be read (errno; ESTALE: the file has become
 * shorter). */
const uint8_t *source_at(struct source *s, uint64_t pos, uint64_t len);
/* Something looked wrong: true: read it again, it may just have been written. Say source_fine after each thing that was
 * in order. */
bool source_again(struct source *s);
void source_fine(struct source *s);
bool source_zero(struct source *s, uint64_t pos, uint64_t end); /* nothing but zeros */

enum dump_kind {
    DUMP_UNKNOWN,
    DUMP_SEGMENT,
    DUMP_INDEX,
    DUMP_RING,
    DUMP_CONTROL,
    DUMP_TABLE,
    DUMP_DIRECTORY,
    DUMP_PARTITION,
    DUMP_METALOG_CONTROL,
    DUMP_METALOG_LOG,
    DUMP_METALOG_SNAPSHOT,
    DUMP_KINDS,
};

struct dump {
    const struct session *session;
    FILE *out;
    const char *path;
    struct source *source;
    struct mem *mem;
    bool deep;    /* entries and records, too */
    bool summary; /* only damage, notes and the sum */
    bool newest;  /* segment: no later one beside it, so its end may still be on its way */
    uint64_t damages, things;
    struct progress progress;
    /* the item that is being written */
    json_t *item;
    bool hidden;
};

void dump_begin(struct dump *d, const char *type); /* hidden when only the sum is wanted */
void dump_sum(struct dump *d);                     /* the last item of a file, never hidden */
void dump_int(struct dump *d, const char *name, int64_t value);
void dump_uint(struct dump *d, const char *name, uint64_t value);
void dump_word(struct dump *d, const char *name, const char *value);
void dump_hex(struct dump *d, const char *name, const uint8_t *bytes, size_t len);
void dump_bytes(struct dump *d, const char *name, const void *bytes, int64_t len); /* len -1: null */
void dump_time(struct dump *d, const char *name, int64_t ms);
void dump_end(struct dump *d);

void dump_damage(struct dump *d, uint64_t pos, uint64_t len, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void dump_note(struct dump *d, uint64_t pos, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The readers, one per kind; each reads d->source to its end. */
void dump_segment(struct dump *d);
void dump_index(struct dump *d);
void dump_ring(struct dump *d);
void dump_control(struct dump *d);
void dump_table(struct dump *d);
void dump_directory(struct dump *d);
void dump_partition(struct dump *d);
void dump_metalog_control(struct dump *d);
void dump_metalog_log(struct dump *d);
void dump_metalog_snapshot(struct dump *d);

/* By the first bytes, else by the name. */
enum dump_kind dump_kind_of(const char *name, struct source *s);
void dump_run(struct dump *d, enum dump_kind kind);
