// SPDX-License-Identifier: Apache-2.0
/* Frames written by Apache Kafka's own classes (tests/golden/README.md): the header, if there is one, is read, the body
 * prints what Kafka's reader saw in it, and both together are written again byte for byte. */
#include "base/arena.h"
#include "base/check.h"
#include "protocol/frame.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES     (64 << 10)
#define PATH_BYTES     4096
#define CORRELATION_ID 0x11223344
#define CLIENT_ID      "leat-golden"

enum variant { VARIANT_FULL, VARIANT_NULL, VARIANT_TAGS }; /* as GoldenMessages.java */

struct sample {
    const struct api_info *api; /* NULL: a body without a header */
    const struct message_type *type;
    bool request;
    int16_t version;
    enum variant variant;
    const uint8_t *frame;
    uint32_t size; /* prefix included */
    const char *text;
    size_t text_len;
};

static size_t file_read(const char *name, const char *suffix, char **ret_data)
{
    const char *dir = getenv("GOLDEN_MESSAGES");
    CHECK(dir != NULL);
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix);
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    CHECK(fseek(f, 0, SEEK_END) == 0);
    long size = ftell(f);
    CHECK(size > 0 && fseek(f, 0, SEEK_SET) == 0);
    char *data = malloc((size_t)size + 1);
    CHECK(data != NULL);
    CHECK(fread(data, 1, (size_t)size, f) == (size_t)size);
    (void)fclose(f);
    data[size] = '\0';
    *ret_data = data;
    return (size_t)size;
}

/* Kafka's names have no underscores in the text; no value has one. */
static void same_text(const struct sample *s, const void *message)
{
    static char text[TEXT_BYTES];
    size_t len = s->type->print(text, sizeof text, message), to = 0;
    ASSERT(len < sizeof text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '_') text[to++] = text[i];
    }
    text[to] = '\0';
    bool same = to == s->text_len && memcmp(text, s->text, to) == 0;
    if (!same)
        (void)fprintf(stderr, "%s %d\nours  %s\nkafka %.*s\n", s->type->name, s->version, text, (int)s->text_len,
                      s->text);
    ASSERT(same);
}

static void same_bytes(const struct sample *s, const struct request_header *h, const void *message)
{
    struct message_size body = s->type->size(s->version, message);
    struct message_size size = body;
    if (s->request)
        size = frame_request_size(h, body);
    else if (s->api)
        size = frame_response_size(s->api->key, s->version, body);
    else
        size.total += FRAME_PREFIX_BYTES;
    ASSERT_EQ(size.total, s->size);
    uint8_t *bytes = malloc(size.total);
    struct writer w;
    writer_init(&w, bytes, size.total, NULL, 0);
    if (s->api == NULL)
        writer_uint32(&w, (uint32_t)body.total);
    else if (s->request)
        frame_request(&w, h, body);
    else
        frame_response(&w, s->api->key, s->version, CORRELATION_ID, body);
    s->type->encode(&w, s->version, message);
    ASSERT_EQ(writer_finish(&w), STATUS_OK);
    ASSERT(memcmp(bytes, s->frame, size.total) == 0);
    free(bytes);
}

static void read_header(const struct sample *s, struct cursor *c, struct request_header *ret_header)
{
    if (s->api == NULL) return;
    if (!s->request) {
        int32_t id;
        ASSERT_EQ(response_header_decode(c, s->api->key, s->version, &id), STATUS_OK);
        ASSERT_EQ(id, CORRELATION_ID);
        return;
    }
    ASSERT_EQ(request_header_decode(c, ret_header), STATUS_OK);
    ASSERT_EQ(ret_header->api, s->api);
    ASSERT_EQ(ret_header->api_version, s->version);
    ASSERT_EQ(ret_header->correlation_id, CORRELATION_ID);
    ASSERT(str_equal(ret_header->client_id, s->variant == VARIANT_NULL ? STR_NULL : STR(CLIENT_ID)));
    ASSERT(ret_header->supported);
}

static void check_sample(const struct sample *s)
{
    struct mem *mem = mem_create(64u << 20);
    struct arena arena;
    arena_init(&arena, mem, MEM_PRODUCE, 1u << 20);
    uint8_t *exact = malloc(s->size - FRAME_PREFIX_BYTES); /* so that ASan sees a read of one byte too many */
    memcpy(exact, s->frame + FRAME_PREFIX_BYTES, s->size - FRAME_PREFIX_BYTES);
    struct cursor c;
    struct request_header h = {0};
    cursor_init(&c, exact, s->size - FRAME_PREFIX_BYTES);
    read_header(s, &c, &h);
    void *message = arena_zalloc(&arena, s->type->struct_size);
    enum status status = s->type->decode(&c, &arena, s->version, message);
    if (status != STATUS_OK)
        (void)fprintf(stderr, "%s %d, variant %d: %s, %s\n", s->type->name, s->version, s->variant, c.failed, c.what);
    ASSERT_EQ(status, STATUS_OK);
    ASSERT_EQ(cursor_left(&c), 0);
    same_text(s, message);
    if (s->variant != VARIANT_TAGS) same_bytes(s, &h, message); /* unknown tags are not kept */
    free(exact);
    arena_deinit(&arena);
    mem_destroy(mem);
}

/* A file is a row of {version, variant, frame}, in the order of versions; its text has one line for each. */
static void check_file(const struct api_info *api, bool request, const struct message_type *type)
{
    struct sample s = {.api = api, .type = type, .request = request};
    char *data, *text;
    size_t len = file_read(s.type->name, ".bin", &data), at = 0;
    (void)file_read(s.type->name, ".txt", &text);
    s.text = text;
    int16_t next = s.type->min_version;
    while (at < len) {
        ASSERT(len - at > 2 + FRAME_PREFIX_BYTES);
        s.version = (uint8_t)data[at];
        s.variant = (enum variant)(uint8_t)data[at + 1];
        s.frame = (const uint8_t *)data + at + 2;
        s.size = load_be32(s.frame);
        ASSERT(s.size <= len - at - 2 - FRAME_PREFIX_BYTES);
        s.size += FRAME_PREFIX_BYTES;
        s.text_len = strcspn(s.text, "\n");
        ASSERT_EQ(s.version, next);
        check_sample(&s);
        at += 2 + s.size;
        s.text += s.text_len + 1;
        if (s.variant == (next < s.type->flexible_from ? VARIANT_NULL : VARIANT_TAGS)) next++;
    }
    ASSERT_EQ(next, s.type->max_version + 1); /* every version was there */
    ASSERT_EQ(*s.text, '\0');
    free(data);
    free(text);
}

static void requests(void)
{
    for (uint32_t i = 0; i < api_count; i++)
        if (api_table[i].key < API_KEY_LEAT) check_file(&api_table[i], true, api_table[i].request);
}

static void responses(void)
{
    for (uint32_t i = 0; i < api_count; i++)
        if (api_table[i].key < API_KEY_LEAT) check_file(&api_table[i], false, api_table[i].response);
}

static void group_records(void)
{
    for (uint32_t i = 0; i < group_record_count; i++) {
        check_file(NULL, false, group_record_table[i].key);
        check_file(NULL, false, group_record_table[i].value);
    }
}

static void plain_messages(void)
{
    for (uint32_t i = 0; i < plain_message_count; i++) check_file(NULL, false, plain_message_table[i]);
}

TEST_MAIN("messages_golden", {"requests", requests}, {"responses", responses}, {"group records", group_records},
          {"plain messages", plain_messages})
