// SPDX-License-Identifier: Apache-2.0
/* Results in one arena (contract: result.h): struct result, then the public struct behind it, in one block. */
#include "clients/c/result.h"

#include "base/bytes.h"

#define HEAD_BYTES 128u

struct head {
    struct result result;
    size_t size;
};
static_assert(sizeof(struct head) <= HEAD_BYTES, "the head has room");

void *result_create(struct mem *mem, size_t size, struct result **ret_result)
{
    uint8_t *block = mem_zalloc(mem, MEM_CONTROL, HEAD_BYTES + size);
    if (block == NULL) return NULL;
    struct head *h = (struct head *)(void *)block;
    h->result.mem = mem;
    h->size = size;
    arena_init(&h->result.arena, mem, MEM_FETCH, RESULT_BYTES_MAX);
    *ret_result = &h->result;
    return block + HEAD_BYTES;
}

void result_free(void *public_struct)
{
    if (public_struct == NULL) return;
    uint8_t *block = (uint8_t *)public_struct - HEAD_BYTES;
    struct head *h = (struct head *)(void *)block;
    struct mem *mem = h->result.mem;
    arena_deinit(&h->result.arena);
    mem_free(mem, MEM_CONTROL, block, HEAD_BYTES + h->size);
}

void *result_array(struct result *r, size_t count, size_t size)
{
    size_t bytes = 0;
    bool over = __builtin_mul_overflow(count, size, &bytes);
    void *p = over || r->failed ? NULL : arena_zalloc(&r->arena, bytes);
    r->failed = p == NULL;
    return p;
}

const char *result_str(struct result *r, struct str s)
{
    if (s.len < 0) return NULL;
    char *p = result_array(r, (size_t)s.len + 1, 1);
    if (p != NULL && s.len > 0) memcpy(p, s.data, (size_t)s.len);
    return p;
}

const char *result_text(struct result *r, struct str s)
{
    return s.len <= 0 ? "" : result_str(r, s);
}
