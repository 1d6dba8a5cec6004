// SPDX-License-Identifier: Apache-2.0
// The hub's own description, OpenAPI 3.1, written from the table of operations, so that it cannot differ from what is served.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "db/hub_priv.h"

static void print_schema(hone_json *json, const char *type, const char *format)
{
    hone_json_open(json, "schema", '{');
    if (type) hone_json_text(json, "type", type);
    if (format) hone_json_text(json, "contentMediaType", format);
    hone_json_close(json, '}');
}

static void print_content(hone_json *json, const char *type)
{
    bool is_json = !strcmp(type, "application/json"), is_text = !strncmp(type, "text/", 5);
    hone_json_open(json, "content", '{');
    hone_json_open(json, type, '{');
    print_schema(json, is_json ? "object" : is_text ? "string" : NULL, is_json || is_text ? NULL : type);
    hone_json_close(json, '}');
    hone_json_close(json, '}');
}

static void print_parameter(hone_json *json, const char *where, const hone_hub_parameter *parameter)
{
    hone_json_open(json, NULL, '{');
    hone_json_text(json, "name", parameter->name);
    hone_json_text(json, "in", where);
    hone_json_text(json, "description", parameter->what);
    hone_json_bool(json, "required", parameter->required);
    print_schema(json, "string", NULL);
    hone_json_close(json, '}');
}

static void print_parameters(hone_json *json, const hone_operation *operation)
{
    static const hone_hub_parameter if_none_match = {"If-None-Match", "The ETag of the answer at hand: 304 while it holds", false};
    hone_json_open(json, "parameters", '[');
    for (int k = 0; k < HONE_HUB_PARAMETERS && operation->parameters[k].name; k++) print_parameter(json, "query", &operation->parameters[k]);
    if (!strcmp(operation->method, "GET")) print_parameter(json, "header", &if_none_match);
    hone_json_close(json, ']');
}

static void print_responses(hone_json *json, const hone_operation *operation)
{
    const struct { const char *code, *what; bool told; } failures[] = {
        {"304", "Unchanged since the ETag in If-None-Match", !strcmp(operation->method, "GET")},
        {"400", "The question or the batch makes no sense", operation->parameters[0].name || operation->body},
        {"401", "No token, or one that is unknown here, expired or revoked", operation->scope != HONE_SCOPE_NONE},
        {"403", "The token lacks the scope", operation->scope != HONE_SCOPE_NONE},
        {"404", "The database has no such thing", operation->parameters[0].name != NULL},
        {"413", "The body is larger than 16 MiB", operation->body != NULL},
        {"429", "Busy: Retry-After says when", true},
        {"503", "The database cannot be used just now: Retry-After says when", true},
    };
    hone_json_open(json, "responses", '{');
    hone_json_open(json, "200", '{');
    hone_json_text(json, "description", operation->what);
    print_content(json, operation->type);
    hone_json_close(json, '}');
    for (size_t k = 0; k < sizeof failures / sizeof *failures; k++) {
        if (!failures[k].told) continue;
        hone_json_open(json, failures[k].code, '{');
        hone_json_text(json, "description", failures[k].what);
        if (strcmp(failures[k].code, "304")) print_content(json, "application/json");
        hone_json_close(json, '}');
    }
    hone_json_close(json, '}');
}

static void print_security(hone_json *json, const hone_operation *operation)
{
    hone_json_open(json, "security", '[');
    if (operation->scope != HONE_SCOPE_NONE) {
        hone_json_open(json, NULL, '{');
        hone_json_open(json, "token", '[');
        hone_json_text(json, NULL, hone_scope_name(operation->scope));
        hone_json_close(json, ']');
        hone_json_close(json, '}');
    }
    hone_json_close(json, ']');
}

static void print_operation(hone_json *json, const hone_operation *operation)
{
    char method[16];
    size_t size = 0;
    for (; operation->method[size] && size < sizeof method - 1; size++) method[size] = (char)tolower(operation->method[size]);
    method[size] = 0;
    hone_json_open(json, method, '{');
    hone_json_text(json, "operationId", operation->name);
    hone_json_text(json, "summary", operation->what);
    print_security(json, operation);
    print_parameters(json, operation);
    if (operation->body) {
        hone_json_open(json, "requestBody", '{');
        hone_json_bool(json, "required", true);
        print_content(json, operation->body);
        hone_json_close(json, '}');
    }
    print_responses(json, operation);
    hone_json_close(json, '}');
}

static void print_paths(hone_json *json)
{
    hone_json_open(json, "paths", '{');
    for (int k = 0; k < hone_operation_count; k++) {
        bool first = true;
        for (int before = 0; before < k; before++) first &= strcmp(hone_operations[before].path, hone_operations[k].path) != 0;
        if (!first) continue;
        hone_json_open(json, hone_operations[k].path, '{');
        for (int same = k; same < hone_operation_count; same++)
            if (!strcmp(hone_operations[same].path, hone_operations[k].path)) print_operation(json, &hone_operations[same]);
        hone_json_close(json, '}');
    }
    hone_json_close(json, '}');
}

void hone_hub_openapi(hone_text *text)
{
    hone_json json;
    hone_json_init(&json, text);
    hone_json_open(&json, NULL, '{');
    hone_json_text(&json, "openapi", "3.1.0");
    hone_json_open(&json, "info", '{');
    hone_json_text(&json, "title", "hone hub");
    hone_json_text(&json, "version", HONE_VERSION);
    hone_json_text(&json, "description", "One tuning memory for many machines. Without tokens a hub on a loopback address lets its own machine read and measure.");
    hone_json_close(&json, '}');
    hone_json_open(&json, "components", '{');
    hone_json_open(&json, "securitySchemes", '{');
    hone_json_open(&json, "token", '{');
    hone_json_text(&json, "type", "http");
    hone_json_text(&json, "scheme", "bearer");
    hone_json_close(&json, '}');
    hone_json_close(&json, '}');
    hone_json_close(&json, '}');
    print_paths(&json);
    hone_json_close(&json, '}');
}
