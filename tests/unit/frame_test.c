// SPDX-License-Identifier: Apache-2.0
/* Frame limits and headers by hand-made bytes: what is refused before memory, what a broker may answer. */
#include "protocol/frame.h"
#include "base/bytes.h"
#include "base/check.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>

#define LIMIT 1000u

static void sizes_outside_the_limits_are_refused(void)
{
    static const struct {
        uint32_t size, limit;
        enum status status;
    } rows[] = {
        {0, LIMIT, STATUS_INVALID},
        {FRAME_REQUEST_HEADER_MIN - 1, LIMIT, STATUS_INVALID},
        {FRAME_REQUEST_HEADER_MIN, LIMIT, STATUS_OK},
        {LIMIT, LIMIT, STATUS_OK},
        {LIMIT + 1, LIMIT, STATUS_INVALID},
        {0x80000000u, UINT32_MAX, STATUS_INVALID}, /* negative for everybody else */
        {0xffffffffu, UINT32_MAX, STATUS_INVALID},
        {0x7fffffffu, UINT32_MAX, STATUS_OK},
        {0x47455420u, 100u << 20, STATUS_INVALID}, /* "GET " */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t prefix[FRAME_PREFIX_BYTES];
        uint32_t size = 1;
        store_be32(prefix, rows[i].size);
        ASSERT_EQ(frame_size(prefix, rows[i].limit, &size), rows[i].status);
        ASSERT_EQ(size, rows[i].status == STATUS_OK ? rows[i].size : 1);
    }
}

/* The bytes stand in memory of their exact size; what is left for the body goes to ret_left. */
static enum status read_header(const uint8_t *bytes, size_t len, struct request_header *ret_h, size_t *ret_left)
{
    uint8_t *exact = len > 0 ? malloc(len) : NULL;
    if (len > 0) memcpy(exact, bytes, len);
    struct cursor c;
    cursor_init(&c, exact, len);
    enum status s = request_header_decode(&c, ret_h);
    if (s == STATUS_OK && ret_h->client_id.len > 0) ASSERT(memcmp(ret_h->client_id.data, "cli", 3) == 0);
    ret_h->client_id.data = NULL;
    *ret_left = cursor_left(&c);
    free(exact);
    return s;
}

static void both_request_headers_are_read(void)
{
    static const uint8_t v1[] = {0, 3, 0, 8, 0, 0, 1, 2, 0, 3, 'c', 'l', 'i', 9, 9};
    static const uint8_t v1_null[] = {0, 3, 0, 8, 0, 0, 1, 2, 0xff, 0xff, 9, 9};
    static const uint8_t v2[] = {0, 3, 0, 9, 0, 0, 1, 2, 0, 3, 'c', 'l', 'i', 0, 9, 9};
    static const uint8_t v2_tags[] = {0, 3, 0, 9, 0, 0, 1, 2, 0, 3, 'c', 'l', 'i', 2, 0, 1, 7, 1, 0, 9, 9};
    static const struct {
        const uint8_t *bytes;
        size_t len;
        int32_t client_len;
    } rows[] = {{v1, sizeof v1, 3}, {v1_null, sizeof v1_null, -1}, {v2, sizeof v2, 3}, {v2_tags, sizeof v2_tags, 3}};
    struct request_header h;
    size_t left;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ASSERT_EQ(read_header(rows[i].bytes, rows[i].len, &h, &left), STATUS_OK);
        ASSERT_EQ(h.api_key, 3);
        ASSERT_EQ(h.api_version, i < 2 ? 8 : 9);
        ASSERT_EQ(h.correlation_id, 0x102);
        ASSERT_EQ(h.client_id.len, rows[i].client_len);
        ASSERT(h.supported && h.enabled);
        ASSERT_EQ(left, 2);
        for (size_t len = 0; len < rows[i].len - 2; len++)
            ASSERT_EQ(read_header(rows[i].bytes, len, &h, &left), STATUS_TRUNCATED_INPUT);
    }
}

static void a_header_with_a_bad_client_id_is_refused(void)
{
    static const uint8_t negative[] = {0, 3, 0, 8, 0, 0, 1, 2, 0xff, 0xfe, 0, 0};
    static const uint8_t longer[] = {0, 3, 0, 8, 0, 0, 1, 2, 0, 3, 'c', 'l'};
    struct request_header h;
    size_t left;
    ASSERT_EQ(read_header(negative, sizeof negative, &h, &left), STATUS_INVALID);
    ASSERT_EQ(read_header(longer, sizeof longer, &h, &left), STATUS_TRUNCATED_INPUT);
}

static void a_broker_learns_what_it_may_serve(void)
{
    static const struct {
        int16_t key, version;
        bool known, supported, enabled;
    } rows[] = {
        {0, 2, true, false, false}, /* Produce 0-2: advertised for librdkafka, closed when used */
        {0, 3, true, true, true},      {0, 13, true, true, true},    {0, 14, true, false, false},
        {1, 3, true, false, false},    {1, 4, true, true, true},     {22, 5, true, true, true},
        {22, 6, true, true, false}, /* InitProducerId 6: not stable */
        {18, 99, true, false, false},  {18, -1, true, false, false}, {18, 4, true, true, true},
        {999, 0, false, false, false}, {-1, 0, false, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t bytes[14] = {0, 0, 0, 0, 1, 2, 3, 4, 0xff, 0xff, 0, 0, 0, 0};
        store_be16(bytes, (uint16_t)rows[i].key);
        store_be16(bytes + 2, (uint16_t)rows[i].version);
        struct request_header h;
        size_t left;
        ASSERT_EQ(read_header(bytes, sizeof bytes, &h, &left), STATUS_OK);
        ASSERT_EQ(h.api != NULL, rows[i].known);
        ASSERT_EQ(h.supported, rows[i].supported);
        ASSERT_EQ(h.enabled, rows[i].enabled);
        ASSERT_EQ(h.correlation_id, 0x01020304);
        if (!h.supported) ASSERT_EQ(left, sizeof bytes - FRAME_REQUEST_HEADER_MIN);
    }
}

static void the_api_versions_response_has_the_old_header(void)
{
    static const uint8_t old[] = {0, 0, 0, 4, 0, 0, 0, 7}, tagged[] = {0, 0, 0, 5, 0, 0, 0, 7, 0};
    static const struct {
        int16_t key, version;
        const uint8_t *bytes;
        size_t len;
    } rows[] = {{18, 0, old, sizeof old}, {18, 4, old, sizeof old}, {3, 8, old, 8}, {3, 9, tagged, sizeof tagged}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t own[16];
        struct writer w;
        writer_init(&w, own, sizeof own, NULL, 0);
        frame_response(&w, rows[i].key, rows[i].version, 7, (struct message_size){0});
        ASSERT_EQ(writer_finish(&w), STATUS_OK);
        ASSERT_EQ(w.own_used, rows[i].len);
        ASSERT(memcmp(own, rows[i].bytes, rows[i].len) == 0);
        struct cursor c;
        int32_t id;
        cursor_init(&c, own + FRAME_PREFIX_BYTES, rows[i].len - FRAME_PREFIX_BYTES);
        ASSERT_EQ(response_header_decode(&c, rows[i].key, rows[i].version, &id), STATUS_OK);
        ASSERT_EQ(id, 7);
        ASSERT_EQ(cursor_left(&c), 0);
    }
}

static void a_frame_of_more_than_2_gib_is_not_begun(void)
{
    uint8_t own[16];
    for (size_t over = 0; over < 2; over++) {
        struct message_size body = {.total = (size_t)INT32_MAX - 5 + over};
        struct writer w;
        writer_init(&w, own, sizeof own, NULL, 0);
        frame_response(&w, 3, 9, 7, body);
        ASSERT_EQ(writer_finish(&w), over ? STATUS_BATCH_TOO_LARGE : STATUS_OK);
    }
}

TEST_MAIN("frame", {"sizes outside the limits are refused", sizes_outside_the_limits_are_refused},
          {"both request headers are read", both_request_headers_are_read},
          {"a header with a bad client id is refused", a_header_with_a_bad_client_id_is_refused},
          {"a broker learns what it may serve", a_broker_learns_what_it_may_serve},
          {"the ApiVersions response has the old header", the_api_versions_response_has_the_old_header},
          {"a frame of more than 2 GiB is not begun", a_frame_of_more_than_2_gib_is_not_begun})
