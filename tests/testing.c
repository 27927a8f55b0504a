#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int testing_main(const char *group, const struct CMUnitTest *tests, size_t n, int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < n; i++) puts(tests[i].name);
        return 0;
    }
    struct CMUnitTest *chosen = calloc(n + (size_t)argc, sizeof *chosen);
    size_t n_chosen = 0;
    if (chosen == NULL) return 1;
    for (size_t i = 0; i < n && argc <= 1; i++) chosen[n_chosen++] = tests[i];
    for (int a = 1; a < argc; a++) {
        size_t i = 0;
        while (i < n && strcmp(tests[i].name, argv[a]) != 0) i++;
        if (i == n) {
            fprintf(stderr, "%s: no case named %s (--list names them)\n", group, argv[a]);
            free(chosen);
            return 2;
        }
        chosen[n_chosen++] = tests[i];
    }
    int failed = _cmocka_run_group_tests(group, chosen, n_chosen, NULL, NULL);
    free(chosen);
    return failed != 0;
}

static unsigned char *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s: cannot open", path);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    unsigned char *bytes = malloc((size_t)size + 1);
    if (bytes == NULL || fread(bytes, 1, (size_t)size, f) != (size_t)size) fail_msg("%s: cannot read", path);
    fclose(f);
    bytes[size] = 0;
    *n = (size_t)size;
    return bytes;
}

float *testing_npy(const char *path, size_t *shape, size_t *n_dims)
{
    size_t n;
    unsigned char *b = read_all(path, &n);
    if (n < 12 || memcmp(b, "\x93NUMPY", 6) != 0) fail_msg("%s: not a .npy", path);
    size_t start = b[6] == 1 ? 10 : 12;
    size_t len = b[8] | (size_t)b[9] << 8 | (b[6] == 1 ? 0 : (size_t)b[10] << 16 | (size_t)b[11] << 24);
    if (start + len > n) fail_msg("%s: header is cut", path);
    char *header = calloc(len + 1, 1);
    if (header == NULL) fail_msg("out of memory");
    memcpy(header, b + start, len);
    char *dims = strstr(header, "'shape': (");
    if (strstr(header, "'<f4'") == NULL || strstr(header, "'fortran_order': False") == NULL || dims == NULL)
        fail_msg("%s: want little-endian float32 in C order, file has %s", path, header);
    dims += strlen("'shape': (");
    size_t count = 1;
    *n_dims = 0;
    while (*dims >= '0' && *dims <= '9') {
        if (*n_dims == 4) fail_msg("%s: more than 4 axes", path);
        shape[*n_dims] = strtoull(dims, &dims, 10);
        count *= shape[(*n_dims)++];
        while (*dims == ',' || *dims == ' ') dims++;
    }
    free(header);
    if (start + len + count * sizeof(float) != n) fail_msg("%s: %zu values do not fill it", path, count);
    float *values = malloc(count * sizeof(float) + 1);
    if (values == NULL) fail_msg("out of memory");
    memcpy(values, b + start + len, count * sizeof(float));
    free(b);
    return values;
}

double testing_cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

double testing_max_abs(const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (!(d <= most)) most = d; /* NaN is the worst of all */
        if (isnan(most)) return INFINITY;
    }
    return most;
}

double testing_rms_rel(const float *a, const float *b, size_t n)
{
    double dd = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        dd += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        bb += (double)b[i] * b[i];
    }
    return sqrt(dd / bb);
}

double testing_log_sum_exp(const float *x, size_t n)
{
    double max = (double)x[0], sum = 0;
    for (size_t i = 1; i < n; i++) max = (double)x[i] > max ? (double)x[i] : max;
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - max);
    return max + log(sum);
}

double testing_divergence(const float *want, const float *got, size_t n)
{
    const double lw = testing_log_sum_exp(want, n), lg = testing_log_sum_exp(got, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double p = (double)want[i] - lw, q = (double)got[i] - lg;
        sum += exp(p) * (p - q);
    }
    return sum;
}

static char **temp_names;
static size_t n_temp_names;

static void remove_temps(void)
{
    for (size_t i = 0; i < n_temp_names; i++) {
        unlink(temp_names[i]);
        free(temp_names[i]);
    }
    free(temp_names);
}

const char *testing_temp(const void *bytes, size_t n)
{
    const char *dir = getenv("TMPDIR");
    char name[4096];
    snprintf(name, sizeof name, "%s/senses-test-XXXXXX", dir != NULL ? dir : "/tmp");
    int fd = mkstemp(name);
    if (fd < 0) fail_msg("%s: cannot create", name);
    if (n_temp_names == 0) atexit(remove_temps);
    char **more = realloc(temp_names, (n_temp_names + 1) * sizeof *more);
    if (more == NULL) fail_msg("out of memory");
    temp_names = more;
    temp_names[n_temp_names] = strdup(name);
    for (size_t at = 0; at < n;) {
        ssize_t k = write(fd, (const char *)bytes + at, n - at);
        if (k <= 0) fail_msg("%s: cannot write", name);
        at += (size_t)k;
    }
    close(fd);
    return temp_names[n_temp_names++];
}

static bool required(void)
{
    const char *v = getenv("REQUIRE");
    return v != NULL && strcmp(v, "1") == 0;
}

void testing_skip(const char *why)
{
    if (required()) fail_msg("%s (REQUIRE=1)", why);
    print_message("skipped: %s\n", why);
    skip();
}

const char *testing_model(const char *file)
{
    static char path[4096];
    const char *home = getenv("SENSES_HOME"), *xdg = getenv("XDG_DATA_HOME"), *user = getenv("HOME");
    if (home != NULL && *home != '\0')
        snprintf(path, sizeof path, "%s/models/%s", home, file);
    else if (xdg != NULL && *xdg != '\0')
        snprintf(path, sizeof path, "%s/senses/models/%s", xdg, file);
    else
        snprintf(path, sizeof path, "%s/.local/share/senses/models/%s", user != NULL ? user : "", file);
    if (access(path, R_OK) == 0) return path;
    if (required()) fail_msg("%s is not there (REQUIRE=1)", path);
    return NULL;
}

int testing_folder(char *path, size_t room)
{
    const char *base = getenv("TMPDIR");
    const int n = snprintf(path, room, "%s/senses-test-XXXXXX", base != NULL ? base : "/tmp");
    return n < 0 || (size_t)n >= room || mkdtemp(path) == NULL;
}

int testing_folder_remove(const char *path)
{
    char command[8400];
    snprintf(command, sizeof command, "chmod -R u+rwx '%s' && rm -rf '%s'", path, path);
    return system(command);
}
