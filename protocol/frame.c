// SPDX-License-Identifier: Apache-2.0
/* Frames (contract and layouts: frame.h). Path in: frame_size on the prefix, the caller reads that many bytes,
 * request_header_decode, the body's decoder. Path out: the body's size, frame_response, the body's encoder.
 * Failure modes: a size outside the limits is refused before any allocation (rows B1, B2); an unknown key or version is
 * no error here but supported == false, since ApiVersions must still be answered (row B6). */
#include "protocol/frame.h"
#include "base/check.h"

#define KEY_API_VERSIONS 18

static enum status size_between(const uint8_t *prefix, uint32_t least, uint32_t limit, uint32_t *ret_size)
{
    uint32_t size = load_be32(prefix);
    if (size < least || size > (uint32_t)INT32_MAX || size > limit) return STATUS_INVALID;
    *ret_size = size;
    return STATUS_OK;
}

enum status frame_size(const uint8_t prefix[FRAME_PREFIX_BYTES], uint32_t limit, uint32_t *ret_size)
{
    return size_between(prefix, FRAME_REQUEST_HEADER_MIN, limit, ret_size);
}

enum status frame_size_of_response(const uint8_t prefix[FRAME_PREFIX_BYTES], uint32_t limit, uint32_t *ret_size)
{
    return size_between(prefix, FRAME_RESPONSE_HEADER_MIN, limit, ret_size);
}

enum status request_header_decode(struct cursor *c, struct request_header *ret_header)
{
    struct request_header h = {.client_id = STR_NULL};
    c->field = "request_header";
    h.api_key = cursor_int16(c);
    h.api_version = cursor_int16(c);
    h.correlation_id = cursor_int32(c);
    if (c->error != STATUS_OK) return c->error;
    h.api = api_find(h.api_key);
    h.supported = h.api && h.api_version >= h.api->min_version && h.api_version <= h.api->max_version;
    h.enabled = h.supported && h.api_version >= h.api->advertised_min && h.api_version <= h.api->advertised_max;
    if (h.supported) {
        c->field = "request_header.client_id";
        h.client_id = cursor_str(c, false, true);
        if (h.api_version >= h.api->flexible_from) cursor_skip_tags(c);
    }
    if (c->error == STATUS_OK) *ret_header = h;
    return c->error;
}

static bool response_flexible(int16_t api_key, int16_t version)
{
    const struct api_info *api = api_find(api_key);
    CHECK(api != NULL);
    return api_key != KEY_API_VERSIONS && version >= api->flexible_from;
}

static struct message_size around(size_t header, struct message_size body)
{
    size_t own = FRAME_PREFIX_BYTES + header;
    return (struct message_size){.total = body.total + own, .own = body.own + own, .pieces = body.pieces + 1};
}

struct message_size frame_response_size(int16_t api_key, int16_t version, struct message_size body)
{
    return around(response_flexible(api_key, version) ? 5 : 4, body);
}

static size_t request_header_bytes(const struct request_header *h)
{
    size_t client = h->client_id.len > 0 ? (size_t)h->client_id.len : 0;
    return FRAME_REQUEST_HEADER_MIN + 2 + client + (h->api_version >= h->api->flexible_from ? 1 : 0);
}

struct message_size frame_request_size(const struct request_header *h, struct message_size body)
{
    CHECK(h->api != NULL && h->supported);
    return around(request_header_bytes(h), body);
}

static void put_prefix(struct writer *w, size_t total)
{
    size_t size = total - FRAME_PREFIX_BYTES;
    if (size > (size_t)INT32_MAX)
        writer_fail(w, STATUS_BATCH_TOO_LARGE);
    else
        writer_int32(w, (int32_t)size);
}

void frame_response(struct writer *w, int16_t api_key, int16_t version, int32_t correlation_id,
                    struct message_size body)
{
    put_prefix(w, frame_response_size(api_key, version, body).total);
    writer_int32(w, correlation_id);
    if (response_flexible(api_key, version)) writer_uvarint(w, 0);
}

void frame_request(struct writer *w, const struct request_header *h, struct message_size body)
{
    put_prefix(w, frame_request_size(h, body).total);
    writer_int16(w, h->api_key);
    writer_int16(w, h->api_version);
    writer_int32(w, h->correlation_id);
    writer_str(w, false, true, h->client_id);
    if (h->api_version >= h->api->flexible_from) writer_uvarint(w, 0);
}

enum status response_header_decode(struct cursor *c, int16_t api_key, int16_t version, int32_t *ret_correlation_id)
{
    bool flexible = response_flexible(api_key, version);
    c->field = "response_header";
    int32_t id = cursor_int32(c);
    if (flexible) cursor_skip_tags(c);
    if (c->error == STATUS_OK) *ret_correlation_id = id;
    return c->error;
}
