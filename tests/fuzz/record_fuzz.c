// SPDX-License-Identifier: Apache-2.0
/* A batch of metadata records from any bytes: what a decode takes, an encode gives back as records that are taken
 * again, with the same bytes; and an image either applies them or is what it was before. */
#include "base/check.h"
#include "replication/image.h"
#include "replication/record_impl.h"
#include "tests/unit/record_gen.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(struct record_batch b, struct arena *a)
{
    const void *first, *second;
    size_t first_size, second_size;
    struct record_batch copy;
    for (uint32_t i = 0; i < b.count; i++) CHECK(record_valid(&b.records[i]));
    CHECK_OK(record_batch_encode(b, a, &first, &first_size));
    CHECK_OK(record_batch_decode(first, first_size, a, &copy));
    CHECK(copy.count == b.count);
    CHECK_OK(record_batch_encode(copy, a, &second, &second_size));
    CHECK(first_size == second_size && memcmp(first, second, first_size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem *mem = mem_create((uint64_t)4 << 30);
    struct arena arena;
    struct record_batch b;
    struct image_delta *d;
    char error[256];
    arena_init(&arena, mem, MEM_FETCH, 64 << 20);
    if (size <= (1 << 20) && record_batch_decode(data, size, &arena, &b) == STATUS_OK) {
        struct image *image = image_create(mem);
        again(b, &arena);
        enum status status = image_apply(image, 1, b, &d, error);
        CHECK(status == STATUS_OK || status == STATUS_INVALID);
        if (status == STATUS_OK) image_delta_release(image, d);
        CHECK(image_index(image) == (status == STATUS_OK));
        image_check(image);
        image_destroy(image);
    }
    arena_deinit(&arena);
    mem_destroy(mem);
    return 0;
}
