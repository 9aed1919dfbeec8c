/* Parts of a training run: learning rates against values worked out by hand, logs that survive
 * crashes and resumption, progress lines, accuracy, reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "cnnrt.h"
#include "cnntrain/log.h"
#include "cnntrain/metrics.h"
#include "cnntrain/progress.h"
#include "cnntrain/report.h"
#include "cnntrain/schedule.h"
#include "rng.h"

static char dir[32], name[64], jsonl[80], csv[80], message[CNNTRAIN_MESSAGE];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/cnnc-train-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(name, sizeof name, "%s/log", dir);
    snprintf(jsonl, sizeof jsonl, "%s.jsonl", name);
    snprintf(csv, sizeof csv, "%s.csv", name);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(jsonl);
    unlink(csv);
    return rmdir(dir);
}

static char *slurp(const char *path, size_t *len)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    if (len != NULL)
        *len = n;
    return text;
}

static void spill(const char *path, const char *mode, const void *data, size_t len)
{
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fabs(want) + 1e-300))
        fail_msg("%.17g, expected %.17g", got, want);
}

static double rate(CnntrainSchedule s, double t)
{
    const char *wrong = cnntrain_schedule_check(&s);
    if (wrong != NULL)
        fail_msg("%s", wrong);
    return cnntrain_schedule_lr(&s, t);
}

static void test_schedules(void **state)
{
    (void)state;
    const CnntrainSchedule constant = {.kind = CNNTRAIN_LR_CONSTANT, .lr = 0.3};
    near(rate(constant, 0), 0.3);
    near(rate(constant, 1e9), 0.3);
    /* He et al. 2016: divided by 10 every 30 epochs */
    const CnntrainSchedule step = {.kind = CNNTRAIN_LR_STEP, .lr = 0.1, .gamma = 0.1, .every = 30};
    near(rate(step, 29.999), 0.1);
    near(rate(step, 30), 0.01);
    near(rate(step, 89.5), 0.001);
    /* Tan & Le 2019: 0.256, decays by 0.97 every 2.4 epochs */
    const CnntrainSchedule exponential = {
        .kind = CNNTRAIN_LR_EXPONENTIAL, .lr = 0.256, .gamma = 0.97, .every = 2.4};
    near(rate(exponential, 2.4), 0.24832);
    near(rate(exponential, 4.8), 0.2408704);
    near(rate(exponential, 1.2), 0.256 * sqrt(0.97));
    /* Loshchilov & Hutter 2017, equation 5 */
    const CnntrainSchedule cosine = {
        .kind = CNNTRAIN_LR_COSINE, .lr = 0.1, .epochs = 12, .end = 0.02};
    near(rate(cosine, 0), 0.1);
    near(rate(cosine, 4), 0.08);
    near(rate(cosine, 6), 0.06);
    near(rate(cosine, 3), 0.06 + 0.04 * M_SQRT1_2);
    near(rate(cosine, 12), 0.02);
    near(rate(cosine, 99), 0.02);
    const CnntrainSchedule linear = {.kind = CNNTRAIN_LR_LINEAR, .lr = 1, .epochs = 8, .end = 0.5};
    near(rate(linear, 2), 0.875);
    near(rate(linear, 8), 0.5);
    near(rate(linear, 20), 0.5);
}

static void test_warmup(void **state)
{
    (void)state;
    /* timm's CosineLRScheduler(t_initial=10, lr_min=0, warmup_t=5, warmup_lr_init=1e-6) on 0.1 */
    CnntrainSchedule s = {.kind = CNNTRAIN_LR_COSINE,
                          .lr = 0.1,
                          .epochs = 10,
                          .warmup = 5,
                          .warmup_lr = CNNTRAIN_WARMUP_LR};
    near(rate(s, 0), 1e-6);
    near(rate(s, 1), 0.0200008);
    near(rate(s, 2.5), 0.0500005);
    near(rate(s, 5), 0.05);
    s.warmup_prefix = true;
    near(rate(s, 4), 0.0800002);
    near(rate(s, 5), 0.1);
    near(rate(s, 7.5), 0.05);
    assert_true(rate(s, 10) == 0 && rate(s, 11) == 0);
    s.warmup = 20; /* longer than the run */
    near(rate(s, 10), 1e-6 + 0.5 * (0.1 - 1e-6));
    assert_true(rate(s, 20) == 0);
}

static void test_schedule_refusals(void **state)
{
    (void)state;
    const CnntrainSchedule bad[] = {
        {.kind = CNNTRAIN_SCHEDULES, .lr = 1},
        {.kind = CNNTRAIN_LR_CONSTANT, .lr = -1},
        {.kind = CNNTRAIN_LR_CONSTANT, .lr = NAN},
        {.kind = CNNTRAIN_LR_CONSTANT, .lr = INFINITY},
        {.kind = CNNTRAIN_LR_CONSTANT, .lr = 1, .warmup = NAN},
        {.kind = CNNTRAIN_LR_CONSTANT, .lr = 1, .warmup_lr = -1},
        {.kind = CNNTRAIN_LR_STEP, .lr = 1, .every = 1},
        {.kind = CNNTRAIN_LR_STEP, .lr = 1, .gamma = 0.1, .every = -1},
        {.kind = CNNTRAIN_LR_EXPONENTIAL, .lr = 1, .gamma = INFINITY},
        {.kind = CNNTRAIN_LR_COSINE, .lr = 1},
        {.kind = CNNTRAIN_LR_LINEAR, .lr = 1, .epochs = 1, .end = -1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(cnntrain_schedule_check(&bad[i]));
    for (CnntrainScheduleKind k = 0; k < CNNTRAIN_SCHEDULES; k++) {
        assert_int_equal(cnntrain_schedule_find(cnntrain_schedule_name(k)), k);
        assert_non_null(cnntrain_schedule_formula(k));
    }
    assert_int_equal(cnntrain_schedule_find("plateau"), CNNTRAIN_SCHEDULES);
}

static void test_corrections(void **state)
{
    (void)state;
    near(cnntrain_adam_correction(0.9, 1), 10);
    near(cnntrain_adam_correction(0.9, 2), 1 / 0.19);
    near(cnntrain_adam_correction(0.5, 3), 8.0 / 7);
    near(cnntrain_adam_correction(0.999, 100000), 1);
    near(cnntrain_adam_correction(0, 1), 1);
    near(cnnrt_average_decay(0.9999, 0), 0.1);
    near(cnnrt_average_decay(0.9999, 1), 2.0 / 11);
    near(cnnrt_average_decay(0.9999, 80), 0.9);
    near(cnnrt_average_decay(0.9999, 1000000), 0.9999);
    near(cnnrt_average_decay(0.5, 7), 8.0 / 17);
    near(cnnrt_average_decay(0.5, 8), 0.5);
}

static CnntrainRecord record(int step)
{
    CnntrainRecord r = {0};
    cnntrain_record_set(&r, CNNTRAIN_LOG_TIME, 1700000000.25 + step);
    cnntrain_record_set(&r, CNNTRAIN_LOG_EPOCH, step / 4.0);
    cnntrain_record_set(&r, CNNTRAIN_LOG_STEP, step);
    cnntrain_record_set(&r, CNNTRAIN_LOG_LOSS, step == 3 ? (double)NAN : 1.0 / step);
    if (step == 2)
        cnntrain_record_set(&r, CNNTRAIN_LOG_GRAD_NORM, INFINITY);
    cnntrain_record_set(&r, CNNTRAIN_LOG_MEMORY, 12345678901.0);
    return r;
}

static void write_steps(int64_t first, int last)
{
    CnntrainLog *log = cnntrain_log_open(name, first, message);
    if (log == NULL)
        fail_msg("%s", message);
    for (int i = (int)first > 0 ? (int)first : 1; i <= last; i++) {
        CnntrainRecord r = record(i);
        assert_true(cnntrain_log_write(log, &r, message));
    }
    cnntrain_log_close(log);
}

#define HEADER                                                                                     \
    "time,epoch,step,lr,loss,accuracy,val_loss,val_top1,val_top5,images_per_second,grad_norm,"     \
    "data_wait,memory\n"

static void test_log_lines(void **state)
{
    (void)state;
    write_steps(0, 3);
    assert_string_equal(
        slurp(jsonl, NULL),
        "{\"time\":1700000001.250,\"epoch\":0.25,\"step\":1,\"loss\":1,\"memory\":12345678901}\n"
        "{\"time\":1700000002.250,\"epoch\":0.5,\"step\":2,\"loss\":0.5,\"grad_norm\":null,"
        "\"memory\":12345678901}\n"
        "{\"time\":1700000003.250,\"epoch\":0.75,\"step\":3,\"loss\":null,\"memory\":12345678901}"
        "\n");
    assert_string_equal(slurp(csv, NULL), HEADER "1700000001.250,0.25,1,,1,,,,,,,,12345678901\n"
                                                 "1700000002.250,0.5,2,,0.5,,,,,,inf,,12345678901\n"
                                                 "1700000003.250,0.75,3,,nan,,,,,,,,12345678901\n");
    CnntrainRecord *r;
    size_t n, skipped;
    double v;
    static const char more[] = "nonsense\n{\"step\":[1]}\n{\"other\":\"x\",\"step\":9}\n{\"st";
    spill(jsonl, "ab", more, sizeof more - 1);
    assert_true(cnntrain_log_read(jsonl, &r, &n, &skipped, message));
    assert_true(n == 4 && skipped == 3);
    assert_true(cnntrain_record_get(&r[1], CNNTRAIN_LOG_LOSS, &v) && v == 0.5);
    assert_true(cnntrain_record_get(&r[3], CNNTRAIN_LOG_STEP, &v) && v == 9);
    assert_false(cnntrain_record_get(&r[2], CNNTRAIN_LOG_LOSS, &v));
    assert_true(r[2].set >> CNNTRAIN_LOG_LOSS & 1);
    assert_false(r[2].set >> CNNTRAIN_LOG_LR & 1);
    free(r);
    assert_false(cnntrain_log_read("/nonexistent", &r, &n, &skipped, message));
}

static void test_log_resumed(void **state)
{
    (void)state;
    char whole[2][4096];
    size_t n[2];
    write_steps(0, 9);
    for (int i = 0; i < 2; i++)
        memcpy(whole[i], slurp(i ? csv : jsonl, &n[i]), 4096);
    for (int first = 1; first <= 11; first++) {
        write_steps(first, 9);
        assert_string_equal(slurp(jsonl, NULL), whole[0]);
        assert_string_equal(slurp(csv, NULL), whole[1]);
    }
    /* however a crash has cut them */
    for (size_t cut = 0; cut <= n[0] + 7; cut++) {
        spill(jsonl, "wb", whole[0], cut < n[0] ? cut : n[0]);
        spill(csv, "wb", whole[1], cut < n[1] ? cut : n[1]);
        if (cut % 3 == 0)
            spill(jsonl, "ab", "\0\0\0\n", 4);
        CnntrainLog *log = cnntrain_log_open(name, 6, message);
        assert_non_null(log);
        cnntrain_log_close(log);
        size_t left, most = (size_t)(strstr(whole[0], "{\"time\":1700000006") - whole[0]);
        char *is = slurp(jsonl, &left);
        assert_true(left == (cut > most ? most : left) && memcmp(is, whole[0], left) == 0);
        assert_true(left == 0 || is[left - 1] == '\n');
        assert_true(cut >= most || whole[0][left] == '{');
        is = slurp(csv, &left);
        assert_true(memcmp(is, whole[1], left) == 0 && is[left - 1] == '\n');
        assert_null(strstr(is, "1700000006"));
    }
    write_steps(0, 1);
    assert_null(strstr(slurp(csv, NULL), ",2,"));
}

static void test_log_refusals(void **state)
{
    (void)state;
    spill(csv, "wb", "step,loss\n1,2\n", 14);
    assert_null(cnntrain_log_open(name, 5, message));
    assert_non_null(strstr(message, "log.csv: has other columns"));
    assert_string_equal(slurp(csv, NULL), "step,loss\n1,2\n");
    assert_null(cnntrain_log_open("/nonexistent/log", 0, message));
    assert_non_null(strstr(message, strerror(ENOENT)));
    cnntrain_log_close(NULL);
}

/* A disk that takes a part of a line of either file. */
static void full_after(size_t bytes, const char *which)
{
    int status;
    write_steps(0, 30);
    size_t json_len, csv_len, left;
    slurp(jsonl, &json_len);
    slurp(csv, &csv_len);
    assert_true(csv_len < json_len);
    if (which == csv) /* the longer one is shortened */
        spill(jsonl, "wb", "", json_len = 0);
    bytes += which == csv ? csv_len : json_len;
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {bytes, bytes};
        CnntrainRecord r = record(31);
        signal(SIGXFSZ, SIG_IGN);
        CnntrainLog *log = cnntrain_log_open(name, 31, message);
        bool fine = log != NULL && setrlimit(RLIMIT_FSIZE, &limit) == 0 &&
                    !cnntrain_log_write(log, &r, message) && strstr(message, which) != NULL;
        _exit(fine ? 0 : 1);
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
    slurp(jsonl, &left);
    assert_int_equal(left, json_len);
    slurp(csv, &left);
    assert_int_equal(left, csv_len);
}

static void test_log_full(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 40; bytes += 13) {
        full_after(bytes, jsonl);
        full_after(bytes, csv);
    }
}

static const CnntrainProgress half = {.what = "epoch",
                                      .number = 3,
                                      .of = 90,
                                      .done = 459,
                                      .total = 1000,
                                      .loss = 1.23456,
                                      .accuracy = 0.4519,
                                      .images_per_second = 1234.4,
                                      .seconds_left = 724};

static const char *line_of(const CnntrainProgress *p, int width)
{
    static char out[512];
    cnntrain_progress_format(out, sizeof out, p, width, false);
    return out;
}

static void test_progress_line(void **state)
{
    (void)state;
    assert_string_equal(
        line_of(&half, 120),
        "epoch  3/90  [===========>                ]   45 %  loss 1.2346  top-1 45.2 "
        "%  1234 img/s  12 min 04 s left");
    assert_string_equal(
        line_of(&half, 100),
        "epoch  3/90  [========>            ]   45 %  loss 1.2346  top-1 45.2 %  1234 img/s  12 "
        "min 04 s left");
    assert_string_equal(line_of(&half, 80), "epoch  3/90   45 %  loss 1.2346  top-1 45.2 %  1234 "
                                            "img/s  12 min 04 s left");
    assert_string_equal(line_of(&half, 60),
                        "epoch  3/90  [==>    ]   45 %  loss 1.2346  12 min 04 s left");
    assert_string_equal(line_of(&half, 40), "epoch  3/90   45 %  loss 1.2346");
    assert_string_equal(line_of(&half, 4), "epoc");
    assert_string_equal(line_of(&half, 0), "");
    CnntrainProgress p = {.what = "validation",
                          .done = 10,
                          .total = 10,
                          .loss = NAN,
                          .accuracy = NAN,
                          .images_per_second = NAN,
                          .seconds_left = NAN};
    assert_string_equal(line_of(&p, 60), "validation  [============================]  100 %");
    p.total = 0;
    p.loss = 1e9;
    assert_string_equal(line_of(&p, 60), "validation  loss 1e+09");
}

static void test_progress_fits(void **state)
{
    (void)state;
    char out[400], plain[400], small[24];
    for (int width = 0; width <= 240; width++) {
        size_t seen = cnntrain_progress_format(out, sizeof out, &half, width, true), n = 0;
        for (char *s = out; *s != '\0'; s++) {
            if (*s == '\x1b')
                s = strchr(s, 'm');
            else
                plain[n++] = *s;
        }
        plain[n] = '\0';
        assert_int_equal(n, seen);
        assert_true(n <= (size_t)width);
        assert_string_equal(plain, line_of(&half, width));
    }
    const CnntrainProgress odd = {"a word that is longer than any should be",
                                  INT64_MAX,
                                  INT64_MAX,
                                  INT64_MAX,
                                  1,
                                  -INFINITY,
                                  1e30,
                                  1e30,
                                  1e30};
    cnntrain_progress_format(out, sizeof out, &odd, 240, true);
    cnntrain_progress_format(small, sizeof small, &odd, 240, true);
    assert_true(strlen(small) < sizeof small);
}

static void test_seconds(void **state)
{
    (void)state;
    static const struct {
        double s;
        const char *text;
    } cases[] = {
        {0, "0 s"},           {59.4, "59 s"},        {59.6, "1 min 00 s"}, {3599, "59 min 59 s"},
        {3600, "1 h 00 min"}, {11100, "3 h 05 min"}, {86400, "1 d 00 h"},  {-5, "0 s"},
        {INFINITY, "unknown"}};
    char out[24];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(cnntrain_seconds_text(out, cases[i].s), cases[i].text);
    assert_string_equal(cnntrain_seconds_text(out, (double)NAN), "unknown");
}

/* What a meter of this voice sends. */
static const char *sent(int fd)
{
    static char text[4096];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void test_meter_plain(void **state)
{
    (void)state;
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(cnntrain_progress_voice(fd[1], false), CNNTRAIN_PLAIN);
    assert_int_equal(cnntrain_progress_voice(fd[1], true), CNNTRAIN_QUIET);
    CnntrainMeter m = cnntrain_meter(fd[1], CNNTRAIN_PLAIN, 10);
    cnntrain_meter_show(&m, &half, 100, false);
    cnntrain_meter_show(&m, &half, 109, false);
    cnntrain_meter_show(&m, &half, 110, false);
    cnntrain_meter_show(&m, &half, 111, true);
    cnntrain_meter_clear(&m);
    const char *text = sent(fd[0]);
    size_t lines = 0;
    for (const char *s = text; *s != '\0'; s++) {
        lines += *s == '\n';
        assert_true(*s != '\r' && *s != '\x1b');
    }
    assert_int_equal(lines, 3);
    m = cnntrain_meter(fd[1], CNNTRAIN_QUIET, 0);
    cnntrain_meter_show(&m, &half, 1, true);
    assert_string_equal(sent(fd[0]), "");
    /* nobody listens any more */
    signal(SIGPIPE, SIG_IGN);
    close(fd[0]);
    m = cnntrain_meter(fd[1], CNNTRAIN_PLAIN, 10);
    cnntrain_meter_show(&m, &half, 1, true);
    assert_int_equal(m.voice, CNNTRAIN_QUIET);
    close(fd[1]);
}

static void test_meter_terminal(void **state)
{
    (void)state;
    int screen = posix_openpt(O_RDWR | O_NOCTTY);
    if (screen < 0 || grantpt(screen) != 0 || unlockpt(screen) != 0)
        skip();
    int tty = open(ptsname(screen), O_RDWR | O_NOCTTY);
    if (tty < 0)
        skip();
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    assert_int_equal(cnntrain_progress_voice(tty, false), CNNTRAIN_COLOURED);
    setenv("NO_COLOR", "", 1);
    assert_int_equal(cnntrain_progress_voice(tty, false), CNNTRAIN_COLOURED);
    setenv("NO_COLOR", "1", 1);
    assert_int_equal(cnntrain_progress_voice(tty, false), CNNTRAIN_DRAWN);
    setenv("TERM", "dumb", 1);
    assert_int_equal(cnntrain_progress_voice(tty, false), CNNTRAIN_PLAIN);
    struct winsize size = {.ws_col = 45, .ws_row = 10};
    assert_int_equal(ioctl(tty, TIOCSWINSZ, &size), 0);
    CnntrainMeter m = cnntrain_meter(tty, CNNTRAIN_DRAWN, 10);
    cnntrain_meter_show(&m, &half, 1, false);
    cnntrain_meter_show(&m, &half, 1.05, false);
    assert_string_equal(sent(screen), "\repoch  3/90  [===>     ]   45 %  loss 1.2346");
    CnntrainProgress later = half;
    later.seconds_left = 9;
    cnntrain_meter_show(&m, &later, 1.2, false);
    assert_string_equal(sent(screen), "\repoch  3/90   45 %  loss 1.2346  9 s left   ");
    later.loss = NAN;
    later.accuracy = NAN;
    later.images_per_second = NAN;
    later.total = 0;
    cnntrain_meter_show(&m, &later, 1.4, false);
    assert_string_equal(sent(screen), "\repoch  3/90  9 s left"
                                      "                    ");
    cnntrain_meter_clear(&m);
    cnntrain_meter_clear(&m);
    assert_string_equal(sent(screen), "\r                     \r");
    close(tty);
    close(screen);
}

static void test_ranks(void **state)
{
    (void)state;
    const float v[6] = {1, 3, 2, 3, -INFINITY, 0}, odd[3] = {1, NAN, 2}, same[6] = {0};
    static const int64_t want[6] = {3, 0, 2, 1, 5, 4};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(cnntrain_rank(v, 6, i), want[i]);
        assert_int_equal(cnntrain_rank(same, 6, i), i); /* equals are no free choice */
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(cnntrain_rank(odd, 3, i), 3);
    assert_int_equal(cnntrain_rank(v, 6, 6), 6);
    assert_int_equal(cnntrain_rank(v, 6, -1), 6);
}

static void test_metrics(void **state)
{
    (void)state;
    const float logits[7][6] = {{9, 1, 2, 3, 4, 5}, {9, 1, 2, 3, 4, 5},   {9, 1, 2, 3, 4, 5},
                                {0, 0, 0, 0, 0, 7}, {9, NAN, 2, 3, 4, 5}, {9, 1, 2, 3, 4, 5},
                                {9, 1, 2, 3, 4, 5}};
    const int32_t labels[7] = {0, 1, 2, 5, 0, 6, -1};
    CnntrainMetrics m, other;
    assert_true(cnntrain_metrics_init(&m, 6, true));
    assert_true(isnan(cnntrain_metrics_top1(&m)) && isnan(cnntrain_metrics_top5(&m)));
    cnntrain_metrics_add(&m, logits[0], labels, 4);
    assert_true(m.images == 4 && m.top1 == 2 && m.top5 == 3); /* label 1 is the sixth of six */
    assert_true(cnntrain_metrics_init(&other, 6, true));
    cnntrain_metrics_add(&other, logits[4], labels + 4, 3);
    assert_true(other.images == 3 && other.top1 == 0 && other.top5 == 0);
    assert_true(other.unordered == 1 && other.strangers == 2);
    cnntrain_metrics_merge(&m, &other);
    assert_true(m.images == 7 && m.top1 == 2 && m.no_answer[0] == 1);
    near(cnntrain_metrics_top1(&m), 2.0 / 7);
    near(cnntrain_metrics_top5(&m), 3.0 / 7);
    uint64_t sum = 0;
    for (int i = 0; i < 36; i++)
        sum += m.matrix[i];
    assert_true(sum == 4 && cnntrain_confusion(&m, 0, 0) == 1 && cnntrain_confusion(&m, 1, 0) == 1);
    assert_true(cnntrain_confusion(&m, 2, 0) == 1 && cnntrain_confusion(&m, 5, 5) == 1);
    cnntrain_metrics_free(&m);
    cnntrain_metrics_free(&other);
    const float few[3] = {1, NAN, 2};
    const int32_t zero = 0;
    assert_true(cnntrain_metrics_init(&m, 3, false));
    cnntrain_metrics_add(&m, few, &zero, 1);
    assert_true(m.images == 1 && m.top1 == 0 && m.top5 == 0);
    assert_false(cnntrain_metrics_init(&m, 0, false));
    assert_false(cnntrain_metrics_init(&m, INT64_MAX, true));
}

static void test_metrics_agree(void **state)
{
    (void)state;
    enum { CLASSES = 11, IMAGES = 500 };
    static float logits[IMAGES][CLASSES];
    static int32_t labels[IMAGES];
    uint64_t top1 = 0, top5 = 0;
    for (int i = 0; i < IMAGES; i++) {
        float *row = logits[i];
        labels[i] = (int32_t)(rng_mix(8, (uint64_t)i) % CLASSES);
        for (int c = 0; c < CLASSES; c++)
            row[c] = (float)(rng_mix(9, (uint64_t)(i * CLASSES + c)) % 1000);
        /* by sorting: take the largest away five times */
        float copy[CLASSES];
        memcpy(copy, row, sizeof copy);
        for (int k = 0; k < 5; k++) {
            int best = 0;
            for (int c = 1; c < CLASSES; c++)
                best = copy[c] > copy[best] ? c : best;
            copy[best] = -1;
            top1 += k == 0 && best == labels[i];
            top5 += best == labels[i];
        }
    }
    CnntrainMetrics m;
    assert_true(cnntrain_metrics_init(&m, CLASSES, false));
    cnntrain_metrics_add(&m, logits[0], labels, IMAGES);
    assert_true(m.top1 == top1 && m.top5 == top5 && top1 > 10 && top5 > 100);
    cnntrain_metrics_free(&m);
}

static CnntrainRecord validated(double epoch, double loss, double top1)
{
    CnntrainRecord r = {0};
    cnntrain_record_set(&r, CNNTRAIN_LOG_EPOCH, epoch);
    cnntrain_record_set(&r, CNNTRAIN_LOG_VAL_LOSS, loss);
    if (top1 >= 0)
        cnntrain_record_set(&r, CNNTRAIN_LOG_VAL_TOP1, top1);
    return r;
}

static void test_best(void **state)
{
    (void)state;
    const CnntrainRecord all[] = {record(1), validated(1, 2, 0.5), validated(2, 1, 0.7),
                                  validated(3, 0.9, 0.7), validated(4, (double)NAN, -1)};
    const CnntrainRecord losses[] = {validated(1, (double)NAN, -1), validated(2, 3, -1),
                                     validated(3, 2, -1), validated(4, 2, -1)};
    assert_int_equal(cnntrain_report_best(all, 5), 2); /* the first of equals */
    assert_int_equal(cnntrain_report_best(losses, 4), 2);
    assert_int_equal(cnntrain_report_best(losses, 1), -1);
    assert_int_equal(cnntrain_report_best(NULL, 0), -1);
}

/* Every tag is closed in its turn, and what stands in attributes is no "nan" or "inf". */
static void well_formed(const char *html)
{
    char stack[16][16];
    int depth = 0;
    assert_non_null(html);
    for (const char *s = strchr(html, '<'); s != NULL; s = strchr(s + 1, '<')) {
        const char *end = strchr(s, '>');
        char tag[16] = "";
        assert_non_null(end);
        assert_non_null(sscanf(s + 1, "%15[a-z0-9/]", tag) == 1 || s[1] == '!' ? tag : NULL);
        if (s[1] == '!' || end[-1] == '/' || strcmp(tag, "meta") == 0)
            ;
        else if (tag[0] == '/')
            assert_string_equal(depth > 0 ? stack[--depth] : "", tag + 1);
        else
            strcpy(stack[depth++], tag);
        assert_true(depth < 16);
        for (const char *p = s; p < end; p++)
            if (strncmp(p, "nan", 3) == 0 || (strncmp(p, "inf", 3) == 0 && p[-1] != '"'))
                fail_msg("%.*s", (int)(end - s), s);
    }
    assert_int_equal(depth, 0);
}

static char *page(const CnntrainRecord *records, size_t count)
{
    static const CnntrainPair settings[] = {{"optimizer", "sgd(lr=0.1)"}, {"<b>", "\"&'\x01"}};
    const CnntrainReport r = {.title = "a<script>&\"b",
                              .facts = "x > y",
                              .settings = settings,
                              .setting_count = 2,
                              .records = records,
                              .count = count};
    char *html = cnntrain_report_html(&r);
    well_formed(html);
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "http:"));
    assert_non_null(strstr(html, "<title>a&lt;script&gt;&amp;&quot;b</title>"));
    assert_non_null(strstr(html, "<tr><th>&lt;b&gt;</th><td>&quot;&amp;&#39; </td></tr>"));
    assert_non_null(strstr(html, "prefers-color-scheme:dark"));
    return html;
}

static size_t times(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *s = strstr(text, part); s != NULL; s = strstr(s + 1, part))
        n++;
    return n;
}

static void test_report(void **state)
{
    (void)state;
    CnntrainRecord r[21] = {{0}};
    for (int i = 0; i < 21; i++) {
        r[i] = validated(i, 2.0 - i / 16.0, i < 13 ? i / 20.0 : 0.6 - i / 200.0);
        cnntrain_record_set(&r[i], CNNTRAIN_LOG_LOSS, i == 5 ? (double)NAN : 2.5 - i / 10.0);
        cnntrain_record_set(&r[i], CNNTRAIN_LOG_LR, 0.1);
    }
    char *html = page(r, 21), *again = page(r, 21);
    assert_string_equal(html, again);
    free(again);
    assert_int_equal(times(html, "<svg "), 3);
    assert_int_equal(times(html, "class=\"mark\""), 2);
    assert_int_equal(times(html, "class=\"ring\""), 2);
    assert_non_null(strstr(html, "best: epoch 12, top-1 60.00 %"));
    assert_non_null(strstr(html, "<tr class=\"best\"><td class=\"n\">12</td>"));
    assert_non_null(strstr(html, "The loss of 1 record was no finite number."));
    /* 20 of the training losses, around a gap; places of the first and the last: 0 to 20 epochs
     * over 58 to 772, and 0.5 to 2.5 over 248 to 52 from 0 */
    const char *d = strstr(html, "<path class=\"c c0\" d=\"M58.0 52.0L");
    assert_non_null(d);
    char curve[1024] = "";
    assert_int_equal(sscanf(d, "%1023[^/]", curve), 1);
    assert_int_equal(times(curve, "L") + times(curve, "M"), 20);
    assert_int_equal(times(curve, "M"), 2);
    assert_non_null(strstr(curve, "L772.0 208.8\""));
    free(html);
}

static void test_report_extremes(void **state)
{
    (void)state;
    enum { N = 5000 };
    static CnntrainRecord r[N];
    static const double odd[] = {NAN, INFINITY, 1e308, -1e308, 1e-320, 0, -3, 1e9, 1e-9, 0.5};
    free(page(NULL, 0));
    for (size_t round = 0; round < 60; round++) {
        size_t n = round < 40 ? round % 5 : N;
        for (size_t i = 0; i < n; i++) {
            r[i] = (CnntrainRecord){0};
            for (CnntrainField f = 0; f < CNNTRAIN_FIELDS; f++) {
                uint64_t bits = rng_mix(round, i * CNNTRAIN_FIELDS + f);
                double v = odd[bits % (round % 2 ? 10 : 3)];
                if (round % 3 == 0)
                    v = (double)(bits % 1000);
                if (bits >> 32 & 7 && (f != CNNTRAIN_LOG_EPOCH || round % 4))
                    cnntrain_record_set(&r[i], f, v);
            }
            if (n == N)
                cnntrain_record_set(&r[i], CNNTRAIN_LOG_EPOCH, (double)i / 100);
        }
        free(page(r, n));
    }
}

static void test_report_file(void **state)
{
    (void)state;
    const CnntrainRecord r = validated(1, 2, 0.5);
    const CnntrainReport report = {.title = "t", .records = &r, .count = 1};
    assert_true(cnntrain_report_write(csv, &report, message));
    char *html = cnntrain_report_html(&report);
    assert_string_equal(slurp(csv, NULL), html);
    free(html);
    assert_false(cnntrain_report_write("/nonexistent/x", &report, message));
    assert_non_null(strstr(message, strerror(ENOENT)));
    assert_false(cnntrain_report_write(dir, &report, message));
}

int main(void)
{
#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_schedule_refusals),
        cmocka_unit_test(test_corrections),
        T(test_log_lines),
        T(test_log_resumed),
        T(test_log_refusals),
        T(test_log_full),
        cmocka_unit_test(test_progress_line),
        cmocka_unit_test(test_progress_fits),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_meter_plain),
        cmocka_unit_test(test_meter_terminal),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_metrics_agree),
        cmocka_unit_test(test_best),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_report_extremes),
        T(test_report_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
