// SPDX-License-Identifier: Apache-2.0
/* Any bytes as what a client sends: frames back to back, each with prefix, header and body, until one is refused. A
 * header that is taken is written again and read the same; so are the bodies. The same bytes are a response header too.
 */
#include "protocol/frame.h"
#include "tests/fuzz/message_fuzz.h"

#define FUZZ_LIMIT (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void header_again(const struct request_header *h)
{
    struct message_size size = frame_request_size(h, (struct message_size){0});
    uint8_t *bytes = malloc(size.total);
    CHECK(bytes != NULL);
    struct writer w;
    writer_init(&w, bytes, size.total, NULL, 0);
    frame_request(&w, h, (struct message_size){0});
    CHECK_OK(writer_finish(&w));
    uint32_t len;
    CHECK_OK(frame_size(bytes, FUZZ_LIMIT, &len));
    CHECK(len + FRAME_PREFIX_BYTES == size.total);
    struct cursor c;
    struct request_header read;
    cursor_init(&c, bytes + FRAME_PREFIX_BYTES, len);
    CHECK_OK(request_header_decode(&c, &read));
    CHECK(cursor_left(&c) == 0);
    CHECK(read.api == h->api && read.api_version == h->api_version && read.correlation_id == h->correlation_id);
    CHECK(str_equal(read.client_id, h->client_id));
    free(bytes);
}

static void one_frame(const uint8_t *data, size_t size)
{
    struct cursor c, response;
    struct request_header h;
    cursor_init(&c, data, size);
    response = c;
    enum status s = request_header_decode(&c, &h);
    if (s != STATUS_OK) {
        CHECK(s == STATUS_TRUNCATED_INPUT || s == STATUS_INVALID);
        CHECK(c.what != NULL && c.failed != NULL);
        return;
    }
    CHECK(h.supported || (h.client_id.len == -1 && cursor_left(&c) == size - FRAME_REQUEST_HEADER_MIN));
    CHECK(h.supported || !h.enabled);
    CHECK(h.api != NULL || !h.supported);
    if (h.api) {
        int32_t id;
        s = response_header_decode(&response, h.api_key, h.api_version, &id);
        CHECK(s == STATUS_OK || s == STATUS_TRUNCATED_INPUT || s == STATUS_INVALID);
    }
    if (!h.api || !h.supported) return;
    header_again(&h);
    fuzz_message(&c, h.api->request, h.api_version);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    while (size >= FRAME_PREFIX_BYTES) {
        uint32_t len;
        if (frame_size(data, FUZZ_LIMIT, &len) != STATUS_OK) return 0;
        data += FRAME_PREFIX_BYTES;
        size -= FRAME_PREFIX_BYTES;
        size_t here = MIN(len, size); /* a cut frame never comes so far in a broker; its decoder must not care */
        one_frame(data, here);
        data += here;
        size -= here;
    }
    return 0;
}
