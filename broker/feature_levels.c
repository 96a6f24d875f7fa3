// SPDX-License-Identifier: Apache-2.0
/* Feature levels (feature_levels.h); names and numbers are Apache Kafka 4.4's. metadata.version 33 is 4.4-IV2: tools
 * ask for it to know which requests make sense. */
#include "broker/feature_levels.h"

const struct feature_range broker_features[] = {
    {STR("metadata.version"), 7, 33},
};
const uint32_t broker_feature_count = sizeof broker_features / sizeof broker_features[0];
