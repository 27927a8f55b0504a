#include "rewrite.h"

#include "command.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"

static bool show(void *user, size_t done_bytes, size_t total_bytes)
{
    progress_update(user, (double)done_bytes, (double)total_bytes);
    return !interrupt_seen();
}

int rewrite_run(const cli_options *o, const char *out, senses_status (*work)(cli_runtime *, const cli_rewrite *, void *, senses_error *),
                void *job, double *seconds)
{
    cli_runtime rt;
    cli_progress progress;
    senses_error err = {0};
    senses_status status = SN_EIO;
    runtime_init(&rt, o);
    progress_start(&progress, o, out);
    progress.plain = true;
    const double start_s = clock_s();
    if (runtime_engine(&rt)) {
        interrupt_orderly(true); /* what is half written is taken away */
        status = work(&rt, &(cli_rewrite){.progress = show, .user = &progress}, job, &err);
        progress_clear(&progress);
        if (status != SN_OK && interrupt_status() == 0) diag_error("%s", err.msg);
    }
    const int interrupted = interrupt_status();
    interrupt_orderly(false);
    runtime_close(&rt);
    *seconds = clock_s() - start_s;
    if (status == SN_OK) return EXIT_DONE;
    return interrupted != 0 ? interrupted : EXIT_FAILED;
}
