// SPDX-License-Identifier: Apache-2.0
/* `leat-bench storage`: what the storage engine does on a real disk.
 *
 *   options -> own folder -> raw probe -> runs (or recovery, or idle memory) -> raw probe -> table, JSON -> clean up
 *
 * Failure modes: one sentence on standard error, exit code 1; the folder is removed in any case unless --keep. */
#include "tools/bench/bench.h"

#include "tools/bench/modes.h"
#include "tools/bench/numbers.h"
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int remove_entry(const char *path, const struct stat *s, int type, struct FTW *f)
{
    return remove(path);
}

static void remove_folder(const char *path)
{
    if (access(path, F_OK) == 0) nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* DIR/leat-bench.PID/store is what the engine gets; the raw probe's file lies beside it. */
struct place {
    char root[4096], store[4200];
};

static bool place_make(const char *dir, struct place *p, char error[600])
{
    snprintf(p->root, sizeof p->root, "%.4000s/leat-bench.%ld", dir, (long)getpid());
    snprintf(p->store, sizeof p->store, "%s/store", p->root);
    if (mkdir(p->root, 0700) == 0) return true;
    snprintf(error, 600, "--dir %.200s: no folder can be made in it: %s; give an existing directory that you may write",
             dir, strerror(errno));
    return false;
}

static bool measure(const struct options *o, const struct place *p, struct report *r, char error[600])
{
    bool cheaper = r->raw[0].dsync_ns < r->raw[0].sync_ns; /* as the start-up probe of leatd decides */
    if (o->recover) return mode_recover(o, p->store, cheaper, r, error);
    if (o->idle > 0) return mode_idle(o, p->store, cheaper, r, error);
    for (uint32_t i = 0; i < o->partition_runs; i++)
        for (uint32_t k = 0; k < o->size_runs; k++) {
            bool good = mode_run(o, p->store, cheaper, o->partitions[i], o->sizes[k], r, error);
            if (!good) return false;
            if (!o->keep || i + 1 < o->partition_runs || k + 1 < o->size_runs) remove_folder(p->store);
        }
    return true;
}

static bool probe(const struct options *o, const struct place *p, struct report *r, int which, char error[600])
{
    if (!o->raw_probe) return true;
    r->has_raw[which] = raw_measure(p->root, &r->raw[which], error);
    return r->has_raw[which];
}

static bool write_report(const struct options *o, const struct report *r, char error[600])
{
    bool to_stdout = o->json != NULL && strcmp(o->json, "-") == 0;
    report_table(r, to_stdout ? stderr : stdout);
    if (o->json == NULL) return true;
    FILE *f = to_stdout ? stdout : fopen(o->json, "w");
    bool good = f != NULL;
    if (good) {
        report_json(r, f);
        good = fflush(f) == 0 && ferror(f) == 0;
    }
    if (!good) snprintf(error, 600, "--json %.200s: %s", o->json, strerror(errno));
    if (f != NULL && !to_stdout) fclose(f);
    return good;
}

int bench_storage(int argc, char **argv)
{
    static struct report report;
    struct options o;
    struct place p;
    char error[600] = "";
    int code;
    if (!options_parse(argc, argv, &o, &code)) return code;
    bool good = place_make(o.dir, &p, error);
    if (good) {
        machine_look(p.root, &report.machine);
        good = probe(&o, &p, &report, 0, error) && measure(&o, &p, &report, error) && probe(&o, &p, &report, 1, error);
        if (good) good = write_report(&o, &report, error);
        if (o.keep)
            fprintf(stderr, "kept: %s\n", p.root);
        else
            remove_folder(p.root);
    }
    if (!good) fprintf(stderr, "%s: %s\n", bench_name, error);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
