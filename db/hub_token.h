// SPDX-License-Identifier: Apache-2.0
// Who may do what on a hub. A token is 256 random bits, shown once; kept are its name, the hash of its text, scopes, and when it
// ends, one line each in the file DB.tokens beside the database (mode 0600), or a row each in PostgreSQL's table `token`, which is
// read again within half a second of a change.
#ifndef HONE_DB_HUB_TOKEN_H
#define HONE_DB_HUB_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

typedef enum hone_scope { HONE_SCOPE_NONE = 0, HONE_SCOPE_READ = 1, HONE_SCOPE_MEASURE = 2, HONE_SCOPE_PROMOTE = 4, HONE_SCOPE_ADMIN = 8 } hone_scope;

const char *hone_scope_name(hone_scope scope);                    // "none" too
hone_status hone_scopes_parse(const char *list, unsigned *scopes);   // "read,measure"

#define HONE_TOKEN_TEXT 70       // "hone_", 64 digits and the NUL

// Makes a token that ends after so many seconds. HONE_USAGE when the name is taken.
hone_status hone_token_add(const char *db, const char *name, unsigned scopes, int64_t seconds, char token[HONE_TOKEN_TEXT]);
hone_status hone_token_revoke(const char *db, const char *name);  // HONE_MISS when there is none of that name that still holds
// A line for each: name, scopes, until when, "holds", "expired" or "revoked". Nothing in it tells the token.
hone_status hone_token_list(const char *db, hone_text *text);

typedef struct hone_tokens hone_tokens;                           // what is kept, in memory; any thread

hone_status hone_tokens_open(const char *db, hone_tokens **tokens);
void hone_tokens_close(hone_tokens *tokens);                      // NULL is legal
bool hone_tokens_exist(hone_tokens *tokens);                      // any, holding or not: then nobody enters without
bool hone_tokens_are_old(hone_tokens *tokens);                    // PostgreSQL has not said for 5 s what holds
// The scopes of a token that holds now, else 0; takes the same time whichever it is.
unsigned hone_tokens_check(hone_tokens *tokens, const char *token);

#endif
