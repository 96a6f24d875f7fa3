// SPDX-License-Identifier: Apache-2.0
/* Session and speech (session.h). Failure modes: no memory ends the process; it is a tool. */
#include "tools/leat/session.h"

#include "base/bytes.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_BROKER  "localhost:9092"
#define TIMEOUT_DEFAULT 30
#define TIMEOUT_MAX     86400
#define PROGRESS_MS     200

int session_init(struct session *s, const struct args *a)
{
    const char *env = getenv("LEAT_BROKER"), *given = args_value(a, "broker");
    const char *no_color = getenv("NO_COLOR");
    bool plain = no_color != NULL && no_color[0] != '\0';
    int64_t seconds = TIMEOUT_DEFAULT;
    *s = (struct session){.brokers = given != NULL ? given : env != NULL && env[0] != '\0' ? env : DEFAULT_BROKER};
    if (!args_number(a, "timeout", 1, TIMEOUT_MAX, &seconds)) return EXIT_USAGE;
    s->timeout_ms = 1000 * seconds;
    s->json = args_value(a, "json") != NULL;
    s->quiet = args_value(a, "quiet") != NULL;
    s->color_out = !plain && isatty(STDOUT_FILENO) == 1;
    s->color_err = !plain && isatty(STDERR_FILENO) == 1;
    s->progress = !s->quiet && isatty(STDERR_FILENO) == 1;
    return -1;
}

void session_deinit(struct session *s)
{
    leat_client_destroy(s->client);
}

bool session_client(struct session *s, int *ret_code)
{
    struct leat_options o;
    struct leat_error e;
    if (s->client != NULL) return true;
    leat_options_init(&o);
    o.brokers = s->brokers;
    o.client_id = "leat";
    o.connect_timeout_ms = MIN(o.connect_timeout_ms, s->timeout_ms);
    if (leat_client_create(&o, &s->client, &e) == LEAT_OK) return true;
    *ret_code = complain_leat(s, &e);
    return false;
}

/* ---- errors ---- */

static char *plain(const char *format, va_list args)
{
    char *text;
    if (vasprintf(&text, format, args) < 0) abort();
    for (char *at = text; *at != '\0'; at++)
        if (((unsigned char)*at < 0x20 || *at == 0x7f) && !(at[0] == '\n' && at[1] == '\0')) *at = '?';
    return text;
}

void print_plain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = plain(format, args);
    va_end(args);
    fputs(text, stdout);
    free(text);
}

void complain(const struct session *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = plain(format, args);
    va_end(args);
    fflush(stdout);
    fprintf(stderr, "%sleat:%s %s\n", color_begin(s->color_err, COLOR_BAD), color_end(s->color_err), text);
    free(text);
}

static int advice(const struct session *s, const struct leat_error *e, const char **ret_text)
{
    *ret_text = NULL;
    switch (e->code) {
    case LEAT_UNREACHABLE:
    case LEAT_TIMED_OUT:
        if (strcmp(s->brokers, DEFAULT_BROKER) == 0 && e->code == LEAT_UNREACHABLE)
            *ret_text = "give the broker's address with -b HOST:PORT or in LEAT_BROKER";
        return EXIT_UNREACHABLE;
    case LEAT_NOT_FOUND:
        *ret_text =
            e->kafka_code == 69 ? "`leat group list` shows what there is" : "`leat topic list` shows what there is";
        return EXIT_FAILED;
    case LEAT_INVALID: return EXIT_USAGE;
    case LEAT_DAMAGED: return EXIT_BAD_NEWS;
    case LEAT_BROKER:
        if (e->kafka_code == 1) *ret_text = "see --from";
        if (e->kafka_code == 22 || e->kafka_code == 25 || e->kafka_code == 68)
            *ret_text = "the group has members; stop them first";
        if (e->kafka_code == 10) *ret_text = "the topic's max.message.bytes is smaller than this batch";
        return EXIT_FAILED;
    case LEAT_OK:
    case LEAT_END:
    case LEAT_NO_MEMORY:
    case LEAT_PROTOCOL:
    case LEAT_UNSUPPORTED: return EXIT_FAILED;
    }
    return EXIT_FAILED;
}

int complain_leat(const struct session *s, const struct leat_error *e)
{
    const char *more;
    int code = advice(s, e, &more);
    complain(s, "%s%s%s", e->text, more ? "; " : "", more ? more : "");
    return code;
}

bool confirmed(const struct session *s, const struct args *a, const char *format, ...)
{
    char answer[16] = "";
    va_list args;
    if (args_value(a, "yes") != NULL || isatty(STDIN_FILENO) != 1) return true;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, " Write 'yes': ");
    if (fgets(answer, sizeof answer, stdin) == NULL) answer[0] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    bool yes = strcmp(answer, "yes") == 0 || strcmp(answer, "y") == 0;
    if (!yes) complain(s, "nothing was changed");
    return yes;
}

/* "a, b"; the caller frees it. */
static char *words_listed(const struct args *a)
{
    char *text = strdup("");
    for (int i = 0; i < a->word_count && text != NULL; i++) {
        char *more = NULL;
        if (asprintf(&more, "%s%s%s", text, i > 0 ? ", " : "", a->words[i]) < 0) abort();
        free(text);
        text = more;
    }
    if (text == NULL) abort();
    return text;
}

int delete_words(struct session *s, const struct args *a, const char *what,
                 enum leat_code (*one)(struct leat_client *client, const char *name, int64_t timeout_ms,
                                       struct leat_error *ret_error))
{
    int code = EXIT_DONE;
    char *names = words_listed(a);
    bool yes = confirmed(s, a, "Delete %s and %s?", names, what);
    free(names);
    if (!yes) return EXIT_FAILED;
    if (!session_client(s, &code)) return code;
    for (int i = 0; i < a->word_count; i++) {
        struct leat_error e;
        if (one(s->client, a->words[i], s->timeout_ms, &e) != LEAT_OK) return complain_leat(s, &e);
        if (!s->json) printf("%s deleted\n", a->words[i]);
    }
    return EXIT_DONE;
}

/* ---- JSON ---- */

void print_json(const struct session *s, json_t *value)
{
    if (value == NULL) abort(); /* no memory */
    size_t flags = JSON_ENCODE_ANY | (isatty(STDOUT_FILENO) == 1 ? JSON_INDENT(2) : JSON_COMPACT);
    if (json_dumpf(value, stdout, flags) != 0 && !ferror(stdout)) complain(s, "this cannot be written as JSON");
    putchar('\n');
    json_decref(value);
}

static json_t *base64(const uint8_t *p, size_t len)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = malloc((len + 2) / 3 * 4 + 1), *at = out;
    if (out == NULL) abort();
    for (size_t i = 0; i < len; i += 3) {
        size_t n = MIN(len - i, (size_t)3);
        uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0u);
        for (size_t k = 0; k < 4; k++) *at++ = k <= n ? letters[v >> (18 - 6 * k) & 63] : '=';
    }
    json_t *value = json_pack("{s:s#}", "base64", out, (size_t)(at - out));
    free(out);
    return value;
}

json_t *json_bytes(const void *data, int64_t len)
{
    if (len < 0) return json_null();
    json_t *text = json_stringn(data == NULL ? "" : data, (size_t)len); /* NULL: no UTF-8 */
    return text != NULL ? text : base64(data, (size_t)len);
}

json_t *json_name(const char *text)
{
    return text == NULL ? json_null() : json_bytes(text, (int64_t)strlen(text));
}

/* ---- colours and tables ---- */

const char *color_begin(bool on, enum color c)
{
    static const char *const codes[] = {[COLOR_NONE] = "",
                                        [COLOR_GOOD] = "\033[32m",
                                        [COLOR_BAD] = "\033[31m",
                                        [COLOR_DIM] = "\033[2m",
                                        [COLOR_HEAD] = "\033[1m"};
    return on ? codes[c] : "";
}

const char *color_end(bool on)
{
    return on ? "\033[0m" : "";
}

void print_heading(const struct session *s, const char *name)
{
    fputs(color_begin(s->color_out, COLOR_HEAD), stdout);
    print_plain("%s", name);
    fputs(color_end(s->color_out), stdout);
}

void table_init(struct table *t, int columns)
{
    *t = (struct table){.columns = columns};
}

void table_cell(struct table *t, const char *format, ...)
{
    va_list args;
    if (t->rows == t->capacity) {
        t->capacity = MAX(2 * t->capacity, 64);
        t->cells = realloc(t->cells, (size_t)t->capacity * sizeof *t->cells);
        if (t->cells == NULL) abort();
    }
    va_start(args, format);
    t->cells[t->rows++] = plain(format, args);
    va_end(args);
}

static bool right(const char *cell)
{
    return (cell[0] >= '0' && cell[0] <= '9' && strchr(cell, ':') == NULL) || strcmp(cell, "-") == 0;
}

void table_print(const struct session *s, const struct table *t)
{
    int width[16] = {0};
    for (int i = 0; i < t->rows; i++) width[i % t->columns] = MAX(width[i % t->columns], (int)strlen(t->cells[i]));
    for (int i = 0; i < t->rows; i++) {
        int column = i % t->columns;
        bool head = i < t->columns, last = column == t->columns - 1;
        /* a heading stands as the cell below it */
        bool to_right = right(head && i + t->columns < t->rows ? t->cells[i + t->columns] : t->cells[i]);
        if (head && column == 0) fputs(color_begin(s->color_out, COLOR_HEAD), stdout);
        if (to_right)
            printf("%*s%s", width[column], t->cells[i], last ? "" : "  ");
        else
            printf("%-*s%s", last ? 0 : width[column], t->cells[i], last ? "" : "  ");
        if (head && last) fputs(color_end(s->color_out), stdout);
        if (last) putchar('\n');
    }
}

void table_free(struct table *t)
{
    for (int i = 0; i < t->rows; i++) free(t->cells[i]);
    free(t->cells);
}

/* ---- progress ---- */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, const struct session *s)
{
    *p = (struct progress){.session = s};
    if (s->progress) p->begun_ms = p->shown_ms = now_ms();
}

const char *human_bytes(char out[32], uint64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1000 && unit + 1 < COUNT_OF(units); unit++) value /= 1000;
    snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

const char *human_age(char out[32], int64_t ms)
{
    static const struct {
        int64_t from_ms, unit_ms;
        const char *name;
    } units[] = {
        {172800000, 86400000, "days"}, {7200000, 3600000, "h"}, {120000, 60000, "min"}, {INT64_MIN, 1000, "s"}};
    size_t i = 0;
    while (ms < units[i].from_ms) i++;
    double value = (double)MAX(ms, (int64_t)0) / (double)units[i].unit_ms;
    snprintf(out, 32, value < 10 ? "%.1f %s" : "%.0f %s", value, units[i].name);
    return out;
}

void progress_show(struct progress *p, const char *verb, uint64_t records, uint64_t bytes)
{
    char amount[32], rate[32];
    if (!p->session->progress) return;
    int64_t now = now_ms();
    if (now - p->shown_ms < PROGRESS_MS) return;
    uint64_t elapsed = (uint64_t)MAX(now - p->begun_ms, 1);
    p->shown_ms = now;
    p->shown = true;
    fprintf(stderr, "\r\033[K%s %llu records, %s, %s/s", verb, (unsigned long long)records, human_bytes(amount, bytes),
            human_bytes(rate, bytes * 1000 / elapsed));
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->shown) fputs("\r\033[K", stderr);
    p->shown = false;
}
