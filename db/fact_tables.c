// SPDX-License-Identifier: Apache-2.0
// The tables of facts, in the order in which they are dumped and loaded: what is named comes before what names it.
#include <math.h>
#include <string.h>

#include "db/fact_priv.h"
#include "db/identity_priv.h"
#include "db/recheck_priv.h"

#define COUNT(columns) ((int)(sizeof(columns) / sizeof *(columns)))

static const hone_column run_columns[] = {
    {"start_unix_ms", HONE_COLUMN_INT}, {"writer", HONE_COLUMN_TEXT}, {"sequence", HONE_COLUMN_INT},
    {"effort", HONE_COLUMN_TEXT}, {"seed", HONE_COLUMN_INT}, {"options", HONE_COLUMN_TEXT},
};
static const hone_column measurement_columns[] = {
    {"problem", HONE_COLUMN_PROBLEM}, {"tactic", HONE_COLUMN_TACTIC}, {"device", HONE_COLUMN_DEVICE},
    {"toolchain", HONE_COLUMN_TOOLCHAIN}, {"depends", HONE_COLUMN_TEXT}, {"mode", HONE_COLUMN_TEXT},
    {"verdict", HONE_COLUMN_TEXT}, {"median_ns", HONE_COLUMN_REAL}, {"mad_ns", HONE_COLUMN_REAL},
    {"min_ns", HONE_COLUMN_REAL}, {"timer", HONE_COLUMN_TEXT}, {"workspace_bytes", HONE_COLUMN_INT},
    {"error", HONE_COLUMN_REAL}, {"clock_mhz", HONE_COLUMN_REAL}, {"temperature_c", HONE_COLUMN_REAL},
    {"power_w", HONE_COLUMN_REAL}, {"throttle", HONE_COLUMN_TEXT}, {"registers", HONE_COLUMN_INT},
    {"artifact", HONE_COLUMN_TEXT}, {"run", HONE_COLUMN_RUN}, {"note", HONE_COLUMN_TEXT}, {"samples", HONE_COLUMN_SAMPLES},
};
static const hone_column coverage_columns[] = {
    {"problem", HONE_COLUMN_PROBLEM}, {"device", HONE_COLUMN_DEVICE}, {"depends", HONE_COLUMN_TEXT},
    {"source", HONE_COLUMN_TEXT}, {"version", HONE_COLUMN_INT}, {"effort", HONE_COLUMN_TEXT}, {"tried", HONE_COLUMN_INT},
};
static const hone_column network_columns[] = {{"digest", HONE_COLUMN_ID}, {"name", HONE_COLUMN_TEXT}};
static const hone_column network_problem_columns[] = {
    {"network", HONE_COLUMN_ID}, {"problem", HONE_COLUMN_PROBLEM}, {"times", HONE_COLUMN_INT},
};
static const hone_column plan_columns[] = {
    {"digest", HONE_COLUMN_ID}, {"network", HONE_COLUMN_ID}, {"device", HONE_COLUMN_DEVICE},
};
static const hone_column plan_step_columns[] = {
    {"plan", HONE_COLUMN_ID}, {"step", HONE_COLUMN_INT}, {"measurement", HONE_COLUMN_ID},
};
static const hone_column calibration_columns[] = {
    {"network", HONE_COLUMN_ID}, {"tensor", HONE_COLUMN_TEXT}, {"data_set", HONE_COLUMN_ID}, {"method", HONE_COLUMN_TEXT},
    {"seed", HONE_COLUMN_INT}, {"low", HONE_COLUMN_REAL}, {"high", HONE_COLUMN_REAL}, {"scale", HONE_COLUMN_REAL},
    {"histogram", HONE_COLUMN_BYTES},
};
static const hone_column artifact_columns[] = {
    {"key", HONE_COLUMN_TEXT}, {"kind", HONE_COLUMN_TEXT}, {"data", HONE_COLUMN_ZIPPED},
};
static const hone_column batch_columns[] = {
    {"writer", HONE_COLUMN_TEXT}, {"sequence", HONE_COLUMN_INT}, {"ids", HONE_COLUMN_BYTES}, {"signature", HONE_COLUMN_BYTES},
};
static const hone_column ruling_columns[] = {
    {"writer", HONE_COLUMN_TEXT}, {"sequence", HONE_COLUMN_INT}, {"verb", HONE_COLUMN_TEXT}, {"target", HONE_COLUMN_ID},
    {"reason", HONE_COLUMN_TEXT}, {"made_unix_ms", HONE_COLUMN_INT}, {"signature", HONE_COLUMN_BYTES},
};

static const hone_column recheck_columns[] = {
    {"device", HONE_COLUMN_DEVICE}, {"family", HONE_COLUMN_TEXT}, {"depends", HONE_COLUMN_TEXT}, {"now", HONE_COLUMN_TEXT},
    {"mode", HONE_COLUMN_TEXT}, {"decision", HONE_COLUMN_TEXT}, {"scale", HONE_COLUMN_REAL}, {"low", HONE_COLUMN_REAL},
    {"high", HONE_COLUMN_REAL}, {"timed", HONE_COLUMN_INT}, {"run", HONE_COLUMN_RUN},
};

const hone_cell *hone_row_run(int fact, const hone_cell *values)
{
    return fact == HONE_FACT_MEASUREMENT ? &values[HONE_M_RUN] : fact == HONE_FACT_RECHECK ? &values[HONE_RE_RUN] : NULL;
}

static bool is_text(const hone_cell *value, const char *text)
{
    return value->size == strlen(text) && !memcmp(value->data, text, value->size);
}

static hone_status check_samples(const hone_cell *samples)
{
    const double *ns = samples->data;
    if (samples->size > HONE_SAMPLES_MAX)
        return hone_fail(HONE_USAGE, "a measurement has %zu samples, more than the %d that are kept", samples->size, HONE_SAMPLES_MAX);
    for (size_t i = 0; i < samples->size; i++)
        if (!isfinite(ns[i]) || ns[i] < 0) return hone_fail(HONE_USAGE, "sample %zu of a measurement is no time", i);
    return HONE_OK;
}

// Law 5: no time without a right answer.
static hone_status check_measurement(const hone_cell *values)
{
    bool ok = is_text(&values[HONE_M_VERDICT], "ok"), known = false;
    double median = values[HONE_M_MEDIAN].real, error = values[HONE_M_ERROR].real;
    for (int i = 0; i < HONE_VERDICT_COUNT; i++) known |= is_text(&values[HONE_M_VERDICT], hone_verdict_name((hone_verdict)i));
    if (!known) return hone_fail(HONE_USAGE, "a measurement has a verdict that this hone does not know");
    if (!values[HONE_M_MODE].size) return hone_fail(HONE_USAGE, "a measurement has no mode");
    if (ok && !(median > 0 && isfinite(median))) return hone_fail(HONE_USAGE, "a measurement is ok and has no time");
    if (ok && !(error >= 0 && isfinite(error))) return hone_fail(HONE_USAGE, "a time that was not verified cannot be stored");
    if (!ok && (median != 0 || values[HONE_M_SAMPLES].size))
        return hone_fail(HONE_USAGE, "a measurement that is not ok has a time");
    for (int i = HONE_M_PROBLEM; i <= HONE_M_NOTE; i++)
        if (measurement_columns[i].kind == HONE_COLUMN_REAL && i != HONE_M_ERROR && !isfinite(values[i].real))
            return hone_fail(HONE_USAGE, "%s of a measurement is not finite", measurement_columns[i].name);
    return check_samples(&values[HONE_M_SAMPLES]);
}

static hone_status check_effort(const hone_cell *value)
{
    char effort[16];
    if (value->size < sizeof effort) {
        memcpy(effort, value->data, value->size);
        effort[value->size] = 0;
        if (hone_effort_level(effort) >= 0) return HONE_OK;
    }
    return hone_fail(HONE_USAGE, "'%.*s' is no effort: lookup, estimate, quick, full or exhaustive", (int)value->size, (const char *)value->data);
}

static hone_status check_run(const hone_cell *values)
{
    if (!values[HONE_RUN_WRITER].size) return hone_fail(HONE_USAGE, "a run has no writer");
    return check_effort(&values[HONE_RUN_EFFORT]);
}

static hone_status check_coverage(const hone_cell *values)
{
    if (!values[HONE_C_SOURCE].size) return hone_fail(HONE_USAGE, "a coverage has no source");
    return check_effort(&values[HONE_C_EFFORT]);
}

static hone_status check_artifact(const hone_cell *values)
{
    if (!values[0].size) return hone_fail(HONE_USAGE, "an artifact has no key");
    return HONE_OK;
}

// A signed row holds only with its signature: what comes in by whatever way was said by the key it names.
static hone_status check_signature(int fact, const hone_cell *values)
{
    const hone_fact_table *table = &hone_facts[fact];
    const hone_cell *writer = &values[0], *signature = &values[table->column_count - 1];
    hone_id public_key, claim;
    hone_signature read;
    char digits[HONE_ID_TEXT] = "";
    if (writer->size == HONE_ID_TEXT - 1) memcpy(digits, writer->data, writer->size);
    if (!hone_id_parse(digits, &public_key) || signature->size != sizeof read || values[1].integer < 1)
        return hone_fail(HONE_USAGE, "a %s has no writer, sequence or signature", table->name);
    memcpy(&read, signature->data, sizeof read);
    hone_status status = hone_row_claim(table, values, &claim);
    if (status == HONE_OK && !hone_sign_check(&public_key, &claim, sizeof claim, &read))
        status = hone_fail(HONE_USAGE, "a %s of the writer %.16s does not have that writer's signature", table->name, digits);
    return status;
}

static hone_status check_batch(const hone_cell *values)
{
    const hone_cell *ids = &values[HONE_B_IDS];
    if (!ids->size || ids->size % sizeof(hone_id)) return hone_fail(HONE_USAGE, "a batch does not hold a list of ids");
    for (size_t at = sizeof(hone_id); at < ids->size; at += sizeof(hone_id))
        if (memcmp((const char *)ids->data + at - sizeof(hone_id), (const char *)ids->data + at, sizeof(hone_id)) >= 0)
            return hone_fail(HONE_USAGE, "the ids of a batch are not in order");
    return check_signature(HONE_FACT_BATCH, values);
}

static hone_status check_ruling(const hone_cell *values)
{
    if (!values[HONE_R_VERB].size) return hone_fail(HONE_USAGE, "a ruling has no verb");
    return check_signature(HONE_FACT_RULING, values);
}

// A library may make a family some times as fast or slow, and no more: what says so is no recheck.
static hone_status check_recheck(const hone_cell *values)
{
    double scale = values[HONE_RE_SCALE].real, low = values[HONE_RE_LOW].real, high = values[HONE_RE_HIGH].real;
    bool known = false;
    for (int i = 0; i < HONE_RECHECK_DECISIONS; i++) known |= is_text(&values[HONE_RE_DECISION], hone_recheck_name((hone_recheck_decision)i));
    if (!known) return hone_fail(HONE_USAGE, "a recheck decides none of keep, rescale, apart, retime");
    if (!values[HONE_RE_FAMILY].size || !values[HONE_RE_MODE].size) return hone_fail(HONE_USAGE, "a recheck has no family or no mode");
    if (!(scale >= 1 / HONE_RECHECK_SCALE_MOST && scale <= HONE_RECHECK_SCALE_MOST) || !(low > 0 && high >= low && isfinite(high)))
        return hone_fail(HONE_USAGE, "a recheck's scale is not within 1/%g to %g, or its interval is none", HONE_RECHECK_SCALE_MOST, HONE_RECHECK_SCALE_MOST);
    if (is_text(&values[HONE_RE_DECISION], "keep") && scale != 1) return hone_fail(HONE_USAGE, "a recheck keeps times and scales them");
    return HONE_OK;
}

#define RUN_SELECT "SELECT id, start_unix_ms, writer, sequence, effort, seed, options, number FROM run"
#define COVERAGE_SELECT "SELECT c.id, p.spelling, d.spelling, c.depends, c.source, c.version, c.effort, c.tried FROM coverage c" \
    " LEFT JOIN problem p ON p.number = c.problem LEFT JOIN device d ON d.number = c.device"
#define NETWORK_SELECT "SELECT id, digest, name FROM network"
#define NETWORK_PROBLEM_SELECT "SELECT n.id, n.network, p.spelling, n.times FROM network_problem n" \
    " LEFT JOIN problem p ON p.number = n.problem"
#define PLAN_SELECT "SELECT l.id, l.digest, l.network, d.spelling FROM plan l LEFT JOIN device d ON d.number = l.device"
#define PLAN_STEP_SELECT "SELECT id, plan, step, measurement FROM plan_step"
#define CALIBRATION_SELECT "SELECT id, network, tensor, data_set, method, seed, low, high, scale, histogram FROM calibration"
#define ARTIFACT_SELECT "SELECT id, key, kind, data FROM artifact"
#define BATCH_SELECT "SELECT id, writer, sequence, ids, signature FROM batch"
#define RULING_SELECT "SELECT id, writer, sequence, verb, target, reason, made_unix_ms, signature FROM ruling"

// The dump's order is of meaning first, so that what changed together stands together; the id settles the rest.
#define TABLE(word, columns_of, text, of, order, statement) \
    .name = word, .columns = columns_of, .column_count = COUNT(columns_of), .select = text, \
    .sorted = text " ORDER BY " order ", " of "id", .one = text " WHERE " of "id = ?", .numbered = text " WHERE " of "number BETWEEN ? AND ? ORDER BY " of "number", \
    .ids = "SELECT id, number FROM " word " ORDER BY id", .insert = statement

#define INSERT(table, columns, marks) "INSERT INTO " table "(id, " columns ") VALUES(" marks ") ON CONFLICT(id) DO NOTHING"

const hone_fact_table hone_facts[] = {
    [HONE_FACT_RUN] = {TABLE("run", run_columns, RUN_SELECT, "", "writer, sequence, start_unix_ms",
        INSERT("run", "start_unix_ms, writer, sequence, effort, seed, options", "?, ?, ?, ?, ?, ?, ?")), .check = check_run},
    [HONE_FACT_MEASUREMENT] = {TABLE("measurement", measurement_columns, HONE_MEASUREMENT_SELECT, "m.",
        "p.spelling, d.spelling, m.mode, a.spelling, t.spelling",
        INSERT("measurement", "problem, tactic, device, toolchain, depends, mode, verdict, median_ns, mad_ns, min_ns, timer,"
               " workspace_bytes, error, clock_mhz, temperature_c, power_w, throttle, registers, artifact, run, note, sample_count",
               "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?")),
        .evidence = true, .check = check_measurement},
    [HONE_FACT_COVERAGE] = {TABLE("coverage", coverage_columns, COVERAGE_SELECT, "c.", "p.spelling, d.spelling, c.source, c.version",
        INSERT("coverage", "problem, device, depends, source, version, effort, tried", "?, ?, ?, ?, ?, ?, ?, ?")), .check = check_coverage},
    [HONE_FACT_NETWORK] = {TABLE("network", network_columns, NETWORK_SELECT, "", "name",
        INSERT("network", "digest, name", "?, ?, ?"))},
    [HONE_FACT_NETWORK_PROBLEM] = {TABLE("network_problem", network_problem_columns, NETWORK_PROBLEM_SELECT, "n.",
        "n.network, p.spelling", INSERT("network_problem", "network, problem, times", "?, ?, ?, ?"))},
    [HONE_FACT_PLAN] = {TABLE("plan", plan_columns, PLAN_SELECT, "l.", "l.digest", INSERT("plan", "digest, network, device", "?, ?, ?, ?"))},
    [HONE_FACT_PLAN_STEP] = {TABLE("plan_step", plan_step_columns, PLAN_STEP_SELECT, "", "plan, step",
        INSERT("plan_step", "plan, step, measurement", "?, ?, ?, ?"))},
    [HONE_FACT_CALIBRATION] = {TABLE("calibration", calibration_columns, CALIBRATION_SELECT, "", "network, tensor",
        INSERT("calibration", "network, tensor, data_set, method, seed, low, high, scale, histogram", "?, ?, ?, ?, ?, ?, ?, ?, ?, ?")),
        .evidence = true},
    [HONE_FACT_ARTIFACT] = {TABLE("artifact", artifact_columns, ARTIFACT_SELECT, "", "key",
        INSERT("artifact", "key, kind, data", "?, ?, ?, ?")), .evidence = true, .check = check_artifact},
    [HONE_FACT_BATCH] = {TABLE("batch", batch_columns, BATCH_SELECT, "", "writer, sequence",
        INSERT("batch", "writer, sequence, ids, signature", "?, ?, ?, ?, ?")), .check = check_batch},
    [HONE_FACT_RULING] = {TABLE("ruling", ruling_columns, RULING_SELECT, "", "writer, sequence",
        INSERT("ruling", "writer, sequence, verb, target, reason, made_unix_ms, signature", "?, ?, ?, ?, ?, ?, ?, ?")), .evidence = true, .check = check_ruling},
    [HONE_FACT_RECHECK] = {TABLE("recheck", recheck_columns, HONE_RECHECK_SELECT, "e.", "d.spelling, e.family, e.depends, e.now",
        INSERT("recheck", "device, family, depends, now, mode, decision, scale, low, high, timed, run", "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?")),
        .evidence = true, .check = check_recheck},
};
const int hone_fact_count = (int)(sizeof hone_facts / sizeof *hone_facts);
