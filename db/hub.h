// SPDX-License-Identifier: Apache-2.0
// A hub: one database, served over HTTP (docs/hub.md). Two threads speak HTTP, two answer questions, each with its own handle, one takes batches
// and acknowledges them from the inbox, and one writes: it commits to the tables all that has come meanwhile. What is asked often is answered from memory.
// Over one database in PostgreSQL any number of hubs may serve: each answers from a copy that is a fraction of a second old.
#ifndef HONE_DB_HUB_H
#define HONE_DB_HUB_H

#include <stdbool.h>

#include "base/status.h"
#include "base/text.h"

typedef struct hone_hub hone_hub;

typedef struct hone_hub_options {
    const char *db;              // made when missing; a file, or postgresql://...
    const char *listen;          // 127.0.0.1:8080; anything but loopback needs tokens and behind_proxy
    bool behind_proxy;           // somebody else speaks TLS for it
} hone_hub_options;

hone_status hone_hub_start(const hone_hub_options *options, hone_hub **hub);
int hone_hub_port(const hone_hub *hub);
bool hone_hub_asks_for_tokens(hone_hub *hub);
// Takes no new connection, answers what is asked, commits what waits, the inbox too.
void hone_hub_stop(hone_hub *hub);                       // NULL is legal
void hone_hub_openapi(hone_text *text);                  // the description that the hub serves

#endif
