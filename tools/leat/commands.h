// SPDX-License-Identifier: Apache-2.0
/* The commands, one file each. */
#pragma once
#include "tools/leat/command.h"

extern const struct command command_topic_create, command_topic_list, command_topic_describe, command_topic_alter,
    command_topic_delete, command_topic_undelete, command_produce, command_consume, command_cluster_status,
    command_dump, command_bench_produce, command_bench_consume, command_bench_e2e, command_bench_storage,
    command_completion, command_group_list, command_group_describe, command_group_lag, command_group_reset,
    command_group_delete, command_config_describe, command_config_alter;
