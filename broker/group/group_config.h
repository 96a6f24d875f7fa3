// SPDX-License-Identifier: Apache-2.0
/* Settings of one group (resource type GROUP, KIP-848): what it may set for itself, and what holds. Pure. */
#pragma once
#include "base/config.h"
#include "broker/group/settings.h"
#include "protocol/wire.h"
#include "replication/image.h"

struct groups;

struct group_config_key {
    struct config_key key;
    const char *server_key; /* the broker's setting that holds where the group has none */
    size_t value, min, max; /* offsets of int32_t in struct group_settings */
};
extern const struct group_config_key group_config_keys[];
extern const size_t group_config_count;

/* INVALID with a sentence: no such setting, not a number, or outside the broker's bounds. */
enum status group_config_check(const struct group_settings *s, struct str key, struct str value,
                               struct config_error *ret_error) MUST_CHECK;
/* What holds for the group in ms: its own, within the broker's bounds of today, or the broker's. dynamic: NULL is none.
 */
int32_t group_config_ms(const struct group_settings *s, const struct image_settings *dynamic, struct str group,
                        const struct group_config_key *k);
int32_t group_session_ms(const struct groups *gs, struct str group);
int32_t group_heartbeat_ms(const struct groups *gs, struct str group);
