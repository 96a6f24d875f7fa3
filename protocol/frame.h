// SPDX-License-Identifier: Apache-2.0
/* Frames: a 4-byte size, a header, a body. Nothing here waits.
 *
 * Request header   v0 key, version, correlation id | v1 + client id | v2 + tags
 * Response header  v0 correlation id | v1 + tags; ApiVersions has v0 always, so that any client can read it.
 * The client id keeps the old two-byte length in v2 too. */
#pragma once
#include "protocol/cursor.h"
#include "protocol/message.h"

#define FRAME_PREFIX_BYTES        4u
#define FRAME_REQUEST_HEADER_MIN  8u
#define FRAME_RESPONSE_HEADER_MIN 4u

struct request_header {
    int16_t api_key, api_version;
    int32_t correlation_id;
    struct str client_id;       /* may be null */
    const struct api_info *api; /* NULL: unknown key */
    bool supported; /* key and version can be decoded; if not, client_id is null and the cursor stands behind the fixed
                     * 8 bytes: answer ApiVersions with v0 and UNSUPPORTED_VERSION, close for the others */
    bool enabled;   /* Kafka's rule for what a broker serves: supported and stable. Otherwise it closes, except for
                     * ApiVersions. Produce 0-2 are advertised and yet not enabled; InitProducerId 6 is decoded only */
};

/* INVALID: smaller than a header or above limit. Called with the 4 bytes before anything is allocated. */
MUST_CHECK enum status frame_size(const uint8_t prefix[FRAME_PREFIX_BYTES], uint32_t limit, uint32_t *ret_size);
MUST_CHECK enum status frame_size_of_response(const uint8_t prefix[FRAME_PREFIX_BYTES], uint32_t limit,
                                              uint32_t *ret_size);
/* TRUNCATED_INPUT, INVALID; leaves the cursor at the body. */
MUST_CHECK enum status request_header_decode(struct cursor *c, struct request_header *ret_header);

/* Sizes of the whole frame around a body; pieces may be one more than the writer lists. */
struct message_size frame_response_size(int16_t api_key, int16_t version, struct message_size body);
struct message_size frame_request_size(const struct request_header *h, struct message_size body);
/* Prefix and header; the body is encoded behind them. BATCH_TOO_LARGE sticks when the frame passes 2^31 - 1 bytes. */
void frame_response(struct writer *w, int16_t api_key, int16_t version, int32_t correlation_id,
                    struct message_size body);
/* api must be set and supported. */
void frame_request(struct writer *w, const struct request_header *h, struct message_size body);
MUST_CHECK enum status response_header_decode(struct cursor *c, int16_t api_key, int16_t version,
                                              int32_t *ret_correlation_id);
