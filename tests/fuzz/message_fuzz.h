// SPDX-License-Identifier: Apache-2.0
/* What must hold for a message that a decoder took from any bytes: it can be printed, and it is written and read again
 * to the same text and the same bytes. */
#pragma once
#include "base/arena.h"
#include "base/check.h"
#include "protocol/cursor.h"
#include "protocol/message.h"
#include <stdlib.h>

#define FUZZ_ARENA_CAP  ((size_t)4 << 20)
#define FUZZ_TEXT_BYTES 4096

static inline uint8_t *fuzz_encode(const struct message_type *t, int16_t v, const void *message, size_t *ret_len)
{
    struct message_size size = t->size(v, message);
    uint8_t *bytes = malloc(size.total + 1);
    CHECK(bytes != NULL);
    struct writer w;
    writer_init(&w, bytes, size.total, NULL, 0);
    t->encode(&w, v, message);
    CHECK_OK(writer_finish(&w));
    CHECK(w.own_used == size.total);
    *ret_len = size.total;
    return bytes;
}

static inline void fuzz_again(struct arena *a, const struct message_type *t, int16_t v, const void *message)
{
    static char before[FUZZ_TEXT_BYTES], after[FUZZ_TEXT_BYTES];
    size_t len, len_again, text = t->print(before, sizeof before, message);
    uint8_t *bytes = fuzz_encode(t, v, message, &len);
    void *read = arena_zalloc(a, t->struct_size);
    CHECK(read != NULL);
    struct cursor c;
    cursor_init(&c, bytes, len);
    enum status s = t->decode(&c, a, v, read);
    CHECK(s == STATUS_OK || s == STATUS_NO_MEMORY); /* the arena holds both */
    if (s == STATUS_OK) {
        CHECK(cursor_left(&c) == 0);
        CHECK(t->print(after, sizeof after, read) == text && strcmp(before, after) == 0);
        uint8_t *again = fuzz_encode(t, v, read, &len_again);
        CHECK(len_again == len && memcmp(bytes, again, len) == 0);
        free(again);
    }
    free(bytes);
}

static inline int16_t fuzz_version(const struct message_type *t, uint8_t choice)
{
    if (choice >= t->min_version && choice <= t->max_version) return choice;
    return (int16_t)(t->min_version + choice % (t->max_version - t->min_version + 1));
}

static inline void fuzz_message(struct cursor *c, const struct message_type *t, int16_t v)
{
    static struct mem *mem;
    if (mem == NULL) mem = mem_create(256u << 20);
    struct arena a;
    arena_init(&a, mem, MEM_PRODUCE, FUZZ_ARENA_CAP);
    void *message = arena_zalloc(&a, t->struct_size);
    CHECK(message != NULL);
    enum status s = t->decode(c, &a, v, message);
    CHECK(s == STATUS_OK || s == STATUS_TRUNCATED_INPUT || s == STATUS_INVALID || s == STATUS_NO_MEMORY);
    CHECK(a.held_bytes <= FUZZ_ARENA_CAP);
    if (s == STATUS_OK)
        fuzz_again(&a, t, v, message);
    else
        CHECK(c->what != NULL && c->failed != NULL);
    arena_deinit(&a);
    CHECK(mem_used(mem, MEM_PRODUCE) == 0);
}
