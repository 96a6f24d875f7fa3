// SPDX-License-Identifier: Apache-2.0
/* Writes batches of our builder and their listings into a directory, for Kafka's classes to read (batch_kafka.py):
 * every codec x create and append time x plain, idempotent and transactional, records of many shapes. */
#include "tests/golden/batch_list.h"
#include <string.h>

static void record_append(struct batch_builder *b, int i)
{
    static uint8_t value[20000];
    static const uint8_t name[] = "h";
    uint32_t x = (uint32_t)i;
    for (size_t n = 0; n < sizeof value; n++) {
        x = x * 1664525u + 1013904223u;
        value[n] = i % 2 == 0 ? (uint8_t)(x >> 24) : 0;
    }
    struct batch_header h[2] = {{name, value, 1, i}, {name, NULL, 0, -1}};
    int32_t value_len = i % 7 == 3 ? -1 : i % 5 == 4 ? (int32_t)sizeof value : i;
    CHECK_OK(batch_builder_append(b, 1700000000000 + (i % 3) * 100000 - i, "some key", i % 4 == 1 ? -1 : i % 8, value,
                                  value_len, h, i % 3));
}

static void file_write(const char *dir, const char *name, const char *suffix, const void *data, size_t len)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    CHECK(fwrite(data, 1, len, f) == len);
    CHECK(fclose(f) == 0);
}

static void sample_write(struct mem *mem, const char *dir, enum codec codec, bool append_time, int producer, int count)
{
    struct batch_options o;
    batch_options_init(&o);
    o.codec = codec;
    o.base_offset = 1000000000000 * count;
    o.leader_epoch = count;
    o.log_append_time = append_time;
    o.append_time_ms = 1700000000001;
    if (producer > 0) {
        o.producer_id = 1234567890123;
        o.producer_epoch = 5;
        o.base_sequence = count;
        o.transactional = producer == 2;
    }
    struct batch_builder b;
    batch_builder_init(&b, mem, &o);
    for (int i = 0; i < count; i++) record_append(&b, i);
    const uint8_t *data;
    size_t len, text_len;
    CHECK_OK(batch_builder_finish(&b, &data, &len));
    char name[100], *text = NULL;
    snprintf(name, sizeof name, "%s_%s_%d_%d", codec_name(codec), append_time ? "append" : "create", producer, count);
    FILE *f = open_memstream(&text, &text_len);
    CHECK(f != NULL);
    CHECK_OK(batch_list(f, mem, data, len));
    fclose(f);
    file_write(dir, name, ".bin", data, len);
    file_write(dir, name, ".txt", text, text_len);
    free(text);
    batch_builder_deinit(&b);
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    struct mem *mem = mem_create(256u << 20);
    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++)
        for (int append_time = 0; append_time < 2; append_time++)
            for (int producer = 0; producer < 3; producer++)
                for (int count = 1; count <= 65; count += 16)
                    sample_write(mem, argv[1], c, append_time != 0, producer, count);
    mem_destroy(mem);
    return 0;
}
