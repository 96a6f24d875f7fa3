// SPDX-License-Identifier: Apache-2.0
/* Look-ups in the generated tables (contract: message.h). Path: a walk over a short table. Failure modes: NULL. */
#include "protocol/message.h"

const struct api_info *api_find(int16_t key)
{
    for (uint32_t i = 0; i < api_count; i++) {
        if (api_table[i].key == key) return &api_table[i];
    }
    return NULL;
}

const struct group_record *group_record_find(int16_t type)
{
    for (uint32_t i = 0; i < group_record_count; i++) {
        if (group_record_table[i].type == type) return &group_record_table[i];
    }
    return NULL;
}
