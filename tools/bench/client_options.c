// SPDX-License-Identifier: Apache-2.0
/* The command line of produce, consume and e2e. Happy path: getopt_long, then the rules between options. Failure: a
 * sentence that names the option, exit code 2. */
#include "tools/bench/client_options.h"

#include "base/bytes.h"
#include "tools/bench/bench.h"
#include "tools/bench/numbers.h"
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "Loads any broker that speaks the Kafka protocol, and measures it.\n"
    "\n"
    "Where\n"
    "  --bootstrap LIST      (-b, --broker) HOST:PORT, several with commas\n"
    "  --topic NAME          made if it is not there and the broker serves CreateTopics\n"
    "  --topics N            topics NAME-0 to NAME-(N-1) instead (default 1: NAME itself)\n"
    "  --partitions N        of each topic; when it is there: must agree (default: what it has, 6 when made)\n"
    "  --replication N       of topics that are made (default: the broker's)\n"
    "  --topic-config K=V    of topics that are made; may be repeated\n"
    "  --delete              delete the topics afterwards\n"
    "Load (produce, e2e)\n"
    "  --rate N|max          records per second at fixed times, whatever the broker does: latency counts from the "
    "time\n"
    "                        a record was due; max (default): closed loop, latency counts from the send\n"
    "  --size N              bytes of a record's value, 40 to 1M (default 1k)\n"
    "  --batch-records N     records per batch (default 16); a batch is sent when it is full\n"
    "  --one-per-request     the same as --batch-records 1 --request-batches 1\n"
    "  --request-batches N   batches, each of another partition, per request (default 1)\n"
    "  --keys N              records have keys, N different ones per partition (default 0: none)\n"
    "  --codec NAME          none, gzip, snappy, lz4, zstd (default none)\n"
    "  --payload NAME        random (default; incompressible) or text (words; lz4 makes it 2 to 3 times smaller)\n"
    "  --acks N              all (default), 1 or 0\n"
    "  --idempotent          one producer id per connection\n"
    "  --connections N       that produce (default 1); with consume: that fetch\n"
    "  --outstanding N       requests in flight per connection (default 5)\n"
    "  --seconds S           measured (default 10; consume: at most), after --warmup S (default 2; consume: 0)\n"
    "  --count N             records in all instead of --seconds; no warm-up\n"
    "Reading (consume, e2e)\n"
    "  --readers N           connections that fetch (e2e; default 1 per broker and thread)\n"
    "  --follow              consume: do not end where the log ended at the start, but after --seconds\n"
    "  --fetch-bytes N       per partition and request (default 1M); --fetch-wait MS at the broker (default 500)\n"
    "  --run ID              of the records to read, as produce tells it (default: that of the first one found)\n"
    "  --expect N            records that must be read\n"
    "  --no-verify           count only; do not look into the records\n"
    "Generator and report\n"
    "  --threads N           of the generator (default 1)\n"
    "  --pid LIST            processes of the broker: their CPU and memory are reported\n"
    "  --probe-dir DIR       probe the disk of this directory before and after (1 s and 512 MiB each)\n"
    "  --no-probe            no probes, not even the loopback round trip\n"
    "  --timeout S           end with an error when the broker owes an answer that long (default 30)\n"
    "  --json FILE           also write the figures as JSON; -: to standard output, the table goes to standard error\n"
    "\n"
    "Exit code: 0 measured, 1 the broker failed or what was read is not what was written, 2 wrong usage.\n";

enum {
    OPT_BOOTSTRAP = 256,
    OPT_TOPIC,
    OPT_TOPICS,
    OPT_PARTITIONS,
    OPT_REPLICATION,
    OPT_TOPIC_CONFIG,
    OPT_DELETE,
    OPT_RATE,
    OPT_SIZE,
    OPT_BATCH_RECORDS,
    OPT_ONE_PER_REQUEST,
    OPT_REQUEST_BATCHES,
    OPT_KEYS,
    OPT_CODEC,
    OPT_PAYLOAD,
    OPT_ACKS,
    OPT_IDEMPOTENT,
    OPT_CONNECTIONS,
    OPT_OUTSTANDING,
    OPT_SECONDS,
    OPT_WARMUP,
    OPT_COUNT,
    OPT_READERS,
    OPT_FOLLOW,
    OPT_FETCH_BYTES,
    OPT_FETCH_WAIT,
    OPT_RUN,
    OPT_EXPECT,
    OPT_NO_VERIFY,
    OPT_THREADS,
    OPT_PID,
    OPT_PROBE_DIR,
    OPT_NO_PROBE,
    OPT_TIMEOUT,
    OPT_JSON,
    OPT_HELP
};

const struct option bench_client_longs[] = {
    {"bootstrap", required_argument, NULL, OPT_BOOTSTRAP},
    {"broker", required_argument, NULL, OPT_BOOTSTRAP},
    {"topic", required_argument, NULL, OPT_TOPIC},
    {"topics", required_argument, NULL, OPT_TOPICS},
    {"partitions", required_argument, NULL, OPT_PARTITIONS},
    {"replication", required_argument, NULL, OPT_REPLICATION},
    {"topic-config", required_argument, NULL, OPT_TOPIC_CONFIG},
    {"delete", no_argument, NULL, OPT_DELETE},
    {"rate", required_argument, NULL, OPT_RATE},
    {"size", required_argument, NULL, OPT_SIZE},
    {"batch-records", required_argument, NULL, OPT_BATCH_RECORDS},
    {"one-per-request", no_argument, NULL, OPT_ONE_PER_REQUEST},
    {"request-batches", required_argument, NULL, OPT_REQUEST_BATCHES},
    {"keys", required_argument, NULL, OPT_KEYS},
    {"codec", required_argument, NULL, OPT_CODEC},
    {"payload", required_argument, NULL, OPT_PAYLOAD},
    {"acks", required_argument, NULL, OPT_ACKS},
    {"idempotent", no_argument, NULL, OPT_IDEMPOTENT},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"outstanding", required_argument, NULL, OPT_OUTSTANDING},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"count", required_argument, NULL, OPT_COUNT},
    {"readers", required_argument, NULL, OPT_READERS},
    {"follow", no_argument, NULL, OPT_FOLLOW},
    {"fetch-bytes", required_argument, NULL, OPT_FETCH_BYTES},
    {"fetch-wait", required_argument, NULL, OPT_FETCH_WAIT},
    {"run", required_argument, NULL, OPT_RUN},
    {"expect", required_argument, NULL, OPT_EXPECT},
    {"no-verify", no_argument, NULL, OPT_NO_VERIFY},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"pid", required_argument, NULL, OPT_PID},
    {"probe-dir", required_argument, NULL, OPT_PROBE_DIR},
    {"no-probe", no_argument, NULL, OPT_NO_PROBE},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"json", required_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static const char *const mode_names[] = {"produce", "consume", "e2e", NULL};
static const char *const codec_names[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};
static const char *const payload_names[] = {"random", "text", NULL};
static const char *const acks_names[] = {"all", "0", "1", NULL}; /* -1, 0, 1 */

const char *bench_mode_name(enum bench_mode m)
{
    return mode_names[m];
}

static bool take_rate(const char *text, struct client_options *o)
{
    char *end;
    o->rate = 0;
    if (strcmp(text, "max") == 0) return true;
    o->rate = strtod(text, &end);
    if (end == text || *end != '\0' || !(o->rate >= 0.1 && o->rate <= 1e8))
        return option_refuse("rate", text, "records per second, 0.1 to 1e8, or max");
    return true;
}

static bool take_config(const char *text, struct client_options *o)
{
    const char *sign = strchr(text, '=');
    if (sign == NULL || sign == text) return option_refuse("topic-config", text, "KEY=VALUE");
    if (o->config_count == BENCH_CONFIGS_MAX) return option_refuse("topic-config", text, "at most 16 of them");
    o->configs[o->config_count++] = text;
    return true;
}

static bool take_run(const char *text, struct client_options *o)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 16);
    if (end == text || *end != '\0' || value == 0 || text[0] == '-')
        return option_refuse("run", text, "the run's hexadecimal number");
    o->run = value;
    return true;
}

static bool take_pids(const char *text, struct client_options *o)
{
    uint32_t pids[BENCH_PIDS_MAX];
    if (!option_list("pid", text, 1, 1u << 22, BENCH_PIDS_MAX, pids, &o->pid_count)) return false;
    for (uint32_t i = 0; i < o->pid_count; i++) o->pids[i] = pids[i];
    return true;
}

static bool take_word(int opt, const char *text, struct client_options *o)
{
    uint32_t n = 0;
    bool good;
    if (opt == OPT_CODEC) {
        good = option_word("codec", text, codec_names, &n);
        o->codec = (enum codec)n;
    } else if (opt == OPT_PAYLOAD) {
        good = option_word("payload", text, payload_names, &n);
        o->payload = (enum payload)n;
    } else {
        good = option_word("acks", text, acks_names, &n);
        o->acks = (int16_t)((int16_t)n - 1);
    }
    return good;
}

static bool take_plain(int opt, const char *text, struct client_options *o)
{
    uint32_t n = 0;
    switch (opt) {
    case OPT_BOOTSTRAP: o->bootstrap = text; return true;
    case OPT_TOPIC: o->topic = text; return true;
    case OPT_PROBE_DIR: o->probe_dir = text; return true;
    case OPT_JSON: o->json = text; return true;
    case OPT_DELETE: return o->delete_topics = true;
    case OPT_IDEMPOTENT: return o->idempotent = true;
    case OPT_FOLLOW: return o->follow = true;
    case OPT_NO_VERIFY: o->verify = false; return true;
    case OPT_NO_PROBE: o->probe = false; return true;
    case OPT_ONE_PER_REQUEST: o->batch_records = o->request_batches = 1; return true;
    case OPT_REPLICATION:
        if (!option_number32("replication", text, 1, 32767, &n)) return false;
        o->replication = (int32_t)n;
        return true;
    case OPT_FETCH_WAIT:
        if (!option_number32("fetch-wait", text, 0, 60000, &n)) return false;
        o->fetch_wait_ms = (int32_t)n;
        return true;
    default: return false;
    }
}

static bool take(int opt, const char *text, struct client_options *o)
{
    switch (opt) {
    case OPT_TOPICS: return option_number32("topics", text, 1, 1000, &o->topics);
    case OPT_PARTITIONS: return option_number32("partitions", text, 1, 1000000, &o->partitions);
    case OPT_TOPIC_CONFIG: return take_config(text, o);
    case OPT_RATE: return take_rate(text, o);
    case OPT_SIZE: return option_number32("size", text, RECORD_HEAD_BYTES, 1u << 20, &o->size_bytes);
    case OPT_BATCH_RECORDS: return option_number32("batch-records", text, 1, 1u << 20, &o->batch_records);
    case OPT_REQUEST_BATCHES: return option_number32("request-batches", text, 1, 256, &o->request_batches);
    case OPT_KEYS: return option_number32("keys", text, 0, 1u << 30, &o->keys);
    case OPT_CODEC:
    case OPT_PAYLOAD:
    case OPT_ACKS: return take_word(opt, text, o);
    case OPT_CONNECTIONS: return option_number32("connections", text, 1, BENCH_CONNECTIONS_MAX, &o->connections);
    case OPT_OUTSTANDING: return option_number32("outstanding", text, 1, 10000, &o->outstanding);
    case OPT_SECONDS: return option_seconds("seconds", text, &o->seconds);
    case OPT_WARMUP: return option_seconds("warmup", text, &o->warmup_seconds);
    case OPT_COUNT: return option_number("count", text, 1, 1ull << 40, &o->count);
    case OPT_READERS: return option_number32("readers", text, 1, BENCH_CONNECTIONS_MAX, &o->readers);
    case OPT_FETCH_BYTES: return option_number32("fetch-bytes", text, 1024, 64u << 20, &o->fetch_bytes);
    case OPT_RUN: return take_run(text, o);
    case OPT_EXPECT: return option_number("expect", text, 1, 1ull << 40, &o->expect);
    case OPT_THREADS: return option_number32("threads", text, 1, 32, &o->threads);
    case OPT_PID: return take_pids(text, o);
    case OPT_TIMEOUT: return option_seconds("timeout", text, &o->timeout_seconds);
    default: return take_plain(opt, text, o);
    }
}

/* ---- rules between options ---- */

static bool say(const char *what)
{
    fprintf(stderr, "%s: %s (see --help)\n", bench_name, what);
    return false;
}

static bool together(struct client_options *o)
{
    if (o->bootstrap == NULL) return say("--bootstrap is missing: HOST:PORT of a broker");
    if (o->topic == NULL || o->topic[0] == '\0') return say("--topic is missing: the name of one to use or to make");
    if (strlen(o->topic) > 240) return say("--topic: at most 240 characters");
    if (o->idempotent && o->acks != -1) return say("--idempotent needs --acks all");
    if (o->mode == BENCH_E2E && o->acks == 0) return say("e2e compares with what was acknowledged: --acks all or 1");
    if (o->seconds <= 0 && o->count == 0) return say("--seconds: more than 0");
    if (o->timeout_seconds <= 0) return say("--timeout: more than 0");
    if (o->mode == BENCH_E2E && !o->verify) return say("e2e looks into the records: leave out --no-verify");
    if (o->expect > 0 && !o->verify) return say("--expect needs the records looked into: leave out --no-verify");
    if (o->mode == BENCH_CONSUME && o->count > 0) return say("--count is for produce and e2e; consume has --expect");
    if (!client_reads(o) && (o->follow || o->expect > 0)) return say("--follow and --expect are for consume");
    uint64_t request = (uint64_t)o->size_bytes * o->batch_records * o->request_batches;
    if (request > 64ull << 20) return say("one request would be larger than 64 MiB: smaller --size or batches");
    if (request * o->outstanding * o->connections > BENCH_FLIGHT_MAX)
        return say("more than 2 GiB could be in flight: fewer --connections, --outstanding, or smaller requests");
    if (o->count > 0 || o->mode == BENCH_CONSUME) o->warmup_seconds = 0;
    return true;
}

bool client_options_parse(int argc, char **argv, struct client_options *ret_options, int *ret_code)
{
    struct client_options *o = ret_options;
    uint32_t mode = 0;
    int opt;
    *o = (struct client_options){.topics = 1,
                                 .replication = -1,
                                 .connections = 1,
                                 .outstanding = 5,
                                 .readers = 1,
                                 .threads = 1,
                                 .size_bytes = 1024,
                                 .batch_records = 16,
                                 .request_batches = 1,
                                 .acks = -1,
                                 .seconds = 10,
                                 .warmup_seconds = 2,
                                 .verify = true,
                                 .fetch_bytes = 1u << 20,
                                 .fetch_wait_ms = 500,
                                 .timeout_seconds = 30,
                                 .probe = true};
    *ret_code = EXIT_BENCH_USAGE;
    opterr = 0;
    if (!option_word("mode", argv[0], mode_names, &mode)) return false;
    o->mode = (enum bench_mode)mode;
    while ((opt = getopt_long(argc, argv, ":hb:", bench_client_longs, NULL)) != -1) {
        if (opt == OPT_HELP || opt == 'h') {
            printf("Usage: %s %s --bootstrap HOST:PORT --topic NAME [options]\n%s", bench_name, argv[0], help);
            *ret_code = EXIT_SUCCESS;
            return false;
        }
        if (opt == '?' || opt == ':') return option_unknown(bench_client_longs, opt, argv);
        if (!take(opt == 'b' ? OPT_BOOTSTRAP : opt, optarg, o)) return false;
    }
    if (optind < argc) {
        fprintf(stderr, "%s: %s: not an option (see --help)\n", bench_name, argv[optind]);
        return false;
    }
    return together(o);
}
