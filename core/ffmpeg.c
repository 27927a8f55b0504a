#include "ffmpeg.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

/* The soname of a library whose header says its major version. */
#define SONAME(library, major) "lib" #library ".so." AV_STRINGIFY(major)

enum { avutil, avcodec, avformat, swresample, swscale, N_LIBRARY };
static const char *const sonames[N_LIBRARY] = {
    [avutil] = SONAME(avutil, LIBAVUTIL_VERSION_MAJOR),       [avcodec] = SONAME(avcodec, LIBAVCODEC_VERSION_MAJOR),
    [avformat] = SONAME(avformat, LIBAVFORMAT_VERSION_MAJOR), [swresample] = SONAME(swresample, LIBSWRESAMPLE_VERSION_MAJOR),
    [swscale] = SONAME(swscale, LIBSWSCALE_VERSION_MAJOR),
};

static const struct {
    int library;
    const char *name;
    size_t at; /* in sn_ffmpeg */
} functions[] = {
#define FUNCTION(library, function) {library, #function, offsetof(sn_ffmpeg, function)},
    SN_FFMPEG_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

/* What the dynamic linker holds is the process's, and this is its index: written once, then the same for all. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sn_ffmpeg table;
static sn_err failure;

static void load(void)
{
    void *handles[N_LIBRARY];

    for (size_t i = 0; i < N_LIBRARY; i++)
        if (!(handles[i] = dlopen(sonames[i], RTLD_LAZY | RTLD_LOCAL))) {
            sn_fail(&failure, SN_EIO, "FFmpeg cannot be loaded: %s", dlerror());
            return;
        }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(handles[functions[i].library], functions[i].name);
        if (!function) {
            sn_fail(&failure, SN_EIO, "FFmpeg cannot be used: %s has no %s", sonames[functions[i].library], functions[i].name);
            return;
        }
        memcpy((char *)&table + functions[i].at, &function, sizeof function);
    }
    table.av_log_set_level(AV_LOG_QUIET); /* it prints otherwise */
}

sn_status sn_ffmpeg_get(const sn_ffmpeg **out, sn_err *err)
{
    pthread_once(&once, load);
    if (failure.code != SN_OK) return sn_fail(err, failure.code, "%s", failure.msg);
    *out = &table;
    return SN_OK;
}
