// SPDX-License-Identifier: Apache-2.0
/* leat produce: lines of standard input, or of files, as records.
 *
 * Happy path: line -> key and value -> the producer; when the input pauses, what there is goes out at once; at the end
 * everything is acknowledged, or the exit code is not 0.
 * Failure modes: a refused batch or a broker that stays away ends it; the error says how many records are safe. */
#include "tools/leat/commands.h"
#include "tools/leat/lines.h"
#include "tools/leat/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADERS_MAX 64

static const struct option_spec options[] = {
    {'k', "key-separator", "STRING", "what stands before it is the key", NULL},
    {'H', "header", "NAME=VALUE", "a header for each record (may be repeated)", NULL},
    {'p', "partition", "N", "this one; else by key, without a key any", NULL},
    {'c', "codec", "NAME", "none, gzip, snappy, lz4 or zstd (none)", "none gzip snappy lz4 zstd"},
    {'a', "acks", "WHO", "all, 1 (the leader) or 0 (nobody); all", "all 1 0"},
    {'z', "empty-is-null", NULL, "an empty value is null: in a compacted topic it deletes the key", NULL},
    {'0', "null", NULL, "records end with a NUL byte, not with a line", NULL},
    {'v', "verbose", NULL, "write where each batch went to standard output", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static const char text[] =
    "With --acks all a batch that has to be sent again is stored once. Exit code 0 means: every record is\n"
    "acknowledged.\n";

struct produce {
    struct session *session;
    struct leat_producer *producer;
    struct leat_producer_options options;
    const char *separator;
    size_t separator_len;
    struct leat_header headers[HEADERS_MAX];
    size_t header_count;
    int64_t partition;
    bool empty_is_null;
    char end;
    struct progress progress;
};

static void delivered(void *arg, int32_t partition, int64_t base_offset, uint32_t records)
{
    const struct produce *p = arg;
    if (p->session->json)
        print_json(p->session, json_pack("{s:i, s:I, s:I}", "partition", partition, "offset", (json_int_t)base_offset,
                                         "records", (json_int_t)records));
    else if (base_offset >= 0)
        printf("partition %d offset %lld records %u\n", partition, (long long)base_offset, records);
    else
        printf("partition %d offset unknown records %u\n", partition, records);
}

static int failed(const struct produce *p, const struct leat_error *e)
{
    struct leat_producer_counts counts;
    int code = complain_leat(p->session, e);
    leat_producer_counts(p->producer, &counts);
    complain(p->session, "%llu of %llu records are acknowledged", (unsigned long long)counts.acked_records,
             (unsigned long long)counts.records);
    return code;
}

static int flush(struct produce *p)
{
    struct leat_error e;
    enum leat_code code;
    do { /* its own clock, the delivery timeout, decides */
        code = leat_producer_flush(p->producer, p->session->timeout_ms, &e);
        fflush(stdout);
    } while ((code == LEAT_TIMED_OUT || code == LEAT_UNREACHABLE) && e.retriable);
    return code == LEAT_OK ? EXIT_DONE : failed(p, &e);
}

static void split(const struct produce *p, const char *line, size_t len, struct leat_record *r)
{
    const char *cut = p->separator_len == 0 ? NULL : memmem(line, len, p->separator, p->separator_len);
    const char *value = cut == NULL ? line : cut + p->separator_len;
    if (cut != NULL) {
        r->key = line;
        r->key_len = (int32_t)(cut - line);
    }
    r->value = value;
    r->value_len = (int32_t)(len - (size_t)(value - line));
    if (r->value_len == 0 && p->empty_is_null) r->value_len = -1;
}

static int send_line(struct produce *p, const char *line, size_t len)
{
    struct leat_record r;
    struct leat_error e;
    struct leat_producer_counts counts;
    leat_record_init(&r);
    if (len > INT32_MAX / 2) {
        complain(p->session, "a record of %zu bytes is too long", len);
        return EXIT_FAILED;
    }
    split(p, line, len, &r);
    r.headers = p->headers;
    r.header_count = p->header_count;
    r.partition = (int32_t)p->partition;
    if (leat_produce(p->producer, &r, p->session->timeout_ms, &e) != LEAT_OK) return failed(p, &e);
    if (p->session->progress) {
        leat_producer_counts(p->producer, &counts);
        progress_show(&p->progress, "sent", counts.records, counts.bytes);
    }
    return EXIT_DONE;
}

static int send_input(struct produce *p, int fd, const char *name)
{
    struct lines lines;
    const char *line;
    size_t len;
    int code = EXIT_DONE;
    lines_init(&lines, fd, p->end);
    for (enum lines_found found = LINES_PAUSE; code == EXIT_DONE && found != LINES_END;) {
        found = lines_next(&lines, &line, &len);
        if (found == LINES_ONE)
            code = send_line(p, line, len);
        else if (found == LINES_PAUSE && (code = flush(p)) == EXIT_DONE)
            lines_wait(&lines);
        else if (found == LINES_FAILED) {
            complain(p->session, "%s: %s", name, strerror(errno));
            code = EXIT_FAILED;
        }
    }
    lines_free(&lines);
    return code;
}

static int send_file(struct produce *p, const char *name)
{
    if (strcmp(name, "-") == 0) return send_input(p, STDIN_FILENO, "standard input");
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        complain(p->session, "%s: %s", name, strerror(errno));
        return EXIT_FAILED;
    }
    int code = send_input(p, fd, name);
    close(fd);
    return code;
}

static bool take_headers(struct produce *p, const struct args *a)
{
    const char *given;
    for (size_t i = 0; (given = args_each(a, "header", &i)) != NULL; p->header_count++) {
        const char *cut = strchr(given, '=');
        if (cut == NULL || cut == given)
            return usage_error(a->command, "--header %s: give NAME=VALUE", given) == EXIT_DONE;
        if (p->header_count == HEADERS_MAX)
            return usage_error(a->command, "more than %d headers", HEADERS_MAX) == EXIT_DONE;
        p->headers[p->header_count] =
            (struct leat_header){given, cut + 1, (int32_t)(cut - given), (int32_t)strlen(cut + 1)};
    }
    return true;
}

static bool take_options(struct produce *p, const struct args *a)
{
    const char *codec = args_value(a, "codec"), *acks = args_value(a, "acks");
    p->separator = args_value(a, "key-separator");
    p->separator_len = p->separator == NULL ? 0 : strlen(p->separator);
    p->partition = -1;
    p->empty_is_null = args_value(a, "empty-is-null") != NULL;
    p->end = args_value(a, "null") != NULL ? '\0' : '\n';
    leat_producer_options_init(&p->options);
    p->options.topic = a->words[0];
    p->options.delivery_timeout_ms = p->session->timeout_ms;
    if (args_value(a, "verbose") != NULL) p->options.delivered = delivered;
    p->options.arg = p;
    if (p->separator != NULL && p->separator_len == 0)
        return usage_error(a->command, "--key-separator is empty") == EXIT_DONE;
    if (codec != NULL && !leat_codec_parse(codec, &p->options.codec))
        return usage_error(a->command, "--codec %s: give none, gzip, snappy, lz4 or zstd", codec) == EXIT_DONE;
    if (acks != NULL && strcmp(acks, "all") != 0 && strcmp(acks, "-1") != 0) {
        if (strcmp(acks, "1") != 0 && strcmp(acks, "0") != 0)
            return usage_error(a->command, "--acks %s: give all, 1 or 0", acks) == EXIT_DONE;
        p->options.acks = acks[0] - '0';
        p->options.idempotent = false;
    }
    return args_number(a, "partition", 0, INT32_MAX, &p->partition) && take_headers(p, a);
}

static int run(struct session *s, const struct args *a)
{
    struct produce p = {.session = s};
    struct leat_error e;
    int code = EXIT_USAGE;
    if (!take_options(&p, a) || !session_client(s, &code)) return code;
    if (leat_producer_create(s->client, &p.options, &p.producer, &e) != LEAT_OK) return complain_leat(s, &e);
    code = EXIT_DONE;
    progress_begin(&p.progress, s);
    if (a->word_count == 1) code = send_file(&p, "-");
    for (int i = 1; i < a->word_count && code == EXIT_DONE; i++) code = send_file(&p, a->words[i]);
    progress_end(&p.progress);
    if (code == EXIT_DONE) code = flush(&p);
    leat_producer_destroy(p.producer);
    return code;
}

const struct command command_produce = {
    .name = "produce",
    .words = "TOPIC [FILE...]",
    .summary = "lines of standard input or of files as records",
    .text = text,
    .options = options,
    .words_min = 1,
    .words_max = -1,
    .complete = COMPLETE_TOPICS,
    .run = run,
};
