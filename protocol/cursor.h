// SPDX-License-Identifier: Apache-2.0
/* Reader and writer of Kafka's wire primitives (big-endian). Both have a sticky error: after the first one every call
 * is harmless and reads give zeros, so a decoder is straight-line code with one check at its end. Neither waits.
 *
 * Reader errors: TRUNCATED_INPUT (the input ends inside a field), INVALID (a value no version allows), NO_MEMORY (the
 * arena's cap). what, field and cursor_pos say where. No count or length is believed: an array is allocated only if
 * count x the least size of an element is still there.
 *
 * Writer modes, one encoder for all three, so that a size cannot differ from its bytes:
 *   counting  nothing is stored (message_size)          writer_init_count
 *   flat      all bytes in one memory, records copied   writer_init with pieces NULL
 *   pieces    records are borrowed, a list of runs      writer_init with pieces
 * Writer errors: NO_MEMORY (own or pieces too small: the caller did not ask for the size), INVALID (null where the
 * version has none, string too long), UNSUPPORTED_VERSION. "flex": the version is flexible (compact lengths, tags). */
#pragma once
#include "base/bytes.h"
#include "base/status.h"
#include "protocol/uuid.h"
#include "protocol/wire.h"

struct arena;

struct cursor {
    const uint8_t *start, *at, *end; /* after an error at == end */
    enum status error;
    const char *what;   /* static text of the first error, or NULL */
    const char *field;  /* static: the message's field being read */
    const char *failed; /* the field at the first error */
    size_t failed_pos;
};

void cursor_init(struct cursor *c, const void *data, size_t len);
void cursor_fail(struct cursor *c, enum status error, const char *what); /* the first one stays */

static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* Bytes from the start, of the failed field's value after an error. */
static inline size_t cursor_pos(const struct cursor *c)
{
    return c->error == STATUS_OK ? (size_t)(c->at - c->start) : c->failed_pos;
}

/* The n (> 0) bytes passed over, NULL after an error. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
    if (__builtin_expect(cursor_left(c) < n, 0)) {
        cursor_fail(c, STATUS_TRUNCATED_INPUT, "the input ends inside a field");
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += n;
    return p;
}

#define CURSOR_DEFINE(name, type, width, load)                                                                         \
    static inline type cursor_##name(struct cursor *c)                                                                 \
    {                                                                                                                  \
        const uint8_t *p = cursor_take(c, width);                                                                      \
        return p ? (type)load(p) : (type)0;                                                                            \
    }
#define LOAD_BYTE(p) (*(p))
CURSOR_DEFINE(int8, int8_t, 1, LOAD_BYTE)
CURSOR_DEFINE(int16, int16_t, 2, load_be16)
CURSOR_DEFINE(uint16, uint16_t, 2, load_be16)
CURSOR_DEFINE(int32, int32_t, 4, load_be32)
CURSOR_DEFINE(uint32, uint32_t, 4, load_be32)
CURSOR_DEFINE(int64, int64_t, 8, load_be64)
#undef LOAD_BYTE
#undef CURSOR_DEFINE

static inline bool cursor_bool(struct cursor *c) /* as Kafka: every byte but 0 is true */
{
    return cursor_int8(c) != 0;
}

double cursor_float64(struct cursor *c);
struct uuid cursor_uuid(struct cursor *c);
uint32_t cursor_uvarint(struct cursor *c); /* at most 5 bytes and 32 bits */
struct str cursor_str(struct cursor *c, bool flex, bool nullable);
struct bytes cursor_bytes(struct cursor *c, bool flex, bool nullable);
struct records cursor_records(struct cursor *c, bool flex, bool nullable);
/* The marker before a nullable struct: a signed byte, below 0 for null; in a tagged field a varint, 0 for null. */
bool cursor_present(struct cursor *c, bool tagged);

/* An array's count; -1 null; 0 after an error. min_size: least bytes of one element, > 0. */
int32_t cursor_count(struct cursor *c, bool flex, bool nullable, uint32_t min_size);
/* Memory for count elements; NULL when count <= 0 or when the arena is at its cap (then the cursor has failed). */
void *cursor_array(struct cursor *c, struct arena *a, int32_t count, size_t element_size);

/* Tag section: count, then count times {tag, size, value}. As in Kafka's readers the order is free and of doubles the
 * last one counts, although KIP-482 lets nobody send that. cursor_tag steps over one field and hands out a cursor over
 * its value; one that is read comes back with cursor_join, which demands that it was read to its end (Kafka ignores the
 * size there and reads what is left over as the next tag: never what the sender meant). */
uint32_t cursor_tag_count(struct cursor *c);
uint32_t cursor_tag(struct cursor *c, struct cursor *ret_value);
void cursor_join(struct cursor *c, const struct cursor *value);
void cursor_skip_tags(struct cursor *c);

struct writer {
    enum status error;
    bool counting;
    uint8_t *own;
    size_t own_size, own_used;
    size_t own_from; /* start of the run that is not yet listed */
    struct piece *pieces;
    uint32_t piece_max, piece_count;
    size_t total;
    uint32_t error_codes; /* fields of that name that are not 0: for metrics */
};

/* own and pieces are the caller's and must outlive the list. pieces NULL: flat. */
void writer_init(struct writer *w, void *own, size_t own_size, struct piece *pieces, uint32_t piece_max);
void writer_init_count(struct writer *w);
void writer_fail(struct writer *w, enum status error);
/* Lists the last run. In flat mode the bytes are own[0, total). */
MUST_CHECK enum status writer_finish(struct writer *w);
struct message_size writer_counted(struct writer *w); /* finishes a counting writer */

/* Room for n (> 0) bytes, NULL when counting or after an error. */
static inline uint8_t *writer_take(struct writer *w, size_t n)
{
    w->total += n;
    if (w->counting) {
        w->own_used += n;
        return NULL;
    }
    if (__builtin_expect(w->error != STATUS_OK || w->own_size - w->own_used < n, 0)) {
        writer_fail(w, STATUS_NO_MEMORY);
        return NULL;
    }
    uint8_t *p = w->own + w->own_used;
    w->own_used += n;
    return p;
}

#define WRITER_DEFINE(name, type, width, store, wire)                                                                  \
    static inline void writer_##name(struct writer *w, type v)                                                         \
    {                                                                                                                  \
        uint8_t *p = writer_take(w, width);                                                                            \
        if (p) store(p, (wire)v);                                                                                      \
    }
#define STORE_BYTE(p, v) (*(p) = (v))
WRITER_DEFINE(bool, bool, 1, STORE_BYTE, uint8_t)
WRITER_DEFINE(int8, int8_t, 1, STORE_BYTE, uint8_t)
WRITER_DEFINE(int16, int16_t, 2, store_be16, uint16_t)
WRITER_DEFINE(uint16, uint16_t, 2, store_be16, uint16_t)
WRITER_DEFINE(int32, int32_t, 4, store_be32, uint32_t)
WRITER_DEFINE(uint32, uint32_t, 4, store_be32, uint32_t)
WRITER_DEFINE(int64, int64_t, 8, store_be64, uint64_t)
#undef STORE_BYTE
#undef WRITER_DEFINE

static inline void writer_error_code(struct writer *w, int16_t v)
{
    w->error_codes += v != 0;
    writer_int16(w, v);
}

void writer_float64(struct writer *w, double v);
void writer_uuid(struct writer *w, struct uuid v);
void writer_uvarint(struct writer *w, uint32_t v);
void writer_str(struct writer *w, bool flex, bool nullable, struct str v);
void writer_bytes(struct writer *w, bool flex, bool nullable, struct bytes v);
void writer_records(struct writer *w, bool flex, bool nullable, const struct records *v);
void writer_count(struct writer *w, bool flex, bool nullable, int32_t count);
void writer_present(struct writer *w, bool tagged, bool present);
void writer_raw(struct writer *w, const void *data, size_t len);    /* copies */
void writer_borrow(struct writer *w, const void *data, size_t len); /* lists; copies in flat mode */
/* A tagged field's tag and size, the size from a counting run over its value. */
void writer_tag(struct writer *w, uint32_t tag, const struct writer *counted);
