// SPDX-License-Identifier: Apache-2.0
/* leat bench produce, consume, e2e, storage: leat-bench (tools/bench) under leat's roof. What stands in front of the
 * command (-b, --timeout, --json) and LEAT_BROKER is handed on; what stands behind it is leat-bench's own, and wins. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"

#include "tools/bench/bench.h"
#include "tools/bench/numbers.h"
#include <stdlib.h>
#include <string.h>

#define OURS 8 /* words in front of the user's */

static const struct option_spec no_options[] = {{'\0', NULL, NULL, NULL, NULL}};

static int run_bench(const struct session *s, const char *mode, int argc, char **argv)
{
    static char bench[] = "leat bench", broker[] = "--bootstrap", timeout[] = "--timeout", json[] = "--json",
                out[] = "-";
    char seconds[24], *name = strdup(mode), *brokers = strdup(s->brokers);
    char **all = calloc((size_t)argc + OURS + 1, sizeof *all);
    bool client = strcmp(mode, "storage") != 0;
    int n = 0;
    if (all == NULL || name == NULL || brokers == NULL) abort();
    snprintf(seconds, sizeof seconds, "%lld", (long long)(s->timeout_ms / 1000));
    all[n++] = bench;
    all[n++] = name;
    if (client) {
        all[n++] = broker;
        all[n++] = brokers;
        all[n++] = timeout;
        all[n++] = seconds;
    }
    if (s->json) {
        all[n++] = json;
        all[n++] = out;
    }
    memcpy(all + n, argv, (size_t)argc * sizeof *all);
    bench_name = bench;
    optind = 0; /* glibc: begin anew */
    int code = bench_main(n + argc, all);
    free(name);
    free(brokers);
    free(all);
    return code;
}

static int run_produce(struct session *s, int argc, char **argv)
{
    return run_bench(s, "produce", argc, argv);
}

static int run_consume(struct session *s, int argc, char **argv)
{
    return run_bench(s, "consume", argc, argv);
}

static int run_e2e(struct session *s, int argc, char **argv)
{
    return run_bench(s, "e2e", argc, argv);
}

static int run_storage(struct session *s, int argc, char **argv)
{
    return run_bench(s, "storage", argc, argv);
}

const struct command command_bench_produce = {
    .group = "bench",
    .name = "produce",
    .words = "OPTIONS...",
    .summary = "load a broker, measure acknowledgements",
    .options = no_options,
    .run_own = run_produce,
    .own_options = bench_client_longs,
};

const struct command command_bench_consume = {
    .group = "bench",
    .name = "consume",
    .words = "OPTIONS...",
    .summary = "read as fast as it comes, verify",
    .options = no_options,
    .run_own = run_consume,
    .own_options = bench_client_longs,
};

const struct command command_bench_e2e = {
    .group = "bench",
    .name = "e2e",
    .words = "OPTIONS...",
    .summary = "write and read, measure the way through, verify",
    .options = no_options,
    .run_own = run_e2e,
    .own_options = bench_client_longs,
};

const struct command command_bench_storage = {
    .group = "bench",
    .name = "storage",
    .words = "OPTIONS...",
    .summary = "the storage engine alone, without a broker",
    .options = no_options,
    .run_own = run_storage,
    .own_options = bench_storage_longs,
};
