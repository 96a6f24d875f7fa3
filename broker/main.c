// SPDX-License-Identifier: Apache-2.0
/* leatd: from the command line to running shards.
 *
 * Path: options -> configuration (file, environment, -o) -> settings -> limits of the process -> probe of the log
 * directory -> env_uring_run_shards (shard.c) -> exit code.
 *
 * Exit codes: 0 clean stop, or --help, --version, --check-config without a fault; 1 the broker could not start or did
 * not end cleanly; 2 wrong options or configuration. Every failure is one sentence on standard error. */
#include "base/bytes.h"
#include "base/config.h"
#include "base/env_uring.h"
#include "base/log.h"
#include "base/probe.h"
#include "broker/shard.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_MEMORY_BYTES ((uint64_t)4 << 30) /* budget of configuration and topics; touched only when used */
#define PROBE_LINE_MAX     512
#define MIB                ((uint64_t)1 << 20)
#define MEMORY_MIN_BYTES   (256 * MIB)
#define CONNECTIONS_SHARE  8u     /* of few descriptors an eighth; of many, what files leave */
#define FILES_MAX_SHARE    16384u /* segment files take half of the descriptors, at most this many (store.c) */
#define FILES_RESERVE      4096u  /* journals, tables, directories being synced */

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

extern char **environ;

struct options {
    const char *file;
    bool check_only;
};

static void sink(void *arg, enum log_level level, const char *line, size_t size)
{
    (void)arg;
    (void)level;
    fwrite(line, 1, size, stderr); /* one call per line: stderr's lock keeps lines whole */
}

static void usage(FILE *out)
{
    fprintf(out, "usage: leatd [--config FILE] [-o key=value ...] [--check-config] [--version] [--help]\n"
                 "\n"
                 "Keys are Apache Kafka's where it has one, leat.* where not; broker/README.md lists them.\n"
                 "Also from the environment: LEAT_LOG_DIRS for log.dirs.\n"
                 "\n"
                 "  leatd -o listeners=PLAINTEXT://127.0.0.1:9092 -o log.dirs=data -o leat.topics=events:3\n");
}

static int fault(const char *text)
{
    fprintf(stderr, "leatd: %s\n", text);
    return EXIT_USAGE;
}

/* The whole file; NULL: said why. */
static char *read_file(struct mem *m, const char *path, size_t *ret_size)
{
    FILE *f = fopen(path, "rb");
    char *text = f != NULL ? mem_alloc(m, MEM_CONTROL, CONFIG_TEXT_MAX + 1) : NULL;
    if (f == NULL || text == NULL) {
        fprintf(stderr, "leatd: %s: %s\n", path, f == NULL ? strerror(errno) : "no memory");
        if (f != NULL) fclose(f);
        return NULL;
    }
    *ret_size = fread(text, 1, CONFIG_TEXT_MAX + 1, f);
    bool bad = ferror(f) != 0;
    fclose(f);
    if (!bad && *ret_size <= CONFIG_TEXT_MAX) return text;
    fprintf(stderr, "leatd: %s: %s\n", path, bad ? "cannot be read" : "larger than 1 MiB, no configuration");
    mem_free(m, MEM_CONTROL, text, CONFIG_TEXT_MAX + 1);
    return NULL;
}

static enum status load_file(struct config *c, struct mem *m, const char *path, struct config_error *error)
{
    size_t size;
    char *text = read_file(m, path, &size);
    error->text[0] = '\0';
    if (text == NULL) return STATUS_INVALID;
    enum status s = config_load(c, path, text, size, error);
    mem_free(m, MEM_CONTROL, text, CONFIG_TEXT_MAX + 1);
    return s;
}

/* Options that end the program set *ret_exit; -1: go on. */
static enum status read_options(struct config *c, struct mem *m, int argc, char **argv, struct options *ret_options,
                                int *ret_exit)
{
    struct config_error error = {""};
    enum status s = config_load_env(c, (const char *const *)environ, &error);
    *ret_exit = -1;
    for (int i = 1; s == STATUS_OK && i < argc; i++) {
        const char *a = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            usage(stdout);
            *ret_exit = EXIT_OK;
            return STATUS_OK;
        }
        if (strcmp(a, "--version") == 0) {
            printf("leatd %s\n", LEAT_VERSION);
            *ret_exit = EXIT_OK;
            return STATUS_OK;
        }
        if (strcmp(a, "--check-config") == 0) {
            ret_options->check_only = true;
        } else if (strcmp(a, "--config") == 0 && next != NULL) {
            ret_options->file = argv[++i];
            s = load_file(c, m, ret_options->file, &error);
        } else if (strcmp(a, "-o") == 0 && next != NULL) {
            s = config_option(c, argv[++i], &error);
        } else {
            fprintf(stderr, "leatd: %s: %s\n", a, next == NULL ? "unknown, or its value is missing" : "unknown option");
            usage(stderr);
            return STATUS_INVALID;
        }
    }
    if (s != STATUS_OK && error.text[0] != '\0') (void)fault(error.text);
    return s;
}

static uint64_t quarter_of_machine(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 4 : MEMORY_MIN_BYTES;
}

static uint64_t shard_memory_min(const struct broker_config *b)
{
    struct store_config store;
    store_config_init(&store);
    store.batch_bytes_max = b->batch_max_bytes;
    return store_memory_min(&store);
}

static void settle(struct broker_config *b)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (b->shards == 0) b->shards = cores < 1 ? 1 : (uint32_t)MIN(cores, BROKER_SHARDS_MAX);
    uint64_t least = MAX(MEMORY_MIN_BYTES, b->shards * shard_memory_min(b)); /* touched only when used */
    if (b->memory_bytes == 0) b->memory_bytes = MAX(quarter_of_machine(), least);
}

/* What the settings need together. */
static bool enough_memory(const struct broker_config *b, char error[512])
{
    uint64_t each = (shard_memory_min(b) + MIB - 1) / MIB;
    if (b->memory_bytes / MIB >= each * b->shards) return true;
    snprintf(
        error, 512,
        "leat.memory.bytes: %llu MiB are too little for leat.batch.max.bytes=%u and %u shards: at least %llu MiB (%llu "
        "for each shard), or lower leat.shards or leat.batch.max.bytes",
        (unsigned long long)(b->memory_bytes / MIB), b->batch_max_bytes, b->shards,
        (unsigned long long)(each * b->shards), (unsigned long long)each);
    return false;
}

/* The log directory and those above it; what cannot be made the probe finds missing, and says so. */
static void make_directory(const char *dir)
{
    char path[sizeof((struct broker_config *)0)->log_dir];
    snprintf(path, sizeof path, "%s", dir);
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/') continue;
        *p = '\0';
        (void)mkdir(path, 0750);
        *p = '/';
    }
    (void)mkdir(path, 0750);
}

/* Connections leave descriptors to files: without one a directory cannot be synced, and that would fence the disk. */
static void limit_connections(struct broker_config *c, uint64_t descriptors)
{
    uint64_t files = MIN(descriptors / 2, FILES_MAX_SHARE) + FILES_RESERVE, most = descriptors / CONNECTIONS_SHARE;
    if (descriptors > files) most = MAX(most, descriptors - files);
    if (c->connections_max > most) c->connections_max = (uint32_t)most;
}

static enum status probe(struct broker_config *c, struct env_uring_config *env, char line[PROBE_LINE_MAX])
{
    struct probe_result result;
    char error[256], ours[sizeof c->log_dir + 16];
    make_directory(c->log_dir);
    snprintf(ours, sizeof ours, "%s/leat.directory", c->log_dir);
    enum status s = probe_run(c->log_dir, access(ours, F_OK) == 0, &result, error);
    if (s != STATUS_OK) {
        fprintf(stderr, "leatd: log.dirs=%s: %s\n", c->log_dir, error);
        return s;
    }
    limit_connections(c, result.nofile);
    env->dio_align = result.dio_align;
    env->dsync_cheaper = result.dsync_cheaper;
    probe_line(&result, line, PROBE_LINE_MAX);
    return s;
}

static int run(struct broker_config *c, const struct config *source)
{
    static struct broker b; /* larger than a stack should hold */
    char error[256], line[PROBE_LINE_MAX] = "";
    b = (struct broker){.config = c, .source = source, .sink = sink, .probe = line};
    disk_init(&b.disk);
    struct env_uring_config env = {.memory_bytes = c->memory_bytes / c->shards, .on_signal = shard_signal};
    enum status s = probe(c, &env, line);
    if (s == STATUS_OK) {
        s = env_uring_run_shards(&env, c->shards, shard_start, &b, error);
        if (s != STATUS_OK) fprintf(stderr, "leatd: %s\n", error);
    }
    return s == STATUS_OK && !b.failed ? EXIT_OK : EXIT_FAILED;
}

static int configured(struct config *c, struct mem *m, int argc, char **argv)
{
    struct options options = {0};
    static struct broker_config b; /* points into itself */
    char host[256] = "localhost", error[512];
    int code;
    if (read_options(c, m, argc, argv, &options, &code) != STATUS_OK) return EXIT_USAGE;
    if (code >= 0) return code;
    (void)gethostname(host, sizeof host - 1);
    if (broker_config_read(c, host, &b, error) != STATUS_OK) return fault(error);
    settle(&b);
    if (!enough_memory(&b, error)) return fault(error);
    return options.check_only ? EXIT_OK : run(&b, c);
}

int main(int argc, char **argv)
{
    struct mem *m = mem_create(START_MEMORY_BYTES);
    struct config *c = m != NULL ? config_create(m, broker_keys, broker_key_count) : NULL;
    if (c == NULL) {
        fprintf(stderr, "leatd: no memory\n");
        return EXIT_FAILED;
    }
    int code = configured(c, m, argc, argv);
    config_destroy(c);
    mem_destroy(m);
    return code;
}
