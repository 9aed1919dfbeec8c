/* Train sections as plain numbers: defaults, values from parameters, options of the command line,
 * what is wrong with them, and the text that reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "elab/train_spec.h"
#include "sema/section.h"

static Session session;
static Arena arena;
static Overlay file;

static int up(void **state)
{
    (void)state;
    session_init(&session, NULL);
    arena_init(&arena, &session.oom, 0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    arena_free(&arena);
    session_free(&session);
    return 0;
}

/* The net of a source, in a session of its own; NULL after errors. */
static Elab *elaborate(const char *source, const ElabOptions *opt)
{
    NetRef net;
    session_free(&session);
    session_init(&session, NULL);
    file = (Overlay){"/mem/main.cnn", source, strlen(source)};
    session.overlays = &file;
    session.overlay_count = 1;
    if (!elab_find(&session, "/mem/main.cnn", &net))
        fail_msg("%s\n%s", source, session.diags.all.len > 0 ? session.diags.all.at[0].text : "");
    return elab_net(&session, &arena, net, opt);
}

/* "line:column CODE text" of the first error. */
static const char *error(void)
{
    for (uint32_t i = 0; i < session.diags.all.len; i++) {
        const Diag *d = &session.diags.all.at[i];
        LineCol at = source_line_col(source_get(&session.sources, d->span.src), d->span.lo);
        if (d->level == SEV_ERROR)
            return arena_printf(&arena, "%u:%u %s %s", at.line, at.col, diag_info[d->code].code,
                                d->text);
    }
    return "";
}

/* A net with two heads, aux and logits, and this section; parameters res, lr, epochs, policy. */
static const char *net_with(const char *section)
{
    return arena_printf(&arena,
                        "net t(res: int = 32, lr: real = 0.5, n: int = 4, policy: str = \"v0\") {\n"
                        "input image[3, res, res]\n"
                        "stage s { conv(8, k=3) }\n"
                        "head aux(from=s) = gap -> flatten -> dense(10)\n"
                        "head logits(from=s) = gap -> flatten -> dense(10)\n"
                        "%s\n}\n",
                        section);
}

static TrainSpec spec_with(const char *section, const ElabOptions *opt)
{
    TrainSpec s;
    Elab *e = elaborate(net_with(section), opt);
    if (e == NULL || !train_spec(e, &s))
        fail_msg("%s\n%s", section, error());
    return s;
}

static const char *text_of(const TrainSpec *s)
{
    Buf out = {0};
    train_spec_print(s, &out);
    assert_true(buf_ok(&out));
    const char *text = arena_strdup(&arena, out.at);
    buf_free(&out);
    return text;
}

static void a_net_without_a_section(void **state)
{
    (void)state;
    TrainSpec s = spec_with("", NULL);
    assert_false(s.declared);
    assert_int_equal(s.epochs, 90);
    assert_int_equal(s.batch, 128);
    assert_int_equal(s.accumulate, 1);
    assert_int_equal(s.loss_count, 1);
    assert_int_equal(s.loss[0].kind, TRAIN_CROSS_ENTROPY);
    assert_string_equal(s.loss[0].head, "logits");
    assert_int_equal(s.loss[0].output, 1);
    assert_true(s.loss[0].weight == 1 && s.loss[0].smoothing == 0);
    assert_int_equal(s.optimizer.kind, TRAIN_SGD);
    assert_true(s.optimizer.lr == 0.1 && s.optimizer.momentum == 0.9 && s.optimizer.decay == 1e-4);
    assert_false(s.optimizer.nesterov);
    assert_int_equal(s.schedule.kind, TRAIN_COSINE);
    assert_true(s.schedule.warmup == 0 && s.schedule.min == 0);
    assert_int_equal(s.augment_count, 0);
    assert_true(s.clip == 0 && s.ema == 0);
    assert_int_equal(s.seed, 1);
    assert_int_equal(s.workers, 0);
    assert_true(spec_with("train { epochs = 90 }", NULL).declared);
}

/* What a call alone prints as: every argument with its documented default. */
static const struct {
    const char *written, *printed;
} defaults[] = {
    {"optimizer = sgd(1)", "sgd(lr=1, momentum=0, decay=0, nesterov=false)"},
    {"optimizer = adam(1)", "adam(lr=1, beta1=0.9, beta2=0.999, eps=1e-08, decay=0)"},
    {"optimizer = adamw(1)", "adamw(lr=1, beta1=0.9, beta2=0.999, eps=1e-08, decay=0.01)"},
    {"optimizer = rmsprop(1)",
     "rmsprop(lr=1, alpha=0.9, momentum=0, decay=0, eps=1e-08, tf=false)"},
    {"optimizer = lamb(1)",
     "lamb(lr=1, beta1=0.9, beta2=0.999, eps=1e-06, decay=0.01, max_norm=1)"},
    {"schedule = constant", "constant(warmup=0, warmup_lr=0)"},
    {"schedule = constant()", "constant(warmup=0, warmup_lr=0)"},
    {"schedule = step(30)", "step(every=30, gamma=0.1, warmup=0, warmup_lr=0)"},
    {"schedule = exponential(0.97)", "exponential(gamma=0.97, every=1, warmup=0, warmup_lr=0)"},
    {"schedule = cosine(5)", "cosine(warmup=5, min=0, warmup_lr=0)"},
    {"schedule = linear(warmup_lr=1e-6)", "linear(warmup=0, end=0, warmup_lr=1e-06)"},
    {"loss = bce(aux)", "loss       = bce(aux, smoothing=0)\n"},
    {"loss = mse(aux)", "loss       = mse(aux)\n"},
    {"loss = cross_entropy(aux, 0.1)", "loss       = cross_entropy(aux, smoothing=0.1)\n"},
    {"augment = random_resized_crop(32)", "random_resized_crop(size=32, scale_min=0.08)"},
    {"augment = random_crop(32)", "random_crop(size=32, pad=0)"},
    {"augment = hflip", "hflip(p=0.5)"},
    {"augment = color_jitter", "color_jitter(brightness=0.4, contrast=0.4, saturation=0.4)"},
    {"augment = rand_augment(9)", "rand_augment(magnitude=9, std=0, ops=2, p=0.5)"},
    {"augment = auto_augment(\"v0\")", "auto_augment(policy=\"v0\")"},
    {"augment = erase(0.25)", "erase(p=0.25)"},
    {"augment = mixup(0.8)", "mixup(alpha=0.8)"},
    {"augment = cutmix(1)", "cutmix(alpha=1)"},
};

static void defaults_of_every_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        TrainSpec s = spec_with(arena_printf(&arena, "train { %s }", defaults[i].written), NULL);
        if (strstr(text_of(&s), defaults[i].printed) == NULL)
            fail_msg("%s:\n%s\nlacks %s", defaults[i].written, text_of(&s), defaults[i].printed);
    }
    for (int i = 0; i < SECTION_ROWS; i++) {
        bool tried = !section_row[i].is_call;
        for (size_t k = 0; k < sizeof defaults / sizeof *defaults; k++)
            tried = tried || strstr(defaults[k].printed,
                                    arena_printf(&arena, "%s(", section_row[i].name)) != NULL;
        if (!tried)
            fail_msg("no case for %s", section_row[i].name);
    }
}

static const char full[] =
    "let half = 0.5\n"
    "train {\n"
    "  epochs = 10 * n\n"
    "  batch = res * 8\n"
    "  accumulate = n // 2\n"
    "  loss = half * (cross_entropy(logits, smoothing=lr / 5) + 0.6 * bce(aux)) + mse(aux)\n"
    "  optimizer = rmsprop(lr * 2, momentum=0.9, eps=1e-3, tf=lr > 0.1)\n"
    "  schedule = exponential(0.97, every=2.4, warmup=n + 1, warmup_lr=1e-6)\n"
    "  augment = random_resized_crop(res + 4) -> random_crop(res, pad=res // 8) -> hflip(0.25)\n"
    "    -> auto_augment(policy) -> mixup(lr)\n"
    "  clip = 5\n"
    "  ema = 0.9999\n"
    "  seed = 9007199254740992\n"
    "  workers = n\n"
    "}";

static void values_come_from_parameters(void **state)
{
    (void)state;
    const char *params[] = {"lr=0.25", "n=6"};
    ElabOptions opt = {.params = params, .param_count = 2, .input = {3, 64, 64}};
    TrainSpec s = spec_with(full, &opt);
    assert_true(s.declared);
    assert_int_equal(s.epochs, 60);
    assert_int_equal(s.batch, 512);
    assert_int_equal(s.accumulate, 3);
    assert_int_equal(s.loss_count, 3);
    assert_int_equal(s.loss[0].kind, TRAIN_CROSS_ENTROPY);
    assert_int_equal(s.loss[0].output, 1);
    assert_true(s.loss[0].weight == 0.5 && s.loss[0].smoothing == 0.05);
    assert_int_equal(s.loss[1].kind, TRAIN_BCE);
    assert_string_equal(s.loss[1].head, "aux");
    assert_int_equal(s.loss[1].output, 0);
    assert_true(s.loss[1].weight == 0.3);
    assert_int_equal(s.loss[2].kind, TRAIN_MSE);
    assert_true(s.loss[2].weight == 1);
    assert_int_equal(s.optimizer.kind, TRAIN_RMSPROP);
    assert_true(s.optimizer.lr == 0.5 && s.optimizer.momentum == 0.9 && s.optimizer.eps == 1e-3);
    assert_true(s.optimizer.alpha == 0.9 && s.optimizer.tf);
    assert_int_equal(s.schedule.kind, TRAIN_EXPONENTIAL);
    assert_true(s.schedule.gamma == 0.97 && s.schedule.every == 2.4);
    assert_true(s.schedule.warmup == 7 && s.schedule.warmup_lr == 1e-6);
    assert_int_equal(s.augment_count, 5);
    assert_int_equal(s.augment[0].size, 68);
    assert_int_equal(s.augment[1].kind, TRAIN_RANDOM_CROP);
    assert_int_equal(s.augment[1].size, 64);
    assert_int_equal(s.augment[1].pad, 8);
    assert_true(s.augment[2].p == 0.25);
    assert_string_equal(s.augment[3].policy, "v0");
    assert_true(s.augment[4].kind == TRAIN_MIXUP && s.augment[4].alpha == 0.25);
    assert_true(s.clip == 5 && s.ema == 0.9999);
    assert_true(s.seed == 9007199254740992 && s.workers == 6);
}

static void the_arm_taken_counts(void **state)
{
    (void)state;
    const char *section = "if res > 32 { train { epochs = 5 } } else { train { epochs = 6 } }\n"
                          "train { batch = 7 }";
    ElabOptions large = {.input = {3, 64, 64}};
    TrainSpec s = spec_with(section, NULL);
    assert_int_equal(s.epochs, 6);
    assert_int_equal(s.batch, 7);
    s = spec_with(section, &large);
    assert_int_equal(s.epochs, 5);
    assert_int_equal(s.batch, 7);
}

static const char *json_of(const TrainSpec *s)
{
    Buf out = {0};
    train_spec_json(s, &out);
    assert_true(buf_ok(&out));
    const char *text = arena_strdup(&arena, out.at);
    buf_free(&out);
    return text;
}

/* The text as a section of the same net gives the same values and text. */
static void what_is_printed_reads_back(void **state)
{
    (void)state;
    const char *sections[] = {
        "",
        full,
        "train { loss = 0.1 * mse(aux) + bce(logits, 0.25) optimizer = lamb(3e-3, max_norm=0) }",
        "train { optimizer = sgd(1e20, 0.5, nesterov=true) schedule = step(1e-7, 1) clip = 1e-300 "
        "}",
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        TrainSpec s = spec_with(sections[i], NULL);
        const char *first = text_of(&s), *values = json_of(&s);
        TrainSpec again = spec_with(first, NULL);
        assert_string_equal(text_of(&again), first);
        again.declared = s.declared;
        assert_string_equal(json_of(&again), values);
    }
}

static void as_json(void **state)
{
    (void)state;
    TrainSpec s = spec_with("train { epochs = 3 loss = 0.5 * cross_entropy(aux, 0.1)\n"
                            "optimizer = sgd(0.1, nesterov=true, momentum=0.9)\n"
                            "augment = random_crop(32, 4) -> auto_augment(\"v0\") }",
                            NULL);
    assert_string_equal(
        json_of(&s),
        "{\"declared\":true,\"epochs\":3,\"batch\":128,\"accumulate\":1,"
        "\"loss\":[{\"call\":\"cross_entropy\",\"weight\":0.5,\"head\":\"aux\",\"smoothing\":0.1}],"
        "\"optimizer\":{\"call\":\"sgd\",\"lr\":0.1,\"momentum\":0.9,\"decay\":0,\"nesterov\":true}"
        ","
        "\"schedule\":{\"call\":\"cosine\",\"warmup\":0,\"min\":0,\"warmup_lr\":0},"
        "\"augment\":[{\"call\":\"random_crop\",\"size\":32,\"pad\":4},"
        "{\"call\":\"auto_augment\",\"policy\":\"v0\"}],"
        "\"clip\":0,\"ema\":0,\"seed\":1,\"workers\":0}");
}

/* Sections that are refused, where and why. */
static const struct {
    const char *section, *want;
} refused[] = {
    {"train { epochs = n - 4 }", "6:18 E0319 epochs must be a whole number from 1 to 2^30, not 0"},
    {"train { optimizer = sgd(-lr) }", "6:25 E0319 lr of sgd must be above 0, not -0.5"},
    {"train { optimizer = sgd(lr, momentum=n) }",
     "6:38 E0319 momentum of sgd must be at least 0 and below 1, not 4"},
    {"train { loss = (lr - 0.5) * mse(aux) }",
     "6:17 E0319 the factor of a loss must be above 0, not 0"},
    {"train { augment = hflip -> random_crop(res * 4096) }",
     "6:40 E0319 size of random_crop must be from 1 to 65536, not 131072"},
    {"train { ema = 1.0 }", "6:15 E0319 ema must be at least 0 and below 1, not 1"},
    {"train { clip = 1e200 * 1e200 }", "6:16 E0306 the result is not a finite number"},
    {"train { seed = 9007199254740993 }", ""}, /* one above 2^53, which is its double */
    {"train { seed = 9007199254740994 }",
     "6:16 E0319 seed must be a whole number from 0 to 2^53, not 9007199254740994"},
    {"train { workers = 7 // (n - 4) }", "6:19 E0308 division by zero"},
    {"train { optimizer = sgd(0.1, nesterov=true) }",
     "6:21 E0306 nesterov needs a momentum above 0, such as 0.9"},
    {"if n == 5 { head h(from=s) = gap } train { loss = mse(h) }", "6:55 E0201 'h' is not defined"},
    {"train { seed = 1 } train { seed = 1 }", "6:28 E0304 parameter 'seed' is given twice"},
};

static void sections_that_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        Elab *e = elaborate(net_with(refused[i].section), NULL);
        assert_string_equal(error(), refused[i].want);
        assert_int_equal(e == NULL, refused[i].want[0] != '\0');
    }
}

static void pictures_have_to_fit_the_input(void **state)
{
    (void)state;
    TrainSpec s;
    ElabOptions large = {.input = {3, 48, 48}}, wide = {.input = {3, 32, 48}};
    const char *fixed = net_with("train { augment = hflip -> random_crop(32) }");
    Elab *e = elaborate(fixed, NULL);
    assert_non_null(e);
    assert_true(train_spec(e, &s));
    e = elaborate(fixed, &large);
    assert_non_null(e); /* it can be compiled all the same */
    assert_false(train_spec(e, &s));
    assert_string_equal(error(), "6:19 E0402 random_crop: makes pictures of 32x32, the input is "
                                 "48x48");
    e = elaborate(net_with("train { augment = random_crop(res) }"), &wide);
    assert_non_null(e);
    assert_false(train_spec(e, &s));
    e = elaborate(net_with("train { augment = random_resized_crop(40) -> random_crop(res) }"),
                  NULL);
    assert_true(train_spec(e, &s));
}

/* Options set one after the other, on a net that says nothing, and what the text then has; or, when
 * `why` is given, what the last of them says. */
static const struct {
    const char *options, *printed, *why;
} options[] = {
    {"epochs=3", "epochs     = 3\n", NULL},
    {"batch-size=512", "batch      = 512\n", NULL},
    {"grad-accum-steps=4", "accumulate = 4\n", NULL},
    {"lr=0.3", "sgd(lr=0.3, momentum=0.9, decay=0.0001, nesterov=false)", NULL},
    {"momentum=0 weight-decay=5e-4", "sgd(lr=0.1, momentum=0, decay=0.0005, nesterov=false)", NULL},
    {"opt=sgd", "sgd(lr=0.1, momentum=0.9, decay=0.0001, nesterov=false)", NULL},
    {"opt=nesterov", "sgd(lr=0.1, momentum=0.9, decay=0.0001, nesterov=true)", NULL},
    {"opt=adamw opt=momentum", "sgd(lr=0.1, momentum=0, decay=0, nesterov=false)", NULL},
    {"opt=adamw lr=4e-3 weight-decay=0.05",
     "adamw(lr=0.004, beta1=0.9, beta2=0.999, eps=1e-08, decay=0.05)", NULL},
    {"opt=lamb", "lamb(lr=0.1, beta1=0.9, beta2=0.999, eps=1e-06, decay=0.01, max_norm=1)", NULL},
    {"opt=rmsproptf momentum=0.9 opt-eps=1e-3",
     "rmsprop(lr=0.1, alpha=0.9, momentum=0.9, decay=0, eps=0.001, tf=true)", NULL},
    {"sched=none", "constant(warmup=0, warmup_lr=0)", NULL},
    {"warmup-epochs=5 warmup-lr=1e-6 sched=linear min-lr=1e-5",
     "linear(warmup=5, end=1e-05, warmup_lr=1e-06)", NULL},
    {"min-lr=1e-6", "cosine(warmup=0, min=1e-06, warmup_lr=0)", NULL},
    {"sched=step decay-epochs=2.4 decay-rate=0.97",
     "step(every=2.4, gamma=0.97, warmup=0, warmup_lr=0)", NULL},
    {"smoothing=0.1", "cross_entropy(logits, smoothing=0.1)", NULL},
    {"hflip=0.25", "augment    = hflip(p=0.25)\n  clip", NULL},
    {"cutmix=1 hflip=0.5 mixup=0.8 reprob=0.25 aa=rand-m9-mstd0.5-inc1 color-jitter=0.3",
     "augment    = hflip(p=0.5)\n"
     "    -> color_jitter(brightness=0.3, contrast=0.3, saturation=0.3)\n"
     "    -> rand_augment(magnitude=9, std=0.5, ops=2, p=0.5)\n"
     "    -> erase(p=0.25)\n"
     "    -> mixup(alpha=0.8)\n"
     "    -> cutmix(alpha=1)\n  clip",
     NULL},
    {"mixup=0.8 cutmix=1 mixup=0", "augment    = cutmix(alpha=1)\n  clip", NULL},
    {"mixup=0", "cosine(warmup=0, min=0, warmup_lr=0)\n  clip", NULL},
    {"mixup=0.8 mixup=0.2", "augment    = mixup(alpha=0.2)\n  clip", NULL},
    {"aa=rand-m7-n3-p1", "augment    = rand_augment(magnitude=7, std=0, ops=3, p=1)\n  clip", NULL},
    {"aa=rand-m7 aa=v0", "augment    = auto_augment(policy=\"v0\")\n  clip", NULL},
    {"aa=v0 aa=rand-m7", "augment    = rand_augment(magnitude=7, std=0, ops=2, p=0.5)\n  clip",
     NULL},
    {"aa=v0 aa=none", "cosine(warmup=0, min=0, warmup_lr=0)\n  clip", NULL},
    {"aa=rand-m7 aa=none", "cosine(warmup=0, min=0, warmup_lr=0)\n  clip", NULL},
    {"clip-grad=1", "clip       = 1\n", NULL},
    {"model-ema-decay=0.9999", "ema        = 0.9999\n", NULL},
    {"seed=42", "seed       = 42\n", NULL},
    {"workers=8", "workers    = 8\n", NULL},
    {"epoch=3", NULL, "training has no option 'epoch'; did you mean 'epochs'?"},
    {"drop-path=0.1", NULL, "training has no option 'drop-path'"},
    {"epochs=0", NULL,
     "--epochs must be a whole number from 1 to 2^30, not 0: 1 is the least there can be"},
    {"epochs=1.5", NULL, "--epochs takes a whole number, not '1.5'"},
    {"epochs=", NULL, "--epochs takes a whole number, not ''"},
    {"epochs=99999999999999999999", NULL,
     "--epochs takes a whole number, not '99999999999999999999'"},
    {"lr=fast", NULL, "--lr takes a number, not 'fast'"},
    {"lr=nan", NULL, "--lr takes a number, not 'nan'"},
    {"lr=1e-3x", NULL, "--lr takes a number, not '1e-3x'"},
    {"lr=-1", NULL,
     "--lr must be above 0, not -1: 0.1 is common for sgd, 1e-3 for adamw, 5e-3 for lamb"},
    {"smoothing=1", NULL, "--smoothing must be at least 0 and below 1, not 1: 0 does without it"},
    {"reprob=1.5", NULL, "--reprob must be from 0 to 1, not 1.5: it is a probability"},
    {"mixup=-1", NULL,
     "--mixup must be above 0, not -1: to do without it, leave it out of the chain"},
    {"color-jitter=-1", NULL, "--color-jitter must be at least 0, not -1: 0 does without it"},
    {"opt=lomb", NULL, "--opt: there is no 'lomb'; did you mean 'lamb'?"},
    {"opt=muon", NULL, "--opt: there is no 'muon'; known are sgd, adam, adamw, rmsprop, lamb"},
    {"sched=plateau", NULL,
     "--sched: there is no 'plateau'; known are constant, step, exponential, cosine, linear"},
    {"opt=adamw momentum=0.9", NULL,
     "--momentum means nothing to adamw, which takes lr, beta1, beta2, eps, decay"},
    {"sched=constant min-lr=1", NULL,
     "--min-lr means nothing to constant, which takes warmup, warmup_lr"},
    {"aa=v1", NULL, "--aa takes v0, rand-m9-mstd0.5-n2-p0.5 or none, not 'v1'"},
    {"aa=rand-n2", NULL, "--aa: 'rand-n2' needs a magnitude, as in rand-m9"},
    {"aa=rand-m9-w0", NULL,
     "--aa: 'w0' is not understood; rand-m9-mstd0.5-n2-p0.5 has all there can be"},
    {"aa=rand-m11", NULL,
     "--aa: 'm11' is not understood; rand-m9-mstd0.5-n2-p0.5 has all there can be"},
    {"aa=rand-m9-n2.5", NULL,
     "--aa: 'n2.5' is not understood; rand-m9-mstd0.5-n2-p0.5 has all there can be"},
};

/* Sets NAME=VALUE words; what the last one says. */
static const char *set_all(TrainSpec *s, const char *words)
{
    const char *why = NULL;
    char *copy = arena_strdup(&arena, words), *rest;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *eq = strchr(word, '=');
        *eq = '\0';
        if (why != NULL)
            fail_msg("%s: %s", words, why);
        why = train_spec_set(s, word, eq + 1);
    }
    return why;
}

static void options_of_the_command_line(void **state)
{
    (void)state;
    TrainSpec plain = spec_with("", NULL);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        TrainSpec s = plain;
        const char *why = set_all(&s, options[i].options);
        if (options[i].why != NULL) {
            assert_non_null(why);
            assert_string_equal(why, options[i].why);
            continue;
        }
        if (why != NULL || train_spec_check(&s) != NULL ||
            strstr(text_of(&s), options[i].printed) == NULL)
            fail_msg("%s: %s\n%s\nlacks %s", options[i].options, s.why, text_of(&s),
                     options[i].printed);
    }
    for (int k = 0; k < train_option_count; k++) {
        bool tried = false;
        for (size_t i = 0; i < sizeof options / sizeof *options; i++)
            tried = tried || (options[i].why == NULL &&
                              strstr(options[i].options, train_options[k].name) != NULL);
        if (!tried)
            fail_msg("no case for --%s", train_options[k].name);
    }
}

static void a_refused_option_changes_nothing(void **state)
{
    (void)state;
    TrainSpec plain = spec_with(full, NULL);
    const char *before = text_of(&plain);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (options[i].why == NULL || strchr(options[i].options, ' ') != NULL)
            continue;
        assert_non_null(set_all(&plain, options[i].options));
        assert_string_equal(text_of(&plain), before);
    }
}

static void options_reach_every_loss_that_takes_them(void **state)
{
    (void)state;
    TrainSpec s = spec_with("train { loss = mse(aux) + cross_entropy(aux) + bce(logits) }", NULL);
    assert_null(train_spec_set(&s, "smoothing", "0.2"));
    assert_true(s.loss[0].smoothing == 0 && s.loss[1].smoothing == 0.2 &&
                s.loss[2].smoothing == 0.2);
    s = spec_with("train { loss = mse(aux) }", NULL);
    assert_string_equal(train_spec_set(&s, "smoothing", "0.2"),
                        "--smoothing means nothing to mse, which takes head");
}

static void what_is_missing_after_the_last_option(void **state)
{
    (void)state;
    TrainSpec s = spec_with("", NULL);
    assert_null(train_spec_set(&s, "sched", "step"));
    assert_string_equal(train_spec_check(&s), "step needs --decay-epochs");
    assert_null(train_spec_set(&s, "decay-epochs", "30"));
    assert_null(train_spec_check(&s));
    assert_null(train_spec_set(&s, "sched", "exponential"));
    assert_string_equal(train_spec_check(&s), "exponential needs --decay-rate");
    s = spec_with("", NULL);
    assert_null(train_spec_set(&s, "opt", "nesterov"));
    assert_null(train_spec_set(&s, "momentum", "0"));
    assert_string_equal(train_spec_check(&s), "nesterov needs a momentum above 0, such as 0.9");
}

static void a_full_chain_takes_no_more(void **state)
{
    (void)state;
    Buf chain = {0};
    buf_add(&chain, "train { augment = hflip");
    for (int i = 1; i < TRAIN_AUGMENTS; i++)
        buf_add(&chain, " -> hflip");
    buf_add(&chain, " }");
    assert_true(buf_ok(&chain));
    TrainSpec s = spec_with(chain.at, NULL);
    buf_free(&chain);
    assert_int_equal(s.augment_count, TRAIN_AUGMENTS);
    assert_string_equal(train_spec_set(&s, "mixup", "1"),
                        "there are 16 augmentations already, no more fit");
    assert_null(train_spec_set(&s, "hflip", "0"));
    assert_int_equal(s.augment_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_net_without_a_section, up, down),
        cmocka_unit_test_setup_teardown(defaults_of_every_call, up, down),
        cmocka_unit_test_setup_teardown(values_come_from_parameters, up, down),
        cmocka_unit_test_setup_teardown(the_arm_taken_counts, up, down),
        cmocka_unit_test_setup_teardown(what_is_printed_reads_back, up, down),
        cmocka_unit_test_setup_teardown(as_json, up, down),
        cmocka_unit_test_setup_teardown(sections_that_are_refused, up, down),
        cmocka_unit_test_setup_teardown(pictures_have_to_fit_the_input, up, down),
        cmocka_unit_test_setup_teardown(options_of_the_command_line, up, down),
        cmocka_unit_test_setup_teardown(a_refused_option_changes_nothing, up, down),
        cmocka_unit_test_setup_teardown(options_reach_every_loss_that_takes_them, up, down),
        cmocka_unit_test_setup_teardown(what_is_missing_after_the_last_option, up, down),
        cmocka_unit_test_setup_teardown(a_full_chain_takes_no_more, up, down),
    };
    return cmocka_run_group_tests_name("train_spec", tests, NULL, NULL);
}
