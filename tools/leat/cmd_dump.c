// SPDX-License-Identifier: Apache-2.0
/* leat dump: which files, in which order (dump.h says what is done with one).
 *
 * Happy path: each file, or each known file below a folder in name order -> its kind -> its reader.
 * Failure modes: a file that cannot be opened, or is none of ours: told, exit code 1, the others go on. Damage: exit
 * code 4. */
#include "tools/leat/commands.h"
#include "tools/leat/dump.h"

#include "base/bytes.h"
#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MEMORY_BYTES (4ull << 30) /* a budget; taken as needed */

static const struct option_spec options[] = {
    {'d', "deep", NULL, "entries of journals and indexes, records of batches, too", NULL},
    {'s', "summary", NULL, "only damage, notes and one line per file", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static const char text[] =
    "Journal rings, control pages, checkpoint tables, segments (.log), their indexes (.lidx),\n"
    "partition.metadata, leat.directory, the metadata log; of a folder every known file in it. Reads only,\n"
    "takes no lock, works beside a running broker. Segments of Apache Kafka can be read, too. Exit code 4:\n"
    "there is damage.\n";

static const struct {
    const char *name;
    void (*run)(struct dump *d);
} readers[DUMP_KINDS] = {
    [DUMP_SEGMENT] = {"segment", dump_segment},
    [DUMP_INDEX] = {"index", dump_index},
    [DUMP_RING] = {"journal ring", dump_ring},
    [DUMP_CONTROL] = {"journal control", dump_control},
    [DUMP_TABLE] = {"checkpoint table", dump_table},
    [DUMP_DIRECTORY] = {"directory", dump_directory},
    [DUMP_PARTITION] = {"partition", dump_partition},
    [DUMP_METALOG_CONTROL] = {"metadata log control", dump_metalog_control},
    [DUMP_METALOG_LOG] = {"metadata log", dump_metalog_log},
    [DUMP_METALOG_SNAPSHOT] = {"metadata snapshot", dump_metalog_snapshot},
};

void dump_run(struct dump *d, enum dump_kind kind)
{
    readers[kind].run(d);
}

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

enum dump_kind dump_kind_of(const char *path, struct source *s)
{
    static const struct {
        char magic[9];
        enum dump_kind kind;
    } magics[] = {{"LEATJRNL", DUMP_RING},
                  {"LEATCTRL", DUMP_CONTROL},
                  {"LEATTABL", DUMP_TABLE},
                  {"LEATLIDX", DUMP_INDEX},
                  {"LEATDIRY", DUMP_DIRECTORY},
                  {"LEATPART", DUMP_PARTITION},
                  {"LEATMCTL", DUMP_METALOG_CONTROL},
                  {"LEATMLOG", DUMP_METALOG_LOG},
                  {"LEATMSNP", DUMP_METALOG_SNAPSHOT}};
    const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    const uint8_t *p = s->size >= 8 ? source_at(s, 0, 8) : NULL;
    for (size_t i = 0; i < COUNT_OF(magics) && p != NULL; i++)
        if (memcmp(p, magics[i].magic, 8) == 0) return magics[i].kind;
    if (p != NULL && memcmp(p, "version:", 8) == 0) return DUMP_UNKNOWN; /* partition.metadata of Apache Kafka */
    if (strstr(path, "__metalog") != NULL && strcmp(name, "control") == 0) return DUMP_METALOG_CONTROL;
    if (strncmp(name, "log-", 4) == 0) return DUMP_METALOG_LOG;
    if (strncmp(name, "snapshot-", 9) == 0) return DUMP_METALOG_SNAPSHOT;
    if (ends(name, ".log")) return DUMP_SEGMENT;
    if (ends(name, ".lidx")) return DUMP_INDEX;
    if (strncmp(name, "ring-", 5) == 0) return DUMP_RING;
    if (strcmp(name, "control") == 0) return DUMP_CONTROL;
    if (strncmp(name, "table-", 6) == 0) return DUMP_TABLE;
    if (strcmp(name, "leat.directory") == 0) return DUMP_DIRECTORY;
    return strcmp(name, "partition.metadata") == 0 ? DUMP_PARTITION : DUMP_UNKNOWN;
}

/* No later segment beside it. */
static bool newest(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    DIR *dir = folder == NULL ? NULL : opendir(folder);
    bool found = false;
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        found = found || (ends(e->d_name, ".log") && strlen(e->d_name) == strlen(name) && strcmp(e->d_name, name) > 0);
    if (dir != NULL) closedir(dir);
    free(folder);
    return !found;
}

static void head(const struct dump *d, const char *kind)
{
    const struct session *s = d->session;
    if (s->json) {
        json_t *item = json_pack("{s:s, s:s, s:s, s:I}", "file", d->path, "type", "file", "kind", kind, "bytes",
                                 (json_int_t)d->source->size);
        if (item == NULL || json_dumpf(item, d->out, JSON_COMPACT) != 0) abort();
        json_decref(item);
        fputc('\n', d->out);
    } else {
        fprintf(d->out, "%s%s%s  %s, %llu bytes\n", color_begin(s->color_out, COLOR_GOOD), d->path,
                color_end(s->color_out), kind, (unsigned long long)d->source->size);
    }
}

/* known_only: files that are none of ours are passed over in silence. */
static int dump_file(struct dump *d, const char *path, bool known_only)
{
    struct source source;
    json_t *name = json_string(path);
    bool speakable = name != NULL || !d->session->json;
    json_decref(name);
    if (!speakable || !source_open(&source, path)) {
        if (known_only && speakable && errno == ENOENT) return EXIT_DONE; /* gone since its folder was read */
        complain(d->session, "%s: %s", path, !speakable ? "its name is no UTF-8" : strerror(errno));
        return EXIT_FAILED;
    }
    enum dump_kind kind = dump_kind_of(path, &source);
    int code = kind == DUMP_UNKNOWN && !known_only ? EXIT_FAILED : EXIT_DONE;
    if (code != EXIT_DONE) complain(d->session, "%s: neither its name nor its first bytes are of a file of Leat", path);
    if (kind != DUMP_UNKNOWN) {
        d->path = path;
        d->source = &source;
        d->newest = kind == DUMP_SEGMENT && newest(path);
        head(d, readers[kind].name);
        dump_run(d, kind);
        progress_end(&d->progress);
    }
    source_close(&source);
    d->source = NULL;
    return code;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int dump_folder(struct dump *d, char *path)
{
    char *paths[] = {path, NULL};
    int code = EXIT_DONE;
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (walk == NULL) {
        complain(d->session, "%s: %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    for (FTSENT *e; (e = fts_read(walk)) != NULL;) {
        if (e->fts_info == FTS_F && dump_file(d, e->fts_path, true) != EXIT_DONE) code = EXIT_FAILED;
        if (e->fts_info != FTS_DNR && e->fts_info != FTS_ERR && e->fts_info != FTS_NS) continue;
        if (e->fts_errno == ENOENT && e->fts_level > 0) continue; /* deleted beside us */
        complain(d->session, "%s: %s", e->fts_path, strerror(e->fts_errno));
        code = EXIT_FAILED;
    }
    fts_close(walk);
    return code;
}

static int run(struct session *s, const struct args *a)
{
    struct dump d = {.session = s,
                     .out = stdout,
                     .mem = mem_create(MEMORY_BYTES),
                     .deep = args_value(a, "deep") != NULL,
                     .summary = args_value(a, "summary") != NULL};
    int code = EXIT_DONE;
    if (d.mem == NULL) abort();
    progress_begin(&d.progress, s);
    if (s->color_out) d.progress.session = &(struct session){0}; /* the items themselves are the progress */
    for (int i = 0; i < a->word_count; i++) {
        struct stat st;
        bool folder = stat(a->words[i], &st) == 0 && S_ISDIR(st.st_mode);
        int one = folder ? dump_folder(&d, a->words[i]) : dump_file(&d, a->words[i], false);
        if (one != EXIT_DONE) code = one;
    }
    mem_destroy(d.mem);
    if (d.damages > 0) complain(s, "%llu places are damaged", (unsigned long long)d.damages);
    return d.damages > 0 ? EXIT_BAD_NEWS : code;
}

const struct command command_dump = {
    .name = "dump",
    .words = "FILE...",
    .summary = "read files of a log directory as they lie on the disk",
    .text = text,
    .options = options,
    .words_min = 1,
    .words_max = -1,
    .complete = COMPLETE_FILES,
    .run = run,
};
