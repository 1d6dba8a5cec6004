// SPDX-License-Identifier: Apache-2.0
// The device replay: what a recording says, and what it may not say.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "kernels/device_replay.h"
#include "profiler/timer.h"
#include "tests/unit/unit.h"

#define HEAD "# hone replay 1\ndevice\tcuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W\ntoolchain\tcuda=13.0 hone=0.1.0\n"

static char folder[256];

static hone_status open_text(const char *text, hone_device **device)
{
    char path[300], name[320];
    snprintf(path, sizeof path, "%s/recording", folder);
    snprintf(name, sizeof name, "replay:%s", path);
    assert_int_equal(hone_file_write(path, text, strlen(text)), HONE_OK);
    hone_status status = hone_device_open(name, device);
    remove(path);
    return status;
}

static void a_recording_is_a_device(void **state)
{
    hone_device *device;
    const hone_recorded *first;
    char spelling[256];
    (void)state;
    assert_int_equal(open_text(HEAD "relu x=f32:8\tnvrtc.b@1 t=2\tok\t64\t5,6,7\nrelu x=f32:8\tnvrtc.a@1\twrong\t0\t\nabs x=f32:8\tnvrtc.a@1\tok\t0\t1\n"
                               "relu x=f32:8\tnvrtc.b@1 t=2\tok\t64\t9\n", &device), HONE_OK);
    hone_target_print(&device->target, spelling, sizeof spelling);
    assert_string_equal(spelling, "cuda sm_90 \"NVIDIA H200\" sms=132 mem=143771MiB clock=1980MHz power=700W");
    assert_string_equal(device->toolchain, "cuda=13.0 hone=0.1.0");
    assert_int_equal(hone_replay_find(device, "relu x=f32:8", &first), 2);
    assert_string_equal(first[0].tactic, "nvrtc.a@1");
    assert_string_equal(first[1].tactic, "nvrtc.b@1 t=2");
    assert_int_equal(first[1].n, 3);
    assert_int_equal(hone_replay_find(device, "neg x=f32:8", &first), 0);
    hone_device_close(device);
}

static void samples_come_in_order_and_again(void **state)
{
    hone_device *device;
    hone_problem problem;
    hone_tactic tactic;
    hone_runnable *runnable;
    double samples[4];
    float x[8] = {1, -1, 2, -2}, y[8];
    void *operand = x, *output = y;
    void *const *in = &operand, *const *out = &output;
    (void)state;
    assert_int_equal(open_text(HEAD "relu x=f32:8\tnvrtc.b@1\tok\t0\t5,6,7\n", &device), HONE_OK);
    assert_int_equal(hone_problem_parse("relu x=f32:8", &problem), HONE_OK);
    assert_int_equal(hone_tactic_parse("nvrtc.b@1", &tactic), HONE_OK);
    assert_int_equal(hone_source_find("replay")->prepare(&problem, &tactic, device, NULL, &runnable), HONE_OK);
    assert_int_equal(runnable->api->wake(runnable), HONE_OK);
    hone_timing_request request = {.device = device, .runnable = runnable, .operand_sets = &in, .output_sets = &out, .n_sets = 1, .samples = 4};
    assert_int_equal(hone_timer_measure(hone_timer_choose(device), &request, samples), HONE_OK);
    assert_true(samples[0] == 5 && samples[2] == 7 && samples[3] == 5);
    assert_true(y[0] == 1 && y[1] == 0 && y[2] == 2 && y[3] == 0);
    runnable->api->free(runnable);
    hone_device_close(device);
}

static void what_is_no_recording_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "relu", "# hone replay 2\n", "# hone replay 1\n", HEAD "relu x=f32:8\tnvrtc.b@1\tok\t0\n", HEAD "relu x=f32:8\tnvrtc.b@1\tok\t0\t5,x\n",
        HEAD "relu x=f32:8\tnvrtc.b@1\tok\t0\t\n", HEAD "relu x=f32:8\tnvrtc.b@1\twrong\t0\t5\n", HEAD "relu x=f32:8\tnvrtc.b@1\tok\t-1\t5\n",
        HEAD "relu x=f32:8\tnvrtc.b@1\tok\t0\t-5\n", "# hone replay 1\ndevice\tsome device\n", HEAD "a\tb\tok\t0\t5\t6\n",
    };
    hone_device *device;
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        if (open_text(bad[k], &device) == HONE_OK) fail_msg("accepted: %s", bad[k]);
    assert_int_not_equal(hone_device_open("replay:/no/such/file", &device), HONE_OK);
    assert_int_not_equal(hone_device_open("replay", &device), HONE_OK);
}

static int make_folder(void **state)
{
    (void)state;
    return unit_folder(folder) == NULL;
}

static int drop_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int test_tuner_replay(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recording_is_a_device), cmocka_unit_test(samples_come_in_order_and_again), cmocka_unit_test(what_is_no_recording_is_refused),
    };
    return cmocka_run_group_tests_name("tuner_replay", tests, make_folder, drop_folder);
}
