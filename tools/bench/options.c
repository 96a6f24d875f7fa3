// SPDX-License-Identifier: Apache-2.0
/* The command line of leat-bench. Happy path: getopt_long, numbers with k, M, G, lists with commas. Failure: a sentence
 * that names the option, exit code 2. */
#include "tools/bench/options.h"

#include "base/bytes.h"
#include "tools/bench/bench.h"
#include "tools/bench/numbers.h"
#include <stdio.h>
#include <string.h>

static const char help[] =
    "Measures the storage engine alone, on one core and a real directory: every append is flushed before it counts.\n"
    "\n"
    "  --dir DIR           an existing directory on the disk to measure; a folder leat-bench.PID is made in it and\n"
    "                      removed at the end\n"
    "  --partitions LIST   active partitions, up to 1,000,000 (default 100); 1,100,10000 gives three runs\n"
    "  --size LIST         bytes of an append (one record batch), 128 to 1M (default 1k)\n"
    "  --outstanding N     appends in flight, round robin over the partitions (default 256)\n"
    "  --seconds S         length of each run (default 5), after --warmup S (default 1)\n"
    "  --count N           appends of each run, instead of --seconds; no warm-up\n"
    "  --journal BYTES     size of the journal (default 1G), made whole before the run\n"
    "  --memory BYTES      memory of the engine (default a quarter of the machine)\n"
    "  --shards 1          one shard, one core: nothing else is offered yet\n"
    "  --verify            afterwards read up to 10,000 appends back and compare\n"
    "  --no-probe          leave out the raw probes of the disk before and after\n"
    "  --json FILE         also write the figures as JSON; -: to standard output, the table goes to standard error\n"
    "  --keep              keep the folder\n"
    "Other questions, instead of the runs:\n"
    "  --recover           fill the journal, kill -9 the writer, measure the next open\n"
    "  --idle N            memory of N partitions without data, new and after a restart\n"
    "\n"
    "Exit code: 0 measured, 1 the engine, the directory or --verify failed, 2 wrong usage.\n";

enum {
    OPT_DIR = 256,
    OPT_PARTITIONS,
    OPT_SIZE,
    OPT_OUTSTANDING,
    OPT_SECONDS,
    OPT_WARMUP,
    OPT_COUNT,
    OPT_JOURNAL,
    OPT_MEMORY,
    OPT_SHARDS,
    OPT_VERIFY,
    OPT_NO_PROBE,
    OPT_JSON,
    OPT_KEEP,
    OPT_RECOVER,
    OPT_IDLE,
    OPT_HELP
};

const struct option bench_storage_longs[] = {
    {"dir", required_argument, NULL, OPT_DIR},
    {"partitions", required_argument, NULL, OPT_PARTITIONS},
    {"size", required_argument, NULL, OPT_SIZE},
    {"outstanding", required_argument, NULL, OPT_OUTSTANDING},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"count", required_argument, NULL, OPT_COUNT},
    {"journal", required_argument, NULL, OPT_JOURNAL},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"shards", required_argument, NULL, OPT_SHARDS},
    {"verify", no_argument, NULL, OPT_VERIFY},
    {"no-probe", no_argument, NULL, OPT_NO_PROBE},
    {"json", required_argument, NULL, OPT_JSON},
    {"keep", no_argument, NULL, OPT_KEEP},
    {"recover", no_argument, NULL, OPT_RECOVER},
    {"idle", required_argument, NULL, OPT_IDLE},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool take(int opt, const char *text, struct options *o)
{
    uint64_t n = 0;
    switch (opt) {
    case OPT_DIR: o->dir = text; return true;
    case OPT_JSON: o->json = text; return true;
    case OPT_VERIFY: return o->verify = true;
    case OPT_KEEP: return o->keep = true;
    case OPT_RECOVER: return o->recover = true;
    case OPT_NO_PROBE: o->raw_probe = false; return true;
    case OPT_PARTITIONS:
        return option_list("partitions", text, 1, 1000000, BENCH_RUNS_MAX, o->partitions, &o->partition_runs);
    case OPT_SIZE:
        return option_list("size", text, BENCH_SIZE_MIN, BENCH_SIZE_MAX, BENCH_RUNS_MAX, o->sizes, &o->size_runs);
    case OPT_SECONDS: return option_seconds("seconds", text, &o->seconds);
    case OPT_WARMUP: return option_seconds("warmup", text, &o->warmup_seconds);
    case OPT_COUNT: return option_number("count", text, 1, 1ull << 40, &o->count);
    case OPT_JOURNAL: return option_number("journal", text, 64ull << 20, 64ull << 30, &o->journal_bytes);
    case OPT_MEMORY: return option_number("memory", text, 64ull << 20, 1ull << 40, &o->memory_bytes);
    case OPT_SHARDS: return option_number("shards", text, 1, 1, &n);
    case OPT_OUTSTANDING: return option_number32("outstanding", text, 1, 1u << 20, &o->outstanding);
    case OPT_IDLE: return option_number32("idle", text, 1, 1000000, &o->idle);
    default: return false;
    }
}

bool options_parse(int argc, char **argv, struct options *ret_options, int *ret_code)
{
    struct options *o = ret_options;
    int opt;
    *o = (struct options){.partitions = {100},
                          .partition_runs = 1,
                          .sizes = {1024},
                          .size_runs = 1,
                          .outstanding = 256,
                          .seconds = 5,
                          .warmup_seconds = 1,
                          .journal_bytes = 1ull << 30,
                          .raw_probe = true};
    *ret_code = EXIT_BENCH_USAGE;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":h", bench_storage_longs, NULL)) != -1) {
        if (opt == OPT_HELP || opt == 'h') {
            printf("Usage: %s storage --dir DIR [options]\n%s", bench_name, help);
            *ret_code = 0;
            return false;
        }
        if (opt == '?' || opt == ':') return option_unknown(bench_storage_longs, opt, argv);
        if (!take(opt, optarg, o)) return false;
    }
    if (argc - optind != 1 || strcmp(argv[optind], "storage") != 0) {
        fprintf(stderr, "%s: say what to measure: %s storage --dir DIR (see --help)\n", bench_name, bench_name);
        return false;
    }
    if (o->dir == NULL || (o->recover && o->idle > 0)) {
        fprintf(stderr, "%s: %s\n", bench_name,
                o->dir == NULL ? "--dir is missing: an existing directory on the disk to measure"
                               : "--recover and --idle are two questions: ask one");
        return false;
    }
    return true;
}
