// SPDX-License-Identifier: Apache-2.0
/* Feature levels (KIP-584): what this program can do, told at registration and by ApiVersions. Clients switch
 * behaviour on the finalized level (transactions: KIP-890), so a feature stands here only when it is served. */
#pragma once
#include "replication/record.h"

extern const struct feature_range broker_features[];
extern const uint32_t broker_feature_count;
