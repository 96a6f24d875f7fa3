// SPDX-License-Identifier: Apache-2.0
/* Reader and writer of Kafka's wire primitives (contract: cursor.h).
 *
 * Path of a read: bounds check against end, load, advance. Lengths and counts are compared with the bytes left before
 * anything is sliced or allocated. Path of a write: room check, store, advance; writer_borrow closes the open run of
 * own bytes as one piece and lists the borrowed bytes as the next.
 *
 * Failure modes: the first error is kept with its field and position, and at moves to end, so that every later read
 * fails at its own bounds check: no decoder needs a check of its own to stay inside the frame. */
#include "protocol/cursor.h"
#include "base/arena.h"
#include "base/check.h"

static const char text_length[] = "a length is negative or beyond the bytes left";
static const char text_null[] = "null where this version has no null";

void cursor_init(struct cursor *c, const void *data, size_t len)
{
    *c = (struct cursor){.start = data, .at = data, .end = (const uint8_t *)data + len, .error = STATUS_OK};
}

void cursor_fail(struct cursor *c, enum status error, const char *what)
{
    CHECK(error != STATUS_OK);
    if (c->error == STATUS_OK) {
        c->error = error;
        c->what = what;
        c->failed = c->field;
        c->failed_pos = (size_t)(c->at - c->start);
    }
    c->at = c->end;
}

double cursor_float64(struct cursor *c)
{
    uint64_t bits = (uint64_t)cursor_int64(c);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

struct uuid cursor_uuid(struct cursor *c)
{
    struct uuid v = {0};
    const uint8_t *p = cursor_take(c, sizeof v.b);
    if (p) memcpy(v.b, p, sizeof v.b);
    return v;
}

uint32_t cursor_uvarint(struct cursor *c)
{
    uint32_t v = 0;
    for (uint32_t shift = 0; shift < 35; shift += 7) {
        const uint8_t *p = cursor_take(c, 1);
        if (!p) return 0;
        if (shift == 28 && *p > 0x0f) break; /* a sixth byte, or bits beyond 32 */
        v |= (uint32_t)(*p & 0x7f) << shift;
        if (!(*p & 0x80)) return v;
    }
    cursor_fail(c, STATUS_INVALID, "a varint is longer than 5 bytes or 32 bits");
    return 0;
}

/* A length or count: compact is n + 1 with 0 for null, else a signed integer with -1 for null. -1 null, -2 failed. */
static int32_t compact_length(struct cursor *c)
{
    uint32_t v = cursor_uvarint(c);
    if (c->error != STATUS_OK) return -2;
    if (v > (uint32_t)INT32_MAX) { /* v - 1 may be 2^32 - 2: beyond any frame */
        cursor_fail(c, STATUS_INVALID, text_length);
        return -2;
    }
    return (int32_t)v - 1;
}

static int32_t accept_length(struct cursor *c, int32_t len, bool nullable, uint32_t unit)
{
    if (c->error != STATUS_OK) return -2;
    if (len == -1 && nullable) return -1;
    if (len == -1)
        cursor_fail(c, STATUS_INVALID, text_null);
    else if (len < 0)
        cursor_fail(c, STATUS_INVALID, text_length);
    else if ((uint64_t)(uint32_t)len * unit > cursor_left(c))
        cursor_fail(c, STATUS_TRUNCATED_INPUT, text_length);
    return c->error == STATUS_OK ? len : -2;
}

struct str cursor_str(struct cursor *c, bool flex, bool nullable)
{
    int32_t len = accept_length(c, flex ? compact_length(c) : cursor_int16(c), nullable, 1);
    if (len > WIRE_STRING_MAX) cursor_fail(c, STATUS_INVALID, "a string is longer than 32767 bytes");
    if (c->error != STATUS_OK) return STR_EMPTY;
    if (len < 0) return STR_NULL;
    if (len == 0) return STR_EMPTY;
    return (struct str){(const char *)cursor_take(c, (size_t)len), len};
}

struct bytes cursor_bytes(struct cursor *c, bool flex, bool nullable)
{
    int32_t len = accept_length(c, flex ? compact_length(c) : cursor_int32(c), nullable, 1);
    if (c->error != STATUS_OK) return BYTES_EMPTY;
    if (len < 0) return BYTES_NULL;
    if (len == 0) return BYTES_EMPTY;
    return (struct bytes){cursor_take(c, (size_t)len), len};
}

struct records cursor_records(struct cursor *c, bool flex, bool nullable)
{
    struct bytes b = cursor_bytes(c, flex, nullable);
    return (struct records){.data = b.data, .len = b.len};
}

bool cursor_present(struct cursor *c, bool tagged)
{
    bool present = tagged ? (int32_t)cursor_uvarint(c) > 0 : cursor_int8(c) >= 0;
    return present && c->error == STATUS_OK;
}

int32_t cursor_count(struct cursor *c, bool flex, bool nullable, uint32_t min_size)
{
    CHECK(min_size > 0);
    int32_t count = accept_length(c, flex ? compact_length(c) : cursor_int32(c), nullable, min_size);
    return count == -2 ? 0 : count;
}

void *cursor_array(struct cursor *c, struct arena *a, int32_t count, size_t element_size)
{
    if (count <= 0) return NULL;
    void *p = arena_alloc(a, (size_t)count * element_size);
    if (!p) cursor_fail(c, STATUS_NO_MEMORY, "the request needs more memory than one request may use");
    return p;
}

uint32_t cursor_tag_count(struct cursor *c)
{
    uint32_t n = cursor_uvarint(c);
    if ((uint64_t)n * 2 > cursor_left(c)) { /* a tag and a size: two bytes at least */
        cursor_fail(c, STATUS_TRUNCATED_INPUT, "more tagged fields than bytes left");
        return 0;
    }
    return n;
}

uint32_t cursor_tag(struct cursor *c, struct cursor *ret_value)
{
    uint32_t tag = cursor_uvarint(c);
    uint32_t size = cursor_uvarint(c);
    if (c->error == STATUS_OK && size > cursor_left(c)) {
        cursor_fail(c, STATUS_TRUNCATED_INPUT, "a tagged field is larger than the bytes left");
    }
    if (c->error != STATUS_OK) size = 0;
    *ret_value = *c;
    ret_value->end = c->at + size;
    c->at += size;
    return tag;
}

void cursor_join(struct cursor *c, const struct cursor *value)
{
    if (c->error != STATUS_OK) return;
    if (value->error == STATUS_OK && value->at == value->end) return;
    bool rest = value->error == STATUS_OK;
    cursor_fail(c, rest ? STATUS_INVALID : value->error, rest ? "a tagged field has bytes left over" : value->what);
    c->failed = rest ? value->field : value->failed;
    c->failed_pos = cursor_pos(value);
}

void cursor_skip_tags(struct cursor *c)
{
    struct cursor value;
    uint32_t count = cursor_tag_count(c);
    for (uint32_t i = 0; i < count && c->error == STATUS_OK; i++) (void)cursor_tag(c, &value);
}

void writer_init(struct writer *w, void *own, size_t own_size, struct piece *pieces, uint32_t piece_max)
{
    CHECK(own != NULL || own_size == 0);
    *w = (struct writer){.own = own, .own_size = own_size, .pieces = pieces, .piece_max = piece_max};
}

void writer_init_count(struct writer *w)
{
    *w = (struct writer){.counting = true};
}

void writer_fail(struct writer *w, enum status error)
{
    CHECK(error != STATUS_OK);
    if (w->error == STATUS_OK) w->error = error;
}

/* Both counting and pieces mode list runs; flat mode has none. */
static void list_piece(struct writer *w, const void *data, size_t len)
{
    if (!w->counting) {
        if (w->error != STATUS_OK || w->piece_count == w->piece_max) {
            writer_fail(w, STATUS_NO_MEMORY);
            return;
        }
        w->pieces[w->piece_count] = (struct piece){data, len};
    }
    w->piece_count++;
}

static void close_run(struct writer *w)
{
    if (w->own_used == w->own_from) return;
    list_piece(w, w->counting ? NULL : w->own + w->own_from, w->own_used - w->own_from);
    w->own_from = w->own_used;
}

enum status writer_finish(struct writer *w)
{
    if (w->pieces || w->counting) close_run(w);
    return w->error;
}

struct message_size writer_counted(struct writer *w)
{
    CHECK(w->counting);
    close_run(w);
    return (struct message_size){.total = w->total, .own = w->own_used, .pieces = w->piece_count};
}

void writer_present(struct writer *w, bool tagged, bool present)
{
    if (tagged)
        writer_uvarint(w, present ? 1 : 0);
    else
        writer_int8(w, present ? 1 : -1);
}

void writer_raw(struct writer *w, const void *data, size_t len)
{
    if (len == 0) return;
    uint8_t *p = writer_take(w, len);
    if (p) memcpy(p, data, len);
}

void writer_borrow(struct writer *w, const void *data, size_t len)
{
    if (len == 0) return;
    if (!w->pieces && !w->counting) {
        writer_raw(w, data, len);
        return;
    }
    close_run(w);
    list_piece(w, data, len);
    w->total += len;
}

void writer_float64(struct writer *w, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    writer_int64(w, (int64_t)bits);
}

void writer_uuid(struct writer *w, struct uuid v)
{
    writer_raw(w, v.b, sizeof v.b);
}

void writer_uvarint(struct writer *w, uint32_t v)
{
    uint8_t bytes[5];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    writer_raw(w, bytes, n);
}

static void put_length(struct writer *w, bool flex, bool nullable, int32_t len)
{
    if (len < -1 || (len == -1 && !nullable)) writer_fail(w, STATUS_INVALID);
    if (flex)
        writer_uvarint(w, (uint32_t)(len + 1));
    else
        writer_int32(w, len);
}

void writer_str(struct writer *w, bool flex, bool nullable, struct str v)
{
    if (v.len > WIRE_STRING_MAX) {
        writer_fail(w, STATUS_INVALID);
        return;
    }
    if (flex) {
        put_length(w, true, nullable, v.len);
    } else {
        if (v.len < -1 || (v.len == -1 && !nullable)) writer_fail(w, STATUS_INVALID);
        writer_int16(w, (int16_t)v.len);
    }
    if (v.len > 0) writer_raw(w, v.data, (size_t)v.len);
}

void writer_bytes(struct writer *w, bool flex, bool nullable, struct bytes v)
{
    put_length(w, flex, nullable, v.len);
    if (v.len > 0) writer_raw(w, v.data, (size_t)v.len);
}

void writer_records(struct writer *w, bool flex, bool nullable, const struct records *v)
{
    put_length(w, flex, nullable, v->len);
    if (v->len <= 0) return;
    if (!v->pieces) {
        writer_borrow(w, v->data, (size_t)v->len);
        return;
    }
    size_t sum = 0;
    for (uint32_t i = 0; i < v->piece_count; i++) {
        writer_borrow(w, v->pieces[i].data, v->pieces[i].len);
        sum += v->pieces[i].len;
    }
    CHECK(sum == (size_t)v->len); /* else every byte after this field is misread by the peer */
}

void writer_count(struct writer *w, bool flex, bool nullable, int32_t count)
{
    put_length(w, flex, nullable, count);
}

void writer_tag(struct writer *w, uint32_t tag, const struct writer *counted)
{
    CHECK(counted->counting && counted->total <= (size_t)INT32_MAX);
    writer_uvarint(w, tag);
    writer_uvarint(w, (uint32_t)counted->total);
}
