// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "tests/unit/unit.h"
#include "tuner/wire.h"

#define MS 1000000ll

static bool parse_text(const char *text, hone_answer *answer)
{
    char line[65536];
    hone_wire_fields fields;
    snprintf(line, sizeof line, "1\tanswer\t%s", text);
    return hone_wire_split(line, &fields) && hone_answer_parse(&fields, 2, answer);
}

static void draw_answer(hone_answer *a, uint64_t stream)
{
    hone_answer_init(a);
    a->verdict = (hone_verdict)(hone_rng_bits(1, stream, 0) % HONE_VERDICT_COUNT);
    a->leaving = hone_rng_bits(1, stream, 1) % 2;
    a->error = hone_rng_uniform(1, stream, 2) * 1e-3;
    a->workspace_bytes = (int64_t)hone_rng_bits(1, stream, 3) << 8;
    a->registers = hone_rng_bits(1, stream, 4) % 256;
    a->clock_mhz = hone_rng_bits(1, stream, 5) % 2000;
    snprintf(a->note, sizeof a->note, "note %u, with words", hone_rng_bits(1, stream, 6));
    snprintf(a->throttle, sizeof a->throttle, "power_cap");
    snprintf(a->artifact, sizeof a->artifact, "%08x", hone_rng_bits(1, stream, 7));
    a->n = a->verdict == HONE_VERDICT_OK ? 1 + (int)(hone_rng_bits(1, stream, 8) % 50) : 0;
    for (int k = 0; k < a->n; k++) a->samples_ns[k] = 1 + 1e6 * hone_rng_uniform(1, stream, 10 + (uint64_t)k);
}

static void answers_are_read_as_printed(void **state)
{
    (void)state;
    for (uint64_t stream = 0; stream < 300; stream++) {
        static hone_answer sent, got;
        hone_text text;
        hone_text_init(&text);
        draw_answer(&sent, stream);
        hone_answer_print(&sent, &text);
        assert_true(parse_text(hone_text_get(&text), &got));
        hone_text_clear(&text);
        assert_int_equal(got.verdict, sent.verdict);
        assert_int_equal(got.leaving, sent.leaving);
        assert_true(got.error == sent.error && got.clock_mhz == sent.clock_mhz && got.power_w == sent.power_w);
        assert_int_equal(got.workspace_bytes, sent.workspace_bytes);
        assert_int_equal(got.registers, sent.registers);
        assert_string_equal(got.note, sent.note);
        assert_string_equal(got.artifact, sent.artifact);
        assert_int_equal(got.n, sent.n);
        for (int k = 0; k < sent.n; k++) assert_true(got.samples_ns[k] == sent.samples_ns[k]);
    }
}

static void a_note_cannot_break_the_line(void **state)
{
    static hone_answer sent, got;
    hone_text text;
    (void)state;
    hone_text_init(&text);
    hone_answer_init(&sent);
    sent.verdict = HONE_VERDICT_CRASH;
    snprintf(sent.note, sizeof sent.note, "two\nlines\tand a tab");
    hone_answer_print(&sent, &text);
    assert_null(strchr(hone_text_get(&text), '\n'));
    assert_true(parse_text(hone_text_get(&text), &got));
    assert_string_equal(got.note, "two lines and a tab");
    hone_text_clear(&text);
}

static void what_is_no_answer_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "ok", "ok\tstaying\t0\t0\t-1\t-1\t-1\t-1\t\t\t\t",                      // right, but no time
        "ok\tstaying\t-1\t0\t-1\t-1\t-1\t-1\t\t\t\t5",                             // a time that was not verified
        "crash\tstaying\t-1\t0\t-1\t-1\t-1\t-1\t\t\t\t5",                          // a failure with a time
        "fine\tstaying\t0\t0\t-1\t-1\t-1\t-1\t\t\t\t5", "ok\tgoing\t0\t0\t-1\t-1\t-1\t-1\t\t\t\t5",
        "ok\tstaying\tzero\t0\t-1\t-1\t-1\t-1\t\t\t\t5", "ok\tstaying\t0\t0x\t-1\t-1\t-1\t-1\t\t\t\t5",
        "ok\tstaying\t0\t0\t-1\t-1\t-1\t-1\t\t\t\t5,", "ok\tstaying\t0\t0\t-1\t-1\t-1\t-1\t\t\t\t5,,6", "ok\tstaying\t0\t0\t-1\t-1\t-1\t-1\t\t\t\t-5",
        "ok\tstaying\t0\t0\t-1\t-1\t-1\t-1\t\t\t\tnan", "ok\tstaying\t0\t0\t-1\t-1\t-1\t-1\t\t\t\tinf", "ok\tstaying\t0\t-8\t-1\t-1\t-1\t-1\t\t\t\t5",
        "ok\tstaying\t0\t0\t-1\t-1\t-1\t-1\t\t\t\t5\tmore",
    };
    static hone_answer answer;
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        if (parse_text(bad[k], &answer)) fail_msg("accepted: %s", bad[k]);
    assert_true(parse_text("ok\tstaying\t0\t0\t-1\t-1\t-1\t-1\t\t\t\t5", &answer));
}

static void random_bytes_are_no_answer(void **state)
{
    static hone_answer answer;
    (void)state;
    for (uint64_t round = 0; round < 20000; round++) {
        char line[64];
        hone_wire_fields fields;
        size_t n = hone_rng_bits(2, round, 0) % (sizeof line - 1);
        for (size_t k = 0; k < n; k++) line[k] = (char)(1 + hone_rng_bits(2, round, 1 + k) % 255);
        line[n] = 0;
        if (hone_wire_split(line, &fields)) assert_false(hone_answer_parse(&fields, 0, &answer));
    }
}

// ---- lines over a pipe

static void open_pipe(int fds[2], hone_wire_reader *reader)
{
    assert_int_equal(pipe(fds), 0);
    *reader = (hone_wire_reader){.fd = fds[0]};
}

static void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void lines_come_whole(void **state)
{
    int fds[2];
    hone_wire_reader reader;
    char *line;
    (void)state;
    open_pipe(fds, &reader);
    put(fds[1], "one\ntw");
    assert_int_equal(hone_wire_read(&reader, hone_clock_ns() + 1000 * MS, NULL, &line), HONE_WIRE_LINE);
    assert_string_equal(line, "one");
    assert_int_equal(hone_wire_read(&reader, hone_clock_ns() + 20 * MS, NULL, &line), HONE_WIRE_LATE);
    put(fds[1], "o\n\n");
    assert_int_equal(hone_wire_read(&reader, hone_clock_ns() + 1000 * MS, NULL, &line), HONE_WIRE_LINE);
    assert_string_equal(line, "two");
    assert_int_equal(hone_wire_read(&reader, hone_clock_ns() + 1000 * MS, NULL, &line), HONE_WIRE_LINE);
    assert_string_equal(line, "");
    put(fds[1], "half");
    close(fds[1]);
    assert_int_equal(hone_wire_read(&reader, hone_clock_ns() + 1000 * MS, NULL, &line), HONE_WIRE_END);
    close(fds[0]);
    hone_wire_reader_clear(&reader);
}

static void a_stop_is_seen(void **state)
{
    int fds[2];
    hone_wire_reader reader;
    volatile sig_atomic_t stop = 1;
    char *line;
    (void)state;
    open_pipe(fds, &reader);
    assert_int_equal(hone_wire_read(&reader, hone_clock_ns() + 5000 * MS, &stop, &line), HONE_WIRE_STOPPED);
    close(fds[0]);
    close(fds[1]);
    hone_wire_reader_clear(&reader);
}

static void a_nul_is_garbage(void **state)
{
    int fds[2];
    hone_wire_reader reader;
    char *line;
    (void)state;
    open_pipe(fds, &reader);
    assert_int_equal(write(fds[1], "a\0b\n", 4), 4);
    assert_int_equal(hone_wire_read(&reader, hone_clock_ns() + 1000 * MS, NULL, &line), HONE_WIRE_GARBAGE);
    close(fds[0]);
    close(fds[1]);
    hone_wire_reader_clear(&reader);
}

int test_tuner_wire(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_as_printed), cmocka_unit_test(a_note_cannot_break_the_line),
        cmocka_unit_test(what_is_no_answer_is_refused), cmocka_unit_test(random_bytes_are_no_answer), cmocka_unit_test(lines_come_whole),
        cmocka_unit_test(a_stop_is_seen), cmocka_unit_test(a_nul_is_garbage),
    };
    return cmocka_run_group_tests_name("tuner_wire", tests, NULL, NULL);
}
